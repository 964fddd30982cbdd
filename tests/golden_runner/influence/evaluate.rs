//! Golden cases of the evaluation, and of the prefilter.

use limpid::Scalar;
use limpid::influence::evaluate::{
    LinearInfluence, LinearLoss, Measured, leave_one_out_agreement, linear_datamodeling_score, mislabel_detection,
};
use limpid::influence::prefilter::{DocumentCounts, Prefilter, Weighting};
use limpid::influence::{Examples, LayerRows, LayerSpec, Spectral, Strategy, fit_layer};
use ndarray::{Array1, Array2, Axis};
use serde_json::Value;

use super::layer;
use crate::golden_runner::Answer;
use crate::golden_runner::case::{Given, Outcome};

/// Runs one primitive, `None` where it belongs to another family.
pub fn run<T: Scalar>(name: &str, given: &Given<'_>) -> Option<Answer> {
    let primitive = match name {
        "leave_one_out_ridge" => leave_one_out::<T>,
        "linear_datamodeling_score" => datamodeling::<T>,
        "logistic_regression_influence" => logistic::<T>,
        "mislabel_detection_auc" => mislabel::<T>,
        "tf_idf_prefilter" => |given: &Given<'_>| prefilter(given),
        _ => return None,
    };
    Some(primitive(given))
}

/// An error of the library in words.
fn text<V>(result: limpid::Result<V>) -> Result<V, String> {
    result.map_err(|error| error.to_string())
}

/// The fitted model of a case.
fn linear<T: Scalar>(given: &Given<'_>, loss: LinearLoss, targets: &str) -> Result<LinearInfluence, String> {
    let (x, y) = (given.array::<T, _>("features")?, given.array(targets)?);
    text(LinearInfluence::new(loss, &x, &y, given.number("ridge")?, &given.array("theta")?))
}

fn leave_one_out<T: Scalar>(given: &Given<'_>) -> Answer {
    let fit = linear::<T>(given, LinearLoss::Squared, "target")?;
    let (query, target) = (given.array::<T, _>("query")?, given.array("query_target")?);
    let mut exact = Array2::zeros(fit.first_order().dim());
    for (example, mut row) in exact.rows_mut().into_iter().enumerate() {
        row.assign(&text(fit.one_step(example))?);
    }
    Ok(vec![
        ("residual", Outcome::tensor(fit.slopes())),
        ("leverage", Outcome::tensor(fit.leverage())),
        ("first_order", Outcome::tensor(&fit.first_order())),
        ("exact", Outcome::tensor(&exact)),
        ("scores", Outcome::tensor(&text(fit.scores(&query, &target))?)),
        ("exact_loss_change", Outcome::tensor(&text(fit.loss_change(&query, &target))?)),
    ])
}

fn logistic<T: Scalar>(given: &Given<'_>) -> Answer {
    let fit = linear::<T>(given, LinearLoss::Logistic, "labels")?;
    let scores = text(fit.scores(&given.array::<T, _>("query")?, &given.array("query_labels")?))?;
    let retrained = given.array::<T, ndarray::Ix2>("retrained_loss_change")?.mapv(Scalar::as_f64);
    let agreement = text(leave_one_out_agreement(&scores, &retrained))?;
    let defined = |values: Vec<Option<f64>>| -> Result<Outcome, String> {
        let values: Option<Array1<f64>> = values.into_iter().collect();
        Ok(Outcome::tensor(&values.ok_or("an undefined correlation")?))
    };
    Ok(vec![
        ("scores", Outcome::tensor(&scores)),
        ("self_scores", Outcome::tensor(&fit.self_scores())),
        ("first_order", Outcome::tensor(&fit.first_order())),
        ("pearson", defined(agreement.iter().map(|found| found.pearson).collect())?),
        ("spearman", defined(agreement.iter().map(|found| found.spearman).collect())?),
    ])
}

fn datamodeling<T: Scalar>(given: &Given<'_>) -> Answer {
    let masks = given.array::<f64, ndarray::Ix2>("masks")?.mapv(|x| x > 0.5);
    let (attributions, actual) = (given.array::<T, _>("attributions")?, given.array("actual")?);
    let found = text(linear_datamodeling_score(&attributions, &masks, &actual, Measured::Output))?;
    Ok(vec![("per_query", Outcome::list(found.per_query, Outcome::optional)), ("mean", Outcome::optional(found.mean))])
}

/// Self-influence in a logistic regression under one of the curvatures.
fn self_influence<T: Scalar>(given: &Given<'_>) -> Result<Array1<f64>, String> {
    let fit = linear::<T>(given, LinearLoss::Logistic, "labels")?;
    let x = given.array::<T, ndarray::Ix2>("features")?;
    match given.text("strategy")? {
        "hessian" => Ok(fit.self_scores()),
        "identity" => {
            let squares = x.mapv(|x| x.as_f64() * x.as_f64()).sum_axis(Axis(1));
            Ok(fit.slopes() * fit.slopes() * squares)
        }
        "ekfac" => {
            let g = fit.slopes().mapv(T::of).insert_axis(Axis(1));
            let rows = text(LayerRows::new(&x, &g, Examples::EachRow))?;
            let curvature = text(fit_layer(LayerSpec::of(0, &rows), Strategy::Ekfac, &rows))?;
            text(text(curvature.preconditioner(&Spectral::DampedInverse(layer::damping(given)?)))?.quad(&rows))
        }
        other => Err(format!("unknown strategy {other}")),
    }
}

fn mislabel<T: Scalar>(given: &Given<'_>) -> Answer {
    let scores = self_influence::<T>(given)?;
    let flipped: Vec<bool> = given.counts("flipped")?.into_iter().map(|flipped| flipped != 0).collect();
    let found = text(mislabel_detection(&scores, &flipped, &given.counts("inspected")?))?;
    Ok(vec![
        ("self_scores", Outcome::tensor(&scores)),
        ("auc", Outcome::optional(found.auc)),
        ("found", Outcome::list(found.found, Outcome::count)),
    ])
}

fn documents(given: &Given<'_>, key: &str) -> Result<Vec<Vec<u64>>, String> {
    let token = |value: &Value| value.as_u64().ok_or(format!("{key}: a token that is not a count"));
    let document = |value: &Value| value.as_array().ok_or(format!("{key}: no list"))?.iter().map(token).collect();
    given.list(key)?.iter().map(document).collect()
}

fn prefilter(given: &Given<'_>) -> Answer {
    let weighting = match given.text("weighting")? {
        "bm25_presence" => {
            // whatever k1 is, presence alone saturates to 1
            given.number("k1")?;
            Weighting::Bm25Presence
        }
        "tf_idf" => Weighting::TfIdf {
            smooth_idf: given.flag("smooth_idf")?,
            sublinear_tf: given.flag("sublinear_tf")?,
            normalise: match given.text("norm")? {
                "l2" => true,
                "none" => false,
                other => return Err(format!("unknown norm {other}")),
            },
        },
        other => return Err(format!("unknown weighting {other}")),
    };
    let (documents, queries) = (documents(given, "documents")?, documents(given, "queries")?);
    let mut counts = DocumentCounts::default();
    counts.update(&documents);
    let filter = Prefilter::new(&counts, weighting);
    let scores = text(filter.scores(&queries, &documents))?;
    let mut produced = vec![("idf", Outcome::tensor(&filter.idf())), ("scores", Outcome::tensor(&scores))];
    if given.has("keep") {
        let top = filter.top(&queries, &documents, given.count("keep")?);
        produced.push(("top", Outcome::list(top, |documents| Outcome::list(documents, Outcome::count))));
    }
    Ok(produced)
}
