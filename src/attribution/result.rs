//! What every method gives back: the numbers, and all that is needed to trust or repeat them.

use alloc::borrow::Cow;
use alloc::string::String;

use ndarray::{Array1, Array2};

use crate::Seed;

/// An attribution of `b` rows over `n` features, inner units or positions.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub struct Attribution<T> {
    /// The attribution, `(b, n)`.
    pub values: Array2<T>,
    /// Standard error of every value, `(b, n)`, of methods that sample.
    pub standard_error: Option<Array2<T>>,
    /// Value of the target for every row, `(b)`.
    pub output_value: Array1<T>,
    /// Value of the target for the baseline of every row, `(b)`, of methods that have one.
    pub base_value: Option<Array1<T>>,
    /// Completeness: sum of the values less `output_value - base_value`, `(b)`; of methods that promise it.
    pub delta: Option<Array1<T>>,
    /// Bound or estimate of the error of a row's values in sum, `(b)`, of methods that control it.
    pub error: Option<Array1<T>>,
    /// Rows that the model was run for.
    pub evaluations: Evaluations,
    /// How the method ended.
    pub status: Status,
    /// Whether the gradients behind it were exact up to rounding; `true` for methods without gradients.
    pub exact_gradients: bool,
    /// Name of the method.
    pub method: Cow<'static, str>,
    /// The settings in words.
    pub options: String,
    /// Seed of methods that sample.
    pub seed: Option<Seed>,
}

/// Rows that a model was run for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Evaluations {
    /// Rows of forward passes alone.
    pub forward: u64,
    /// Rows of forward passes with gradient.
    pub gradient: u64,
}

impl Evaluations {
    /// Rows of both kinds.
    #[must_use]
    pub fn total(self) -> u64 {
        self.forward + self.gradient
    }

    /// Those of both.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { forward: self.forward + other.forward, gradient: self.gradient + other.gradient }
    }
}

/// How a method ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Status {
    /// The result is what the method defines, up to rounding.
    Exact,
    /// The tolerance that was asked for is met.
    Converged,
    /// The number of steps or samples that was asked for is done; no tolerance was given.
    Finished,
    /// The budget ended first: the result is the best so far.
    Partial,
}

impl Status {
    /// Whether nothing more was asked for than was reached.
    #[must_use]
    pub fn converged(self) -> bool {
        self != Self::Partial
    }

    /// The status of a whole of which these are parts: [`Status::Partial`] where any part is.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let rank = |status| match status {
            Self::Exact => 0,
            Self::Converged => 1,
            Self::Finished => 2,
            Self::Partial => 3,
        };
        if rank(self) >= rank(other) { self } else { other }
    }
}

impl<T> Attribution<T> {
    /// A result of `method` with `options` that promises no more than its values.
    pub(crate) fn new(method: &'static str, options: String, values: Array2<T>, output_value: Array1<T>) -> Self {
        Self {
            values,
            standard_error: None,
            output_value,
            base_value: None,
            delta: None,
            error: None,
            evaluations: Evaluations::default(),
            status: Status::Exact,
            exact_gradients: true,
            method: Cow::Borrowed(method),
            options,
            seed: None,
        }
    }
}

impl<T: crate::Scalar> Attribution<T> {
    /// The same with the values at the baselines, and the completeness of the values against them.
    #[must_use]
    pub(crate) fn complete_to(mut self, base_value: Array1<T>) -> Self {
        let rows = self.values.rows().into_iter().zip(self.output_value.iter().zip(&base_value));
        self.delta =
            Some(rows.map(|(row, (&output, &base))| crate::math::reduce::sum(&row) - (output - base)).collect());
        self.base_value = Some(base_value);
        self
    }

    /// The values at the baselines, with the completeness of the values where they promise it.
    #[must_use]
    pub(crate) fn against(mut self, base_value: Array1<T>, complete: bool) -> Self {
        if complete {
            return self.complete_to(base_value);
        }
        self.base_value = Some(base_value);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn a_whole_is_partial_where_a_part_is() {
        assert_eq!(Status::Exact.and(Status::Converged), Status::Converged);
        assert_eq!(Status::Partial.and(Status::Exact), Status::Partial);
        assert!(!Status::Partial.converged() && Status::Finished.converged());
    }

    #[test]
    fn delta_is_sum_less_difference() {
        let result = Attribution::new("test", String::new(), array![[1.0, 2.0]], array![4.0]);
        assert_eq!(result.complete_to(array![0.5]).delta, Some(array![-0.5]));
        assert_eq!(Evaluations { forward: 2, gradient: 3 }.total(), 5);
    }
}
