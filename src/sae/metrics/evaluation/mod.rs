//! Reconstruction and sparsity over a corpus, in one pass and mergeable.
//!
//! ```text
//! r = x - x'          V = Σ_b ‖x_b - mean x‖²
//! l0 = mean_b #{f_i ≠ 0}        l1 = mean_b Σ_i |f_i|        mse_sum = mean_b ‖r_b‖²        mse_mean = mse_sum/d
//! explained variance: ratio_of_means 1 - Σ‖r_b‖²/V           mean_of_ratios mean_b (1 - ‖r_b‖²/‖x_b - mean x‖²)
//!                     of_residual    1 - Σ_j var r_j / Σ_j var x_j
//! normalised_mse_uncentred mean_b ‖r_b‖²/‖x_b‖²              relative_reconstruction_bias Σ‖x'_b‖² / Σ x_b·x'_b
//! cosine mean_b x_b·x'_b/(‖x_b‖ ‖x'_b‖)                      l2_ratio mean_b ‖x'_b‖/‖x_b‖
//! ```
//!
//! The mean is that of all samples, not of a batch. Means and variances are merged around their own centres, so data
//! far from 0 lose no digits. Everything is summed in double precision.
//!
//! Source: Gao et al., "Scaling and evaluating sparse autoencoders" (arXiv 2406.04093), section 2.1, for the uncentred
//! error; Rajamanoharan et al., "Improving dictionary learning with gated sparse autoencoders" (arXiv 2404.16014),
//! equation 10, for the bias; the conventions of explained variance are those of `SAELens` and `dictionary_learning`.

mod bytes;
mod sums;

use alloc::vec;
use alloc::vec::Vec;

use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2, Axis, Slice, Zip};

use super::{Defined, Undefined, density};
use crate::error::{check_each, check_limit, check_shape};
use crate::math::merge::Merge;
use crate::math::stats::Moments;
use crate::sae::codes::Codes;
use crate::{Dims, Error, Result, Scalar};
use sums::Sums;

/// Largest magnitude of a value, so that a residual is still one that moments can be taken of.
const MAX_VALUE: f64 = 1e69;

/// Most columns and latents.
const MAX_WIDTH: usize = 1 << 26;

/// Rows that are converted at a time.
const ROWS: usize = 256;

/// What is kept of all samples seen so far.
///
/// # Example
/// ```
/// use limpid::math::merge::Merge;
/// use limpid::sae::metrics::{Evaluation, Undefined};
/// use ndarray::array;
///
/// let (x, reconstruction) = (array![[1.0, 0.0], [3.0, 0.0]], array![[1.0, 0.0], [2.0, 0.0]]);
/// let mut evaluation = Evaluation::new(2, 3)?;
/// evaluation.update(&x, &reconstruction, &array![[0.5, 0.0, 0.0], [0.0, 0.0, 2.0]])?;
/// // the same again, from another worker
/// evaluation.merge(&evaluation.clone())?;
/// let metrics = evaluation.finish()?;
/// assert_eq!((metrics.samples, metrics.l0, metrics.mse_sum), (4, 1.0, 0.5));
/// assert_eq!(metrics.explained_variance.ratio_of_means, Ok(0.5));
/// assert_eq!(metrics.explained_variance.mean_of_ratios, Err(Undefined::NoCentre));
/// assert_eq!(metrics.firing_count, [2, 0, 2]);
/// # Ok::<(), limpid::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    data: Moments,
    residual: Moments,
    centre: Option<Array1<f64>>,
    sums: Sums,
    firings: Vec<u64>,
}

impl Evaluation {
    /// No samples yet, of width `d` and with `m` latents; all in one pass, without the one convention that needs a mean
    /// beforehand.
    ///
    /// # Errors
    /// [`Error::Empty`] for `d` or `m` of 0, [`Error::TooLarge`] for absurd sizes.
    pub fn new(d: usize, m: usize) -> Result<Self> {
        check_limit("width", d, MAX_WIDTH)?;
        check_limit("latents", m, MAX_WIDTH)?;
        if d == 0 || m == 0 {
            return Err(Error::Empty { what: if d == 0 { "width" } else { "latents" } });
        }
        let (data, residual) = (Moments::new(d)?, Moments::new(d)?);
        Ok(Self { data, residual, centre: None, sums: Sums::default(), firings: vec![0; m] })
    }

    /// As [`Evaluation::new`], with the mean `(d)` of the data known: from an earlier pass of [`Moments`], which itself is
    /// mergeable. Only [`ExplainedVariance::mean_of_ratios`] needs it, whose terms each divide by a distance to the mean.
    ///
    /// # Errors
    /// As [`Evaluation::new`], and [`Error::OutOfRange`] for a mean beyond `±1e69`.
    pub fn around(mean: &ArrayRef1<f64>, m: usize) -> Result<Self> {
        check_each("mean", mean, "-1e69 <= mean <= 1e69", |x: f64| x.abs() <= MAX_VALUE)?;
        Ok(Self { centre: Some(mean.to_owned()), ..Self::new(mean.len(), m)? })
    }

    /// Takes up samples `x: (b, d)`, their `reconstruction: (b, d)` and `features: (b, m)`. For a transcoder, `x` is the
    /// target.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::OutOfRange`] for NaN and values beyond `±1e69`; nothing is changed then.
    pub fn update<T: Scalar>(
        &mut self,
        x: &ArrayRef2<T>,
        reconstruction: &ArrayRef2<T>,
        features: &ArrayRef2<T>,
    ) -> Result<()> {
        check_shape("features", features, &[x.nrows(), self.firings.len()])?;
        check_values("features", features)?;
        self.update_reconstruction(x, reconstruction)?;
        for row in features.rows() {
            self.sums.count(row.iter().copied().enumerate(), &mut self.firings);
        }
        Ok(())
    }

    /// As [`Evaluation::update`], from active features: the cost grows with them, not with all latents.
    ///
    /// # Errors
    /// As [`Evaluation::update`].
    pub fn update_codes<T: Scalar>(
        &mut self,
        x: &ArrayRef2<T>,
        reconstruction: &ArrayRef2<T>,
        codes: &Codes<T>,
    ) -> Result<()> {
        let (expected, got) = ([x.nrows(), self.firings.len()], [codes.rows(), codes.latents()]);
        if expected != got {
            return Err(Error::Shape { what: "codes", expected: Dims::new(&expected), got: Dims::new(&got) });
        }
        let values: Vec<T> = (0..codes.rows()).flat_map(|row| codes.row(row).map(|(_, f)| f)).collect();
        check_values("codes", &values)?;
        self.update_reconstruction(x, reconstruction)?;
        (0..codes.rows()).for_each(|row| self.sums.count(codes.row(row), &mut self.firings));
        Ok(())
    }

    fn update_reconstruction<T: Scalar>(&mut self, x: &ArrayRef2<T>, reconstruction: &ArrayRef2<T>) -> Result<()> {
        check_shape("x", x, &[x.nrows(), self.data.n_columns()])?;
        check_shape("reconstruction", reconstruction, x.shape())?;
        check_values("x", x)?;
        check_values("reconstruction", reconstruction)?;
        for first in (0..x.nrows()).step_by(ROWS) {
            let rows = Slice::from(first..x.nrows().min(first + ROWS));
            let double = |x: &ArrayRef2<T>| -> Array2<f64> { x.slice_axis(Axis(0), rows).mapv(Scalar::as_f64) };
            let (x, y) = (double(x), double(reconstruction));
            let residual = &x - &y;
            self.data.update(&x)?;
            self.residual.update(&residual)?;
            let sums = &mut self.sums;
            let centre = self.centre.as_ref();
            Zip::from(x.rows()).and(y.rows()).and(residual.rows()).for_each(|x, y, r| sums.add(&x, &y, &r, centre));
        }
        Ok(())
    }

    /// Samples seen so far.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.data.count()
    }

    /// All metrics of the samples seen so far.
    ///
    /// # Errors
    /// [`Error::Empty`] before the first sample.
    pub fn finish(&self) -> Result<Metrics> {
        let samples = self.samples();
        if samples == 0 {
            return Err(Error::Empty { what: "samples" });
        }
        let (count, d) = (samples as f64, self.data.n_columns() as f64);
        let per_sample = |sum: f64| sum / count;
        let explained_variance = self.explained_variance();
        let density: Array1<f64> = self.firings.iter().map(|&firings| firings as f64 / count).collect();
        let dead = self.firings.iter().filter(|&&firings| firings == 0).count();
        let s = &self.sums;
        Ok(Metrics {
            samples,
            l0: per_sample(self.firings.iter().map(|&firings| firings as f64).sum()),
            l1: per_sample(s.l1),
            mse_sum: per_sample(s.residual_square),
            mse_mean: per_sample(s.residual_square) / d,
            explained_variance,
            fraction_of_variance_unexplained: self.unexplained(s.residual_square),
            normalised_mse_uncentred: s.uncentred.mean(samples, |mean| mean),
            cosine: s.cosine.mean(samples, |mean| mean),
            l2_ratio: s.ratio.mean(samples, |mean| mean),
            relative_reconstruction_bias: if s.product == 0.0 {
                Err(Undefined::ZeroProduct)
            } else {
                Ok(s.reconstruction_square / s.product)
            },
            dead_fraction: dead as f64 / self.firings.len() as f64,
            firing_count: self.firings.clone(),
            log10_density: density::log10_density(&density),
            density,
        })
    }

    /// `Σ_b ‖x_b - mean‖²` of what the moments have seen.
    fn variation(moments: &Moments) -> f64 {
        moments.variance().map_or(0.0, |variance| variance.sum() * moments.count() as f64)
    }

    /// `what` as a share of the variation of the data.
    fn unexplained(&self, what: f64) -> Defined {
        let variation = Self::variation(&self.data);
        if variation > 0.0 { Ok(what / variation) } else { Err(Undefined::NoVariance) }
    }

    fn explained_variance(&self) -> ExplainedVariance {
        let (count, d) = (self.samples() as f64, self.data.n_columns() as f64);
        let square = self.sums.data_square / count;
        let peer = square - (square / d) * (square / d);
        let varies = self.unexplained(0.0);
        ExplainedVariance {
            ratio_of_means: self.unexplained(self.sums.residual_square).map(|share| 1.0 - share),
            mean_of_ratios: match &self.centre {
                None => Err(Undefined::NoCentre),
                Some(_) => varies.and_then(|_| self.sums.centred.mean(self.samples(), |share| 1.0 - share)),
            },
            of_residual: self.unexplained(Self::variation(&self.residual)).map(|share| 1.0 - share),
            peer_saebench: if peer == 0.0 {
                Err(Undefined::NoVariance)
            } else {
                Ok(1.0 - self.sums.residual_square / count / peer)
            },
        }
    }
}

impl Merge for Evaluation {
    fn merge(&mut self, other: &Self) -> Result<()> {
        if self.firings.len() != other.firings.len() {
            let (expected, got) = (Dims::new(&[self.firings.len()]), Dims::new(&[other.firings.len()]));
            return Err(Error::Shape { what: "latents", expected, got });
        }
        if self.centre != other.centre {
            return Err(Error::Unsupported { what: "merging evaluations around different means" });
        }
        // both moments have seen the same number of rows of the same width: the second cannot fail where the first does not
        self.data.merge(&other.data)?;
        self.residual.merge(&other.residual)?;
        self.sums.merge(&other.sums);
        self.firings.iter_mut().zip(&other.firings).for_each(|(firings, other)| *firings += other);
        Ok(())
    }
}

fn check_values<'a, T: Scalar>(what: &'static str, values: impl IntoIterator<Item = &'a T>) -> Result<()> {
    check_each(what, values, "-1e69 <= x <= 1e69", |x| x.as_f64().abs() <= MAX_VALUE)
}

/// The conventions of explained variance; 1 is perfect, 0 is as good as the mean of the data.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ExplainedVariance {
    /// `1 - Σ‖r_b‖²/Σ‖x_b - mean x‖²`, the usual one.
    pub ratio_of_means: Defined,
    /// `mean_b (1 - ‖r_b‖²/‖x_b - mean x‖²)`, of older evaluations: samples close to the mean weigh the most.
    pub mean_of_ratios: Defined,
    /// `1 - Σ_j var r_j / Σ_j var x_j`: forgives a constant offset of the reconstruction.
    pub of_residual: Defined,
    /// What `SAEBench` 0.6.0 and `SAELens` 6.18 report under this name, to compare with their numbers:
    /// `1 - mse_sum/(s - (s/d)²)` with `s = mean_b ‖x_b‖²`, which is not a share of the variance.
    pub peer_saebench: Defined,
}

/// All metrics of an [`Evaluation`].
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Metrics {
    /// Samples seen: the window that dead latents were silent over.
    pub samples: u64,
    /// Mean number of features that are not 0.
    pub l0: f64,
    /// Mean sum of the magnitudes of the features.
    pub l1: f64,
    /// Mean squared error, summed over the width.
    pub mse_sum: f64,
    /// Mean squared error per entry.
    pub mse_mean: f64,
    /// Explained variance under each convention.
    pub explained_variance: ExplainedVariance,
    /// `Σ‖r_b‖²/Σ‖x_b - mean x‖²`.
    pub fraction_of_variance_unexplained: Defined,
    /// `mean_b ‖r_b‖²/‖x_b‖²`.
    pub normalised_mse_uncentred: Defined,
    /// Mean cosine between data and reconstruction.
    pub cosine: Defined,
    /// Mean ratio of norms, reconstruction to data; below 1 where the reconstruction shrinks.
    pub l2_ratio: Defined,
    /// `Σ‖x'_b‖²/Σ x_b·x'_b`; below 1 where a larger multiple of the reconstruction would be better.
    pub relative_reconstruction_bias: Defined,
    /// Share of the latents that never fired.
    pub dead_fraction: f64,
    /// Samples on which each latent fired, `(m)`.
    pub firing_count: Vec<u64>,
    /// Share of the samples on which each latent fired, `(m)`.
    pub density: Array1<f64>,
    /// `log10(density + 1e-10)`, `(m)`.
    pub log10_density: Array1<f64>,
}

#[cfg(test)]
mod tests;
