//! An attribution together with the evidence for it: explain and judge in one call.
//!
//! The metrics share what they can: one erasure run gives the values of inputs and baselines, all curves, and the drops of
//! single features, which the completeness gap, the infidelity and the reference orders then need not ask for again. Methods
//! that are judged side by side also share the drops of single features and the reference orders.

use alloc::vec::Vec;

use ndarray::{Array1, Array2, ArrayRef2};

use super::completeness::gap;
use super::complexity::{complexity, effective_complexity, sparseness};
use super::decision::Decision;
use super::erasure::{Erasure, ErasureReport, Levels};
use super::infidelity::{AttributionUnit, Infidelity, InfidelityReport, Perturbation};
use super::masking::{GroupValue, Masking, group_values};
use super::normalised_aopc::{NormalisedAopc, NormalisedAopcReport};
use super::reference_orders::{ReferenceOrders, ReferenceReport};
use super::sensitivity::{Sensitivity, SensitivityReport};
use crate::attribution::{Attribution, Evaluations, Explained, Explainer, Forward, Target};
use crate::error::check_shape;
use crate::math::rank::spearman;
use crate::{Result, Scalar, Seed};

/// What is judged, and how.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub struct Judging<T> {
    /// How features are taken away, by all metrics that do it.
    pub masking: Masking<T>,
    /// How the value of a group comes from those of its features.
    pub group_value: GroupValue,
    /// Whether attributions are contributions to `f(x) - f(b)`, such as integrated gradients or Shapley values; else they are
    /// changes per unit of input, such as gradients, and have no completeness gap. `None`: what the method says of itself
    /// ([`Explainer::gives_slopes`]), contributions without a method.
    pub contributions: Option<bool>,
    /// Numbers of features to take away.
    pub levels: Levels,
    /// Counts of the AOPC means; see [`Erasure::counts`].
    pub counts: Vec<usize>,
    /// What the model decides.
    pub decision: Decision<T>,
    /// Perturbations of the infidelity, each the removal of a random half of the players; 0: none.
    pub infidelity_samples: usize,
    /// Random orders as a reference; 0: none.
    pub random_orders: usize,
    /// Bounds over all orders; costs many rows.
    pub bounds: Option<Bounds>,
    /// Max-sensitivity; costs as many runs of the method as there are neighbours.
    pub sensitivity: Option<Sensitivity<T>>,
    /// Magnitude above which a feature counts for the effective complexity.
    pub threshold: T,
    /// Features of the lists of which the agreement of methods is taken.
    pub top: usize,
    /// What all draws but those of the sensitivity follow from.
    pub seed: Seed,
}

/// How the bounds of AOPC are found; see [`NormalisedAopc`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Bounds {
    /// Most players for which all sets are tried.
    pub exact_up_to: usize,
    /// Sets that are kept at each level with more players.
    pub beam: usize,
}

impl<T: Scalar> Default for Judging<T> {
    fn default() -> Self {
        Self {
            masking: Masking::default(),
            group_value: GroupValue::Sum,
            contributions: None,
            levels: Levels::All,
            counts: Vec::new(),
            decision: Decision::Largest,
            infidelity_samples: 100,
            random_orders: 10,
            bounds: None,
            sensitivity: None,
            threshold: T::of(1e-5),
            top: 5,
            seed: Seed::default(),
        }
    }
}

/// How faithful, steady and simple an attribution of `b` rows is.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub struct FaithfulnessReport<T> {
    /// Sum of the values less `f(x) - f(b)`, `(b)`; `None` for changes per unit.
    pub completeness_gap: Option<Array1<T>>,
    /// All that erasure shows.
    pub erasure: ErasureReport<T>,
    /// `None` where it was not asked for, as all below.
    pub infidelity: Option<InfidelityReport>,
    /// Of the method, at these inputs.
    pub sensitivity: Option<SensitivityReport>,
    /// AOPC between its bounds.
    pub normalised_aopc: Option<NormalisedAopcReport>,
    /// Orders to compare with.
    pub reference: Option<ReferenceReport>,
    /// Gini index of the magnitudes, `(b)`; see [`sparseness`].
    pub sparseness: Vec<Option<f64>>,
    /// Entropy of the magnitudes, `(b)`; see [`complexity`](fn@complexity).
    pub complexity: Vec<Option<f64>>,
    /// Number of features above the threshold, `(b)`.
    pub effective_complexity: Vec<usize>,
    /// Rows that the model was run for by the judging, without the explanation itself.
    pub evaluations: Evaluations,
}

/// An attribution with its report. It prints as a table.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub struct Judged<T> {
    /// What the method gave.
    pub attribution: Attribution<T>,
    /// How good it is.
    pub report: FaithfulnessReport<T>,
}

impl<T> Judged<T> {
    /// Rows that the model was run for in total.
    #[must_use]
    pub fn evaluations(&self) -> Evaluations {
        self.attribution.evaluations.plus(self.report.evaluations)
    }
}

/// Explains `target` for every row of `x: (b, n)` and judges the explanation.
///
/// # Errors
/// As [`Explainer::attribute`], and those of the metrics that are asked for.
///
/// # Example
/// ```
/// use limpid::attribution::Network;
/// use limpid::attribution::faithfulness::{Judging, explain_and_judge};
/// use limpid::attribution::gradient::InputXGradient;
/// use limpid::attribution::target::Logit;
/// use ndarray::array;
///
/// let mut model = Network::new(3).linear(array![[3.0, 1.0, 2.0], [0.0, 4.0, 1.0]], None)?;
/// let x = array![[1.0, 1.0, 1.0]];
/// let found = explain_and_judge(&InputXGradient, &mut model, &x, &Logit::of(0), &Judging::default())?;
/// assert_eq!(found.attribution.values, array![[3.0, 1.0, 2.0]]);
/// assert_eq!(found.report.erasure.comprehensiveness[0], 3.5);
/// assert_eq!(found.report.completeness_gap, Some(array![0.0]));
/// assert!(found.to_string().contains("comprehensiveness"));
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
pub fn explain_and_judge<T: Scalar, M: Forward<T> + ?Sized>(
    explainer: &dyn Explainer<T, M>,
    model: &mut M,
    x: &ArrayRef2<T>,
    target: &dyn Target<T>,
    judging: &Judging<T>,
) -> Explained<Judged<T>, M::Error> {
    judging.explain(explainer, model, (x, target), None)
}

impl<T: Scalar> Judging<T> {
    /// Judges an attribution of features `(b, n)` that is there already, without its sensitivity.
    ///
    /// # Errors
    /// As [`explain_and_judge`].
    pub fn judge<M: Forward<T> + ?Sized>(
        &self,
        model: &mut M,
        x: &ArrayRef2<T>,
        attribution: &ArrayRef2<T>,
        target: &dyn Target<T>,
    ) -> Explained<FaithfulnessReport<T>, M::Error> {
        self.report(model, (x, target), (attribution, self.contributions.unwrap_or(true)), None)
    }

    /// Explains and judges; `known` is the report of another method at the same rows.
    pub(super) fn explain<M: Forward<T> + ?Sized>(
        &self,
        explainer: &dyn Explainer<T, M>,
        model: &mut M,
        (x, target): (&ArrayRef2<T>, &dyn Target<T>),
        known: Option<&FaithfulnessReport<T>>,
    ) -> Explained<Judged<T>, M::Error> {
        let attribution = explainer.attribute(model, x, target)?;
        let contributions = self.contributions.unwrap_or(!explainer.gives_slopes());
        let mut report = self.report(model, (x, target), (&attribution.values, contributions), known)?;
        if let Some(sensitivity) = &self.sensitivity {
            let found = sensitivity.judge_from(&attribution, explainer, model, x, target)?;
            report.evaluations = report.evaluations.plus(found.evaluations);
            report.sensitivity = Some(found);
        }
        Ok(Judged { attribution, report })
    }

    fn report<M: Forward<T> + ?Sized>(
        &self,
        model: &mut M,
        (x, target): (&ArrayRef2<T>, &dyn Target<T>),
        (attribution, contributions): (&ArrayRef2<T>, bool),
        known: Option<&FaithfulnessReport<T>>,
    ) -> Explained<FaithfulnessReport<T>, M::Error> {
        check_shape("attribution", attribution, x.shape())?;
        let players = self.players(attribution)?;
        let erasure = self.erase(model, (x, target), &players, known.map(|known| &known.erasure))?;
        let ends = [erasure.full(), erasure.empty()];
        let infidelity = match self.infidelity_samples {
            0 => None,
            _ => {
                let features = self.features(attribution)?;
                Some(self.infidelity(contributions).judge_from(Some(&ends[0]), model, (x, &features), target)?)
            }
        };
        let bounds = self.bounds.map(|Bounds { exact_up_to, beam }| {
            NormalisedAopc { masking: self.masking.clone(), exact_up_to, beam }.judge(model, x, &players, target)
        });
        let normalised_aopc = bounds.transpose()?;
        let reference = match known {
            Some(known) => known.reference.clone(),
            None => self.reference(model, (x, target), &ends, &erasure)?,
        };
        let spent = [
            Some(erasure.evaluations),
            infidelity.as_ref().map(|found| found.evaluations),
            normalised_aopc.as_ref().map(|found| found.evaluations),
            reference.as_ref().filter(|_| known.is_none()).map(|found| found.evaluations),
        ];
        Ok(FaithfulnessReport {
            completeness_gap: contributions.then(|| gap(&players, &ends[0], &ends[1])),
            sparseness: sparseness(&players, T::zero())?,
            complexity: complexity(&players)?,
            effective_complexity: effective_complexity(&players, self.threshold)?,
            evaluations: spent.into_iter().flatten().fold(Evaluations::default(), Evaluations::plus),
            erasure,
            infidelity,
            sensitivity: None,
            normalised_aopc,
            reference,
        })
    }

    /// Values of the players, `(b, M)`.
    pub(super) fn players(&self, attribution: &ArrayRef2<T>) -> Result<Array2<T>> {
        match &self.masking.groups {
            None => Ok(attribution.to_owned()),
            Some(groups) => group_values(attribution, groups, self.group_value),
        }
    }

    /// Values of the features, `(b, n)`: a value that a group shares is divided among its features.
    fn features(&self, attribution: &ArrayRef2<T>) -> Result<Array2<T>> {
        let mut features = attribution.to_owned();
        if let (Some(groups), GroupValue::Shared) = (&self.masking.groups, self.group_value) {
            let ones = Array2::ones((1, groups.len()));
            let sizes: Array2<T> = group_values(&ones, groups, GroupValue::Sum)?;
            for (mut column, &group) in features.columns_mut().into_iter().zip(groups) {
                column.mapv_inplace(|value| value / sizes[[0, group]]);
            }
        }
        Ok(features)
    }

    fn erase<M: Forward<T> + ?Sized>(
        &self,
        model: &mut M,
        (x, target): (&ArrayRef2<T>, &dyn Target<T>),
        players: &Array2<T>,
        known: Option<&ErasureReport<T>>,
    ) -> Explained<ErasureReport<T>, M::Error> {
        let drops = known.and_then(|known| known.single_drops.as_ref());
        let erasure = Erasure {
            masking: self.masking.clone(),
            levels: self.levels.clone(),
            counts: self.counts.clone(),
            singles: drops.is_none(),
            decision: self.decision,
        };
        let mut found = erasure.judge(model, x, players, target)?;
        if let Some(drops) = drops {
            let rows = players.rows().into_iter().zip(drops.rows());
            found.rank_deletion = rows.map(|(values, drops)| spearman(&values, &drops)).collect::<Result<_>>()?;
            found.single_drops = Some(drops.clone());
        }
        Ok(found)
    }

    fn infidelity(&self, contributions: bool) -> Infidelity<T> {
        let baseline = self.masking.baseline.clone();
        Infidelity {
            unit: if contributions { AttributionUnit::Contribution(baseline.clone()) } else { AttributionUnit::Slope },
            perturbation: Perturbation::Removal { baseline, groups: self.masking.groups.clone(), chance: 0.5 },
            samples: self.infidelity_samples,
            seed: self.seed,
            normalize: false,
            batch: self.masking.batch,
        }
    }

    fn reference<M: Forward<T> + ?Sized>(
        &self,
        model: &mut M,
        (x, target): (&ArrayRef2<T>, &dyn Target<T>),
        ends: &[Array1<T>; 2],
        erasure: &ErasureReport<T>,
    ) -> Explained<Option<ReferenceReport>, M::Error> {
        let Some(drops) = erasure.single_drops.as_ref().filter(|_| self.random_orders > 0) else { return Ok(None) };
        let orders = ReferenceOrders {
            masking: self.masking.clone(),
            levels: self.levels.clone(),
            orders: self.random_orders,
            seed: self.seed,
        };
        orders.judge_from((ends, drops), model, x, target).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::gradient::{InputXGradient, Saliency};
    use crate::attribution::target::Logit;
    use crate::attribution::{Batch, Network};
    use crate::math::pointwise::Activation;
    use alloc::string::ToString;
    use alloc::vec;
    use ndarray::array;

    fn network() -> Network<f64> {
        let model = Network::new(4).linear(array![[1.0, -2.0, 0.5, 1.0], [0.3, 1.0, -1.0, 2.0]], None).unwrap();
        let model = model.activation(Activation::Tanh).unwrap();
        model.linear(array![[1.0, 2.0], [-1.0, 0.5]], None).unwrap()
    }

    fn judged(judging: &Judging<f64>) -> Judged<f64> {
        let x = array![[0.5, -1.0, 2.0, 0.3], [1.0, 0.2, -0.7, 0.1]];
        explain_and_judge(&InputXGradient, &mut network(), &x, &Logit::of(0), judging).unwrap()
    }

    #[test]
    fn one_call_is_what_its_parts_are() {
        let bounds = Some(Bounds { exact_up_to: 4, beam: 2 });
        let judging = Judging { bounds, sensitivity: Some(Sensitivity::default()), ..Judging::default() };
        let found = judged(&judging);
        let x = array![[0.5, -1.0, 2.0, 0.3], [1.0, 0.2, -0.7, 0.1]];
        let (mut model, target) = (network(), Logit::of(0));
        let values = &found.attribution.values;
        let erasure = Erasure::default().judge(&mut model, &x, values, &target).unwrap();
        assert_eq!(found.report.erasure, erasure);
        let infidelity = judging.infidelity(true).judge(&mut model, &x, values, &target).unwrap();
        assert_eq!(found.report.infidelity.as_ref().unwrap().infidelity, infidelity.infidelity);
        let orders = ReferenceOrders::default().judge(&mut model, &x, &target).unwrap();
        assert_eq!(found.report.reference.as_ref().unwrap().random_curve, orders.random_curve);
        let spent = found.evaluations();
        // erasure, infidelity, all sets, 11 orders; the method itself and its ten neighbours
        assert_eq!((spent.forward, spent.gradient), (2 * (10 + 100 + 16 + 11 * 3), 2 + 20));
    }

    #[test]
    fn batches_do_not_show() {
        let of = |batch| judged(&Judging { masking: Masking { batch, ..Masking::default() }, ..Judging::default() });
        let all = of(Batch::Auto);
        assert_eq!((of(Batch::Rows(1)), of(Batch::Rows(3))), (all.clone(), all));
    }

    #[test]
    fn a_shared_value_is_divided_and_a_slope_has_no_gap() {
        let masking = Masking { groups: Some(vec![0, 0, 1]), ..Masking::default() };
        let judging = Judging { masking, group_value: GroupValue::Shared, ..Judging::default() };
        let mut model = Network::new(3).linear(array![[2.0, 2.0, 1.0]], None).unwrap();
        let (x, target) = (array![[1.0, 1.0, 1.0]], Logit::of(0));
        let found = judging.judge(&mut model, &x, &array![[4.0, 4.0, 1.0]], &target).unwrap();
        assert_eq!((found.completeness_gap.unwrap()[0], found.erasure.levels.len()), (0.0, 3));
        assert!(found.infidelity.unwrap().infidelity[0] < 1e-24);
        let found = explain_and_judge(&Saliency::default(), &mut model, &x, &target, &Judging::default()).unwrap();
        assert!(found.report.completeness_gap.is_none() && found.report.infidelity.unwrap().infidelity[0] < 1e-24);
    }

    #[test]
    fn a_table_can_be_read() {
        let text = judged(&Judging::default()).to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "input_x_gradient, 2 rows");
        assert!(lines[1].starts_with("metric") && lines[1].ends_with("row 1"));
        let width = lines[1].chars().count();
        assert!(lines[2..lines.len() - 1].iter().all(|line| line.chars().count() == width), "{text}");
        assert!(lines.last().unwrap().starts_with("model rows: "));
    }
}
