//! What does this neuron respond to, and how well does an explanation predict it?
//!
//! | step | where |
//! |---|---|
//! | tokens of a text with the activations of a neuron | [`record`] |
//! | statistics of all neurons over a corpus, in memory that does not grow with it | [`collect`] |
//! | activations as the whole numbers that language models are shown | [`discretize`] |
//! | the quantiles of published records, each with its convention | [`quantiles`] |
//! | which records an explanation is made from, calibrated on and scored on | [`slices`] |
//! | an explanation predicts activations: language models by traits of the caller, and simulators without one | [`simulate`] |
//! | a map from predictions to activations, fitted on other texts | [`calibrate`] |
//! | how good the prediction is | [`score`] |
//! | what a model says of its own tokens | [`self_report`] |
//!
//! What is not defined, such as the correlation with a constant, is an [`Undefined`] with its reason, never a number.

pub mod calibrate;
pub mod collect;
pub mod discretize;
pub mod failure;
pub mod prompt;
pub mod quantiles;
pub mod record;
pub mod score;
pub mod self_report;
pub mod simulate;
pub mod slices;
mod text;
pub mod undefined;

pub use failure::Failure;
pub use prompt::Prompt;
pub use record::{ActivationRecord, NeuronId, Side};
pub use undefined::{Defined, Undefined};
