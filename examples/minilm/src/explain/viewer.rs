//! The page on which units are looked through: one file that asks the network for nothing.

use std::collections::BTreeMap;
use std::fs;

use limpid::explanation::Defined;
use serde_json::{Value, json};

use super::excerpt::{Excerpt, Shown};
use super::means::{EXPLANATIONS, NAMES};
use super::result::Counted;
use super::word::Words;
use super::{Found, Settings};
use crate::{Error, Result};

const SKELETON: &str = include_str!("page/skeleton.html");
/// The looks of the page of features, and what this one has more.
const STYLE: [&str; 2] =
    [include_str!("../../../feature_browser_support/page/style.css"), include_str!("page/viewer.css")];
const SCRIPT: [&str; 4] = [
    include_str!("../../../feature_browser_support/page/helpers.js"),
    include_str!("page/list.js"),
    include_str!("page/unit.js"),
    include_str!("page/actions.js"),
];
/// Tokens of a unit in the list.
const LISTED: usize = 4;
/// Quantiles of activations that are told.
const QUANTILES: [f64; 5] = [0.01, 0.25, 0.5, 0.75, 0.99];

/// Tokens of the page, each once.
struct Dictionary<'a> {
    words: &'a Words<'a>,
    numbers: BTreeMap<u32, usize>,
    texts: Vec<String>,
}

impl Dictionary<'_> {
    fn number(&mut self, token: u32) -> usize {
        *self.numbers.entry(token).or_insert_with(|| {
            self.texts.push(self.words.text(token));
            self.texts.len() - 1
        })
    }
}

/// Writes `neurons.html`.
pub(crate) fn write(
    all: &[Found<'_>],
    shown: &[Vec<Shown>],
    words: &Words<'_>,
    counted: &Counted,
    settings: &Settings,
) -> Result<()> {
    let mut dictionary = Dictionary { words, numbers: BTreeMap::new(), texts: Vec::new() };
    let wide = all[0].verdicts.len() / all[0].source.layers.clone().count();
    let kinds: Vec<Value> = all
        .iter()
        .zip(shown)
        .map(|(found, shown)| {
            let full: serde_json::Map<String, Value> =
                shown.iter().map(|shown| (shown.unit.to_string(), full(found, shown, &mut dictionary))).collect();
            json!({ "name": found.name, "columns": columns(found, wide, &mut dictionary), "full": full })
        })
        .collect();
    let [train, _, scored] = counted.parts;
    let name = settings.model.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let data = json!({
        "title": name,
        "summary": format!(
            "explained from {} tokens of {} documents, scored on {} tokens of {} others",
            train.tokens, train.documents, scored.tokens, scored.documents
        ),
        "explanations": &NAMES[..EXPLANATIONS],
        "quantiles": QUANTILES,
        "kinds": kinds,
        "words": dictionary.texts,
    });
    let page = SKELETON.replace("/*style*/", &STYLE.join("\n")).replace("/*script*/", &SCRIPT.join("\n"));
    // last, so that nothing in the data is taken for a place to fill; only this character could end a script
    let page = page.replace("<!--data-->", &data.to_string().replace('<', "\\u003c"));
    fs::create_dir_all(&settings.out).map_err(|e| Error::at(&settings.out, e))?;
    let file = settings.out.join("neurons.html");
    fs::write(&file, page).map_err(|e| Error::at(&file, e))
}

/// Three decimals; `null` for what is undefined.
fn rounded(x: Option<f64>) -> Value {
    x.filter(|x| x.is_finite()).map_or(Value::Null, |x| json!((x * 1e3).round() / 1e3 + 0.0))
}

fn defined(x: Defined<f64>) -> Value {
    rounded(x.ok())
}

/// What the list has of every unit.
fn columns(found: &Found<'_>, wide: usize, dictionary: &mut Dictionary<'_>) -> Value {
    let units = || found.verdicts.iter().enumerate();
    let places: Vec<(usize, usize)> = units().map(|(unit, _)| found.source.place(unit, wide)).collect();
    let stats = found.study.collector.neurons();
    let of = |value: &dyn Fn(usize) -> Value| -> Value { (0..stats.len()).map(value).collect() };
    let judged = |kind: usize| {
        let of = |value: &dyn Fn(&super::judge::Judged) -> Value| -> Value {
            found.verdicts.iter().map(|verdict| value(&verdict.of[kind])).collect()
        };
        json!({
            "score": of(&|judged| defined(judged.score)),
            "low": of(&|judged| defined(judged.interval.map(|interval| interval.low))),
            "high": of(&|judged| defined(judged.interval.map(|interval| interval.high))),
            "both": of(&|judged| defined(judged.top_and_random)),
            "random": of(&|judged| defined(judged.random)),
            "explained": of(&|judged| defined(judged.explained)),
        })
    };
    let listed = |top: &Vec<super::study::TokenMean>| -> Value {
        top.iter().take(LISTED).map(|top| json!(dictionary.number(top.token))).collect()
    };
    json!({
        "layer": places.iter().map(|place| place.0).collect::<Vec<_>>(),
        "index": places.iter().map(|place| place.1).collect::<Vec<_>>(),
        "judged": [judged(0), judged(1)],
        "density": of(&|unit| rounded(stats[unit].density())),
        "mean": of(&|unit| rounded(stats[unit].moments().mean())),
        "max": of(&|unit| rounded(stats[unit].moments().largest())),
        "tokens": found.tokens.iter().map(listed).collect::<Vec<_>>(),
    })
}

/// What is shown of a unit that is chosen.
fn full(found: &Found<'_>, shown: &Shown, dictionary: &mut Dictionary<'_>) -> Value {
    let stats = &found.study.collector.neurons()[shown.unit];
    let moments = stats.moments();
    let numbers = [moments.least(), moments.variance().map(f64::sqrt), moments.skewness(), moments.excess_kurtosis()];
    let quantile = |q: f64| stats.quantiles().and_then(|sketch| sketch.quantile(q).ok().flatten());
    let table: Vec<Value> = found.tokens[shown.unit]
        .iter()
        .map(|top| json!([dictionary.number(top.token), rounded(Some(top.mean.into())), top.places]))
        .collect();
    let lines = shown.top.iter().map(|line| (*line, true)).chain(shown.random.iter().map(|line| (*line, false)));
    let texts: Vec<Value> =
        lines.filter_map(|(line, is_top)| Some(text(line, is_top, shown.texts.get(&line)?, dictionary))).collect();
    json!({
        "numbers": numbers.map(rounded),
        "quantiles": QUANTILES.map(|q| rounded(quantile(q))),
        "table": table,
        "texts": texts,
    })
}

fn text(line: u32, is_top: bool, excerpt: &Excerpt, dictionary: &mut Dictionary<'_>) -> Value {
    let numbers = |values: &[f32]| -> Value { values.iter().map(|&x| rounded(Some(x.into()))).collect() };
    json!({
        "line": u64::from(line) + 1,
        "top": is_top,
        "words": excerpt.tokens.iter().map(|&token| dictionary.number(token)).collect::<Vec<_>>(),
        "real": numbers(&excerpt.real),
        "simulated": excerpt.simulated[..EXPLANATIONS].iter().map(|values| numbers(values)).collect::<Vec<_>>(),
    })
}
