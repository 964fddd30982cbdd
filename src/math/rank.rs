//! Ranks, and correlations that depend on the order of values alone.
//!
//! ```text
//! mid-rank     1 + |{j: x_j < x_i}| + (|{j: x_j = x_i}| - 1)/2
//! Spearman     Pearson's correlation of the mid-ranks
//! Kendall      τ_b = (C - D)/√((P - T_x)(P - T_y)),  P = n(n - 1)/2 pairs, C concordant, D discordant, T tied
//! AUC          P(score of a positive > score of a negative) + P(equal)/2
//! ```
//!
//! All counts are whole numbers, so a thing correlates with itself by exactly 1. Order is by value descending, equal values
//! by index ascending.
//!
//! Source: Kendall, "The treatment of ties in ranking problems", Biometrika 33(3), 1945, for `τ_b`; Knight, "A computer method
//! for calculating Kendall's tau with ungrouped data", JASA 61(314), 1966, for the count in `O(n log n)`.

use alloc::vec::Vec;
use core::cmp::Ordering;

use ndarray::{Array1, ArrayRef1};
use num_traits::ToPrimitive;

use super::correlation::of_moments;
use super::select::order;
use crate::error::{check_limit, check_shape};
use crate::{Error, Result, Scalar};

/// Most values whose pairs can be counted.
const MAX_VALUES: usize = u32::MAX as usize;

/// Indices of `x: (n)` from the largest to the smallest value, equal values by index, NaN at the end.
///
/// # Example
/// ```
/// use limpid::math::rank::argsort_descending;
/// use ndarray::array;
///
/// assert_eq!(argsort_descending(&array![1.0, 3.0, 3.0, 2.0]), [1, 2, 3, 0]);
/// ```
#[must_use]
pub fn argsort_descending<T: Scalar>(x: &ArrayRef1<T>) -> Vec<usize> {
    let mut indices: Vec<usize> = (0..x.len()).collect();
    indices.sort_unstable_by(|&a, &b| order((x[a], a), (x[b], b)));
    indices
}

/// The first `k` of [`argsort_descending`], all where there are no more, without sorting the rest.
#[must_use]
pub fn largest_first<T: Scalar>(x: &ArrayRef1<T>, k: usize) -> Vec<usize> {
    let by_order = |&a: &usize, &b: &usize| order((x[a], a), (x[b], b));
    let mut indices: Vec<usize> = (0..x.len()).collect();
    if k < indices.len() {
        if k > 0 {
            indices.select_nth_unstable_by(k - 1, by_order);
        }
        indices.truncate(k);
    }
    indices.sort_unstable_by(by_order);
    indices
}

/// Mid-ranks of `x: (n)`, from 1; equal values share the mean of their ranks.
///
/// # Errors
/// [`Error::NotFinite`] for NaN; infinities have a rank.
///
/// # Example
/// ```
/// use limpid::math::rank::average_ranks;
/// use ndarray::array;
///
/// assert_eq!(average_ranks(&array![0.0, 3.0, 0.0, 5.0])?, array![1.5, 3.0, 1.5, 4.0]);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn average_ranks<T: Scalar>(x: &ArrayRef1<T>) -> Result<Array1<f64>> {
    check_ordered("x", x)?;
    Ok(doubled_ranks(x).into_iter().map(|rank| rank as f64 / 2.0).collect())
}

/// Spearman's correlation of `x, y: (n)`; `None` for fewer than two values, or where all of one side are equal.
///
/// # Errors
/// [`Error::Shape`] if the lengths differ, [`Error::NotFinite`] for NaN, [`Error::TooLarge`] beyond 2³² values.
///
/// # Example
/// ```
/// use limpid::math::rank::spearman;
/// use ndarray::array;
///
/// assert_eq!(spearman(&array![1.0, 2.0, 3.0], &array![1.0, 10.0, 1000.0])?, Some(1.0));
/// assert_eq!(spearman(&array![1.0, 2.0, 3.0], &array![5.0, 5.0, 5.0])?, None);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn spearman<T: Scalar>(x: &ArrayRef1<T>, y: &ArrayRef1<T>) -> Result<Option<f64>> {
    check_pair(x, y)?;
    // twice the ranks are whole numbers, and so is their distance from twice the mean
    let centre = i128::from(u32::try_from(x.len()).unwrap_or(u32::MAX)) + 1;
    let centred = |x: &ArrayRef1<T>| doubled_ranks(x).into_iter().map(move |rank| i128::from(rank) - centre);
    let (mut both, mut of_x, mut of_y) = (0_i128, 0_i128, 0_i128);
    for (a, b) in centred(x).zip(centred(y)) {
        both += a * b;
        of_x += a * a;
        of_y += b * b;
    }
    Ok(of_moments(both as f64, of_x as f64, of_y as f64))
}

/// How the pairs of `(x_i, y_i)` stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PairCounts {
    /// All pairs, `n(n - 1)/2`.
    pub pairs: u64,
    /// Pairs in the same strict order in `x` and in `y`.
    pub concordant: u64,
    /// Pairs in opposite strict orders.
    pub discordant: u64,
    /// Pairs that are equal in `x`.
    pub tied_x: u64,
    /// Pairs that are equal in `y`.
    pub tied_y: u64,
    /// Pairs that are equal in both.
    pub tied_both: u64,
}

impl PairCounts {
    /// Counts all pairs of `x, y: (n)` in `O(n log n)`.
    ///
    /// # Errors
    /// As [`spearman`].
    pub fn of<T: Scalar>(x: &ArrayRef1<T>, y: &ArrayRef1<T>) -> Result<Self> {
        check_pair(x, y)?;
        let mut points: Vec<(T, T)> = x.iter().copied().zip(y.iter().copied()).collect();
        points.sort_unstable_by(|a, b| ascending(a.0, b.0).then(ascending(a.1, b.1)));
        let tied_x = tied(points.chunk_by(|a, b| a.0 == b.0));
        let tied_both = tied(points.chunk_by(|a, b| a == b));
        // equal x are in order of y, so every inversion of y is a pair in opposite strict orders
        let mut y: Vec<T> = points.into_iter().map(|(_, y)| y).collect();
        let mut buffer = y.clone();
        let discordant = sort_counting(&mut y, &mut buffer);
        let tied_y = tied(y.chunk_by(|a, b| a == b));
        let pairs = pairs_among(y.len());
        let concordant = pairs + tied_both - tied_x - tied_y - discordant;
        Ok(Self { pairs, concordant, discordant, tied_x, tied_y, tied_both })
    }

    /// Kendall's `τ_b`; `None` where all of one side are equal.
    #[must_use]
    pub fn tau_b(&self) -> Option<f64> {
        let difference = self.concordant as f64 - self.discordant as f64;
        of_moments(difference, (self.pairs - self.tied_x) as f64, (self.pairs - self.tied_y) as f64)
    }
}

/// Kendall's `τ_b` of `x, y: (n)`; `None` for fewer than two values, or where all of one side are equal.
///
/// # Errors
/// As [`spearman`].
///
/// # Example
/// ```
/// use limpid::math::rank::kendall_tau_b;
/// use ndarray::array;
///
/// assert_eq!(kendall_tau_b(&array![1.0, 2.0, 3.0], &array![1.0, 3.0, 2.0])?, Some(1.0 / 3.0));
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn kendall_tau_b<T: Scalar>(x: &ArrayRef1<T>, y: &ArrayRef1<T>) -> Result<Option<f64>> {
    Ok(PairCounts::of(x, y)?.tau_b())
}

/// Area under the ROC curve of `score: (n)` for the elements where `positive: (n)`, equal scores counting a half; `None`
/// without a positive or without a negative element.
///
/// Source: Fawcett, "An introduction to ROC analysis", Pattern Recognition Letters 27(8), 2006, section 7.
///
/// # Errors
/// As [`spearman`].
pub fn auc<T: Scalar>(score: &ArrayRef1<T>, positive: &ArrayRef1<bool>) -> Result<Option<f64>> {
    check_shape("positive", positive, &[score.len()])?;
    check_pair(score, score)?;
    let count = positive.iter().filter(|positive| **positive).count() as f64;
    let pairs = count * (score.len() as f64 - count);
    let ranks = doubled_ranks(score).into_iter().zip(positive).filter(|(_, positive)| **positive);
    let sum = ranks.map(|(rank, _)| rank).sum::<u64>() as f64 / 2.0;
    Ok((pairs > 0.0).then(|| (sum - count * (count + 1.0) / 2.0) / pairs))
}

/// The value below which a share `p` of `values` lies, `0 <= p <= 1`, straight between the sorted values; puts them into
/// another order. `None` without values; NaN counts as larger than any number.
///
/// ```text
/// h = p (n - 1),   x_(⌊h⌋) + (h - ⌊h⌋)(x_(⌊h⌋+1) - x_(⌊h⌋))
/// ```
///
/// Source: Hyndman and Fan, "Sample quantiles in statistical packages", The American Statistician 50(4), 1996, definition 7.
///
/// # Example
/// ```
/// use limpid::math::rank::quantile;
///
/// assert_eq!(quantile(&mut [4.0, 1.0, 2.0, 3.0], 0.5), Some(2.5));
/// assert_eq!(quantile(&mut [], 0.5), None);
/// ```
pub fn quantile(values: &mut [f64], p: f64) -> Option<f64> {
    let last = values.len().checked_sub(1)?;
    let place = p.clamp(0.0, 1.0) * last as f64;
    let below = place.to_usize().unwrap_or(0).min(last);
    let (_, &mut low, above) = values.select_nth_unstable_by(below, f64::total_cmp);
    let share = place - below as f64;
    let next = above.iter().copied().min_by(f64::total_cmp).filter(|_| share > 0.0);
    Some(next.map_or(low, |next| if next == low { low } else { low + share * (next - low) }))
}

/// Twice the mid-ranks.
fn doubled_ranks<T: Scalar>(x: &ArrayRef1<T>) -> Vec<u64> {
    let mut indices: Vec<usize> = (0..x.len()).collect();
    indices.sort_unstable_by(|&a, &b| ascending(x[a], x[b]));
    let mut ranks = alloc::vec![0; x.len()];
    let mut before = 0_u64;
    for equal in indices.chunk_by(|&a, &b| x[a] == x[b]) {
        let count = equal.len() as u64;
        equal.iter().for_each(|&i| ranks[i] = 2 * before + count + 1);
        before += count;
    }
    ranks
}

fn ascending<T: Scalar>(a: T, b: T) -> Ordering {
    a.partial_cmp(&b).unwrap_or(Ordering::Equal)
}

fn pairs_among(count: usize) -> u64 {
    let count = count as u64;
    count * count.saturating_sub(1) / 2
}

fn tied<'a, V: 'a>(runs: impl Iterator<Item = &'a [V]>) -> u64 {
    runs.map(|run| pairs_among(run.len())).sum()
}

/// Sorts ascending and counts the pairs that were in strictly descending order.
fn sort_counting<T: Scalar>(values: &mut [T], buffer: &mut [T]) -> u64 {
    let half = values.len() / 2;
    if half == 0 {
        return 0;
    }
    let (left, right) = values.split_at_mut(half);
    let (left_buffer, right_buffer) = buffer.split_at_mut(half);
    let mut count = sort_counting(left, left_buffer) + sort_counting(right, right_buffer);
    buffer.copy_from_slice(values);
    let (mut left, mut right) = buffer.split_at(half);
    for slot in values {
        match (left, right) {
            ([first, rest @ ..], [other, ..]) if first <= other => (*slot, left) = (*first, rest),
            (_, [other, rest @ ..]) => {
                count += left.len() as u64;
                (*slot, right) = (*other, rest);
            }
            ([first, rest @ ..], []) => (*slot, left) = (*first, rest),
            ([], []) => {}
        }
    }
    count
}

fn check_ordered<T: Scalar>(what: &'static str, x: &ArrayRef1<T>) -> Result<()> {
    x.iter().position(|x| x.is_nan()).map_or(Ok(()), |index| Err(Error::NotFinite { what, index }))
}

fn check_pair<T: Scalar>(x: &ArrayRef1<T>, y: &ArrayRef1<T>) -> Result<()> {
    check_shape("y", y, &[x.len()])?;
    check_limit("values", x.len(), MAX_VALUES)?;
    check_ordered("x", x)?;
    check_ordered("y", y)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use crate::math::random::below;
    use approx::assert_relative_eq;
    use ndarray::array;

    /// Few different values, so that there are many ties.
    fn drawn(n: usize, seed: u64) -> Array1<f64> {
        let mut stream = Seed(seed).stream(0, 0);
        (0..n).map(|_| below(&mut stream, 1 + n / 2) as f64).collect()
    }

    fn naive(x: &Array1<f64>, y: &Array1<f64>) -> PairCounts {
        let mut counts = PairCounts { pairs: 0, concordant: 0, discordant: 0, tied_x: 0, tied_y: 0, tied_both: 0 };
        for i in 0..x.len() {
            for j in 0..i {
                let (a, b) = (ascending(x[i], x[j]), ascending(y[i], y[j]));
                counts.pairs += 1;
                counts.tied_x += u64::from(a == Ordering::Equal);
                counts.tied_y += u64::from(b == Ordering::Equal);
                counts.tied_both += u64::from(a == Ordering::Equal && b == Ordering::Equal);
                counts.concordant += u64::from(a == b && a != Ordering::Equal);
                counts.discordant += u64::from(a == b.reverse() && a != Ordering::Equal);
            }
        }
        counts
    }

    #[test]
    fn the_fast_count_is_the_naive_one() {
        for n in 0..if cfg!(miri) { 8 } else { 60 } {
            let (x, y) = (drawn(n, 1), drawn(n, 2));
            let counts = PairCounts::of(&x, &y).unwrap();
            assert_eq!(counts, naive(&x, &y), "{n}");
            assert_eq!(PairCounts::of(&y, &x).unwrap().tau_b(), counts.tau_b());
        }
    }

    #[test]
    fn correlations_are_those_of_the_statistics_libraries() {
        let (x, y) = (array![0.0, 0.0, 3.0, 3.0, 5.0], array![1.0, 0.0, 2.0, 2.0, 9.0]);
        assert_eq!(average_ranks(&y).unwrap(), array![2.0, 1.0, 3.5, 3.5, 5.0]);
        assert_relative_eq!(spearman(&x, &y).unwrap().unwrap(), 0.973_328_526_784_574_5, epsilon = 1e-12);
        assert_relative_eq!(kendall_tau_b(&x, &y).unwrap().unwrap(), 0.942_809_041_582_063_2, epsilon = 1e-12);
        assert_eq!(spearman(&array![1.0_f32, 2.0], &array![7.0, 7.5]), Ok(Some(1.0)));
    }

    #[test]
    fn a_thing_agrees_with_itself_exactly() {
        for n in 2..40 {
            let x = drawn(n, 3);
            let expected = x.iter().any(|value| *value != x[0]).then_some(1.0);
            let minus = x.mapv(|x| -x);
            assert_eq!((spearman(&x, &x), kendall_tau_b(&x, &x)), (Ok(expected), Ok(expected)));
            assert_eq!(spearman(&x, &minus), Ok(expected.map(|x| -x)));
        }
    }

    #[test]
    fn what_has_no_order_has_no_correlation() {
        let none: Array1<f64> = array![];
        assert_eq!((spearman(&none, &none), kendall_tau_b(&none, &none)), (Ok(None), Ok(None)));
        assert_eq!(spearman(&array![1.0], &array![2.0]), Ok(None));
        assert_eq!(kendall_tau_b(&array![1.0, 2.0], &array![5.0, 5.0]), Ok(None));
        assert_eq!(auc(&array![1.0, 2.0], &array![true, true]), Ok(None));
        assert!(matches!(spearman(&array![1.0, f64::NAN], &array![1.0, 2.0]), Err(Error::NotFinite { index: 1, .. })));
        assert!(matches!(kendall_tau_b(&array![1.0], &array![1.0, 2.0]), Err(Error::Shape { what: "y", .. })));
        let infinite = array![f64::NEG_INFINITY, f64::INFINITY, f64::INFINITY];
        assert_eq!(average_ranks(&infinite), Ok(array![1.0, 2.5, 2.5]));
    }

    #[test]
    fn auc_is_the_share_of_pairs_in_order() {
        // pairs (positive, negative): 3 > 1, 3 > 2, 2 > 1, 2 = 2
        assert_eq!(auc(&array![3.0, 1.0, 2.0, 2.0], &array![true, false, true, false]), Ok(Some(3.5 / 4.0)));
    }

    #[test]
    fn quantiles_lie_between_the_sorted_values() {
        for n in 1..30 {
            let mut sorted = drawn(n, 6).to_vec();
            sorted.sort_unstable_by(f64::total_cmp);
            for step in 0..=20 {
                let p = f64::from(step) / 20.0;
                let place = p * (n - 1) as f64;
                let low = place.to_usize().unwrap();
                let next = sorted[(low + 1).min(n - 1)];
                let expected = sorted[low] + (place - low as f64) * (next - sorted[low]);
                assert_relative_eq!(quantile(&mut drawn(n, 6).to_vec(), p).unwrap(), expected, epsilon = 1e-12);
            }
        }
        assert_eq!(quantile(&mut [f64::INFINITY; 3], 0.4), Some(f64::INFINITY));
        assert_eq!(quantile(&mut [2.0, 1.0], f64::NAN), Some(1.0));
    }

    #[test]
    fn a_part_of_the_order_is_its_beginning() {
        let mut x = drawn(25, 4);
        x[3] = f64::NAN;
        let all = argsort_descending(&x);
        assert_eq!(all.last(), Some(&3));
        assert!((0..27).all(|k| largest_first(&x, k) == all[..k.min(25)]));
    }
}
