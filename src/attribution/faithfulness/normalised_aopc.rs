//! Normalised AOPC: where between the worst and the best possible order of this input the order of an attribution lies.
//!
//! ```text
//! AOPC(order)   mean_k f(x) - f(first k at the baseline),  k = 1..L
//! NAOPC         (AOPC - lower)/(upper - lower),            lower, upper: least and largest AOPC over all orders
//! ```
//!
//! AOPC itself cannot be compared between inputs or models, whose bounds differ. An order is a chain of growing sets, so the
//! bounds follow from the `2^L` sets of removed players and not from the `L!` orders: level by level, each set keeps the best
//! sum of drops on a way to it. With few players all sets are kept, which is exact; with more, the best of each level, a
//! beam. Both bounds, and the order in question, share the values of sets that they meet.
//!
//! Source: Edin et al., "Normalized AOPC: Fixing Misleading Faithfulness Metrics for Feature Attribution Explainability" (arXiv
//! 2408.08137), for the metric and the beam search over orders.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec;
use alloc::vec::Vec;

use ndarray::{Array1, ArrayRef2};

use super::masking::{Masked, Masking};
use crate::Scalar;
use crate::attribution::{Evaluations, Explained, Forward, Target};
use crate::error::{check_each, check_limit};
use crate::math::rank::argsort_descending;

/// Settings of normalised AOPC.
///
/// # Example
/// ```
/// use limpid::attribution::Network;
/// use limpid::attribution::faithfulness::NormalisedAopc;
/// use limpid::attribution::target::Logit;
/// use ndarray::array;
///
/// let mut model = Network::new(3).linear(array![[3.0, 1.0, 2.0]], None)?;
/// let (x, attribution) = (array![[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]], array![[3.0, 1.0, 2.0], [-3.0, -1.0, -2.0]]);
/// let found = NormalisedAopc::default().judge(&mut model, &x, &attribution, &Logit::of(0))?;
/// assert_eq!(found.normalised, [Some(1.0), Some(0.0)]);
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub struct NormalisedAopc<T> {
    /// How features are taken away.
    pub masking: Masking<T>,
    /// Most players for which all sets are tried, at most 20.
    pub exact_up_to: usize,
    /// Sets that are kept at each level with more players.
    pub beam: usize,
}

impl<T> Default for NormalisedAopc<T> {
    fn default() -> Self {
        Self { masking: Masking::default(), exact_up_to: 10, beam: 5 }
    }
}

/// Most players whose sets are all kept.
const MAX_EXACT: usize = 20;

/// Normalised AOPC of `b` rows.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct NormalisedAopcReport {
    /// AOPC of the attribution's order, `(b)`, in units of the target.
    pub aopc: Array1<f64>,
    /// Least AOPC found, `(b)`.
    pub lower: Array1<f64>,
    /// Largest AOPC found, `(b)`.
    pub upper: Array1<f64>,
    /// NAOPC in `[0, 1]`, `(b)`; `None` where all orders that were found are equal up to rounding.
    pub normalised: Vec<Option<f64>>,
    /// Whether the bounds are those over all orders.
    pub exact: bool,
    /// Rows that the model was run for.
    pub evaluations: Evaluations,
}

/// A set of players, 64 in a word.
type Set = Vec<u64>;

impl<T: Scalar> NormalisedAopc<T> {
    /// Judges `attribution: (b, M)` of `target` for the rows of `x: (b, n)`; `M = n` without groups.
    ///
    /// # Errors
    /// As [`Erasure::judge`](super::Erasure::judge), [`Error::OutOfRange`](crate::Error::OutOfRange) for a beam of 0,
    /// [`Error::TooLarge`](crate::Error::TooLarge) for `exact_up_to` beyond 20.
    pub fn judge<M: Forward<T> + ?Sized>(
        &self,
        model: &mut M,
        x: &ArrayRef2<T>,
        attribution: &ArrayRef2<T>,
        target: &dyn Target<T>,
    ) -> Explained<NormalisedAopcReport, M::Error> {
        check_limit("exact_up_to", self.exact_up_to, MAX_EXACT)?;
        check_each("beam", &[self.beam as f64], ">= 1", |beam: f64| beam >= 1.0)?;
        let mut masked = Masked::new(model, x, target, &self.masking)?;
        masked.check(attribution)?;
        let players = masked.players.count;
        let exact = players <= self.exact_up_to;
        let width = if exact { usize::MAX } else { self.beam };
        let mut found = Vec::with_capacity(x.nrows());
        for (row, order) in attribution.rows().into_iter().map(|row| argsort_descending(&row)).enumerate() {
            let mut drops = Drops { masked: &mut masked, row, full: 0.0, largest: 0.0, known: BTreeMap::new() };
            found.push(drops.judge(&order, width)?);
        }
        let part = |which: fn(&Bounds) -> f64| found.iter().map(|bounds| which(bounds) / players as f64).collect();
        Ok(NormalisedAopcReport {
            aopc: part(|bounds| bounds.own),
            lower: part(|bounds| bounds.lower),
            upper: part(|bounds| bounds.upper),
            normalised: found.iter().map(|bounds| bounds.normalised(T::epsilon().as_f64())).collect(),
            exact,
            evaluations: masked.copies.evaluations(),
        })
    }
}

/// Sums of drops.
struct Bounds {
    own: f64,
    lower: f64,
    upper: f64,
    /// Largest magnitude of the target.
    largest: f64,
}

impl Bounds {
    fn normalised(&self, epsilon: f64) -> Option<f64> {
        let range = self.upper - self.lower;
        (range > 4.0 * epsilon * self.largest).then(|| ((self.own - self.lower) / range).clamp(0.0, 1.0))
    }
}

/// Drops of one row by the set of removed players.
struct Drops<'a, 'b, T, M: ?Sized> {
    masked: &'a mut Masked<'b, T, M>,
    row: usize,
    full: f64,
    largest: f64,
    known: BTreeMap<Set, f64>,
}

impl<T: Scalar, M: Forward<T> + ?Sized> Drops<'_, '_, T, M> {
    fn judge(&mut self, order: &[usize], width: usize) -> Explained<Bounds, M::Error> {
        let empty: Set = vec![0; order.len().div_ceil(64)];
        let mut prefixes = vec![empty.clone()];
        prefixes.extend(order.iter().scan(empty, |set, &player| {
            set[player / 64] |= 1 << (player % 64);
            Some(set.clone())
        }));
        self.learn(prefixes.iter().cloned().collect())?;
        let own = prefixes.iter().map(|set| self.known[set]).sum();
        let (lower, upper) = (self.search(width, -1.0)?, self.search(width, 1.0)?);
        Ok(Bounds { own, lower: own.min(-lower), upper: own.max(upper), largest: self.largest })
    }

    /// Runs the model for the sets whose drop is not known.
    fn learn(&mut self, sets: BTreeSet<Set>) -> Explained<(), M::Error> {
        let sets: Vec<Set> = sets.into_iter().filter(|set| !self.known.contains_key(set)).collect();
        let (row, known) = (self.row, &mut self.known);
        let (full, largest) = (&mut self.full, &mut self.largest);
        let removed = |_, set: usize, player: usize| sets[set][player / 64] >> (player % 64) & 1 == 1;
        self.masked.run((0..sets.len()).map(|set| (row, set)), removed, |_, set, value, _| {
            let value = value.as_f64();
            *largest = largest.max(value.abs());
            // the empty set comes first of all, in order and in time
            if sets[set].iter().all(|&word| word == 0) {
                *full = value;
            }
            known.insert(sets[set].clone(), *full - value);
        })
    }

    /// The largest sum of `sign * drop` over the chains of sets that the beam meets.
    fn search(&mut self, width: usize, sign: f64) -> Explained<f64, M::Error> {
        let players = self.masked.players.count;
        let mut level: Vec<(Set, f64)> = vec![(vec![0; players.div_ceil(64)], 0.0)];
        for _ in 0..players {
            let mut next: BTreeMap<Set, f64> = BTreeMap::new();
            for (set, sum) in &level {
                for player in (0..players).filter(|player| set[player / 64] >> (player % 64) & 1 == 0) {
                    let mut larger = set.clone();
                    larger[player / 64] |= 1 << (player % 64);
                    next.entry(larger).and_modify(|best| *best = best.max(*sum)).or_insert(*sum);
                }
            }
            self.learn(next.keys().cloned().collect())?;
            let with_drop = |(set, sum): (Set, f64)| {
                let sum = sum + sign * self.known[&set];
                (set, sum)
            };
            level = next.into_iter().map(with_drop).collect();
            if level.len() > width {
                level.sort_by(|a, b| b.1.total_cmp(&a.1));
                level.truncate(width);
            }
        }
        Ok(level.first().map_or(0.0, |(_, sum)| *sum))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::attribution::target::Logit;
    use crate::attribution::{Batch, Failure, Network};
    use crate::math::pointwise::Activation;
    use approx::assert_relative_eq;
    use ndarray::{Array2, array};

    fn network() -> Network<f64> {
        let weight = Array2::from_shape_fn((6, 5), |(i, j)| ((i * 7 + j * 5) % 11) as f64 / 5.0 - 1.0);
        let model = Network::new(5).linear(weight, None).unwrap().activation(Activation::Tanh).unwrap();
        model.linear(array![[1.0, -2.0, 0.5, 1.5, -1.0, 0.7]], None).unwrap()
    }

    fn judge(method: &NormalisedAopc<f64>, attribution: &Array2<f64>) -> NormalisedAopcReport {
        let x = array![[1.0, -0.5, 0.3, 2.0, 0.8]];
        method.judge(&mut network(), &x, attribution, &Logit::of(0)).unwrap()
    }

    /// All orders of five players.
    fn orders(prefix: &mut Vec<usize>, all: &mut Vec<Vec<usize>>) {
        if prefix.len() == 5 {
            all.push(prefix.clone());
        }
        for player in (0..5).filter(|player| !prefix.contains(player)).collect::<Vec<_>>() {
            prefix.push(player);
            orders(prefix, all);
            prefix.pop();
        }
    }

    #[test]
    fn sets_find_what_orders_find() {
        let mut all = Vec::new();
        orders(&mut Vec::new(), &mut all);
        let (mut lower, mut upper) = (f64::INFINITY, f64::NEG_INFINITY);
        let mut reports = Vec::new();
        for order in &all {
            let mut attribution = Array2::zeros((1, 5));
            order.iter().enumerate().for_each(|(place, &player)| attribution[[0, player]] = -(place as f64));
            let found = judge(&NormalisedAopc::default(), &attribution);
            (lower, upper) = (lower.min(found.aopc[0]), upper.max(found.aopc[0]));
            reports.push(found);
        }
        for found in &reports {
            assert_relative_eq!(found.lower[0], lower, epsilon = 1e-12);
            assert_relative_eq!(found.upper[0], upper, epsilon = 1e-12);
            assert!(found.exact && found.evaluations.forward == 32);
        }
        assert!(reports.iter().any(|found| found.normalised[0] == Some(1.0)));
        assert!(reports.iter().any(|found| found.normalised[0] == Some(0.0)));
    }

    #[test]
    fn a_beam_lies_inside_and_a_wide_one_is_exact() {
        let attribution = array![[0.1, 0.5, -0.2, 0.9, 0.0]];
        let exact = judge(&NormalisedAopc::default(), &attribution);
        let beam = |beam, batch| {
            let masking = Masking { batch, ..Masking::default() };
            judge(&NormalisedAopc { exact_up_to: 0, beam, masking }, &attribution)
        };
        let narrow = beam(1, Batch::Auto);
        assert!(narrow.lower[0] >= exact.lower[0] && narrow.upper[0] <= exact.upper[0] && !narrow.exact);
        assert!(narrow.evaluations.forward < 32);
        assert_eq!((beam(1, Batch::Rows(1)), beam(1, Batch::Rows(3))), (narrow.clone(), narrow));
        let wide = beam(10, Batch::Auto);
        assert_eq!((wide.lower, wide.upper), (exact.lower, exact.upper));
    }

    #[test]
    fn where_order_does_not_matter_there_is_no_place() {
        let mut model = Network::new(2).linear(array![[0.5, 0.5]], Some(array![3.0])).unwrap();
        let found = NormalisedAopc::default();
        let found = found.judge(&mut model, &array![[1.0, 1.0]], &array![[1.0, 0.0]], &Logit::of(0)).unwrap();
        assert_eq!((found.normalised[0], found.aopc[0]), (None, 0.75));
        let wide = NormalisedAopc { exact_up_to: 21, ..NormalisedAopc::default() };
        let refused = wide.judge(&mut model, &array![[1.0, 1.0]], &array![[1.0, 0.0]], &Logit::of(0));
        assert!(matches!(refused, Err(Failure::Input(Error::TooLarge { what: "exact_up_to", .. }))));
    }
}
