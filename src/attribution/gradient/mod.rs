//! Attribution by gradients with respect to the input.

mod guided;
mod input_x_gradient;
mod integrated_gradients;
mod saliency;
mod walk;

pub use guided::{Deconvolution, GuidedBackprop, ReluRule, ReluRuled};
pub use input_x_gradient::InputXGradient;
pub use integrated_gradients::IntegratedGradients;
pub use saliency::Saliency;
