//! Features against neurons: how well the best of either tells each known context, what the model loses without it there and
//! elsewhere, and how well explanations predict them.

use std::path::Path;

use limpid::math::random::shuffle;
use limpid::sae::Sae;
use serde_json::{Value, json};

use crate::contexts::{Context, all};
use crate::explain::{Sample, scores};
use crate::model::Frozen;
use crate::reading::{Reading, TOGETHER};
use crate::saved::write_json;
use crate::stages::Compare;
use crate::support::progress::Bar;
use crate::text::{Text, stream};
use crate::units::{Told, Units, neurons};
use crate::{Error, Result};

const PURPOSE: u64 = 0x756e_6974;
/// Places that a context needs in each part, and firings that a unit needs to be explained.
const LEAST: u64 = 20;
/// Windows that units are taken out of: few are enough, the rise of the loss is a mean over all places.
const ABLATED: usize = 8 * TOGETHER;

/// What is compared: model, text and dictionary.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) model: &'a Frozen,
    pub(crate) text: &'a Text,
    pub(crate) sae: &'a Sae<f32>,
}

/// Compares, and writes what was found into `folder`.
///
/// # Errors
/// Settings out of range, no contexts or units, a folder that cannot be written.
pub(crate) fn compare(subject: Subject<'_>, settings: &Compare, folder: &Path) -> Result<Value> {
    let Subject { model, text, sae } = subject;
    if settings.units == 0 || settings.windows == 0 {
        return Err(Error("units and windows must be at least 1".to_owned()));
    }
    let contexts = all(&text.characters, text.held_out);
    let parts = [false, true].map(|held_out| text.some_windows(held_out, model.shape.context, settings.windows));
    let [chosen, judged] = [collect(subject, &contexts, &parts[0])?, collect(subject, &contexts, &parts[1])?];
    let whole = whole(subject, &parts[1][..parts[1].len().min(ABLATED)])?;
    let mut rows = Vec::new();
    let mut bar = Bar::new("ablations");
    for (at, context) in contexts.iter().enumerate() {
        if chosen.in_context(at) >= LEAST && judged.in_context(at) >= LEAST {
            rows.push(one(subject, (at, context), (&chosen, &judged), &whole)?);
        }
        bar.show(at + 1, contexts.len());
    }
    drop(bar);
    let [features, neurons] = [0..sae.latents(), sae.latents()..sae.latents() + model.shape.neurons].map(|units| {
        let first = units.start;
        let mut alive: Vec<usize> =
            units.filter(|&unit| chosen.fired(unit) >= LEAST).map(|unit| unit - first).collect();
        shuffle(&mut stream(settings.seed, PURPOSE), &mut alive);
        alive.truncate(settings.units);
        alive
    });
    let [training, held_out] = [0, 1].map(|part| Sample::new((model, text, sae), &parts[part], &features, &neurons));
    let scores = scores(training?, held_out?, (&features, &neurons), settings.seed)?;
    let result = json!({ "windows": parts[1].len(), "characters": parts[1].len() * model.shape.context,
        "contexts": rows, "scores": scores });
    write_json(&folder.join("result.json"), &result)?;
    Ok(result)
}

/// What all units do in these windows: features first, then neurons.
fn collect(subject: Subject<'_>, contexts: &[Context], starts: &[usize]) -> Result<Units> {
    let Subject { model, text, sae } = subject;
    let mut units = Units::new(sae.latents() + model.shape.neurons, contexts.len());
    let mut bar = Bar::new("contexts");
    let mut holds = vec![false; contexts.len()];
    for (at, starts_together) in starts.chunks(TOGETHER).enumerate() {
        let reading = Reading::new(model, text, starts_together)?;
        let codes = sae.encode_sparse(&reading.neurons)?;
        for row in 0..codes.rows() {
            let place = reading.place(row);
            holds.iter_mut().zip(contexts).for_each(|(holds, context)| *holds = context.holds[place]);
            units.add(codes.row(row).chain(neurons(&reading.neurons, row, sae.latents())), &holds);
        }
        bar.show(at + 1, starts.len().div_ceil(TOGETHER));
    }
    Ok(units)
}

/// The best feature and the best neuron for a context: chosen on training windows, judged on held-out ones.
fn one(
    subject: Subject<'_>,
    (at, context): (usize, &Context),
    (chosen, judged): (&Units, &Units),
    whole: &[Whole],
) -> Result<Value> {
    let features = subject.sae.latents();
    let mut row = json!({ "name": context.name, "places": judged.in_context(at) });
    for (name, units) in [("feature", 0..features), ("neuron", features..features + subject.model.shape.neurons)] {
        let Some(best) = chosen.best(at, units.clone()) else { continue };
        let told = judged.again(at, &best);
        let [inside, outside] = ablation(subject, context, told.unit, whole)?;
        row[name] = written(&told, units.start);
        (row[name]["loss_inside"], row[name]["loss_elsewhere"]) = (inside.into(), outside.into());
    }
    Ok(row)
}

fn written(told: &Told, first: usize) -> Value {
    json!({
        "unit": told.unit - first, "precision": told.precision, "recall": told.recall, "f1": told.f1, "auc": told.auc,
        "correlation": told.correlation,
    })
}

/// A reading with the losses of the whole model.
type Whole = (Reading, Vec<f32>);

fn whole(Subject { model, text, .. }: Subject<'_>, starts: &[usize]) -> Result<Vec<Whole>> {
    let read = |starts| {
        let reading = Reading::new(model, text, starts)?;
        let losses = reading.losses(model, &reading.neurons)?;
        Ok((reading, losses))
    };
    starts.chunks(TOGETHER).map(read).collect()
}

/// Rise of the loss without a unit, in nats per character: in the context, and elsewhere.
///
/// ```text
/// a' = a - f d        d the direction of a feature; of a neuron f d is its own activation
/// ```
fn ablation(subject: Subject<'_>, context: &Context, unit: usize, whole: &[Whole]) -> Result<[f64; 2]> {
    let Subject { model, sae, .. } = subject;
    let (mut sums, mut counts) = ([0.0; 2], [0_u64; 2]);
    for (reading, clean) in whole {
        let mut without = reading.neurons.clone();
        if unit < sae.latents() {
            let active = sae.encode_subset(&reading.neurons, &[unit])?;
            without = without - active.dot(&sae.w_dec.row(unit).insert_axis(ndarray::Axis(0)));
        } else {
            without.column_mut(unit - sae.latents()).fill(0.0);
        }
        let ablated = reading.losses(model, &without)?;
        for (row, (clean, ablated)) in clean.iter().zip(&ablated).enumerate() {
            let part = usize::from(!context.holds[reading.place(row)]);
            sums[part] += f64::from(ablated - clean);
            counts[part] += 1;
        }
    }
    Ok([0, 1].map(|part| sums[part] / counts[part].max(1) as f64))
}
