//! Attribution to inner units instead of inputs, and of inner units to inputs.
//!
//! | question | methods |
//! |---|---|
//! | which units of a layer made the output? | [`LayerGradientXActivation`], [`LayerIntegratedGradients`], [`LayerConductance`], [`InternalInfluence`] |
//! | where in an image? | [`GradCam`], [`GuidedGradCam`] |
//! | which inputs drive a unit? | [`NeuronGradient`], [`NeuronIntegratedGradients`], or any method on [`UpTo`] |
//! | which inputs drive the output through a unit? | [`NeuronConductance`] |
//!
//! A layer is a number of [`Layers`](super::Layers), its activation `h: (b, units)`.

mod layer_gradient_x_activation;
mod layer_integrated_gradients;
#[cfg(test)]
pub(in crate::attribution) mod testing;
mod walk;

pub use layer_gradient_x_activation::LayerGradientXActivation;
pub(in crate::attribution) use layer_gradient_x_activation::layer_gradient;
pub use layer_integrated_gradients::LayerIntegratedGradients;
