//! Golden cases of scores and calibration.

use limpid::Scalar;
use limpid::explanation::calibrate::{Calibration, CalibrationSet};
use limpid::explanation::score::{
    AblationDivergence, Answer as Reply, Classification, Highlight, Jackknife, MarkRule, PairStats, Scores, Sequence,
    SplitScores, Statistic, fisher_interval, mean_nonzero_ceil, score,
};
use limpid::explanation::{ActivationRecord, Defined, Undefined};
use limpid::math::rank::{average_ranks, kendall_tau_b, spearman};
use ndarray::ArrayRef1;
use serde_json::Value;

use crate::golden_runner::Answer;
use crate::golden_runner::case::{Given, Outcome};

/// Runs one primitive, `None` where it belongs to another family.
pub fn run<T: Scalar>(name: &str, given: &Given<'_>) -> Option<Answer> {
    let primitive = match name {
        "ablation_score" => ablation::<T>,
        "calibration" => calibration::<T>,
        "classification" => |given: &Given<'_>| classification(given),
        "fisher_interval" => |given: &Given<'_>| fisher(given),
        "highlight" => highlight::<T>,
        "jackknife" => jackknife::<T>,
        "pair_stats_merge" => merged::<T>,
        "pooled_scores" => pooled::<T>,
        "rank_statistics" => ranks::<T>,
        "scores" => scores::<T>,
        _ => return None,
    };
    Some(primitive(given))
}

/// The correlation alone, of predictions that belong to another family.
pub(super) fn pearson<T: Scalar>(truth: &ArrayRef1<T>, prediction: &ArrayRef1<T>) -> Result<Outcome, String> {
    let stats = PairStats::of(truth, prediction).map_err(|error| error.to_string())?;
    Ok(number(Statistic::Pearson.of(&stats)))
}

fn text<V>(result: limpid::Result<V>) -> Result<V, String> {
    result.map_err(|error| error.to_string())
}

fn number(found: Defined<f64>) -> Outcome {
    found.map_or(Outcome::Undefined, Outcome::Number)
}

fn six(found: &Scores) -> Vec<(&'static str, Outcome)> {
    vec![
        ("pearson", number(found.pearson)),
        ("spearman", number(found.spearman)),
        ("r2", number(found.r2)),
        ("r2_about_zero", number(found.r2_about_zero)),
        ("absolute_deviation", number(found.absolute_deviation)),
        ("d2_absolute_error", number(found.d2_absolute_error)),
    ]
}

fn scores<T: Scalar>(given: &Given<'_>) -> Answer {
    let (truth, prediction) = (given.array::<T, _>("true")?, given.array("simulated")?);
    Ok(six(&text(score(&truth, &prediction))?))
}

/// The list of sequences at `key`.
fn sequences<T: Scalar>(given: &Given<'_>, key: &str) -> Result<Vec<Sequence<T>>, String> {
    let read = |value: &Value| {
        let object = value.as_object().ok_or("a sequence that is not an object")?;
        let given = Given::new(object);
        let sequence = text(Sequence::new(given.array("true")?, given.array("simulated")?))?;
        given.done().map(|()| sequence)
    };
    given.list(key)?.iter().map(read).collect()
}

fn pooled<T: Scalar>(given: &Given<'_>) -> Answer {
    let found = text(SplitScores::of(&sequences::<T>(given, "sequences")?, given.count("top")?))?;
    Ok(vec![
        ("top_and_random", Outcome::object(six(&found.top_and_random))),
        ("top", Outcome::object(six(&found.top))),
        ("random", Outcome::object(six(&found.random))),
        ("per_sequence", Outcome::list(&found.per_sequence, |scores| Outcome::object(six(scores)))),
        ("mean_of_sequences_pearson", number(found.mean_pearson.mean)),
    ])
}

fn merged<T: Scalar>(given: &Given<'_>) -> Answer {
    let parts: Vec<PairStats> = sequences::<T>(given, "parts")?.iter().map(Sequence::stats).collect();
    let stats = PairStats::pool(&parts);
    let backwards = PairStats::pool(parts.iter().rev());
    let close = |a: f64, b: f64| (a - b).abs() <= 1e-9 * (1.0 + b.abs());
    if !close(stats.m2_true, backwards.m2_true) || !close(stats.cross_moment, backwards.cross_moment) {
        return Err("the order of the parts matters".to_owned());
    }
    let some = |x: f64| if stats.count > 0 { Outcome::Number(x) } else { Outcome::Undefined };
    let line = Calibration::LeastSquares.fit_stats(&stats).ok();
    Ok(vec![
        ("count", Outcome::Number(stats.count as f64)),
        ("mean_true", some(stats.mean_true)),
        ("mean_simulated", some(stats.mean_predicted)),
        ("m2_true", Outcome::Number(stats.m2_true)),
        ("m2_simulated", Outcome::Number(stats.m2_predicted)),
        ("cross_moment", Outcome::Number(stats.cross_moment)),
        ("sum_square_true", Outcome::Number(stats.sum_square_true())),
        ("sum_absolute_true", Outcome::Number(stats.sum_absolute_true)),
        ("sum_square_error", Outcome::Number(stats.sum_square_error)),
        ("sum_absolute_error", Outcome::Number(stats.sum_absolute_error)),
        ("pearson", number(Statistic::Pearson.of(&stats))),
        ("r2", number(Statistic::R2.of(&stats))),
        ("r2_about_zero", number(Statistic::R2AboutZero.of(&stats))),
        ("absolute_deviation", number(Statistic::AbsoluteDeviation.of(&stats))),
        ("slope", Outcome::optional(line.as_ref().and_then(|line| line.slope()))),
        ("intercept", Outcome::optional(line.as_ref().and_then(|line| line.intercept()))),
    ])
}

fn calibration<T: Scalar>(given: &Given<'_>) -> Answer {
    let method = match given.text("method")? {
        "least_squares" => Calibration::LeastSquares,
        "non_negative" => Calibration::NonNegative,
        "variance_matched" => Calibration::VarianceMatched,
        "percentile" => Calibration::Percentile,
        "isotonic" => Calibration::Isotonic,
        other => return Err(format!("unknown method {other}")),
    };
    let text_pairs = text(Sequence::new(given.array::<T, _>("true")?, given.array("simulated")?))?;
    let (query, distribution) = (given.array::<T, ndarray::Ix1>("query")?, given.nested("distribution")?);
    let (values, probabilities) = (distribution.array::<T, _>("values")?, distribution.array("probabilities")?);
    distribution.done()?;
    let Ok(map) = method.fit(&CalibrationSet::new(vec![text_pairs])) else {
        let keys = ["slope", "intercept", "calibrated", "expectation_of_mapped", "mapped_of_expectation"];
        return Ok(keys.map(|key| (key, Outcome::Undefined)).into());
    };
    let mapped = text(map.distribution(&values, &probabilities))?;
    Ok(vec![
        ("slope", Outcome::optional(map.slope())),
        ("intercept", Outcome::optional(map.intercept())),
        ("calibrated", Outcome::tensor(&map.apply(&query))),
        ("expectation_of_mapped", Outcome::Number(mapped.expectation_of_mapped)),
        ("mapped_of_expectation", Outcome::Number(mapped.mapped_of_expectation)),
    ])
}

fn ablation<T: Scalar>(given: &Given<'_>) -> Answer {
    let mut found = AblationDivergence::default();
    text(found.update::<T>(&given.array("original")?, &given.array("simulated")?, &given.array("mean_ablated")?))?;
    Ok(vec![
        ("simulated_divergence", number(found.simulated())),
        ("ablated_divergence", number(found.ablated())),
        ("score", number(found.score())),
    ])
}

fn classification(given: &Given<'_>) -> Answer {
    let labels = given.flags("label")?;
    let predictions: Vec<Option<bool>> = given.list("prediction")?.iter().map(Value::as_bool).collect();
    let probabilities = given.numbers("probability")?;
    if predictions.len() != labels.len() || probabilities.len() != labels.len() {
        return Err("lists of different lengths".to_owned());
    }
    let replies = labels.iter().zip(predictions).zip(probabilities);
    let replies = replies.map(|((&label, prediction), probability)| Reply { label, prediction, probability });
    let found = text(Classification::of(&replies.collect::<Vec<_>>()))?;
    let (counts, delphi) = (found.confusion, found.confusion.delphi());
    Ok(vec![
        ("true_positive", Outcome::Number(counts.true_positive as f64)),
        ("false_positive", Outcome::Number(counts.false_positive as f64)),
        ("true_negative", Outcome::Number(counts.true_negative as f64)),
        ("false_negative", Outcome::Number(counts.false_negative as f64)),
        ("failed", Outcome::Number(counts.failed as f64)),
        ("accuracy", number(found.accuracy)),
        ("precision", number(found.precision)),
        ("recall", number(found.recall)),
        ("specificity", number(found.specificity)),
        ("f1", number(found.f1)),
        ("balanced_accuracy", number(found.balanced_accuracy)),
        ("auc", number(found.auc)),
        (
            "delphi",
            Outcome::object([
                ("balanced_accuracy", Outcome::Number(delphi.balanced_accuracy)),
                ("precision", Outcome::Number(delphi.precision)),
                ("recall", Outcome::Number(delphi.recall)),
                ("f1", Outcome::Number(delphi.f1)),
            ]),
        ),
        ("neuronpedia", Outcome::object([("balanced_accuracy", number(counts.neuronpedia_balanced_accuracy()))])),
    ])
}

fn ranks<T: Scalar>(given: &Given<'_>) -> Answer {
    let (x, y) = (given.array::<T, ndarray::Ix1>("x")?, given.array("y")?);
    Ok(vec![
        ("ranks_x", Outcome::tensor(&text(average_ranks(&x))?)),
        ("ranks_y", Outcome::tensor(&text(average_ranks(&y))?)),
        ("spearman", Outcome::optional(text(spearman(&x, &y))?)),
        ("kendall_tau_b", Outcome::optional(text(kendall_tau_b(&x, &y))?)),
    ])
}

fn highlight<T: Scalar>(given: &Given<'_>) -> Answer {
    let rule = match given.text("rule")? {
        "at_least_compat" => MarkRule::AtLeastCompat,
        "above_compat" => MarkRule::AboveCompat,
        "at_least" => MarkRule::AtLeast,
        other => return Err(format!("unknown rule {other}")),
    };
    let (open, close) = (given.text("open")?.to_owned(), given.text("close")?.to_owned());
    let highlight = Highlight { threshold: given.number("threshold")?, rule, open, close };
    let records: Vec<ActivationRecord<T>> =
        given.list("examples")?.iter().map(record).collect::<Result<_, String>>()?;
    let masks = text(records.iter().map(|record| highlight.mask(record)).collect::<limpid::Result<Vec<_>>>())?;
    let texts = text(records.iter().map(|record| highlight.text(record)).collect::<limpid::Result<Vec<_>>>())?;
    Ok(vec![
        ("texts", Outcome::list(texts, |text| Outcome::text(&text))),
        ("masks", Outcome::list(masks, |mask| Outcome::list(mask, Outcome::Flag))),
        ("mean_nonzero_ceil", mean_nonzero_ceil(&records).map_or(Outcome::Undefined, Outcome::count)),
    ])
}

fn record<T: Scalar>(value: &Value) -> Result<ActivationRecord<T>, String> {
    let given = Given::new(value.as_object().ok_or("a record that is not an object")?);
    let tokens = given.list("tokens")?.iter().map(|token| token.as_str().ok_or("a token that is not a string"));
    let tokens = tokens.collect::<Result<Vec<&str>, &str>>()?;
    let record = text(ActivationRecord::new(tokens, given.array::<T, ndarray::Ix1>("activations")?))?;
    given.done().map(|()| record)
}

fn fisher(given: &Given<'_>) -> Answer {
    let r = if given.is_null("r") { Err(Undefined::ConstantTruth) } else { Ok(given.number("r")?) };
    let n = u64::try_from(given.count("n")?).map_err(|error| error.to_string())?;
    let found = text(fisher_interval(r, n, given.number("level")?))?;
    Ok(vec![("low", number(found.map(|(low, _)| low))), ("high", number(found.map(|(_, high)| high)))])
}

fn jackknife<T: Scalar>(given: &Given<'_>) -> Answer {
    let stats: Vec<PairStats> = sequences::<T>(given, "sequences")?.iter().map(Sequence::stats).collect();
    let found = Jackknife::of(Statistic::Pearson, &stats);
    Ok(vec![
        ("score", number(found.score)),
        ("leave_one_out", Outcome::list(&found.leave_one_out, |score| number(*score))),
        ("undefined", Outcome::count(found.undefined)),
        ("bias", number(found.error.map(|error| error.bias))),
        ("standard_error", number(found.error.map(|error| error.standard_error))),
    ])
}
