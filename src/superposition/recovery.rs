//! Recovery: how well a learned dictionary finds the true directions.
//!
//! ```text
//! mmcs           mean over true features of the largest cosine to a learned one        reverse_mmcs: the other way
//! matched_cosine mean cosine of the one-to-one matching of min(n, k) pairs with the largest sum
//! norm_ratio     mean over true features of ‖learned with the largest cosine‖ / ‖true‖
//! ```
//!
//! Cosines are signed: a flipped direction does not match. MMCS looks one way only, so the reverse and the matching stand
//! beside it; random directions score well above 0 (about 0.64 for 40 in 10 dimensions), so a baseline belongs next to it.
//!
//! Source: Sharkey, Braun and Millidge (2022).

use ndarray::{ArrayRef2, Axis};

use crate::error::{check_each, check_finite, check_limit, check_not_empty, check_shape};
use crate::math::assignment::assign;
use crate::math::directions::{cosines, largest, row_norms};
use crate::{Result, Scalar};

/// How well learned directions match true ones.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct DictionaryMatch<T> {
    /// Mean over true features of the largest cosine.
    pub mmcs: T,
    /// Mean over learned features of the largest cosine.
    pub reverse_mmcs: T,
    /// Share of true features whose largest cosine is above the threshold.
    pub fraction_recovered: T,
    /// Mean cosine of the best one-to-one matching.
    pub matched_cosine: T,
    /// Mean ratio of norms, learned to true; `None` where a true feature is zero.
    pub norm_ratio: Option<T>,
}

/// Matches `learned: (k, d)` against `truth: (n, d)`, directions as rows; zero rows have cosine 0 to everything.
///
/// # Errors
/// [`Error::Empty`](crate::Error::Empty), [`Error::Shape`](crate::Error::Shape),
/// [`Error::NotFinite`](crate::Error::NotFinite), [`Error::OutOfRange`](crate::Error::OutOfRange) for a threshold outside
/// `[-1, 1]`, [`Error::TooLarge`](crate::Error::TooLarge) above 16,384 directions.
///
/// # Example
/// ```
/// use limpid::superposition::recovery::match_dictionaries;
/// use ndarray::array;
///
/// let result = match_dictionaries(&array![[1.0, 0.0], [0.0, 1.0]], &array![[0.0, 3.0], [1.0, 0.0]], 0.95)?;
/// assert_eq!((result.mmcs, result.norm_ratio), (1.0, Some(2.0)));
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn match_dictionaries<T: Scalar>(
    truth: &ArrayRef2<T>,
    learned: &ArrayRef2<T>,
    threshold: T,
) -> Result<DictionaryMatch<T>> {
    check_not_empty("truth", truth)?;
    check_not_empty("learned", learned)?;
    check_shape("learned", learned, &[learned.nrows(), truth.ncols()])?;
    check_finite("truth", truth)?;
    check_finite("learned", learned)?;
    check_each("threshold", &[threshold], "-1 <= threshold <= 1", |x| x.abs() <= T::one())?;
    check_limit("directions", truth.nrows().max(learned.nrows()), 1 << 14)?;
    let (true_norms, learned_norms) = (row_norms(truth), row_norms(learned));
    let cosines = cosines(truth, learned)?;
    let best = cosines.map_axis(Axis(1), largest);
    let pairs = assign(&cosines)?;
    let matched: T = pairs.iter().enumerate().filter_map(|(i, j)| j.map(|j| cosines[[i, j]])).sum();
    let count = |n: usize| T::of(n as f64);
    let recovered = best.iter().filter(|(_, cosine)| *cosine > threshold).count();
    let ratios: T = best.iter().zip(&true_norms).map(|(&(j, _), &norm)| learned_norms[j] / norm).sum();
    Ok(DictionaryMatch {
        mmcs: best.iter().map(|&(_, cosine)| cosine).sum::<T>() / count(truth.nrows()),
        reverse_mmcs: cosines.map_axis(Axis(0), |column| largest(column).1).sum() / count(learned.nrows()),
        fraction_recovered: count(recovered) / count(truth.nrows()),
        matched_cosine: matched / count(truth.nrows().min(learned.nrows())),
        norm_ratio: true_norms.iter().all(|&norm| norm > T::zero()).then(|| ratios / count(truth.nrows())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn flipped_and_zero_directions_do_not_match() {
        let truth = array![[1.0, 0.0], [0.0, 1.0_f64]];
        let result = match_dictionaries(&truth, &array![[-1.0, 0.0], [0.0, 0.0], [0.0, 2.0]], 0.9).unwrap();
        assert_eq!((result.mmcs, result.fraction_recovered), (0.5, 0.5));
        assert!((result.reverse_mmcs - 1.0 / 3.0).abs() < 1e-15);
        assert_eq!(match_dictionaries(&array![[0.0]], &array![[1.0]], 0.5).unwrap().norm_ratio, None);
    }
}
