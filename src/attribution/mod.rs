//! Which inputs caused this output?
//!
//! | family | methods |
//! |---|---|
//! | [`gradient`] | saliency, input times gradient, integrated gradients by rule or to a tolerance, over several baselines, guided, along a blur, SmoothGrad, expected gradients, guided backprop, integrated Hessians |
//! | [`layer`] | the same for inner units: layer and neuron integrated gradients, conductance, internal influence, Grad-CAM, ablation, Shapley values |
//! | [`rules`] | DeepLIFT by rescale and by RevealCancel, DeepLIFT-SHAP, LRP and its composites, AttnLRP |
//! | [`perturbation`] | ablation, occlusion, ReAGent, LIME, Shapley values in many ways, Banzhaf and Owen values, interactions; causal models with a cache |
//! | [`circuits`] | attention, residual streams, logit lens, patching, edges, AtP*, GIM |
//! | [`faithfulness`] | how good an attribution is: erasure, infidelity, sensitivity, complexity, agreement |
//! | [`aggregate`], [`render`] | from numbers per input to words, and to text, terminals, HTML and SVG |
//!
//! A model enters as a small trait or a closure ([`model`]); what is explained is a [`target`]; every method is a settings
//! struct that is an [`Explainer`]. A small [`network`] serves rule methods, tests and small users.
//!
//! # Example
//! ```
//! use limpid::attribution::gradient::IntegratedGradients;
//! use limpid::attribution::target::LogProbability;
//! use limpid::attribution::{Explainer, Network};
//! use limpid::math::pointwise::Activation;
//! use ndarray::array;
//!
//! let layer = Network::new(3).linear(array![[1.0, -2.0, 0.5], [0.0, 1.0, 1.0]], None)?.activation(Activation::Gelu)?;
//! let mut model = layer.linear(array![[2.0, 1.0], [-1.0, 1.0]], None)?;
//! let found = IntegratedGradients::default().attribute(&mut model, &array![[0.3_f64, -0.8, 1.0]], &LogProbability::of(0))?;
//! // the attributions add up to the difference between input and baseline
//! assert!(found.delta.unwrap()[0].abs() < 1e-9);
//! # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
//! ```

pub mod aggregate;
pub mod baseline;
pub mod batch;
pub mod circuits;
pub(crate) mod estimate;
pub mod explainer;
pub mod failure;
pub mod faithfulness;
pub mod gradient;
pub mod layer;
pub mod model;
pub mod network;
pub mod numeric;
pub mod perturbation;
pub(crate) mod probe;
pub mod render;
pub mod result;
pub mod rules;
pub(crate) mod sweep;
pub mod target;

pub use baseline::Baseline;
pub use batch::Batch;
pub use explainer::Explainer;
pub use failure::{Explained, Failure};
pub use model::{Cotangent, Differentiable, Forward, Function, Layers};
pub use network::Network;
pub use result::{Attribution, Evaluations, Status};
pub use target::Target;
