//! Golden cases of gradient methods.

use limpid::Scalar;
use limpid::attribution::Explainer;
use limpid::attribution::gradient::Saliency;

use super::network::{failed, model, target};
use crate::golden_runner::Answer;
use crate::golden_runner::case::{Given, Outcome};

/// Runs one primitive of the family; `None` where it is not of this family.
pub fn run<T: Scalar>(name: &str, given: &Given<'_>) -> Option<Answer> {
    Some(match name {
        "saliency" => saliency::<T>(given),
        _ => return None,
    })
}

fn saliency<T: Scalar>(given: &Given<'_>) -> Answer {
    let (mut model, input) = model::<T>(given)?;
    let method = Saliency { absolute: given.flag("absolute")? };
    let found = method.attribute(&mut model, &input, &target(given)?).map_err(failed)?;
    Ok(vec![("attribution", Outcome::tensor(&found.values))])
}
