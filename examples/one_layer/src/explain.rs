//! Explanations of units without a language model, from training windows, and how well they predict held-out ones: a table of
//! tokens, and stretches of tokens of which the longest that was seen often enough predicts.

use limpid::Seed;
use limpid::explanation::score::{Bootstrap, PairStats, Statistic};
use limpid::explanation::simulate::{Ngram, NgramSettings, Unseen};
use limpid::explanation::{ActivationRecord, Defined};
use limpid::sae::Sae;
use ndarray::{Array1, Array2, Axis, Slice};
use serde_json::{Value, json};

use crate::model::Frozen;
use crate::reading::{Reading, TOGETHER};
use crate::support::progress::Bar;
use crate::text::Text;
use crate::{Error, Result};

/// Longest stretch, and how often it must have been seen.
const ORDER: usize = 5;
const SEEN: u64 = 4;
/// Resamples of an interval.
const RESAMPLES: usize = 200;

/// Activations of a few units in windows, and the tokens of these.
pub(crate) struct Sample {
    /// One per window; the activations are those of a unit at a time.
    records: Vec<ActivationRecord<f32>>,
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
        Ok(Self { records, activations })
    }

    /// The records of one unit.
    fn of(&mut self, unit: usize) -> &[ActivationRecord<f32>] {
        let mut values = self.activations.column(unit).to_vec().into_iter();
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
    interval: Option<(f64, f64)>,
}

fn score(training: &[ActivationRecord<f32>], held_out: &[ActivationRecord<f32>], seed: u64) -> Result<Scored> {
    let pairs = |order: usize, min_count: u64| -> Result<Vec<PairStats>> {
        let simulator = NgramSettings { order, min_count, unseen: Unseen::Zero }.fit(training)?;
        held_out.iter().map(|record| pair(&simulator, record)).collect()
    };
    let (table, stretches) = (pairs(1, 1)?, pairs(ORDER, SEEN)?);
    let of = |pairs: &[PairStats]| Statistic::Pearson.of(&PairStats::pool(pairs));
    let bootstrap = Bootstrap { resamples: RESAMPLES, seed: Seed(seed), ..Bootstrap::default() };
    let interval = bootstrap.interval(&stretches)?.ok().map(|interval| (interval.low, interval.high));
    Ok(Scored { table: of(&table), stretches: of(&stretches), interval })
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
    let mut scored = Vec::with_capacity(all);
    for unit in 0..all {
        scored.push(score(training.of(unit), held_out.of(unit), seed)?);
        bar.show(unit + 1, all);
    }
    let rest = scored.split_off(features.len());
    Ok(json!({ "features": summary(features, &scored)?, "neurons": summary(neurons, &rest)? }))
}

fn summary(units: &[usize], scored: &[Scored]) -> Result<Value> {
    let listed =
        |of: &dyn Fn(&Scored) -> Defined<f64>| -> Vec<f64> { scored.iter().filter_map(|s| of(s).ok()).collect() };
    let (table, stretches) = (listed(&|s| s.table), listed(&|s| s.stretches));
    if table.is_empty() || stretches.is_empty() {
        return Err(Error("no unit that was active in both parts of the text; more --windows help".to_owned()));
    }
    let each: Vec<Value> = units
        .iter()
        .zip(scored)
        .map(|(unit, s)| json!({ "unit": unit, "table": s.table.ok(), "stretches": s.stretches.ok(), "interval": s.interval }))
        .collect();
    Ok(json!({ "explained": units.len(), "table": spread(table), "stretches": spread(stretches), "each": each }))
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
