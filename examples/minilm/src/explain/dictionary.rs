//! A dictionary of features of one layer's neurons: a top-k autoencoder, trained on what they do in training documents.

use std::ops::ControlFlow;

use limpid::Seed;
use limpid::math::random::{below, uniform};
use limpid::sae::metrics::Evaluation;
use limpid::sae::train::{KAnnealing, Preset, Rounding, Trainer, train_sae};
use limpid::sae::{GeometricMedian, InputNormalisation, PreparedSae, Sae, expected_average_scale, geometric_median};
use ndarray::{Array2, ArrayRef2, Axis, Slice};

use super::Settings;
use super::sweep::Reading;
use crate::Result;
use crate::support::progress::Bar;

/// Rows of one step, and rows that are looked at before the first.
const BATCH: usize = 1024;
/// What this file draws random numbers for.
const PURPOSE: u64 = 0x726f_7773;

/// Rows of activations that were drawn from training documents; what does not fit is left out.
pub(crate) struct Rows {
    rows: Array2<f32>,
    filled: usize,
    share: f64,
    seed: Seed,
}

impl Rows {
    /// Place for `limit` rows of the `all` that are going to come.
    pub(crate) fn new(limit: usize, all: usize, width: usize, seed: Seed) -> Self {
        let share = limit as f64 / all.max(1) as f64;
        Self { rows: Array2::zeros((limit.min(all), width)), filled: 0, share, seed }
    }

    /// Draws from the columns `from..` of a document.
    pub(crate) fn draw(&mut self, reading: &Reading, from: usize) {
        let mut stream = self.seed.stream(PURPOSE, u64::from(reading.line));
        let columns = Slice::from(from..from + self.rows.ncols());
        for row in reading.activations.slice_axis(Axis(1), columns).rows() {
            if uniform::<f64>(&mut stream) < self.share && self.filled < self.rows.nrows() {
                self.rows.row_mut(self.filled).assign(&row);
                self.filled += 1;
            }
        }
    }

    /// What was drawn.
    pub(crate) fn finish(self) -> Array2<f32> {
        self.rows.slice_axis_move(Axis(0), Slice::from(..self.filled))
    }
}

/// A dictionary with what it explains of its own training rows.
pub(crate) struct Dictionary {
    pub(crate) sae: PreparedSae<f32>,
    /// Share of the variance, `None` where there is none.
    pub(crate) explained: Option<f64>,
    pub(crate) rows: usize,
}

/// Trains it.
pub(crate) fn train(rows: &Array2<f32>, settings: &Settings) -> Result<Dictionary> {
    let (seed, steps) = (Seed(settings.seed), settings.steps);
    let mut recipe = Preset::TopK.recipe::<f32>(rows.ncols(), settings.features, settings.k, steps, seed)?;
    let few = rows.view().split_at(Axis(0), rows.nrows().min(4096)).0;
    let median = geometric_median(&few, GeometricMedian::default())?;
    let scale = expected_average_scale(&(&few - &median))?;
    recipe.sae.normalisation = InputNormalisation::Scale(scale);
    recipe.sae.b_dec = median * scale;
    let training = &mut recipe.training;
    // runs of papers are long
    training.learning_rate.base *= (10_000.0 / steps.max(1) as f64).sqrt().clamp(1.0, 4.0);
    training.dead_after = training.dead_after.min((steps * BATCH / 10).max(1) as u64);
    let from = (8 * settings.k).min(settings.features);
    training.k_annealing = Some(KAnnealing { from, over: steps / 2, rounding: Rounding::Floor });
    let mut trainer = Trainer::new(recipe.sae, recipe.training)?;
    let (mut stream, mut bar) = (seed.stream(PURPOSE, u64::MAX), Bar::new("dictionary"));
    let next = || {
        let places: Vec<usize> = (0..BATCH).map(|_| below(&mut stream, rows.nrows())).collect();
        Ok::<_, limpid::Error>(Some(rows.select(Axis(0), &places)))
    };
    train_sae(&mut trainer, next, |_, step| {
        bar.show(step.step, steps);
        ControlFlow::Continue(())
    })?;
    let sae = trainer.sae();
    let explained = explained(&sae, &few)?;
    Ok(Dictionary { sae: PreparedSae::new(sae)?, explained, rows: rows.nrows() })
}

fn explained(sae: &Sae<f32>, x: &ArrayRef2<f32>) -> Result<Option<f64>> {
    let mut evaluation = Evaluation::new(sae.d_in(), sae.latents())?;
    let codes = sae.encode_sparse(x)?;
    let mut out = sae.decode_sparse(&codes)?;
    sae.normalisation.apply(x)?.1.undo(&mut out);
    evaluation.update_codes(x, &out, &codes)?;
    Ok(evaluation.finish()?.explained_variance.ratio_of_means.ok())
}
