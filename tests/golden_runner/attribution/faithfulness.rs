//! Golden cases of what judges attributions by their numbers alone.

use limpid::Scalar;
use limpid::attribution::faithfulness::sparseness;
use ndarray::Array1;

use crate::golden_runner::Answer;
use crate::golden_runner::case::{Given, Outcome};

/// The metric `sparseness`.
pub fn gini<T: Scalar>(given: &Given<'_>) -> Answer {
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
