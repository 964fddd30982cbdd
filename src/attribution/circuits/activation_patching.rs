//! Activation patching: what replacing inner units by their values in another run does to a metric.
//!
//! ```text
//! effect_u = m(starting run with h_u of the source run) - m(starting run)
//! noising    starts from the clean run and takes values of the corrupted one
//! denoising  starts from the corrupted run and takes values of the clean one
//! ```
//!
//! A positive effect says that the patch raises the metric. It costs one forward row for every example and every unit or
//! group of units; [`AttributionPatching`](super::AttributionPatching) estimates the same in two passes.
//!
//! Source: Vig et al., "Causal Mediation Analysis for Interpreting Neural NLP" (arXiv 2004.12265); Heimersheim and Nanda,
//! "How to use and interpret activation patching" (arXiv 2404.15255), for the two directions.

use alloc::vec;
use alloc::vec::Vec;

use ndarray::{Array1, Array2, ArrayRef2};

use super::PatchDirection;
use super::attribution_patching::count_groups;
use crate::Scalar;
use crate::attribution::layer::walk::{Walk, activations, values};
use crate::attribution::probe::Probe;
use crate::attribution::{Batch, Evaluations, Explained, Layers, Target};
use crate::error::check_shape;

/// Replaces the units of a layer one by one, or group by group.
///
/// # Example
/// ```
/// use limpid::attribution::Network;
/// use limpid::attribution::circuits::{ActivationPatching, PatchDirection};
/// use limpid::attribution::target::Logit;
/// use limpid::math::pointwise::Activation;
/// use ndarray::array;
///
/// let model = Network::new(2).activation(Activation::Relu)?;
/// let mut model = model.linear(array![[1.0, -2.0]], None)?;
/// let (clean, corrupted) = (array![[3.0, 1.0]], array![[-1.0, 2.0]]);
/// let patching = ActivationPatching::at(0, PatchDirection::Noising);
/// let found = patching.run(&mut model, &clean, &corrupted, &Logit::of(0))?;
/// assert_eq!(found.effect, array![[-3.0, -2.0]]);
/// assert_eq!((found.base_metric, found.source_metric), (array![1.0], array![-4.0]));
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ActivationPatching {
    /// The layer.
    pub layer: usize,
    /// Which run is patched.
    pub direction: PatchDirection,
    /// The group of every unit, `(units)`, from 0 and without gaps; without it every unit is patched alone.
    pub groups: Option<Vec<usize>>,
    /// Rows of one model call.
    pub batch: Batch,
}

/// What patches did.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub struct PatchEffects<T> {
    /// Change of the metric by every patch, `(b, patches)`.
    pub effect: Array2<T>,
    /// Metric of the starting run, `(b)`.
    pub base_metric: Array1<T>,
    /// Metric of the run that values were taken from, `(b)`.
    pub source_metric: Array1<T>,
    /// Rows that the model was run for.
    pub evaluations: Evaluations,
}

impl<T: Scalar> PatchEffects<T> {
    /// Effects as shares of the difference between the two runs, row by row `(patches)`: 1 where a patch alone does all of
    /// it; `None` for a row where both runs have the same metric.
    #[must_use]
    pub fn shares(&self) -> Vec<Option<Array1<T>>> {
        let ends = self.base_metric.iter().zip(&self.source_metric);
        let shares = self.effect.rows().into_iter().zip(ends).map(|(effect, (&base, &source))| {
            let shares = effect.mapv(|effect| effect / (source - base));
            shares.iter().all(|share| share.is_finite()).then_some(shares)
        });
        shares.collect()
    }
}

impl PatchDirection {
    /// The run that is patched, and the one that values are taken from.
    pub(super) fn order<V>(self, clean: V, corrupted: V) -> (V, V) {
        match self {
            Self::Noising => (clean, corrupted),
            Self::Denoising => (corrupted, clean),
        }
    }
}

impl ActivationPatching {
    /// Patches of the single units of `layer`.
    #[must_use]
    pub fn at(layer: usize, direction: PatchDirection) -> Self {
        Self { layer, direction, groups: None, batch: Batch::Auto }
    }

    /// The effect on `target` of every patch, for pairs of rows of `clean` and `corrupted`, `(b, n)` each.
    ///
    /// What later layers read besides this one stays that of the run that is patched.
    ///
    /// # Errors
    /// [`Failure::Input`](crate::attribution::Failure::Input) for inputs that are empty, not finite or of different shapes,
    /// for a layer that is not there, and for groups that do not number the units without gaps; the model's own failures.
    pub fn run<T: Scalar, M: Layers<T> + ?Sized>(
        &self,
        model: &mut M,
        clean: &ArrayRef2<T>,
        corrupted: &ArrayRef2<T>,
        target: &dyn Target<T>,
    ) -> Explained<PatchEffects<T>, M::Error> {
        let (clean, corrupted) = (&*clean.as_standard_layout(), &*corrupted.as_standard_layout());
        Probe::new(&mut *model, corrupted, target)?;
        let mut probe = Probe::new(model, clean, target)?;
        check_shape("corrupted", corrupted, clean.shape())?;
        let units = probe.layer_width(self.layer)?;
        let groups = self.groups.clone().unwrap_or_else(|| (0..units).collect());
        count_groups(&groups, units)?;
        let rows = self.batch.rows(clean.ncols().max(units))?;
        let (base, source) = self.direction.order(clean, corrupted);
        let base_metric = values(&mut probe, base, rows)?;
        let source_metric = values(&mut probe, source, rows)?;
        let taken = activations(&mut probe, self.layer, source, rows)?;
        let mut effect = self.patched(&mut probe, base, (&taken, &groups), rows)?;
        for (mut effect, &base) in effect.rows_mut().into_iter().zip(&base_metric) {
            effect -= base;
        }
        Ok(PatchEffects { effect, base_metric, source_metric, evaluations: probe.evaluations() })
    }

    /// The metric after every patch, `(b, groups)`.
    fn patched<T: Scalar, M: Layers<T> + ?Sized>(
        &self,
        probe: &mut Probe<'_, T, M>,
        base: &ArrayRef2<T>,
        (taken, groups): (&ArrayRef2<T>, &[usize]),
        rows: usize,
    ) -> Explained<Array2<T>, M::Error> {
        let start = activations(probe, self.layer, base, rows)?;
        let patches = groups.iter().max().map_or(0, |&last| last + 1);
        let mut metric = Array2::zeros((base.nrows(), patches));
        let mut found = vec![];
        for part in Walk::new(base.nrows(), patches, rows)?.parts() {
            let (mut x, mut h) = (Array2::zeros((part.rows, base.ncols())), Array2::zeros((part.rows, groups.len())));
            part.repeat(base, &mut x);
            part.repeat(&start, &mut h);
            for (row, mut h) in h.rows_mut().into_iter().enumerate() {
                let units = h.iter_mut().zip(taken.row(part.example(row))).zip(groups);
                let units = units.filter(|(_, group)| **group == part.step(row));
                units.for_each(|((h, &taken), _)| *h = taken);
            }
            found.resize(part.rows, T::zero());
            probe.values_with(self.layer, (&x, &h), |row| part.example(row), &mut found)?;
            found.iter().enumerate().for_each(|(row, &value)| metric[[part.example(row), part.step(row)]] = value);
        }
        Ok(metric)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::attribution::Failure;
    use crate::attribution::layer::testing::{c1, smooth};
    use crate::attribution::target::Logit;
    use ndarray::array;

    #[test]
    fn units_and_groups_by_hand() {
        // s = 20: units 10, 21, 21, 21; s = 0: units 0, 1, 1, 1
        let (clean, corrupted) = (array![[20.0, 0.0, 0.0]], array![[0.0, 0.0, 0.0]]);
        let noising = ActivationPatching::at(2, PatchDirection::Noising);
        let found = noising.run(&mut c1(), &clean, &corrupted, &Logit::of(0)).unwrap();
        assert_eq!(found.effect, array![[-10.0, -20.0, -20.0, -20.0]]);
        assert_eq!((found.base_metric[0], found.source_metric[0]), (72.0, 2.0));
        assert_eq!(found.shares(), [Some(array![1.0, 2.0, 2.0, 2.0] / 7.0)]);
        // both metrics, both activations, and four patches
        assert_eq!(found.evaluations.total(), 8);
        let denoising =
            ActivationPatching { direction: PatchDirection::Denoising, groups: Some(vec![1, 0, 0, 1]), ..noising };
        let found = denoising.run(&mut c1(), &clean, &corrupted, &Logit::of(0)).unwrap();
        assert_eq!(found.effect, array![[40.0, 30.0]]);
    }

    #[test]
    fn all_units_together_make_the_other_run_in_any_batch() {
        let (mut model, x) = smooth();
        let other = x.mapv(|x| 0.5 - x);
        let whole =
            ActivationPatching { groups: Some(vec![0; 5]), ..ActivationPatching::at(1, PatchDirection::Noising) };
        let found = whole.run(&mut model, &x, &other, &Logit::of(1)).unwrap();
        assert!(found.shares().iter().flatten().all(|share| (share[0] - 1.0).abs() < 1e-12));
        let single = ActivationPatching::at(3, PatchDirection::Denoising);
        let found = single.run(&mut model, &x, &other, &Logit::of(1)).unwrap();
        for rows in [1, 3] {
            let single = ActivationPatching { batch: Batch::Rows(rows), ..single.clone() };
            assert_eq!(single.run(&mut model, &x, &other, &Logit::of(1)).unwrap(), found);
        }
        let same = single.run(&mut model, &x, &x, &Logit::of(1)).unwrap();
        assert!(same.effect.iter().all(|effect| *effect == 0.0) && same.shares().iter().all(Option::is_none));
    }

    #[test]
    fn bad_input_is_named() {
        let x = array![[20.0, 0.0, 0.0]];
        let run = |groups: Option<Vec<usize>>, other: &Array2<f64>| {
            let patching = ActivationPatching { groups, ..ActivationPatching::at(2, PatchDirection::Noising) };
            patching.run(&mut c1(), &x, other, &Logit::of(0)).map(|_| ())
        };
        assert!(matches!(run(Some(vec![0, 0]), &x), Err(Failure::Input(Error::Shape { what: "group", .. }))));
        assert!(matches!(run(Some(vec![0, 2, 0, 2]), &x), Err(Failure::Input(Error::Empty { what: "group" }))));
        let two = array![[20.0, 0.0, 0.0], [1.0, 1.0, 1.0]];
        assert!(matches!(run(None, &two), Err(Failure::Input(Error::Shape { what: "corrupted", .. }))));
        assert!(matches!(run(None, &array![[f64::NAN, 0.0, 0.0]]), Err(Failure::Input(Error::NotFinite { .. }))));
    }
}
