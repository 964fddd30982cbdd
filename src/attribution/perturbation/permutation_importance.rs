//! Permutation importance: what the output loses when a group of features is dealt anew among the rows.
//!
//! ```text
//! A_ig = mean over permutations π of  f(x_i) - f(x_i with group g from row π(i))
//! ```
//!
//! Removed features so keep values that occur, though not beside the other features they occur with. The mean of a column
//! over the rows is the importance of the feature in the sense of Breiman, for the target as the score.
//!
//! Source: Breiman, "Random Forests", Machine Learning 45 (2001), section 10; per row as "feature permutation" in Captum.

use alloc::format;
use alloc::vec::Vec;

use ndarray::{Array2, ArrayRef2};

use super::groups::Groups;
use crate::attribution::sweep::Sweep;
use crate::attribution::{Attribution, Batch, Explained, Explainer, Forward, Status, Target};
use crate::error::check_each;
use crate::math::random::shuffle;
use crate::{Error, Scalar, Seed};

/// Purpose of the permutations' random streams.
const PURPOSE: u64 = 0x7065_726d;

/// Features from other rows: `1 + repeats M` model rows for each of at least two inputs with `M` groups.
///
/// The standard errors are those of the mean over `repeats` permutations; there are none for one permutation.
///
/// # Example
/// ```
/// use limpid::attribution::perturbation::PermutationImportance;
/// use limpid::attribution::target::Logit;
/// use limpid::attribution::{Explainer, Network};
/// use ndarray::array;
///
/// let mut model = Network::new(2).linear(array![[1.0, 0.0]], None)?;
/// let x = array![[1.0, 5.0], [2.0, 7.0]];
/// let found = PermutationImportance { repeats: 8, ..Default::default() }.attribute(&mut model, &x, &Logit::of(0))?;
/// assert!(found.values[[0, 0]] <= 0.0 && found.values[[1, 0]] == -found.values[[0, 0]]);
/// assert_eq!(found.values.column(1), array![0.0, 0.0]);
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PermutationImportance {
    /// Which features move together; the same for all rows.
    pub groups: Groups,
    /// Permutations of each group.
    pub repeats: usize,
    /// Where the permutations come from.
    pub seed: Seed,
    /// Rows of a model call.
    pub batch: Batch,
}

impl Default for PermutationImportance {
    fn default() -> Self {
        Self { groups: Groups::Single, repeats: 5, seed: Seed(0), batch: Batch::Auto }
    }
}

/// A permutation of `0..b` that is a function of seed and item alone.
fn permutation(seed: Seed, item: u64, b: usize) -> Vec<usize> {
    let (mut stream, mut order) = (seed.stream(PURPOSE, item), (0..b).collect::<Vec<_>>());
    shuffle(&mut stream, &mut order);
    order
}

impl<T: Scalar, M: Forward<T> + ?Sized> Explainer<T, M> for PermutationImportance {
    fn attribute(
        &self,
        model: &mut M,
        x: &ArrayRef2<T>,
        target: &dyn Target<T>,
    ) -> Explained<Attribution<T>, M::Error> {
        let mut sweep = Sweep::new(model, x, target, self.batch)?;
        let (groups, (rows, n)) = (&self.groups, x.dim());
        groups.check(rows, n)?;
        check_each("repeats", &[self.repeats as f64], ">= 1", |repeats: f64| repeats >= 1.0)?;
        check_each("rows", &[rows as f64], ">= 2: one row has nobody to exchange with", |rows: f64| rows >= 2.0)?;
        if !groups.are_shared() {
            return Err(Error::Unsupported { what: "permuting groups that differ between rows" }.into());
        }
        let (output, count) = (sweep.unchanged()?, groups.count(0, n));
        let (mut mean, mut square) = (Array2::<f64>::zeros((rows, count)), Array2::<f64>::zeros((rows, count)));
        let items = (0..self.repeats).flat_map(|repeat| (0..count).map(move |group| (repeat, group)));
        sweep.run(
            items.flat_map(|(repeat, group)| {
                let order = permutation(self.seed, (repeat * count + group) as u64, rows);
                (0..rows).map(move |row| (row, (repeat, group, order[row])))
            }),
            |row, (_, group, other), changed| groups.remove(row, group, x.row(other), changed),
            |row, (repeat, group, _), value, _| {
                // Welford's update, which does not cancel
                let (loss, at) = ((output[row] - value).as_f64(), [row, group]);
                let before = loss - mean[at];
                mean[at] += before / (repeat + 1) as f64;
                square[at] += before * (loss - mean[at]);
            },
        )?;
        let spread = |of: &Array2<f64>| {
            Array2::from_shape_fn(x.raw_dim(), |(row, feature)| T::of(of[[row, groups.of(row, feature)]]))
        };
        let mut result = Attribution::new("permutation_importance", format!("{self:?}"), spread(&mean), output);
        let repeats = self.repeats as f64;
        result.standard_error =
            (self.repeats > 1).then(|| spread(&square.mapv(|sum| libm::sqrt(sum / (repeats - 1.0) / repeats))));
        (result.evaluations, result.seed) = (sweep.evaluations(), Some(self.seed));
        result.status = Status::Finished;
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{c1, failed_input, is_batch_invariant};
    use super::*;
    use crate::attribution::target::Logit;
    use crate::attribution::{Failure, Network};
    use alloc::vec;
    use ndarray::array;

    #[test]
    fn two_rows_exchange_or_stay() {
        // half of the permutations exchange the rows, so the mean loss is half the difference
        let mut model = Network::<f64>::new(2).linear(array![[1.0, 10.0]], None).unwrap();
        let method = PermutationImportance { repeats: 4000, ..PermutationImportance::default() };
        let found = method.attribute(&mut model, &array![[1.0, 1.0], [3.0, 1.0]], &Logit::of(0)).unwrap();
        let error = found.standard_error.unwrap();
        // one loss is 0 or -2: a deviation of 1
        assert!((error[[0, 0]] - 1.0 / 4000.0_f64.sqrt()).abs() < 1e-4);
        assert!((found.values[[0, 0]] + 1.0).abs() < 4.0 * error[[0, 0]]);
        assert_eq!((found.values[[1, 0]], found.values[[0, 1]]), (-found.values[[0, 0]], 0.0));
        assert_eq!(found.evaluations.forward, 2 + 2 * 2 * 4000);
    }

    #[test]
    fn groups_move_together() {
        let groups = Groups::from(vec![0, 0, 0]);
        let method = PermutationImportance { groups, repeats: 1, ..PermutationImportance::default() };
        let x = array![[20.0, 50.0, 30.0], [2.0, 10.0, 3.0], [1.0, 1.0, 1.0]];
        let found = method.attribute(&mut c1(), &x, &Logit::of(0)).unwrap();
        // whole rows are exchanged, so losses are differences of outputs and add up to 0
        let total: f64 = found.values.column(0).sum();
        assert!(total.abs() < 1e-9 && found.standard_error.is_none());
    }

    #[test]
    fn results_do_not_depend_on_the_batch() {
        is_batch_invariant(|batch| PermutationImportance { batch, ..PermutationImportance::default() });
    }

    #[test]
    fn bad_settings_are_named() {
        let default = PermutationImportance::default;
        assert!(matches!(failed_input(&default()), Error::OutOfRange { what: "rows", .. }));
        let none = PermutationImportance { repeats: 0, ..default() };
        assert!(matches!(failed_input(&none), Error::OutOfRange { what: "repeats", .. }));
        let own = PermutationImportance { groups: vec![vec![0, 0, 0], vec![0, 1, 2]].into(), ..default() };
        let found = own.attribute(&mut c1(), &array![[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]], &Logit::of(0));
        assert!(matches!(found, Err(Failure::Input(Error::Unsupported { .. }))));
    }
}
