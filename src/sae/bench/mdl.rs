//! Description length: the bits that the features of a sample take when each is written as a bin.
//!
//! ```text
//! p_i = share of samples with f_i > 0        bins: equal intervals of [0, maximum_i]
//! description length = Σ_i H(p_i) + p_i H(bins of f_i)        entropies in bits
//! ```
//!
//! Bins are half-open, the last one closed; all samples are counted, zeros included. Of several numbers of bins the
//! shortest description counts whose quantised features still reconstruct well enough: `√MSE/d` below a limit.
//!
//! Source: Ayonrinde, Pearce and Sharkey, "Interpretability as compression: reconsidering SAE explanations of neural
//! activations with MDL-SAEs" (arXiv 2410.11179); the conventions are those of `SAEBench`.

use alloc::vec::Vec;

use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2};

use crate::error::{check_each, check_finite, check_limit, check_not_empty, check_shape};
use crate::math::histogram::Histogram;
use crate::math::reduce::norm;
use crate::{Error, Result, Scalar};

/// Most bins.
const MAX_BINS: usize = 1 << 16;

/// Smallest maximum above 0: its bins are still wider than the spacing of the numbers.
const LEAST: f64 = 1e-300;

/// The description length of features.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct DescriptionLength {
    /// Bits per sample.
    pub bits: f64,
    /// Bits per sample of each latent, `(m)`.
    pub per_latent: Array1<f64>,
    /// Features outside `[0, maximum]` of each latent, `(m)`: they are in no bin.
    pub outside: Vec<u64>,
}

/// Description length of `features: (b, m)` in `bins` bins up to `maximum: (m)`, which usually comes from other samples.
///
/// # Errors
/// [`Error::Empty`], [`Error::Shape`], [`Error::NotFinite`]; [`Error::OutOfRange`] for a maximum below 0,
/// [`Error::TooLarge`] above 65,536 bins.
///
/// # Example
/// ```
/// use limpid::sae::bench::mdl::description_length;
/// use ndarray::array;
///
/// // fires half of the time (1 bit), then in one of two bins that all samples share evenly (½ · 1 bit)
/// let found = description_length(&array![[0.0], [0.0], [1.5], [2.0]], &array![2.0], 2)?;
/// assert_eq!(found.bits, 1.5);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn description_length<T: Scalar>(
    features: &ArrayRef2<T>,
    maximum: &ArrayRef1<T>,
    bins: usize,
) -> Result<DescriptionLength> {
    check(features, maximum, bins)?;
    let mut outside = Vec::with_capacity(maximum.len());
    let mut per_latent = Array1::zeros(maximum.len());
    for ((bits, column), &maximum) in per_latent.iter_mut().zip(features.columns()).zip(maximum) {
        let mut histogram = Histogram::equal(0.0, maximum.as_f64(), bins)?;
        histogram.update(column.iter().copied())?;
        let firing = column.iter().filter(|f| **f > T::zero()).count() as f64 / column.len() as f64;
        *bits = bit(firing) + firing * histogram.entropy().unwrap_or(0.0);
        outside.push(histogram.below() + histogram.above());
    }
    Ok(DescriptionLength { bits: per_latent.sum(), per_latent, outside })
}

/// `features: (b, m)` moved to the middle of their bins, as `(b, m)`. A value on an edge belongs to the bin below it, and
/// one outside of all bins to the nearest.
///
/// # Errors
/// As [`description_length`].
///
/// # Example
/// ```
/// use limpid::sae::bench::mdl::quantise;
/// use ndarray::array;
///
/// let quantised = quantise(&array![[0.0], [0.7], [1.0], [9.0]], &array![2.0], 2)?;
/// assert_eq!(quantised, array![[0.5], [0.5], [0.5], [1.5]]);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn quantise<T: Scalar>(features: &ArrayRef2<T>, maximum: &ArrayRef1<T>, bins: usize) -> Result<Array2<T>> {
    check(features, maximum, bins)?;
    let mut quantised = features.to_owned();
    for (mut column, &maximum) in quantised.columns_mut().into_iter().zip(maximum) {
        let histogram = Histogram::equal(0.0, maximum.as_f64(), bins)?;
        let edges = histogram.edges();
        column.mapv_inplace(|f| {
            let bin = edges.partition_point(|&edge| edge < f.as_f64()).clamp(1, bins);
            T::of(0.5 * (edges[bin - 1] + edges[bin]))
        });
    }
    Ok(quantised)
}

/// `√MSE/d` between `x: (b, d)` and its `reconstruction: (b, d)` from quantised features.
///
/// # Errors
/// [`Error::Empty`], [`Error::Shape`], [`Error::NotFinite`].
pub fn quantisation_error<T: Scalar>(x: &ArrayRef2<T>, reconstruction: &ArrayRef2<T>) -> Result<f64> {
    check_not_empty("x", x)?;
    check_shape("reconstruction", reconstruction, x.shape())?;
    check_finite("x", x)?;
    check_finite("reconstruction", reconstruction)?;
    let error: Array1<f64> = x.iter().zip(reconstruction).map(|(x, y)| x.as_f64() - y.as_f64()).collect();
    check_finite("error", &error)?;
    Ok(norm(&error) / libm::sqrt(error.len() as f64) / x.ncols() as f64)
}

/// A description that could be chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Candidate {
    /// Its [`DescriptionLength::bits`].
    pub bits: f64,
    /// Its [`quantisation_error`].
    pub error: f64,
}

/// Index of the shortest candidate with an error below `limit`, the first of equals; `None` where none is good enough.
///
/// # Example
/// ```
/// use limpid::sae::bench::mdl::{Candidate, shortest};
///
/// let candidates = [Candidate { bits: 9.0, error: 0.01 }, Candidate { bits: 5.0, error: 0.2 }];
/// assert_eq!(shortest(&candidates, 0.1), Some(0));
/// assert_eq!(shortest(&candidates, 0.01), None);
/// ```
#[must_use]
pub fn shortest(candidates: &[Candidate], limit: f64) -> Option<usize> {
    let good = candidates.iter().enumerate().filter(|(_, c)| c.error < limit && !c.bits.is_nan());
    good.min_by(|(_, a), (_, b)| a.bits.total_cmp(&b.bits)).map(|(index, _)| index)
}

fn check<T: Scalar>(features: &ArrayRef2<T>, maximum: &ArrayRef1<T>, bins: usize) -> Result<()> {
    check_not_empty("features", features)?;
    check_shape("maximum", maximum, &[features.ncols()])?;
    check_limit("bins", bins, MAX_BINS)?;
    if bins == 0 {
        return Err(Error::Empty { what: "bins" });
    }
    check_finite("features", features)?;
    let expected = "0, or finite and at least 1e-300";
    check_each("maximum", maximum, expected, |x: T| x == T::zero() || x.as_f64() >= LEAST && x.is_finite())
}

/// Entropy of a yes or no with probability `p`, in bits.
fn bit(p: f64) -> f64 {
    let term = |p: f64| if p > 0.0 { -p * libm::log2(p) } else { 0.0 };
    term(p) + term(1.0 - p)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn bits_by_hand() {
        let features = array![[0.0, 0.0], [1.0, 0.0], [3.0, 0.0], [4.0, 0.0]];
        let found = description_length(&features, &array![4.0, 0.0], 4).unwrap();
        // bins: 0 | 1 | none | 3 and 4
        let expected = bit(0.75) + 0.75 * 1.5;
        assert!((found.per_latent[0] - expected).abs() < 1e-15 && found.per_latent[1] == 0.0);
        assert_eq!((found.bits, found.outside), (found.per_latent[0], alloc::vec![0, 0]));
    }

    #[test]
    fn what_lies_outside_is_reported() {
        let found = description_length(&array![[-1.0_f32], [0.5], [7.0]], &array![1.0], 2).unwrap();
        assert_eq!(found.outside, [2]);
        assert_eq!(
            quantise(&array![[-1.0_f32], [0.5], [7.0]], &array![1.0], 2).unwrap(),
            array![[0.25], [0.25], [0.75]]
        );
    }

    #[test]
    fn errors_are_per_entry_and_width() {
        let (x, y) = (array![[1.0, 2.0], [3.0, 4.0]], array![[1.0, 4.0], [3.0, 6.0]]);
        assert!((quantisation_error(&x, &y).unwrap() - libm::sqrt(2.0) / 2.0).abs() < 1e-15);
    }

    #[test]
    fn bad_input_is_named() {
        let f = array![[1.0]];
        assert!(matches!(description_length(&f, &array![1.0, 2.0], 2), Err(Error::Shape { what: "maximum", .. })));
        assert!(matches!(description_length(&f, &array![-1.0], 2), Err(Error::OutOfRange { what: "maximum", .. })));
        assert!(matches!(quantise(&f, &array![1.0], 0), Err(Error::Empty { what: "bins" })));
        assert!(matches!(quantise(&f, &array![1.0], usize::MAX), Err(Error::TooLarge { .. })));
        assert!(matches!(description_length(&array![[f64::NAN]], &array![1.0], 2), Err(Error::NotFinite { .. })));
        assert!(description_length(&Array2::<f64>::zeros((0, 1)), &array![1.0], 2).is_err());
    }
}
