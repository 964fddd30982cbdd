//! Training of toy models: many at once, from several random starts each, keeping the best.
//!
//! Every start of every problem is a run of its own with its own random streams; runs go in parallel and give the same
//! floats for any number of threads. The restart with the smallest loss wins, and where the expected loss has a closed form
//! that loss decides, so that luck with samples does not.
//!
//! Source: Elhage et al. (2022) and its notebook for the defaults; the remark there that models of a 2-dimensional
//! hidden space need many fits, of which the best is kept.

pub(crate) mod evaluate;
mod problem;
pub(crate) mod run;
mod settings;
mod start;

use alloc::vec::Vec;
use core::ops::ControlFlow;

use crate::error::check_not_empty;
use crate::math::par;
use crate::{Result, Scalar};

pub use evaluate::Evaluation;
pub use problem::{Data, Problem};
pub use run::{Snapshot, Trained};
pub use settings::{Progress, Training};
pub use start::Start;

use run::Run;

/// Pieces that the steps between two reports are cut into, so that threads are all busy up to the report.
const ROUNDS: usize = 10;

/// Trains one model per problem and keeps the best of `settings.restarts` random starts.
///
/// `progress` is called about a hundred times and may stop the training with [`ControlFlow::Break`]; the models are then
/// returned as they are, with the number of steps that were done.
///
/// # Errors
/// [`Error::Empty`](crate::Error::Empty), [`Error::Shape`](crate::Error::Shape),
/// [`Error::OutOfRange`](crate::Error::OutOfRange), [`Error::TooLarge`](crate::Error::TooLarge) and
/// [`Error::Unsupported`](crate::Error::Unsupported) for bad problems and settings;
/// [`Error::Diverged`](crate::Error::Diverged) where a loss is not finite.
///
/// # Example
/// ```
/// use core::ops::ControlFlow;
/// use limpid::superposition::{FeatureDistribution, Problem, Training, train};
/// use ndarray::Array1;
///
/// // five features in two dimensions, each present in 5 % of the samples
/// let sparse = FeatureDistribution::<f32>::uniform(5, 0.05)?;
/// let problem = Problem::new(2, Array1::ones(5), sparse);
/// let settings = Training { steps: 200, batch: 256, restarts: 2, ..Training::default() };
/// let best = train(&[problem], &settings, |_| ControlFlow::Continue(()))?;
/// assert_eq!(best[0].model.weight.dim(), (2, 5));
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn train<T: Scalar>(
    problems: &[Problem<T>],
    settings: &Training,
    progress: impl FnMut(Progress) -> ControlFlow<()>,
) -> Result<Vec<Trained<T>>> {
    let every = train_every_restart(problems, settings, progress)?;
    Ok(every.into_iter().filter_map(|restarts| restarts.into_iter().next()).collect())
}

/// Trains like [`train`] and returns all restarts of each problem, the one with the smallest loss first.
///
/// # Errors
/// As [`train`].
pub fn train_every_restart<T: Scalar>(
    problems: &[Problem<T>],
    settings: &Training,
    mut progress: impl FnMut(Progress) -> ControlFlow<()>,
) -> Result<Vec<Vec<Trained<T>>>> {
    settings.check()?;
    check_not_empty("problems", &*ndarray::ArrayView1::from(problems))?;
    let mut runs = Vec::new();
    for (instance, problem) in problems.iter().enumerate() {
        problem.check(settings)?;
        for restart in 0..settings.restarts {
            runs.push(Run::new(problem, settings, instance, restart)?);
        }
    }
    if runs.len() < par::threads() {
        runs.iter_mut().for_each(Run::parallelise);
    }
    let mut done = 0;
    while done < settings.steps {
        let until = settings.steps.min(done + settings.steps.div_ceil(100));
        par::for_each_round(&mut runs, ROUNDS, |round, run| {
            run.advance(settings, done + (until - done) * (round + 1) / ROUNDS);
        });
        runs.iter().try_for_each(Run::outcome)?;
        done = until;
        let loss = runs.iter().map(Run::last_loss).sum::<f64>() / runs.len() as f64;
        if progress(Progress { step: done, steps: settings.steps, loss }).is_break() {
            break;
        }
    }
    finish(runs, settings)
}

/// Evaluates all runs and sorts the restarts of each problem.
fn finish<T: Scalar>(mut runs: Vec<Run<'_, T>>, settings: &Training) -> Result<Vec<Vec<Trained<T>>>> {
    par::for_each_mut(&mut runs, |_, run| run.evaluate(settings));
    Ok(ranked(runs.into_iter().map(Run::finish).collect::<Result<_>>()?))
}

/// Sorts the restarts of each problem by their losses; `runs` are results with the index of their problem, in order.
pub(crate) fn ranked<T: Scalar>(runs: Vec<(usize, Trained<T>)>) -> Vec<Vec<Trained<T>>> {
    let mut results: Vec<Vec<Trained<T>>> = Vec::new();
    for (instance, trained) in runs {
        match results.get_mut(instance) {
            Some(restarts) => restarts.push(trained),
            None => results.push(alloc::vec![trained]),
        }
    }
    for restarts in &mut results {
        restarts.sort_by(|a, b| a.evaluation.loss.total_cmp(&b.evaluation.loss));
        let losses: Vec<f64> = restarts.iter().map(|trained| trained.evaluation.loss).collect();
        restarts.iter_mut().for_each(|trained| trained.restart_losses.clone_from(&losses));
    }
    results
}
