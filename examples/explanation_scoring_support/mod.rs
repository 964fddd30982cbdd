//! What the scoring example stands on: texts, neurons whose rules are known, and all that predicts them.
#![expect(unreachable_pub, reason = "an example has no crate to reach from")]

pub mod corpus;
pub mod judge;
pub mod neurons;
pub mod predict;

/// Simulators have errors of their own.
pub type Outcome<V> = Result<V, Box<dyn std::error::Error>>;
