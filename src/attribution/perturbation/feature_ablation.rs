//! Feature ablation: what the output loses when one group of features is replaced by the baseline.
//!
//! ```text
//! A_g = f(x) - f(x with group g at the baseline)        every feature of g carries the whole A_g
//! ```
//!
//! The sign is kept: a negative value marks a group that works against the output. Several inputs of a model are one row in
//! which a group may reach over all of them.
//!
//! Source: Zeiler & Fergus, "Visualizing and Understanding Convolutional Networks" (arXiv 1311.2901), section 4.2, for one
//! patch at a time; "feature ablation" in Captum.

use alloc::format;

use ndarray::{Array2, ArrayRef2};

use super::groups::Groups;
use crate::Scalar;
use crate::attribution::sweep::Sweep;
use crate::attribution::{Attribution, Baseline, Batch, Explained, Explainer, Forward, Target};

/// The output's loss without each group of features: `1 + M` rows for an input with `M` groups.
///
/// # Example
/// ```
/// use limpid::attribution::perturbation::FeatureAblation;
/// use limpid::attribution::target::Logit;
/// use limpid::attribution::{Explainer, Network};
/// use ndarray::array;
///
/// let mut model = Network::new(3).linear(array![[3.0, -4.0, 1.0]], None)?;
/// let x = array![[1.0, 1.0, 2.0]];
/// let found = FeatureAblation::default().attribute(&mut model, &x, &Logit::of(0))?;
/// assert_eq!(found.values, array![[3.0, -4.0, 2.0]]);
///
/// let pairs = FeatureAblation { groups: vec![0, 1, 1].into(), ..FeatureAblation::default() };
/// assert_eq!(pairs.attribute(&mut model, &x, &Logit::of(0))?.values, array![[3.0, -2.0, -2.0]]);
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub struct FeatureAblation<T> {
    /// What removed features become.
    pub baseline: Baseline<T>,
    /// Which features are removed together.
    pub groups: Groups,
    /// Rows of a model call.
    pub batch: Batch,
}

impl<T> Default for FeatureAblation<T> {
    fn default() -> Self {
        Self { baseline: Baseline::Zeros, groups: Groups::Single, batch: Batch::Auto }
    }
}

impl<T: Scalar, M: Forward<T> + ?Sized> Explainer<T, M> for FeatureAblation<T> {
    fn attribute(
        &self,
        model: &mut M,
        x: &ArrayRef2<T>,
        target: &dyn Target<T>,
    ) -> Explained<Attribution<T>, M::Error> {
        let mut sweep = Sweep::new(model, x, target, self.batch)?;
        let (groups, (rows, n), baseline) = (&self.groups, x.dim(), self.baseline.rows(x)?);
        groups.check(rows, n)?;
        let output = sweep.unchanged()?;
        let mut values = Array2::zeros(x.raw_dim());
        sweep.run(
            (0..rows).flat_map(|row| (0..groups.count(row, n)).map(move |group| (row, group))),
            |row, group, changed| groups.remove(row, group, baseline.row(row), changed),
            |row, group, value, _| groups.give(row, group, output[row] - value, values.row_mut(row)),
        )?;
        let mut result = Attribution::new("feature_ablation", format!("{self:?}"), values, output);
        result.evaluations = sweep.evaluations();
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{c1, failed_input, is_batch_invariant};
    use super::*;
    use crate::Error;
    use crate::attribution::model::Function;
    use crate::attribution::target::Logit;
    use alloc::vec;
    use ndarray::array;

    fn found(groups: Groups, base: f64, x: Array2<f64>) -> Array2<f64> {
        let baseline = Baseline::Row(ndarray::Array1::from_elem(3, base));
        let method = FeatureAblation { baseline, groups, batch: Batch::Auto };
        method.attribute(&mut c1(), &x, &Logit::of(0)).unwrap().values
    }

    #[test]
    fn groups_and_baselines() {
        let pairs = || Groups::from(vec![0, 0, 1]);
        let x = array![[20.0, 50.0, 30.0], [2.0, 10.0, 3.0]];
        assert_eq!(found(Groups::Single, 0.0, x.clone()), array![[80.0, 200.0, 120.0], [8.0, 35.0, 12.0]]);
        assert_eq!(found(pairs(), 0.0, x.clone()), array![[280.0, 280.0, 120.0], [41.0, 41.0, 12.0]]);
        assert_eq!(found(pairs(), 4.0, x.clone()).row(0), array![248.0, 248.0, 104.0]);
        let own = Groups::from(vec![vec![0, 0, 1], vec![0, 1, 2]]);
        assert_eq!(found(own, 0.0, x), array![[280.0, 280.0, 120.0], [8.0, 35.0, 12.0]]);
    }

    #[test]
    fn groups_reach_over_several_inputs() {
        // three inputs of three features, added up before the network
        let mut net = c1();
        let mut model = Function::new((9, 2), |x: &ArrayRef2<f64>, z: &mut ArrayRef2<f64>| {
            let sum = Array2::from_shape_fn((x.nrows(), 3), |(r, i)| x[[r, i]] + x[[r, i + 3]] + x[[r, i + 6]]);
            net.forward(&sum, z)
        });
        let x = array![
            [23.0, 100.0, 0.0, 20.0, 50.0, 30.0, 0.0, 100.0, 10.0],
            [20.0, 50.0, 30.0, 0.0, 100.0, 0.0, 2.0, 10.0, 3.0]
        ];
        let groups = vec![vec![1, 1, 1, 0, 1, 2, 0, 1, 2], vec![0, 1, 0, 0, 1, 2, 0, 0, 0]];
        let method = FeatureAblation { groups: groups.into(), ..FeatureAblation::default() };
        let found = method.attribute(&mut model, &x, &Logit::of(0)).unwrap().values;
        let first = [1092.0, 1092.0, 1092.0, 80.0, 1092.0, 160.0, 80.0, 1092.0, 160.0];
        let second = [260.0, 600.0, 260.0, 260.0, 600.0, 0.0, 260.0, 260.0, 260.0];
        assert_eq!(found, ndarray::arr2(&[first, second]));
    }

    #[test]
    fn a_baseline_of_infinite_slope_is_selected_and_not_blended() {
        // the removed feature would give 0 · ∞ = NaN if it were multiplied by a mask
        let mut model = Function::new((2, 1), |x: &ArrayRef2<f64>, z: &mut ArrayRef2<f64>| {
            z.iter_mut().zip(x.rows()).for_each(|(z, x)| *z = x[0].min(1.0) + x[1].min(1.0));
            Ok::<(), &str>(())
        });
        let x = array![[f64::MAX, 0.5]];
        let found = FeatureAblation::default().attribute(&mut model, &x, &Logit::of(0)).unwrap();
        assert_eq!(found.values, array![[1.0, 0.5]]);
        assert_eq!(found.evaluations.forward, 3);
    }

    #[test]
    fn results_do_not_depend_on_the_batch() {
        is_batch_invariant(|batch| FeatureAblation { batch, ..FeatureAblation::default() });
    }

    #[test]
    fn bad_settings_are_named() {
        let failed = |method: FeatureAblation<f64>| failed_input(&method);
        let default = FeatureAblation::default;
        let short = FeatureAblation { groups: vec![0].into(), ..default() };
        assert!(matches!(failed(short), Error::Shape { what: "groups", .. }));
        let gap = FeatureAblation { groups: vec![0, 3, 1].into(), ..default() };
        assert!(matches!(failed(gap), Error::OutOfRange { what: "groups", .. }));
        let baseline = FeatureAblation { baseline: array![0.0].into(), ..default() };
        assert!(matches!(failed(baseline), Error::Shape { what: "baseline", .. }));
        assert!(matches!(failed(FeatureAblation { batch: Batch::Rows(0), ..default() }), Error::OutOfRange { .. }));
    }
}
