//! SVARM-IQ: interactions of all pairs from the same samples, by strata.
//!
//! ```text
//! I_ij = Σ_s w_s C(M - 2, s) (m_{ij,2}(s) - m_{i}(s) - m_{j}(s) + m_{ij,0}(s))
//! m_{W}(s)   mean of v(S ∪ W) over the coalitions S of s players without i and j,  for W = {i, j}, {i}, {j}, ∅
//! ```
//!
//! `w_s` are the weights of the index, see [`InteractionIndex`]. A coalition that is asked for belongs to one stratum of every
//! pair, so that one number serves all `M (M - 1)/2` of them. The coalitions of sizes 0, 1, 2, `M - 2`, `M - 1` and `M` are all
//! asked for; sizes between are drawn in proportion to their weight, coalitions of a size uniformly, and strata that were met
//! less than twice are then drawn from on their own. Every stratum so has a mean and a variance, and the standard error is
//! `√ Σ weight² variance / samples`. How many are drawn is settled beforehand, by which players meet and never by values.
//!
//! Source: Kolpaczki, Muschalik, Fumagalli, Hammer and Hüllermeier, "SVARM-IQ: Efficient Approximation of Any-order Shapley
//! Interactions through Stratification" (2024), <https://arxiv.org/abs/2401.13371>, at order 2; complete sizes 2 and `M - 2`
//! and the second sample of every stratum are added here.

use alloc::borrow::Cow;
use alloc::vec;
use alloc::vec::Vec;

use ndarray::{Array2, ArrayView1};

use super::coalitions::{Coalitions, toggle};
use super::game::Game;
use super::interactions::{InteractionIndex, Interactions};
use super::kernel::{binomial, draw, random_subset};
use super::pairs::{PairValues, all_pairs};
use super::play::{Play, matrix};
use crate::attribution::{Explained, Status};
use crate::error::check_limit;
use crate::math::random::choose;
use crate::{Error, Result, Scalar, Seed};

/// Purposes of the random streams of drawn coalitions, and of those of a stratum.
const DRAWS: u64 = 0x7376_6172;
const FILLS: u64 = 0x7376_6669;

/// Most numbers that are kept for the strata.
const MAX_NUMBERS: usize = 1 << 27;

/// Samples that every stratum has at least.
const LEAST: u32 = 2;

/// Interactions of all pairs by stratified sampling.
///
/// # Example
/// ```
/// use limpid::attribution::perturbation::{Coalitions, GameFunction, SvarmIq};
/// use ndarray::ArrayRef2;
///
/// // players 0 and 1 are worth 3 more together
/// let mut game = GameFunction::new((12, 1), |coalitions: &Coalitions, out: &mut ArrayRef2<f64>| {
///     for (coalition, out) in coalitions.iter().zip(out.iter_mut()) {
///         *out = coalition.size() as f64 + if coalition.contains(0) && coalition.contains(1) { 3.0 } else { 0.0 };
///     }
///     Ok::<(), &str>(())
/// });
/// let found = SvarmIq { budget: 2000, ..SvarmIq::default() }.of(&mut game)?;
/// assert!(found.evaluations <= 2000);
/// assert!((found.of(0, 1).unwrap()[0] - 3.0_f64).abs() < 1e-12);
/// assert!(found.of(3, 7).unwrap()[0].abs() < 1.0);
/// # Ok::<(), limpid::attribution::Failure<&str>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SvarmIq {
    /// Which index.
    pub index: InteractionIndex,
    /// Most coalitions that are asked for.
    pub budget: u64,
    /// Whether all coalitions are asked for where that is within the budget: the result is exact then.
    pub exact: bool,
    /// Where the random numbers start.
    pub seed: Seed,
}

impl Default for SvarmIq {
    fn default() -> Self {
        Self { index: InteractionIndex::Shapley, budget: 1 << 14, exact: true, seed: Seed(0) }
    }
}

impl SvarmIq {
    /// Interactions of all pairs of a game's players.
    ///
    /// # Errors
    /// [`Failure::Input`](crate::attribution::Failure::Input) for a budget that does not reach all strata, told before the game
    /// is asked, [`Failure::Model`](crate::attribution::Failure::Model) with the game's own error,
    /// [`Failure::NotFinite`](crate::attribution::Failure::NotFinite) where the game gives NaN or infinity.
    pub fn of<T: Scalar, G: Game<T> + ?Sized>(&self, game: &mut G) -> Explained<PairValues<T>, G::Error> {
        let mut play = Play::new(&mut *game)?;
        let (n, v) = (play.n, play.v);
        if self.exact && play.fits(self.budget) && n <= 40 {
            return self.all(game);
        }
        let layout = Layout::new(n, v)?;
        let plan = Plan::new(&layout, *self)?;
        let mut strata = Strata::new(&layout, v);
        let mut full = Vec::new();
        play.each(
            plan.count(),
            |index, words| plan.coalition(&layout, index, words),
            |index, coalition, worth| {
                if index == 0 {
                    full = worth.to_vec();
                }
                match plan.fill(index) {
                    Some(&stratum) => strata.push(stratum, worth),
                    None => layout.strata(coalition.words()).for_each(|stratum| strata.push(stratum, worth)),
                }
            },
        )?;
        let (values, errors) = strata.combined(&layout, self.index);
        let sampled = plan.draws > 0 || !plan.fills.is_empty();
        let shape = (layout.pairs.len(), v);
        Ok(PairValues {
            values: matrix(&values, shape),
            standard_error: sampled.then(|| matrix(&errors, shape)),
            full: full.into_iter().collect(),
            evaluations: play.evaluations,
            status: if sampled { Status::Finished } else { Status::Exact },
            method: Cow::Borrowed("svarm_iq"),
            seed: sampled.then_some(self.seed),
            pairs: layout.pairs,
        })
    }

    /// From all coalitions.
    fn all<T: Scalar, G: Game<T> + ?Sized>(&self, game: &mut G) -> Explained<PairValues<T>, G::Error> {
        let (n, v) = (game.n_players(), game.n_values());
        let found = Interactions { index: self.index, max_players: n }.of(game)?;
        let pairs = all_pairs(n)?;
        let two = T::of(2.0);
        Ok(PairValues {
            values: Array2::from_shape_fn((pairs.len(), v), |(at, value)| {
                found.values[[pairs[at].0, pairs[at].1, value]] * two
            }),
            pairs,
            standard_error: None,
            full: found.full,
            evaluations: found.evaluations,
            status: Status::Exact,
            method: Cow::Borrowed("svarm_iq"),
            seed: None,
        })
    }
}

/// Numbers of strata: the size of a coalition within which members of the pair are in it, within the pair.
struct Layout {
    n: usize,
    pairs: Vec<(usize, usize)>,
}

impl Layout {
    fn new(n: usize, v: usize) -> Result<Self> {
        let pairs = all_pairs(n)?;
        check_limit("strata", pairs.len().saturating_mul(4 * (n + 1)).saturating_mul(v), MAX_NUMBERS)?;
        Ok(Self { n, pairs })
    }

    fn count(&self) -> usize {
        self.pairs.len() * 4 * (self.n + 1)
    }

    /// Pair, membership (bit 0 for `i`, bit 1 for `j`) and size of a stratum.
    fn parts(&self, stratum: usize) -> (usize, usize, usize) {
        let (rest, size) = (stratum / (self.n + 1), stratum % (self.n + 1));
        (rest / 4, rest % 4, size)
    }

    /// Players of a stratum's coalitions besides the pair; `None` where it has no coalition.
    fn others(&self, membership: usize, size: usize) -> Option<usize> {
        size.checked_sub(membership.count_ones() as usize).filter(|&s| s + 2 <= self.n)
    }

    /// The stratum of every pair that a coalition belongs to.
    fn strata<'a>(&'a self, words: &'a [u64]) -> impl Iterator<Item = usize> + 'a {
        let size: usize = words.iter().map(|word| word.count_ones() as usize).sum();
        let is_member = |player: usize| (words[player / 64] >> (player % 64) & 1) as usize;
        self.pairs
            .iter()
            .enumerate()
            .map(move |(pair, &(i, j))| (pair * 4 + is_member(i) + 2 * is_member(j)) * (self.n + 1) + size)
    }

    /// Whether all coalitions of a size are asked for.
    fn is_complete(&self, size: usize) -> bool {
        size <= 2 || size + 2 >= self.n
    }
}

/// What is asked for: complete sizes, draws, and single strata.
struct Plan {
    complete: Coalitions,
    draws: usize,
    shares: Vec<f64>,
    fills: Vec<usize>,
    seed: Seed,
}

impl Plan {
    fn new(layout: &Layout, settings: SvarmIq) -> Result<Self> {
        let n = layout.n;
        let complete = complete_sizes(n)?;
        let weights = settings.index.pair_weights(n);
        let share = |size: usize| {
            let of = |absent: usize| size_weight(n, size, absent) * weights(size, absent).abs();
            if layout.is_complete(size) { 0.0 } else { of(0) + 2.0 * of(1) + of(2) }
        };
        let shares: Vec<f64> = (0..=n).map(share).collect();
        let mut plan = Self { complete, draws: 0, shares, fills: Vec::new(), seed: settings.seed };
        let too_small = || {
            let expected = "enough coalitions for two of every stratum";
            Error::OutOfRange { what: "budget", index: 0, value: settings.budget as f64, expected }
        };
        let budget = usize::try_from(settings.budget).unwrap_or(usize::MAX);
        let left = budget.checked_sub(plan.complete.len()).ok_or_else(too_small)?;
        let mut counts = vec![0_u32; layout.count()];
        let open = |stratum: usize| {
            let (_, membership, size) = layout.parts(stratum);
            !layout.is_complete(size) && layout.others(membership, size).is_some()
        };
        let mut lacking = (0..layout.count()).filter(|&stratum| open(stratum)).count() * LEAST as usize;
        if lacking > 0 {
            plan.draw(layout, left, (&mut counts, &mut lacking));
        }
        if plan.draws + lacking > left {
            return Err(too_small());
        }
        for stratum in (0..layout.count()).filter(|&stratum| open(stratum)) {
            (counts[stratum]..LEAST).for_each(|_| plan.fills.push(stratum));
        }
        Ok(plan)
    }

    /// Counts draws for as long as they and what is lacking after them are within `left`.
    fn draw(&mut self, layout: &Layout, left: usize, (counts, lacking): (&mut [u32], &mut usize)) {
        let mut words = vec![0; layout.n.div_ceil(64)];
        while self.draws < left {
            self.drawn(layout, self.draws, &mut words);
            let helped = layout.strata(&words).filter(|&stratum| counts[stratum] < LEAST).count();
            let (now, next) = (self.draws + *lacking, self.draws + 1 + *lacking - helped);
            if now <= left && next > left {
                return;
            }
            layout.strata(&words).for_each(|stratum| counts[stratum] = counts[stratum].saturating_add(1));
            *lacking -= helped;
            self.draws += 1;
        }
    }

    /// Draw number `draw`.
    fn drawn(&self, layout: &Layout, draw_number: usize, words: &mut [u64]) {
        let mut stream = self.seed.stream(DRAWS, draw_number as u64);
        let size = draw(&mut stream, &self.shares);
        random_subset(&mut stream, layout.n, size, words);
    }

    fn count(&self) -> usize {
        self.complete.len() + self.draws + self.fills.len()
    }

    /// The stratum that coalition `index` is for, where it is for one only.
    fn fill(&self, index: usize) -> Option<&usize> {
        self.fills.get(index.checked_sub(self.complete.len() + self.draws)?)
    }

    /// Writes coalition `index`.
    fn coalition(&self, layout: &Layout, index: usize, words: &mut [u64]) {
        if let Some(&stratum) = self.fill(index) {
            let (pair, membership, size) = layout.parts(stratum);
            let (i, j) = layout.pairs[pair];
            let mut others: Vec<usize> = (0..layout.n).filter(|&player| player != i && player != j).collect();
            let count = layout.others(membership, size).unwrap_or(0);
            choose(&mut self.seed.stream(FILLS, index as u64), count, &mut others);
            words.fill(0);
            others[..count].iter().for_each(|&player| toggle(words, player));
            [(1, i), (2, j)]
                .iter()
                .filter(|(bit, _)| membership & bit != 0)
                .for_each(|&(_, player)| toggle(words, player));
        } else if index < self.complete.len() {
            words.copy_from_slice(self.complete.row(index).words());
        } else {
            self.drawn(layout, index - self.complete.len(), words);
        }
    }
}

/// All, nobody, and everything else of at most two players, or of all but at most two.
fn complete_sizes(n: usize) -> Result<Coalitions> {
    let mut found = Coalitions::new(n);
    found.push_full();
    found.push_empty();
    let singles = (0..n).map(|i| (i, i));
    for (i, j) in singles.chain(all_pairs(n)?) {
        let size = if i == j { 1 } else { 2 };
        if size < n {
            found.push([i, j])?;
            let words = found.row(found.len() - 1).words().to_vec();
            // sizes that are complements of each other's sizes come once
            if n - size > 2 {
                found.push_complement(&words);
            }
        }
    }
    Ok(found)
}

/// `C(M - 2, s)` of a coalition of `size` players that lacks `absent` of a pair; 0 for none.
fn size_weight(n: usize, size: usize, absent: usize) -> f64 {
    match (size + absent).checked_sub(2) {
        Some(s) if s + 2 <= n => binomial(n - 2, s),
        _ => 0.0,
    }
}

/// Count, mean and sum of squared differences of every stratum, `(strata, values)`.
struct Strata {
    v: usize,
    counts: Vec<f64>,
    means: Vec<f64>,
    squares: Vec<f64>,
}

impl Strata {
    fn new(layout: &Layout, v: usize) -> Self {
        let numbers = || vec![0.0; layout.count() * v];
        Self { v, counts: vec![0.0; layout.count()], means: numbers(), squares: numbers() }
    }

    fn push<T: Scalar>(&mut self, stratum: usize, worth: ArrayView1<'_, T>) {
        self.counts[stratum] += 1.0;
        let (count, at) = (self.counts[stratum], stratum * self.v..(stratum + 1) * self.v);
        let moments = self.means[at.clone()].iter_mut().zip(&mut self.squares[at]);
        for ((mean, square), worth) in moments.zip(worth) {
            let change = worth.as_f64() - *mean;
            *mean += change / count;
            *square += change * (worth.as_f64() - *mean);
        }
    }

    /// Interactions and their standard errors, `(pairs, values)`.
    fn combined(&self, layout: &Layout, index: InteractionIndex) -> (Vec<f64>, Vec<f64>) {
        let (n, v, weights) = (layout.n, self.v, index.pair_weights(layout.n));
        let mut values = vec![0.0; layout.pairs.len() * v];
        let mut errors = values.clone();
        for (stratum, &count) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0.0) {
            let (pair, membership, size) = layout.parts(stratum);
            let absent = 2 - membership.count_ones() as usize;
            let sign = if absent == 1 { -1.0 } else { 1.0 };
            let weight = sign * weights(size, absent) * size_weight(n, size, absent);
            for value in 0..v {
                values[pair * v + value] += weight * self.means[stratum * v + value];
                if !layout.is_complete(size) {
                    let variance = self.squares[stratum * v + value] / (count - 1.0);
                    errors[pair * v + value] += weight * weight * variance / count;
                }
            }
        }
        errors.iter_mut().for_each(|square| *square = libm::sqrt(*square));
        (values, errors)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::growing as noise;
    use super::*;
    use crate::attribution::Failure;
    use crate::attribution::perturbation::GameFunction;
    use alloc::collections::BTreeSet;
    use ndarray::ArrayRef2;

    fn sampled(index: InteractionIndex, budget: u64, seed: u64) -> SvarmIq {
        SvarmIq { index, budget, exact: false, seed: Seed(seed) }
    }

    #[test]
    fn small_games_have_complete_sizes_only() {
        for index in InteractionIndex::ALL {
            for players in 2..6 {
                let exact = SvarmIq { index, ..SvarmIq::default() }.of(&mut noise(players)).unwrap();
                let found = sampled(index, 1 << players, 0).of(&mut noise(players)).unwrap();
                assert!((&found.values - &exact.values).iter().all(|e| e.abs() < 1e-12), "{index:?} {players}");
                assert_eq!((found.status, found.evaluations), (Status::Exact, 1 << players));
                assert_eq!(found.full, exact.full);
            }
        }
        let one = sampled(InteractionIndex::Shapley, 2, 0).of(&mut noise(1)).unwrap();
        assert_eq!(one.values.dim(), (0, 2));
    }

    #[test]
    fn complete_sizes_come_once() {
        for n in 1..9 {
            let found = complete_sizes(n).unwrap();
            let different: BTreeSet<_> = found.iter().map(|coalition| coalition.index().unwrap()).collect();
            let expected = (0..1_usize << n)
                .filter(|mask| (mask.count_ones() as usize) < 3 || mask.count_ones() as usize + 2 >= n);
            assert_eq!(different.into_iter().collect::<Vec<_>>(), expected.collect::<Vec<_>>());
            assert_eq!(found.len(), found.iter().map(|c| c.index().unwrap()).collect::<BTreeSet<_>>().len(), "{n}");
        }
    }

    #[test]
    fn samples_come_close_and_say_how_close() {
        for index in InteractionIndex::ALL {
            let exact = SvarmIq { index, ..SvarmIq::default() }.of(&mut noise(9)).unwrap();
            let (mut held, mut total) = (0, 0);
            for seed in 0..8 {
                let found = sampled(index, 480, seed).of(&mut noise(9)).unwrap();
                assert!(found.evaluations <= 480 && found.status == Status::Finished);
                let errors = found.standard_error.unwrap();
                for ((value, exact), error) in found.values.iter().zip(&exact.values).zip(&errors) {
                    assert!(*error > 0.0);
                    held += usize::from((value - exact).abs() < 2.0 * error);
                    total += 1;
                }
            }
            // small strata: Student's tails are wider than two standard errors
            assert!(held * 100 > 86 * total, "{index:?}: {held} of {total}");
        }
    }

    #[test]
    fn a_budget_that_misses_strata_is_refused_before_the_game_is_asked() {
        let mut asked = 0;
        let mut game = GameFunction::new((12, 1), |coalitions: &Coalitions, out: &mut ArrayRef2<f64>| {
            asked += coalitions.len();
            out.fill(0.0);
            Ok::<(), ()>(())
        });
        for budget in [10, 200] {
            let failure = sampled(InteractionIndex::Shapley, budget, 0).of(&mut game).unwrap_err();
            assert!(matches!(failure, Failure::Input(Error::OutOfRange { what: "budget", .. })));
        }
        let found = sampled(InteractionIndex::Shapley, 1000, 0).of(&mut game).unwrap();
        assert!(found.values.iter().all(|value| *value == 0.0) && found.evaluations <= 1000);
        assert_eq!(asked as u64, found.evaluations);
    }

    #[test]
    fn coalitions_of_a_stratum_are_in_it() {
        let layout = Layout::new(8, 1).unwrap();
        let plan = Plan::new(&layout, sampled(InteractionIndex::Shapley, 230, 1)).unwrap();
        assert!(!plan.fills.is_empty());
        let mut words = [0];
        for index in 0..plan.count() {
            plan.coalition(&layout, index, &mut words);
            if let Some(&stratum) = plan.fill(index) {
                let (pair, ..) = layout.parts(stratum);
                assert_eq!(layout.strata(&words).nth(pair), Some(stratum));
            }
        }
    }
}
