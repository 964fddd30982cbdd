//! Takes the MLP activations of a BERT out while it reads a text, and looks at its neurons.

mod activity;
pub mod bert;
#[path = "../../support/candle_vjp.rs"]
mod candle_vjp;
pub mod capture;
pub mod config;
pub mod corpus;
pub mod draft;
#[path = "../../support/candle_error.rs"]
mod error;
pub mod explain;
mod frozen;
pub mod geometry;
pub mod influence;
mod labelled;
pub mod look;
mod shape;
pub mod states;
pub mod store;
#[path = "../../support/mod.rs"]
mod support;
pub mod why;

pub use error::{Error, Result};
