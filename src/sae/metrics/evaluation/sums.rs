//! Sums over samples.

use ndarray::{Array1, ArrayRef1};

use crate::Scalar;
use crate::math::reduce::{dot, norm, sum};
use crate::sae::metrics::{Defined, Undefined};

/// Largest magnitude of a term: 2⁶⁴ such terms still have a finite sum.
const MAX_TERM: f64 = 1e200;

/// Norms with a larger product have lost nothing of it to subnormal numbers.
const SAFE_PRODUCT: f64 = 1e-280;

/// A sum over samples of something that some samples do not have.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct SampleSum {
    pub(super) sum: f64,
    /// Samples without a term.
    pub(super) missing: u64,
}

impl SampleSum {
    /// A term beyond [`MAX_TERM`] comes from a divisor that is 0 to working precision.
    fn add(&mut self, term: Option<f64>) {
        match term.filter(|term| term.abs() <= MAX_TERM) {
            Some(term) => self.sum += term,
            None => self.missing += 1,
        }
    }

    fn merge(&mut self, other: &Self) {
        self.sum += other.sum;
        self.missing += other.missing;
    }

    /// `of` the mean over `samples` samples, which must all have a term.
    pub(super) fn mean(&self, samples: u64, of: impl Fn(f64) -> f64) -> Defined {
        if self.missing == 0 {
            return Ok(of(self.sum / samples as f64));
        }
        let others = samples.saturating_sub(self.missing);
        let mean_of_others = (others > 0).then(|| of(self.sum / others as f64));
        Err(Undefined::ZeroNorm { samples: self.missing, mean_of_others })
    }
}

/// Cosine between `x` and `y`, from their norms too.
fn cosine(x: &ArrayRef1<f64>, y: &ArrayRef1<f64>, of_x: f64, of_y: f64) -> f64 {
    if of_x * of_y > SAFE_PRODUCT {
        return dot(x, y).unwrap_or(0.0) / of_x / of_y;
    }
    let terms: Array1<f64> = x.iter().zip(y).map(|(x, y)| (x / of_x) * (y / of_y)).collect();
    sum(&terms)
}

/// All sums but those that need a centre of their own.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Sums {
    /// `Σ |f|`.
    pub(super) l1: f64,
    /// `Σ ‖r‖²`.
    pub(super) residual_square: f64,
    /// `Σ ‖x‖²`.
    pub(super) data_square: f64,
    /// `Σ ‖x'‖²`.
    pub(super) reconstruction_square: f64,
    /// `Σ x·x'`.
    pub(super) product: f64,
    /// `Σ ‖r‖²/‖x‖²`.
    pub(super) uncentred: SampleSum,
    /// `Σ ‖r‖²/‖x - mean‖²`.
    pub(super) centred: SampleSum,
    /// `Σ x·x'/(‖x‖ ‖x'‖)`.
    pub(super) cosine: SampleSum,
    /// `Σ ‖x'‖/‖x‖`.
    pub(super) ratio: SampleSum,
}

impl Sums {
    /// Takes up a sample, its reconstruction and its residual, all `(d)`.
    pub(super) fn add(
        &mut self,
        x: &ArrayRef1<f64>,
        y: &ArrayRef1<f64>,
        r: &ArrayRef1<f64>,
        centre: Option<&Array1<f64>>,
    ) {
        let (of_x, of_y, of_r) = (norm(x), norm(y), norm(r));
        let cosine = (of_x > 0.0 && of_y > 0.0).then(|| cosine(x, y, of_x, of_y));
        let square_ratio = |length: f64| (length > 0.0).then(|| (of_r / length) * (of_r / length));
        self.residual_square += of_r * of_r;
        self.data_square += of_x * of_x;
        self.reconstruction_square += of_y * of_y;
        self.product += cosine.map_or(0.0, |cosine| cosine * of_x * of_y);
        self.uncentred.add(square_ratio(of_x));
        self.cosine.add(cosine);
        self.ratio.add((of_x > 0.0).then(|| of_y / of_x));
        if let Some(centre) = centre {
            self.centred.add(square_ratio(norm(&(&x.view() - centre))));
        }
    }

    /// Takes up the features of a sample, and counts them in `firings`.
    pub(super) fn count<T: Scalar>(&mut self, features: impl Iterator<Item = (usize, T)>, firings: &mut [u64]) {
        for (latent, feature) in features.filter(|(_, feature)| *feature != T::zero()) {
            if let Some(firings) = firings.get_mut(latent) {
                *firings += 1;
                self.l1 += feature.as_f64().abs();
            }
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (sum, other) in self.plain_mut().into_iter().zip(other.plain()) {
            *sum += other;
        }
        for (sum, other) in self.partial_mut().into_iter().zip(other.partial()) {
            sum.merge(other);
        }
    }

    pub(super) fn plain(&self) -> [f64; 5] {
        [self.l1, self.residual_square, self.data_square, self.reconstruction_square, self.product]
    }

    pub(super) fn plain_mut(&mut self) -> [&mut f64; 5] {
        let Self { l1, residual_square, data_square, reconstruction_square, product, .. } = self;
        [l1, residual_square, data_square, reconstruction_square, product]
    }

    pub(super) fn partial(&self) -> [&SampleSum; 4] {
        [&self.uncentred, &self.centred, &self.cosine, &self.ratio]
    }

    pub(super) fn partial_mut(&mut self) -> [&mut SampleSum; 4] {
        let Self { uncentred, centred, cosine, ratio, .. } = self;
        [uncentred, centred, cosine, ratio]
    }
}
