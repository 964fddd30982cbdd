//! Infidelity: how far the change that an attribution predicts for a perturbed input is from the change that happens.
//!
//! ```text
//! a_s = <I_s, A>,  d_s = f(x) - f(x - I_s)          infidelity = mean_s (β a_s - d_s)²
//! β = 1, or the best scale Σ a_s d_s / Σ a_s²        (any β gives the same where all a_s are 0)
//! ```
//!
//! `A` is a derivative, a change per unit of input. An attribution that was multiplied by `x - b` is a contribution; for it `I_s`
//! is divided by `x - b`, and a feature with `x = b` contributes nothing.
//!
//! Source: Yeh et al., "On the (In)fidelity and Sensitivity of Explanations" (arXiv 1901.09392), also
//! for the perturbations and the scale.

use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::RefCell;

use ndarray::{Array1, Array3, ArrayRef2};

use super::masking::mean_and_error;
use crate::attribution::baseline::BaselineRows;
use crate::attribution::perturbation::Players;
use crate::attribution::sweep::Sweep;
use crate::attribution::{Baseline, Batch, Evaluations, Explained, Forward, Target};
use crate::error::{check_each, check_finite, check_not_empty, check_shape};
use crate::math::random::{fill_normal, uniform};
use crate::{Result, Scalar, Seed};

/// How inputs are perturbed: `x` becomes `x - I`.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub enum Perturbation<T> {
    /// `I` is normal noise of this standard deviation, in units of `x`.
    Noise {
        /// The deviation.
        deviation: f64,
    },
    /// Each player goes to the baseline with this chance: `I` is `x - b` there and 0 elsewhere.
    Removal {
        /// What takes its place.
        baseline: Baseline<T>,
        /// The player of every feature, `(n)`; `None`: every feature is a player.
        groups: Option<Vec<usize>>,
        /// The chance.
        chance: f64,
    },
    /// `I: (samples, b, n)` itself; the number of samples is taken from here.
    Given(Array3<T>),
}

/// What an attribution counts.
#[derive(Debug, Clone, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub enum AttributionUnit<T> {
    /// Change of the output per unit of input, as gradients do.
    #[default]
    Slope,
    /// Contribution to `f(x) - f(b)`, as integrated gradients and Shapley values do; the baseline `b`.
    Contribution(Baseline<T>),
}

/// Settings of infidelity.
///
/// # Example
/// ```
/// use limpid::attribution::Network;
/// use limpid::attribution::faithfulness::Infidelity;
/// use limpid::attribution::target::Logit;
/// use ndarray::array;
///
/// let mut model = Network::new(2).linear(array![[3.0, -1.0]], None)?;
/// let (x, gradient) = (array![[1.0, 1.0]], array![[3.0, -1.0]]);
/// let found = Infidelity::default().judge(&mut model, &x, &gradient, &Logit::of(0))?;
/// assert!(found.infidelity[0] < 1e-30);
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub struct Infidelity<T> {
    /// How inputs are perturbed.
    pub perturbation: Perturbation<T>,
    /// Number of perturbations of every row.
    pub samples: usize,
    /// What they follow from.
    pub seed: Seed,
    /// What the attribution counts.
    pub unit: AttributionUnit<T>,
    /// Whether the attribution is brought to its best scale first.
    pub normalize: bool,
    /// Rows of one model call.
    pub batch: Batch,
}

impl<T> Default for Infidelity<T> {
    /// 100 draws of normal noise of deviation 0.2, for slopes as they are.
    fn default() -> Self {
        Self {
            perturbation: Perturbation::Noise { deviation: 0.2 },
            samples: 100,
            seed: Seed::default(),
            unit: AttributionUnit::Slope,
            normalize: false,
            batch: Batch::Auto,
        }
    }
}

/// Infidelity of `b` rows.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct InfidelityReport {
    /// Mean squared error, `(b)`, in squared units of the target; smaller is better.
    pub infidelity: Array1<f64>,
    /// Its standard error, `(b)`; `None` for a single sample. With the best scale it is that of the scale held fixed, to which
    /// the minimum does not react in first order.
    pub standard_error: Vec<Option<f64>>,
    /// The scale `β`, `(b)`.
    pub scale: Array1<f64>,
    /// Seed of perturbations that were drawn.
    pub seed: Option<Seed>,
    /// Rows that the model was run for.
    pub evaluations: Evaluations,
}

impl<T: Scalar> Infidelity<T> {
    /// Judges `attribution: (b, n)` of `target` for the rows of `x: (b, n)`.
    ///
    /// # Errors
    /// As [`Erasure::judge`](super::Erasure::judge), and [`Error::OutOfRange`](crate::Error::OutOfRange) for no samples, a
    /// deviation that is not positive and a chance outside `[0, 1]`, [`Error::Shape`](crate::Error::Shape) for perturbations that
    /// do not fit `x`.
    pub fn judge<M: Forward<T> + ?Sized>(
        &self,
        model: &mut M,
        x: &ArrayRef2<T>,
        attribution: &ArrayRef2<T>,
        target: &dyn Target<T>,
    ) -> Explained<InfidelityReport, M::Error> {
        self.judge_from(None, model, (x, attribution), target)
    }

    /// The same where the values `(b)` of the inputs are known already.
    pub(super) fn judge_from<M: Forward<T> + ?Sized>(
        &self,
        known: Option<&Array1<T>>,
        model: &mut M,
        (x, attribution): (&ArrayRef2<T>, &ArrayRef2<T>),
        target: &dyn Target<T>,
    ) -> Explained<InfidelityReport, M::Error> {
        let mut copies = Sweep::new(model, x, target, self.batch)?;
        check_shape("attribution", attribution, x.shape())?;
        check_finite("attribution", attribution)?;
        let draws = self.draws(x)?;
        let unit = match &self.unit {
            AttributionUnit::Slope => None,
            AttributionUnit::Contribution(baseline) => Some(baseline.rows(x)?),
        };
        let full = known.map_or_else(|| copies.unchanged(), |known| Ok(known.clone()))?;
        // a batch of predictions is made before its outcomes come
        let predicted = RefCell::new(VecDeque::new());
        let mut noise = vec![T::zero(); x.ncols()];
        let change = |row: usize, sample, into: &mut [T]| {
            draws.write((row, sample), into, &mut noise);
            let per_unit = |feature: usize, step: T| match &unit {
                None => step.as_f64(),
                Some(baseline) => {
                    let whole = x[[row, feature]].as_f64() - baseline.row(row)[feature].as_f64();
                    if whole == 0.0 { 0.0 } else { step.as_f64() / whole }
                }
            };
            let terms = noise.iter().enumerate().map(|(i, &step)| per_unit(i, step) * attribution[[row, i]].as_f64());
            predicted.borrow_mut().push_back(terms.sum::<f64>());
            into.iter_mut().zip(&noise).for_each(|(slot, &step)| *slot -= step);
        };
        let (mut pairs, mut found) = (Vec::with_capacity(draws.samples.min(1024)), Vec::with_capacity(x.nrows()));
        let items = (0..x.nrows()).flat_map(|row| (0..draws.samples).map(move |sample| (row, sample)));
        copies.run(items, change, |row, _, value, _| {
            let prediction = predicted.borrow_mut().pop_front().unwrap_or_default();
            pairs.push((prediction, full[row].as_f64() - value.as_f64()));
            if pairs.len() == draws.samples {
                found.push(self.summarise(&pairs));
                pairs.clear();
            }
        })?;
        Ok(InfidelityReport {
            infidelity: found.iter().map(|found| found.0).collect(),
            standard_error: found.iter().map(|found| found.1).collect(),
            scale: found.iter().map(|found| found.2).collect(),
            seed: (!matches!(self.perturbation, Perturbation::Given(_))).then_some(self.seed),
            evaluations: copies.evaluations(),
        })
    }

    /// Mean squared error, its standard error, and the scale, of pairs of predicted and real change.
    fn summarise(&self, pairs: &[(f64, f64)]) -> (f64, Option<f64>, f64) {
        let scale = if self.normalize { best_scale(pairs) } else { 1.0 };
        let squares: Vec<f64> = pairs.iter().map(|(a, d)| (scale * a - d) * (scale * a - d)).collect();
        let (mean, error) = mean_and_error(&squares).unwrap_or_default();
        (mean, error, scale)
    }

    fn draws<'a>(&'a self, x: &'a ArrayRef2<T>) -> Result<Draws<'a, T>> {
        let mut samples = self.samples;
        let kind = match &self.perturbation {
            Perturbation::Noise { deviation } => {
                check_each("deviation", &[*deviation], "0 < deviation", |d: f64| d > 0.0 && d.is_finite())?;
                Kind::Noise(*deviation)
            }
            Perturbation::Removal { baseline, groups, chance } => {
                check_each("chance", &[*chance], "0 <= chance <= 1", |chance: f64| (0.0..=1.0).contains(&chance))?;
                Kind::Removal(baseline.rows(x)?, Players::new(groups.as_deref(), x.ncols())?, *chance)
            }
            Perturbation::Given(given) => {
                samples = given.shape()[0];
                check_shape("perturbation", given, &[samples, x.nrows(), x.ncols()])?;
                check_not_empty("perturbation", given)?;
                check_finite("perturbation", given)?;
                Kind::Given(given)
            }
        };
        check_each("samples", &[samples as f64], ">= 1", |samples: f64| samples >= 1.0)?;
        Ok(Draws { kind, samples, seed: self.seed })
    }
}

/// The scale of the predictions with the smallest mean squared error.
fn best_scale(pairs: &[(f64, f64)]) -> f64 {
    let both: f64 = pairs.iter().map(|(a, d)| a * d).sum();
    let squares: f64 = pairs.iter().map(|(a, _)| a * a).sum();
    if squares > 0.0 { both / squares } else { 1.0 }
}

/// Purpose of the random streams.
const PURPOSE: u64 = 0x696e_6669;

/// Perturbations, any of which can be made without the others.
struct Draws<'a, T> {
    kind: Kind<'a, T>,
    samples: usize,
    seed: Seed,
}

enum Kind<'a, T> {
    Noise(f64),
    Removal(BaselineRows<'a, T>, Players, f64),
    Given(&'a Array3<T>),
}

impl<T: Scalar> Draws<'_, T> {
    /// Writes `I` of a sample of a row, which is `x`.
    fn write(&self, (row, sample): (usize, usize), x: &[T], into: &mut [T]) {
        let stream = || self.seed.child(PURPOSE, row as u64).stream(PURPOSE, sample as u64);
        match &self.kind {
            Kind::Noise(deviation) => fill_normal(&mut stream(), T::of(*deviation), into),
            Kind::Removal(baseline, players, chance) => {
                let mut stream = stream();
                let removed: Vec<bool> = (0..players.count).map(|_| uniform::<f64>(&mut stream) < *chance).collect();
                let features = x.iter().zip(baseline.row(row)).zip(&players.of_feature);
                for (slot, ((&x, &base), &player)) in into.iter_mut().zip(features) {
                    *slot = if removed[player] { x - base } else { T::zero() };
                }
            }
            Kind::Given(given) => {
                let steps = given.index_axis(ndarray::Axis(0), sample);
                into.iter_mut().zip(steps.row(row)).for_each(|(slot, &step)| *slot = step);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::attribution::target::Logit;
    use crate::attribution::{Failure, Network};
    use approx::assert_relative_eq;
    use ndarray::{Array2, array};

    fn judge(method: &Infidelity<f64>, attribution: Array2<f64>) -> Explained<InfidelityReport, Error> {
        let mut model = Network::new(2).linear(array![[3.0, -1.0]], None).unwrap();
        method.judge(&mut model, &array![[1.0, 2.0]], &attribution, &Logit::of(0))
    }

    #[test]
    fn two_perturbations_by_hand() {
        let perturbation = Perturbation::Given(array![[[1.0, 0.0]], [[0.0, 2.0]]]);
        let method = Infidelity { perturbation, ..Infidelity::default() };
        // predicted 1 and 2, real 3 and -2: errors 4 and 16
        let found = judge(&method, array![[1.0, 1.0]]).unwrap();
        assert_eq!((found.infidelity[0], found.standard_error[0], found.seed), (10.0, Some(6.0), None));
        assert_eq!(found.evaluations.forward, 3);
        // the scale is (3 - 4)/5
        let found = judge(&Infidelity { normalize: true, ..method.clone() }, array![[1.0, 1.0]]).unwrap();
        assert_relative_eq!(found.scale[0], -0.2);
        assert_relative_eq!(found.infidelity[0], (3.2 * 3.2 + 1.6 * 1.6) / 2.0, epsilon = 1e-14);
        let nothing = judge(&Infidelity { normalize: true, ..method }, array![[0.0, 0.0]]).unwrap();
        assert_eq!(nothing.infidelity[0], 6.5);
    }

    #[test]
    fn removal_of_everything_tests_completeness() {
        let baseline = Baseline::from(array![1.0, 0.0]);
        let removal = Perturbation::Removal { baseline: baseline.clone(), groups: None, chance: 1.0 };
        let unit = AttributionUnit::Contribution(baseline);
        let method = Infidelity { perturbation: removal, samples: 2, unit, ..Infidelity::default() };
        // f(x) - f(b) = 1 - 3; the first feature is at its baseline, and what is said of it does not count
        assert_eq!(judge(&method, array![[0.0, -2.0]]).unwrap().infidelity[0], 0.0);
        assert_eq!(judge(&method, array![[7.0, -2.0]]).unwrap().infidelity[0], 0.0);
        assert_eq!(judge(&method, array![[0.0, -1.0]]).unwrap().infidelity[0], 1.0);
    }

    #[test]
    fn noise_has_its_expectation_and_batches_do_not_show() {
        // error (A - w)·I with A - w = (0, 1): the variance of the noise
        let method = Infidelity { samples: 2000, seed: Seed(4), ..Infidelity::default() };
        let found = judge(&method, array![[3.0, 0.0]]).unwrap();
        let error = found.standard_error[0].unwrap();
        assert!((found.infidelity[0] - 0.04).abs() < 4.0 * error && error < 0.002, "{found:?}");
        for batch in [Batch::Rows(1), Batch::Rows(3)] {
            assert_eq!(judge(&Infidelity { batch, ..method.clone() }, array![[3.0, 0.0]]).unwrap(), found);
        }
    }

    #[test]
    fn bad_settings_are_named() {
        let refused = |method: Infidelity<f64>| match judge(&method, array![[1.0, 1.0]]) {
            Err(Failure::Input(Error::OutOfRange { what, .. } | Error::Shape { what, .. })) => what,
            _ => "",
        };
        assert_eq!(refused(Infidelity { samples: 0, ..Infidelity::default() }), "samples");
        let with = |perturbation| Infidelity { perturbation, ..Infidelity::default() };
        assert_eq!(refused(with(Perturbation::Noise { deviation: f64::NAN })), "deviation");
        assert_eq!(refused(with(Perturbation::Given(Array3::zeros((1, 2, 2))))), "perturbation");
        let removal = Perturbation::Removal { baseline: Baseline::Zeros, groups: None, chance: 1.5 };
        assert_eq!(refused(with(removal)), "chance");
    }
}
