//! Shapley values by sampling of single contributions, with more samples for players that vary more.
//!
//! ```text
//! φ_i = mean over sizes k of E[ v(S ∪ i) - v(S) ],   |S| = k uniform, S without i
//! n_i ∝ σ_i, the deviation of player i's contributions, from a first round (Neyman)
//! σ_i² = ((m - 1) s_i² + mean_j s_j²)/m,  s_i² the variance of m samples
//! φ_i += (v(N) - v(∅) - Σ φ) SE_i² / Σ SE²                               (efficiency)
//! ```
//!
//! A few samples that happen to be the same are no evidence that all are: with `s_i² = 0` a player would get no more of
//! them and claim to be exact. So the mean over the players counts as one sample's worth of evidence.
//!
//! The first round gives every player the same number of samples, the second shares out the rest of the budget. The last
//! line is the least-squares correction for independent errors: it lowers every variance to `SE_i² (1 - SE_i²/Σ SE²)`.
//!
//! Source: Castro, Gómez, Molina and Tejada, "Improving polynomial estimation of the Shapley value by stratified random
//! sampling with optimum allocation" (2017); Neyman, "On the two different aspects of the representative method" (1934).

use alloc::vec;
use alloc::vec::Vec;

use super::coalitions::{Coalitions, toggle};
use super::exact_shapley::shapley;
use super::game::Game;
use super::kernel::random_subset;
use super::play::{Ends, Play, ROUND, matrix};
use super::sampling::{Running, Sampling};
use super::summary::{GameAttribution, Summary};
use crate::attribution::{Explained, Status};
use crate::error::check_each;
use crate::math::random::below;
use crate::{Error, Scalar, Seed};

/// Purpose of the random stream of a player; the item is player and number of the sample.
const SAMPLES: u64 = 0x6e65_796d;

/// Shapley values with Neyman allocation; exact by itself where all coalitions fit into the budget.
///
/// The tolerance of `sampling` is not looked at: allocation needs to know how much there is to share out.
///
/// # Example
/// ```
/// use limpid::attribution::perturbation::{NeymanShapley, Sampling, Summary, Table};
/// use ndarray::array;
///
/// let mut game = Table::single(array![0.0, 1.0, 2.0, 3.0])?;
/// let sampling = Sampling { exact: false, budget: 100, ..Sampling::default() };
/// let found = NeymanShapley { sampling, ..NeymanShapley::default() }.of(&mut game).unwrap();
/// assert_eq!(found.values, array![[1.0], [2.0]]);
/// # Ok::<(), limpid::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct NeymanShapley {
    /// Share of the budget that goes into the first round.
    pub first: f64,
    /// How many, and from which seed.
    pub sampling: Sampling,
}

impl Default for NeymanShapley {
    fn default() -> Self {
        Self { first: 0.4, sampling: Sampling::default() }
    }
}

impl<T: Scalar> Summary<T> for NeymanShapley {
    fn of<G: Game<T> + ?Sized>(&self, game: &mut G) -> Explained<GameAttribution<T>, G::Error> {
        check_each("first", &[self.first], "0 < first <= 1", |share: f64| share > 0.0 && share <= 1.0)?;
        let mut play = Play::new(game)?;
        if self.sampling.all(&play) {
            return shapley(&mut play);
        }
        let ends = play.ends()?;
        let samples = self.sampling.budget.saturating_sub(2) / 2;
        let first = pilot(samples, self.first, play.n)?;
        let mut draws = Draws::new(self.sampling.seed, play.n, play.v);
        let round = vec![first; play.n];
        draws.take(&mut play, &round)?;
        let rest = samples - first * play.n as u64;
        let more = draws.allocation(rest);
        draws.take(&mut play, &more)?;
        let (values, errors) = draws.corrected(&ends);
        let mut result = play.result("neyman_shapley", &values, &ends);
        result.standard_error = Some(matrix(&errors, (play.n, play.v)));
        result.units = draws.players.iter().map(|player| player.count).min().unwrap_or(0);
        result.status = Status::Finished;
        result.seed = Some(self.sampling.seed);
        Ok(result)
    }

    fn seed(&self) -> Option<Seed> {
        Some(self.sampling.seed)
    }

    fn with_seed(&self, seed: Seed) -> Self {
        Self { sampling: Sampling { seed, ..self.sampling }, ..*self }
    }
}

/// Samples of every player in the first round, at least two.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative, and a float saturates")]
fn pilot(samples: u64, share: f64, n: usize) -> crate::Result<u64> {
    let (n, least) = (n as u64, 2);
    if samples < least * n {
        let (value, expected) = ((2 * samples) as f64, "at least four coalitions for every player, and the end points");
        return Err(Error::OutOfRange { what: "budget", index: 0, value, expected });
    }
    Ok(((samples as f64 * share) as u64 / n).clamp(least, samples / n))
}

struct Draws {
    seed: Seed,
    v: usize,
    /// Contributions of every player so far.
    players: Vec<Running>,
    words: Vec<u64>,
}

impl Draws {
    fn new(seed: Seed, n: usize, v: usize) -> Self {
        Self { seed, v, players: vec![Running::new(v); n], words: vec![0; n.div_ceil(64)] }
    }

    /// Takes this many more samples of every player.
    fn take<T: Scalar, G: Game<T> + ?Sized>(
        &mut self,
        play: &mut Play<'_, T, G>,
        counts: &[u64],
    ) -> Explained<(), G::Error> {
        let (mut coalitions, mut owners) = (Coalitions::new(play.n), Vec::new());
        let mut gains = vec![0.0; self.v];
        let last = counts.iter().rposition(|&count| count > 0);
        for (player, &count) in counts.iter().enumerate() {
            let from = self.players[player].count;
            for sample in from..from + count {
                self.draw(play.n, player, sample, &mut coalitions);
                owners.push(player);
                let ends_here = Some(player) == last && sample + 1 == from + count;
                if 2 * owners.len() < ROUND && !ends_here {
                    continue;
                }
                let worth = play.values(&coalitions)?;
                for (at, owner) in owners.drain(..).enumerate() {
                    for (value, gain) in gains.iter_mut().enumerate() {
                        *gain = worth[[2 * at + 1, value]].as_f64() - worth[[2 * at, value]].as_f64();
                    }
                    self.players[owner].push(&gains);
                }
                coalitions.clear();
            }
        }
        Ok(())
    }

    /// Appends a random coalition without the player, and the same with the player.
    fn draw(&mut self, n: usize, player: usize, sample: u64, coalitions: &mut Coalitions) {
        let mut stream = self.seed.child(SAMPLES, player as u64).stream(SAMPLES, sample);
        let size = below(&mut stream, n);
        // the others, numbered as if the last player had this one's place
        random_subset(&mut stream, n - 1, size, &mut self.words);
        let last = n - 1;
        if player != last && self.words[player / 64] >> (player % 64) & 1 == 1 {
            toggle(&mut self.words, player);
            toggle(&mut self.words, last);
        }
        coalitions.push_words(&self.words);
        toggle(&mut self.words, player);
        coalitions.push_words(&self.words);
    }

    /// Variances of the contributions, `(players, values)`, drawn to their mean over the players.
    fn variances(&self) -> Vec<f64> {
        let n = self.players.len();
        let mut variances = Vec::with_capacity(n * self.v);
        for player in &self.players {
            let errors = player.standard_errors().unwrap_or_else(|| vec![0.0; self.v]);
            variances.extend(errors.into_iter().map(|error| error * error * player.count as f64));
        }
        for value in 0..self.v {
            let mean = (0..n).map(|player| variances[player * self.v + value]).sum::<f64>() / n as f64;
            for (player, of_player) in self.players.iter().zip(variances.chunks_mut(self.v)) {
                of_player[value] += (mean - of_player[value]) / player.count.max(1) as f64;
            }
        }
        variances
    }

    /// Shares out samples in proportion to deviations, of which the largest over the values of a player counts.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative, and a float saturates")]
    fn allocation(&self, samples: u64) -> Vec<u64> {
        let largest = |of_player: &[f64]| num_traits::Float::sqrt(of_player.iter().copied().fold(0.0, f64::max));
        let deviations: Vec<f64> = self.variances().chunks(self.v).map(largest).collect();
        let total: f64 = deviations.iter().sum();
        if total <= 0.0 || !total.is_finite() {
            return vec![samples / deviations.len() as u64; deviations.len()];
        }
        deviations.iter().map(|deviation| (samples as f64 * (deviation / total)) as u64).collect()
    }

    /// Values that add up, and their standard errors, `(players, values)` each.
    fn corrected(&self, ends: &Ends) -> (Vec<f64>, Vec<f64>) {
        let n = self.players.len();
        let mut values: Vec<f64> = self.players.iter().flat_map(|player| player.mean.iter().copied()).collect();
        let counts = self.players.iter().flat_map(|player| core::iter::repeat_n(player.count.max(1) as f64, self.v));
        let variances = self.variances().into_iter().zip(counts);
        let mut errors: Vec<f64> =
            variances.map(|(variance, count)| num_traits::Float::sqrt(variance / count)).collect();
        for (value, gain) in ends.gain().enumerate() {
            let at = |player: usize| player * self.v + value;
            let missing = gain - (0..n).map(|player| values[at(player)]).sum::<f64>();
            let total: f64 = (0..n).map(|player| errors[at(player)] * errors[at(player)]).sum();
            for player in 0..n {
                let variance = errors[at(player)] * errors[at(player)];
                let share = if total > 0.0 { variance / total } else { 1.0 / n as f64 };
                values[at(player)] += missing * share;
                if total > 0.0 {
                    errors[at(player)] = num_traits::Float::sqrt(variance * (1.0 - share).max(0.0));
                }
            }
        }
        (values, errors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::perturbation::{ExactShapley, Table};
    use ndarray::array;

    #[test]
    fn samples_come_close_and_say_how_close() {
        let worth = |i: usize| libm::sin(1.7 * (i * i) as f64 + 0.3) * 3.0;
        let game = || Table::single((0..64).map(worth).collect()).unwrap();
        let exact = ExactShapley::default().of(&mut game()).unwrap();
        let sampling = Sampling { budget: 20_000, exact: false, ..Sampling::default() };
        let found = NeymanShapley { sampling, ..NeymanShapley::default() }.of(&mut game()).unwrap();
        let error = found.standard_error.as_ref().unwrap();
        for ((value, exact), error) in found.values.iter().zip(&exact.values).zip(error) {
            assert!((value - exact).abs() < 5.0 * error && *error < 0.3);
        }
        assert!(found.evaluations <= 20_000 && found.evaluations > 19_980 && found.delta()[0].abs() < 1e-12);
    }

    #[test]
    fn who_varies_more_is_asked_more() {
        // player 0 always brings 1, players 1 and 2 need each other
        let mut game = Table::single(array![0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 5.0, 6.0]).unwrap();
        let mut play = Play::new(&mut game).unwrap();
        let mut draws = Draws::new(Seed(0), 3, 1);
        draws.take(&mut play, &[50; 3]).unwrap();
        let more = draws.allocation(100);
        assert!(more[0] < 10 && more[1] > 40 && more[2] > 40, "{more:?}");
        assert_eq!(draws.players[0].mean, [1.0]);
    }

    #[test]
    fn a_player_that_matters_rarely_is_not_called_exact() {
        // a veto: player 0 matters in all coalitions with a majority, the others now and then
        let majority = |i: usize| f64::from(u8::from(i & 1 == 1 && i.count_ones() > 5));
        let mut game = Table::single((0..1024).map(majority).collect()).unwrap();
        let sampling = Sampling { budget: 800, exact: false, ..Sampling::default() };
        let found = NeymanShapley { sampling, ..NeymanShapley::default() }.of(&mut game).unwrap();
        assert!(found.standard_error.unwrap().iter().all(|&error| error > 0.0));
        // where nothing varies, all is exact
        let mut game = Table::single((0..1024_usize).map(|i| f64::from(i.count_ones())).collect()).unwrap();
        let found = NeymanShapley { sampling, ..NeymanShapley::default() }.of(&mut game).unwrap();
        assert!(found.standard_error.unwrap().iter().all(|&error| error == 0.0));
    }

    #[test]
    fn small_budgets_are_refused() {
        let mut game = Table::single(array![0.0, 1.0, 0.0, 1.0]).unwrap();
        let sampling = Sampling { budget: 9, exact: false, ..Sampling::default() };
        assert!(NeymanShapley { sampling, ..NeymanShapley::default() }.of(&mut game).is_err());
        let sampling = Sampling { budget: 10, ..sampling };
        assert!(NeymanShapley { sampling, ..NeymanShapley::default() }.of(&mut game).is_ok());
    }
}
