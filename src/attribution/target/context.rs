//! Targets that compare with a second context: does the context help, is the model sure?
//!
//! Source: Fernandes et al., "Measuring and Increasing Context Usage in Context-Aware Machine Translation" (ACL 2021, arXiv
//! 2105.03482), for the conditional cross-mutual information of one token.

use alloc::vec::Vec;

use ndarray::{Array2, ArrayRef3, Axis};

use super::contrast::{check_reference, with_row};
use super::{Class, Target, add_log_probability_gradient, log_probability};
use crate::error::check_finite;
use crate::{Dims, Error, Result, Scalar};

/// Pointwise conditional cross-mutual information as Inseq's `pcxmi` gives it: `-log₂ (p_a / p'_a)` bits.
///
/// It is negative where the context that `z` comes from makes the class more probable than the second context does.
#[derive(Debug, Clone, PartialEq)]
pub struct ContextInformation<T> {
    /// The class of interest.
    pub target: Class,
    /// Logits `z': (b, c)` of the second context, held constant.
    pub reference: Array2<T>,
}

/// In-context pointwise usable information: `-ℓ_a + ℓ'_a` nats.
#[derive(Debug, Clone, PartialEq)]
pub struct InContextPvi<T> {
    /// The class of interest.
    pub target: Class,
    /// Logits `z': (b, c)` of the second context, held constant.
    pub reference: Array2<T>,
}

/// How far the probability lies from those of noisy passes, in their standard deviations: `(p_a - mean)/deviation`.
///
/// This is what Inseq's `mc_dropout_prob_avg` computes, which is not the average that its name says.
#[derive(Debug, Clone, PartialEq)]
pub struct DropoutDeviation {
    target: Class,
    moments: Vec<(f64, f64)>,
}

impl DropoutDeviation {
    /// From the logits `noisy: (passes, b, c)` of passes with dropout, at least two.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a class that is not there, [`Error::NotFinite`], [`Error::Empty`] for fewer than two
    /// passes, [`Error::Singular`] where all passes of a row agree.
    pub fn new<T: Scalar>(target: impl Into<Class>, noisy: &ArrayRef3<T>) -> Result<Self> {
        let (target, (passes, rows, outputs)) = (target.into(), noisy.dim());
        target.check(rows, outputs)?;
        check_finite("noisy", noisy)?;
        if passes < 2 {
            return Err(Error::Empty { what: "the second of at least two noisy passes" });
        }
        let mut moments = Vec::with_capacity(rows);
        for row in 0..rows {
            let probability = |pass: usize| {
                let z = noisy.index_axis(Axis(0), pass);
                libm::exp(log_probability(&z.row(row).to_vec(), target.of(row)))
            };
            let p: Vec<f64> = (0..passes).map(probability).collect();
            let mean = p.iter().sum::<f64>() / passes as f64;
            let square = p.iter().map(|p| (p - mean) * (p - mean)).sum::<f64>() / (passes - 1) as f64;
            if square <= 0.0 {
                return Err(Error::Singular { what: "the spread of the noisy passes" });
            }
            moments.push((mean, libm::sqrt(square)));
        }
        Ok(Self { target, moments })
    }
}

/// `ℓ'_a` of the second context.
fn reference_log_probability<T: Scalar>(reference: &Array2<T>, row: usize, a: usize) -> f64 {
    with_row(reference, row, |z| log_probability(z, a))
}

impl<T: Scalar> Target<T> for ContextInformation<T> {
    fn check(&self, rows: usize, outputs: usize) -> Result<()> {
        self.target.check(rows, outputs)?;
        check_reference(&self.reference, rows, outputs)
    }

    fn value(&self, row: usize, z: &[T]) -> T {
        let a = self.target.of(row);
        let nats = reference_log_probability(&self.reference, row, a) - log_probability(z, a);
        T::of(nats / core::f64::consts::LN_2)
    }

    fn cotangent(&self, row: usize, z: &[T], gradient: &mut [T]) {
        gradient.fill(T::zero());
        add_log_probability_gradient(z, self.target.of(row), -1.0 / core::f64::consts::LN_2, gradient);
    }
}

impl<T: Scalar> Target<T> for InContextPvi<T> {
    fn check(&self, rows: usize, outputs: usize) -> Result<()> {
        self.target.check(rows, outputs)?;
        check_reference(&self.reference, rows, outputs)
    }

    fn value(&self, row: usize, z: &[T]) -> T {
        let a = self.target.of(row);
        T::of(reference_log_probability(&self.reference, row, a) - log_probability(z, a))
    }

    fn cotangent(&self, row: usize, z: &[T], gradient: &mut [T]) {
        gradient.fill(T::zero());
        add_log_probability_gradient(z, self.target.of(row), -1.0, gradient);
    }
}

impl<T: Scalar> Target<T> for DropoutDeviation {
    fn check(&self, rows: usize, outputs: usize) -> Result<()> {
        self.target.check(rows, outputs)?;
        if self.moments.len() == rows {
            return Ok(());
        }
        let (expected, got) = (Dims::new(&[rows]), Dims::new(&[self.moments.len()]));
        Err(Error::Shape { what: "rows of noisy", expected, got })
    }

    fn value(&self, row: usize, z: &[T]) -> T {
        let (mean, deviation) = self.moments[row];
        T::of((libm::exp(log_probability(z, self.target.of(row))) - mean) / deviation)
    }

    fn cotangent(&self, row: usize, z: &[T], gradient: &mut [T]) {
        gradient.fill(T::zero());
        let (a, (_, deviation)) = (self.target.of(row), self.moments[row]);
        add_log_probability_gradient(z, a, libm::exp(log_probability(z, a)) / deviation, gradient);
    }
}
