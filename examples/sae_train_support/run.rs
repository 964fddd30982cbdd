//! One run: from nothing or from the last checkpoint, to the end or to a stop.

use core::ops::{ControlFlow, Range};
use std::fs;
use std::time::Instant;

use limpid::Seed;
use limpid::files::write_atomically;
use limpid::math::reduce::norm;
use limpid::sae::metrics::{Evaluation, Metrics};
use limpid::sae::train::{Finish, KAnnealing, Recipe, Rounding, SaeStep, Shuffled, Trainer, train_sae};
use limpid::sae::{Activation, GeometricMedian, InputNormalisation, Sae, expected_average_scale, geometric_median};
use ndarray::Axis;

use super::Result;
use super::data::Data;
use super::device;
use super::log::Log;
use super::options::Options;
use crate::support::progress::Bar;

/// Rows that the start is measured on.
const FIRST_ROWS: usize = 4096;

/// Rows of the measurements during the run; the last one takes all that are held out.
const FEW_ROWS: usize = 2048;

/// Rows whose features are held at once.
const ROWS: usize = 512;

/// How a run ended.
pub struct Outcome {
    pub trainer: Trainer<f32>,
    pub log: Log,
    /// Samples and seconds of this process.
    pub samples: u64,
    pub seconds: f64,
}

/// Trains with a checkpoint now and then; `stop` ends the process's part after so many steps.
pub fn train(options: &Options, file: &std::path::Path, stop: Option<usize>) -> Result<Outcome> {
    let mut data = Data::open(file, options)?;
    let recipe = recipe(options, &mut data)?;
    let (mut trainer, mut log) = start(options, &recipe, &format!("{} of {}", options.fingerprint(), file.display()))?;
    let (from, samples) = (trainer.steps_done(), trainer.tokens());
    let seed = Seed(options.seed);
    let stream = Data::open(file, options)?.epochs(seed);
    let mut rows = Shuffled::new(stream, data.width(), options.buffer, seed)?;
    let (start, mut bar) = (Instant::now(), Bar::new("training"));
    let mut failure = None;
    let next = || rows.next_batch(options.batch);
    let observe = |trainer: &Trainer<f32>, step: &SaeStep<f32>| {
        bar.show(step.step - from, options.steps - from);
        let written = note(options, trainer, step, &mut data, &mut log);
        let stopped = stop.is_some_and(|stop| step.step >= stop) || written.is_err();
        failure = written.err();
        if stopped { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let finish = if options.gpu {
        device::train(&mut trainer, next, |done| noted(options, done) || stop == Some(done), observe)?
    } else {
        train_sae(&mut trainer, next, observe)?
    };
    match failure {
        Some(error) => Err(error),
        None if finish == Finish::Exhausted => Err("the file ended before the steps did".into()),
        None => {
            Ok(Outcome { samples: trainer.tokens() - samples, trainer, log, seconds: start.elapsed().as_secs_f64() })
        }
    }
}

/// The preset, with starting values that suit the data and settings that suit a short run.
fn recipe(options: &Options, data: &mut Data) -> Result<Recipe<f32>> {
    let Options { preset, latents, k, steps, .. } = *options;
    let mut recipe = preset.recipe::<f32>(data.width(), latents, k, steps, Seed(options.seed))?;
    start_at_data(options, &mut recipe.sae, data)?;
    let training = &mut recipe.training;
    let faster = (10_000.0 / steps as f64).sqrt().clamp(1.0, 4.0);
    training.learning_rate.base = options.learning_rate.unwrap_or(faster * training.learning_rate.base);
    // runs of papers are long: a latent that is silent for a tenth of a short one is as good as dead
    let tenth = (steps * options.batch / 10) as u64;
    training.dead_after = options.dead_after.unwrap_or(training.dead_after.min(tenth.max(1)));
    if let Some(resampling) = &mut training.resampling {
        // they are held in memory
        resampling.inputs = resampling.inputs.min(8 * options.batch);
    }
    if matches!(recipe.sae.activation, Activation::TopK { .. }) {
        // many latents get a turn before few are chosen
        let from = options.k_from.unwrap_or(8 * k).min(latents);
        training.k_annealing = Some(KAnnealing { from, over: steps / 2, rounding: Rounding::Floor });
    }
    Ok(recipe)
}

/// Puts the decoder bias at the geometric median of inputs that are scaled to a mean distance of `√d` from it, and turns the
/// vectors of each latent towards an input: directions where nothing is would stay silent.
fn start_at_data(options: &Options, sae: &mut Sae<f32>, data: &mut Data) -> Result<()> {
    let x = data.sample(FIRST_ROWS.max(sae.latents()), Seed(options.seed))?;
    let (first, _) = x.view().split_at(Axis(0), FIRST_ROWS.min(x.nrows()));
    let median = geometric_median(&first, GeometricMedian::default())?;
    let scale = expected_average_scale(&(&first - &median))?;
    sae.normalisation = InputNormalisation::Scale(scale);
    sae.b_dec = median * scale;
    for latent in 0..sae.latents() {
        let input = &x.row(latent % x.nrows()) * scale - &sae.b_dec;
        let share = options.data_start / norm(&input).max(f32::MIN_POSITIVE);
        for mut vector in [sae.w_enc.column_mut(latent), sae.w_dec.row_mut(latent)] {
            let length = norm(&vector);
            let turned = &vector * ((1.0 - options.data_start) / length) + &input * share;
            vector.assign(&(&turned * (length / norm(&turned).max(f32::MIN_POSITIVE))));
        }
    }
    if !sae.apply_b_dec_to_input {
        // the same start for encoders that see inputs with their mean
        sae.b_enc = -sae.b_dec.dot(&sae.w_enc);
    }
    Ok(())
}

/// A new run, or the one whose checkpoint lies in the folder.
fn start(options: &Options, recipe: &Recipe<f32>, what: &str) -> Result<(Trainer<f32>, Log)> {
    let [run, checkpoint, metrics] = ["run.txt", "checkpoint", "metrics.csv"].map(|name| options.out.join(name));
    if options.resume {
        let named = |error| format!("{}: {error}; nothing to go on from", checkpoint.display());
        let bytes = fs::read(&checkpoint).map_err(named)?;
        if fs::read_to_string(&run)? != what {
            return Err(format!("{}: another run than that of this command line", run.display()).into());
        }
        let named = |error| format!("{}: {error}", checkpoint.display());
        let trainer = Trainer::resume(recipe.training.clone(), &bytes).map_err(named)?;
        let log = Log::read(&metrics, trainer.steps_done())?;
        return Ok((trainer, log));
    }
    fs::create_dir_all(&options.out).map_err(|error| format!("{}: {error}", options.out.display()))?;
    // a checkpoint of another run must not stand beside the description of this one
    if checkpoint.exists() {
        if options.file.is_some() && !options.restart {
            let place = checkpoint.display();
            return Err(
                format!("{place} is that of an earlier run: --resume goes on from it, --restart drops it").into()
            );
        }
        fs::remove_file(&checkpoint)?;
    }
    write_atomically(&run, what.as_bytes())?;
    Ok((Trainer::new(recipe.sae.clone(), recipe.training.clone())?, Log::default()))
}

/// Whether anything is written down after so many steps.
fn noted(options: &Options, done: usize) -> bool {
    let due = |times: usize| done == options.steps || done.is_multiple_of(options.steps.div_ceil(times));
    due(200) || due(16) || done.is_multiple_of(options.checkpoint_every)
}

/// Takes up a step: a line of the table, a measurement, a checkpoint, each when it is due.
fn note(options: &Options, trainer: &Trainer<f32>, step: &SaeStep<f32>, data: &mut Data, log: &mut Log) -> Result<()> {
    let (done, last) = (step.step, step.step == options.steps);
    let due = |times: usize| last || done.is_multiple_of(options.steps.div_ceil(times));
    let checkpoint = last || done.is_multiple_of(options.checkpoint_every);
    if due(200) || due(16) || checkpoint {
        let rows = data.held_out(FEW_ROWS);
        let explained =
            if due(16) { evaluate(&trainer.sae(), data, rows)?.explained_variance.ratio_of_means.ok() } else { None };
        log.add(step, explained);
    }
    if checkpoint {
        // the table first: a run that goes on drops the lines after its checkpoint
        log.write(&options.out.join("metrics.csv"))?;
        let path = options.out.join("checkpoint");
        write_atomically(&path, &trainer.checkpoint()).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

/// Metrics of these rows.
pub fn evaluate(sae: &Sae<f32>, data: &mut Data, rows: Range<usize>) -> Result<Metrics> {
    let mut evaluation = Evaluation::new(data.width(), sae.latents())?;
    for first in rows.clone().step_by(ROWS) {
        let x = data.read(first..rows.end.min(first + ROWS))?;
        let codes = sae.encode_sparse(&x)?;
        let (_, restore) = sae.normalisation.apply(&x)?;
        let mut reconstruction = sae.decode_sparse(&codes)?;
        restore.undo(&mut reconstruction);
        evaluation.update_codes(&x, &reconstruction, &codes)?;
    }
    Ok(evaluation.finish()?)
}
