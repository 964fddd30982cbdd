//! Golden cases of simulators and self-reports.

use limpid::Scalar;
use limpid::explanation::ActivationRecord;
use limpid::explanation::self_report::{Alignment, Flag, Item, Phrases, Warning, align, parse};
use limpid::explanation::simulate::{
    DigitPolicy, NgramSettings, Simulator, TokenStatus, TokenTable, Unseen, expected_value,
};
use limpid::math::agreement::{By, agreement};
use ndarray::Array1;
use serde_json::Value;

use super::score::pearson;
use crate::golden_runner::Answer;
use crate::golden_runner::case::{Given, Outcome, number};

/// Runs one primitive, `None` where it belongs to another family.
pub fn run<T: Scalar>(name: &str, given: &Given<'_>) -> Option<Answer> {
    Some(match name {
        "expected_value" => digits(given),
        "token_table_simulator" => token_table::<T>(given),
        "ngram_simulator" => ngram::<T>(given),
        "self_explanation_agreement" => agree::<T>(given),
        "self_explanation_parse" => self_report(given),
        _ => return None,
    })
}

fn digits(given: &Given<'_>) -> Answer {
    let policy = match given.text("policy")? {
        "strict" => DigitPolicy::Strict,
        "merged" => DigitPolicy::Merged,
        other => return Err(format!("unknown policy {other}")),
    };
    let entry = |entry: &Value| {
        let token = entry["token"].as_str().ok_or("a token that is no string")?;
        Ok((token.to_owned(), number(&entry["logprob"])?))
    };
    let top: Vec<(String, f64)> = given.list("top")?.iter().map(entry).collect::<Result<_, String>>()?;
    let found = expected_value(top.iter().map(|(token, logprob)| (token.as_str(), *logprob)), policy);
    let found = found.map_err(|error| error.to_string())?;
    Ok(vec![
        ("values", Outcome::list(found.values, |value| Outcome::count(usize::from(value)))),
        ("probabilities", Outcome::tensor(&found.probabilities)),
        ("digit_mass", Outcome::Number(found.digit_mass)),
        // the files say 0 where there is no digit
        ("expected", Outcome::Number(found.expected.unwrap_or(0.0))),
    ])
}

fn texts(given: &Given<'_>, key: &str) -> Result<Vec<String>, String> {
    let text =
        |value: &Value| value.as_str().map(str::to_owned).ok_or(format!("{key} holds something that is no string"));
    given.list(key)?.iter().map(text).collect()
}

fn records<T: Scalar>(given: &Given<'_>) -> Result<Vec<ActivationRecord<T>>, String> {
    let record = |value: &Value| {
        let given = Given::new(value.as_object().ok_or("a record that is no object")?);
        let found = ActivationRecord::new(texts(&given, "tokens")?, given.array("activations")?);
        given.done()?;
        found.map_err(|error| error.to_string())
    };
    given.list("train")?.iter().map(record).collect()
}

fn unseen(given: &Given<'_>) -> Result<Unseen, String> {
    match given.text("unseen")? {
        "zero" => Ok(Unseen::Zero),
        "global_mean" => Ok(Unseen::GlobalMean),
        other => Err(format!("unknown value {other} of unseen")),
    }
}

/// Pearson's correlation, undefined for fewer than two values, constants, and what is not finite.
fn token_table<T: Scalar>(given: &Given<'_>) -> Answer {
    let fitted = TokenTable::fit(&records::<T>(given)?, unseen(given)?);
    let mut table = fitted.map_err(|error| error.to_string())?;
    let truth: Array1<T> = given.array("true")?;
    let found = table.simulate("", &texts(given, "tokens")?).map_err(|error| error.to_string())?;
    let predicted: Array1<T> = found.filled(T::nan());
    let entries = table.iter().map(|(token, mean)| (token.to_owned(), Outcome::Number(mean))).collect();
    let fallback = found.status.iter().filter(|status| **status == TokenStatus::Fallback).count();
    Ok(vec![
        ("table", Outcome::Object(entries)),
        ("global_mean", Outcome::optional(table.global_mean())),
        ("pearson", pearson(&truth, &predicted)?),
        ("predicted", Outcome::tensor(&predicted)),
        ("unseen_tokens", Outcome::count(fallback)),
    ])
}

fn ngram<T: Scalar>(given: &Given<'_>) -> Answer {
    let min_count = given.count("min_count")? as u64;
    let settings = NgramSettings { order: given.count("order")?, min_count, unseen: unseen(given)? };
    let simulator = settings.fit(&records::<T>(given)?).map_err(|error| error.to_string())?;
    let truth: Array1<T> = given.array("true")?;
    let (found, used) = simulator.predict::<T>(&texts(given, "tokens")?);
    let predicted = found.filled(T::nan());
    Ok(vec![
        ("pearson", pearson(&truth, &predicted)?),
        ("predicted", Outcome::tensor(&predicted)),
        ("used", Outcome::list(used, Outcome::count)),
    ])
}

fn agree<T: Scalar>(given: &Given<'_>) -> Answer {
    let by = match given.text("by")? {
        "magnitude" => By::Magnitude,
        "value" => By::Value,
        other => return Err(format!("unknown value {other} of by")),
    };
    let (a, b): (Array1<T>, Array1<T>) = (given.array("a")?, given.array("b")?);
    let found = agreement(&a, &b, given.count("k")?, by).map_err(|error| error.to_string())?;
    Ok(vec![
        ("feature_agreement", Outcome::optional(found.feature)),
        ("rank_agreement", Outcome::optional(found.rank)),
        ("sign_agreement", Outcome::optional(found.sign)),
        ("signed_rank_agreement", Outcome::optional(found.signed_rank)),
        ("iou", Outcome::optional(found.iou)),
        ("spearman", Outcome::optional(found.spearman)),
        ("pairwise_rank_agreement", Outcome::optional(found.pairwise_rank)),
    ])
}

fn self_report(given: &Given<'_>) -> Answer {
    let mut labels = Vec::new();
    if given.has("labels") && !given.is_null("labels") {
        let map = given.nested("labels")?;
        for key in map.unused().cloned().collect::<Vec<_>>() {
            let class = i64::try_from(map.count(&key)?).map_err(|error| error.to_string())?;
            labels.push((key, class));
        }
    }
    let labels: Vec<(&str, i64)> = labels.iter().map(|(label, class)| (label.as_str(), *class)).collect();
    let report = parse(given.text("text")?, &labels);
    let aligned: Option<Alignment> = if given.has("words") && !given.is_null("words") {
        let words = texts(given, "words")?;
        Some(align(&report.items, &words, Phrases::Whole).map_err(|error| error.to_string())?)
    } else {
        None
    };
    let item = |item: &Item| {
        let flag = item.flag.map_or(Outcome::Undefined, |flag| match flag {
            Flag::Invalid => Outcome::text("invalid"),
            Flag::OutOfRange => Outcome::text("out_of_range"),
        });
        Outcome::object([("word", Outcome::text(&item.word)), ("value", Outcome::optional(item.value)), ("flag", flag)])
    };
    let class = report.prediction.as_ref().and_then(|found| found.class);
    let label = report.prediction.as_ref().and_then(|found| found.label.as_deref());
    Ok(vec![
        ("items", Outcome::list(&report.items, item)),
        ("class", Outcome::optional(class.map(|class| class as f64))),
        ("label", label.map_or(Outcome::Undefined, Outcome::text)),
        ("confidence", Outcome::optional(report.prediction.as_ref().map(|found| found.confidence))),
        ("warnings", Outcome::list(report.warnings.iter().copied().map(Warning::name), Outcome::text)),
        ("coverage", Outcome::optional(aligned.as_ref().and_then(Alignment::coverage))),
        ("aligned", aligned.map_or(Outcome::Undefined, |found| Outcome::list(found.values, Outcome::optional))),
    ])
}
