//! How well a learned dictionary finds known directions.
//!
//! ```text
//! c_ij = cos(truth_i, learned_j)       mmcs = mean_i max_j c_ij         mmcs_absolute = mean_i max_j |c_ij|
//! mcc  = mean |c_iπ(i)| over the one-to-one π of min(n, m) pairs with the largest Σ |c_iπ(i)|
//! uniqueness = #{argmax_i |c_ij| : j} / m
//! ```
//!
//! MMCS lets several true directions share a learned one; MCC does not; a low uniqueness says that many learned directions
//! chase the same true ones. A zero row has no direction: its cosines are 0, and it counts as finding nothing.
//!
//! Source: Sharkey, Braun and Millidge, "Taking features out of superposition with sparse autoencoders" (2022), for MMCS;
//! Hyvärinen and Morioka, "Unsupervised feature extraction by time-contrastive learning" (arXiv 1605.06336), for MCC.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use ndarray::{Array2, ArrayRef2, Axis};

use crate::error::{check_limit, check_not_empty};
use crate::math::assignment::assign;
use crate::math::directions::{self, Cosine, cosines, largest};
use crate::{Result, Scalar};

/// Most directions on either side, for all pairs are kept.
const MAX_DIRECTIONS: usize = 1 << 14;

/// How learned directions match true ones.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct DictionaryMatch<T> {
    /// Mean over true directions of the largest cosine.
    pub mmcs: T,
    /// Mean over true directions of the largest magnitude of a cosine.
    pub mmcs_absolute: T,
    /// Mean magnitude of the cosines of the best one-to-one matching.
    pub mcc: T,
    /// Learned direction that each true one is matched with; `None` for true ones left over.
    pub assignment: Vec<Option<usize>>,
    /// Share of the learned directions that would remain if those with the same best true direction were one.
    pub uniqueness: T,
    /// All cosines `(n, m)`.
    pub cosines: Array2<T>,
}

/// Matches `learned: (m, d)` against `truth: (n, d)`, directions as rows.
///
/// # Errors
/// [`Error::Empty`](crate::Error::Empty), [`Error::Shape`](crate::Error::Shape),
/// [`Error::NotFinite`](crate::Error::NotFinite), [`Error::TooLarge`](crate::Error::TooLarge) above 16,384 directions
/// ([`mmcs`] takes more).
///
/// # Example
/// ```
/// use limpid::sae::metrics::dictionary::match_dictionary;
/// use ndarray::array;
///
/// let truth = array![[1.0, 0.0], [0.0, 1.0]];
/// let found = match_dictionary(&truth, &array![[0.0, -3.0], [2.0, 0.0], [1.0, 0.0]])?;
/// assert_eq!((found.mmcs, found.mmcs_absolute, found.mcc), (0.5, 1.0, 1.0));
/// assert_eq!(found.assignment, [Some(1), Some(0)]);
/// assert!((found.uniqueness - 2.0_f64 / 3.0).abs() < 1e-15);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn match_dictionary<T: Scalar>(truth: &ArrayRef2<T>, learned: &ArrayRef2<T>) -> Result<DictionaryMatch<T>> {
    check_not_empty("truth", truth)?;
    check_not_empty("learned", learned)?;
    check_limit("directions", truth.nrows().max(learned.nrows()), MAX_DIRECTIONS)?;
    let cosines = cosines(truth, learned)?;
    let magnitudes = cosines.mapv(T::abs);
    let assignment = assign(&magnitudes)?;
    let matched: f64 = assignment.iter().enumerate().filter_map(|(i, j)| j.map(|j| magnitudes[[i, j]].as_f64())).sum();
    let found: BTreeSet<usize> = magnitudes
        .columns()
        .into_iter()
        .map(largest)
        .filter(|&(_, cosine)| cosine > T::zero())
        .map(|(i, _)| i)
        .collect();
    let share = |sum: f64, count: usize| T::of(sum / count as f64);
    Ok(DictionaryMatch {
        mmcs: mean_largest(&cosines),
        mmcs_absolute: mean_largest(&magnitudes),
        mcc: share(matched, truth.nrows().min(learned.nrows())),
        uniqueness: share(found.len() as f64, learned.nrows()),
        assignment,
        cosines,
    })
}

/// Mean over the rows of `truth: (n, d)` of the largest cosine with a row of `learned: (m, d)`, for dictionaries of any
/// size; rows of either side that are zero count as a cosine of 0.
///
/// # Errors
/// As [`match_dictionary`], without its limit.
///
/// # Example
/// ```
/// use limpid::math::directions::Cosine;
/// use limpid::sae::metrics::dictionary::mmcs;
/// use ndarray::array;
///
/// let (truth, learned) = (array![[1.0, 0.0], [0.0, 1.0]], array![[0.0, -3.0], [2.0, 0.0]]);
/// assert_eq!(mmcs(&truth, &learned, Cosine::Signed)?, 0.5);
/// assert_eq!(mmcs(&truth, &learned, Cosine::Absolute)?, 1.0);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn mmcs<T: Scalar>(truth: &ArrayRef2<T>, learned: &ArrayRef2<T>, kind: Cosine) -> Result<T> {
    check_not_empty("truth", truth)?;
    check_not_empty("learned", learned)?;
    // a zero row among the learned ones has cosine 0, which beats what is negative
    let has_zero = learned.rows().into_iter().any(|row| row.iter().all(|x| *x == T::zero()));
    let least = if has_zero { 0.0 } else { -1.0 };
    let nearest = directions::nearest(truth, learned, kind)?;
    let cosines = nearest.iter().map(|found| found.map_or(0.0, |found| found.cosine.as_f64().max(least)));
    Ok(T::of(cosines.sum::<f64>() / truth.nrows() as f64))
}

fn mean_largest<T: Scalar>(cosines: &Array2<T>) -> T {
    let best = cosines.map_axis(Axis(1), |row| largest(row).1.as_f64());
    T::of(best.sum() / cosines.nrows() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Error, Seed, math::random::fill_normal};
    use ndarray::array;

    #[test]
    fn one_to_one_costs_what_sharing_gains() {
        let truth = array![[1.0, 0.0], [0.8, 0.6_f64]];
        let found = match_dictionary(&truth, &array![[1.0, 0.0], [0.0, 1.0]]).unwrap();
        // (1 + 0.8)/2 shared, (1 + 0.6)/2 one to one
        assert!((found.mmcs - 0.9).abs() < 1e-15 && (found.mcc - 0.8).abs() < 1e-15, "{found:?}");
        assert_eq!((found.assignment, found.uniqueness), (alloc::vec![Some(0), Some(1)], 1.0));
    }

    #[test]
    fn zero_rows_find_nothing() {
        let truth = array![[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]];
        let learned = array![[0.0, 0.0], [-1.0, 0.0]];
        let found = match_dictionary(&truth, &learned).unwrap();
        assert_eq!((found.mmcs, found.uniqueness), (0.0, 0.5));
        assert_eq!(found.mcc, 0.5);
        assert_eq!(mmcs(&truth, &learned, Cosine::Signed).unwrap(), found.mmcs);
    }

    #[test]
    fn blocks_agree_with_the_table() {
        let noise = |rows, item| {
            let mut x = Array2::<f64>::zeros((rows, 4));
            fill_normal(&mut Seed(1).stream(0, item), 1.0, x.as_slice_mut().unwrap());
            x
        };
        let (truth, learned) = (noise(9, 1), noise(13, 2));
        let found = match_dictionary(&truth, &learned).unwrap();
        assert!((mmcs(&truth, &learned, Cosine::Signed).unwrap() - found.mmcs).abs() < 1e-14);
        assert!((mmcs(&truth, &learned, Cosine::Absolute).unwrap() - found.mmcs_absolute).abs() < 1e-14);
    }

    #[test]
    fn bad_input_is_named() {
        let x = array![[1.0, 2.0]];
        assert!(matches!(match_dictionary(&x, &array![[1.0]]), Err(Error::Shape { .. })));
        assert!(matches!(match_dictionary(&x, &Array2::zeros((0, 2))), Err(Error::Empty { what: "learned" })));
        assert!(matches!(match_dictionary(&array![[f64::NAN, 0.0]], &x), Err(Error::NotFinite { .. })));
        assert!(matches!(match_dictionary(&x, &Array2::zeros((20_000, 2))), Err(Error::TooLarge { .. })));
    }
}
