//! Attribution by gradients with respect to the input.
//!
//! | method | evaluations with gradient of a row |
//! |---|---|
//! | [`Saliency`], [`InputXGradient`] | 1 |
//! | [`IntegratedGradients`], [`PathIntegral`] | `steps` |
//! | [`AdaptiveIntegratedGradients`] | as many as a tolerance takes, 17 for a smooth function |
//! | [`MultiBaselineIntegratedGradients`] | `steps k` for `k` baselines |
//! | [`SequentialIntegratedGradients`] | `steps t` for `t` tokens |
//! | [`DiscretizedIntegratedGradients`] | `steps - 1` |
//! | [`GuidedIntegratedGradients`] | `steps + 1` |
//! | [`BlurIntegratedGradients`] | `steps` |
//! | [`IntegratedHessians`], interactions of pairs | `steps (2 n + 1)` for `n` features or groups |
//! | [`GradientShap`] | `samples`, or as many as a tolerance takes |
//! | [`SmoothGrad`] | the same, times those of the inner method |

mod adaptive;
mod averaged;
mod blur_integrated_gradients;
mod discretized_integrated_gradients;
mod gradient_shap;
mod guided;
mod guided_integrated_gradients;
mod input_x_gradient;
mod integrated_gradients;
mod integrated_hessians;
mod multi_baseline;
mod one_pass;
mod paths;
mod saliency;
mod sequential_integrated_gradients;
mod smooth_grad;
mod walk;

pub use adaptive::AdaptiveIntegratedGradients;
pub use averaged::Averaged;
pub use blur_integrated_gradients::{BlurBorder, BlurIntegratedGradients};
pub use discretized_integrated_gradients::{AnchorStrategy, DiscretizedIntegratedGradients, WordPath};
pub use gradient_shap::{GradientShap, GradientShapDraws};
pub use guided::{Deconvolution, GuidedBackprop};
pub use guided_integrated_gradients::{GuidedIntegratedGradients, PathSum};
pub use input_x_gradient::InputXGradient;
pub use integrated_gradients::IntegratedGradients;
pub use integrated_hessians::{HessianInteractions, IntegratedHessians};
pub use multi_baseline::MultiBaselineIntegratedGradients;
pub use paths::{PathIntegral, straight_path};
pub use saliency::Saliency;
pub use sequential_integrated_gradients::SequentialIntegratedGradients;
pub use smooth_grad::{Deviation, NoiseKind, SmoothGrad};
