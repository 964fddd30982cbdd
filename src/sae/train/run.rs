//! A whole run: batches from a source, steps, resampling at its time, an observer that may write checkpoints or stop.

use core::ops::ControlFlow;

use ndarray::{Array2, Axis};

use super::trainer::{SaeStep, Trainer};
use crate::{Error, Result, Scalar};

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Finish {
    /// All steps were done.
    Done,
    /// The source had no more batches.
    Exhausted,
    /// The observer stopped it.
    Stopped,
}

/// Trains until all steps are done, the source ends or the observer stops.
///
/// `next` gives the next batch `(b, d)`, `None` at the end. A run that goes on from a checkpoint is given the source from
/// its beginning: the batches that were drawn before are drawn again and passed over. `observe` sees the trainer after each
/// step; it is the place to report, and to write [`Trainer::checkpoint`].
///
/// # Errors
/// Those of the source and of [`Trainer::step`]; [`Error::Diverged`] names the step whose loss is not finite.
///
/// # Example
/// ```
/// use core::ops::ControlFlow;
/// use limpid::Seed;
/// use limpid::sae::train::{Finish, SaeTraining, Trainer, train_sae};
/// use limpid::sae::{Activation, Sae};
/// use limpid::superposition::FeatureDistribution;
///
/// let sparse = FeatureDistribution::<f32>::uniform(4, 0.2)?;
/// let sae = Sae::initialise(4, 16, Activation::TopK { k: 2, by_decoder_norm: false }, Seed(1))?;
/// let mut trainer = Trainer::new(sae, SaeTraining { steps: 20, ..SaeTraining::default() })?;
/// let mut item = 0;
/// let batches = || {
///     item += 1;
///     sparse.sample(64, Seed(item)).map(Some)
/// };
/// let finish = train_sae(&mut trainer, batches, |_, _| ControlFlow::Continue(()))?;
/// assert_eq!((finish, trainer.steps_done()), (Finish::Done, 20));
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn train_sae<T: Scalar, E: From<Error>>(
    trainer: &mut Trainer<T>,
    mut next: impl FnMut() -> Result<Option<Array2<T>>, E>,
    mut observe: impl FnMut(&Trainer<T>, &SaeStep<T>) -> ControlFlow<()>,
) -> Result<Finish, E> {
    for _ in 0..trainer.drawn {
        if next()?.is_none() {
            return Ok(Finish::Exhausted);
        }
    }
    while trainer.step < trainer.settings.steps {
        let Some(x) = draw(trainer, &mut next)? else { return Ok(Finish::Exhausted) };
        let report = trainer.step(&x, None)?;
        if trainer.settings.resampling.as_ref().is_some_and(|resampling| resampling.at.contains(&trainer.step)) {
            resample(trainer, &mut next)?;
        }
        if observe(trainer, &report).is_break() {
            return Ok(Finish::Stopped);
        }
    }
    Ok(Finish::Done)
}

fn draw<T: Scalar, E>(
    trainer: &mut Trainer<T>,
    next: &mut impl FnMut() -> Result<Option<Array2<T>>, E>,
) -> Result<Option<Array2<T>>, E> {
    let batch = next()?;
    trainer.drawn += u64::from(batch.is_some());
    Ok(batch)
}

/// Resamples from as many fresh inputs as the settings ask for, or as there are.
fn resample<T: Scalar, E: From<Error>>(
    trainer: &mut Trainer<T>,
    next: &mut impl FnMut() -> Result<Option<Array2<T>>, E>,
) -> Result<(), E> {
    let wanted = trainer.settings.resampling.as_ref().map_or(0, |resampling| resampling.inputs);
    let mut inputs = Array2::zeros((0, trainer.sae.d_in()));
    while inputs.nrows() < wanted {
        let Some(x) = draw(trainer, next)? else { break };
        inputs.append(Axis(0), x.view()).map_err(|_| Error::Empty { what: "inputs of one width" })?;
    }
    if inputs.nrows() > 0 {
        trainer.resample(&inputs)?;
    }
    Ok(())
}
