//! Integrated gradients to a tolerance: steps are taken where the function needs them.
//!
//! ```text
//! A_i = (x_i - b_i) ∫_0^1 ∂f/∂x_i (b + α (x - b)) dα        |A - exact|_1 ≲ error <= tolerance
//! ```
//!
//! The way from baseline to input is cut into pieces. A piece is closed by one of these, whichever its error estimate allows:
//!
//! | reading | sum | error estimate |
//! |---|---|---|
//! | smooth | 15 points of Kronrod | `Σ_i` of the difference to 7 points of Gauss |
//! | straight | mean of the gradients at both ends | `Σ_i` of half of their difference |
//!
//! For both, the estimate is at least how far the piece is from completeness: `f` is known at all ends of pieces, and along a
//! piece the sum must be the rise of `f`. What lies beyond the outermost of the 15 points is checked against the gradient at
//! the end itself. Pieces that are not closed are cut, the largest error first: in the middle, or where the tangents of
//! two neighbours meet, which for a function of straight pieces is exactly where it has its kink. A ReLU network read at a logit
//! so takes two evaluations for each kink, in place of a number of steps that grows as one over the tolerance.
//!
//! # What is guaranteed
//! - The completeness gap `|Σ_i A_i - (f(x) - f(b))|` is measured, not estimated: `delta` is the true error of the sum, and a row
//!   counts as converged only if it is within the tolerance as well as the estimates.
//! - The error of single values is an estimate. It can be too small where the function hides from the points: several kinks
//!   between two points whose effects on gradients and values cancel, or oscillation in step with the points.
//! - A function that jumps has no gradient that explains the jump: such a row does not converge, and says so.
//!
//! Source: Sundararajan et al., "Axiomatic Attribution for Deep Networks" (arXiv 1703.01365) for the integral; Piessens et al.,
//! "QUADPACK" (1983) for adaptive integration with a Gauss-Kronrod pair. The use of tangents at kinks is this crate's own.

mod piece;
mod row;

use alloc::format;
use alloc::vec::Vec;

use ndarray::{Array1, Array2, ArrayRef2};

use self::row::{Limits, Row};
use super::walk::{Walk, copy, straight};
use crate::Scalar;
use crate::attribution::probe::Probe;
use crate::attribution::{Attribution, Baseline, Batch, Differentiable, Explained, Explainer, Status, Target};
use crate::error::check_each;
use crate::math::quadrature::KRONROD;

/// Integrated gradients with a tolerance in place of a number of steps.
///
/// Rows are independent: each takes as many evaluations as it needs, and calls are filled with points of many rows. `error` of
/// the result is the sum of the estimates of a row, or its completeness gap where that is larger; the status is
/// [`Status::Converged`] where all rows are within their tolerance.
///
/// # Example
/// ```
/// use limpid::attribution::gradient::AdaptiveIntegratedGradients;
/// use limpid::attribution::target::Logit;
/// use limpid::attribution::{Explainer, Network, Status};
/// use limpid::math::pointwise::Activation;
/// use ndarray::array;
///
/// let mut model = Network::new(2).linear(array![[1.0, 1.0]], Some(array![-0.7]))?.activation(Activation::Relu)?;
/// let found = AdaptiveIntegratedGradients::default().attribute(&mut model, &array![[0.5, 0.5]], &Logit::of(0))?;
/// // the kink is found, not stepped over
/// assert!((found.values[[0, 0]] - 0.15_f64).abs() < 1e-12 && found.status == Status::Converged);
/// assert!(found.evaluations.gradient <= 20);
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub struct AdaptiveIntegratedGradients<T> {
    /// Where the way starts.
    pub baseline: Baseline<T>,
    /// Error of a row's values in sum that is always accepted.
    pub absolute_tolerance: f64,
    /// The same in units of `|f(x) - f(b)|`; both are added.
    pub relative_tolerance: f64,
    /// Most evaluations with gradient of a row, at least 17: both ends and 15 points between.
    pub max_evaluations: usize,
    /// Rows of one model call.
    pub batch: Batch,
}

impl<T> Default for AdaptiveIntegratedGradients<T> {
    fn default() -> Self {
        Self {
            baseline: Baseline::Zeros,
            absolute_tolerance: 1e-6,
            relative_tolerance: 1e-4,
            max_evaluations: 2000,
            batch: Batch::Auto,
        }
    }
}

impl<T> AdaptiveIntegratedGradients<T> {
    fn limits(&self) -> crate::Result<Limits> {
        let (absolute, relative) = (self.absolute_tolerance, self.relative_tolerance);
        let fits = |tolerance: f64| tolerance >= 0.0 && tolerance.is_finite();
        check_each("tolerance", &[absolute, relative], "0 <= tolerance", fits)?;
        let least = (KRONROD + 2) as f64;
        check_each("max_evaluations", &[self.max_evaluations as f64], ">= 17", |most: f64| most >= least)?;
        Ok(Limits { absolute, relative, max_evaluations: self.max_evaluations })
    }
}

/// Rows in flight for every row of a call: most of them want 15 points at once.
const SHARE: usize = 8;

impl<T: Scalar, M: Differentiable<T> + ?Sized> Explainer<T, M> for AdaptiveIntegratedGradients<T> {
    fn attribute(
        &self,
        model: &mut M,
        x: &ArrayRef2<T>,
        target: &dyn Target<T>,
    ) -> Explained<Attribution<T>, M::Error> {
        let mut probe = Probe::new(model, x, target)?;
        let (baselines, limits) = (self.baseline.rows(x)?, self.limits()?);
        let mut walk = Walk::new(self.batch, x.ncols())?;
        let start = |row: usize| {
            let way = x.row(row).iter().zip(baselines.row(row)).map(|(&x, &b)| x - b).collect();
            Row::new(row, way, limits)
        };
        let (mut output, mut base) = (Array1::zeros(x.nrows()), Array1::zeros(x.nrows()));
        let (mut values, mut error) = (Array2::zeros(x.raw_dim()), Array1::<f64>::zeros(x.nrows()));
        let (mut waiting, mut rows) = (0..x.nrows(), Vec::new());
        loop {
            let room = (walk.rows() / SHARE).max(1) - rows.len();
            rows.extend(waiting.by_ref().take(room).map(start));
            if rows.is_empty() {
                break;
            }
            let points = rows.iter().enumerate().flat_map(|(slot, row)| row.wanted().iter().map(move |&at| (slot, at)));
            let (points, examples) =
                (points.collect::<Vec<_>>(), rows.iter().map(|row| row.example).collect::<Vec<_>>());
            let place = |(slot, at): (usize, f64), point: &mut [T]| {
                let (x, baseline) = (x.row(examples[slot]), baselines.row(examples[slot]));
                // the ends without rounding
                match at {
                    0.0 => copy(point, baseline),
                    1.0 => copy(point, x),
                    _ => straight(point, at, x, baseline),
                }
            };
            let take = |(slot, _): (usize, f64), value, gradient: &[T]| rows[slot].take(value, gradient);
            walk.gradients(&mut probe, points, |(slot, _)| examples[slot], place, take)?;
            rows.iter_mut().for_each(Row::step);
            for row in rows.extract_if(.., |row| row.wanted().is_empty()) {
                let (example, [at_base, at_input]) = (row.example, row.values());
                (base[example], output[example]) = (T::of(at_base), T::of(at_input));
                let (found, estimate) = row.finish();
                values.row_mut(example).assign(&Array1::from(found));
                error[example] = estimate;
            }
        }
        let result = Attribution::new("adaptive_integrated_gradients", format!("{self:?}"), values, output);
        Ok(probe.account(judged(result.complete_to(base), error, limits)))
    }

    fn is_per_row(&self) -> bool {
        matches!(self.baseline, Baseline::Rows(_))
    }
}

/// The result with its errors, and whether all of them are within the tolerance.
fn judged<T: Scalar>(mut result: Attribution<T>, mut error: Array1<f64>, limits: Limits) -> Attribution<T> {
    let (delta, base) = (result.delta.iter().flatten(), result.base_value.iter().flatten());
    let mut status = Status::Converged;
    for ((error, delta), (&output, &base)) in error.iter_mut().zip(delta).zip(result.output_value.iter().zip(base)) {
        *error = error.max(delta.as_f64().abs());
        if *error > limits.allowed(output.as_f64() - base.as_f64()) {
            status = Status::Partial;
        }
    }
    result.error = Some(error.mapv(T::of));
    result.status = status;
    result
}

#[cfg(test)]
mod tests;
