//! Is a report true of the model? What it predicts as the tokens with the highest importance are taken away, or kept alone.
//!
//! ```text
//! order               tokens by importance, descending, equal ones by lower index;  t tokens
//! deletion_k          p(without the first k)                      keep_k = p(with the first k alone)
//! comprehensiveness   mean_k p(all) - deletion_k                  sufficiency = mean_k p(all) - keep_k,  k = 1..t
//! decision flip       single: the first token alone flips it      fraction: least k/t that flips it, 1 if none does
//! rank deletion       Spearman(importance_i, p(all) - p(without i))
//! ```
//!
//! Source: `DeYoung` et al., "ERASER: A Benchmark to Evaluate Rationalized NLP Models" (arXiv 1911.03429), section 4;
//! Chrysostomou and Aletras, "Improving the Faithfulness of Attention-based Explanations" (arXiv 2105.02657), for decision flips;
//! Huang et al., "Can Large Language Models Explain Themselves?" (arXiv 2310.11207), for their use on self-explanations.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use ndarray::{Array1, ArrayRef1};

use crate::error::{check_each, check_finite, check_limit, check_not_empty};
use crate::explanation::Failure;
use crate::math::agreement::By;
use crate::math::curves::{first_change, mean_drop};
use crate::math::rank::{argsort_descending, spearman};
use crate::{Error, Result};

/// Most tokens of one input.
const MAX_TOKENS: usize = 4096;

/// A model that can be asked about an input with tokens taken away.
///
/// Closures `FnMut(&[bool]) -> Result<f64, E>` are such models.
pub trait PredictMasked {
    /// What the model says when it cannot predict.
    type Error;

    /// Probability, or any score, of the class that is explained, for the input with the tokens where `kept: (t)` is true.
    ///
    /// # Errors
    /// Whatever the model reports.
    fn predict(&mut self, kept: &[bool]) -> Result<f64, Self::Error>;
}

impl<E, F: FnMut(&[bool]) -> Result<f64, E>> PredictMasked for F {
    type Error = E;

    fn predict(&mut self, kept: &[bool]) -> Result<f64, E> {
        self(kept)
    }
}

/// Settings of erasing.
///
/// # Example
/// ```
/// use limpid::explanation::self_report::Erasing;
/// use ndarray::array;
///
/// // a model that needs its first token, and somewhat its third
/// let mut model = |kept: &[bool]| Ok::<_, limpid::Error>(0.1 + 0.6 * f64::from(kept[0]) + 0.2 * f64::from(kept[2]));
/// let found = Erasing::default().judge(&mut model, &array![0.9, 0.0, 0.5])?;
/// assert_eq!((found.decision_flip_fraction, found.rank_deletion), (Some(1.0 / 3.0), Some(1.0)));
/// assert!((found.comprehensiveness - (0.6 + 0.8 + 0.8) / 3.0).abs() < 1e-15);
/// # Ok::<(), limpid::explanation::Failure<limpid::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Erasing {
    /// Numbers `k` of tokens that are averaged over, each at most `t`; none: all of `1..=t`.
    pub levels: Vec<usize>,
    /// What orders the tokens.
    pub by: By,
    /// The decision is whether the prediction is at least this; `None`: nothing is decided.
    pub threshold: Option<f64>,
}

impl Default for Erasing {
    fn default() -> Self {
        Self { levels: Vec::new(), by: By::Value, threshold: Some(0.5) }
    }
}

/// What erasing found.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Erased {
    /// Numbers of tokens taken away, ascending from 0 to `t`, `(K)`.
    pub levels: Vec<usize>,
    /// Prediction without the first tokens, `(K)`; the first is that for all tokens.
    pub deletion_curve: Array1<f64>,
    /// Prediction with the first tokens alone, `(K)`.
    pub keep_curve: Array1<f64>,
    /// Drop of the prediction without each token alone, `(t)`: its occlusion.
    pub single_drops: Array1<f64>,
    /// Mean drop over the levels as tokens are deleted; larger is better.
    pub comprehensiveness: f64,
    /// Mean drop over the levels as tokens alone are kept; smaller is better.
    pub sufficiency: f64,
    /// Whether the first token alone flips the decision; `None` where nothing is decided.
    pub decision_flip_single: Option<bool>,
    /// Least share of tokens that flips the decision, of the levels that were run, 1 where none does; `None` where nothing is
    /// decided.
    pub decision_flip_fraction: Option<f64>,
    /// Spearman's correlation of importance and single drops; `None` where one side does not vary.
    pub rank_deletion: Option<f64>,
}

impl Erasing {
    /// Judges `importance: (t)` of the tokens of an input.
    ///
    /// # Errors
    /// The model's own, and within [`Failure::Input`]: [`Error::Empty`], [`Error::TooLarge`] beyond 4096 tokens,
    /// [`Error::NotFinite`] for importance and predictions, [`Error::OutOfRange`] for levels and a threshold that is NaN.
    pub fn judge<M: PredictMasked + ?Sized>(
        &self,
        model: &mut M,
        importance: &ArrayRef1<f64>,
    ) -> Result<Erased, Failure<M::Error>> {
        self.judge_with(&mut Remembered::new(model, importance.len())?, importance)
    }

    pub(super) fn judge_with<M: PredictMasked + ?Sized>(
        &self,
        model: &mut Remembered<'_, M>,
        importance: &ArrayRef1<f64>,
    ) -> Result<Erased, Failure<M::Error>> {
        check_finite("importance", importance)?;
        let t = importance.len();
        let (levels, asked) = self.levels(t)?;
        let single_drops = model.single_drops()?;
        let order = argsort_descending(&self.by.keys(importance));
        let mut curve = |kept_first: bool| {
            let at = |&level: &usize| {
                let mut kept = vec![!kept_first; t];
                order.iter().take(level).for_each(|&token| kept[token] = kept_first);
                model.predict(kept)
            };
            levels.iter().map(at).collect::<Result<Array1<f64>, Failure<M::Error>>>()
        };
        let (deletion_curve, keep_curve) = (curve(false)?, curve(true)?);
        let points = || asked.iter().filter_map(|level| levels.binary_search(level).ok());
        let mean = |curve| mean_drop(deletion_curve[0], curve, points()).unwrap_or_default();
        let decisions: Vec<Option<bool>> =
            deletion_curve.iter().map(|&p| self.threshold.map(|threshold| p >= threshold)).collect();
        let flip = first_change(&decisions);
        Ok(Erased {
            comprehensiveness: mean(&deletion_curve),
            sufficiency: mean(&keep_curve),
            decision_flip_single: flip.map(|first| first == Some(1)),
            decision_flip_fraction: flip.map(|first| first.map_or(1.0, |at| levels[at] as f64 / t as f64)),
            rank_deletion: spearman(importance, &single_drops)?,
            levels,
            deletion_curve,
            keep_curve,
            single_drops,
        })
    }

    /// All levels that are run, and those that are averaged.
    fn levels(&self, t: usize) -> Result<(Vec<usize>, Vec<usize>)> {
        let asked = if self.levels.is_empty() { (1..=t).collect() } else { self.levels.clone() };
        let numbers: Vec<f64> = asked.iter().map(|&level| level as f64).collect();
        check_each("levels", &numbers, "at most the number of tokens", |level: f64| level <= t as f64)?;
        check_each("threshold", &self.threshold, "a number", |threshold: f64| !threshold.is_nan())?;
        let mut levels = [&[0, 1, t][..], &asked].concat();
        levels.sort_unstable();
        levels.dedup();
        Ok((levels, asked))
    }
}

/// A model that is asked about each mask once.
pub(super) struct Remembered<'a, M: ?Sized> {
    model: &'a mut M,
    tokens: usize,
    known: BTreeMap<Vec<bool>, f64>,
}

impl<'a, M: PredictMasked + ?Sized> Remembered<'a, M> {
    pub(super) fn new(model: &'a mut M, tokens: usize) -> Result<Self> {
        check_limit("tokens", tokens, MAX_TOKENS)?;
        check_not_empty("importance", &Array1::<u8>::zeros(tokens))?;
        Ok(Self { model, tokens, known: BTreeMap::new() })
    }

    /// Number of predictions so far.
    pub(super) fn evaluations(&self) -> usize {
        self.known.len()
    }

    fn predict(&mut self, kept: Vec<bool>) -> Result<f64, Failure<M::Error>> {
        if let Some(&known) = self.known.get(&kept) {
            return Ok(known);
        }
        let value = self.model.predict(&kept).map_err(Failure::Model)?;
        if !value.is_finite() {
            return Err(Error::NotFinite { what: "prediction", index: self.known.len() }.into());
        }
        self.known.insert(kept, value);
        Ok(value)
    }

    /// `p(all) - p(without i)`, `(t)`.
    pub(super) fn single_drops(&mut self) -> Result<Array1<f64>, Failure<M::Error>> {
        let all = vec![true; self.tokens];
        let full = self.predict(all.clone())?;
        let mut without = |token: usize| {
            let mut kept = all.clone();
            kept[token] = false;
            self.predict(kept).map(|value| full - value)
        };
        (0..all.len()).map(&mut without).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;
    use ndarray::array;

    /// `σ(2 m_0 - m_1 + m_2/2 - 1/4)`.
    fn model(kept: &[bool]) -> Result<f64, Error> {
        let z: f64 = kept.iter().zip([2.0, -1.0, 0.5, 0.0]).map(|(&kept, weight)| f64::from(kept) * weight).sum();
        Ok(1.0 / (1.0 + (0.25 - z).exp()))
    }

    #[test]
    fn a_report_as_computed_elsewhere() {
        let found = Erasing::default().judge(&mut model, &array![0.9, -0.3, 0.3, 0.0]).unwrap();
        assert_relative_eq!(found.comprehensiveness, 0.476_288_591_777_334_4, epsilon = 1e-12);
        assert_relative_eq!(found.sufficiency, -0.082_338_572_161_504_61, epsilon = 1e-12);
        assert_eq!((found.decision_flip_single, found.decision_flip_fraction), (Some(true), Some(0.25)));
        assert_eq!(found.rank_deletion, Some(1.0));
        let drops = array![0.456_478_560_35, -0.127_350_673_93, 0.098_121_161_999, 0.0];
        assert_relative_eq!(found.single_drops, drops, epsilon = 1e-10);
        assert_eq!(found.levels, [0, 1, 2, 3, 4]);
        assert_eq!((found.deletion_curve[4], found.keep_curve[4]), (found.keep_curve[0], found.deletion_curve[0]));
    }

    #[test]
    fn few_levels_are_a_part_of_all() {
        let importance = array![0.9, -0.3, 0.3, 0.0];
        let all = Erasing::default().judge(&mut model, &importance).unwrap();
        let few = Erasing { levels: vec![2], threshold: None, ..Erasing::default() };
        let few = few.judge(&mut model, &importance).unwrap();
        assert_eq!(
            (few.levels, few.comprehensiveness),
            (vec![0, 1, 2, 4], all.deletion_curve[0] - all.deletion_curve[2])
        );
        assert_eq!((few.decision_flip_single, few.decision_flip_fraction), (None, None));
        let flat = Erasing::default().judge(&mut model, &array![0.5, 0.5, 0.5, 0.5]).unwrap();
        assert_eq!(flat.rank_deletion, None);
    }

    #[test]
    fn a_mask_is_asked_for_once() {
        let mut calls = 0;
        let mut counted = |kept: &[bool]| {
            calls += 1;
            model(kept)
        };
        Erasing::default().judge(&mut counted, &array![0.9, -0.3, 0.3, 0.0]).unwrap();
        // as many as there are different ones: 3t - 2
        assert_eq!(calls, 10);
        assert!(Erasing::default().judge(&mut model, &array![1.0]).is_ok());
    }

    #[test]
    fn what_cannot_be_judged_is_named() {
        let judge = |erasing: Erasing, importance: Array1<f64>| erasing.judge(&mut model, &importance).unwrap_err();
        assert_eq!(judge(Erasing::default(), array![]), Failure::Input(Error::Empty { what: "importance" }));
        let far = judge(Erasing { levels: vec![5], ..Erasing::default() }, Array1::zeros(4));
        assert!(matches!(far, Failure::Input(Error::OutOfRange { what: "levels", .. })));
        assert!(matches!(
            judge(Erasing::default(), array![f64::NAN]),
            Failure::Input(Error::NotFinite { what: "importance", index: 0 })
        ));
        let long = judge(Erasing::default(), Array1::zeros(5000));
        assert!(matches!(long, Failure::Input(Error::TooLarge { .. })));
        let mut broken = |_: &[bool]| Err::<f64, _>("no memory");
        let failed = Erasing::default().judge(&mut broken, &array![1.0]);
        assert_eq!(failed, Err(Failure::Model("no memory")));
        let mut nan = |_: &[bool]| Ok::<_, &str>(f64::NAN);
        let failed = Erasing::default().judge(&mut nan, &array![1.0]);
        assert!(matches!(failed, Err(Failure::Input(Error::NotFinite { what: "prediction", .. }))));
    }
}
