//! Isotonic regression: the best increasing function through points.
//!
//! ```text
//! min Σ_i (y_i - f(x_i))²   over increasing f
//! ```
//!
//! Points of equal `x` count as their mean, as often as they are. Neighbours that are not in order are pooled to their mean
//! until all are; `f` is straight between the points and constant outside.
//!
//! Source: Ayer, Brunk, Ewing, Reid and Silverman, "An empirical distribution function for sampling with incomplete
//! information", Annals of Mathematical Statistics 26(4), 1955 (pooling of adjacent violators).

use alloc::vec::Vec;

use super::interpolate::PiecewiseLinear;
use crate::{Error, Result};

/// Values that were pooled: their mean, how many they are, and the first of their distinct points.
#[derive(Clone, Copy)]
struct Block {
    mean: f64,
    count: f64,
    first: usize,
}

/// Fits an increasing function to `points` of `(x, y)`.
///
/// # Errors
/// [`Error::Empty`], [`Error::NotFinite`] with the index of the first bad point.
///
/// # Example
/// ```
/// let f = limpid::math::isotonic::fit(&[(0.0, 1.0), (1.0, 4.0), (2.0, 2.0)])?;
/// assert_eq!([0.0, 0.5, 1.0, 2.0].map(|x| f.at(x)), [1.0, 2.0, 3.0, 3.0]);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn fit(points: &[(f64, f64)]) -> Result<PiecewiseLinear> {
    if points.is_empty() {
        return Err(Error::Empty { what: "points" });
    }
    if let Some(index) = points.iter().position(|(x, y)| !x.is_finite() || !y.is_finite()) {
        return Err(Error::NotFinite { what: "points", index });
    }
    let mut points = points.to_vec();
    points.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let mut knots = Vec::new();
    let mut blocks: Vec<Block> = Vec::new();
    for equal in points.chunk_by(|a, b| a.0 == b.0) {
        let count = equal.len() as f64;
        let mut block = Block { mean: mean(equal), count, first: knots.len() };
        knots.push(equal[0].0);
        while let Some(before) = blocks.last().copied().filter(|before| before.mean >= block.mean) {
            let count = before.count + block.count;
            // between the two means, whatever the rounding
            let mean = before.mean + (block.mean - before.mean) * (block.count / count);
            block = Block { mean: mean.clamp(block.mean, before.mean), count, first: before.first };
            blocks.pop();
        }
        blocks.push(block);
    }
    let ends = blocks.iter().skip(1).map(|block| block.first).chain([knots.len()]);
    let values = blocks.iter().zip(ends).flat_map(|(block, end)| (block.first..end).map(|_| block.mean)).collect();
    PiecewiseLinear::new(knots, values)
}

/// Mean of the `y`, exactly theirs where all are equal.
fn mean(equal: &[(f64, f64)]) -> f64 {
    let first = equal[0].1;
    first + equal.iter().map(|(_, y)| (y - first) / equal.len() as f64).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use crate::math::random::{below, uniform};

    /// `max_{a <= i} min_{b >= i} mean(y_a..y_b)`, for distinct `x` in order.
    fn naive(y: &[f64]) -> Vec<f64> {
        let mean = |a: usize, b: usize| y[a..=b].iter().sum::<f64>() / (b - a + 1) as f64;
        let least = |a: usize, i: usize| (i..y.len()).map(|b| mean(a, b)).fold(f64::INFINITY, f64::min);
        (0..y.len()).map(|i| (0..=i).map(|a| least(a, i)).fold(f64::NEG_INFINITY, f64::max)).collect()
    }

    #[test]
    fn equals_the_formula_of_largest_and_least_means() {
        for item in 0..if cfg!(miri) { 5 } else { 100 } {
            let mut stream = Seed(3).stream(0, item);
            let n = 1 + below(&mut stream, 12);
            let y: Vec<f64> = (0..n).map(|i| 0.3 * i as f64 + uniform::<f64>(&mut stream)).collect();
            let points: Vec<(f64, f64)> = y.iter().enumerate().map(|(i, y)| (i as f64, *y)).collect();
            let fitted = fit(&points).unwrap();
            assert!(fitted.values().iter().zip(naive(&y)).all(|(a, b)| (a - b).abs() < 1e-12), "{item}");
            assert!(fitted.values().windows(2).all(|pair| pair[0] <= pair[1]));
        }
    }

    #[test]
    fn equal_points_count_as_often_as_they_are() {
        let f = fit(&[(0.0, 0.0), (0.0, 0.0), (0.0, 0.5), (0.0, 1.0), (2.0, 3.0), (10.0, 7.0)]).unwrap();
        assert_eq!([0.0, 1.0, 10.0].map(|x| f.at(x)), [0.375, 1.6875, 7.0]);
        let falling = fit(&[(0.0, 6.0), (1.0, 5.0), (2.0, 5.5), (5.0, 1.0), (7.0, 0.0)]).unwrap();
        assert!((falling.at(3.0) - 3.5).abs() < 1e-12 && falling.at(-1.0) == falling.at(9.0));
        // three violators of unequal weight: (3 + 3 + 0)/3
        assert!((fit(&[(0.0, 3.0), (0.0, 3.0), (1.0, 0.0)]).unwrap().at(0.0) - 2.0).abs() < 1e-15);
    }

    #[test]
    fn bad_points_are_named() {
        assert_eq!(fit(&[]), Err(Error::Empty { what: "points" }));
        assert_eq!(fit(&[(0.0, 1.0), (f64::NAN, 0.0)]), Err(Error::NotFinite { what: "points", index: 1 }));
        assert!(fit(&[(0.0, f64::MAX), (1.0, f64::MIN)]).is_ok_and(|f| f.at(0.0).is_finite()));
    }
}
