//! ReAGent: which tokens of a text a language model needs for its next token, by replacing them with plausible others.
//!
//! ```text
//! s_i ~ U(0, 1) at the start of a probe; then, again and again
//! R = a random 30 % of the tokens,  x̃ = x with fresh tokens on R,  δ = p(a|x) - p(a|x̃)
//! s_i += logit(½ + ½ δ) for i in R,  s_i -= logit(½ + ½ δ) for the others
//! until a is among the three best predictions with the five tokens of the largest s kept and all others replaced
//! A = mean of softmax(s) over the probes that came to this end
//! ```
//!
//! `logit(½ + ½ δ) = 2 artanh δ` is infinite at `δ = ±1`, where a replacement turns certainty into its opposite: `|δ|` is held
//! below `1 - clamp`. Probes that never end say nothing and are left out; the result tells how many there were.
//!
//! Source: Zhao and Shan, "ReAGent: A Model-agnostic Feature Attribution Method for Generative Language Models" (2024),
//! <https://arxiv.org/abs/2402.00794>; the number of probes and of steps as in Inseq, which averages over ended probes too.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2, ArrayView2};

use crate::attribution::layer::walk::values;
use crate::attribution::probe::Probe;
use crate::attribution::target::{Class, Probability};
use crate::attribution::{Attribution, Batch, Evaluations, Explained, Failure, Forward, Status};
use crate::error::check_each;
use crate::math::pointwise::softmax;
use crate::math::random::{Stream, below, choose, uniform};
use crate::math::stats::Moments;
use crate::{Result, Scalar, Seed};

/// Purpose of the random streams of probes; the item is the number of the probe.
const PURPOSE: u64 = 0x7265_6167;

/// Most scores that are kept.
const MAX_NUMBERS: usize = 1 << 28;

/// Proposes tokens, such as a masked language model does. `E` is the error of the model that is explained.
///
/// A closure `FnMut(&[T], &[usize], &mut Stream, &mut [T]) -> Result<(), E>` is a sampler.
pub trait TokenSampler<T, E> {
    /// Writes a token for each of `positions` of the text `tokens: (t)` into `out: (positions)`.
    ///
    /// Random numbers come from `stream`, so that a seed gives the same tokens whatever the batch.
    ///
    /// # Errors
    /// Whatever the sampler reports.
    fn sample(
        &mut self,
        tokens: &[T],
        positions: &[usize],
        stream: &mut Stream,
        out: &mut [T],
    ) -> core::result::Result<(), E>;
}

impl<T, E, F> TokenSampler<T, E> for F
where
    F: FnMut(&[T], &[usize], &mut Stream, &mut [T]) -> core::result::Result<(), E>,
{
    fn sample(
        &mut self,
        tokens: &[T],
        positions: &[usize],
        stream: &mut Stream,
        out: &mut [T],
    ) -> core::result::Result<(), E> {
        self(tokens, positions, stream, out)
    }
}

/// Tokens `0..vocabulary`, all alike: needs no second model, and proposes what no text would hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct UniformTokens {
    /// Number of tokens there are.
    pub vocabulary: usize,
}

impl<T: Scalar, E> TokenSampler<T, E> for UniformTokens {
    fn sample(&mut self, _: &[T], _: &[usize], stream: &mut Stream, out: &mut [T]) -> core::result::Result<(), E> {
        out.iter_mut().for_each(|token| *token = T::of(below(stream, self.vocabulary) as f64));
        Ok(())
    }
}

/// Importance of the tokens of texts `x: (b, t)`, each a row of token numbers, for the next token.
///
/// A probe costs two model rows a step.
///
/// # Example
/// ```
/// use limpid::attribution::Function;
/// use limpid::attribution::perturbation::{Reagent, UniformTokens};
/// use ndarray::{ArrayRef2, array};
///
/// // predicts that its second token comes again, whatever the others are
/// let mut model = Function::new((4, 10), |x: &ArrayRef2<f64>, z: &mut ArrayRef2<f64>| {
///     for (x, mut z) in x.rows().into_iter().zip(z.rows_mut()) {
///         z.iter_mut().enumerate().for_each(|(token, z)| *z = if token as f64 == x[1] { 4.0 } else { 0.0 });
///     }
///     Ok::<(), &str>(())
/// });
/// let method = Reagent { kept: 1, top_k: 1, ..Reagent::default() };
/// let found = method.run(&mut model, &array![[7.0, 3.0, 3.0, 9.0]], 3, &mut UniformTokens { vocabulary: 10 })?;
/// assert_eq!(found.converged, [16]);
/// let importance = found.values[0].as_ref().unwrap();
/// assert!((importance.sum() - 1.0).abs() < 1e-12 && importance[1] > 0.4);
/// # Ok::<(), limpid::attribution::Failure<&str>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Reagent {
    /// Independent probes of every text.
    pub probes: usize,
    /// Most steps of a probe.
    pub max_steps: usize,
    /// Share of the tokens that a step replaces, rounded, at least one token.
    pub replaced: f64,
    /// Most important tokens that are kept where a probe is tested for its end.
    pub kept: usize,
    /// A probe ends once fewer than so many tokens are predicted above the one in question.
    pub top_k: usize,
    /// `|δ|` is at most `1 - clamp`.
    pub clamp: f64,
    /// Most model rows for a text; `None`: what the probes ask for.
    pub budget: Option<u64>,
    /// Rows of a model call.
    pub batch: Batch,
    /// Where the random numbers start.
    pub seed: Seed,
}

impl Default for Reagent {
    fn default() -> Self {
        Self {
            probes: 16,
            max_steps: 3000,
            replaced: 0.3,
            kept: 5,
            top_k: 3,
            clamp: 1e-6,
            budget: None,
            batch: Batch::Auto,
            seed: Seed::default(),
        }
    }
}

/// What the probes say of every text.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub struct ReagentAttribution<T> {
    /// Importance of the tokens of every text, `b` times `(t)`, summing to 1; `None` where no probe came to its end.
    pub values: Vec<Option<Array1<T>>>,
    /// Standard errors over the probes, `b` times `(t)`; `None` where fewer than two came to their end.
    pub standard_error: Vec<Option<Array1<T>>>,
    /// Probes that came to their end, of every text.
    pub converged: Vec<usize>,
    /// Probability of the token in question after every text, `(b)`.
    pub probability: Array1<T>,
    /// Rows that the model was run for.
    pub evaluations: Evaluations,
    /// [`Status::Converged`] where all probes of all texts came to their end, else [`Status::Partial`].
    pub status: Status,
    /// The settings in words.
    pub options: String,
    /// Seed of the probes.
    pub seed: Seed,
}

impl<T: Scalar> ReagentAttribution<T> {
    /// As the result of any other method; `None` where some text has no ended probe.
    #[must_use]
    pub fn into_attribution(self) -> Option<Attribution<T>> {
        let rows = self.values.into_iter().collect::<Option<Vec<_>>>()?;
        let errors = self.standard_error.into_iter().collect::<Option<Vec<_>>>();
        let mut result = Attribution::new("reagent", self.options, stacked(&rows), self.probability);
        result.standard_error = errors.map(|errors| stacked(&errors));
        (result.evaluations, result.status, result.seed) = (self.evaluations, self.status, Some(self.seed));
        Some(result)
    }
}

/// Rows of the same length as a matrix.
fn stacked<T: Scalar>(rows: &[Array1<T>]) -> Array2<T> {
    Array2::from_shape_fn((rows.len(), rows.first().map_or(0, Array1::len)), |(row, token)| rows[row][token])
}

/// One probe of one text.
struct Search {
    row: usize,
    scores: Vec<f64>,
    stream: Stream,
    /// Positions to replace come first.
    order: Vec<usize>,
    ended: bool,
}

/// All that calls of the model and the sampler need.
struct Texts<'a, T: Scalar, M: Forward<T> + ?Sized> {
    probe: Probe<'a, T, M>,
    x: &'a ArrayRef2<T>,
    sampler: &'a mut dyn TokenSampler<T, M::Error>,
    sampled: u64,
    rows: usize,
}

impl<T: Scalar, M: Forward<T> + ?Sized> Texts<'_, T, M> {
    /// Runs the texts with the first `count` positions of each search's order replaced; `take` gets value and outputs.
    fn replaced(
        &mut self,
        searches: &mut [&mut Search],
        count: usize,
        mut take: impl FnMut(&mut Search, f64, &[T]),
    ) -> Explained<(), M::Error> {
        let (t, mut tokens) = (self.x.ncols(), vec![T::zero(); count]);
        for part in searches.chunks_mut(self.rows) {
            let mut changed = Array2::zeros((part.len(), t));
            let mut outputs = Array2::zeros((part.len(), self.probe.n_outputs()));
            for (search, mut row) in part.iter_mut().zip(changed.rows_mut()) {
                row.assign(&self.x.row(search.row));
                let (text, positions) = (row.to_vec(), &search.order[..count]);
                let called = self.sampler.sample(&text, positions, &mut search.stream, &mut tokens);
                called.map_err(|error| Failure::Model { call: self.sampled, error })?;
                self.sampled += 1;
                positions.iter().zip(&tokens).for_each(|(&position, &token)| row[position] = token);
            }
            self.probe.outputs(&changed, &mut outputs)?;
            for (search, z) in part.iter_mut().zip(outputs.rows()) {
                let z = z.to_vec();
                let value = self.probe.value_of(search.row, &z).as_f64();
                take(search, value, &z);
            }
        }
        Ok(())
    }
}

impl Reagent {
    /// Importance of the tokens of every row of `x: (b, t)` for the output `class`, with replacements from `sampler`.
    ///
    /// The model's outputs are the logits of the token that follows.
    ///
    /// # Errors
    /// [`Failure::Input`] for empty or non-finite texts and for settings out of range, [`Failure::NotFinite`] where the
    /// model gives NaN or infinity, [`Failure::Model`] with the error of the model, or of the sampler with the number of
    /// its call.
    pub fn run<T: Scalar, M: Forward<T> + ?Sized>(
        &self,
        model: &mut M,
        x: &ArrayRef2<T>,
        class: impl Into<Class>,
        sampler: &mut dyn TokenSampler<T, M::Error>,
    ) -> Explained<ReagentAttribution<T>, M::Error> {
        self.check()?;
        let (class, x, (b, t)) = (class.into(), &*x.as_standard_layout(), x.dim());
        let target = Probability::of(class.clone());
        let mut probe = Probe::new(model, x, &target)?;
        crate::error::check_limit("probes times tokens", b.saturating_mul(self.probes).saturating_mul(t), MAX_NUMBERS)?;
        let rows = self.batch.rows(t)?;
        let probability = values(&mut probe, x, rows)?;
        let mut texts = Texts { probe, x, sampler, sampled: 0, rows };
        let mut searches: Vec<Search> = (0..b).flat_map(|row| self.searches(row, t)).collect();
        let all = self.search(&mut texts, &mut searches, (&class, &probability))?;
        let mut result = ReagentAttribution {
            values: Vec::new(),
            standard_error: Vec::new(),
            converged: Vec::new(),
            probability,
            evaluations: texts.probe.evaluations(),
            status: if all { Status::Converged } else { Status::Partial },
            options: format!("{self:?}"),
            seed: self.seed,
        };
        for probes in searches.chunks(self.probes) {
            let ended: Vec<&Search> = probes.iter().filter(|search| search.ended).collect();
            let moments = importance(ended.iter().copied(), t)?;
            let error = |square: f64| T::of(libm::sqrt(square / ended.len() as f64));
            result.values.push(moments.mean().map(|mean| mean.mapv(T::of)));
            result.standard_error.push(moments.sample_variance().map(|squares| squares.mapv(error)));
            result.converged.push(ended.len());
        }
        Ok(result)
    }

    fn check(&self) -> Result<()> {
        for (what, count) in [("probes", self.probes), ("max_steps", self.max_steps), ("top_k", self.top_k)] {
            check_each(what, &[count as f64], ">= 1", |count: f64| count >= 1.0)?;
        }
        check_each("replaced", &[self.replaced], "0 < replaced <= 1", |share: f64| share > 0.0 && share <= 1.0)?;
        check_each("clamp", &[self.clamp], "1e-15 <= clamp < 1", |clamp: f64| (1e-15..1.0).contains(&clamp))
    }

    /// The probes of a text at their start.
    fn searches(&self, row: usize, t: usize) -> impl Iterator<Item = Search> + use<> {
        let seed = self.seed.child(PURPOSE, row as u64);
        (0..self.probes).map(move |probe| {
            let mut stream = seed.stream(PURPOSE, probe as u64);
            let scores = (0..t).map(|_| uniform(&mut stream)).collect();
            Search { row, scores, stream, order: (0..t).collect(), ended: false }
        })
    }

    /// Takes all probes to their ends, or to the end of steps or budget; says whether all are at their own.
    fn search<T: Scalar, M: Forward<T> + ?Sized>(
        &self,
        texts: &mut Texts<'_, T, M>,
        searches: &mut [Search],
        (class, probability): (&Class, &ArrayRef1<T>),
    ) -> Explained<bool, M::Error> {
        let t = texts.x.ncols();
        let mut spent: Vec<u64> = vec![1; probability.len()];
        for _ in 0..self.max_steps {
            let mut after = spent.clone();
            searches.iter().filter(|search| !search.ended).for_each(|search| after[search.row] += 2);
            let goes_on =
                |search: &&mut Search| !search.ended && self.budget.is_none_or(|budget| after[search.row] <= budget);
            let mut active: Vec<&mut Search> = searches.iter_mut().filter(goes_on).collect();
            if active.is_empty() {
                break;
            }
            active.iter().for_each(|search| spent[search.row] += 2);
            let count = share_of(self.replaced, t);
            active.iter_mut().for_each(|search| choose(&mut search.stream, count, &mut search.order));
            texts.replaced(&mut active, count, |search, value, _| {
                search.update(count, self.evidence(probability[search.row].as_f64() - value));
            })?;
            active.iter_mut().for_each(|search| search.rank());
            texts.replaced(&mut active, t.saturating_sub(self.kept), |search, _, z| {
                let own = z[class.of(search.row)];
                search.ended = z.iter().filter(|z| **z > own).count() < self.top_k;
            })?;
        }
        Ok(searches.iter().all(|search| search.ended))
    }

    /// `logit(½ + ½ δ)`, with `δ` held away from `±1`.
    fn evidence(&self, delta: f64) -> f64 {
        let most = 1.0 - self.clamp;
        2.0 * libm::atanh(delta.clamp(-most, most))
    }
}

impl Search {
    /// Adds the evidence to the first `count` tokens of the order, and takes it from the others.
    fn update(&mut self, count: usize, evidence: f64) {
        for (at, &token) in self.order.iter().enumerate() {
            self.scores[token] += if at < count { evidence } else { -evidence };
        }
    }

    /// Puts the least important tokens first; of equals, the later one.
    fn rank(&mut self) {
        let scores = &self.scores;
        self.order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]).then(b.cmp(&a)));
    }
}

/// A share of `t` tokens, rounded, at least one.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative, and at most t")]
fn share_of(share: f64, t: usize) -> usize {
    (libm::round(share * t as f64) as usize).clamp(1, t.max(1))
}

/// Moments of the importance `(t)` that searches end with.
fn importance<'a>(searches: impl Iterator<Item = &'a Search>, t: usize) -> Result<Moments> {
    let mut moments = Moments::new(t)?;
    for search in searches {
        let scores = ArrayView2::from_shape((1, t), &search.scores).expect("a score for every token");
        moments.update(&softmax(&scores)?)?;
    }
    Ok(moments)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::attribution::Function;
    use core::convert::Infallible;
    use ndarray::array;

    const UNIFORM: UniformTokens = UniformTokens { vocabulary: 12 };

    /// Predicts the token at `place` with logit `sure`, everything else with 0.
    fn copies(place: usize, sure: f64) -> impl Forward<f64, Error = Infallible> {
        Function::new((8, 12), move |x: &ArrayRef2<f64>, z: &mut ArrayRef2<f64>| {
            for (x, mut z) in x.rows().into_iter().zip(z.rows_mut()) {
                z.iter_mut().enumerate().for_each(|(token, z)| *z = if token as f64 == x[place] { sure } else { 0.0 });
            }
            Ok::<(), Infallible>(())
        })
    }

    fn text() -> Array2<f64> {
        array![[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], [5.0, 5.0, 5.0, 4.0, 5.0, 5.0, 5.0, 5.0]]
    }

    fn strict() -> Reagent {
        Reagent { kept: 1, top_k: 1, ..Reagent::default() }
    }

    #[test]
    fn the_token_that_is_copied_is_found() {
        let found = strict().run(&mut copies(3, 5.0), &text(), 4, &mut UNIFORM.clone()).unwrap();
        assert_eq!((found.converged.as_slice(), found.status), (&[16, 16][..], Status::Converged));
        for (values, errors) in found.values.iter().zip(&found.standard_error) {
            let (values, errors) = (values.as_ref().unwrap(), errors.as_ref().unwrap());
            // a probe may end early by luck: one replacement in twelve is the token itself
            assert!((0..8).all(|token| token == 3 || 2.0 * values[token] < values[3]), "{values}");
            assert!((values.sum() - 1.0).abs() < 1e-12);
            assert!(errors.iter().all(|error| (0.0..0.2).contains(error)), "{errors}");
        }
        let result = found.clone().into_attribution().unwrap();
        assert_eq!((result.values.dim(), result.method.as_ref(), result.status), ((2, 8), "reagent", found.status));
    }

    #[test]
    fn certainty_that_turns_around_stays_finite() {
        // with a logit of 1000 the probability is 1 or 0, nothing between
        let found = strict().run(&mut copies(3, 1000.0), &text(), 4, &mut UNIFORM.clone()).unwrap();
        assert!(found.values.iter().flatten().flatten().all(|value| value.is_finite()));
        let most = Reagent::default().evidence(1.0);
        assert!((most - libm::log(2.0 / 1e-6 - 1.0)).abs() < 1e-8 && Reagent::default().evidence(-1.0) == -most);
        // ln((½ + ¼)/(½ - ¼))
        assert!((Reagent::default().evidence(0.5) - libm::log(3.0)).abs() < 1e-14);
    }

    #[test]
    fn one_step_by_hand() {
        let mut search = Search {
            row: 0,
            scores: vec![0.5, 0.25, 0.0, 0.25],
            stream: Seed(0).stream(0, 0),
            order: vec![2, 0, 1, 3],
            ended: false,
        };
        search.update(1, 1.0);
        assert_eq!(search.scores, [-0.5, -0.75, 1.0, -0.75]);
        search.rank();
        assert_eq!(search.order, [3, 1, 0, 2]);
        assert_eq!((share_of(0.3, 10), share_of(0.3, 1), share_of(1.0, 4)), (3, 1, 4));
    }

    #[test]
    fn probes_without_an_end_are_left_out() {
        // no sampler gives this token, so that it is never predicted first
        let mut others = UniformTokens { vocabulary: 11 };
        let never = Reagent { max_steps: 5, probes: 3, ..strict() };
        let found = never.run(&mut copies(3, 5.0), &text(), 11, &mut others).unwrap();
        assert_eq!((found.converged.as_slice(), found.status), (&[0, 0][..], Status::Partial));
        assert_eq!((found.values[0].clone(), found.standard_error[1].clone()), (None, None));
        assert_eq!(found.evaluations.forward, 2 + 2 * 3 * 5 * 2);
        assert!(found.into_attribution().is_none());
        let short = Reagent { budget: Some(20), max_steps: 1000, ..never };
        let found = short.run(&mut copies(3, 5.0), &text(), 11, &mut others).unwrap();
        assert_eq!(found.evaluations.forward, 2 * (1 + 3 * 6));
    }

    #[test]
    fn neither_batch_nor_order_of_texts_changes_a_bit() {
        let run = |batch| strict_options(Reagent { batch, ..strict() }, &text());
        for rows in [1, 3, 7] {
            assert_eq!(run(Batch::Rows(rows)), run(Batch::Auto));
        }
    }

    fn strict_options(method: Reagent, x: &Array2<f64>) -> ReagentAttribution<f64> {
        let found = method.run(&mut copies(3, 2.0), x, 4, &mut UNIFORM.clone()).unwrap();
        ReagentAttribution { options: String::new(), ..found }
    }

    #[test]
    fn errors_pass_through_and_settings_are_checked() {
        let fails = |_: &[f64], _: &[usize], _: &mut Stream, _: &mut [f64]| Err("no tokens");
        let mut model = Function::new((8, 12), |_: &ArrayRef2<f64>, z: &mut ArrayRef2<f64>| {
            z.fill(0.0);
            Ok(())
        });
        let failure = Reagent::default().run(&mut model, &text(), 0, &mut { fails }).unwrap_err();
        assert_eq!(failure, Failure::Model { call: 0, error: "no tokens" });
        let failed = |method: Reagent| {
            let failure = method.run(&mut copies(3, 1.0), &text(), 4, &mut UNIFORM.clone()).unwrap_err();
            matches!(failure, Failure::Input(Error::OutOfRange { .. }))
        };
        let default = Reagent::default();
        assert!(failed(Reagent { probes: 0, ..default }) && failed(Reagent { replaced: 0.0, ..default }));
        assert!(failed(Reagent { clamp: 0.0, ..default }) && failed(Reagent { top_k: 0, ..default }));
        let class = default.run(&mut copies(3, 1.0), &text(), 12, &mut UNIFORM.clone());
        assert!(matches!(class, Err(Failure::Input(Error::OutOfRange { what: "target", .. }))));
    }
}
