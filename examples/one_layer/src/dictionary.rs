//! A dictionary of features of the neurons, by the recipe of 2023, and what it keeps of the model.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use limpid::Seed;
use limpid::formats::{Hint, SaveSettings, disk};
use limpid::sae::metrics::Evaluation;
use limpid::sae::metrics::recovered::{Losses, MeanLosses};
use limpid::sae::train::{Preset, Shuffled, Trainer, train_sae};
use limpid::sae::{
    FoldScale, GeometricMedian, InputNormalisation, Sae, Sparsity, expected_average_scale, geometric_median,
};
use ndarray::{Array2, Axis};
use serde_json::{Value, json};

use crate::model::Frozen;
use crate::reading::{Reading, TOGETHER, mean};
use crate::saved::write_json;
use crate::support::progress::Bar;
use crate::text::{Text, stream};
use crate::{Error, Result};

const PURPOSE: u64 = 0x726f_7773;
/// Rows of the buffer that shuffles.
const BUFFER: usize = 16_384;
/// Rows that are looked at before the first step.
const FIRST: usize = 4096;
/// Points of the curves.
const POINTS: usize = 100;

/// How to train it.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    pub features: usize,
    pub steps: usize,
    /// Rows of a step.
    pub batch: usize,
    /// Weight of the sum of features in the loss.
    pub l1: f64,
    pub learning_rate: f64,
    /// Held-out windows that it is judged on.
    pub windows: usize,
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { features: 4096, steps: 2000, batch: 512, l1: 0.006, learning_rate: 1e-3, windows: usize::MAX, seed: 0 }
    }
}

/// Activations of random windows of the training part, without end.
fn batches<'a>(model: &'a Frozen, text: &'a Text, seed: u64) -> impl Iterator<Item = Result<Array2<f32>>> + 'a {
    let mut random = stream(seed, PURPOSE);
    std::iter::repeat_with(move || {
        let starts = text.draw(&mut random, TOGETHER, model.shape.context);
        Ok(Reading::new(model, text, &starts)?.neurons)
    })
}

/// Trains a dictionary and writes it, with what it is worth, into `folder`; gives both.
///
/// # Errors
/// Settings out of range, a folder that cannot be written.
pub fn train(model: &Frozen, text: &Text, settings: &Settings, folder: &Path) -> Result<(Sae<f32>, Value)> {
    let start = Instant::now();
    if settings.steps == 0 || settings.batch == 0 || settings.features == 0 || settings.windows == 0 {
        return Err(Error("features, steps, batch and windows must be at least 1".to_owned()));
    }
    let neurons = model.shape.neurons;
    let mut rows = Shuffled::new(batches(model, text, settings.seed), neurons, BUFFER, Seed(settings.seed))?;
    let few = rows.next_batch(FIRST)?.ok_or_else(|| Error("no activations".to_owned()))?;
    let mut trainer = trainer(&few, settings)?;
    let (mut curve, mut bar) = (Vec::new(), Bar::new("dictionary"));
    let steps = settings.steps;
    train_sae(
        &mut trainer,
        || rows.next_batch(settings.batch),
        |_, step| {
            if step.step * POINTS / steps > (step.step - 1) * POINTS / steps {
                curve.push(json!([step.step, step.terms.reconstruction, step.l0]));
                bar.rename(&format!("dictionary, L0 {:.1}, error {:.3}", step.l0, step.terms.reconstruction));
            }
            bar.show(step.step, steps);
            ControlFlow::Continue(())
        },
    )?;
    drop(bar);
    // from here on in the units of the neurons
    let sae = trainer.sae().fold_input_scale(FoldScale::Encoder)?;
    let resampled = trainer.settings().resampling.as_ref().map(|resampling| resampling.at.clone());
    let mut result = judge(model, text, &sae, settings.windows)?;
    result["curve"] = curve.into();
    result["resampled_after"] = json!(resampled);
    for (name, number) in [("features", settings.features), ("steps", steps), ("batch", settings.batch)] {
        result[name] = number.into();
    }
    result["l1"] = settings.l1.into();
    result["tokens"] = trainer.tokens().into();
    result["seconds"] = start.elapsed().as_secs_f64().into();
    save(folder, &sae)?;
    write_json(&folder.join("result.json"), &result)?;
    Ok((sae, result))
}

/// The recipe in the units of these activations.
fn trainer(few: &Array2<f32>, settings: &Settings) -> Result<Trainer<f32>> {
    let Settings { features, steps, seed, .. } = *settings;
    let mut recipe = Preset::Bricken2023.recipe::<f32>(few.ncols(), features, 0, steps, Seed(seed))?;
    let median = geometric_median(few, GeometricMedian::default())?;
    let scale = expected_average_scale(&(few - &median))?;
    recipe.sae.normalisation = InputNormalisation::Scale(scale);
    recipe.sae.b_dec = median * scale;
    let training = &mut recipe.training;
    // the run of the paper has a million steps
    training.learning_rate.base = settings.learning_rate;
    training.learning_rate.decay_steps = steps / 5;
    training.loss.sparsity = Sparsity::l1(settings.l1);
    training.sparsity_warm_up = steps / 20;
    if let Some(resampling) = &mut training.resampling {
        resampling.inputs = resampling.inputs.min(16 * settings.batch);
    }
    Ok(Trainer::new(recipe.sae, recipe.training)?)
}

/// What the dictionary is worth on held-out windows.
fn judge(model: &Frozen, text: &Text, sae: &Sae<f32>, most: usize) -> Result<Value> {
    let neurons = model.shape.neurons;
    let (mut evaluation, mut losses) = (Evaluation::new(neurons, sae.latents())?, MeanLosses::default());
    let (mut active, mut rows) = (vec![0_u64; neurons], 0);
    let starts = text.some_windows(true, model.shape.context, most);
    for starts in starts.chunks(TOGETHER) {
        let reading = Reading::new(model, text, starts)?;
        let codes = sae.encode_sparse(&reading.neurons)?;
        let out = sae.decode_sparse(&codes)?;
        evaluation.update_codes(&reading.neurons, &out, &codes)?;
        let loss = |neurons: &Array2<f32>| Ok::<f64, Error>(mean(&reading.losses(model, neurons)?));
        let (clean, zero) = (loss(&reading.neurons)?, loss(&Array2::zeros(out.raw_dim()))?);
        losses.update(&Losses { clean, sae: loss(&out)?, zero }, out.nrows() as u64)?;
        rows += out.nrows();
        for (count, column) in active.iter_mut().zip(reading.neurons.axis_iter(Axis(1))) {
            *count += column.iter().filter(|&&a| a > 0.0).count() as u64;
        }
    }
    let metrics = evaluation.finish()?;
    let mean = losses.mean().ok_or_else(|| Error("no held-out windows".to_owned()))?;
    let density: Vec<f64> = active.iter().map(|&count| count as f64 / rows.max(1) as f64).collect();
    Ok(json!({
        "judged_on": rows, "l0": metrics.l0, "dead": metrics.firing_count.iter().filter(|&&n| n == 0).count(),
        "explained": metrics.explained_variance.ratio_of_means.ok(), "cosine": metrics.cosine.ok(),
        "clean": mean.clean, "with_dictionary": mean.sae, "with_zeros": mean.zero, "recovered": mean.recovered()?,
        "neurons_l0": density.iter().sum::<f64>(),
        "density": metrics.density.to_vec(), "neuron_density": density,
    }))
}

fn save(folder: &Path, sae: &Sae<f32>) -> Result<()> {
    fs::create_dir_all(folder).map_err(|e| Error::at(folder, e))?;
    let metadata = vec![("hook_name".to_owned(), "mlp.neurons".to_owned())];
    disk::save(folder, sae, &SaveSettings { metadata, ..SaveSettings::default() }).map_err(|e| Error(e.to_string()))
}

/// Reads a dictionary for activations of `neurons` neurons.
///
/// # Errors
/// A file that is missing, damaged, or of another width.
pub fn load(folder: &Path, neurons: usize) -> Result<Sae<f32>> {
    let loaded = disk::load::<f32>(folder, &Hint::default()).map_err(|e| Error(e.to_string()))?;
    if loaded.sae.d_in() != neurons {
        return Err(Error::at(folder, format!("width {}, the model has {neurons} neurons", loaded.sae.d_in())));
    }
    Ok(loaded.sae)
}
