//! Golden cases of methods that change the input.

use limpid::Scalar;
use limpid::attribution::Explainer;
use limpid::attribution::perturbation::{FeatureAblation, Groups, Occlusion};

use super::network::{baseline, failed, model, target};
use crate::golden_runner::Answer;
use crate::golden_runner::case::{Given, Outcome};

/// Runs one primitive of the family; `None` where it is not of this family.
pub fn run<T: Scalar>(name: &str, given: &Given<'_>) -> Option<Answer> {
    Some(match name {
        "feature_ablation" => feature_ablation::<T>(given),
        "occlusion" => occlusion::<T>(given),
        _ => return None,
    })
}

/// `groups`: one group per feature, or single features where there are none.
fn groups(given: &Given<'_>) -> Result<Option<Vec<usize>>, String> {
    if given.has("groups") { given.counts("groups").map(Some) } else { Ok(None) }
}

fn feature_ablation<T: Scalar>(given: &Given<'_>) -> Answer {
    let (mut model, input) = model::<T>(given)?;
    let groups = groups(given)?.map_or(Groups::Single, Groups::from);
    let method = FeatureAblation { baseline: baseline(given)?, groups, ..FeatureAblation::default() };
    let found = method.attribute(&mut model, &input, &target(given)?).map_err(failed)?;
    Ok(vec![("attribution", Outcome::tensor(&found.values))])
}

fn occlusion<T: Scalar>(given: &Given<'_>) -> Answer {
    let (mut model, input) = model::<T>(given)?;
    let method = Occlusion {
        baseline: baseline(given)?,
        input_shape: given.counts("input_shape")?,
        window: given.counts("window")?,
        stride: given.counts("stride")?,
        ..Occlusion::default()
    };
    let found = method.attribute(&mut model, &input, &target(given)?).map_err(failed)?;
    Ok(vec![("attribution", Outcome::tensor(&found.values))])
}
