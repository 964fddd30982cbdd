//! Contrastive targets: why this class rather than that one?
//!
//! Source: Yin and Neubig, "Interpreting Language Models with Contrastive Explanations" (EMNLP 2022, arXiv 2202.10419).

use ndarray::Array2;

use super::{Class, Target, add_log_probability_gradient, log_probability};
use crate::error::{check_finite, check_shape};
use crate::{Result, Scalar};

/// `z_c`: the logit of the contrast class.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ContrastLogit(pub Class);

/// `p_c`: the probability of the contrast class.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ContrastProbability(pub Class);

/// `z_a - z_c`, or `z_a - z'_c` with the logits of a second context.
///
/// # Example
/// ```
/// use limpid::attribution::target::{ContrastLogitDifference, Target};
/// let why_1_not_0 = ContrastLogitDifference::<f64>::of(1, 0);
/// assert_eq!(why_1_not_0.value(0, &[0.5, 2.0]), 1.5);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ContrastLogitDifference<T> {
    /// The class of interest `a`.
    pub target: Class,
    /// The class that it is contrasted with.
    pub contrast: Class,
    /// Logits `z': (b, c)` of a second context, held constant.
    pub reference: Option<Array2<T>>,
}

/// `p_a - p_c`, or `p_a - p'_c` with the logits of a second context.
#[derive(Debug, Clone, PartialEq)]
pub struct ContrastProbabilityDifference<T> {
    /// The class of interest `a`.
    pub target: Class,
    /// The class that it is contrasted with.
    pub contrast: Class,
    /// Logits `z': (b, c)` of a second context, held constant.
    pub reference: Option<Array2<T>>,
}

impl<T> ContrastLogitDifference<T> {
    /// Of two classes in the same context.
    pub fn of(target: impl Into<Class>, contrast: impl Into<Class>) -> Self {
        Self { target: target.into(), contrast: contrast.into(), reference: None }
    }
}

impl<T> ContrastProbabilityDifference<T> {
    /// Of two classes in the same context.
    pub fn of(target: impl Into<Class>, contrast: impl Into<Class>) -> Self {
        Self { target: target.into(), contrast: contrast.into(), reference: None }
    }
}

/// Checks logits of a second context.
pub(super) fn check_reference<T: Scalar>(reference: &Array2<T>, rows: usize, outputs: usize) -> Result<()> {
    check_shape("reference", reference, &[rows, outputs])?;
    check_finite("reference", reference)
}

/// Reads `row` of the second context.
pub(super) fn with_row<T: Scalar, V>(reference: &Array2<T>, row: usize, read: impl FnOnce(&[T]) -> V) -> V {
    let row = reference.row(row);
    match row.to_slice() {
        Some(row) => read(row),
        None => read(&row.to_vec()),
    }
}

fn probability<T: Scalar>(z: &[T], a: usize) -> f64 {
    libm::exp(log_probability(z, a))
}

impl<T: Scalar> Target<T> for ContrastLogit {
    fn check(&self, rows: usize, outputs: usize) -> Result<()> {
        self.0.check(rows, outputs)
    }

    fn value(&self, row: usize, z: &[T]) -> T {
        z[self.0.of(row)]
    }

    fn cotangent(&self, row: usize, _z: &[T], gradient: &mut [T]) {
        gradient.fill(T::zero());
        gradient[self.0.of(row)] = T::one();
    }
}

impl<T: Scalar> Target<T> for ContrastProbability {
    fn check(&self, rows: usize, outputs: usize) -> Result<()> {
        self.0.check(rows, outputs)
    }

    fn value(&self, row: usize, z: &[T]) -> T {
        T::of(probability(z, self.0.of(row)))
    }

    fn cotangent(&self, row: usize, z: &[T], gradient: &mut [T]) {
        gradient.fill(T::zero());
        let c = self.0.of(row);
        add_log_probability_gradient(z, c, probability(z, c), gradient);
    }
}

impl<T: Scalar> Target<T> for ContrastLogitDifference<T> {
    fn check(&self, rows: usize, outputs: usize) -> Result<()> {
        self.target.check(rows, outputs)?;
        self.contrast.check(rows, outputs)?;
        self.reference.as_ref().map_or(Ok(()), |reference| check_reference(reference, rows, outputs))
    }

    fn value(&self, row: usize, z: &[T]) -> T {
        let c = self.contrast.of(row);
        z[self.target.of(row)] - self.reference.as_ref().map_or(z[c], |reference| reference[[row, c]])
    }

    fn cotangent(&self, row: usize, _z: &[T], gradient: &mut [T]) {
        gradient.fill(T::zero());
        gradient[self.target.of(row)] += T::one();
        if self.reference.is_none() {
            gradient[self.contrast.of(row)] -= T::one();
        }
    }
}

impl<T: Scalar> Target<T> for ContrastProbabilityDifference<T> {
    fn check(&self, rows: usize, outputs: usize) -> Result<()> {
        self.target.check(rows, outputs)?;
        self.contrast.check(rows, outputs)?;
        self.reference.as_ref().map_or(Ok(()), |reference| check_reference(reference, rows, outputs))
    }

    fn value(&self, row: usize, z: &[T]) -> T {
        let c = self.contrast.of(row);
        let other = match &self.reference {
            None => probability(z, c),
            Some(reference) => with_row(reference, row, |z| probability(z, c)),
        };
        T::of(probability(z, self.target.of(row)) - other)
    }

    fn cotangent(&self, row: usize, z: &[T], gradient: &mut [T]) {
        gradient.fill(T::zero());
        let (a, c) = (self.target.of(row), self.contrast.of(row));
        add_log_probability_gradient(z, a, probability(z, a), gradient);
        if self.reference.is_none() {
            add_log_probability_gradient(z, c, -probability(z, c), gradient);
        }
    }
}
