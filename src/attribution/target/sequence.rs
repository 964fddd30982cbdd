//! The log-probability of a whole continuation.

use alloc::vec::Vec;

use ndarray::Array1;

use super::{Target, add_log_probability_gradient, log_probability};
use crate::error::{check_each, check_not_empty};
use crate::{Dims, Error, Result, Scalar};

/// `Σ_t ℓ_t,a(t)` over the positions of a sequence, or its exponential.
///
/// The outputs of a row are the logits `(t, v)` of all positions, position by position.
///
/// # Example
/// ```
/// use limpid::attribution::target::{SequenceLogProbability, Target};
/// let target = SequenceLogProbability::of(vec![1, 0]);
/// let value = target.value(0, &[0.0, 0.0, 0.0, 0.0]);
/// assert!((value + 2.0 * core::f64::consts::LN_2).abs() < 1e-15);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SequenceLogProbability {
    /// The token of every position, `(t)`.
    pub tokens: Vec<usize>,
    /// Whether the value is the probability itself rather than its logarithm.
    pub exponential: bool,
}

impl SequenceLogProbability {
    /// Of these tokens, `(t)`.
    #[must_use]
    pub fn of(tokens: Vec<usize>) -> Self {
        Self { tokens, exponential: false }
    }

    /// Logits of each position with its token.
    fn positions<'a, T>(&'a self, z: &'a [T]) -> impl Iterator<Item = (&'a [T], usize)> {
        z.chunks(z.len() / self.tokens.len().max(1)).zip(self.tokens.iter().copied())
    }

    fn log<T: Scalar>(&self, z: &[T]) -> f64 {
        self.positions(z).map(|(z, token)| log_probability(z, token)).sum()
    }
}

impl<T: Scalar> Target<T> for SequenceLogProbability {
    fn check(&self, _rows: usize, outputs: usize) -> Result<()> {
        let tokens: Array1<f64> = self.tokens.iter().map(|&token| token as f64).collect();
        check_not_empty("tokens", &tokens)?;
        let vocabulary = outputs / self.tokens.len();
        if vocabulary * self.tokens.len() != outputs {
            let expected = Dims::new(&[self.tokens.len(), vocabulary + 1]);
            return Err(Error::Shape { what: "outputs of a row", expected, got: Dims::new(&[outputs]) });
        }
        check_each("tokens", &tokens, "a token of the vocabulary", |token| token < vocabulary as f64)
    }

    fn value(&self, _row: usize, z: &[T]) -> T {
        let log = self.log(z);
        T::of(if self.exponential { libm::exp(log) } else { log })
    }

    fn cotangent(&self, _row: usize, z: &[T], gradient: &mut [T]) {
        gradient.fill(T::zero());
        let scale = if self.exponential { libm::exp(self.log(z)) } else { 1.0 };
        let vocabulary = z.len() / self.tokens.len().max(1);
        for ((z, token), gradient) in self.positions(z).zip(gradient.chunks_mut(vocabulary)) {
            add_log_probability_gradient(z, token, scale, gradient);
        }
    }
}
