//! Attribution by gradients with respect to the input.

mod averaged;
mod estimate;
mod input_x_gradient;
mod integrated_gradients;
mod saliency;
mod smooth_grad;
mod walk;

pub use averaged::Averaged;
pub use input_x_gradient::InputXGradient;
pub use integrated_gradients::IntegratedGradients;
pub use saliency::Saliency;
pub use smooth_grad::{Deviation, NoiseKind, SmoothGrad};
