//! The weighted least-squares fit behind KernelSHAP and its relative with pairs: which coalitions, and how they are solved
//! for.
//!
//! ```text
//! min_φ Σ_S π(S) (v(S) - v(∅) - zᵀ φ)²   so that   Σ φ = v(N) - v(∅),    z_t = 1 where the players of term t are all in S
//! A = Σ π z zᵀ,  b = Σ π z (v(S) - v(∅)):   φ = A⁻¹ (b - λ 1),   λ = (1ᵀ A⁻¹ b - v(N) + v(∅)) / 1ᵀ A⁻¹ 1
//! ```

use alloc::vec;
use alloc::vec::Vec;

use ndarray::Array2;

use super::coalitions::{Coalition, Coalitions, toggle};
use super::game::Game;
use super::kernel::{binomial, draw, random_subset, size_shares};
use super::play::{Ends, Play, ROUND};
use crate::attribution::Explained;
use crate::error::check_limit;
use crate::math::simd::{Mask, Select, Simd, SimdBase, SimdMask, Vector, dispatch, level, load_part, store_part};
use crate::math::solve::Cholesky;
use crate::{Error, Result, Scalar, Seed};

/// Purpose of the random stream of a pair; the item is its number.
const PAIRS: u64 = 0x6b65_726e;

/// Batches of pairs behind a standard error, at most.
const BATCHES: usize = 64;

/// Most coalitions, which are kept with their weights and worth.
const MAX_COALITIONS: usize = 1 << 26;

/// Which coalitions are asked for, and what each weighs.
pub(crate) struct Plan {
    coalitions: Coalitions,
    /// Weight of every coalition; they sum to 1.
    weights: Vec<f64>,
    /// Coalitions before the sampled pairs.
    enumerated: usize,
    pub(crate) pairs: usize,
    /// Weight of the sizes that are sampled.
    pub(crate) sampled_share: f64,
}

impl Plan {
    pub(crate) fn new(n: usize, budget: u64, seed: Seed) -> Result<Self> {
        let (coalitions, weights) = (Coalitions::new(n), Vec::new());
        let mut plan = Self { coalitions, weights, enumerated: 0, pairs: 0, sampled_share: 0.0 };
        if n == 1 {
            return Ok(plan);
        }
        let all = u32::try_from(n).ok().and_then(|n| 1_u64.checked_shl(n)).unwrap_or(u64::MAX);
        check_limit("coalitions", usize::try_from(budget.min(all)).unwrap_or(usize::MAX), MAX_COALITIONS)?;
        let (mut shares, mut left) = (size_shares(n), budget as f64);
        // small and large sizes come together: the pair of sizes k and n - k
        for k in 1..=n / 2 {
            let mirrored = k != n - k;
            let share = shares[k - 1] * if mirrored { 2.0 } else { 1.0 };
            let rest: f64 = shares.iter().sum();
            let count = binomial(n, k) * if mirrored { 2.0 } else { 1.0 };
            if left * share / rest / count < 1.0 - 1e-8 {
                break;
            }
            plan.enumerate(n, k, mirrored, share / count);
            left -= count;
            (shares[k - 1], shares[n - k - 1]) = (0.0, 0.0);
        }
        plan.enumerated = plan.coalitions.len();
        plan.sampled_share = shares.iter().sum();
        if plan.sampled_share > 0.0 {
            plan.sample(n, &shares, pairs_within(left), seed);
        }
        if plan.coalitions.is_empty() {
            let expected = "at least one pair of coalitions and the two end points";
            return Err(Error::OutOfRange { what: "budget", index: 0, value: budget as f64, expected });
        }
        Ok(plan)
    }

    /// Appends all coalitions of `k` players, and their complements where those have another size.
    fn enumerate(&mut self, n: usize, k: usize, mirrored: bool, weight: f64) {
        let (mut members, mut words): (Vec<usize>, _) = ((0..k).collect(), vec![0_u64; n.div_ceil(64)]);
        loop {
            words.fill(0);
            members.iter().for_each(|&player| toggle(&mut words, player));
            self.coalitions.push_words(&words);
            self.weights.push(weight);
            if mirrored {
                self.coalitions.push_complement(&words);
                self.weights.push(weight);
            }
            // the last member that can move up does, and those after it follow close behind
            let Some(at) = (0..k).rev().find(|&at| members[at] < n - k + at) else {
                return;
            };
            members[at] += 1;
            for next in at + 1..k {
                members[next] = members[next - 1] + 1;
            }
        }
    }

    /// Appends random coalitions, each with its complement.
    fn sample(&mut self, n: usize, shares: &[f64], pairs: usize, seed: Seed) {
        let mut words = vec![0_u64; n.div_ceil(64)];
        let weight = self.sampled_share / (2 * pairs.max(1)) as f64;
        for pair in 0..pairs {
            let mut stream = seed.stream(PAIRS, pair as u64);
            let size = draw(&mut stream, shares) + 1;
            random_subset(&mut stream, n, size, &mut words);
            self.coalitions.push_words(&words);
            self.coalitions.push_complement(&words);
            self.weights.extend([weight; 2]);
        }
        self.pairs = pairs;
    }

    /// `Σ π z zᵀ`, its lower half: coalitions of one weight are counted 64 at a time, a bit for each that a term is in.
    fn gram(&self, terms: Terms) -> Array2<f64> {
        let n = terms.count();
        let (mut a, mut present) = (Array2::zeros((n, n)), vec![0_u64; n]);
        let mut members = Vec::new();
        let mut start = 0;
        while start < self.weights.len() {
            let weight = self.weights[start];
            let same = self.weights[start..].iter().take(64).take_while(|&&other| other == weight).count();
            present.fill(0);
            for at in 0..same {
                terms.of(self.coalitions.row(start + at), &mut members);
                members.iter().for_each(|&term| present[term] |= 1 << at);
            }
            let sums = a.as_slice_mut().unwrap_or_default();
            dispatch!(level(), simd => count_together(simd, &present, weight, sums));
            start += same;
        }
        a
    }
}

/// Adds `weight` times the number of common bits to the lower half of `sums: (n, n)`.
#[inline(always)]
fn count_together<S: Simd>(_: S, present: &[u64], weight: f64, sums: &mut [f64]) {
    let n = present.len();
    for i in 0..n {
        let (here, row) = (present[i], &mut sums[i * n..=i * n + i]);
        for (sum, there) in row.iter_mut().zip(present) {
            *sum += weight * f64::from((here & there).count_ones());
        }
    }
}

/// Adds `amount` to the sums of members.
#[inline(always)]
fn add_to_members<S: Simd>(simd: S, words: &[u64], amount: f64, sums: &mut [f64]) {
    let amount = Vector::<f64, S>::splat(simd, amount);
    for (group, sums) in sums.chunks_mut(8).enumerate() {
        let member = Mask::<f64, S>::from_bitmask(simd, words[group / 8] >> (group % 8 * 8));
        let old = load_part::<f64, S>(simd, sums);
        store_part::<f64, S>(Select::select(member, old + amount, old), sums);
    }
}

/// Whole pairs that a number of coalitions has room for.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative, and a float saturates")]
fn pairs_within(coalitions: f64) -> usize {
    (coalitions / 2.0).max(0.0) as usize
}

/// What a coalition's worth is a sum of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    n: usize,
    with_pairs: bool,
}

impl Terms {
    /// One number for every player.
    pub(crate) fn players(n: usize) -> Self {
        Self { n, with_pairs: false }
    }

    /// One number for every player, and then one for every pair `(0, 1), (0, 2), ..`.
    pub(crate) fn players_and_pairs(n: usize) -> Self {
        Self { n, with_pairs: true }
    }

    pub(crate) fn count(self) -> usize {
        self.n + if self.with_pairs { self.n * (self.n - 1) / 2 } else { 0 }
    }

    /// The term of the pair `i < j`.
    pub(crate) fn pair(self, i: usize, j: usize) -> usize {
        self.n + i * (2 * self.n - i - 1) / 2 + j - i - 1
    }

    /// Adds `amount` to those of `sums: (terms)` that belong to a coalition; its `terms` are read where there are pairs.
    fn add(self, coalition: Coalition<'_>, terms: &[usize], amount: f64, sums: &mut [f64]) {
        if self.with_pairs {
            return terms.iter().for_each(|&term| sums[term] += amount);
        }
        dispatch!(level(), simd => add_to_members(simd, coalition.words(), amount, sums));
    }

    /// Terms of a coalition, ascending.
    fn of(self, coalition: Coalition<'_>, terms: &mut Vec<usize>) {
        terms.clear();
        // each member is handed over from within, which is faster than being asked for one by one
        coalition.members().for_each(|member| terms.push(member));
        if self.with_pairs {
            let members = terms.len();
            for first in 0..members {
                for second in first + 1..members {
                    terms.push(self.pair(terms[first], terms[second]));
                }
            }
        }
    }
}

/// The fit of all values of a game; vectors are one after the other, `(values, terms)`.
pub(crate) struct Fit<'a> {
    pub(crate) plan: Plan,
    terms: Terms,
    ends: &'a Ends,
    v: usize,
    /// `v(S) - v(∅)`, `(coalitions, values)`.
    worth: Vec<f64>,
}

/// A solution, and what it takes to change it a little.
pub(crate) struct Solution {
    pub(crate) values: Vec<f64>,
    factor: Cholesky,
    /// `A⁻¹ 1` and its sum.
    ones: Vec<f64>,
    total: f64,
}

impl Solution {
    /// Turns `A⁻¹ g` into the `δ` with `A δ + λ 1 = g` and `Σ δ = sum`.
    fn constrain(&self, g: &mut [f64], sum: f64) {
        let lambda = (g.iter().sum::<f64>() - sum) / self.total;
        g.iter_mut().zip(&self.ones).for_each(|(g, one)| *g -= lambda * one);
    }
}

impl<'a> Fit<'a> {
    pub(crate) fn new(plan: Plan, terms: Terms, ends: &'a Ends, v: usize) -> Self {
        Self { plan, terms, ends, v, worth: Vec::new() }
    }

    /// Asks for the worth of all coalitions of the plan.
    pub(crate) fn ask<T: Scalar, G: Game<T> + ?Sized>(&mut self, play: &mut Play<'_, T, G>) -> Explained<(), G::Error> {
        let mut round = Coalitions::new(play.n);
        let total = self.plan.coalitions.len();
        for start in (0..total).step_by(ROUND) {
            round.clear();
            (start..total.min(start + ROUND)).for_each(|row| round.push_words(self.plan.coalitions.row(row).words()));
            for row in play.values(&round)?.rows() {
                self.worth.extend(row.iter().zip(&self.ends.base).map(|(value, base)| value.as_f64() - base));
            }
        }
        Ok(())
    }

    pub(crate) fn solve(&self) -> Result<Solution> {
        let n = self.terms.count();
        let mut b = vec![0.0; n * self.v];
        let mut terms = Vec::new();
        for (row, (coalition, &weight)) in self.plan.coalitions.iter().zip(&self.plan.weights).enumerate() {
            if self.terms.with_pairs {
                self.terms.of(coalition, &mut terms);
            }
            let worth = self.worth[row * self.v..(row + 1) * self.v].iter();
            for (worth, sums) in worth.zip(b.chunks_exact_mut(n)) {
                self.terms.add(coalition, &terms, weight * worth, sums);
            }
        }
        let factor = Cholesky::new(&self.plan.gram(self.terms), "coalitions of the fit")?;
        let mut ones = vec![1.0; n];
        factor.solve(&mut ones)?;
        let total = ones.iter().sum();
        let mut solution = Solution { values: Vec::new(), factor, ones, total };
        for (b, gain) in b.chunks_mut(n).zip(self.ends.gain()) {
            solution.factor.solve(b)?;
            solution.constrain(b, gain);
        }
        solution.values = b;
        Ok(solution)
    }

    /// Standard errors `(values, terms)` and the number of batches behind them.
    pub(crate) fn standard_errors(&self, solution: &Solution) -> Result<Option<(Vec<f64>, usize)>> {
        let (n, pairs) = (self.terms.count(), self.plan.pairs);
        // the fit itself follows the sampled pairs as far as they carry weight
        let free = pairs as f64 - (n - 1) as f64 * self.plan.sampled_share;
        let batches = pairs.min(BATCHES);
        if free < 1.0 || batches < 2 {
            return Ok(None);
        }
        let mut errors = vec![0.0; n * self.v];
        for (value, errors) in errors.chunks_exact_mut(n).enumerate() {
            let scores = self.scores(solution, value, batches);
            let mean: Vec<f64> = (0..n).map(|i| scores.iter().map(|s| s[i]).sum::<f64>() / pairs as f64).collect();
            let size = |batch: usize| pairs / batches + usize::from(batch < pairs % batches);
            let centred = |(i, batch): (usize, usize)| scores[batch][i] - size(batch) as f64 * mean[i];
            let mut changes = Array2::from_shape_fn((n, batches), centred);
            solution.factor.solve_columns(&mut changes)?;
            for change in changes.columns() {
                let mut change = change.to_vec();
                solution.constrain(&mut change, 0.0);
                errors.iter_mut().zip(change).for_each(|(error, change)| *error += change * change);
            }
        }
        let scale = batches as f64 / (batches - 1) as f64 * pairs as f64 / free;
        errors.iter_mut().for_each(|error| *error = num_traits::Float::sqrt(*error * scale));
        Ok(Some((errors, batches)))
    }

    /// `Σ π z (v(S) - v(∅) - zᵀ φ)` over the sampled pairs of each batch.
    fn scores(&self, solution: &Solution, value: usize, batches: usize) -> Vec<Vec<f64>> {
        let (n, mut terms) = (self.terms.count(), Vec::new());
        let phi = &solution.values[value * n..(value + 1) * n];
        let mut scores = vec![vec![0.0; n]; batches];
        for row in self.plan.enumerated..self.plan.coalitions.len() {
            let coalition = self.plan.coalitions.row(row);
            self.terms.of(coalition, &mut terms);
            let told: f64 = terms.iter().map(|&term| phi[term]).sum();
            let rest = self.plan.weights[row] * (self.worth[row * self.v + value] - told);
            let score = &mut scores[(row - self.plan.enumerated) / 2 % batches];
            self.terms.add(coalition, &terms, rest, score);
        }
        scores
    }
}

/// `(values, terms)` as `(terms, values)`.
pub(crate) fn transposed(x: &[f64], v: usize) -> Vec<f64> {
    let n = x.len() / v;
    (0..n * v).map(|at| x[at % v * n + at / v]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn pairs_are_numbered_one_after_the_other() {
        let terms = Terms::players_and_pairs(5);
        let pairs = (0..5).flat_map(|i| (i + 1..5).map(move |j| (i, j)));
        assert!(pairs.enumerate().all(|(at, (i, j))| terms.pair(i, j) == 5 + at));
        assert_eq!((terms.count(), Terms::players(5).count(), Terms::players_and_pairs(1).count()), (15, 5, 1));
        let (mut coalitions, mut found) = (Coalitions::new(5), Vec::new());
        coalitions.push([0, 2, 4]).unwrap();
        terms.of(coalitions.row(0), &mut found);
        assert_eq!(found, [0, 2, 4, 6, 8, 13]);
    }

    #[test]
    fn outer_sizes_come_first() {
        let plan = Plan::new(10, 150, Seed(0)).unwrap();
        assert_eq!((plan.enumerated, plan.pairs), (20, 65));
        assert!((plan.weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        let plan = Plan::new(4, 14, Seed(0)).unwrap();
        assert_eq!((plan.enumerated, plan.pairs, plan.sampled_share), (14, 0, 0.0));
        assert!(Plan::new(10, 1, Seed(0)).is_err());
        // more than there are is no harm, more than can be kept is
        assert_eq!(Plan::new(4, u64::MAX, Seed(0)).unwrap().enumerated, 14);
        assert!(matches!(Plan::new(40, u64::MAX, Seed(0)), Err(Error::TooLarge { what: "coalitions", .. })));
    }

    #[test]
    fn transposed_twice_is_the_same() {
        assert_eq!(transposed(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 2), array![1.0, 4.0, 2.0, 5.0, 3.0, 6.0].to_vec());
    }
}
