//! Orthogonal random directions whose coordinates, put in order, are random permutations.
//!
//! Directions are drawn in the plane `Σ_i x_i = 0`, normal and so without a preferred direction, and made orthogonal to
//! each other by Gram and Schmidt. Each alone is uniform over directions of the plane, so the order of its coordinates is
//! uniform over permutations; together they spread out.
//!
//! Source: Mitchell, Cooper, Frank and Holmes, "Sampling Permutations for Shapley Value Estimation", JMLR 23 (2022),
//! <https://arxiv.org/abs/2104.12199>, section 4.1.

use alloc::vec;
use alloc::vec::Vec;

use rand::Rng;

use crate::math::random::fill_normal;

/// `count < n` orthogonal directions `(n)` in the plane of sum 0.
pub(crate) fn directions(stream: &mut impl Rng, n: usize, count: usize) -> Vec<Vec<f64>> {
    let mut found: Vec<Vec<f64>> = Vec::with_capacity(count);
    while found.len() < count.min(n.saturating_sub(1)) {
        let mut next = vec![0.0; n];
        fill_normal(stream, 1.0, &mut next);
        // twice is enough to be orthogonal to working precision
        for _ in 0..2 {
            let mean = next.iter().sum::<f64>() / n as f64;
            next.iter_mut().for_each(|x| *x -= mean);
            for other in &found {
                let share: f64 = next.iter().zip(other).map(|(a, b)| a * b).sum();
                next.iter_mut().zip(other).for_each(|(a, b)| *a -= share * b);
            }
        }
        let norm = num_traits::Float::sqrt(next.iter().map(|x| x * x).sum::<f64>());
        // a draw that lay in the span of the others says nothing; the next one will not
        if norm > 1e-8 {
            next.iter_mut().for_each(|x| *x /= norm);
            found.push(next);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;

    #[test]
    fn they_are_orthogonal_and_sum_to_nothing() {
        let found = directions(&mut Seed(3).stream(0, 0), 7, 6);
        assert_eq!(found.len(), 6);
        for (i, a) in found.iter().enumerate() {
            assert!(a.iter().sum::<f64>().abs() < 1e-12);
            for (j, b) in found.iter().enumerate() {
                let product: f64 = a.iter().zip(b).map(|(a, b)| a * b).sum();
                assert!((product - f64::from(u8::from(i == j))).abs() < 1e-12);
            }
        }
    }
}
