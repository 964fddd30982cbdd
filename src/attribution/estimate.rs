//! What sampled methods share: moments of every value, standard errors, and the rule for stopping.

use alloc::vec::Vec;

use ndarray::{Array1, Array2, ArrayView2};

use crate::attribution::Status;
use crate::error::check_each;
use crate::math::stats::Moments;
use crate::{Result, Scalar};

/// Samples between two looks at the standard errors; fixed, so that the size of a call does not decide when to stop.
pub(crate) const ROUND: usize = 16;

/// What is read off the samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Statistic {
    Mean,
    /// Divided by `samples - 1`.
    Variance,
    /// Divided by `samples`.
    PopulationVariance,
}

/// Samples of every value of every row so far.
#[derive(Debug)]
pub(crate) struct Estimates {
    rows: Vec<Moments>,
    active: Vec<usize>,
    statistic: Statistic,
    tolerance: Option<f64>,
    samples: usize,
}

/// Checks a number of samples and a tolerance.
fn check(samples: usize, tolerance: Option<f64>) -> Result<()> {
    check_each("samples", &[samples as f64], ">= 1", |count: f64| count >= 1.0)?;
    check_each("tolerance", &tolerance, "0 < tolerance", |tolerance: f64| tolerance > 0.0 && tolerance.is_finite())
}

impl Estimates {
    /// For `(b, n)` values, at most `samples` of each.
    pub(crate) fn new(
        (b, n): (usize, usize),
        statistic: Statistic,
        samples: usize,
        tolerance: Option<f64>,
    ) -> Result<Self> {
        check(samples, tolerance)?;
        let rows = (0..b).map(|_| Moments::new(n)).collect::<Result<_>>()?;
        Ok(Self { rows, active: (0..b).collect(), statistic, tolerance, samples })
    }

    /// Rows that need more samples, ascending.
    pub(crate) fn active(&self) -> &[usize] {
        &self.active
    }

    /// The next samples to take, none where all is done; call [`Estimates::settle`] once they are taken.
    pub(crate) fn round(&self) -> core::ops::Range<usize> {
        let Some(&row) = self.active.first() else { return 0..0 };
        let done = usize::try_from(self.rows[row].count()).unwrap_or(usize::MAX);
        done..done.saturating_add(ROUND).min(self.samples)
    }

    /// Takes up one sample of a row.
    pub(crate) fn push<T: Scalar>(&mut self, row: usize, sample: &[T]) -> Result<()> {
        self.rows[row].update(&ArrayView2::from_shape((1, sample.len()), sample).expect("one row of what it holds"))
    }

    /// Retires the rows that are precise enough.
    pub(crate) fn settle(&mut self) {
        let Some(tolerance) = self.tolerance else { return };
        let keep: Vec<bool> = self.active.iter().map(|&row| !self.is_precise(row, tolerance)).collect();
        let mut keep = keep.into_iter();
        self.active.retain(|_| keep.next().unwrap_or(true));
    }

    /// Whether the largest standard error is at most `tolerance` times the largest value.
    fn is_precise(&self, row: usize, tolerance: f64) -> bool {
        let Some(errors) = self.errors(row) else { return false };
        let largest = |values: &Array1<f64>| values.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
        largest(&errors) <= tolerance * largest(&self.values_of(row))
    }

    fn values_of(&self, row: usize) -> Array1<f64> {
        let moments = &self.rows[row];
        let found = match self.statistic {
            Statistic::Mean => moments.mean(),
            Statistic::Variance => moments.sample_variance(),
            Statistic::PopulationVariance => moments.variance(),
        };
        found.unwrap_or_else(|| Array1::zeros(moments.n_columns()))
    }

    /// Standard errors of a row; `None` for fewer than two samples.
    ///
    /// That of a variance is `√((m₄ - s⁴ (S - 3)/(S - 1))/S)`, with the fourth central moment `m₄`.
    fn errors(&self, row: usize) -> Option<Array1<f64>> {
        let (moments, count) = (&self.rows[row], self.rows[row].count() as f64);
        let mut variance = moments.sample_variance()?;
        if self.statistic == Statistic::Mean {
            variance.mapv_inplace(|variance| libm::sqrt(variance / count));
            return Some(variance);
        }
        for (variance, kurtosis) in variance.iter_mut().zip(moments.kurtosis()) {
            let square = *variance * *variance;
            let biased = (count - 1.0) / count;
            let fourth = kurtosis.unwrap_or(0.0) * square * biased * biased;
            *variance = libm::sqrt(((fourth - square * (count - 3.0) / (count - 1.0)) / count).max(0.0));
        }
        Some(variance)
    }

    /// The values `(b, n)`.
    pub(crate) fn values<T: Scalar>(&self) -> Array2<T> {
        let columns = self.rows.first().map_or(0, Moments::n_columns);
        let mut values = Array2::zeros((self.rows.len(), columns));
        for (row, mut to) in values.rows_mut().into_iter().enumerate() {
            to.assign(&self.values_of(row).mapv(T::of));
        }
        values
    }

    /// Their standard errors `(b, n)`; `None` where any row has fewer than two samples.
    pub(crate) fn standard_errors<T: Scalar>(&self) -> Option<Array2<T>> {
        let mut errors = self.values();
        for (row, mut to) in errors.rows_mut().into_iter().enumerate() {
            to.assign(&self.errors(row)?.mapv(T::of));
        }
        Some(errors)
    }

    /// How it ended.
    pub(crate) fn status(&self) -> Status {
        match self.tolerance {
            None => Status::Finished,
            Some(_) if self.active.is_empty() => Status::Converged,
            Some(_) => Status::Partial,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn of(statistic: Statistic, samples: &[f64]) -> Estimates {
        let mut estimates = Estimates::new((1, 1), statistic, 100, None).unwrap();
        samples.iter().for_each(|&sample| estimates.push(0, &[sample]).unwrap());
        estimates
    }

    #[test]
    fn by_hand() {
        let samples = [1.0, 3.0, 5.0, 7.0];
        assert_eq!(of(Statistic::Mean, &samples).values::<f64>(), array![[4.0]]);
        // variance 20/3, over 4 samples
        let error = of(Statistic::Mean, &samples).standard_errors::<f64>().unwrap();
        assert!((error[[0, 0]] - (20.0_f64 / 12.0).sqrt()).abs() < 1e-15);
        assert_eq!(of(Statistic::PopulationVariance, &samples).values::<f64>(), array![[5.0]]);
        let spread = of(Statistic::Variance, &samples);
        assert!((spread.values::<f64>()[[0, 0]] - 20.0 / 3.0).abs() < 1e-14);
        // fourth moment (81 + 1 + 1 + 81)/4 = 41
        let expected = ((41.0 - (20.0_f64 / 3.0).powi(2) / 3.0) / 4.0).sqrt();
        assert!((spread.standard_errors::<f64>().unwrap()[[0, 0]] - expected).abs() < 1e-14);
        assert!(of(Statistic::Mean, &[1.0]).standard_errors::<f64>().is_none());
    }

    #[test]
    fn a_row_retires_once_it_is_precise() {
        let mut estimates = Estimates::new((2, 1), Statistic::Mean, 40, Some(0.1)).unwrap();
        for sample in estimates.round() {
            estimates.push(0, &[1.0]).unwrap();
            estimates.push(1, &[if sample % 2 == 0 { 1.0 } else { -1.0 }]).unwrap();
        }
        estimates.settle();
        assert_eq!((estimates.active(), estimates.round()), (&[1][..], 16..32));
        assert_eq!(estimates.status(), Status::Partial);
    }
}
