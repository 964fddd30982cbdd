//! Unbiased KernelSHAP in closed form: Shapley values from sampled coalitions, without a linear system.
//!
//! ```text
//! b = E[z (v(z) - v(∅))],   A = E[z zᵀ] = (½ - p₂) I + p₂ 1 1ᵀ
//! φ_i = (b_i - mean b) / (½ - p₂) + (v(N) - v(∅)) / M
//! ```
//!
//! Coalitions `z` are drawn from the Shapley kernel, whose matrix `A` is known and has the inverse above up to multiples of
//! `1`, which the constraint `Σ φ_i = v(N) - v(∅)` decides. So every coalition costs `M` additions, its estimate is unbiased
//! by itself, and errors are those of a mean. Pairs `z, 1 - z` are drawn together and make one observation.
//!
//! Source: Covert and Lee, "Improving KernelSHAP: Practical Shapley Value Estimation via Linear Regression" (2021),
//! <https://arxiv.org/abs/2012.01536>, sections 3.2 and 4; the inverse of `A` is derived here.

use alloc::vec;
use alloc::vec::Vec;

use ndarray::ArrayView2;

use super::coalitions::Coalitions;
use super::exact_shapley::shapley;
use super::game::Game;
use super::kernel::{both_present, draw, random_subset, size_shares};
use super::play::{Ends, Play};
use super::sampling::{Sampling, Unit, sample, sampled};
use super::summary::{GameAttribution, Summary};
use crate::attribution::Explained;
use crate::{Scalar, Seed};

/// Purpose of the random stream of a pair; the item is its number.
const PAIRS: u64 = 0x756e_6269;

/// Shapley values by unbiased KernelSHAP; exact by itself where all coalitions fit into the budget.
///
/// # Example
/// ```
/// use limpid::attribution::perturbation::{Sampling, Summary, Table, UnbiasedKernelShap};
/// use ndarray::array;
///
/// let mut game = Table::single(array![0.0, 1.0, 3.0, 6.0])?;
/// let sampling = Sampling { exact: false, ..Sampling::default() };
/// let found = UnbiasedKernelShap { sampling, ..UnbiasedKernelShap::default() }.of(&mut game).unwrap();
/// // two players: one pair is all there is
/// assert!((found.values[[1, 0]] - 4.0_f64).abs() < 1e-12);
/// # Ok::<(), limpid::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct UnbiasedKernelShap {
    /// Whether coalitions are drawn together with their complements.
    pub paired: bool,
    /// How many, and from which seed.
    pub sampling: Sampling,
}

impl Default for UnbiasedKernelShap {
    fn default() -> Self {
        Self { paired: true, sampling: Sampling::default() }
    }
}

impl<T: Scalar> Summary<T> for UnbiasedKernelShap {
    fn of<G: Game<T> + ?Sized>(&self, game: &mut G) -> Explained<GameAttribution<T>, G::Error> {
        self.sampling.check()?;
        let mut play = Play::new(game)?;
        if self.sampling.all(&play) {
            return shapley(&mut play);
        }
        let ends = play.ends()?;
        if play.n == 1 {
            return Ok(play.result("unbiased_kernel_shap", &ends.gain().collect::<Vec<_>>(), &ends));
        }
        let len = play.n * play.v;
        let mut pairs = Pairs::new(self, &ends, (play.n, play.v));
        let found = sample(&mut play, &self.sampling, &mut pairs, len)?;
        Ok(sampled(&play, "unbiased_kernel_shap", &found, &ends, self.sampling.seed))
    }

    fn seed(&self) -> Option<Seed> {
        Some(self.sampling.seed)
    }

    fn with_seed(&self, seed: Seed) -> Self {
        Self { sampling: Sampling { seed, ..self.sampling }, ..*self }
    }
}

/// Coalitions from the kernel, alone or in pairs.
struct Pairs<'a> {
    paired: bool,
    seed: Seed,
    ends: &'a Ends,
    shares: Vec<f64>,
    /// `1 / (½ - p₂)`.
    inverse: f64,
    words: Vec<u64>,
    /// First coalitions of the units of this round.
    drawn: Coalitions,
    v: usize,
    /// What members and absent players are given, and the mean over all players; `(values)` each.
    member: Vec<f64>,
    absent: Vec<f64>,
    mean: Vec<f64>,
}

impl<'a> Pairs<'a> {
    fn new(method: &UnbiasedKernelShap, ends: &'a Ends, (n, v): (usize, usize)) -> Self {
        let (shares, inverse) = (size_shares(n), 1.0 / (0.5 - both_present(n)));
        let (words, drawn) = (vec![0; n.div_ceil(64)], Coalitions::new(n));
        let [member, absent, mean] = [(); 3].map(|()| vec![0.0; v]);
        let (paired, seed) = (method.paired, method.sampling.seed);
        Self { paired, seed, ends, shares, inverse, words, drawn, v, member, absent, mean }
    }

    /// Writes the estimate from what members and absent players of a coalition are given.
    fn spread(&mut self, slot: usize, estimate: &mut [f64]) {
        let coalition = self.drawn.row(slot);
        let (n, size) = (coalition.n_players() as f64, coalition.size() as f64);
        for ((mean, member), absent) in self.mean.iter_mut().zip(&self.member).zip(&self.absent) {
            *mean = (size * member + (n - size) * absent) / n;
        }
        for (player, row) in estimate.chunks_mut(self.v).enumerate() {
            let given = if coalition.contains(player) { &self.member } else { &self.absent };
            let parts = given.iter().zip(&self.mean).zip(self.ends.gain());
            for (slot, ((given, mean), gain)) in row.iter_mut().zip(parts) {
                *slot = (given - mean) * self.inverse + gain / n;
            }
        }
    }
}

impl<T: Scalar> Unit<T> for Pairs<'_> {
    fn cost(&self) -> usize {
        if self.paired { 2 } else { 1 }
    }

    fn draw(&mut self, unit: u64, slot: usize, coalitions: &mut Coalitions) {
        if slot == 0 {
            self.drawn.clear();
        }
        let mut stream = self.seed.stream(PAIRS, unit);
        let size = draw(&mut stream, &self.shares) + 1;
        random_subset(&mut stream, coalitions.n_players(), size, &mut self.words);
        self.drawn.push_words(&self.words);
        coalitions.push_words(&self.words);
        if self.paired {
            coalitions.push_complement(&self.words);
        }
    }

    fn estimate(&mut self, slot: usize, worth: ArrayView2<'_, T>, estimate: &mut [f64]) {
        let half = if self.paired { 0.5 } else { 1.0 };
        for (value, base) in self.ends.base.iter().enumerate() {
            let given = |row: usize| half * (worth[[row, value]].as_f64() - base);
            self.member[value] = given(0);
            self.absent[value] = if self.paired { given(1) } else { 0.0 };
        }
        self.spread(slot, estimate);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::noise;
    use super::*;
    use crate::attribution::perturbation::ExactShapley;
    use ndarray::Array2;

    #[test]
    fn the_expectation_is_exact() {
        for (paired, n) in [(false, 5), (true, 5), (true, 2), (true, 6)] {
            let mut game = noise(n);
            let exact = ExactShapley::default().of(&mut game).unwrap().values;
            let mut play = Play::new(&mut game).unwrap();
            let ends = play.ends().unwrap();
            let method = UnbiasedKernelShap { paired, ..UnbiasedKernelShap::default() };
            let mut pairs = Pairs::new(&method, &ends, (n, 1));
            let (mut sum, mut total) = (Array2::zeros((n, 1)), 0.0);
            for mask in 1..(1_u64 << n) - 1 {
                let mut coalitions = Coalitions::new(n);
                coalitions.push_words(&[mask]);
                pairs.drawn = coalitions.clone();
                if paired {
                    coalitions.push_complement(&[mask]);
                }
                let k = mask.count_ones() as usize;
                let count = (0..k).fold(1.0, |c, i| c * (n - i) as f64 / (i + 1) as f64);
                let chance = pairs.shares[k - 1] / count;
                let mut estimate = vec![0.0; n];
                pairs.estimate(0, play.values(&coalitions).unwrap(), &mut estimate);
                sum.iter_mut().zip(&estimate).for_each(|(sum, estimate)| *sum += chance * estimate);
                total += chance;
            }
            assert!((total - 1.0).abs() < 1e-14);
            assert!((sum - exact).iter().all(|e: &f64| e.abs() < 1e-13), "{paired} {n}");
        }
    }

    #[test]
    fn samples_come_close_and_say_how_close() {
        let exact = ExactShapley::default().of(&mut noise(6)).unwrap();
        for paired in [false, true] {
            let sampling = Sampling { budget: 20_000, exact: false, ..Sampling::default() };
            let found = UnbiasedKernelShap { paired, sampling }.of(&mut noise(6)).unwrap();
            let error = found.standard_error.as_ref().unwrap();
            for ((value, exact), error) in found.values.iter().zip(&exact.values).zip(error) {
                assert!((value - exact).abs() < 5.0 * error && *error < 0.3);
            }
            assert!(found.delta()[0].abs() < 1e-10);
        }
    }
}
