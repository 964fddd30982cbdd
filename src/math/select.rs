//! Choice of the largest values.
//!
//! Order: value descending, equal values by index ascending, NaN after everything else. The choice is therefore one and the
//! same on every machine and for every way of going through the values.

use alloc::vec::Vec;
use core::cmp::Ordering;

use crate::Scalar;

/// The order of choice.
pub(crate) fn order<T: Scalar>(a: (T, usize), b: (T, usize)) -> Ordering {
    let by_value = match (a.0.is_nan(), b.0.is_nan()) {
        (false, false) => b.0.partial_cmp(&a.0).unwrap_or(Ordering::Equal),
        (left, right) => left.cmp(&right),
    };
    by_value.then(a.1.cmp(&b.1))
}

/// Indices of the `k` largest of `values`, ascending; all where there are no more than `k`.
///
/// # Example
/// ```
/// use limpid::math::select::top_k;
/// assert_eq!(top_k(&[1.0, 3.0, f64::NAN, 3.0, 2.0], 2), [1, 3]);
/// ```
#[must_use]
pub fn top_k<T: Scalar>(values: &[T], k: usize) -> Vec<usize> {
    let mut indices: Vec<usize> = (0..values.len()).collect();
    if k < indices.len() {
        if k > 0 {
            indices.select_nth_unstable_by(k - 1, |&a, &b| order((values[a], a), (values[b], b)));
        }
        indices.truncate(k);
        indices.sort_unstable();
    }
    indices
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use crate::math::random::below;

    #[test]
    fn equals_a_full_sort() {
        let mut stream = Seed(1).stream(0, 0);
        for n in 0..if cfg!(miri) { 8 } else { 30 } {
            // few different values, so that there are many ties
            let values: Vec<f64> = (0..n).map(|_| [0.0, 1.0, -1.0, f64::NAN, -0.0][below(&mut stream, 5)]).collect();
            for k in 0..=n + 1 {
                let mut sorted: Vec<usize> = (0..n).collect();
                sorted.sort_by(|&a, &b| order((values[a], a), (values[b], b)));
                sorted.truncate(k);
                sorted.sort_unstable();
                assert_eq!(top_k(&values, k), sorted);
            }
        }
    }
}
