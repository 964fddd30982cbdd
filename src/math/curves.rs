//! Curves of a value as more and more of what it depends on is taken away: mean drops, areas, the first change of a decision.
//!
//! ```text
//! mean drop   mean_k full - curve_k,  over chosen points
//! area        Σ_k (s_(k+1) - s_k) (curve_k + curve_(k+1))/2,  s_k = level_k / last level
//! ```
//!
//! Source: `DeYoung` et al., "ERASER: A Benchmark to Evaluate Rationalized NLP Models" (arXiv 1911.03429), section 4; Petsiuk et
//! al., "RISE" (arXiv 1806.07421), for areas under curves.

use alloc::vec::Vec;

use ndarray::ArrayRef1;

use crate::Scalar;

/// Mean of numbers, in the order that they come; `None` without any.
///
/// # Example
/// ```
/// assert_eq!(limpid::math::curves::mean([1.0, 3.0]), Some(2.0));
/// ```
#[must_use]
pub fn mean(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0.0);
    for value in values {
        sum += value;
        count += 1.0;
    }
    (count > 0.0).then(|| sum / count)
}

/// Mean of `full - curve_k` over the points of `curve: (K)` that `indices` name; `None` without any.
///
/// # Example
/// ```
/// use limpid::math::curves::mean_drop;
/// use ndarray::array;
///
/// assert_eq!(mean_drop(6.0, &array![6.0, 3.0, 1.0, 0.0], [1, 2, 3]), Some(14.0 / 3.0));
/// ```
#[must_use]
pub fn mean_drop<T: Scalar>(full: T, curve: &ArrayRef1<T>, indices: impl IntoIterator<Item = usize>) -> Option<f64> {
    let full = full.as_f64();
    mean(indices.into_iter().filter_map(|index| curve.get(index)).map(|value| full - value.as_f64()))
}

/// Area under `curve: (K)` by trapezoids over ascending `levels`, from the first to the last, as shares of the last.
///
/// # Example
/// ```
/// use limpid::math::curves::area;
/// use ndarray::array;
///
/// assert_eq!(area(&array![1.0, 1.0, 3.0], &[0, 1, 4]), 0.25 + 0.75 * 2.0);
/// ```
#[must_use]
pub fn area<T: Scalar>(curve: &ArrayRef1<T>, levels: &[usize]) -> f64 {
    let whole = levels.last().copied().unwrap_or(0) as f64;
    let points: Vec<(f64, f64)> = levels.iter().zip(curve).map(|(&k, f)| (k as f64 / whole, f.as_f64())).collect();
    points.windows(2).map(|two| (two[1].0 - two[0].0) * f64::midpoint(two[0].1, two[1].1)).sum()
}

/// Index of the first decision that differs from the first of all, if any does; `None` where the first is not known.
///
/// # Example
/// ```
/// use limpid::math::curves::first_change;
///
/// assert_eq!(first_change(&[Some(1), Some(1), Some(0)]), Some(Some(2)));
/// assert_eq!(first_change(&[Some(1), Some(1)]), Some(None));
/// assert_eq!(first_change::<usize>(&[None]), None);
/// ```
#[must_use]
pub fn first_change<D: Copy + PartialEq>(decisions: &[Option<D>]) -> Option<Option<usize>> {
    let first = decisions.first().copied().flatten()?;
    Some(decisions.iter().position(|decision| *decision != Some(first)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn what_no_point_has_is_none() {
        assert_eq!((mean([]), mean_drop(1.0, &array![1.0], [])), (None, None));
        assert_eq!(mean_drop(1.0_f32, &array![0.5], [0, 7]), Some(0.5));
        assert_eq!((area(&array![1.0], &[0]), first_change::<u8>(&[])), (0.0, None));
    }
}
