//! Attribution by gradients with respect to the input.

mod adaptive;
mod averaged;
mod estimate;
mod gradient_shap;
mod input_x_gradient;
mod integrated_gradients;
mod multi_baseline;
mod saliency;
mod smooth_grad;
mod walk;

pub use adaptive::AdaptiveIntegratedGradients;
pub use averaged::Averaged;
pub use gradient_shap::{GradientShap, GradientShapDraws};
pub use input_x_gradient::InputXGradient;
pub use integrated_gradients::IntegratedGradients;
pub use multi_baseline::MultiBaselineIntegratedGradients;
pub use saliency::Saliency;
pub use smooth_grad::{Deviation, NoiseKind, SmoothGrad};
