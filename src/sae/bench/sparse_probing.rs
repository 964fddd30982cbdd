//! Sparse probing: a linear probe on the few latents that differ most between two classes.
//!
//! ```text
//! pooled_b = mean over the tokens of f             difference_i = |mean over class 1 - mean over class 0|
//! latents  = the k with the largest difference     probe = logistic regression with an L2 penalty, C = 1
//! ```
//!
//! Source: Gurnee et al., "Finding neurons in a haystack" (arXiv 2305.01610), section 3, for the ranking by mean
//! difference; `SAEBench` (arXiv 2503.09532), "sparse probing", with k of 1, 2 and 5.

use alloc::vec::Vec;

use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2, ArrayRef3, Axis};

use crate::error::{check_finite, check_not_empty, check_shape};
use crate::math::logistic::{Logistic, LogisticRegression};
use crate::math::reduce::column_sums;
use crate::math::select::{order, top_k};
use crate::{Dims, Error, Result, Scalar};

/// Means `(b, m)` of `features: (b, t, m)` over the tokens of each sample that `mask: (b, t)` marks.
///
/// # Errors
/// [`Error::Shape`]; [`Error::NotFinite`], also outside of the mask; [`Error::Empty`] for a sample without tokens.
///
/// # Example
/// ```
/// use limpid::sae::bench::sparse_probing::pool;
/// use ndarray::array;
///
/// let features = array![[[1.0, 0.0], [3.0, 2.0], [9.0, 9.0]]];
/// assert_eq!(pool(&features, &array![[true, true, false]])?, array![[2.0, 1.0]]);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn pool<T: Scalar>(features: &ArrayRef3<T>, mask: &ArrayRef2<bool>) -> Result<Array2<T>> {
    let (b, t, m) = features.dim();
    check_shape("mask", mask, &[b, t])?;
    check_finite("features", features)?;
    let mut pooled = Array2::zeros((b, m));
    for ((sample, mask), mut pooled) in features.outer_iter().zip(mask.rows()).zip(pooled.rows_mut()) {
        let tokens: Vec<usize> = (0..t).filter(|&token| mask[token]).collect();
        if tokens.is_empty() {
            return Err(Error::Empty { what: "mask of a sample" });
        }
        let sums = column_sums(&sample.select(Axis(0), &tokens).mapv(Scalar::as_f64));
        pooled.zip_mut_with(&sums, |mean, &sum| *mean = T::of(sum / tokens.len() as f64));
    }
    Ok(pooled)
}

/// `|mean over label 1 - mean over label 0|`, `(m)`, of `pooled: (b, m)`; `labels: (b)` are true for label 1.
///
/// # Errors
/// [`Error::Shape`], [`Error::NotFinite`], [`Error::Empty`] where one class has no samples.
pub fn mean_difference<T: Scalar>(pooled: &ArrayRef2<T>, labels: &[bool]) -> Result<Array1<T>> {
    if labels.len() != pooled.nrows() {
        let (expected, got) = (Dims::new(&[pooled.nrows()]), Dims::new(&[labels.len()]));
        return Err(Error::Shape { what: "labels", expected, got });
    }
    check_finite("pooled", pooled)?;
    let mean = |label: bool| {
        let rows: Vec<usize> = (0..labels.len()).filter(|&row| labels[row] == label).collect();
        let sums = column_sums(&pooled.select(Axis(0), &rows).mapv(Scalar::as_f64));
        if rows.is_empty() { Err(Error::Empty { what: "samples of a class" }) } else { Ok(sums / rows.len() as f64) }
    };
    Ok((mean(true)? - mean(false)?).mapv(|difference| T::of(difference.abs())))
}

/// All latents, the largest of `difference: (m)` first; of equals the lower index first.
#[must_use]
pub fn ranking<T: Scalar>(difference: &ArrayRef1<T>) -> Vec<usize> {
    let mut latents: Vec<usize> = (0..difference.len()).collect();
    latents.sort_unstable_by(|&a, &b| order((difference[a], a), (difference[b], b)));
    latents
}

/// The `top` latents with the largest of `difference: (m)`, ascending.
#[must_use]
pub fn select<T: Scalar>(difference: &ArrayRef1<T>, top: usize) -> Vec<usize> {
    top_k(&difference.to_vec(), top)
}

/// A probe on few latents.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SparseProbe {
    /// Latents that it reads, ascending.
    pub latents: Vec<usize>,
    /// The probe on these latents.
    pub probe: Logistic,
    /// Share of the test samples whose class it tells.
    pub accuracy: f64,
}

/// Pooled features and their labels.
#[derive(Debug, Clone, Copy)]
pub struct Labelled<'a, T> {
    /// Pooled features `(b, m)`.
    pub pooled: &'a ArrayRef2<T>,
    /// Classes `(b)`.
    pub labels: &'a [bool],
}

/// Fits a probe to the `top` latents of the training samples that differ most, and tests it.
///
/// # Errors
/// As [`mean_difference`] and [`LogisticRegression::fit`]; [`Error::Empty`] for `top` of 0 and for no test samples,
/// [`Error::Shape`] where the widths differ.
///
/// # Example
/// ```
/// use limpid::math::logistic::LogisticRegression;
/// use limpid::sae::bench::sparse_probing::{Labelled, sparse_probe};
/// use ndarray::array;
///
/// let (pooled, labels) = (array![[0.0, 1.0], [0.5, 0.0], [3.0, 1.0], [4.0, 0.0]], [false, false, true, true]);
/// let samples = Labelled { pooled: &pooled, labels: &labels };
/// let found = sparse_probe(samples, samples, 1, &LogisticRegression::default())?;
/// assert_eq!((found.latents, found.accuracy), (vec![0], 1.0));
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn sparse_probe<T: Scalar>(
    train: Labelled<'_, T>,
    test: Labelled<'_, T>,
    top: usize,
    regression: &LogisticRegression,
) -> Result<SparseProbe> {
    check_not_empty("train", train.pooled)?;
    check_shape("test", test.pooled, &[test.pooled.nrows(), train.pooled.ncols()])?;
    if top == 0 {
        return Err(Error::Empty { what: "latents" });
    }
    let latents = select(&mean_difference(train.pooled, train.labels)?, top);
    let read = |pooled: &ArrayRef2<T>| pooled.select(Axis(1), &latents);
    let probe = regression.fit(&read(train.pooled), train.labels)?;
    let accuracy = probe.accuracy(&read(test.pooled), test.labels)?;
    Ok(SparseProbe { latents, probe, accuracy })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array3, array};

    #[test]
    fn equals_go_by_index() {
        let difference = array![0.5, 2.0, 0.5, 0.0, 2.0];
        assert_eq!(ranking(&difference), [1, 4, 0, 2, 3]);
        assert_eq!(select(&difference, 3), [0, 1, 4]);
        assert_eq!(select(&difference, 9), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn differences_by_hand() {
        let pooled = array![[1.0, 0.0], [3.0, 4.0], [0.0, 1.0]];
        assert_eq!(mean_difference(&pooled, &[true, true, false]).unwrap(), array![2.0, 1.0]);
        assert_eq!(mean_difference(&pooled, &[true, false, false]).unwrap(), array![0.5, 2.5]);
    }

    #[test]
    fn the_probe_is_tested_on_other_samples() {
        let (train, test) = (array![[0.0], [1.0], [2.0], [3.0]], array![[0.2], [2.9], [0.1], [3.1]]);
        let train = Labelled { pooled: &train, labels: &[false, false, true, true] };
        let test = Labelled { pooled: &test, labels: &[false, true, true, true] };
        let found = sparse_probe(train, test, 5, &LogisticRegression::default()).unwrap();
        // symmetric data: the border lies in the middle
        assert!((found.probe.intercept + 1.5 * found.probe.weights[0]).abs() < 1e-10);
        assert_eq!((found.latents, found.accuracy), (alloc::vec![0], 0.75));
    }

    #[test]
    fn bad_input_is_named() {
        let features = Array3::<f64>::ones((1, 2, 1));
        assert!(matches!(pool(&features, &array![[false, false]]), Err(Error::Empty { .. })));
        assert!(matches!(pool(&features, &array![[true]]), Err(Error::Shape { what: "mask", .. })));
        let pooled = array![[1.0], [2.0]];
        assert!(matches!(mean_difference(&pooled, &[true]), Err(Error::Shape { what: "labels", .. })));
        assert!(matches!(mean_difference(&pooled, &[true, true]), Err(Error::Empty { .. })));
        let (train, wide) = (Labelled { pooled: &pooled, labels: &[true, false] }, array![[1.0, 2.0]]);
        let test = Labelled { pooled: &wide, labels: &[true] };
        let run = |test, top| sparse_probe(train, test, top, &LogisticRegression::default());
        assert!(matches!(run(test, 1), Err(Error::Shape { what: "test", .. })));
        assert!(matches!(run(train, 0), Err(Error::Empty { what: "latents" })));
    }
}
