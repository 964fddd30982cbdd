//! KernelSHAP: Shapley values as a weighted least-squares fit.
//!
//! ```text
//! min_φ Σ_S π(S) (v(S) - v(∅) - Σ_{i in S} φ_i)²   so that   Σ φ_i = v(N) - v(∅),    π(S) = (M - 1)/(C(M, |S|) |S| (M - |S|))
//! A = Σ π z zᵀ,  b = Σ π z (v(S) - v(∅)):   φ = A⁻¹ (b - λ 1),   λ = (1ᵀ A⁻¹ b - v(N) + v(∅)) / 1ᵀ A⁻¹ 1
//! ```
//!
//! Sizes are taken completely, from the outside in and each with its complements, while the budget has room for as many
//! coalitions as the size deserves; the rest of the weight is sampled in complementary pairs. With all `2^M - 2` coalitions
//! the fit is exact. Nothing is dropped: there is no L1 penalty. (The best-known implementation keeps ten features at most
//! by default and sets the others to 0.) Standard errors linearise the fit around its solution and take batches of pairs as
//! observations.
//!
//! Source: Lundberg and Lee, "A Unified Approach to Interpreting Model Predictions" (2017), section 4.1; Covert and Lee,
//! "Improving KernelSHAP" (2021), <https://arxiv.org/abs/2012.01536>, sections 3 and 4.

use alloc::vec;
use alloc::vec::Vec;

use ndarray::Array2;

use super::coalitions::{Coalitions, toggle};
use super::game::Game;
use super::kernel::{binomial, draw, random_subset, size_shares};
use super::play::{Ends, Play, ROUND, matrix};
use super::summary::{GameAttribution, Summary};
use crate::attribution::{Explained, Status};
use crate::error::check_limit;
use crate::math::solve::Cholesky;
use crate::{Error, Result, Scalar, Seed};

/// Purpose of the random stream of a pair; the item is its number.
const PAIRS: u64 = 0x6b65_726e;

/// Batches of pairs behind a standard error, at most.
const BATCHES: usize = 64;

/// Most players: the fit needs a matrix of their pairs.
const MAX_PLAYERS: usize = 4096;

/// Most coalitions, which are kept with their weights and worth.
const MAX_COALITIONS: usize = 1 << 26;

/// Shapley values by weighted least squares.
///
/// # Example
/// ```
/// use limpid::attribution::perturbation::{KernelShap, Summary, Table};
/// use ndarray::array;
///
/// let mut game = Table::single(array![0.0, 1.0, 3.0, 6.0])?;
/// let found = KernelShap::default().of(&mut game).unwrap();
/// assert!((found.values[[0, 0]] - 2.0_f64).abs() < 1e-12 && found.evaluations == 4);
/// # Ok::<(), limpid::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct KernelShap {
    /// Most coalitions that are asked for, nobody and all included, at most 2²⁶; `None`: `2 M + 2050`.
    pub budget: Option<u64>,
    /// Where the random numbers start.
    pub seed: Seed,
}

impl<T: Scalar> Summary<T> for KernelShap {
    fn of<G: Game<T> + ?Sized>(&self, game: &mut G) -> Explained<GameAttribution<T>, G::Error> {
        let mut play = Play::new(game)?;
        check_limit("players", play.n, MAX_PLAYERS)?;
        let budget = self.budget.unwrap_or(2 * play.n as u64 + 2050).saturating_sub(2);
        let plan = Plan::new(play.n, budget, self.seed)?;
        let ends = play.ends()?;
        if play.n == 1 {
            return Ok(play.result("kernel_shap", &ends.gain().collect::<Vec<_>>(), &ends));
        }
        let mut fit = Fit::new(plan, &ends, play.v);
        fit.ask(&mut play)?;
        let solution = fit.solve()?;
        let values: Vec<f64> = transposed(&solution.values, play.v);
        let mut result = play.result("kernel_shap", &values, &ends);
        if fit.plan.sampled_share > 0.0 {
            result.status = if fit.plan.pairs > 0 { Status::Finished } else { Status::Partial };
            result.seed = Some(self.seed);
            if let Some((errors, batches)) = fit.standard_errors(&solution)? {
                result.standard_error = Some(matrix(&transposed(&errors, play.v), (play.n, play.v)));
                result.units = batches as u64;
            }
        }
        Ok(result)
    }

    fn seed(&self) -> Option<Seed> {
        Some(self.seed)
    }

    fn with_seed(&self, seed: Seed) -> Self {
        Self { seed, ..*self }
    }
}

/// Which coalitions are asked for, and what each weighs.
struct Plan {
    coalitions: Coalitions,
    /// Weight of every coalition; they sum to 1.
    weights: Vec<f64>,
    /// Coalitions before the sampled pairs.
    enumerated: usize,
    pairs: usize,
    /// Weight of the sizes that are sampled.
    sampled_share: f64,
}

impl Plan {
    fn new(n: usize, budget: u64, seed: Seed) -> Result<Self> {
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
}

/// Whole pairs that a number of coalitions has room for.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative, and a float saturates")]
fn pairs_within(coalitions: f64) -> usize {
    (coalitions / 2.0).max(0.0) as usize
}

/// The fit of all values of a game; vectors are one after the other, `(values, players)`.
struct Fit<'a> {
    plan: Plan,
    ends: &'a Ends,
    v: usize,
    /// `v(S) - v(∅)`, `(coalitions, values)`.
    worth: Vec<f64>,
}

/// A solution, and what it takes to change it a little.
struct Solution {
    values: Vec<f64>,
    factor: Cholesky,
    /// `A⁻¹ 1` and its sum.
    ones: Vec<f64>,
    total: f64,
}

impl Solution {
    /// Turns `g` into the `δ` with `A δ + λ 1 = g` and `Σ δ = sum`.
    fn constrained(&self, g: &mut [f64], sum: f64) -> Result<()> {
        self.factor.solve(g)?;
        let lambda = (g.iter().sum::<f64>() - sum) / self.total;
        g.iter_mut().zip(&self.ones).for_each(|(g, one)| *g -= lambda * one);
        Ok(())
    }
}

impl<'a> Fit<'a> {
    fn new(plan: Plan, ends: &'a Ends, v: usize) -> Self {
        Self { plan, ends, v, worth: Vec::new() }
    }

    fn n(&self) -> usize {
        self.plan.coalitions.n_players()
    }

    /// Asks for the worth of all coalitions of the plan.
    fn ask<T: Scalar, G: Game<T> + ?Sized>(&mut self, play: &mut Play<'_, T, G>) -> Explained<(), G::Error> {
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

    fn solve(&self) -> Result<Solution> {
        let n = self.n();
        let (mut a, mut b) = (Array2::zeros((n, n)), vec![0.0; n * self.v]);
        let mut members = Vec::new();
        for (row, (coalition, &weight)) in self.plan.coalitions.iter().zip(&self.plan.weights).enumerate() {
            members.clear();
            members.extend(coalition.members());
            for (at, &i) in members.iter().enumerate() {
                members[..=at].iter().for_each(|&j| a[[i, j]] += weight);
                for value in 0..self.v {
                    b[value * n + i] += weight * self.worth[row * self.v + value];
                }
            }
        }
        let factor = Cholesky::new(&a, "coalitions of the fit")?;
        let mut ones = vec![1.0; n];
        factor.solve(&mut ones)?;
        let total = ones.iter().sum();
        let mut solution = Solution { values: Vec::new(), factor, ones, total };
        for (b, gain) in b.chunks_mut(n).zip(self.ends.gain()) {
            solution.constrained(b, gain)?;
        }
        solution.values = b;
        Ok(solution)
    }

    /// Standard errors `(values, players)` and the number of batches behind them.
    fn standard_errors(&self, solution: &Solution) -> Result<Option<(Vec<f64>, usize)>> {
        let (n, pairs) = (self.n(), self.plan.pairs);
        // the fit itself follows the sampled pairs as far as they carry weight
        let free = pairs as f64 - (n - 1) as f64 * self.plan.sampled_share;
        let batches = pairs.min(BATCHES);
        if free < 1.0 || batches < 2 {
            return Ok(None);
        }
        let mut errors = vec![0.0; n * self.v];
        for value in 0..self.v {
            let mut scores = self.scores(solution, value, batches);
            let mean: Vec<f64> = (0..n).map(|i| scores.iter().map(|s| s[i]).sum::<f64>() / pairs as f64).collect();
            for (batch, score) in scores.iter_mut().enumerate() {
                let size = pairs / batches + usize::from(batch < pairs % batches);
                score.iter_mut().zip(&mean).for_each(|(score, mean)| *score -= size as f64 * mean);
                solution.constrained(score, 0.0)?;
                let slots = errors[value * n..(value + 1) * n].iter_mut();
                slots.zip(score.iter()).for_each(|(error, change)| *error += change * change);
            }
        }
        let scale = batches as f64 / (batches - 1) as f64 * pairs as f64 / free;
        errors.iter_mut().for_each(|error| *error = num_traits::Float::sqrt(*error * scale));
        Ok(Some((errors, batches)))
    }

    /// `Σ π z (v(S) - v(∅) - zᵀ φ)` over the sampled pairs of each batch.
    fn scores(&self, solution: &Solution, value: usize, batches: usize) -> Vec<Vec<f64>> {
        let n = self.n();
        let phi = &solution.values[value * n..(value + 1) * n];
        let mut scores = vec![vec![0.0; n]; batches];
        for row in self.plan.enumerated..self.plan.coalitions.len() {
            let coalition = self.plan.coalitions.row(row);
            let told: f64 = coalition.members().map(|player| phi[player]).sum();
            let rest = self.plan.weights[row] * (self.worth[row * self.v + value] - told);
            let score = &mut scores[(row - self.plan.enumerated) / 2 % batches];
            coalition.members().for_each(|player| score[player] += rest);
        }
        scores
    }
}

/// `(values, players)` as `(players, values)`.
fn transposed(x: &[f64], v: usize) -> Vec<f64> {
    let n = x.len() / v;
    (0..n * v).map(|at| x[at % v * n + at / v]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::perturbation::{ExactShapley, GameFunction, Table};
    use ndarray::{ArrayRef2, array};

    fn noise(players: usize) -> Table<f64> {
        let worth = |i: usize| libm::sin(1.7 * (i * i) as f64 + 0.3) * 3.0 + i.count_ones() as f64;
        Table::new(Array2::from_shape_fn((1 << players, 2), |(i, value)| worth(i + value))).unwrap()
    }

    #[test]
    fn all_coalitions_give_the_exact_values() {
        for players in 1..8 {
            let exact = ExactShapley::default().of(&mut noise(players)).unwrap();
            let found = KernelShap::default().of(&mut noise(players)).unwrap();
            assert!((found.values - exact.values).iter().all(|e| e.abs() < 1e-11), "{players}");
            assert_eq!((found.evaluations, found.status), (1 << players, Status::Exact));
        }
    }

    #[test]
    fn samples_come_close_and_say_how_close() {
        let exact = ExactShapley::default().of(&mut noise(9)).unwrap();
        for budget in [300, 400] {
            let found = KernelShap { budget: Some(budget), ..KernelShap::default() }.of(&mut noise(9)).unwrap();
            let errors = found.standard_error.as_ref().unwrap();
            for ((value, exact), error) in found.values.iter().zip(&exact.values).zip(errors) {
                assert!((value - exact).abs() < 5.0 * error && *error < 0.5 && *error > 0.0);
            }
            assert!(found.evaluations <= budget && found.status == Status::Finished);
            assert!(found.delta().iter().all(|delta| delta.abs() < 1e-10));
        }
    }

    #[test]
    fn an_additive_game_of_many_players_is_found_exactly() {
        let mut game = GameFunction::new((70, 1), |coalitions: &Coalitions, out: &mut ArrayRef2<f64>| {
            for (coalition, out) in coalitions.iter().zip(out.iter_mut()) {
                *out = coalition.members().map(|player| player as f64).sum::<f64>() - 4.0;
            }
            Ok::<(), ()>(())
        });
        let found = KernelShap::default().of(&mut game).unwrap();
        assert!(found.values.iter().enumerate().all(|(i, value)| (value - i as f64).abs() < 1e-9));
        assert!(found.standard_error.unwrap().iter().all(|error| *error < 1e-9));
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
        let too_few = KernelShap { budget: Some(6), ..KernelShap::default() }.of(&mut noise(9));
        assert!(matches!(too_few, Err(crate::attribution::Failure::Input(Error::Singular { .. }))));
    }

    #[test]
    fn transposed_twice_is_the_same() {
        assert_eq!(transposed(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 2), array![1.0, 4.0, 2.0, 5.0, 3.0, 6.0].to_vec());
    }
}
