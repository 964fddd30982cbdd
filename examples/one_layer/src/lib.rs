//! The monosemanticity experiment on one machine: a one-layer transformer, a dictionary of its neurons' activations, and what
//! features are worth beside neurons.
//!
//! Source: Bricken et al., "Towards Monosemanticity: Decomposing Language Models With Dictionary Learning" (2023).

pub mod attribute;
mod baseline;
pub mod browse;
#[path = "../../support/candle_vjp.rs"]
mod candle_vjp;
mod causal;
mod compare;
mod contexts;
pub mod dictionary;
#[path = "../../support/candle_error.rs"]
mod error;
mod explain;
mod feature_page;
mod figures;
pub mod model;
mod outcome;
mod planted;
mod reading;
pub mod saved;
mod short;
pub mod stages;
#[path = "../../support/mod.rs"]
mod support;
pub mod text;
pub mod train;
mod units;

pub use error::{Error, Result};
