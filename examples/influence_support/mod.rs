//! What the influence example measures: a small model, training it again, and every estimator.
#![expect(unreachable_pub, reason = "an example has no crate to reach from")]

pub mod estimate;
pub mod model;
pub mod retrain;

/// Models and estimators have errors of their own.
pub type Outcome<V> = Result<V, Box<dyn std::error::Error>>;
