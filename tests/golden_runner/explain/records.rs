//! Golden cases of records of neurons as JSON.

use limpid::Scalar;
use limpid::formats::neuron_record::{NeuronRecord, read_neuron_record, write_neuron_record};
use limpid::formats::scored_simulation::{ScoredSimulation, read_scored_simulation, write_scored_simulation};
use ndarray::Array1;

use super::collect::{indices, text};
use super::score::pearson;
use crate::golden_runner::Answer;
use crate::golden_runner::case::{Given, Outcome};

/// Runs `neuron_record_json`; what was read is written and read again on the way.
pub fn run<T: Scalar>(given: &Given<'_>) -> Answer {
    let json = given.text("json")?.as_bytes();
    match given.text("kind")? {
        "neuron_record" => {
            let written = write_neuron_record(&read_neuron_record::<T>(json).map_err(text)?).map_err(text)?;
            Ok(record(&read_neuron_record::<T>(written.as_bytes()).map_err(text)?))
        }
        "scored_simulation" => {
            let written = write_scored_simulation(&read_scored_simulation::<T>(json).map_err(text)?).map_err(text)?;
            scored(&read_scored_simulation::<T>(written.as_bytes()).map_err(text)?)
        }
        kind => Err(format!("unknown kind {kind}")),
    }
}

fn record<T: Scalar>(found: &NeuronRecord<T>) -> Vec<(&'static str, Outcome)> {
    let tokens = found.top.iter().chain(&found.random).map(|record| record.tokens.len()).sum();
    let groups = found.random_by_quantile.as_ref();
    let groups = groups.map(|groups| indices(&groups.iter().map(Vec::len).collect::<Vec<_>>()));
    let boundaries = found.quantile_boundaries.as_ref();
    let boundaries = boundaries.map(|boundaries| Outcome::tensor(&Array1::from(boundaries.clone())));
    vec![
        ("layer", Outcome::Number(f64::from(found.id.layer))),
        ("neuron", Outcome::Number(f64::from(found.id.index))),
        ("top_records", Outcome::count(found.top.len())),
        ("random_records", Outcome::count(found.random.len())),
        ("tokens", Outcome::count(tokens)),
        ("max_activation", Outcome::optional(found.max_activation())),
        ("relu_max", Outcome::optional(found.relu_max())),
        ("quantile_groups", groups.unwrap_or(Outcome::Undefined)),
        ("quantile_boundaries", boundaries.unwrap_or(Outcome::Undefined)),
        ("mean", Outcome::optional(found.mean)),
        ("variance", Outcome::optional(found.variance)),
        ("skewness", Outcome::optional(found.skewness)),
        ("kurtosis", Outcome::optional(found.kurtosis)),
    ]
}

fn scored<T: Scalar>(found: &ScoredSimulation<T>) -> Answer {
    let pairs = found.sequences.iter().flat_map(|one| one.true_activations.iter().zip(&one.simulation.expected));
    let (truth, expected): (Vec<T>, Vec<T>) = pairs.map(|(&truth, &expected)| (truth, expected)).unzip();
    Ok(vec![
        ("sequences", Outcome::count(found.sequences.len())),
        ("tokens", Outcome::count(found.sequences.iter().map(|sequence| sequence.simulation.tokens.len()).sum())),
        (
            "sequence_scores",
            Outcome::list(&found.sequences, |sequence| Outcome::optional(sequence.scores.ev_correlation)),
        ),
        ("pearson", pearson(&Array1::from(truth), &Array1::from(expected))?),
        ("ev_correlation_score", Outcome::optional(found.scores.ev_correlation)),
        ("rsquared_score", Outcome::optional(found.scores.rsquared)),
        ("absolute_dev_explained_score", Outcome::optional(found.scores.absolute_dev_explained)),
    ])
}
