//! Golden cases of what judges attributions.

use limpid::Scalar;
use limpid::attribution::faithfulness::sparseness;
use ndarray::Array1;

use crate::golden_runner::Answer;
use crate::golden_runner::case::{Given, Outcome};

/// Runs one primitive of the family; `None` where it is not of this family.
pub fn run<T: Scalar>(name: &str, given: &Given<'_>) -> Option<Answer> {
    match name {
        "faithfulness" => Some(faithfulness::<T>(given)),
        _ => None,
    }
}

fn faithfulness<T: Scalar>(given: &Given<'_>) -> Answer {
    match given.text("metric")? {
        "sparseness" => gini::<T>(given),
        metric => Err(format!("unknown metric {metric}")),
    }
}

fn gini<T: Scalar>(given: &Given<'_>) -> Answer {
    let found = sparseness::<T>(&given.array("attribution")?, given.scalar("offset")?);
    Ok(vec![("gini", rows(&found.map_err(|error| error.to_string())?))])
}

/// A number for every row; undefined where no row has one.
fn rows(found: &[Option<f64>]) -> Outcome {
    if found.iter().all(Option::is_none) {
        return Outcome::Undefined;
    }
    Outcome::tensor(&found.iter().map(|x| x.unwrap_or(f64::NAN)).collect::<Array1<f64>>())
}
