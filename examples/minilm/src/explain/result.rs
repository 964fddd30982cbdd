//! What the run found, as figures and tables.

use std::fs;

use limpid::explanation::Defined;

use super::dictionary::Dictionary;
use super::judge::{Judged, Verdict};
use super::means::NAMES;
use super::part::Part;
use super::word::Words;
use super::{Found, Settings};
use crate::support::figure::{Axis, Curve, curves};
use crate::support::report::Report;
use crate::{Error, Result};

/// Documents and tokens of a part.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Size {
    pub(crate) documents: usize,
    pub(crate) tokens: usize,
}

/// What the text holds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counted {
    /// To train, to calibrate, to score.
    pub(crate) parts: [Size; 3],
    pub(crate) truncated: usize,
}

impl Counted {
    pub(crate) fn add(&mut self, part: Part, tokens: usize, truncated: bool) {
        let at = match part {
            Part::Train => 0,
            Part::Calibrate => 1,
            Part::Score(_) => 2,
        };
        self.parts[at].documents += 1;
        self.parts[at].tokens += tokens;
        self.truncated += usize::from(truncated);
    }
}

/// A score of a verdict.
type Score = fn(&Judged) -> Defined<f64>;

/// What was published of a kind of score: its name and its mean.
type Published = Option<(&'static str, f64)>;

/// The scores that are drawn and tabulated, and what was published of their kind.
const SCORES: [(&str, Score, Published); 3] = [
    ("all scored documents", |judged| judged.score, None),
    ("top and random", |judged| judged.top_and_random, Some(("GPT-4 on GPT-2 XL, mean: 0.151", 0.151))),
    ("random", |judged| judged.random, Some(("GPT-4 on GPT-2 XL, mean: 0.037", 0.037))),
];

/// Width of a bin of a figure.
const BIN: f64 = 0.05;

/// Everything but the viewer.
pub(crate) fn report(
    all: &[Found<'_>],
    counted: &Counted,
    dictionary: Option<&Dictionary>,
    settings: &Settings,
    words: &Words<'_>,
) -> Result<Report> {
    let mut report = Report::new("Explanations of neurons, scored", &settings.out);
    for (name, score, published) in SCORES {
        report.figure(figure(all, score, published), &caption(name, published.is_some()));
    }
    sizes(&mut report, counted, dictionary);
    let mut rows = Vec::new();
    for found in all {
        for (kind, by) in NAMES.iter().enumerate() {
            for (name, score, _) in SCORES {
                rows.push(summary(found, kind, score, &format!("{}s, {by}, {name}", found.name)));
            }
            rows.push(summary(
                found,
                kind,
                |judged| judged.explained,
                &format!("{}s, {by}, variance explained", found.name),
            ));
        }
    }
    report.table(
        "scores",
        &["units, explanation, documents", "defined", "mean", "median", "above 0.5", "above 0.8"],
        rows,
    );
    by_layer(&mut report, &all[0]);
    gains(&mut report, all);
    lists(all, settings, words)?;
    Ok(report)
}

fn figure(all: &[Found<'_>], score: Score, published: Option<(&str, f64)>) -> String {
    let mut lines: Vec<(String, Curve)> = Vec::new();
    for found in all {
        for (kind, by) in NAMES.iter().enumerate() {
            let scores: Vec<f64> = found.verdicts.iter().filter_map(|verdict| score(&verdict.of[kind]).ok()).collect();
            lines.push((format!("{}s: {by}", found.name), histogram(&scores)));
        }
    }
    let highest = lines.iter().flat_map(|(_, line)| line).fold(0.0_f64, |most, (_, share)| most.max(*share));
    if let Some((name, mean)) = published {
        lines.push((name.to_owned(), vec![(mean, 0.0), (mean, highest)]));
    }
    let lines = lines.iter().map(|(name, line)| (name.as_str(), line.clone())).collect();
    curves(&Axis::linear("score", -0.3, 1.0), &Axis::linear("share of units", 0.0, 1.1 * highest.max(0.01)), lines, &[])
}

/// Share of the scores by bin.
fn histogram(scores: &[f64]) -> Curve {
    let bin = |at: i32| {
        let (low, high) = (f64::from(at) * BIN, f64::from(at + 1) * BIN);
        let inside = scores.iter().filter(|score| (low..high).contains(*score)).count();
        (0.5 * (low + high), inside as f64 / scores.len().max(1) as f64)
    };
    (-6..20).map(bin).collect()
}

fn caption(name: &str, is_published: bool) -> String {
    let published = if is_published {
        " The vertical line is a published mean, of explanations that GPT-4 wrote of GPT-2 XL's neurons and simulated (Bills et \
         al. 2023): another model, other texts and explanations in words, so that only the order of magnitude can be compared."
    } else {
        ""
    };
    format!(
        "Scores on documents that explanations were not made from ({name}): the correlation of predicted with true \
         activations, as shares in bins of {BIN}.{published}"
    )
}

fn sizes(report: &mut Report, counted: &Counted, dictionary: Option<&Dictionary>) {
    let parts = ["explanations are made from", "calibrated on", "scored on"].iter().zip(&counted.parts);
    let rows = parts.map(|(name, part)| vec![(*name).to_owned(), part.documents.to_string(), part.tokens.to_string()]);
    report.table("text", &["part", "documents", "tokens"], rows.collect());
    if let Some(Dictionary { sae, explained, rows }) = dictionary {
        let explained = explained.map_or_else(|| "undefined".to_owned(), |share| format!("{share:.3}"));
        let cells = vec![sae.sae().latents().to_string(), rows.to_string(), explained];
        report.table("dictionary", &["features", "tokens trained on", "variance explained"], vec![cells]);
    }
}

fn summary(found: &Found<'_>, kind: usize, score: Score, name: &str) -> Vec<String> {
    let mut scores: Vec<f64> = found.verdicts.iter().filter_map(|verdict| score(&verdict.of[kind]).ok()).collect();
    scores.sort_by(f64::total_cmp);
    let all = scores.len().max(1) as f64;
    let above = |bar: f64| scores.iter().filter(|score| **score > bar).count() as f64 / all;
    let median = scores.get(scores.len() / 2).copied().unwrap_or(f64::NAN);
    let numbers = [scores.iter().sum::<f64>() / all, median, above(0.5), above(0.8)].map(|x| format!("{x:.3}"));
    let defined = format!("{} of {}", scores.len(), found.verdicts.len());
    [name.to_owned(), defined].into_iter().chain(numbers).collect()
}

fn by_layer(report: &mut Report, neurons: &Found<'_>) {
    let layers = neurons.source.layers.clone();
    let wide = neurons.verdicts.len() / layers.clone().count().max(1);
    let row = |(layer, verdicts): (usize, &[Verdict])| {
        let mean = |kind: usize| {
            let scores: Vec<f64> = verdicts.iter().filter_map(|verdict| verdict.of[kind].score.ok()).collect();
            format!("{:.3}", scores.iter().sum::<f64>() / scores.len().max(1) as f64)
        };
        vec![layer.to_string(), mean(0), mean(1)]
    };
    let rows = layers.zip(neurons.verdicts.chunks(wide.max(1))).map(row).collect();
    report.table("mean score by layer", &["layer", NAMES[0], NAMES[1]], rows);
}

/// How many units one explanation is better for, beyond doubt.
fn gains(report: &mut Report, all: &[Found<'_>]) {
    let row = |found: &Found<'_>| {
        let gains: Vec<_> = found.verdicts.iter().filter_map(|verdict| verdict.gain.ok()).collect();
        let better = gains.iter().filter(|gain| gain.interval.low > 0.0).count();
        let worse = gains.iter().filter(|gain| gain.interval.high < 0.0).count();
        let mean = gains.iter().map(|gain| gain.difference).sum::<f64>() / gains.len().max(1) as f64;
        vec![format!("{}s", found.name), better.to_string(), worse.to_string(), format!("{mean:.4}")]
    };
    let head = ["units", "n-grams better", "token table better", "mean difference"];
    report.table("n-grams beside the token table", &head, all.iter().map(row).collect());
}

/// One line per unit, for other programs.
fn lists(all: &[Found<'_>], settings: &Settings, words: &Words<'_>) -> Result<()> {
    let number = |x: Defined<f64>| x.map_or_else(|_| String::new(), |x| format!("{x:.4}"));
    fs::create_dir_all(&settings.out).map_err(|e| Error::at(&settings.out, e))?;
    for found in all {
        let layers = found.source.layers.clone().count();
        let wide = found.verdicts.len() / layers;
        let mut text = String::from("layer,number,density,mean,largest");
        for by in ["table", "ngram", "other"] {
            text += &format!(",{by}_score,{by}_low,{by}_high,{by}_explained,{by}_top_and_random,{by}_random");
        }
        text += ",tokens\n";
        for (unit, verdict) in found.verdicts.iter().enumerate() {
            let (layer, index) = found.source.place(unit, wide);
            let stats = &found.study.collector.neurons()[unit];
            let moments = [stats.density(), stats.moments().mean(), stats.moments().largest()];
            let moments = moments.map(|x| x.map_or_else(String::new, |x| format!("{x:.5}")));
            text += &format!("{layer},{index},{}", moments.join(","));
            for Judged { score, interval, explained, top_and_random, random } in verdict.of {
                let ends = [interval.map(|interval| interval.low), interval.map(|interval| interval.high)];
                for x in [score, ends[0], ends[1], explained, top_and_random, random] {
                    text += &format!(",{}", number(x));
                }
            }
            let tokens: Vec<String> = found.tokens[unit].iter().take(5).map(|top| words.alone(top.token)).collect();
            text += &format!(",\"{}\"\n", tokens.join(" ").replace('"', "\"\""));
        }
        let file = settings.out.join(format!("{}s.csv", found.name));
        fs::write(&file, text).map_err(|e| Error::at(&file, e))?;
    }
    Ok(())
}
