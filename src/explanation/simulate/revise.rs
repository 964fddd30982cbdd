//! Explain, simulate, score, and explain again with what was learnt.
//!
//! ```text
//! round    explanation <- explainer(shown records, attempts with their scores)
//!          score(explanation) on records that are never shown
//!          shown records <- shown records and experiments that try to break the explanation
//! result   the attempt with the highest score, of all rounds
//! ```
//!
//! The explainer, the simulator and the experiments are the caller's, with their own errors; the score is a closure. What was
//! done stays in a [`History`] that outlives a failure and can be gone on with. Calls are budgeted.
//!
//! Source: Bills et al., "Language models can explain neurons in language models" (2023), section on revising explanations; the
//! best of several candidates after Choi et al., "Scaling Automatic Neuron Description" (Transluce, 2024).

use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::convert::Infallible;
use core::fmt;
use core::ops::ControlFlow;

use super::simulation::{Accounting, Simulation};
use super::simulator::Simulator;
use crate::error::check_each;
use crate::explanation::{ActivationRecord, Defined, Undefined};
use crate::{Error, Result, Scalar};

/// Writes explanations.
pub trait Explainer<T: Scalar> {
    /// What the explainer says when it cannot explain.
    type Error;

    /// An explanation of the `shown` records, better than those `tried`, which come in the order in which they were made.
    ///
    /// # Errors
    /// Whatever the explainer reports.
    fn explain(&mut self, shown: &[ActivationRecord<T>], tried: &[Attempt]) -> Result<String, Self::Error>;
}

/// Runs the subject model on texts that may prove an explanation wrong.
pub trait Experiment<T: Scalar> {
    /// What it says when it cannot.
    type Error;

    /// Up to `count` new records, such as texts that fit the explanation and should not activate the neuron if it is wrong.
    ///
    /// # Errors
    /// Whatever it reports.
    fn experiment(&mut self, explanation: &str, count: usize) -> Result<Vec<ActivationRecord<T>>, Self::Error>;
}

/// No experiments: revision by scores alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NoExperiment;

impl<T: Scalar> Experiment<T> for NoExperiment {
    type Error = Infallible;

    fn experiment(&mut self, _explanation: &str, _count: usize) -> Result<Vec<ActivationRecord<T>>, Infallible> {
        Ok(Vec::new())
    }
}

/// An explanation that was tried.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Attempt {
    /// The explanation.
    pub explanation: String,
    /// Its score, or why there is none.
    pub score: Defined<f64>,
    /// How the predictions came about that the score is of.
    pub accounting: Accounting,
    /// Records that the explainer was shown.
    pub shown: usize,
}

/// What was done so far.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub struct History<T> {
    /// Attempts in order.
    pub attempts: Vec<Attempt>,
    /// Records of experiments, which are shown with the others.
    pub experiments: Vec<ActivationRecord<T>>,
    /// Calls of the explainer.
    pub explanations: usize,
    /// Calls of the simulator.
    pub simulations: usize,
    /// Explanations that had been tried before, and were not simulated again.
    pub repeats: usize,
    /// Records that were not shown because they are scored.
    pub withheld: usize,
}

impl<T> Default for History<T> {
    fn default() -> Self {
        Self { attempts: Vec::new(), experiments: Vec::new(), explanations: 0, simulations: 0, repeats: 0, withheld: 0 }
    }
}

impl<T> History<T> {
    /// The attempt with the highest score, of equal ones the first; `None` where none has a score.
    #[must_use]
    pub fn best(&self) -> Option<&Attempt> {
        let mut best: Option<(&Attempt, f64)> = None;
        for attempt in &self.attempts {
            if let Ok(score) = attempt.score
                && best.is_none_or(|(_, highest)| score > highest)
            {
                best = Some((attempt, score));
            }
        }
        best.map(|(attempt, _)| attempt)
    }
}

/// The three that are called.
#[derive(Debug)]
pub struct Callers<'a, E: ?Sized, S: ?Sized, X: ?Sized> {
    /// Writes explanations.
    pub explainer: &'a mut E,
    /// Predicts from them.
    pub simulator: &'a mut S,
    /// Finds what they miss.
    pub experiment: &'a mut X,
}

/// Records of a neuron.
#[derive(Debug)]
pub struct Evidence<'a, T> {
    /// Shown to the explainer.
    pub shown: &'a [ActivationRecord<T>],
    /// Scored, and never shown: a record that is among both is withheld from the explainer.
    pub scored: &'a [ActivationRecord<T>],
}

/// Why the loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Stopped {
    /// All rounds were run.
    Rounds,
    /// A score reached the target.
    Target,
    /// The next explanation would cost more calls than are allowed.
    Budget,
    /// The caller stopped it.
    Caller,
}

/// Who failed.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum RevisionFailure<A, B, C> {
    /// The input, or what a caller gave back, is not acceptable.
    Input(Error),
    /// The explainer, with its error.
    Explainer(A),
    /// The simulator, with its error.
    Simulator(B),
    /// The experiment, with its error.
    Experiment(C),
}

impl<A, B, C> From<Error> for RevisionFailure<A, B, C> {
    fn from(error: Error) -> Self {
        Self::Input(error)
    }
}

impl<A: fmt::Display, B: fmt::Display, C: fmt::Display> fmt::Display for RevisionFailure<A, B, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input(error) => error.fmt(f),
            Self::Explainer(error) => write!(f, "the explainer failed: {error}"),
            Self::Simulator(error) => write!(f, "the simulator failed: {error}"),
            Self::Experiment(error) => write!(f, "the experiment failed: {error}"),
        }
    }
}

impl<A, B, C> core::error::Error for RevisionFailure<A, B, C>
where
    A: fmt::Debug + fmt::Display,
    B: fmt::Debug + fmt::Display,
    C: fmt::Debug + fmt::Display,
{
}

/// Settings of the loop.
///
/// # Example
/// ```
/// use core::ops::ControlFlow;
/// use limpid::explanation::simulate::{Attempt, Callers, Evidence, Explainer, History, Keyword, NoExperiment, Revision, Simulation, Stopped};
/// use limpid::explanation::ActivationRecord;
/// use ndarray::array;
///
/// /// Names the strongest tokens one after another, as a language model would do better.
/// struct Strongest;
/// impl Explainer<f64> for Strongest {
///     type Error = limpid::Error;
///     fn explain(&mut self, shown: &[ActivationRecord<f64>], tried: &[Attempt]) -> Result<String, limpid::Error> {
///         let record = &shown[0];
///         let mut tokens: Vec<_> = record.tokens.iter().zip(&record.activations).collect();
///         tokens.sort_by(|a, b| b.1.total_cmp(a.1));
///         Ok(format!("the word \"{}\"", tokens[tried.len()].0.trim()))
///     }
/// }
/// let shown = [ActivationRecord::new(["a", " big", " red", " bus"], array![0.0, 4.0, 9.0, 8.0])?];
/// let scored = [ActivationRecord::new(["the", " bus", " stops"], array![0.0, 8.0, 0.0])?];
/// // minus the summed distance, for want of space
/// let score = |truth: &[ActivationRecord<f64>], found: &[Simulation<f64>]| {
///     Ok(-(&truth[0].activations - &found[0].filled(0.0)).mapv(f64::abs).sum())
/// };
/// let (mut explainer, mut simulator, mut experiment) = (Strongest, Keyword::default(), NoExperiment);
/// let callers = Callers { explainer: &mut explainer, simulator: &mut simulator, experiment: &mut experiment };
/// let mut history = History::default();
/// let settings = Revision { rounds: 2, ..Revision::default() };
/// let evidence = Evidence { shown: &shown, scored: &scored };
/// let stopped = settings.run(callers, &evidence, score, |_| ControlFlow::Continue(()), &mut history);
/// assert_eq!(stopped, Ok(Stopped::Rounds));
/// assert_eq!(history.best().unwrap().explanation, "the word \"bus\"");
/// # Ok::<(), limpid::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Revision {
    /// Rounds, the first explanation included.
    pub rounds: usize,
    /// Explanations of each round.
    pub candidates: usize,
    /// Records that each round's best explanation is tested on in experiments.
    pub experiments: usize,
    /// The score at which to stop, if any.
    pub target: Option<f64>,
    /// Most calls of the explainer, earlier ones in the history included.
    pub max_explanations: usize,
    /// Most calls of the simulator, one for each scored record of an explanation, earlier ones included.
    pub max_simulations: usize,
}

impl Default for Revision {
    fn default() -> Self {
        Self {
            rounds: 3,
            candidates: 1,
            experiments: 10,
            target: None,
            max_explanations: usize::MAX,
            max_simulations: usize::MAX,
        }
    }
}

/// The failure of a loop with these callers.
type Failed<T, E, S, X> =
    RevisionFailure<<E as Explainer<T>>::Error, <S as Simulator<T>>::Error, <X as Experiment<T>>::Error>;

impl Revision {
    /// Runs the loop, adding to `history`; `progress` sees every attempt and may stop.
    ///
    /// `score` compares the scored records with their simulations. A score that is NaN is taken for [`Undefined::NotFinite`]; an
    /// explanation without letters is not simulated.
    ///
    /// # Errors
    /// Those of the callers, and within [`RevisionFailure::Input`]: [`Error::Empty`] without scored records, [`Error::Shape`]
    /// for records and simulations that are not whole, [`Error::NotFinite`] for predictions, [`Error::OutOfRange`] for a target
    /// that is NaN. What was done before is in the history.
    pub fn run<T: Scalar, E, S, X>(
        &self,
        mut callers: Callers<'_, E, S, X>,
        evidence: &Evidence<'_, T>,
        mut score: impl FnMut(&[ActivationRecord<T>], &[Simulation<T>]) -> Defined<f64>,
        mut progress: impl FnMut(&Attempt) -> ControlFlow<()>,
        history: &mut History<T>,
    ) -> Result<Stopped, Failed<T, E, S, X>>
    where
        E: Explainer<T> + ?Sized,
        S: Simulator<T> + ?Sized,
        X: Experiment<T> + ?Sized,
    {
        check_each("target", &self.target, "a number", |target: f64| !target.is_nan())?;
        let secret = evidence.secret()?;
        let open = |record: &&ActivationRecord<T>| !secret.contains(record.tokens.as_slice());
        let mut shown: Vec<ActivationRecord<T>> = evidence.shown.iter().filter(open).cloned().collect();
        history.withheld += evidence.shown.len() - shown.len();
        shown.extend(history.experiments.iter().cloned());
        for round in 0..self.rounds {
            let first = history.attempts.len();
            for _ in 0..self.candidates {
                if !self.affords(history, evidence.scored.len()) {
                    return Ok(Stopped::Budget);
                }
                if !callers.attempt(&shown, evidence.scored, &mut score, history)? {
                    continue;
                }
                let Some(attempt) = history.attempts.last() else { continue };
                if progress(attempt).is_break() {
                    return Ok(Stopped::Caller);
                }
                if attempt.score.is_ok_and(|score| self.target.is_some_and(|target| score >= target)) {
                    return Ok(Stopped::Target);
                }
            }
            if round + 1 < self.rounds && self.experiments > 0 {
                let Some(best) = best_from(&history.attempts, first) else { continue };
                let found =
                    callers.experiment.experiment(best, self.experiments).map_err(RevisionFailure::Experiment)?;
                for record in found.into_iter().take(self.experiments) {
                    record.check()?;
                    if secret.contains(record.tokens.as_slice()) {
                        history.withheld += 1;
                        continue;
                    }
                    history.experiments.push(record.clone());
                    shown.push(record);
                }
            }
        }
        Ok(Stopped::Rounds)
    }

    fn affords<T>(&self, history: &History<T>, records: usize) -> bool {
        history.explanations < self.max_explanations
            && history.simulations.saturating_add(records) <= self.max_simulations
    }
}

/// The best explanation of those from `first` on, or the best of all where these have no score.
fn best_from(attempts: &[Attempt], first: usize) -> Option<&str> {
    let of_round = attempts.get(first..).unwrap_or_default();
    let scored = |attempt: &&Attempt| attempt.score.is_ok();
    let from = if of_round.iter().any(|attempt| scored(&attempt)) { of_round } else { attempts };
    let better = |a: &&Attempt, b: &&Attempt| {
        let value = |attempt: &Attempt| attempt.score.unwrap_or(f64::NEG_INFINITY);
        value(a).total_cmp(&value(b))
    };
    // of equal ones the first
    from.iter().rev().max_by(better).map(|attempt| attempt.explanation.as_str())
}

impl<T: Scalar> Evidence<'_, T> {
    /// The texts that are scored.
    fn secret(&self) -> Result<BTreeSet<&[String]>> {
        if self.scored.is_empty() {
            return Err(Error::Empty { what: "scored" });
        }
        self.shown.iter().chain(self.scored).try_for_each(ActivationRecord::check)?;
        Ok(self.scored.iter().map(|record| record.tokens.as_slice()).collect())
    }
}

impl<E: ?Sized, S: ?Sized, X: ?Sized> Callers<'_, E, S, X> {
    /// One explanation with its score; whether it is a new one.
    fn attempt<T: Scalar>(
        &mut self,
        shown: &[ActivationRecord<T>],
        scored: &[ActivationRecord<T>],
        score: &mut impl FnMut(&[ActivationRecord<T>], &[Simulation<T>]) -> Defined<f64>,
        history: &mut History<T>,
    ) -> Result<bool, Failed<T, E, S, X>>
    where
        E: Explainer<T>,
        S: Simulator<T>,
        X: Experiment<T>,
    {
        history.explanations += 1;
        let explanation =
            self.explainer.explain(shown, &history.attempts).map_err(RevisionFailure::Explainer)?.trim().to_string();
        if history.attempts.iter().any(|attempt| attempt.explanation == explanation) {
            history.repeats += 1;
            return Ok(false);
        }
        let mut accounting = Accounting::default();
        let mut found = Vec::with_capacity(scored.len());
        // without letters there is nothing to predict from
        let says_something = explanation.chars().any(char::is_alphanumeric);
        for record in scored.iter().filter(|_| says_something) {
            history.simulations += 1;
            let simulated = self.simulator.simulate(&explanation, &record.tokens);
            let simulation = simulated.map_err(RevisionFailure::Simulator)?;
            simulation.check(record.tokens.len())?;
            accounting.add(&simulation.accounting());
            found.push(simulation);
        }
        let score = if says_something { score(scored, &found) } else { Err(Undefined::NoPrediction) };
        let score = score.and_then(|score| if score.is_nan() { Err(Undefined::NotFinite) } else { Ok(score) });
        history.attempts.push(Attempt { explanation, score, accounting, shown: shown.len() });
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explanation::simulate::Keyword;
    use alloc::format;
    use alloc::vec;
    use ndarray::array;

    /// Says what it was given to say.
    struct Scripted(Vec<&'static str>);

    impl Explainer<f64> for Scripted {
        type Error = &'static str;

        fn explain(&mut self, _: &[ActivationRecord<f64>], tried: &[Attempt]) -> Result<String, &'static str> {
            self.0.get(tried.len()).map(ToString::to_string).ok_or("no more to say")
        }
    }

    /// Gives back texts of the explanation.
    struct Texts;

    impl Experiment<f64> for Texts {
        type Error = Infallible;

        fn experiment(&mut self, explanation: &str, count: usize) -> Result<Vec<ActivationRecord<f64>>, Infallible> {
            let text = |number| format!("{explanation} {number}");
            Ok((0..count + 3).map(|number| ActivationRecord::new([text(number)], array![0.0]).unwrap()).collect())
        }
    }

    fn records() -> [ActivationRecord<f64>; 2] {
        let record = |tokens: [&str; 3]| ActivationRecord::new(tokens, array![0.0, 9.0, 0.0]).unwrap();
        [record(["a", " bus", " x"]), record(["the", " bus", " y"])]
    }

    fn score(truth: &[ActivationRecord<f64>], found: &[Simulation<f64>]) -> Defined<f64> {
        let distances = truth.iter().zip(found).map(|(t, s)| (&t.activations - &s.filled(0.0)).mapv(f64::abs).sum());
        Ok(-distances.sum::<f64>())
    }

    fn run(
        settings: Revision,
        script: &[&'static str],
        history: &mut History<f64>,
    ) -> Result<Stopped, RevisionFailure<&'static str, Error, Infallible>> {
        let [shown, scored] = records();
        let (mut explainer, mut simulator, mut experiment) = (Scripted(script.to_vec()), Keyword::default(), Texts);
        let callers = Callers { explainer: &mut explainer, simulator: &mut simulator, experiment: &mut experiment };
        let evidence = Evidence { shown: &[shown, scored.clone()], scored: &[scored] };
        settings.run(callers, &evidence, score, |_| ControlFlow::Continue(()), history)
    }

    const SCRIPT: [&str; 4] = ["trains", "\"bus\"", "cars", "!"];

    #[test]
    fn the_best_is_kept_and_experiments_are_shown() {
        let mut history = History::default();
        let settings = Revision { rounds: 4, experiments: 2, ..Revision::default() };
        assert_eq!(run(settings, &SCRIPT, &mut history), Ok(Stopped::Rounds));
        assert_eq!(history.best().map(|best| best.explanation.as_str()), Some("\"bus\""));
        let scores: Vec<_> = history.attempts.iter().map(|attempt| attempt.score).collect();
        assert_eq!(scores, [Ok(-9.0), Ok(-1.0), Ok(-9.0), Err(Undefined::NoPrediction)]);
        // the record that is scored is withheld, and each of three rounds adds two
        let shown: Vec<_> = history.attempts.iter().map(|attempt| attempt.shown).collect();
        assert_eq!((shown, history.withheld, history.experiments.len()), (vec![1, 3, 5, 7], 1, 6));
        assert_eq!((history.explanations, history.simulations), (4, 3));
    }

    #[test]
    fn it_stops_at_the_target_and_at_the_budget() {
        let stopped = |settings: Revision| {
            let mut history = History::default();
            (run(Revision { rounds: 9, experiments: 0, ..settings }, &SCRIPT, &mut history), history.attempts.len())
        };
        assert_eq!(stopped(Revision { target: Some(-2.0), ..Revision::default() }), (Ok(Stopped::Target), 2));
        assert_eq!(stopped(Revision { max_explanations: 3, ..Revision::default() }), (Ok(Stopped::Budget), 3));
        assert_eq!(stopped(Revision { max_simulations: 1, ..Revision::default() }), (Ok(Stopped::Budget), 1));
        assert_eq!(stopped(Revision { max_simulations: 0, ..Revision::default() }), (Ok(Stopped::Budget), 0));
    }

    #[test]
    fn a_history_outlives_a_failure_and_goes_on() {
        let mut history = History::default();
        let settings = Revision { rounds: 5, candidates: 2, ..Revision::default() };
        let failed = run(settings, &SCRIPT[..2], &mut history);
        assert_eq!(failed, Err(RevisionFailure::Explainer("no more to say")));
        assert_eq!((history.attempts.len(), history.best().is_some()), (2, true));
        let settings = Revision { rounds: 1, candidates: 2, ..settings };
        assert_eq!(run(settings, &SCRIPT, &mut history), Ok(Stopped::Rounds));
        assert_eq!(history.attempts.len(), 4);
    }

    #[test]
    fn what_was_tried_is_not_simulated_again() {
        let mut history = History::default();
        let settings = Revision { rounds: 3, ..Revision::default() };
        assert_eq!(run(settings, &["bus", "bus", "bus"], &mut history), Ok(Stopped::Rounds));
        assert_eq!((history.attempts.len(), history.repeats, history.simulations), (1, 2, 1));
    }

    #[test]
    fn bad_input_is_named() {
        let mut history = History::default();
        let nan = run(Revision { target: Some(f64::NAN), ..Revision::default() }, &SCRIPT, &mut history);
        assert!(matches!(nan, Err(RevisionFailure::Input(Error::OutOfRange { what: "target", .. }))));
        let nothing = Evidence::<f64> { shown: &[], scored: &[] };
        assert_eq!(nothing.secret(), Err(Error::Empty { what: "scored" }));
    }
}
