//! What is explained: a number read off a model's outputs, and its gradient by them.
//!
//! Throughout, `z: (c)` are the outputs (logits) of a row, `p = softmax z`, `ℓ = ln p`, `a` the class of interest, `c` the
//! class it is contrasted with. Logarithms are natural; everything is computed in double precision and rounded once.
//!
//! | target | value | gradient by `z` |
//! |---|---|---|
//! | [`Logit`] | `z_a` | `e_a` |
//! | [`Probability`] | `p_a` | `p_a (e_a - p)` |
//! | [`LogProbability`] | `ℓ_a` | `e_a - p` |
//! | [`CrossEntropy`] | `-ℓ_a` | `p - e_a` |
//! | [`Perplexity`] | `e^-ℓ_a` | `-e^-ℓ_a (e_a - p)` |
//! | [`Entropy`] | `H = -Σ p ℓ` | `-p (ℓ + H)` |
//! | [`ContrastLogit`], [`ContrastProbability`] | `z_c`, `p_c` | `e_c`, `p_c (e_c - p)` |
//! | [`ContrastLogitDifference`] | `z_a - z_c` | `e_a - e_c` |
//! | [`ContrastProbabilityDifference`] | `p_a - p_c` | `p_a (e_a - p) - p_c (e_c - p)` |
//! | [`ContextInformation`] | `-log₂ (p_a / p'_a)` | `-(e_a - p)/ln 2` |
//! | [`InContextPvi`] | `-ℓ_a + ℓ'_a` | `-(e_a - p)` |
//! | [`KlDivergence`] | `Σ p (ℓ - ℓ')` | `p (ℓ - ℓ' - KL)` |
//! | [`DropoutDeviation`] | `(p_a - mean)/deviation` | `p_a (e_a - p)/deviation` |
//! | [`SequenceLogProbability`] | `Σ_t ℓ_t,a(t)` | `e_a(t) - p_t` |
//! | [`Custom`] | the caller's | the caller's |
//!
//! Primes mark a second context whose outputs are held constant. Explaining a logit or a log-probability is the usual
//! choice: a probability saturates.
//!
//! Source: the step functions of Sarti et al., "Inseq: An Interpretability Toolkit for Sequence Generation Models" (ACL
//! 2023 demonstrations), with gradients derived here.

mod class;
mod context;
mod contrast;
mod custom;
mod distribution;
mod sequence;
mod token;

pub use class::Class;
pub use context::{ContextInformation, DropoutDeviation, InContextPvi};
pub use contrast::{ContrastLogit, ContrastLogitDifference, ContrastProbability, ContrastProbabilityDifference};
pub use custom::Custom;
pub use distribution::{Entropy, KlDivergence, top_p_size};
pub use sequence::SequenceLogProbability;
pub use token::{CrossEntropy, LogProbability, Logit, Perplexity, Probability};

use crate::{Result, Scalar};

/// A number read off the outputs of a row, with its gradient.
///
/// Rows and outputs that [`Target::check`] refuses are never asked for; a target may panic on them.
pub trait Target<T: Scalar> {
    /// Checks that it can be read off `rows` rows of `outputs` outputs.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for a class that the model does not have,
    /// [`Error::Shape`](crate::Error::Shape) for something given per row that does not fit the rows.
    fn check(&self, rows: usize, outputs: usize) -> Result<()>;

    /// The number, for the outputs `z: (c)` of row `row`.
    fn value(&self, row: usize, z: &[T]) -> T;

    /// Writes its gradient by `z: (c)` into all of `gradient: (c)`.
    fn cotangent(&self, row: usize, z: &[T], gradient: &mut [T]);
}

/// `ln Σ e^z`, without overflow.
fn log_sum_exp<T: Scalar>(z: &[T]) -> f64 {
    let largest = z.iter().fold(f64::NEG_INFINITY, |largest, z| largest.max(z.as_f64()));
    largest + libm::log(z.iter().map(|z| libm::exp(z.as_f64() - largest)).sum::<f64>())
}

/// `ℓ_a`.
fn log_probability<T: Scalar>(z: &[T], a: usize) -> f64 {
    z[a].as_f64() - log_sum_exp(z)
}

/// Adds `scale (e_a - p)`, the gradient of `scale ℓ_a`.
fn add_log_probability_gradient<T: Scalar>(z: &[T], a: usize, scale: f64, gradient: &mut [T]) {
    let total = log_sum_exp(z);
    for (class, (slot, z)) in gradient.iter_mut().zip(z).enumerate() {
        let chosen = f64::from(u8::from(class == a));
        *slot += T::of(scale * (chosen - libm::exp(z.as_f64() - total)));
    }
}
