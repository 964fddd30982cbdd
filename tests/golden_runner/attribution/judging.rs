//! Golden cases of what judges attributions with the model at hand.

use limpid::Scalar;
use limpid::attribution::faithfulness::{
    Erasure, ErasureReport, FaithfulnessCorrelation, Infidelity, Masking, Neighbourhood, Perturbation, Sensitivity,
    Subsets, monotonicity,
};
use ndarray::{Array1, Array2};

use super::faithfulness::gini;
use super::gradient::method;
use super::network::{baseline, failed, model, target};
use crate::golden_runner::Answer;
use crate::golden_runner::case::{Given, Outcome, tensor};

/// Runs one primitive of the family; `None` where it is not of this family.
pub fn run<T: Scalar>(name: &str, given: &Given<'_>) -> Option<Answer> {
    match name {
        "faithfulness" => Some(faithfulness::<T>(given)),
        "infidelity" => Some(infidelity::<T>(given)),
        "sensitivity_max" => Some(sensitivity_max::<T>(given)),
        _ => None,
    }
}

fn faithfulness<T: Scalar>(given: &Given<'_>) -> Answer {
    match given.text("metric")? {
        "erasure" => erasure::<T>(given),
        "faithfulness_correlation" => {
            let found = correlations::<T>(given, vec![subset(&given.tensor("subsets")?)?])?;
            Ok(vec![("correlation", optional(found.map_axis(ndarray::Axis(1), |row| row[0])))])
        }
        "sensitivity_n" => {
            let subsets =
                given.list("subsets")?.iter().map(|subsets| subset(&tensor(subsets)?)).collect::<Result<_, _>>()?;
            Ok(vec![("correlation", optional(correlations::<T>(given, subsets)?))])
        }
        "monotonicity" => monotonic::<T>(given),
        "sparseness" => gini::<T>(given),
        metric => Err(format!("unknown metric {metric}")),
    }
}

fn masking<T: Scalar>(given: &Given<'_>) -> Result<Masking<T>, String> {
    let groups = if given.has("groups") { Some(given.counts("groups")?) } else { None };
    Ok(Masking { baseline: baseline(given)?, groups, ..Masking::default() })
}

fn erasure<T: Scalar>(given: &Given<'_>) -> Answer {
    let (mut model, input) = model::<T>(given)?;
    let counts = given.counts("counts")?;
    let none = counts.is_empty();
    let method = Erasure { masking: masking(given)?, counts, ..Erasure::default() };
    let found = method.judge(&mut model, &input, &given.array("attribution")?, &target(given)?).map_err(failed)?;
    Ok(erased(&found, none))
}

/// A model with one output decides nothing, which the cases count as never deciding otherwise.
fn erased<T: Scalar>(found: &ErasureReport<T>, no_counts: bool) -> Vec<(&'static str, Outcome)> {
    let mean = |values: &Array1<f64>| if no_counts { Outcome::Undefined } else { Outcome::tensor(values) };
    let fraction = found.decision_flip_fraction.iter().map(|share| share.unwrap_or(1.0)).collect::<Array1<f64>>();
    let single = found.decision_flip_single.iter().map(|flips| f64::from(u8::from(*flips == Some(true))));
    vec![
        ("deletion_curve", Outcome::tensor(&found.deletion_curve)),
        ("keep_curve", Outcome::tensor(&found.keep_curve)),
        ("comprehensiveness", Outcome::tensor(&found.comprehensiveness)),
        ("sufficiency", Outcome::tensor(&found.sufficiency)),
        ("aopc_comprehensiveness", mean(&found.aopc_comprehensiveness)),
        ("aopc_sufficiency", mean(&found.aopc_sufficiency)),
        ("decision_flip_fraction", Outcome::tensor(&fraction)),
        ("decision_flip_single", Outcome::tensor(&single.collect::<Array1<f64>>())),
    ]
}

/// Indices of a matrix of whole numbers.
#[expect(clippy::cast_possible_truncation, reason = "the numbers are whole and small")]
fn subset(found: &ndarray::ArrayD<f64>) -> Result<Array2<usize>, String> {
    let found = found.clone().into_dimensionality::<ndarray::Ix2>().map_err(|error| error.to_string())?;
    Ok(found.mapv(|index| index as usize))
}

fn correlations<T: Scalar>(given: &Given<'_>, subsets: Vec<Array2<usize>>) -> Result<Array2<Option<f64>>, String> {
    let (mut model, input) = model::<T>(given)?;
    let method = FaithfulnessCorrelation { masking: masking(given)?, subsets: Subsets::Given(subsets) };
    let found = method.judge(&mut model, &input, &given.array("attribution")?, &target(given)?).map_err(failed)?;
    Ok(found.correlation)
}

/// Numbers of which some are undefined; undefined as a whole where all are.
fn optional<D: ndarray::Dimension>(found: ndarray::Array<Option<f64>, D>) -> Outcome {
    if found.iter().all(Option::is_none) {
        return Outcome::Undefined;
    }
    Outcome::tensor(&found.mapv(|x| x.unwrap_or(f64::NAN)))
}

fn monotonic<T: Scalar>(given: &Given<'_>) -> Answer {
    let (mut model, input) = model::<T>(given)?;
    let found = monotonicity(&mut model, &input, &given.array("attribution")?, &target(given)?, &masking(given)?);
    let found = found.map_err(failed)?;
    let flags = found.monotonic.iter().map(|&flag| f64::from(u8::from(flag))).collect::<Array1<f64>>();
    Ok(vec![("curve", Outcome::tensor(&found.curve)), ("monotonic", Outcome::tensor(&flags))])
}

fn infidelity<T: Scalar>(given: &Given<'_>) -> Answer {
    let (mut model, input) = model::<T>(given)?;
    let perturbation = Perturbation::Given(given.array("perturbation")?);
    let method = Infidelity { perturbation, normalize: given.flag("normalize")?, ..Infidelity::default() };
    let found = method.judge(&mut model, &input, &given.array("attribution")?, &target(given)?).map_err(failed)?;
    Ok(vec![("infidelity", Outcome::tensor(&found.infidelity))])
}

fn sensitivity_max<T: Scalar>(given: &Given<'_>) -> Answer {
    let (mut model, input) = model::<T>(given)?;
    let explainer = method::<T>(given)?;
    let sensitivity = Sensitivity { neighbourhood: Neighbourhood::Given(given.array("perturbation")?) };
    let found = sensitivity.judge(&explainer, &mut model, &input, &target(given)?).map_err(failed)?;
    Ok(vec![("sensitivity_max", Outcome::tensor(&found.maximum))])
}
