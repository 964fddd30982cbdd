//! Attribution to inner units instead of inputs, and of inner units to inputs.
//!
//! | question | methods |
//! |---|---|
//! | which units of a layer made the output? | [`LayerGradientXActivation`], [`LayerIntegratedGradients`], [`LayerConductance`], [`InternalInfluence`] |
//! | the same by taking units away | [`LayerAblation`], [`LayerShapley`], or any summary of a [`LayerGame`] |
//! | where in an image? | [`GradCam`], [`GuidedGradCam`] |
//! | which inputs drive a unit? | [`NeuronGradient`], [`NeuronIntegratedGradients`], or any method on [`UpTo`] |
//! | which inputs drive the output through a unit? | [`NeuronConductance`] |
//!
//! A layer is a number of [`Layers`](super::Layers), its activation `h: (b, units)`.

mod grad_cam;
mod guided_grad_cam;
mod internal_influence;
mod layer_ablation;
mod layer_conductance;
mod layer_game;
mod layer_gradient_x_activation;
mod layer_integrated_gradients;
mod layer_shapley;
mod neuron;
mod neuron_conductance;
mod neuron_gradient;
mod neuron_integrated_gradients;
#[cfg(test)]
pub(in crate::attribution) mod testing;
mod up_to;
pub(in crate::attribution) mod walk;

pub use grad_cam::GradCam;
pub use guided_grad_cam::{GuidedGradCam, upsample_nearest};
pub use internal_influence::InternalInfluence;
pub use layer_ablation::LayerAblation;
pub use layer_conductance::{Differences, LayerConductance};
pub use layer_game::{AbsentUnits, LayerGame, LayerRemoval};
pub use layer_gradient_x_activation::LayerGradientXActivation;
pub(in crate::attribution) use layer_gradient_x_activation::layer_gradient;
pub use layer_integrated_gradients::LayerIntegratedGradients;
pub use layer_shapley::LayerShapley;
pub use neuron::Neuron;
pub use neuron_conductance::NeuronConductance;
pub use neuron_gradient::NeuronGradient;
pub use neuron_integrated_gradients::NeuronIntegratedGradients;
pub use up_to::UpTo;
