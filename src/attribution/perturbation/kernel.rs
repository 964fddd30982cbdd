//! The Shapley kernel: how much coalitions of each size count in the regression whose solution are Shapley values.
//!
//! ```text
//! weight of a coalition of k players   (M - 1) / (C(M, k) k (M - k))      so of the size k   p_k ∝ 1 / (k (M - k))
//! E[z_i z_j] under it                  p₂ = Σ_{k=2}^{M-1} (k-1)/(M-k)  /  ( M (M-1) Σ_{k=1}^{M-1} 1/(k (M-k)) ),  i ≠ j
//! ```
//!
//! Source: Lundberg and Lee, "A Unified Approach to Interpreting Model Predictions" (2017), theorem 2; Covert and Lee,
//! "Improving KernelSHAP: Practical Shapley Value Estimation via Linear Regression" (2021),
//! <https://arxiv.org/abs/2012.01536>, appendix, for `p₂`.

use alloc::vec::Vec;

use rand::Rng;

use super::coalitions::toggle;
use crate::math::random::{below, uniform};

/// Share `p_k` of every size `1..n`, summing to 1; entry 0 belongs to the size 1.
pub(crate) fn size_shares(n: usize) -> Vec<f64> {
    let share = |k: usize| 1.0 / (k as f64 * (n - k) as f64);
    let total: f64 = (1..n).map(share).sum();
    (1..n).map(|k| share(k) / total).collect()
}

/// `p₂`, the chance that two given players are both in a coalition.
pub(crate) fn both_present(n: usize) -> f64 {
    let pairs: f64 = (2..n).map(|k| (k - 1) as f64 / (n - k) as f64).sum();
    let total: f64 = (1..n).map(|k| 1.0 / (k as f64 * (n - k) as f64)).sum();
    pairs / (n as f64 * (n - 1) as f64 * total)
}

/// `C(n, k)`, rounded.
pub(crate) fn binomial(n: usize, k: usize) -> f64 {
    (0..k).fold(1.0, |product, i| product * (n - i) as f64 / (i + 1) as f64)
}

/// Draws an index with the given weights, which need not be normalised.
pub(crate) fn draw(stream: &mut impl Rng, weights: &[f64]) -> usize {
    let mut left = uniform::<f64>(stream) * weights.iter().sum::<f64>();
    for (index, weight) in weights.iter().enumerate() {
        if left < *weight {
            return index;
        }
        left -= weight;
    }
    // rounding alone leads here
    weights.iter().rposition(|weight| *weight > 0.0).unwrap_or(0)
}

/// Writes a uniformly random coalition of `k` of `n` players.
///
/// Floyd's method: each step adds one player, so that it costs `k` draws and no list of all players.
pub(crate) fn random_subset(stream: &mut impl Rng, n: usize, k: usize, words: &mut [u64]) {
    words.fill(0);
    for last in n - k..n {
        let player = below(stream, last + 1);
        let taken = words[player / 64] >> (player % 64) & 1 == 1;
        toggle(words, if taken { last } else { player });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;

    #[test]
    fn the_chance_of_two_players() {
        let expected =
            [(2, 0.0), (3, 1.0 / 6.0), (4, 0.227_272_7), (5, 0.26), (10, 0.323_257_118_8), (100, 0.403_426_010_9)];
        for (n, p) in expected {
            assert!((both_present(n) - p).abs() < 1e-7, "{n}");
        }
    }

    #[test]
    fn subsets_are_uniform() {
        let (mut stream, mut counts) = (Seed(1).stream(0, 0), [0; 32]);
        for _ in 0..10_000 {
            let mut words = [0];
            random_subset(&mut stream, 5, 2, &mut words);
            assert_eq!(words[0].count_ones(), 2);
            counts[usize::try_from(words[0]).unwrap()] += 1;
        }
        assert!(counts.iter().filter(|&&count| count > 0).all(|&count| (count - 1000_i32).abs() < 150));
        let shares = size_shares(4);
        assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-15 && (shares[0] / shares[1] - 4.0 / 3.0).abs() < 1e-14);
        assert_eq!(draw(&mut stream, &[0.0, 1.0, 0.0]), 1);
    }
}
