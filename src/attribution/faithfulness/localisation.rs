//! Localisation: does an attribution lie where it is known to belong?
//!
//! ```text
//! m = mask, K = |m|, order of features: by the chosen key, descending, equal ones by lower index
//! pointing game            first feature ∈ m
//! relevance mass accuracy  Σ_{i∈m} r_i / Σ_i r_i,  r = |a|, or the positive part of a
//! relevance rank accuracy  |first K features ∩ m| / K
//! top-k intersection       |first k features ∩ m| / k
//! AUC                      P(key inside > key outside) + P(equal)/2
//! attribution localisation mass accuracy of the positive part, over K/n where it is weighted: 1 is an even spread
//! focus                    mass accuracy of the positive part, on a mosaic: m = the squares of the explained class
//! ```
//!
//! Source: Zhang et al., "Top-down Neural Attention by Excitation Backprop" (arXiv 1608.00507), for the pointing game; Arras et
//! al., "CLEVR-XAI" (arXiv 2003.07258), for mass and rank accuracy; Theiner et al., "Interpretable Semantic Photo
//! Geolocation" (arXiv 2104.14995), for the top-k intersection; Kohlbrenner et al., "Towards Best Practice in Explaining Neural
//! Network Decisions with LRP" (arXiv 1910.09840), for attribution localisation; Arias-Duart et al., "Focus! Rating XAI
//! Methods and Finding Biases" (arXiv 2109.15035), for focus.

use alloc::vec::Vec;

use ndarray::{Array1, ArrayRef2, ArrayView1};

use crate::error::{check_finite, check_not_empty, check_shape};
use crate::math::agreement::By;
use crate::math::directions::largest;
use crate::math::rank::{auc, largest_first};
use crate::{Error, Result, Scalar};

/// Whether the strongest feature of each row of `attribution: (b, n)` lies in `mask: (b, n)`; `None` for an empty mask and
/// for a row of zeros.
///
/// # Errors
/// [`Error::Empty`], [`Error::Shape`] if the shapes differ, [`Error::NotFinite`].
///
/// # Example
/// ```
/// use limpid::attribution::faithfulness::{By, pointing_game};
/// use ndarray::array;
///
/// let mask = array![[true, false, false]];
/// assert_eq!(pointing_game(&array![[0.5, -0.9, 0.2]], &mask, By::Magnitude)?, [Some(false)]);
/// assert_eq!(pointing_game(&array![[0.5, -0.9, 0.2]], &mask, By::Value)?, [Some(true)]);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn pointing_game<T: Scalar>(
    attribution: &ArrayRef2<T>,
    mask: &ArrayRef2<bool>,
    by: By,
) -> Result<Vec<Option<bool>>> {
    per_row(attribution, mask, |row, mask| {
        let points = count(mask) > 0 && row.iter().any(|a| *a != T::zero());
        points.then(|| mask[largest(by.keys(&row).view()).0])
    })
}

/// Share of the relevance of each row of `attribution: (b, n)` that lies in `mask: (b, n)`; `None` where there is no relevance.
///
/// Relevance is the magnitude, or by value the positive part: a sum with signs could leave `[0, 1]`.
///
/// # Errors
/// As [`pointing_game`].
///
/// # Example
/// ```
/// use limpid::attribution::faithfulness::{By, relevance_mass_accuracy};
/// use ndarray::array;
///
/// let mask = array![[true, false, false]];
/// assert_eq!(relevance_mass_accuracy(&array![[0.5, -0.5, 1.0]], &mask, By::Magnitude)?, [Some(0.25)]);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn relevance_mass_accuracy<T: Scalar>(
    attribution: &ArrayRef2<T>,
    mask: &ArrayRef2<bool>,
    by: By,
) -> Result<Vec<Option<f64>>> {
    per_row(attribution, mask, |row, mask| {
        let relevance: Vec<f64> = row.iter().map(|&a| by.key(a).as_f64().max(0.0)).collect();
        // sums of raw relevance could overflow
        let scale = relevance.iter().copied().fold(0.0, f64::max);
        let scaled = || relevance.iter().map(|r| r / scale);
        let inside: f64 = scaled().zip(mask).filter(|(_, inside)| **inside).map(|(r, _)| r).sum();
        (scale > 0.0).then(|| inside / scaled().sum::<f64>())
    })
}

/// Share of the `K` strongest features of each row of `attribution: (b, n)` that lie in `mask: (b, n)`, where `K` is the size of
/// the mask; `None` for an empty mask.
///
/// # Errors
/// As [`pointing_game`].
///
/// # Example
/// ```
/// use limpid::attribution::faithfulness::{By, relevance_rank_accuracy};
/// use ndarray::array;
///
/// let mask = array![[true, true, false, false]];
/// assert_eq!(relevance_rank_accuracy(&array![[3.0, 1.0, 2.0, 0.0]], &mask, By::Magnitude)?, [Some(0.5)]);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn relevance_rank_accuracy<T: Scalar>(
    attribution: &ArrayRef2<T>,
    mask: &ArrayRef2<bool>,
    by: By,
) -> Result<Vec<Option<f64>>> {
    per_row(attribution, mask, |row, mask| share_of_first(row, mask, count(mask), by))
}

/// Share of the `k` strongest features of each row of `attribution: (b, n)`, all of them where there are no more, that lie in
/// `mask: (b, n)`; `None` for an empty mask.
///
/// # Errors
/// As [`pointing_game`], and [`Error::OutOfRange`] for `k = 0`.
pub fn top_k_intersection<T: Scalar>(
    attribution: &ArrayRef2<T>,
    mask: &ArrayRef2<bool>,
    k: usize,
    by: By,
) -> Result<Vec<Option<f64>>> {
    if k == 0 {
        return Err(Error::OutOfRange { what: "k", index: 0, value: 0.0, expected: "k >= 1" });
    }
    per_row(attribution, mask, |row, mask| share_of_first(row, mask, k, by).filter(|_| count(mask) > 0))
}

/// Area under the ROC curve of each row of `attribution: (b, n)` as a detector of `mask: (b, n)`: 1 where every feature inside
/// is above every feature outside, 1/2 for chance; `None` for an empty and for a full mask.
///
/// # Errors
/// As [`pointing_game`].
///
/// # Example
/// ```
/// use limpid::attribution::faithfulness::{By, mask_auc};
/// use ndarray::array;
///
/// let mask = array![[true, true, false, false]];
/// assert_eq!(mask_auc(&array![[3.0, 1.0, 2.0, 0.0]], &mask, By::Magnitude)?, [Some(0.75)]);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn mask_auc<T: Scalar>(attribution: &ArrayRef2<T>, mask: &ArrayRef2<bool>, by: By) -> Result<Vec<Option<f64>>> {
    check(attribution, mask)?;
    attribution.rows().into_iter().zip(mask.rows()).map(|(row, mask)| auc(&by.keys(&row), &mask)).collect()
}

/// Share of the positive relevance of each row of `attribution: (b, n)` inside of `mask: (b, n)`; weighted, over the mask's
/// share of all features, so that large objects are no easier than small ones and 1 is no better than an even spread. `None`
/// where there is no positive relevance, and for an empty mask where weighted.
///
/// # Errors
/// As [`pointing_game`].
pub fn attribution_localisation<T: Scalar>(
    attribution: &ArrayRef2<T>,
    mask: &ArrayRef2<bool>,
    weighted: bool,
) -> Result<Vec<Option<f64>>> {
    let shares = relevance_mass_accuracy(attribution, mask, By::Value)?;
    let sizes = mask.rows().into_iter().map(|mask| count(mask) as f64 / mask.len() as f64);
    let over = |share: f64, size: f64| if weighted { (size > 0.0).then(|| share / size) } else { Some(share) };
    Ok(shares.into_iter().zip(sizes).map(|(share, size)| over(share?, size)).collect())
}

/// Share of the positive relevance of each row of `attribution: (b, n)` that lies on the squares of a mosaic that show the
/// explained class, `target: (b, n)`; `None` where there is no positive relevance.
///
/// # Errors
/// As [`pointing_game`].
pub fn focus<T: Scalar>(attribution: &ArrayRef2<T>, target: &ArrayRef2<bool>) -> Result<Vec<Option<f64>>> {
    relevance_mass_accuracy(attribution, target, By::Value)
}

/// Share of the first `k` features that lie in the mask; `None` for `k = 0`.
fn share_of_first<T: Scalar>(row: ArrayView1<'_, T>, mask: ArrayView1<'_, bool>, k: usize, by: By) -> Option<f64> {
    let keys: Array1<T> = by.keys(&row);
    let first = largest_first(&keys, k);
    let inside = first.iter().filter(|&&i| mask[i]).count();
    (!first.is_empty()).then(|| inside as f64 / first.len() as f64)
}

fn count(mask: ArrayView1<'_, bool>) -> usize {
    mask.iter().filter(|inside| **inside).count()
}

fn check<T: Scalar>(attribution: &ArrayRef2<T>, mask: &ArrayRef2<bool>) -> Result<()> {
    check_not_empty("attribution", attribution)?;
    check_shape("mask", mask, attribution.shape())?;
    check_finite("attribution", attribution)
}

fn per_row<T: Scalar, V>(
    attribution: &ArrayRef2<T>,
    mask: &ArrayRef2<bool>,
    score: impl Fn(ArrayView1<'_, T>, ArrayView1<'_, bool>) -> V,
) -> Result<Vec<V>> {
    check(attribution, mask)?;
    Ok(attribution.rows().into_iter().zip(mask.rows()).map(|(row, mask)| score(row, mask)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};

    #[test]
    fn one_row_by_hand() {
        let attribution = array![[0.4, -1.0, 0.2, 0.0, 0.4]];
        let mask = array![[true, false, true, false, false]];
        let by_value = |name: &str| match name {
            "mass" => relevance_mass_accuracy(&attribution, &mask, By::Value),
            "rank" => relevance_rank_accuracy(&attribution, &mask, By::Value),
            "auc" => mask_auc(&attribution, &mask, By::Value),
            "weighted" => attribution_localisation(&attribution, &mask, true),
            "localised" => attribution_localisation(&attribution, &mask, false),
            _ => focus(&attribution, &mask),
        };
        let near = |name: &str, expected: f64| {
            assert!((by_value(name).unwrap()[0].unwrap() - expected).abs() < 1e-12, "{name}");
        };
        near("mass", 0.6);
        near("focus", 0.6);
        near("localised", 0.6);
        near("weighted", 0.6 / 0.4);
        // the first two are 0 and 4, by index
        near("rank", 0.5);
        // pairs: 0.4 > -1, 0.4 > 0, 0.4 = 0.4, 0.2 > -1, 0.2 > 0, 0.2 < 0.4
        near("auc", 4.5 / 6.0);
        assert_eq!(top_k_intersection(&attribution, &mask, 1, By::Magnitude), Ok(alloc::vec![Some(0.0)]));
        assert_eq!(top_k_intersection(&attribution, &mask, 9, By::Magnitude), Ok(alloc::vec![Some(0.4)]));
        assert_eq!(
            relevance_mass_accuracy(&attribution, &mask, By::Magnitude).unwrap()[0].map(|x| x < 0.31),
            Some(true)
        );
    }

    #[test]
    fn what_is_undefined_is_none() {
        let attribution = array![[1.0_f32, 2.0], [0.0, 0.0], [-1.0, -2.0]];
        let (empty, full) = (Array2::from_elem((3, 2), false), Array2::from_elem((3, 2), true));
        assert_eq!(pointing_game(&attribution, &full, By::Magnitude), Ok(alloc::vec![Some(true), None, Some(true)]));
        let nothing: Vec<Option<f64>> = alloc::vec![None; 3];
        assert_eq!(pointing_game(&attribution, &empty, By::Value), Ok(alloc::vec![None; 3]));
        assert_eq!(relevance_rank_accuracy(&attribution, &empty, By::Value), Ok(nothing.clone()));
        assert_eq!(top_k_intersection(&attribution, &empty, 1, By::Value), Ok(nothing.clone()));
        assert_eq!(mask_auc(&attribution, &full, By::Value), Ok(nothing.clone()));
        assert_eq!(attribution_localisation(&attribution, &empty, true), Ok(nothing));
        assert_eq!(focus(&attribution, &full), Ok(alloc::vec![Some(1.0), None, None]));
    }

    #[test]
    fn bad_input_is_named() {
        let attribution = array![[1.0, 2.0]];
        let mask = array![[true]];
        assert!(matches!(pointing_game(&attribution, &mask, By::Value), Err(Error::Shape { what: "mask", .. })));
        let full = array![[true, true]];
        assert!(matches!(top_k_intersection(&attribution, &full, 0, By::Value), Err(Error::OutOfRange { .. })));
        assert!(matches!(focus(&array![[f64::NAN, 1.0]], &full), Err(Error::NotFinite { index: 0, .. })));
        assert!(matches!(focus(&Array2::<f64>::zeros((0, 2)), &full), Err(Error::Empty { .. })));
    }

    #[test]
    fn huge_relevance_has_shares() {
        let attribution = array![[f64::MAX, f64::MAX]];
        assert_eq!(focus(&attribution, &array![[true, false]]), Ok(alloc::vec![Some(0.5)]));
    }
}
