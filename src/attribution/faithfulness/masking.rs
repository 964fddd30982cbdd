//! Taking features away: what all metrics that do it have in common.
//!
//! A player is a feature, or a group of features that come and go together. An attribution that is judged has a value for each
//! player, `(b, M)`; [`group_values`] makes it from one of features.

use alloc::vec;
use alloc::vec::Vec;

use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2};

use crate::attribution::baseline::BaselineRows;
use crate::attribution::perturbation::Players;
use crate::attribution::sweep::Sweep;
use crate::attribution::{Baseline, Batch, Explained, Forward, Target};
use crate::error::{check_finite, check_shape};
use crate::math::curves::mean;
use crate::{Error, Result, Scalar};

/// How features are taken away.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub struct Masking<T> {
    /// What takes their place.
    pub baseline: Baseline<T>,
    /// The player of every feature, `(n)`, each of `0..M` at least once; `None`: every feature is a player.
    pub groups: Option<Vec<usize>>,
    /// Rows of one model call.
    pub batch: Batch,
}

impl<T> Default for Masking<T> {
    fn default() -> Self {
        Self { baseline: Baseline::Zeros, groups: None, batch: Batch::Auto }
    }
}

/// How the value of a group comes from those of its features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum GroupValue {
    /// Their sum: for methods that give every feature a value of its own.
    #[default]
    Sum,
    /// The value that all of them carry: for methods that explain groups.
    Shared,
}

/// Values of the groups, `(b, M)`, of an attribution of features `(b, n)`.
///
/// # Errors
/// [`Error::Shape`] where the groups do not fit, [`Error::OutOfRange`] for a group without features, and, by
/// [`GroupValue::Shared`], for a feature whose value is not that of the first of its group.
///
/// # Example
/// ```
/// use limpid::attribution::faithfulness::{GroupValue, group_values};
/// use ndarray::array;
///
/// let of_features = array![[1.0, 2.0, 4.0]];
/// assert_eq!(group_values(&of_features, &[0, 0, 1], GroupValue::Sum)?, array![[3.0, 4.0]]);
/// assert!(group_values(&of_features, &[0, 0, 1], GroupValue::Shared).is_err());
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn group_values<T: Scalar>(attribution: &ArrayRef2<T>, groups: &[usize], by: GroupValue) -> Result<Array2<T>> {
    let players = Players::new(Some(groups), attribution.ncols())?;
    let mut values: Array2<T> = Array2::zeros((attribution.nrows(), players.count));
    let mut seen = vec![false; players.count];
    for (feature, &player) in players.of_feature.iter().enumerate() {
        let first = !core::mem::replace(&mut seen[player], true);
        for (row, &value) in attribution.column(feature).iter().enumerate() {
            let slot = &mut values[[row, player]];
            match by {
                GroupValue::Sum => *slot += value,
                GroupValue::Shared if first => *slot = value,
                GroupValue::Shared if *slot == value => {}
                GroupValue::Shared => {
                    let expected = "the value of the first feature of its group";
                    return Err(Error::OutOfRange {
                        what: "attribution",
                        index: feature,
                        value: value.as_f64(),
                        expected,
                    });
                }
            }
        }
    }
    Ok(values)
}

/// Most numbers that a measure keeps for one row.
pub(super) const MAX_KEPT: usize = 1 << 26;

/// Inputs with some players at the baseline through the model.
pub(super) struct Masked<'a, T, M: ?Sized> {
    pub(super) copies: Sweep<'a, T, M>,
    pub(super) players: Players,
    baseline: BaselineRows<'a, T>,
}

impl<'a, T: Scalar, M: Forward<T> + ?Sized> Masked<'a, T, M> {
    pub(super) fn new(
        model: &'a mut M,
        x: &'a ArrayRef2<T>,
        target: &'a dyn Target<T>,
        masking: &'a Masking<T>,
    ) -> Result<Self> {
        let copies = Sweep::new(model, x, target, masking.batch)?;
        let players = Players::new(masking.groups.as_deref(), x.ncols())?;
        Ok(Self { copies, players, baseline: masking.baseline.rows(x)? })
    }

    /// Checks that `attribution: (b, M)` has a finite value for every player.
    pub(super) fn check(&self, attribution: &ArrayRef2<T>) -> Result<()> {
        check_shape("attribution", attribution, &[self.copies.x().nrows(), self.players.count])?;
        check_finite("attribution", attribution)
    }

    /// Runs one copy for every item, the players for which `removed(example, what, player)` at the baseline.
    pub(super) fn run<K: Copy>(
        &mut self,
        items: impl IntoIterator<Item = (usize, K)>,
        removed: impl Fn(usize, K, usize) -> bool,
        take: impl FnMut(usize, K, T, &[T]),
    ) -> Explained<(), M::Error> {
        let (players, baseline) = (&self.players, &self.baseline);
        let change = |example: usize, item: K, row: &mut [T]| {
            let features = row.iter_mut().zip(&players.of_feature).zip(baseline.row(example));
            for ((slot, &player), &base) in features {
                if removed(example, item, player) {
                    *slot = base;
                }
            }
        };
        self.copies.run(items, change, take)
    }

    /// Values of the target for the inputs and for the baselines, each `(b)`.
    pub(super) fn ends(&mut self) -> Explained<[Array1<T>; 2], M::Error> {
        let rows = self.copies.x().nrows();
        let mut ends = [Array1::zeros(rows), Array1::zeros(rows)];
        let items = [0, 1].into_iter().flat_map(|end| (0..rows).map(move |row| (row, end)));
        self.run(items, |_, end, _| end == 1, |row, end, value, _| ends[end][row] = value)?;
        Ok(ends)
    }

    /// Change of the target's value by each player alone at the baseline, `f(x) - f(x without it)`, `(b, M)`, for the values
    /// `full: (b)` of the inputs.
    pub(super) fn single_drops(&mut self, full: &ArrayRef1<T>) -> Explained<Array2<T>, M::Error> {
        let (rows, count) = (self.copies.x().nrows(), self.players.count);
        let mut drops = Array2::zeros((rows, count));
        let items = (0..rows).flat_map(|row| (0..count).map(move |player| (row, player)));
        let take = |row: usize, player, value, _: &[T]| drops[[row, player]] = full[row] - value;
        self.run(items, |_, one, player| one == player, take)?;
        Ok(drops)
    }
}

/// Place of every player in the order of a row of `(b, M)`: by value descending, equal ones by lower index.
pub(super) fn places<T: Scalar>(attribution: &ArrayRef2<T>) -> Vec<Vec<usize>> {
    let place = |order: Vec<usize>| {
        let mut places = vec![0; order.len()];
        order.iter().enumerate().for_each(|(place, &player)| places[player] = place);
        places
    };
    attribution.rows().into_iter().map(|row| place(crate::math::rank::argsort_descending(&row))).collect()
}

/// Mean, and its standard error where there are two numbers or more.
pub(super) fn mean_and_error(values: &[f64]) -> Option<(f64, Option<f64>)> {
    let centre = mean(values.iter().copied())?;
    let squares: f64 = values.iter().map(|value| (value - centre) * (value - centre)).sum();
    let count = values.len() as f64;
    Some((centre, (values.len() > 1).then(|| libm::sqrt(squares / (count - 1.0) / count))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::target::Logit;
    use crate::attribution::{Failure, Network};
    use ndarray::array;

    #[test]
    fn a_row_is_what_is_left_of_it() {
        let mut model = Network::new(3).linear(array![[1.0, 10.0, 100.0]], None).unwrap();
        let (x, target) = (array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], Logit::of(0));
        let baseline = Baseline::from(array![[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]);
        for batch in [Batch::Auto, Batch::Rows(1), Batch::Rows(3)] {
            let masking = Masking { baseline: baseline.clone(), groups: Some(vec![0, 1, 0]), batch };
            let mut masked = Masked::new(&mut model, &x, &target, &masking).unwrap();
            assert_eq!(masked.ends().unwrap(), [array![321.0, 654.0], array![0.0, 111.0]]);
            let full = array![321.0, 654.0];
            assert_eq!(masked.single_drops(&full).unwrap(), array![[301.0, 20.0], [503.0, 40.0]]);
            assert_eq!(masked.copies.evaluations().forward, 8);
        }
    }

    #[test]
    fn an_attribution_has_a_value_for_every_player() {
        let mut model = Network::<f64>::new(2).linear(array![[1.0, 1.0]], None).unwrap();
        let (x, target) = (array![[1.0, 2.0]], Logit::of(0));
        let masking = Masking { groups: Some(vec![0, 0]), ..Masking::default() };
        let masked = Masked::new(&mut model, &x, &target, &masking).unwrap();
        assert!(masked.check(&array![[1.0]]).is_ok());
        assert!(matches!(masked.check(&array![[1.0, 2.0]]), Err(Error::Shape { what: "attribution", .. })));
        assert!(matches!(masked.check(&array![[f64::NAN]]), Err(Error::NotFinite { .. })));
        let broken = Masking { groups: Some(vec![0]), ..Masking::default() };
        let refused: Explained<_, Error> = Masked::new(&mut model, &x, &target, &broken).map_err(Failure::from);
        assert!(matches!(refused.map(|_| ()), Err(Failure::Input(Error::Shape { what: "groups", .. }))));
    }

    #[test]
    fn ties_go_by_index() {
        assert_eq!(places(&array![[1.0, 3.0, 3.0, 2.0]]), [[3, 0, 1, 2]]);
        assert_eq!(mean_and_error(&[1.0, 3.0]), Some((2.0, Some(1.0))));
        assert_eq!((mean_and_error(&[5.0]), mean_and_error(&[])), (Some((5.0, None)), None));
    }
}
