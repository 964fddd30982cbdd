//! First parameters of an autoencoder.
//!
//! ```text
//! rows of W_dec   random directions, or U[-√(6/d), √(6/d)] per entry, scaled to a given length
//! W_enc           a multiple of W_decᵀ
//! b_dec           0, or the geometric median or mean of some data
//! ```
//!
//! Source: Bricken et al. (2023); Conerly et al., "Circuits Updates, April 2024"; the geometric median by Weiszfeld (1937).

use ndarray::{Array1, Array2, ArrayRef2, Axis};

use super::activation::Activation;
use super::decoder_norm::normalise_rows;
use super::model::Sae;
use crate::error::{check_each, check_finite, check_limit, check_not_empty};
use crate::math::random::{fill_normal, uniform};
use crate::math::reduce::norm;
use crate::{Result, Scalar, Seed};

const PURPOSE: u64 = 0x5341_4520;
const MAX_PARAMETERS: usize = 1 << 31;

/// Law of the dictionary vectors before they are scaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum DecoderLaw {
    /// Random directions.
    #[default]
    Normal,
    /// Every entry uniform on `[-√(6/d), √(6/d)]`.
    KaimingUniform,
}

/// How an autoencoder starts. The default: unit rows in random directions, the encoder their transpose.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Initialisation {
    /// Law of the dictionary vectors.
    pub decoder: DecoderLaw,
    /// Their length.
    pub decoder_norm: f64,
    /// The encoder is this multiple of the transposed decoder.
    pub encoder_scale: f64,
}

impl Default for Initialisation {
    fn default() -> Self {
        Self { decoder: DecoderLaw::Normal, decoder_norm: 1.0, encoder_scale: 1.0 }
    }
}

impl<T: Scalar> Sae<T> {
    /// An autoencoder of width `d` with `m` latents: unit rows in random directions, the encoder their transpose, biases 0,
    /// the decoder bias subtracted from inputs.
    ///
    /// # Errors
    /// [`Error::TooLarge`](crate::Error::TooLarge) for an absurd size, [`Error::Empty`](crate::Error::Empty) for none, and
    /// those of the activation.
    ///
    /// # Example
    /// ```
    /// use limpid::Seed;
    /// use limpid::sae::{Activation, Sae};
    ///
    /// let sae = Sae::<f32>::initialise(16, 64, Activation::TopK { k: 4, by_decoder_norm: false }, Seed(0))?;
    /// assert_eq!((sae.w_enc.dim(), sae.w_dec.dim()), ((16, 64), (64, 16)));
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn initialise(d: usize, m: usize, activation: Activation<T>, seed: Seed) -> Result<Self> {
        Self::initialise_with(d, m, activation, Initialisation::default(), seed)
    }

    /// As [`Sae::initialise`], with a choice of laws.
    ///
    /// # Errors
    /// As [`Sae::initialise`], and [`Error::OutOfRange`](crate::Error::OutOfRange) for lengths and scales.
    pub fn initialise_with(
        d: usize,
        m: usize,
        activation: Activation<T>,
        start: Initialisation,
        seed: Seed,
    ) -> Result<Self> {
        check_limit("width x latents", d.saturating_mul(m), MAX_PARAMETERS)?;
        check_each("decoder_norm", &[start.decoder_norm], "finite and > 0", |x: f64| x > 0.0 && x.is_finite())?;
        check_each("encoder_scale", &[start.encoder_scale], "finite", f64::is_finite)?;
        let mut w_dec = Array2::zeros((m, d));
        check_not_empty("w_dec", &w_dec)?;
        let bound = T::of(libm::sqrt(6.0 / d as f64));
        for (i, mut row) in w_dec.rows_mut().into_iter().enumerate() {
            let mut stream = seed.stream(PURPOSE, i as u64);
            match (start.decoder, row.as_slice_mut()) {
                (DecoderLaw::Normal, Some(row)) => fill_normal(&mut stream, T::one(), row),
                _ => row.mapv_inplace(|_| bound * (uniform::<T>(&mut stream) * T::of(2.0) - T::one())),
            }
        }
        normalise_rows(&mut w_dec);
        w_dec *= T::of(start.decoder_norm);
        // stored column by column, so that the vectors of a latent lie together in both matrices
        let w_enc = w_dec.mapv(|w: T| w * T::of(start.encoder_scale)).reversed_axes();
        Self::new(w_enc, Array1::zeros(m), w_dec, Array1::zeros(d), activation)
    }
}

/// Settings of [`geometric_median`].
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct GeometricMedian {
    /// Most iterations.
    pub max_iterations: usize,
    /// A move shorter than this ends the iteration.
    pub stop: f64,
    /// Distances count as at least this, so that a point under the estimate does not take it over.
    pub floor: f64,
}

impl Default for GeometricMedian {
    fn default() -> Self {
        Self { max_iterations: 100, stop: 1e-5, floor: 1e-6 }
    }
}

/// The point `(d)` with the smallest sum of distances to `points: (b, d)`, by Weiszfeld's iteration from their mean.
///
/// # Errors
/// [`Error::Empty`](crate::Error::Empty), [`Error::NotFinite`](crate::Error::NotFinite),
/// [`Error::OutOfRange`](crate::Error::OutOfRange) for settings below 0.
///
/// # Example
/// ```
/// use limpid::sae::{GeometricMedian, geometric_median};
/// use ndarray::array;
///
/// // an outlier moves the mean, not the median
/// let points = array![[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 2.0], [900.0, 900.0]];
/// let median = geometric_median(&points, GeometricMedian::default())?;
/// assert!(median.iter().all(|x: &f64| *x < 2.0));
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn geometric_median<T: Scalar>(points: &ArrayRef2<T>, settings: GeometricMedian) -> Result<Array1<T>> {
    check_not_empty("points", points)?;
    check_finite("points", points)?;
    check_each("stop and floor", &[settings.stop, settings.floor], "finite and >= 0", |x: f64| {
        x >= 0.0 && x.is_finite()
    })?;
    let points = points.mapv(T::as_f64);
    let mut median = points.mean_axis(Axis(0)).unwrap_or_default();
    for _ in 0..settings.max_iterations {
        let distance = |point: ndarray::ArrayView1<'_, f64>| norm(&(&point - &median)).max(settings.floor);
        let distances: Array1<f64> = points.rows().into_iter().map(distance).collect();
        // an estimate right on a point stays there: that point outweighs all others
        if distances.iter().any(|&d| d == 0.0) {
            break;
        }
        let weights = distances.mapv(f64::recip);
        let mut next = Array1::zeros(median.raw_dim());
        for (point, &weight) in points.rows().into_iter().zip(&weights) {
            next.scaled_add(weight, &point);
        }
        next /= weights.sum();
        let step = norm(&(&next - &median));
        median = next;
        if step < settings.stop {
            break;
        }
    }
    Ok(median.mapv(T::of))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn rows_have_their_length_and_the_encoder_follows() {
        for decoder in [DecoderLaw::Normal, DecoderLaw::KaimingUniform] {
            let start = Initialisation { decoder, decoder_norm: 0.1, encoder_scale: 3.0 };
            let sae = Sae::<f64>::initialise_with(5, 8, Activation::Relu, start, Seed(2)).unwrap();
            assert!(sae.decoder_norms().iter().all(|n| (n - 0.1).abs() < 1e-15));
            assert!((&sae.w_enc - &(&sae.w_dec.t() * 3.0)).iter().all(|e| e.abs() < 1e-15));
        }
        assert!(Sae::<f32>::initialise(usize::MAX, 2, Activation::Relu, Seed(0)).is_err());
        assert!(Sae::<f32>::initialise(0, 2, Activation::Relu, Seed(0)).is_err());
    }

    #[test]
    fn the_median_of_four_points() {
        let points = array![[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [10.0, 10.0]];
        let median = geometric_median(&points, GeometricMedian { floor: 0.0, ..Default::default() }).unwrap();
        assert!(median.iter().all(|x| (*x - 1.000_002_17_f64).abs() < 1e-8));
    }
}
