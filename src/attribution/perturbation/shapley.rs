//! Shapley values from random permutations.
//!
//! ```text
//! φ_i = E_π [ v(P_i ∪ i) - v(P_i) ],   P_i = players before i in π
//! ```
//!
//! One walk along `π` gives a marginal contribution of every player, and they add up to `v(N) - v(∅)`. Walks are drawn
//! independently ([`Walks::Independent`]), together with their reverse ([`Walks::Antithetic`], exact for games of pairwise
//! interactions after one pair), as rows of a random Latin square, in which every player comes once at every position
//! ([`Walks::LatinSquare`]), or from orthogonal directions ([`Walks::Orthogonal`]). Both ends of a walk are asked for once
//! and shared. Every walk by itself is uniform over permutations, so all estimates are unbiased; standard errors treat a
//! pair or block as one observation.
//!
//! Source: Castro, Gómez and Tejada, "Polynomial calculation of the Shapley value based on sampling" (2009), section 3;
//! Mitchell, Cooper, Frank and Holmes, "Sampling Permutations for Shapley Value Estimation", JMLR 23 (2022),
//! <https://arxiv.org/abs/2104.12199>, sections 2.3 (antithetic) and 4.1 (orthogonal codes).

use alloc::vec;
use alloc::vec::Vec;

use ndarray::{ArrayView2, Axis};

use super::coalitions::{Coalitions, toggle};
use super::exact_shapley::shapley;
use super::game::Game;
use super::orthogonal::directions;
use super::play::{Ends, Play};
use super::sampling::{ENOUGH_UNITS, Sampling, Unit, sample, sampled};
use super::summary::{GameAttribution, Summary};
use crate::attribution::Explained;
use crate::math::random::shuffle;
use crate::{Scalar, Seed};

/// Purpose of the random streams of permutations; the item is the number of the unit.
const PERMUTATIONS: u64 = 0x7065_726d;

/// Most coalitions of a block, unless a single pair of walks has more.
const MAX_BLOCK: u64 = 1 << 16;

/// Shapley values by permutation sampling; exact by itself where all coalitions fit into the budget.
///
/// # Example
/// ```
/// use limpid::attribution::Status;
/// use limpid::attribution::perturbation::{Sampling, Shapley, Summary, Table};
/// use ndarray::array;
///
/// let mut game = Table::single(array![0.0, 1.0, 3.0, 6.0])?;
/// let found = Shapley::default().of(&mut game).unwrap();
/// assert_eq!((found.values, found.status), (array![[2.0], [4.0]], Status::Exact));
///
/// // sampled: interactions of two players average out within one antithetic pair
/// let sampling = Sampling { exact: false, budget: 42, ..Sampling::default() };
/// let found = Shapley { sampling, ..Shapley::default() }.of(&mut game).unwrap();
/// assert_eq!((found.values, found.units), (array![[2.0], [4.0]], 20));
/// # Ok::<(), limpid::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Shapley {
    /// How permutations are drawn.
    pub walks: Walks,
    /// How many, and from which seed.
    pub sampling: Sampling,
}

/// How permutations are drawn.
///
/// Squares and codes are cut short where twenty whole ones do not fit into the budget, so that there is a standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Walks {
    /// One by one; `M - 1` coalitions each.
    Independent,
    /// Each with its reverse; `2 (M - 1)` coalitions.
    #[default]
    Antithetic,
    /// Rows of a random Latin square: over `M` walks every player comes once at every position.
    LatinSquare,
    /// The order of the players along `M - 1` orthogonal random directions, each with its reverse.
    Orthogonal,
}

impl<T: Scalar> Summary<T> for Shapley {
    fn of<G: Game<T> + ?Sized>(&self, game: &mut G) -> Explained<GameAttribution<T>, G::Error> {
        self.sampling.check()?;
        let mut play = Play::new(game)?;
        if self.sampling.all(&play) {
            return shapley(&mut play);
        }
        let ends = play.ends()?;
        if play.n == 1 {
            return Ok(play.result("permutation_shapley", &ends.gain().collect::<Vec<_>>(), &ends));
        }
        let mut walks = Block::new(self, &ends, (play.n, play.v));
        let len = play.n * play.v;
        let found = sample(&mut play, &self.sampling, &mut walks, len)?;
        Ok(sampled(&play, "permutation_shapley", &found, &ends, self.sampling.seed))
    }

    fn seed(&self) -> Option<Seed> {
        Some(self.sampling.seed)
    }

    fn with_seed(&self, seed: Seed) -> Self {
        Self { sampling: Sampling { seed, ..self.sampling }, ..*self }
    }
}

/// Permutations that are drawn together.
struct Block<'a> {
    walks: Walks,
    seed: Seed,
    ends: &'a Ends,
    n: usize,
    v: usize,
    /// Permutations of a block, and whether each is also walked backwards.
    permutations: usize,
    paired: bool,
    /// Permutations of this round, one after the other.
    drawn: Vec<usize>,
    words: Vec<u64>,
    before: Vec<f64>,
}

impl<'a> Block<'a> {
    fn new(method: &Shapley, ends: &'a Ends, (n, v): (usize, usize)) -> Self {
        let paired = matches!(method.walks, Walks::Antithetic | Walks::Orthogonal);
        let cost = if paired { 2 } else { 1 } * (n as u64 - 1);
        let fitting = method.sampling.budget.saturating_sub(2) / (cost * ENOUGH_UNITS);
        let fitting = usize::try_from(fitting.min(MAX_BLOCK / cost)).unwrap_or(usize::MAX).max(1);
        let permutations = match method.walks {
            Walks::Independent | Walks::Antithetic => 1,
            Walks::LatinSquare => fitting.min(n),
            Walks::Orthogonal => fitting.min(n - 1),
        };
        let (seed, walks) = (method.sampling.seed, method.walks);
        let (drawn, words, before) = (Vec::new(), vec![0; n.div_ceil(64)], vec![0.0; v]);
        Self { walks, seed, ends, n, v, permutations, paired, drawn, words, before }
    }

    /// Appends the permutations of unit number `unit`.
    fn permutations(&mut self, unit: u64) {
        let (n, count) = (self.n, self.permutations);
        let mut stream = self.seed.stream(PERMUTATIONS, unit);
        match self.walks {
            Walks::Independent | Walks::Antithetic => {
                let start = self.drawn.len();
                self.drawn.extend(0..n);
                shuffle(&mut stream, &mut self.drawn[start..]);
            }
            Walks::LatinSquare => {
                let [mut players, mut positions]: [Vec<usize>; 2] = [(); 2].map(|()| (0..n).collect());
                shuffle(&mut stream, &mut players);
                shuffle(&mut stream, &mut positions);
                let row = |row: usize| positions.iter().map(move |at| (row + at) % n);
                self.drawn.extend((0..count).flat_map(row).map(|at| players[at]));
            }
            Walks::Orthogonal => {
                for direction in directions(&mut stream, n, count) {
                    let start = self.drawn.len();
                    self.drawn.extend(0..n);
                    self.drawn[start..].sort_by(|&a, &b| direction[a].total_cmp(&direction[b]));
                }
            }
        }
    }
}

impl<T: Scalar> Unit<T> for Block<'_> {
    fn cost(&self) -> usize {
        self.permutations * (self.n - 1) * if self.paired { 2 } else { 1 }
    }

    fn draw(&mut self, unit: u64, slot: usize, coalitions: &mut Coalitions) {
        if slot == 0 {
            self.drawn.clear();
        }
        let start = self.drawn.len();
        self.permutations(unit);
        for permutation in self.drawn[start..].chunks(self.n) {
            for reverse in [false, true] {
                if reverse && !self.paired {
                    continue;
                }
                self.words.fill(0);
                for &player in &permutation[..self.n - 1] {
                    toggle(&mut self.words, player);
                    if reverse { coalitions.push_complement(&self.words) } else { coalitions.push_words(&self.words) }
                }
            }
        }
    }

    fn estimate(&mut self, slot: usize, worth: ArrayView2<'_, T>, estimate: &mut [f64]) {
        estimate.fill(0.0);
        let per_slot = self.permutations * self.n;
        let permutations = self.drawn[slot * per_slot..(slot + 1) * per_slot].chunks(self.n);
        let walks = permutations.flat_map(|p| [(p, false), (p, true)]).filter(|&(_, reverse)| self.paired || !reverse);
        let mut count = 0;
        for ((permutation, reverse), worth) in walks.zip(worth.axis_chunks_iter(Axis(0), self.n - 1)) {
            // forwards from nobody to all, backwards from all to nobody
            let (from, to) =
                if reverse { (&self.ends.full, &self.ends.base) } else { (&self.ends.base, &self.ends.full) };
            let sign = if reverse { -1.0 } else { 1.0 };
            self.before.copy_from_slice(from);
            for (step, &player) in permutation.iter().enumerate() {
                let row = &mut estimate[player * self.v..(player + 1) * self.v];
                for (value, (slot, before)) in row.iter_mut().zip(&mut self.before).enumerate() {
                    let now = if step + 1 < self.n { worth[[step, value]].as_f64() } else { to[value] };
                    *slot += sign * (now - *before);
                    *before = now;
                }
            }
            count += 1;
        }
        let scale = 1.0 / f64::from(count.max(1));
        estimate.iter_mut().for_each(|value| *value *= scale);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::noise;
    use super::*;
    use crate::Error;
    use crate::attribution::perturbation::{GameFunction, Table};
    use crate::attribution::{Failure, Status};
    use ndarray::{Array1, Array2, ArrayRef2, array};

    const ALL: [Walks; 4] = [Walks::Independent, Walks::Antithetic, Walks::LatinSquare, Walks::Orthogonal];

    fn sampled(walks: Walks, budget: u64) -> Shapley {
        Shapley { walks, sampling: Sampling { budget, exact: false, ..Sampling::default() } }
    }

    #[test]
    fn one_pair_is_exact_for_interactions_of_two() {
        // v = z0 z2 + z1 + z2 + z2 z3
        let worth = |i: usize| {
            let z = |player: usize| (i >> player & 1) as f64;
            z(0) * z(2) + z(1) + z(2) + z(2) * z(3)
        };
        let mut game = Table::single((0..32).map(worth).collect()).unwrap();
        let found = sampled(Walks::Antithetic, 10).of(&mut game).unwrap();
        assert_eq!((found.units, found.evaluations, found.standard_error.is_none()), (1, 10, true));
        let expected = array![[0.5], [1.0], [2.0], [0.5], [0.0]];
        assert!((found.values - expected).iter().all(|e| e.abs() < 1e-12));
    }

    #[test]
    fn samples_come_close_and_say_how_close() {
        let exact = crate::attribution::perturbation::ExactShapley::default().of(&mut noise(6)).unwrap();
        for walks in ALL {
            let found = sampled(walks, 20_000).of(&mut noise(6)).unwrap();
            let error = found.standard_error.as_ref().unwrap();
            for ((value, exact), error) in found.values.iter().zip(&exact.values).zip(error) {
                assert!((value - exact).abs() < 5.0 * error + 1e-12 && *error < 0.2, "{walks:?}");
            }
            assert!(found.delta()[0].abs() < 1e-12 && found.status == Status::Finished);
            assert!(found.evaluations <= 20_000 && found.evaluations > 19_000);
        }
    }

    #[test]
    fn the_mean_over_all_orders_is_exact() {
        let exact: Array2<f64> = shapley(&mut Play::new(&mut noise(3)).unwrap()).unwrap().values;
        let mut game = noise(3);
        let mut play = Play::new(&mut game).unwrap();
        let ends = play.ends().unwrap();
        let mut block = Block::new(&sampled(Walks::Independent, 100), &ends, (3, 1));
        let mut sum = Array1::zeros(3);
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            block.drawn = order.to_vec();
            let mut coalitions = Coalitions::new(3);
            coalitions.push([order[0]]).unwrap();
            coalitions.push([order[0], order[1]]).unwrap();
            let (worth, mut estimate) = (play.values(&coalitions).unwrap(), [0.0; 3]);
            block.estimate(0, worth, &mut estimate);
            sum += &Array1::from(estimate.to_vec());
        }
        assert!((sum / 6.0 - exact.column(0)).iter().all(|e| e.abs() < 1e-14));
    }

    #[test]
    fn every_player_is_once_at_every_place_of_a_square() {
        let ends = Ends { base: vec![0.0], full: vec![0.0] };
        let mut block = Block::new(&sampled(Walks::LatinSquare, 1_000_000), &ends, (7, 1));
        block.permutations(3);
        assert_eq!(block.drawn.len(), 49);
        for at in 0..7 {
            let mut column: Vec<usize> = block.drawn.chunks(7).map(|row| row[at]).collect();
            column.sort_unstable();
            assert_eq!(column, (0..7).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_tolerance_ends_the_run() {
        let method = |tolerance| {
            let sampling = Sampling { tolerance: Some(tolerance), exact: false, budget: 20_000, ..Sampling::default() };
            Shapley { sampling, ..Shapley::default() }.of(&mut noise(6)).unwrap()
        };
        let (loose, tight) = (method(0.5), method(1e-6));
        assert!(loose.status == Status::Converged && loose.evaluations < 5000, "{}", loose.evaluations);
        assert!(loose.standard_error.unwrap().iter().all(|error| *error < 0.25));
        assert_eq!(tight.status, Status::Partial);
    }

    #[test]
    fn small_games_and_budgets() {
        let mut one = Table::single(array![1.0, 3.0]).unwrap();
        let found = sampled(Walks::Antithetic, 2).of(&mut one).unwrap();
        assert_eq!((found.values, found.status), (array![[2.0]], Status::Exact));
        let failure = sampled(Walks::Antithetic, 5).of(&mut noise(6)).unwrap_err();
        assert!(matches!(failure, Failure::Input(Error::OutOfRange { what: "budget", .. })));
        let mut many = GameFunction::new((130, 2), |coalitions: &Coalitions, out: &mut ArrayRef2<f64>| {
            for (coalition, mut out) in coalitions.iter().zip(out.rows_mut()) {
                out[0] = coalition.members().map(|player| player as f64).sum();
                out[1] = -out[0];
            }
            Ok::<(), ()>(())
        });
        let found = Shapley::default().of(&mut many).unwrap();
        assert!(found.values.rows().into_iter().enumerate().all(|(i, row)| row == array![i as f64, -(i as f64)]));
        assert_eq!(found.units, 2046 / 258);
    }
}
