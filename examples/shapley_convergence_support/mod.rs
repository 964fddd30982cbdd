//! What the convergence example measures: games with known values, ways to estimate them, and path integrals by rule.
#![expect(unreachable_pub, reason = "an example has no crate to reach from")]

pub mod games;
pub mod integrals;
pub mod methods;
pub mod show;

/// Games and models have errors of their own.
pub type Outcome<V> = Result<V, Box<dyn std::error::Error>>;
