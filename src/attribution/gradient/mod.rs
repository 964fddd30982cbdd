//! Attribution by gradients with respect to the input.

mod saliency;

pub use saliency::Saliency;
