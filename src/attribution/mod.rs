//! Which inputs caused this output?
//!
//! | family | methods |
//! |---|---|
//! | [`circuits`] | attention, residual streams, patching |
//! | [`perturbation`] | taking parts of the input away: Shapley values and their kin |
//! | [`faithfulness`] | how good an attribution is |
//!
//! A model enters as a small trait or a closure; what is explained is a target; every method is a settings struct.

pub mod aggregate;
pub mod baseline;
pub mod batch;
pub mod circuits;
pub mod explainer;
pub mod failure;
pub mod faithfulness;
pub mod gradient;
pub mod model;
pub mod network;
pub mod numeric;
pub mod perturbation;
pub(crate) mod probe;
pub mod render;
pub mod result;
pub mod target;

pub use baseline::Baseline;
pub use batch::Batch;
pub use explainer::Explainer;
pub use failure::{Explained, Failure};
pub use model::{Cotangent, Differentiable, Forward, Function, Layers};
pub use network::Network;
pub use result::{Attribution, Evaluations, Status};
pub use target::Target;
