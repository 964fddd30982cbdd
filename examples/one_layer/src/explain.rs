//! Explanations of units without a language model, from training windows, and how well they predict held-out ones: a table of
//! tokens, stretches of tokens of which the longest that was seen often enough predicts, and the few stretches that say most.

use limpid::Seed;
use limpid::explanation::score::{Bootstrap, PairStats, Statistic};
use limpid::explanation::simulate::{Ngram, NgramSettings, Unseen};
use limpid::explanation::{ActivationRecord, Defined};
use limpid::sae::Sae;
use ndarray::{Array1, Array2, Axis, Slice};
use serde_json::{Value, json};

use crate::model::Frozen;
use crate::reading::{Reading, TOGETHER};
use crate::short::{ORDER, Stretches};
use crate::support::progress::Bar;
use crate::text::Text;
use crate::{Error, Result};

/// How often a stretch must have been seen.
const SEEN: u32 = 4;
/// Stretches of a short explanation.
const FEW: usize = 10;
/// Resamples of an interval.
const RESAMPLES: usize = 200;

/// Activations of a few units in windows, and the tokens of these.
pub(crate) struct Sample {
    /// One per window; the activations are those of a unit at a time.
    records: Vec<ActivationRecord<f32>>,
    characters: Vec<char>,
    /// `(windows t, units)`.
    activations: Array2<f32>,
}

impl Sample {
    /// Reads windows: features first, then neurons.
    pub(crate) fn new(
        (model, text, sae): (&Frozen, &Text, &Sae<f32>),
        starts: &[usize],
        features: &[usize],
        neurons: &[usize],
    ) -> Result<Self> {
        let context = model.shape.context;
        let mut activations = Array2::zeros((starts.len() * context, features.len() + neurons.len()));
        for (at, starts) in starts.chunks(TOGETHER).enumerate() {
            let reading = Reading::new(model, text, starts)?;
            let (rows, first) = (reading.neurons.nrows(), at * TOGETHER * context);
            let mut part = activations.slice_axis_mut(Axis(0), Slice::from(first..first + rows));
            let (mut left, mut right) = part.view_mut().split_at(Axis(1), features.len());
            left.assign(&sae.encode_subset(&reading.neurons, features)?);
            right.assign(&reading.neurons.select(Axis(1), neurons));
        }
        let record = |&start: &usize| {
            let tokens = text.characters[start..start + context].iter().map(|c| c.to_string());
            ActivationRecord::new(tokens, Array1::zeros(context))
        };
        let records = starts.iter().map(record).collect::<limpid::Result<_>>()?;
        let characters = starts.iter().flat_map(|&start| &text.characters[start..start + context]).copied().collect();
        Ok(Self { records, characters, activations })
    }

    fn windows(&self) -> impl Iterator<Item = &[char]> {
        self.characters.chunks(self.activations.nrows() / self.records.len().max(1))
    }

    /// All activations of one unit.
    fn column(&self, unit: usize) -> Vec<f32> {
        self.activations.column(unit).to_vec()
    }

    /// The records of one unit.
    fn of(&mut self, unit: usize) -> &[ActivationRecord<f32>] {
        let mut values = self.column(unit).into_iter();
        for record in &mut self.records {
            record.activations.iter_mut().zip(values.by_ref()).for_each(|(slot, value)| *slot = value);
        }
        &self.records
    }
}

/// How well a unit is explained: correlations on held-out windows.
struct Scored {
    table: Defined<f64>,
    stretches: Defined<f64>,
    few: Defined<f64>,
    /// Of the few.
    interval: Option<(f64, f64)>,
    /// The few, with their mean activations.
    short: Vec<(String, f64)>,
}

/// What short explanations come from, and the places that they are scored at.
struct Known {
    stretches: Stretches,
    places: Vec<[u32; ORDER]>,
}

fn score(training: &mut Sample, held_out: &mut Sample, known: &Known, unit: usize, seed: u64) -> Result<Scored> {
    let short = known.stretches.explain(&training.column(unit), FEW, SEEN);
    let predicted = Array1::from(short.predict(&known.places));
    let (training, held_out) = (training.of(unit), held_out.of(unit));
    let pairs = |order: usize, min_count: u64| -> Result<Vec<PairStats>> {
        let simulator = NgramSettings { order, min_count, unseen: Unseen::Zero }.fit(training)?;
        held_out.iter().map(|record| pair(&simulator, record)).collect()
    };
    let (table, stretches) = (pairs(1, 1)?, pairs(ORDER, SEEN.into())?);
    let length = held_out.first().map_or(1, |record| record.activations.len());
    let parts = held_out.iter().zip(predicted.axis_chunks_iter(Axis(0), length));
    let few =
        parts.map(|(record, part)| PairStats::of(&record.activations, &part)).collect::<limpid::Result<Vec<_>>>()?;
    let of = |pairs: &[PairStats]| Statistic::Pearson.of(&PairStats::pool(pairs));
    let bootstrap = Bootstrap { resamples: RESAMPLES, seed: Seed(seed), ..Bootstrap::default() };
    let interval = bootstrap.interval(&few)?.ok().map(|interval| (interval.low, interval.high));
    let short = short.stretches.iter().map(|&(stretch, mean)| (known.stretches.text(stretch), mean)).collect();
    Ok(Scored { table: of(&table), stretches: of(&stretches), few: of(&few), interval, short })
}

fn pair(simulator: &Ngram, record: &ActivationRecord<f32>) -> Result<PairStats> {
    let (found, _) = simulator.predict::<f32>(&record.tokens);
    Ok(PairStats::of(&record.activations, &found.filled(0.0))?)
}

/// Explains and scores units: features first, then neurons.
///
/// # Errors
/// Those of the simulators and scores.
pub(crate) fn scores(
    mut training: Sample,
    mut held_out: Sample,
    (features, neurons): (&[usize], &[usize]),
    seed: u64,
) -> Result<Value> {
    let mut bar = Bar::new("explanations");
    let all = features.len() + neurons.len();
    let stretches = Stretches::new(training.windows());
    let known = Known { places: stretches.places(held_out.windows()), stretches };
    let mut scored = Vec::with_capacity(all);
    for unit in 0..all {
        scored.push(score(&mut training, &mut held_out, &known, unit, seed)?);
        bar.show(unit + 1, all);
    }
    let rest = scored.split_off(features.len());
    Ok(json!({ "features": summary(features, &scored)?, "neurons": summary(neurons, &rest)? }))
}

fn summary(units: &[usize], scored: &[Scored]) -> Result<Value> {
    let listed =
        |of: &dyn Fn(&Scored) -> Defined<f64>| -> Vec<f64> { scored.iter().filter_map(|s| of(s).ok()).collect() };
    let kinds = [listed(&|s| s.table), listed(&|s| s.stretches), listed(&|s| s.few)];
    if kinds.iter().any(Vec::is_empty) {
        return Err(Error("no unit that was active in both parts of the text; more --windows help".to_owned()));
    }
    let each: Vec<Value> = units
        .iter()
        .zip(scored)
        .map(|(unit, s)| {
            let [table, stretches, few] = [&s.table, &s.stretches, &s.few].map(|score| score.ok());
            let interval = s.interval;
            json!({ "unit": unit, "table": table, "stretches": stretches, "few": few, "interval": interval, "short": s.short })
        })
        .collect();
    let [table, stretches, few] = kinds.map(spread);
    Ok(json!({ "explained": units.len(), "table": table, "stretches": stretches, "few": few, "each": each }))
}

/// Mean with an interval of 95 % over units, and the median.
fn spread(mut values: Vec<f64>) -> Value {
    values.sort_by(f64::total_cmp);
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let deviation = (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0)).sqrt();
    let half = 1.96 * deviation / n.sqrt();
    let median = (values[values.len() / 2] + values[(values.len() - 1) / 2]) / 2.0;
    json!({ "scored": values.len(), "mean": mean, "low": mean - half, "high": mean + half, "median": median })
}
