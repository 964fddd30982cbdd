//! The figures of the report.

use serde_json::Value;

use crate::support::colour::series;
use crate::support::figure::{Axis, Curve, curves, outline};
use crate::support::svg::{Anchor, Svg};

/// A number of a result; NaN where there is none.
pub(crate) fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().map_or_else(Vec::new, |values| values.iter().map(number).collect())
}

/// A curve of two columns of a list of lists.
fn column(list: &Value, index: usize) -> Curve {
    let points = list.as_array().into_iter().flatten();
    points.map(|point| (number(&point[0]), number(&point[index]))).filter(|point| point.1.is_finite()).collect()
}

/// Loss of the model over its steps.
pub(crate) fn training(model: &Value) -> String {
    let [trained, held_out] = [1, 2].map(|index| column(&model["curve"], index));
    let (unigram, bigram) = (number(&model["unigram"]), number(&model["bigram"]));
    let lowest = trained.iter().chain(&held_out).map(|point| point.1).fold(bigram, f64::min);
    let y = Axis::linear("loss, nats per character", (lowest - 0.1).max(0.0), unigram + 0.1);
    let x = Axis::linear("step", 0.0, number(&model["steps"]));
    let lines = vec![("training", trained), ("held out", held_out)];
    curves(&x, &y, lines, &[("unigrams", unigram), ("bigrams", bigram)])
}

/// Active features over the steps of the dictionary.
pub(crate) fn sparsity(dictionary: &Value) -> String {
    let l0 = column(&dictionary["curve"], 2);
    let y = Axis::fitted("active features", l0.iter().map(|point| point.1));
    let x = Axis::linear("step", 0.0, number(&dictionary["steps"]));
    curves(&x, &y, vec![("", l0)], &[("neurons", number(&dictionary["neurons_l0"]))])
}

/// Error of the reconstruction over the steps of the dictionary.
pub(crate) fn reconstruction(dictionary: &Value) -> String {
    let error = column(&dictionary["curve"], 1);
    let y = Axis::fitted("error per neuron", error.iter().map(|point| point.1));
    curves(&Axis::linear("step", 0.0, number(&dictionary["steps"])), &y, vec![("", error)], &[])
}

/// Shares of units by the logarithm of how often they are active.
pub(crate) fn densities(dictionary: &Value) -> String {
    let lines: Vec<(&str, Curve)> = [("features", "density"), ("neurons", "neuron_density")]
        .into_iter()
        .map(|(name, key)| {
            let logs: Vec<f64> =
                numbers(&dictionary[key]).into_iter().filter(|&share| share > 0.0).map(f64::log10).collect();
            (name, histogram(&logs, -5.0, 0.0, 25))
        })
        .collect();
    let most = lines.iter().flat_map(|line| &line.1).map(|point| point.1).fold(0.0, f64::max);
    let x = Axis::linear("log10 of the share of characters at which a unit is active", -5.0, 0.0);
    curves(&x, &Axis::linear("share of units", 0.0, most * 1.05 + 1e-9), lines, &[])
}

/// Shares of units by how well they are explained.
pub(crate) fn scores(compared: &Value) -> String {
    let of = |kind: &str| -> Vec<f64> {
        let each = compared["scores"][kind]["each"].as_array().into_iter().flatten();
        each.map(|unit| number(&unit["few"])).filter(|score| score.is_finite()).collect()
    };
    let lines = vec![
        ("features", histogram(&of("features"), -0.2, 1.0, 24)),
        ("neurons", histogram(&of("neurons"), -0.2, 1.0, 24)),
    ];
    let most = lines.iter().flat_map(|line| &line.1).map(|point| point.1).fold(0.0, f64::max);
    let x = Axis::linear("correlation of simulated and true activations, held out", -0.2, 1.0);
    curves(&x, &Axis::linear("share of units", 0.0, most * 1.05 + 1e-9), lines, &[])
}

/// The outline of a histogram of shares, down to 0 at both ends.
fn histogram(values: &[f64], low: f64, high: f64, bins: usize) -> Curve {
    std::iter::once((low, 0.0)).chain(outline(values, (low, high), bins)).chain([(high, 0.0)]).collect()
}

/// How well the best feature and the best neuron tell each context: dots on a scale from 0 to 1.
pub(crate) fn contexts(compared: &Value, of: &str) -> String {
    const NAMES: f64 = 250.0;
    const WIDE: f64 = 420.0;
    const LINE: f64 = 22.0;
    let rows = compared["contexts"].as_array().map_or(&[][..], Vec::as_slice);
    let high = LINE * rows.len() as f64 + 8.0;
    let mut svg = Svg::new(NAMES + WIDE + 40.0, high + 74.0);
    let place = |value: f64| NAMES + WIDE * value.clamp(0.0, 1.0);
    for tick in [0.0, 0.2, 0.4, 0.6, 0.8, 1.0] {
        svg.line((place(tick), 14.0), (place(tick), 14.0 + high), "#ddd", 0.8);
        svg.text((place(tick), high + 30.0), 11.0, Anchor::Middle, &format!("{tick}"));
    }
    for (at, row) in rows.iter().enumerate() {
        let y = 14.0 + LINE * (at as f64 + 0.7);
        svg.text((NAMES - 12.0, y + 4.0), 12.0, Anchor::End, row["name"].as_str().unwrap_or_default());
        let [feature, neuron] = ["feature", "neuron"].map(|kind| number(&row[kind][of]));
        svg.line((place(feature), y), (place(neuron), y), "#bbb", 1.5);
        for (kind, value) in [(1, neuron), (0, feature)] {
            if value.is_finite() {
                svg.circle((place(value), y), 4.5, series(kind), 1.0);
            }
        }
    }
    svg.frame((NAMES, 14.0), (WIDE, high));
    for (kind, name) in ["best feature", "best neuron"].into_iter().enumerate() {
        let x = NAMES + 130.0 * kind as f64;
        svg.circle((x + 6.0, high + 54.0), 4.5, series(kind), 1.0);
        svg.text((x + 18.0, high + 58.0), 12.0, Anchor::Start, name);
    }
    svg.finish()
}
