//! Attribution by gradients with respect to the input.

mod input_x_gradient;
mod integrated_gradients;
mod saliency;
mod walk;

pub use input_x_gradient::InputXGradient;
pub use integrated_gradients::IntegratedGradients;
pub use saliency::Saliency;
