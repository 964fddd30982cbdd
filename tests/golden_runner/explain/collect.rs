//! Golden cases of collected statistics and records.

use limpid::Scalar;
use limpid::explanation::Side;
use limpid::explanation::collect::{Hit, NeuronMoments, TopActivations};
use limpid::explanation::discretize::{Rounding, discretize, largest, nonzero_fraction};
use limpid::explanation::quantiles::{RankTable, TailQuantiles, linear, value_intervals};
use limpid::explanation::slices::{Split, interleaved};
use limpid::math::merge::Merge;
use ndarray::Array1;

use crate::golden_runner::Answer;
use crate::golden_runner::case::{Given, Outcome};

/// Runs one primitive, `None` where it belongs to another family.
pub fn run<T: Scalar>(name: &str, given: &Given<'_>) -> Option<Answer> {
    Some(match name {
        "discretize" => digits::<T>(given),
        "slices" => slices(given),
        "quantiles" => quantiles::<T>(given),
        "moments_merge" => moments::<T>(given),
        "top_k_merge" => top_k::<T>(given),
        #[cfg(feature = "formats")]
        "neuron_record_json" => super::records::run::<T>(given),
        _ => return None,
    })
}

pub fn text(error: limpid::Error) -> String {
    error.to_string()
}

/// Whole numbers of a plain list.
pub fn indices(list: &[usize]) -> Outcome {
    Outcome::list(list, |&index| Outcome::count(index))
}

fn digits<T: Scalar>(given: &Given<'_>) -> Answer {
    let activations = given.array::<T, _>("activations")?;
    let max = if given.is_null("max") { largest(&activations).map_err(text)? } else { given.scalar("max")? };
    let rounding = match given.text("mode")? {
        "floor" => Rounding::Floor,
        "floor_compat" => Rounding::FloorCompat,
        "ceil_compat" => Rounding::CeilCompat,
        "nearest" => Rounding::Nearest,
        mode => return Err(format!("unknown mode {mode}")),
    };
    let levels = u32::try_from(given.count("levels")?).map_err(|error| error.to_string())?;
    let digits = discretize(&activations, max, levels, rounding).map_err(text)?;
    Ok(vec![
        ("max", Outcome::number(max)),
        ("digits", Outcome::tensor(&digits.mapv(f64::from))),
        ("nonzero_fraction", Outcome::optional(nonzero_fraction(&digits))),
    ])
}

fn slices(given: &Given<'_>) -> Answer {
    let per_split = if given.is_null("per_split") { None } else { Some(given.count("per_split")?) };
    let splits = interleaved(given.count("top")?, given.count("random")?, per_split).map_err(text)?;
    let split = |split: &Split| Outcome::object([("top", indices(&split.top)), ("random", indices(&split.random))]);
    let all = splits.map_or(Outcome::Undefined, |splits| {
        Outcome::object([
            ("train", split(&splits.train)),
            ("calibration", split(&splits.calibration)),
            ("valid", split(&splits.valid)),
            ("test", split(&splits.test)),
        ])
    });
    Ok(vec![("splits", all)])
}

fn quantiles<T: Scalar>(given: &Given<'_>) -> Answer {
    match given.text("kind")? {
        "linear" => {
            let found = linear(&given.array::<T, _>("values")?, &given.array::<T, _>("query")?).map_err(text)?;
            Ok(vec![("quantiles", found.map_or(Outcome::Undefined, |found| Outcome::tensor(&found)))])
        }
        "value_intervals" => {
            let found = value_intervals(&given.array::<T, _>("values")?, given.count("count")?).map_err(text)?;
            let of = |outcome: fn(&limpid::explanation::quantiles::Intervals) -> Outcome| {
                found.as_ref().map_or(Outcome::Undefined, outcome)
            };
            Ok(vec![
                ("edges", of(|found| Outcome::tensor(&found.edges))),
                ("counts", of(|found| indices(&found.counts))),
                ("fractions", of(|found| Outcome::tensor(&found.fractions))),
            ])
        }
        "tail" => {
            let (bottom, top) = (given.array::<T, _>("bottom")?, given.array::<T, _>("top")?);
            let tails = TailQuantiles::new(given.count("total")? as u64, &bottom, &top).map_err(text)?;
            let query = given.array::<f64, ndarray::Ix1>("query")?;
            Ok(vec![("quantiles", Outcome::list(query, |q| Outcome::optional(tails.quantile(q))))])
        }
        "rank_lookup" => {
            let table = RankTable::new(&given.array::<T, _>("values")?).map_err(text)?;
            let query = given.array::<f64, ndarray::Ix1>("query")?;
            let levels: Array1<f64> = query.iter().map(|&value| table.rank(value).0).collect();
            let decimals = Outcome::list(query, |value| Outcome::Number(f64::from(table.rank(value).1)));
            Ok(vec![("levels", Outcome::tensor(&levels)), ("decimals", decimals)])
        }
        kind => Err(format!("unknown kind {kind}")),
    }
}

fn moments<T: Scalar>(given: &Given<'_>) -> Answer {
    let mut merged = NeuronMoments::default();
    for part in given.list("parts")? {
        let mut moments = NeuronMoments::default();
        moments.update(super::super::case::tensor(part)?.into_iter().map(T::of));
        merged.merge(&moments).map_err(text)?;
    }
    let central = merged.central();
    let sum = |of: fn(&limpid::explanation::collect::CentralMoments) -> f64| {
        Outcome::Number(central.as_ref().map_or(0.0, of))
    };
    Ok(vec![
        ("count", Outcome::Number(merged.count() as f64)),
        ("skipped", Outcome::Number(merged.skipped() as f64)),
        ("mean", Outcome::optional(merged.mean())),
        ("m2", sum(|central| central.m2)),
        ("m3", sum(|central| central.m3)),
        ("m4", sum(|central| central.m4)),
        ("variance", Outcome::optional(merged.variance())),
        ("skewness", Outcome::optional(merged.skewness())),
        ("excess_kurtosis", Outcome::optional(merged.excess_kurtosis())),
    ])
}

fn top_k<T: Scalar>(given: &Given<'_>) -> Answer {
    let side = match given.text("side")? {
        "positive" => Side::Positive,
        "negative" => Side::Negative,
        "magnitude" => Side::Magnitude,
        side => return Err(format!("unknown side {side}")),
    };
    let k = given.count("k")?;
    let mut merged = TopActivations::new(k, side).map_err(text)?;
    for part in given.list("parts")? {
        let part = Given::new(part.as_object().ok_or("a part that is not an object")?);
        let (values, documents) = (part.array::<T, ndarray::Ix1>("value")?, part.counts("document")?);
        let mut top = TopActivations::new(k, side).map_err(text)?;
        for ((value, document), position) in values.iter().zip(documents).zip(part.counts("position")?) {
            let position = u32::try_from(position).map_err(|error| error.to_string())?;
            top.push(Hit { value: value.as_f64(), document: document as u64, position });
        }
        part.done()?;
        merged.merge(&top).map_err(text)?;
    }
    let hits = merged.hits();
    Ok(vec![
        ("value", Outcome::tensor(&hits.iter().map(|hit| hit.value).collect::<Array1<f64>>())),
        ("document", Outcome::list(hits, |hit| Outcome::Number(hit.document as f64))),
        ("position", Outcome::list(hits, |hit| Outcome::Number(f64::from(hit.position)))),
        ("skipped", Outcome::Number(merged.skipped() as f64)),
    ])
}
