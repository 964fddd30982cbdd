//! What does this neuron respond to, and how well does an explanation predict it?
//!
//! | step | where |
//! |---|---|
//! | tokens of a text with the activations of a neuron | [`record`] |
//! | statistics of all neurons over a corpus, in memory that does not grow with it | [`collect`] |
//! | an explanation predicts activations: language models by traits of the caller, and simulators without one | [`simulate`] |
//! | how good the prediction is | [`score`] |
//! | what a model says of its own tokens | [`self_report`] |
//!
//! What is not defined, such as the correlation with a constant, is an [`Undefined`] with its reason, never a number.

pub mod collect;
pub mod failure;
pub mod prompt;
pub mod record;
pub mod score;
pub mod self_report;
pub mod simulate;
mod text;
pub mod undefined;

pub use failure::Failure;
pub use prompt::Prompt;
pub use record::{ActivationRecord, NeuronId, Side};
pub use undefined::{Defined, Undefined};
