//! Simulations of a neuron with their scores as OpenAI's `automated-interpretability` publishes them: JSON, in and out.
//!
//! ```text
//! {"scored_sequence_simulations":[{"simulation":{"tokens":[..],"expected_activations":[..],"activation_scale":"..",
//!    "distribution_values":[[..]..],"distribution_probabilities":[[..]..],"uncalibrated_simulation":{..}|null},
//!    "true_activations":[..],"ev_correlation_score":x,"rsquared_score":x,"absolute_dev_explained_score":x}..],
//!  "ev_correlation_score":x,"rsquared_score":x,"absolute_dev_explained_score":x}
//! results = {"neuron_id":{..},"scored_explanations":[{"explanation":"..","scored_simulation":{..}}..]}
//! ```
//!
//! As in [`neuron_record`](super::neuron_record): `dataclass_name` may be missing, `NaN` may stand bare, other fields are
//! passed over, and a score that is missing, null or not finite is `None`.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use ndarray::Array1;

use super::fail;
use super::json::{Json, Object, write_list, write_number, write_string};
use super::record_json::{
    finite, get, list, neuron_id, number, numbers, object, required, texts, write_key, write_neuron_id, write_optional,
};
use crate::error::check_length;
use crate::explanation::NeuronId;
use crate::{FormatKind, Result, Scalar};

/// Units of simulated activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ActivationScale {
    /// Those of the neuron, after calibration.
    NeuronActivations,
    /// Whole numbers 0 to 10, as the simulator answers.
    #[default]
    SimulatedNormalized,
}

impl ActivationScale {
    const ALL: [Self; 2] = [Self::NeuronActivations, Self::SimulatedNormalized];

    fn name(self) -> &'static str {
        match self {
            Self::NeuronActivations => "neuron_activations",
            Self::SimulatedNormalized => "simulated_normalized_activations",
        }
    }
}

/// The activations that an explanation makes one expect.
#[derive(Debug, Clone, PartialEq)]
pub struct SequenceSimulation<T> {
    /// The tokens, `(t)`.
    pub tokens: Vec<String>,
    /// Expected activation at each token, `(t)`.
    pub expected: Array1<T>,
    /// Units of them.
    pub scale: ActivationScale,
    /// Activations with their probabilities at each token, where they are known.
    pub distribution: Vec<Vec<(T, T)>>,
    /// The same before calibration.
    pub uncalibrated: Option<Box<Self>>,
}

/// The three scores that are stored.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct StoredScores {
    /// `ev_correlation_score`.
    pub ev_correlation: Option<f64>,
    /// `rsquared_score`: one less the mean squared error over the mean *square* of the true activations.
    pub rsquared: Option<f64>,
    /// `absolute_dev_explained_score`.
    pub absolute_dev_explained: Option<f64>,
}

/// One simulated sequence beside the truth.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoredSequence<T> {
    /// What was expected.
    pub simulation: SequenceSimulation<T>,
    /// What the neuron did, `(t)`, or nothing where that was not stored.
    pub true_activations: Array1<T>,
    /// The scores of this sequence.
    pub scores: StoredScores,
}

/// An explanation's simulations with their scores.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ScoredSimulation<T> {
    /// The sequences.
    pub sequences: Vec<ScoredSequence<T>>,
    /// The scores of all together.
    pub scores: StoredScores,
}

/// All explanations of one neuron.
#[derive(Debug, Clone, PartialEq)]
pub struct SimulationResults<T> {
    /// Which neuron.
    pub id: NeuronId,
    /// Each explanation with its simulation.
    pub explanations: Vec<(String, ScoredSimulation<T>)>,
}

/// The simulation that `bytes` hold.
///
/// # Errors
/// [`Error::Format`](crate::Error::Format) for text that is not such JSON, [`Error::Shape`](crate::Error::Shape) for lists of different lengths.
///
/// # Example
/// ```
/// use limpid::formats::scored_simulation::read_scored_simulation;
///
/// let text = r#"{"ev_correlation_score": NaN, "scored_sequence_simulations": [{"true_activations": [0.0, 1.0],
///     "simulation": {"tokens": [" a", " b"], "expected_activations": [0.0, 9.5]}, "ev_correlation_score": 1.0}]}"#;
/// let scored = read_scored_simulation::<f64>(text.as_bytes())?;
/// assert_eq!((scored.scores.ev_correlation, scored.sequences[0].scores.ev_correlation), (None, Some(1.0)));
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn read_scored_simulation<T: Scalar>(bytes: &[u8]) -> Result<ScoredSimulation<T>> {
    scored(&Json::parse(bytes, FormatKind::Config)?)
}

/// The results of one neuron that `bytes` hold, one line of OpenAI's `explanations`.
///
/// # Errors
/// As [`read_scored_simulation`].
pub fn read_simulation_results<T: Scalar>(bytes: &[u8]) -> Result<SimulationResults<T>> {
    let json = Json::parse(bytes, FormatKind::Config)?;
    let root = object(&json, "simulation results")?;
    let explanation = |json| {
        let found = object(json, "scored explanation")?;
        let text = required(found, "explanation")?.text().ok_or(fail(FormatKind::Config, "explanation", 0))?;
        Ok((text.to_owned(), scored(required(found, "scored_simulation")?)?))
    };
    let explanations = list(root, "scored_explanations", explanation)?.unwrap_or_default();
    Ok(SimulationResults { id: neuron_id(root)?, explanations })
}

fn scored<T: Scalar>(json: &Json<'_>) -> Result<ScoredSimulation<T>> {
    let root = object(json, "scored simulation")?;
    let sequences = list(root, "scored_sequence_simulations", sequence)?.unwrap_or_default();
    Ok(ScoredSimulation { sequences, scores: scores(root)? })
}

fn scores(root: &Object<'_>) -> Result<StoredScores> {
    Ok(StoredScores {
        ev_correlation: finite(root, "ev_correlation_score")?,
        rsquared: finite(root, "rsquared_score")?,
        absolute_dev_explained: finite(root, "absolute_dev_explained_score")?,
    })
}

fn sequence<T: Scalar>(json: &Json<'_>) -> Result<ScoredSequence<T>> {
    let root = object(json, "scored sequence")?;
    let sequence = ScoredSequence {
        simulation: simulation(required(root, "simulation")?)?,
        true_activations: Array1::from(numbers(root, "true_activations")?.unwrap_or_default()),
        scores: scores(root)?,
    };
    check_sequence(&sequence)?;
    Ok(sequence)
}

fn simulation<T: Scalar>(json: &Json<'_>) -> Result<SequenceSimulation<T>> {
    let root = object(json, "simulation")?;
    let scale = match get(root, "activation_scale") {
        None => ActivationScale::default(),
        Some(json) => {
            let found = ActivationScale::ALL.into_iter().find(|scale| json.text() == Some(scale.name()));
            found.ok_or(fail(FormatKind::Config, "activation_scale", 0))?
        }
    };
    Ok(SequenceSimulation {
        tokens: texts(root, "tokens")?,
        expected: Array1::from(numbers(root, "expected_activations")?.unwrap_or_default()),
        scale,
        distribution: distribution(root)?,
        uncalibrated: get(root, "uncalibrated_simulation").map(simulation).transpose()?.map(Box::new),
    })
}

fn distribution<T: Scalar>(root: &Object<'_>) -> Result<Vec<Vec<(T, T)>>> {
    let rows = |key| {
        let row = |json: &Json<'_>| {
            let items = json.list().ok_or(fail(FormatKind::Config, key, 0))?;
            items.iter().map(|json| number(json, key)).collect::<Result<Vec<T>>>()
        };
        list(root, key, row)
    };
    let (values, probabilities) = (rows("distribution_values")?, rows("distribution_probabilities")?);
    // either may be null where there is no distribution
    let (Some(values), Some(probabilities)) = (values, probabilities) else { return Ok(Vec::new()) };
    let same =
        values.len() == probabilities.len() && values.iter().zip(&probabilities).all(|(v, p)| v.len() == p.len());
    if !same {
        return Err(fail(FormatKind::Shape, "distribution_probabilities", 0));
    }
    let pairs = values.into_iter().zip(probabilities);
    Ok(pairs.map(|(values, probabilities)| values.into_iter().zip(probabilities).collect()).collect())
}

fn check_sequence<T: Scalar>(sequence: &ScoredSequence<T>) -> Result<()> {
    check_simulation(&sequence.simulation)?;
    let (got, expected) = (sequence.true_activations.len(), sequence.simulation.tokens.len());
    if got == 0 { Ok(()) } else { check_length("true_activations", got, expected) }
}

fn check_simulation<T: Scalar>(simulation: &SequenceSimulation<T>) -> Result<()> {
    let mut next = Some(simulation);
    while let Some(simulation) = next {
        let tokens = simulation.tokens.len();
        check_length("expected_activations", simulation.expected.len(), tokens)?;
        if !simulation.distribution.is_empty() {
            check_length("distribution_values", simulation.distribution.len(), tokens)?;
        }
        next = simulation.uncalibrated.as_deref();
    }
    Ok(())
}

/// The simulation as JSON; scores that are `None` become null.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) for lists of different lengths.
pub fn write_scored_simulation<T: Scalar>(simulation: &ScoredSimulation<T>) -> Result<String> {
    let mut out = String::new();
    write_scored(simulation, &mut out)?;
    Ok(out)
}

/// The results of one neuron as JSON, on one line.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) for lists of different lengths.
pub fn write_simulation_results<T: Scalar>(results: &SimulationResults<T>) -> Result<String> {
    let mut out = String::from("{\"dataclass_name\":\"NeuronSimulationResults\",");
    write_neuron_id(results.id, &mut out);
    out.push_str(",\"scored_explanations\":[");
    for (index, (explanation, simulation)) in results.explanations.iter().enumerate() {
        out.push_str(if index == 0 { "" } else { "," });
        out.push_str("{\"dataclass_name\":\"ScoredExplanation\",\"explanation\":");
        write_string(explanation, &mut out);
        out.push_str(",\"scored_simulation\":");
        write_scored(simulation, &mut out)?;
        out.push('}');
    }
    out.push_str("]}");
    Ok(out)
}

fn write_scored<T: Scalar>(simulation: &ScoredSimulation<T>, out: &mut String) -> Result<()> {
    simulation.sequences.iter().try_for_each(check_sequence)?;
    out.push_str("{\"dataclass_name\":\"ScoredSimulation\",\"scored_sequence_simulations\":");
    write_list(&simulation.sequences, out, |sequence, out| {
        out.push_str("{\"dataclass_name\":\"ScoredSequenceSimulation\",\"simulation\":");
        write_simulation(&sequence.simulation, out);
        write_key("true_activations", out);
        write_list(sequence.true_activations.iter().copied(), out, write_number);
        write_scores(&sequence.scores, out);
    });
    write_scores(&simulation.scores, out);
    Ok(())
}

fn write_scores(scores: &StoredScores, out: &mut String) {
    write_optional("ev_correlation_score", scores.ev_correlation, out);
    write_optional("rsquared_score", scores.rsquared, out);
    write_optional("absolute_dev_explained_score", scores.absolute_dev_explained, out);
    out.push('}');
}

fn write_simulation<T: Scalar>(simulation: &SequenceSimulation<T>, out: &mut String) {
    out.push_str("{\"dataclass_name\":\"SequenceSimulation\",\"tokens\":");
    write_list(&simulation.tokens, out, |token, out| write_string(token, out));
    write_key("expected_activations", out);
    write_list(simulation.expected.iter().copied(), out, write_number);
    write_key("activation_scale", out);
    write_string(simulation.scale.name(), out);
    write_key("distribution_values", out);
    write_list(&simulation.distribution, out, |row, out| write_list(row.iter().map(|(v, _)| *v), out, write_number));
    write_key("distribution_probabilities", out);
    write_list(&simulation.distribution, out, |row, out| write_list(row.iter().map(|(_, p)| *p), out, write_number));
    write_key("uncalibrated_simulation", out);
    match &simulation.uncalibrated {
        Some(uncalibrated) => write_simulation(uncalibrated, out),
        None => out.push_str("null"),
    }
    out.push('}');
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec;
    use ndarray::array;

    fn example() -> SimulationResults<f64> {
        let raw = SequenceSimulation {
            tokens: vec![" a".to_string(), "\t".to_string()],
            expected: array![0.5, 9.25],
            scale: ActivationScale::SimulatedNormalized,
            distribution: vec![vec![(0.0, 0.75), (2.0, 0.25)], vec![]],
            uncalibrated: None,
        };
        let calibrated = SequenceSimulation {
            scale: ActivationScale::NeuronActivations,
            uncalibrated: Some(Box::new(raw.clone())),
            ..raw.clone()
        };
        let scores = StoredScores { ev_correlation: Some(0.5), ..StoredScores::default() };
        let first = ScoredSequence { simulation: calibrated, true_activations: array![0.0, 1.5], scores };
        let second = ScoredSequence { simulation: raw, true_activations: array![], scores: StoredScores::default() };
        let scored = ScoredSimulation { sequences: vec![first, second], scores };
        let explanations = vec![("\"cats\"".to_string(), scored), (String::new(), ScoredSimulation::default())];
        SimulationResults { id: NeuronId { layer: 1, index: 2 }, explanations }
    }

    #[test]
    fn results_come_back() {
        let text = write_simulation_results(&example()).unwrap();
        assert_eq!(read_simulation_results(text.as_bytes()), Ok(example()));
        let scored = &example().explanations[0].1;
        let text = write_scored_simulation(scored).unwrap();
        assert_eq!(read_scored_simulation(text.as_bytes()).as_ref(), Ok(scored));
        assert!((0..text.len()).all(|end| read_scored_simulation::<f64>(&text.as_bytes()[..end]).is_err()));
    }

    #[test]
    fn lists_of_different_lengths_are_refused() {
        let text = write_simulation_results(&example()).unwrap();
        let kind = |from: &str, to: &str| {
            let text = text.replace(from, to);
            read_simulation_results::<f64>(text.as_bytes()).unwrap_err().format_kind()
        };
        assert_eq!(kind("[0,1.5]", "[0]"), Some(FormatKind::Shape));
        assert_eq!(kind("[0.75,0.25]", "[0.75]"), Some(FormatKind::Shape));
        assert_eq!(kind("[0.5,9.25]", "[0.5]"), Some(FormatKind::Shape));
        assert_eq!(kind("neuron_activations", "volts"), Some(FormatKind::Config));
        assert_eq!(kind("\"simulation\"", "\"simulated\""), Some(FormatKind::Missing));
        let mut uneven = example();
        uneven.explanations[0].1.sequences[0].simulation.tokens.pop();
        assert!(write_simulation_results(&uneven).is_err());
    }
}
