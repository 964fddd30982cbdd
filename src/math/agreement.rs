//! Agreement of two scores of the same features.
//!
//! ```text
//! K = min(k, n),  T = first K features in the order of a key: |value|, or the value;  equal keys by lower index
//! feature        |T_a ∩ T_b| / K
//! rank           places with the same feature / K
//! sign           features of T_a ∩ T_b with the same sign (-1, 0 or 1) / K
//! signed rank    places with the same feature and the same sign / K
//! iou            |T_a ∩ T_b| / |T_a ∪ T_b|
//! spearman       of the values themselves, signed
//! pairwise rank  share of the pairs whose keys have the same order, equal ones included
//! ```
//!
//! Source: Krishna et al., "The Disagreement Problem in Explainable Machine Learning" (arXiv 2202.01602), section 3, for all
//! but `iou`.

use alloc::vec::Vec;

use ndarray::{Array1, ArrayRef1};

use super::rank::{PairCounts, largest_first, spearman};
use crate::{Result, Scalar};

/// What orders scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum By {
    /// The magnitude `|x|`: strong scores first, whatever their sign.
    #[default]
    Magnitude,
    /// The value `x`: the most positive score first.
    Value,
}

impl By {
    /// What `x` is ordered by.
    #[must_use]
    pub fn key<T: Scalar>(self, x: T) -> T {
        match self {
            Self::Magnitude => x.abs(),
            Self::Value => x,
        }
    }

    /// Keys of `x: (n)`.
    #[must_use]
    pub fn keys<T: Scalar>(self, x: &ArrayRef1<T>) -> Array1<T> {
        x.mapv(|x| self.key(x))
    }
}

/// Agreement of two scores, each in `[0, 1]` but for `spearman` in `[-1, 1]`.
///
/// The five of the top lists are `None` where these are empty, the two of all features for fewer than two of them.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Agreement {
    /// Share of the top features that are common.
    pub feature: Option<f64>,
    /// Share of the places with the same feature.
    pub rank: Option<f64>,
    /// Share of the top features that are common and have the same sign.
    pub sign: Option<f64>,
    /// Share of the places with the same feature and sign.
    pub signed_rank: Option<f64>,
    /// Common top features over all top features.
    pub iou: Option<f64>,
    /// Spearman's correlation of the signed scores; `None` also where all scores of one side are equal.
    pub spearman: Option<f64>,
    /// Share of the pairs of features in the same order.
    pub pairwise_rank: Option<f64>,
}

/// Agreement of `a, b: (n)`, with lists of the `k` top features.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) if the lengths differ, [`Error::NotFinite`](crate::Error::NotFinite) for NaN.
///
/// # Example
/// ```
/// use limpid::math::agreement::{By, agreement};
/// use ndarray::array;
///
/// let found = agreement(&array![0.9, -0.3, 0.3, 0.0], &array![0.5, 0.1, 0.2, 0.0], 2, By::Magnitude)?;
/// assert_eq!(found.feature, Some(0.5)); // features 0 and 1, and 0 and 2
/// assert_eq!(found.iou, Some(1.0 / 3.0));
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn agreement<T: Scalar>(a: &ArrayRef1<T>, b: &ArrayRef1<T>, k: usize, by: By) -> Result<Agreement> {
    let spearman = spearman(a, b)?;
    let (keys_a, keys_b) = (by.keys(a), by.keys(b));
    let (top_a, top_b) = (largest_first(&keys_a, k), largest_first(&keys_b, k));
    let mut in_b = alloc::vec![false; b.len()];
    top_b.iter().for_each(|&i| in_b[i] = true);
    let same_sign = |i: usize| sign(a[i]) == sign(b[i]);
    let common: Vec<usize> = top_a.iter().copied().filter(|&i| in_b[i]).collect();
    let places: Vec<usize> = top_a.iter().zip(&top_b).filter(|(a, b)| a == b).map(|(&i, _)| i).collect();
    let share = |count: usize| share(count as u64, top_a.len() as u64);
    let counts = PairCounts::of(&keys_a, &keys_b)?;
    Ok(Agreement {
        feature: share(common.len()),
        rank: share(places.len()),
        sign: share(common.iter().filter(|&&i| same_sign(i)).count()),
        signed_rank: share(places.iter().filter(|&&i| same_sign(i)).count()),
        iou: self::share(common.len() as u64, (2 * top_a.len() - common.len()) as u64),
        spearman,
        pairwise_rank: self::share(counts.concordant + counts.tied_both, counts.pairs),
    })
}

fn share(count: u64, of: u64) -> Option<f64> {
    (of > 0).then(|| count as f64 / of as f64)
}

fn sign<T: Scalar>(x: T) -> i8 {
    i8::from(x > T::zero()) - i8::from(x < T::zero())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use ndarray::array;

    fn close(found: [Option<f64>; 7], expected: [Option<f64>; 7]) {
        for (found, expected) in found.into_iter().zip(expected) {
            match (found, expected) {
                (Some(found), Some(expected)) => assert!((found - expected).abs() < 1e-12, "{found} {expected}"),
                (found, expected) => assert_eq!(found, expected),
            }
        }
    }

    fn seven(a: &Array1<f64>, b: &Array1<f64>, k: usize, by: By) -> [Option<f64>; 7] {
        let found = agreement(a, b, k, by).unwrap();
        let top = [found.feature, found.rank, found.sign, found.signed_rank, found.iou];
        [top[0], top[1], top[2], top[3], top[4], found.spearman, found.pairwise_rank]
    }

    #[test]
    fn drawn_scores_agree_as_computed_elsewhere() {
        let a = array![-0.452, 0.558, -0.487, 0.635, -0.627, -1.245, 1.204, 1.408, 0.701, -1.391, 0.532, -1.797];
        let b = array![0.083, 0.222, -0.02, 0.001, -0.222, -1.675, 0.082, 0.509, 0.479, -0.709, -1.371, -0.896];
        let rho = 0.769_230_769_230_769_4;
        let by_magnitude = [0.8, 0.0, 0.8, 0.0, 2.0 / 3.0, rho, 2.0 / 3.0].map(Some);
        close(seven(&a, &b, 5, By::Magnitude), by_magnitude);
        let by_value = [0.5, 0.25, 0.5, 0.25, 1.0 / 3.0, rho, 54.0 / 66.0].map(Some);
        close(seven(&a, &b, 4, By::Value), by_value);
        close(seven(&a, &-&a, 3, By::Magnitude), [1.0, 1.0, 0.0, 0.0, 1.0, -1.0, 1.0].map(Some));
    }

    #[test]
    fn ties_go_to_the_lower_index_and_zeros_have_a_sign() {
        let (a, b) = (array![0.0, 0.0, 1.0, 0.0], array![0.0, 2.0, 0.0, 0.0]);
        let third = 1.0 / 3.0;
        close(seven(&a, &b, 3, By::Magnitude), [1.0, third, third, third, 1.0, -third, 1.0 / 6.0].map(Some));
        let (flat, rising) = (Array1::from_elem(4, 0.5), array![0.1, 0.2, 0.3, 0.4]);
        let zero = Some(0.0);
        close(seven(&flat, &rising, 2, By::Magnitude), [zero, zero, zero, zero, zero, None, zero]);
    }

    #[test]
    fn lists_may_be_empty_or_longer_than_there_are_features() {
        let (a, b) = (array![0.9, -0.3, 0.3, 0.0], array![0.456, -0.127, 0.098, 0.0]);
        let pairwise = Some(5.0 / 6.0);
        let one = Some(1.0);
        close(seven(&a, &b, 50, By::Magnitude), [one, one, one, one, one, one, pairwise]);
        close(seven(&a, &b, 0, By::Magnitude), [None, None, None, None, None, one, pairwise]);
        close(seven(&array![0.4], &array![-0.2], 1, By::Magnitude), [one, one, Some(0.0), Some(0.0), one, None, None]);
        close(seven(&array![], &array![], 1, By::Magnitude), [None; 7]);
    }

    #[test]
    fn scores_of_other_features_are_refused() {
        let error = agreement(&array![1.0_f32], &array![1.0, 2.0], 1, By::Value);
        assert!(matches!(error, Err(Error::Shape { what: "y", .. })));
    }
}
