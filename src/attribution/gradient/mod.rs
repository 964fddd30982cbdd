//! Attribution by gradients with respect to the input.

mod guided;
mod saliency;

pub use guided::{Deconvolution, GuidedBackprop, ReluRule, ReluRuled};
pub use saliency::Saliency;
