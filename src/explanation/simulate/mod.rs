//! Explanations that predict activations.
//!
//! | with a language model of the caller | |
//! |---|---|
//! | ask: all tokens at once, one at a time, or in writing | [`Asking`] |
//! | digit log-probabilities to expected activations, with their mass | [`Digits`], [`expected_value`], [`simulate_from_logits`] |
//! | find hidden values in an echoed prompt | [`echoed`] |
//! | read a written answer: lines, JSON, tuples | [`Completion`] |
//! | ask for an explanation, and read it | [`explaining`](fn@explaining), [`read_explanation`] |
//! | explain, simulate, score, revise | [`Revision`] |
//!
//! | without one | predicts from |
//! |---|---|
//! | [`Keyword`] | the words of the explanation |
//! | [`TokenTable`] | each token's mean in training |
//! | [`Ngram`] | the longest stretch of tokens that training knows |
//! | [`LinearProbe`], [`OneHotProbe`] | ridge regression on embeddings, on tokens |
//! | [`Oracle`] | the truth in digits: a ceiling |
//! | [`ShuffledTokens`], [`ShuffledExplanations`], [`Constant`] | nothing: floors |
//!
//! All are a [`Simulator`] and give a [`Simulation`], in which a token without a prediction has none and says why.

mod completion;
mod digits;
mod explaining;
mod floors;
mod keyword;
mod linear_probe;
mod ngram;
mod oracle;
mod prompt;
mod revise;
mod simulation;
mod simulator;
mod token_table;
mod training;

pub use completion::{Completed, Completion, Form};
pub use digits::{DigitDistribution, DigitPolicy, Digits, expected_value, simulate_from_logits};
pub use explaining::{explaining, read_explanation};
pub use floors::{Constant, ShuffledExplanations, ShuffledTokens};
pub use keyword::Keyword;
pub use linear_probe::{Embedder, LinearProbe, OneHotProbe};
pub use ngram::{Ngram, NgramSettings};
pub use oracle::Oracle;
pub use prompt::{Asking, Echo, Example, echoed};
pub use revise::{
    Attempt, Callers, Evidence, Experiment, Explainer, History, NoExperiment, Revision, RevisionFailure, Stopped,
};
pub use simulation::{Accounting, Scale, Simulation, TokenStatus};
pub use simulator::Simulator;
pub use token_table::TokenTable;
pub use training::Unseen;
