//! Banzhaf values: the mean marginal contribution when everybody else tosses a coin.
//!
//! ```text
//! β_i = 2^{1-M} Σ_{S ∌ i} (v(S ∪ i) - v(S)) = E_S [ ±2 v(S) ],   + where i is in S
//! ```
//!
//! Exact from all coalitions, or from random ones: a coalition and its complement give every player an unbiased estimate
//! `± (v(S) - v(N \ S))`, or, with [`BanzhafSamples::Flips`], a coalition and its `M` neighbours give the marginal
//! contribution of each player at `S`. The former spread with the size of all values, the latter with interactions alone.
//!
//! Source: Banzhaf, "Weighted voting doesn't work" (1965); Wang and Jia, "Data Banzhaf: A Robust Data Valuation Framework
//! for Machine Learning" (2023), <https://arxiv.org/abs/2205.15466>, for the reuse of every coalition for every player.

use alloc::vec;
use alloc::vec::Vec;

use ndarray::ArrayView2;

use super::coalitions::{Coalitions, Ones, toggle};
use super::exact_shapley::every_coalition;
use super::game::Game;
use super::play::Play;
use super::sampling::{Sampling, Unit, sample, sampled};
use super::summary::{GameAttribution, Summary};
use crate::attribution::Explained;
use crate::{Scalar, Seed};

/// Purpose of the random stream of a unit; the item is its number.
const COALITIONS: u64 = 0x6261_6e7a;

/// Banzhaf values; exact by itself where all coalitions fit into the budget. They need not add up to `v(N) - v(∅)`.
///
/// # Example
/// ```
/// use limpid::attribution::perturbation::{Banzhaf, Summary, Table};
/// use ndarray::array;
///
/// // a majority of three: each player decides in half of the cases
/// let mut game = Table::single(array![0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 1.0])?;
/// let found = Banzhaf::default().of(&mut game).unwrap();
/// assert_eq!(found.values, array![[0.5], [0.5], [0.5]]);
/// # Ok::<(), limpid::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Banzhaf {
    /// What is drawn.
    pub samples: BanzhafSamples,
    /// How many, and from which seed.
    pub sampling: Sampling,
}

/// What is drawn together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum BanzhafSamples {
    /// A coalition and its complement.
    #[default]
    Pairs,
    /// A coalition and all that differ from it by one player; `M + 1` coalitions.
    Flips,
}

impl<T: Scalar> Summary<T> for Banzhaf {
    fn of<G: Game<T> + ?Sized>(&self, game: &mut G) -> Explained<GameAttribution<T>, G::Error> {
        self.sampling.check()?;
        let mut play = Play::new(game)?;
        if self.sampling.all(&play) {
            return exact(&mut play);
        }
        let ends = play.ends()?;
        let (len, n) = (play.n * play.v, play.n);
        let mut draws = Draws {
            samples: self.samples,
            seed: self.sampling.seed,
            words: vec![0; n.div_ceil(64)],
            drawn: Coalitions::new(n),
            v: play.v,
        };
        let found = sample(&mut play, &self.sampling, &mut draws, len)?;
        Ok(sampled(&play, "banzhaf", &found, &ends, self.sampling.seed))
    }

    fn seed(&self) -> Option<Seed> {
        Some(self.sampling.seed)
    }

    fn with_seed(&self, seed: Seed) -> Self {
        Self { sampling: Sampling { seed, ..self.sampling }, ..*self }
    }

    fn is_efficient(&self) -> bool {
        false
    }
}

fn exact<T: Scalar, G: Game<T> + ?Sized>(play: &mut Play<'_, T, G>) -> Explained<GameAttribution<T>, G::Error> {
    let (mut values, v) = (play.zeros(), play.v);
    // +v to members and -v to everybody else is +2v to members and -v to all
    let mut all = vec![0.0; v];
    let ends = every_coalition(play, |mask, worth| {
        all.iter_mut().zip(worth).for_each(|(all, worth)| *all += worth);
        for player in Ones(mask) {
            let row = &mut values[player * v..(player + 1) * v];
            row.iter_mut().zip(worth).for_each(|(value, worth)| *value += 2.0 * worth);
        }
    })?;
    let scale = 1.0 / (1_u64 << (play.n - 1)) as f64;
    for row in values.chunks_mut(v) {
        row.iter_mut().zip(&all).for_each(|(value, all)| *value = (*value - all) * scale);
    }
    Ok(play.result("exact_banzhaf", &values, &ends))
}

struct Draws {
    samples: BanzhafSamples,
    seed: Seed,
    words: Vec<u64>,
    /// First coalitions of the units of this round.
    drawn: Coalitions,
    v: usize,
}

impl<T: Scalar> Unit<T> for Draws {
    fn cost(&self) -> usize {
        match self.samples {
            BanzhafSamples::Pairs => 2,
            BanzhafSamples::Flips => self.drawn.n_players() + 1,
        }
    }

    fn draw(&mut self, unit: u64, slot: usize, coalitions: &mut Coalitions) {
        if slot == 0 {
            self.drawn.clear();
        }
        // a whole word of coins at a time; the complement of everything random has no bits outside either
        let (n, mut stream) = (self.drawn.n_players(), self.seed.stream(COALITIONS, unit));
        self.words.iter_mut().for_each(|word| *word = rand::Rng::next_u64(&mut stream));
        if let (Some(last), 1..) = (self.words.last_mut(), n % 64) {
            *last &= (1 << (n % 64)) - 1;
        }
        self.drawn.push_words(&self.words);
        coalitions.push_words(&self.words);
        match self.samples {
            BanzhafSamples::Pairs => coalitions.push_complement(&self.words),
            BanzhafSamples::Flips => {
                for player in 0..n {
                    toggle(&mut self.words, player);
                    coalitions.push_words(&self.words);
                    toggle(&mut self.words, player);
                }
            }
        }
    }

    fn estimate(&mut self, slot: usize, worth: ArrayView2<'_, T>, estimate: &mut [f64]) {
        let coalition = self.drawn.row(slot);
        for (player, row) in estimate.chunks_mut(self.v).enumerate() {
            let sign = if coalition.contains(player) { 1.0 } else { -1.0 };
            let other = if self.samples == BanzhafSamples::Pairs { 1 } else { player + 1 };
            for (value, slot) in row.iter_mut().enumerate() {
                *slot = sign * (worth[[0, value]].as_f64() - worth[[other, value]].as_f64());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::growing as noise;
    use super::*;

    #[test]
    fn all_coalitions_are_the_definition() {
        let found = Banzhaf::default().of(&mut noise(4)).unwrap();
        let worth = |i: usize| libm::sin(1.7 * (i * i) as f64 + 0.3) * 3.0 + i.count_ones() as f64;
        for player in 0..4 {
            let without = (0..16).filter(|mask| mask >> player & 1 == 0);
            let mean = without.map(|mask| worth(mask | 1 << player) - worth(mask)).sum::<f64>() / 8.0;
            assert!((found.values[[player, 0]] - mean).abs() < 1e-13);
        }
    }

    #[test]
    fn samples_come_close_and_say_how_close() {
        let exact = Banzhaf::default().of(&mut noise(6)).unwrap();
        for samples in [BanzhafSamples::Pairs, BanzhafSamples::Flips] {
            let sampling = Sampling { budget: 20_000, exact: false, ..Sampling::default() };
            let found = Banzhaf { samples, sampling }.of(&mut noise(6)).unwrap();
            let error = found.standard_error.as_ref().unwrap();
            for ((value, exact), error) in found.values.iter().zip(&exact.values).zip(error) {
                assert!((value - exact).abs() < 5.0 * error && *error < 0.3, "{samples:?}");
            }
        }
    }
}
