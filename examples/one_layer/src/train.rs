//! Trains the model on a text: AdamW, a warm-up and then a cosine, gradients of bounded length.

use std::path::Path;
use std::time::Instant;

use candle_core::backprop::GradStore;
use candle_nn::{AdamW, Optimizer, ParamsAdamW};
use limpid::math::schedule::Schedule;
use serde_json::json;

use crate::model::{Frozen, Model, Shape, losses, windows};
use crate::saved::{save, write_json};
use crate::support::progress::Bar;
use crate::text::{Text, Vocabulary, stream};
use crate::{Error, Result, baseline};

const PURPOSE: u64 = 0x7465_7874;
/// Windows that a held-out loss is the mean of, on the way.
const FEW: usize = 64;
/// Points of the curves.
const POINTS: usize = 60;

/// How to train.
#[derive(Debug, Clone, PartialEq)]
pub struct Training {
    pub width: usize,
    pub heads: usize,
    pub neurons: usize,
    pub context: usize,
    pub steps: usize,
    /// Windows of a step.
    pub batch: usize,
    pub learning_rate: f64,
    pub seed: u64,
}

impl Default for Training {
    fn default() -> Self {
        Self { width: 128, heads: 4, neurons: 512, context: 128, steps: 1600, batch: 16, learning_rate: 3e-3, seed: 0 }
    }
}

/// A model and what it came to.
pub struct Trained {
    pub model: Model,
    /// Held-out loss in nats per character.
    pub held_out: f64,
    pub unigram: f64,
    pub bigram: f64,
}

/// Trains on the training part of a text, and writes the model and its losses into `folder`.
///
/// # Errors
/// Settings out of range, a text too short, a loss that is not finite, a folder that cannot be written.
pub fn train(text: &Text, vocabulary: &Vocabulary, settings: &Training, folder: &Path) -> Result<Trained> {
    let &Training { width, heads, neurons, context, steps, batch, .. } = settings;
    if steps == 0 || batch == 0 {
        return Err(Error("steps and batch must be at least 1".to_owned()));
    }
    let start = Instant::now();
    let model = Model::new(Shape { vocabulary: vocabulary.size(), width, heads, neurons, context }, settings.seed)?;
    let (mut random, mut bar) = (stream(settings.seed, PURPOSE), Bar::new("model"));
    let mut optimiser = AdamW::new(model.weights.to_vec(), ParamsAdamW { weight_decay: 0.01, ..Default::default() })?;
    let (mut curve, mut recent) = (Vec::new(), (0.0, 0));
    let few = text.some_windows(true, context, FEW);
    for step in 0..steps {
        optimiser.set_learning_rate(settings.learning_rate * schedule(step, steps));
        let starts = text.draw(&mut random, batch, context);
        let loss = step_loss(&model, text, &starts)?;
        let mut gradients = loss.backward()?;
        clip(&model, &mut gradients)?;
        optimiser.step(&gradients)?;
        let loss = f64::from(loss.to_scalar::<f32>()?);
        if !loss.is_finite() {
            return Err(Error(format!("step {step}: the loss is not finite; a lower --learning-rate helps")));
        }
        recent = (recent.0 + loss, recent.1 + 1);
        if (step + 1) * POINTS / steps > step * POINTS / steps {
            let held = held_out(&model.frozen(), text, &few)?;
            curve.push(json!([step + 1, recent.0 / f64::from(recent.1), held]));
            recent = (0.0, 0);
            bar.rename(&format!("model, loss {loss:.3}, held out {held:.3}"));
        }
        bar.show(step + 1, steps);
    }
    drop(bar);
    let held = held_out(&model.frozen(), text, &text.windows(true, context))?;
    let (training, rest) = text.tokens.split_at(text.held_out);
    let (unigram, bigram) = baseline::losses(training, rest, vocabulary.size());
    save(folder, &model, vocabulary)?;
    let parameters: usize = model.weights.iter().map(|weight| weight.elem_count()).sum();
    let numbers = json!({
        "characters": text.tokens.len(), "held_out_characters": rest.len(), "vocabulary": vocabulary.size(),
        "parameters": parameters, "width": width, "heads": heads, "neurons": neurons, "context": context,
        "steps": steps, "batch": batch, "seconds": start.elapsed().as_secs_f64(),
        "held_out": held, "unigram": unigram, "bigram": bigram, "curve": curve,
    });
    write_json(&folder.join("result.json"), &numbers)?;
    Ok(Trained { model, held_out: held, unigram, bigram })
}

/// A factor of the learning rate: up over a twentieth of the steps, then down to a twentieth along a cosine.
fn schedule(step: usize, steps: usize) -> f64 {
    let warmup = steps.div_ceil(20);
    let factor: f64 = Schedule::WarmupCosine { warmup }.factor(step, steps);
    if step < warmup { factor } else { 0.05 + 0.95 * factor }
}

fn step_loss(model: &Model, text: &Text, starts: &[usize]) -> Result<candle_core::Tensor> {
    let context = model.shape.context;
    let tokens = windows(starts.iter().map(|&start| text.window(start, context)), context)?;
    let logits = model.trained().forward(&tokens)?;
    Ok(losses(&logits, &next(text, starts, context))?.mean_all()?)
}

/// The token after each one of these windows.
pub(crate) fn next(text: &Text, starts: &[usize], context: usize) -> Vec<u32> {
    starts.iter().flat_map(|&start| text.window(start + 1, context)).copied().collect()
}

/// Scales gradients down to a length of 1 where they are longer.
fn clip(model: &Model, gradients: &mut GradStore) -> Result<()> {
    let mut square = 0.0;
    for weight in &model.weights {
        if let Some(gradient) = gradients.get(weight) {
            square += f64::from(gradient.sqr()?.sum_all()?.to_scalar::<f32>()?);
        }
    }
    let length = square.sqrt();
    if length > 1.0 {
        for weight in &model.weights {
            if let Some(gradient) = gradients.remove(weight) {
                gradients.insert(weight, (gradient / length)?);
            }
        }
    }
    Ok(())
}

/// Mean loss over these windows.
pub(crate) fn held_out(model: &Frozen, text: &Text, starts: &[usize]) -> Result<f64> {
    let context = model.shape.context;
    let (mut sum, mut count) = (0.0, 0);
    for starts in starts.chunks(32) {
        let tokens = windows(starts.iter().map(|&start| text.window(start, context)), context)?;
        let logits = model.forward(&tokens)?;
        let each: Vec<f32> = losses(&logits, &next(text, starts, context))?.to_vec1()?;
        sum += each.iter().map(|&loss| f64::from(loss)).sum::<f64>();
        count += each.len();
    }
    Ok(sum / count.max(1) as f64)
}
