//! Erasure: what the model says as the features that an attribution ranks highest are taken away, or kept alone.
//!
//! ```text
//! order               players by attribution, descending, equal ones by lower index;  L players
//! deletion_k          f(first k at the baseline)                    keep_k = f(all but the first k at the baseline)
//! comprehensiveness   mean_k f(x) - deletion_k                      sufficiency = mean_k f(x) - keep_k,  k over the levels
//! AOPC                the same means over given counts k
//! decision flip       single: the first player alone flips it       fraction: least k/L that flips it, 1 if none does
//! rank deletion       Spearman(attribution_i, f(x) - f(i at the baseline))
//! deletion AUC        trapezoid of deletion_k over k/L in [0, 1]    insertion AUC: of keep_k
//! ```
//!
//! All come from one run of `3L - 2` rows for each input: `deletion_0 = keep_L = f(x)`, `deletion_L = keep_0 = f(b)`, and the
//! first and the last of the order alone at the baseline are `deletion_1` and `keep_(L-1)`. Taking `L` features away one at a
//! time for each metric anew would cost more than twice of it.
//!
//! Source: `DeYoung` et al., "ERASER: A Benchmark to Evaluate Rationalized NLP Models" (arXiv 1911.03429), for
//! comprehensiveness, sufficiency and their means over five shares; Samek et al., "Evaluating the visualization of what a Deep
//! Neural Network has learned" (arXiv 1509.06321), for the area over the perturbation curve; Chrysostomou and Aletras,
//! "Improving the Faithfulness of Attention-based Explanations" (arXiv 2105.02657), for decision flips; Petsiuk et al.,
//! "RISE" (arXiv 1806.07421), for deletion and insertion.

use alloc::vec::Vec;

use ndarray::{Array1, Array2, ArrayRef2, ArrayView1};

use super::decision::Decision;
use super::masking::{Masked, Masking, places};
use crate::attribution::{Evaluations, Explained, Forward, Target};
use crate::error::check_each;
use crate::math::curves::{area, first_change, mean_drop};
use crate::math::rank::spearman;
use crate::{Error, Result, Scalar};

/// Settings of the erasure metrics.
///
/// # Example
/// ```
/// use limpid::attribution::Network;
/// use limpid::attribution::faithfulness::Erasure;
/// use limpid::attribution::target::Logit;
/// use ndarray::array;
///
/// let mut model = Network::new(3).linear(array![[3.0, 1.0, 2.0]], None)?;
/// let x = array![[1.0, 1.0, 1.0]];
/// let found = Erasure::default().judge(&mut model, &x, &array![[3.0, 1.0, 2.0]], &Logit::of(0))?;
/// assert_eq!(found.deletion_curve, array![[6.0, 3.0, 1.0, 0.0]]);
/// assert_eq!(found.keep_curve, array![[0.0, 3.0, 5.0, 6.0]]);
/// assert_eq!((found.comprehensiveness[0], found.rank_deletion[0]), (3.5, Some(1.0)));
/// assert_eq!(found.evaluations.forward, 7);
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub struct Erasure<T> {
    /// How features are taken away.
    pub masking: Masking<T>,
    /// Numbers of features to take away.
    pub levels: Levels,
    /// Counts `k` of the AOPC means; none: 1, 5, 10, 20 and 50 % of the players, rounded up, each count once.
    pub counts: Vec<usize>,
    /// Whether each feature is also taken away alone, for the rank deletion.
    pub singles: bool,
    /// What the model decides.
    pub decision: Decision<T>,
}

impl<T> Default for Erasure<T> {
    fn default() -> Self {
        Self {
            masking: Masking::default(),
            levels: Levels::All,
            counts: Vec::new(),
            singles: true,
            decision: Decision::Largest,
        }
    }
}

/// Numbers of features to take away.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Levels {
    /// All of `0..=L`.
    #[default]
    All,
    /// These, for inputs with many features; comprehensiveness and sufficiency are means over them. The curves also have the
    /// levels 0, 1 and `L`, and those of the AOPC counts.
    Counts(Vec<usize>),
}

/// What erasure found, for `b` rows and `K` levels.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub struct ErasureReport<T> {
    /// Numbers `k` of features taken away, ascending from 0 to `L`, `(K)`.
    pub levels: Vec<usize>,
    /// Value of the target with the first `k` players at the baseline, `(b, K)`.
    pub deletion_curve: Array2<T>,
    /// Value of the target with all but the first `k` players at the baseline, `(b, K)`.
    pub keep_curve: Array2<T>,
    /// Drop of the value with each player alone at the baseline, `(b, M)`; `None` where that was not asked for.
    pub single_drops: Option<Array2<T>>,
    /// Mean drop over the levels as players are deleted, `(b)`; larger is better.
    pub comprehensiveness: Array1<f64>,
    /// Mean drop over the levels as players alone are kept, `(b)`; smaller is better.
    pub sufficiency: Array1<f64>,
    /// As `comprehensiveness`, over the counts.
    pub aopc_comprehensiveness: Array1<f64>,
    /// As `sufficiency`, over the counts.
    pub aopc_sufficiency: Array1<f64>,
    /// Whether the first player alone flips the decision; `None` where the model decides nothing.
    pub decision_flip_single: Vec<Option<bool>>,
    /// Least share of players whose deletion flips the decision, of the levels that were run, 1 where none does; `None` where
    /// the model decides nothing.
    pub decision_flip_fraction: Vec<Option<f64>>,
    /// Spearman's correlation of attribution and single deletions; `None` where one side does not vary or was not run.
    pub rank_deletion: Vec<Option<f64>>,
    /// Area under the deletion curve, `(b)`; smaller is better.
    pub deletion_auc: Array1<f64>,
    /// Area under the keep curve, `(b)`; larger is better.
    pub insertion_auc: Array1<f64>,
    /// Rows that the model was run for.
    pub evaluations: Evaluations,
}

impl<T: Scalar> ErasureReport<T> {
    /// Value of the target for the inputs, `(b)`.
    #[must_use]
    pub fn full(&self) -> Array1<T> {
        self.deletion_curve.column(0).to_owned()
    }

    /// Value of the target for the baselines, `(b)`.
    #[must_use]
    pub fn empty(&self) -> Array1<T> {
        self.keep_curve.column(0).to_owned()
    }
}

/// One changed copy of an input.
#[derive(Debug, Clone, Copy)]
enum Change {
    /// The first so many players at the baseline; the level's index.
    Delete(usize, usize),
    /// All but the first so many; the level's index.
    Keep(usize, usize),
    /// One player.
    Single(usize),
}

impl<T: Scalar> Erasure<T> {
    /// Judges `attribution: (b, M)` of `target` for the rows of `x: (b, n)`; `M = n` without groups.
    ///
    /// # Errors
    /// As [`Explainer::attribute`](crate::attribution::Explainer::attribute), and [`Error::Shape`] for an attribution of
    /// another shape, [`Error::OutOfRange`] for levels and counts beyond `L`, [`Error::Empty`] for no levels.
    pub fn judge<M: Forward<T> + ?Sized>(
        &self,
        model: &mut M,
        x: &ArrayRef2<T>,
        attribution: &ArrayRef2<T>,
        target: &dyn Target<T>,
    ) -> Explained<ErasureReport<T>, M::Error> {
        let mut masked = Masked::new(model, x, target, &self.masking)?;
        masked.check(attribution)?;
        self.decision.check(masked.copies.n_outputs())?;
        let plan = self.plan(masked.players.count)?;
        let places = places(attribution);
        let mut run = Run::new(x.nrows(), &plan, self.singles.then_some(masked.players.count));
        let items = (0..x.nrows()).flat_map(|row| plan.changes(row, &places[row], self.singles));
        let removed = |row: usize, change, player: usize| match change {
            Change::Delete(count, _) => places[row][player] < count,
            Change::Keep(count, _) => places[row][player] >= count,
            Change::Single(one) => player == one,
        };
        masked.run(items, removed, |row, change, value, z| run.take(row, change, value, self.decision.of(z)))?;
        run.share(&plan, &places);
        Ok(run.summarise(&plan, attribution, masked.copies.evaluations())?)
    }

    /// All levels that are run for `players` players, and those that are averaged.
    pub(super) fn levels(&self, players: usize) -> Result<(Vec<usize>, Vec<usize>)> {
        self.plan(players).map(|plan| (plan.levels, plan.asked))
    }

    /// The levels and counts for `players` players.
    fn plan(&self, players: usize) -> Result<Plan> {
        let asked = match &self.levels {
            Levels::All => (0..=players).collect(),
            Levels::Counts(levels) => levels.clone(),
        };
        if asked.is_empty() {
            return Err(Error::Empty { what: "levels" });
        }
        let counts = if self.counts.is_empty() { shares(players) } else { self.counts.clone() };
        for (what, counts) in [("levels", &asked), ("counts", &counts)] {
            let counts: Vec<f64> = counts.iter().map(|&count| count as f64).collect();
            check_each(what, &counts, "at most the number of players", |count: f64| count <= players as f64)?;
        }
        let mut levels = [&[0, players.min(1), players][..], &asked, &counts].concat();
        levels.sort_unstable();
        levels.dedup();
        Ok(Plan { players, asked, counts, levels })
    }
}

/// 1, 5, 10, 20 and 50 % of the players, rounded up.
fn shares(players: usize) -> Vec<usize> {
    let mut counts: Vec<usize> = [1, 5, 10, 20, 50].iter().map(|percent| (players * percent).div_ceil(100)).collect();
    counts.dedup();
    counts
}

/// What is run and averaged.
#[derive(Debug)]
struct Plan {
    players: usize,
    asked: Vec<usize>,
    counts: Vec<usize>,
    levels: Vec<usize>,
}

impl Plan {
    /// The copies of one row that no other copy of it equals.
    fn changes<'a>(
        &'a self,
        row: usize,
        places: &'a [usize],
        singles: bool,
    ) -> impl Iterator<Item = (usize, Change)> + 'a {
        let levels = self.levels.iter().copied().enumerate();
        let deletions = levels.clone().map(|(index, count)| Change::Delete(count, index));
        let keeps = levels.filter(|&(_, count)| count > 0 && count < self.players);
        let keeps = keeps.map(|(index, count)| Change::Keep(count, index));
        let alone = (0..self.players).filter(move |&player| singles && !self.is_level(places[player]));
        deletions.chain(keeps).chain(alone.map(Change::Single)).map(move |change| (row, change))
    }

    /// Whether the player at this place is taken away alone by some level.
    fn is_level(&self, place: usize) -> bool {
        place == 0 || (place + 1 == self.players && self.index(place).is_some())
    }

    fn index(&self, level: usize) -> Option<usize> {
        self.levels.binary_search(&level).ok()
    }
}

/// What the run has given so far.
struct Run<T> {
    deletion: Array2<T>,
    keep: Array2<T>,
    singles: Option<Array2<T>>,
    decisions: Array2<Option<usize>>,
}

impl<T: Scalar> Run<T> {
    fn new(rows: usize, plan: &Plan, singles: Option<usize>) -> Self {
        let curve = (rows, plan.levels.len());
        let singles = singles.map(|players| Array2::zeros((rows, players)));
        Self { deletion: Array2::zeros(curve), keep: Array2::zeros(curve), singles, decisions: Array2::default(curve) }
    }

    fn take(&mut self, row: usize, change: Change, value: T, decision: Option<usize>) {
        match change {
            Change::Delete(_, index) => {
                self.deletion[[row, index]] = value;
                self.decisions[[row, index]] = decision;
            }
            Change::Keep(_, index) => self.keep[[row, index]] = value,
            Change::Single(player) => {
                if let Some(singles) = &mut self.singles {
                    singles[[row, player]] = value;
                }
            }
        }
    }

    /// Fills in what other copies have shown.
    fn share(&mut self, plan: &Plan, places: &[Vec<usize>]) {
        let last = plan.levels.len() - 1;
        for (row, places) in places.iter().enumerate() {
            self.keep[[row, 0]] = self.deletion[[row, last]];
            self.keep[[row, last]] = self.deletion[[row, 0]];
            let Some(singles) = &mut self.singles else { continue };
            for (player, &place) in places.iter().enumerate().filter(|(_, place)| plan.is_level(**place)) {
                singles[[row, player]] = match plan.index(place) {
                    Some(index) if place > 0 => self.keep[[row, index]],
                    _ => self.deletion[[row, 1]],
                };
            }
        }
    }

    fn summarise(self, plan: &Plan, attribution: &ArrayRef2<T>, evaluations: Evaluations) -> Result<ErasureReport<T>> {
        let full = self.deletion.column(0).to_owned();
        // the value of the input is the same for both curves
        let drops = |curve: &Array2<T>, counts: &[usize]| -> Array1<f64> {
            let of_row = |(row, &full): (ArrayView1<'_, T>, &T)| {
                mean_drop(full, &row, counts.iter().filter_map(|&count| plan.index(count))).unwrap_or_default()
            };
            curve.rows().into_iter().zip(&full).map(of_row).collect()
        };
        let areas = |curve: &Array2<T>| curve.rows().into_iter().map(|row| area(&row, &plan.levels)).collect();
        let singles = self.singles.map(|mut singles| {
            singles.rows_mut().into_iter().zip(&full).for_each(|(mut row, &full)| row.mapv_inplace(|f| full - f));
            singles
        });
        let of_row = |(row, a): (usize, ArrayView1<'_, T>)| match &singles {
            Some(drops) => spearman(&a, &drops.row(row)),
            None => Ok(None),
        };
        let ranks = attribution.rows().into_iter().enumerate().map(of_row).collect::<Result<_>>()?;
        let flips: Vec<Option<Option<usize>>> =
            self.decisions.rows().into_iter().map(|row| first_change(&row.to_vec())).collect();
        let share = |first: Option<usize>| first.map_or(1.0, |index| plan.levels[index] as f64 / plan.players as f64);
        Ok(ErasureReport {
            comprehensiveness: drops(&self.deletion, &plan.asked),
            sufficiency: drops(&self.keep, &plan.asked),
            aopc_comprehensiveness: drops(&self.deletion, &plan.counts),
            aopc_sufficiency: drops(&self.keep, &plan.counts),
            decision_flip_single: flips.iter().map(|flip| flip.map(|first| first == Some(1))).collect(),
            decision_flip_fraction: flips.iter().map(|flip| flip.map(share)).collect(),
            rank_deletion: ranks,
            deletion_auc: areas(&self.deletion),
            insertion_auc: areas(&self.keep),
            levels: plan.levels.clone(),
            single_drops: singles,
            deletion_curve: self.deletion,
            keep_curve: self.keep,
            evaluations,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::model::Function;
    use crate::attribution::target::Logit;
    use crate::attribution::{Batch, Failure, Network};
    use alloc::vec;
    use approx::assert_relative_eq;
    use ndarray::array;

    /// `σ(2 m_0 - m_1 + m_2/2 + m_3 - 1/2)`.
    fn judged(erasure: &Erasure<f64>) -> ErasureReport<f64> {
        let mut model = Function::new((4, 1), |x: &ArrayRef2<f64>, z: &mut ArrayRef2<f64>| {
            for (row, z) in x.rows().into_iter().zip(z.iter_mut()) {
                *z = 1.0 / (1.0 + (0.5 - 2.0 * row[0] + row[1] - 0.5 * row[2] - row[3]).exp());
            }
            Ok::<(), Error>(())
        });
        let (x, attribution) = (array![[1.0; 4]], array![[2.0, -1.0, 0.5, 1.0]]);
        erasure.judge(&mut model, &x, &attribution, &Logit::of(0)).unwrap()
    }

    #[test]
    fn a_sigmoid_by_hand() {
        let found = judged(&Erasure { decision: Decision::Threshold(0.5), ..Erasure::default() });
        assert_relative_eq!(found.comprehensiveness[0], 0.438_856_14, epsilon = 1e-8);
        assert_relative_eq!(found.sufficiency[0], 0.090_271_44, epsilon = 1e-8);
        assert_eq!((found.decision_flip_single[0], found.decision_flip_fraction[0]), (Some(false), Some(0.5)));
        assert_eq!(found.rank_deletion[0], Some(1.0));
        let expected = array![[0.380_797_08, -0.071_777_05, 0.063_222_60, 0.149_738_50]];
        assert_relative_eq!(found.single_drops.unwrap(), expected, epsilon = 1e-8);
        assert_eq!(found.evaluations.forward, 3 * 4 - 2);
    }

    #[test]
    fn one_output_decides_nothing() {
        let found = judged(&Erasure { singles: false, ..Erasure::default() });
        assert_eq!((found.decision_flip_single[0], found.decision_flip_fraction[0]), (None, None));
        assert_eq!((found.rank_deletion[0], found.single_drops, found.evaluations.forward), (None, None, 8));
    }

    #[test]
    fn areas_are_trapezoids() {
        let found = judged(&Erasure::default());
        let curve = found.deletion_curve.row(0);
        let expected = (curve[0] / 2.0 + curve[1] + curve[2] + curve[3] + curve[4] / 2.0) / 4.0;
        assert_relative_eq!(found.deletion_auc[0], expected, epsilon = 1e-15);
    }

    #[test]
    fn few_levels_are_a_part_of_all() {
        let all = judged(&Erasure { counts: vec![3], ..Erasure::default() });
        for singles in [false, true] {
            let few =
                judged(&Erasure { levels: Levels::Counts(vec![2]), counts: vec![3], singles, ..Erasure::default() });
            assert_eq!(few.levels, [0, 1, 2, 3, 4]);
            assert_relative_eq!(few.comprehensiveness[0], all.deletion_curve[[0, 0]] - all.deletion_curve[[0, 2]]);
            assert_eq!(few.aopc_sufficiency, all.aopc_sufficiency);
        }
        let few = judged(&Erasure { levels: Levels::Counts(vec![0]), counts: vec![1], ..Erasure::default() });
        assert_eq!((few.levels, few.comprehensiveness[0]), (vec![0, 1, 4], 0.0));
        assert_eq!(few.single_drops, all.single_drops);
    }

    #[test]
    fn one_player_is_all_of_them() {
        let mut model = Network::new(2).linear(array![[1.0, 2.0], [0.0, 4.0]], None).unwrap();
        let masking = Masking { groups: Some(vec![0, 0]), batch: Batch::Rows(1), ..Masking::default() };
        let erasure = Erasure { masking, ..Erasure::default() };
        let found = erasure.judge(&mut model, &array![[1.0, 1.0]], &array![[1.0]], &Logit::of(1)).unwrap();
        assert_eq!((found.deletion_curve, found.keep_curve), (array![[4.0, 0.0]], array![[0.0, 4.0]]));
        assert_eq!((found.single_drops, found.rank_deletion[0]), (Some(array![[4.0]]), None));
        assert_eq!((found.decision_flip_single[0], found.decision_flip_fraction[0]), (Some(true), Some(1.0)));
        assert_eq!(found.evaluations.forward, 2);
    }

    #[test]
    fn bad_settings_are_named() {
        let mut model = Network::new(2).linear(array![[1.0, 2.0], [0.0, 4.0]], None).unwrap();
        let mut refused = |erasure: Erasure<f64>| {
            let found = erasure.judge(&mut model, &array![[1.0, 1.0]], &array![[1.0, 2.0]], &Logit::of(1));
            found.map(|_| ()).unwrap_err()
        };
        let counts = refused(Erasure { counts: vec![1, 3], ..Erasure::default() });
        assert!(matches!(counts, Failure::Input(Error::OutOfRange { what: "counts", index: 1, .. })));
        let levels = refused(Erasure { levels: Levels::Counts(vec![]), ..Erasure::default() });
        assert_eq!(levels, Failure::Input(Error::Empty { what: "levels" }));
        let threshold = refused(Erasure { decision: Decision::Threshold(0.0), ..Erasure::default() });
        assert!(matches!(threshold, Failure::Input(Error::Unsupported { .. })));
        assert_eq!(shares(64), [1, 4, 7, 13, 32]);
        assert_eq!(shares(3), [1, 2]);
    }
}
