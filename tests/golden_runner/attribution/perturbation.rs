//! Golden cases of methods that change the input.

use limpid::Scalar;
use limpid::attribution::Explainer;
use limpid::attribution::perturbation::{
    Coalitions, Distance, FeatureAblation, Groups, Lime, Occlusion, Regression, Removal, Similarity,
};
use ndarray::{Array1, Array2};

use super::network::{baseline, failed, model, target, text};
use crate::golden_runner::Answer;
use crate::golden_runner::case::{Given, Outcome};

/// Runs one primitive of the family; `None` where it is not of this family.
pub fn run<T: Scalar>(name: &str, given: &Given<'_>) -> Option<Answer> {
    Some(match name {
        "feature_ablation" => feature_ablation::<T>(given),
        "lime" => lime::<T>(given),
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

/// `samples`: rows of 0 and 1.
fn coalitions(samples: &Array2<f64>) -> Result<Coalitions, String> {
    let mut coalitions = Coalitions::new(samples.ncols());
    for row in samples.rows() {
        let members = row.iter().enumerate().filter(|&(_, &kept)| kept == 1.0).map(|(player, _)| player);
        coalitions.push(members).map_err(text)?;
    }
    Ok(coalitions)
}

fn regression(given: &Given<'_>) -> Result<Regression, String> {
    let described = given.nested("regression")?;
    let alpha = described.number("alpha")?;
    let regression = match described.text("kind")? {
        "ridge" => Regression::Ridge { alpha },
        "lasso" => Regression::Lasso { alpha },
        kind => return Err(format!("unknown regression {kind}")),
    };
    described.done().map(|()| regression)
}

fn similarity(given: &Given<'_>) -> Result<Similarity, String> {
    if !given.has("kernel") {
        return Ok(Similarity::Uniform);
    }
    let described = given.nested("kernel")?;
    let width = described.number("width")?;
    let distance = match described.text("distance")? {
        "euclidean" => Distance::Euclidean,
        "cosine" => Distance::Cosine,
        name => return Err(format!("unknown distance {name}")),
    };
    described.done().map(|()| Similarity::Exponential { distance, width })
}

fn lime<T: Scalar>(given: &Given<'_>) -> Answer {
    let (mut model, input) = model::<T>(given)?;
    let removal = Removal { absent: baseline::<T>(given)?.into(), groups: groups(given)?, ..Removal::default() };
    let method = Lime { removal, similarity: similarity(given)?, regression: regression(given)?, ..Lime::default() };
    let samples = coalitions(&given.array("samples")?)?;
    let weights: Option<Array1<T>> = if given.has("weights") { Some(given.array("weights")?) } else { None };
    let target = target(given)?;
    let found = method.explain_samples(&mut model, &input, &target, &samples, weights.as_deref()).map_err(failed)?;
    Ok(vec![
        ("attribution", Outcome::tensor(&found.attribution.values)),
        ("intercept", Outcome::number(found.intercept[0])),
        ("weights", Outcome::tensor(&found.weights[0])),
    ])
}
