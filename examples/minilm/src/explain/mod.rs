//! What do the MLP neurons of a model respond to, and how well do explanations predict it? Every neuron of every layer is
//! explained by the tokens and stretches of tokens at which it was active, without a language model, and every explanation is
//! scored on documents that it was not made from; so are the features of a dictionary of one layer.

mod agreement;
mod choice;
mod dictionary;
mod excerpt;
mod judge;
mod means;
mod part;
mod record;
mod result;
mod source;
mod stretch;
mod study;
mod sweep;
mod viewer;
mod word;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use limpid::Seed;

use crate::bert::Bert;
use crate::corpus::tokenizer;
use crate::look::{check_folder, finish};
use crate::{Error, Result};
use dictionary::{Dictionary, Rows};
use excerpt::excerpts;
use judge::{Verdict, judge};
use part::Part;
use result::{Counted, report};
use source::Source;
use stretch::{Counter, Stretches};
use study::{Study, TokenMean};
use sweep::Subject;
use word::Words;

/// Tokens that are told of every unit.
const TOKENS: usize = 12;

/// What is explained, and how.
#[derive(Debug, Clone)]
pub struct Settings {
    pub model: PathBuf,
    pub text: PathBuf,
    /// Folder of the pages, tables and records.
    pub out: PathBuf,
    pub max_lines: Option<u32>,
    /// Stretches of tokens that are kept, the most frequent ones; memory grows with them.
    pub stretches: usize,
    /// Layer of the dictionary, the middle one where none is given.
    pub layer: Option<usize>,
    /// Features of the dictionary; 0 for none.
    pub features: usize,
    /// Features that are active at a token.
    pub k: usize,
    /// Steps of its training.
    pub steps: usize,
    /// Tokens that it is trained on.
    pub rows: usize,
    /// Neurons, and half as many features, that are shown in full and written as records.
    pub full: usize,
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            model: PathBuf::new(),
            text: PathBuf::new(),
            out: PathBuf::new(),
            max_lines: None,
            stretches: 12_288,
            layer: None,
            features: 2048,
            k: 32,
            steps: 400,
            rows: 65_536,
            full: 120,
            seed: 0,
        }
    }
}

/// Units of one kind, with all that was found.
pub(crate) struct Found<'a> {
    /// `neuron` or `feature`.
    pub(crate) name: &'static str,
    pub(crate) source: Source<'a>,
    pub(crate) study: Study<'a>,
    pub(crate) verdicts: Vec<Verdict>,
    /// Tokens at which each is most active on average.
    pub(crate) tokens: Vec<Vec<TokenMean>>,
}

impl<'a> Found<'a> {
    fn new(name: &'static str, source: Source<'a>, study: Study<'a>, seed: Seed) -> Result<Self> {
        let verdicts = judge(&study.agreement, seed)?;
        let tokens = study.top_tokens(TOKENS);
        Ok(Self { name, source, study, verdicts, tokens })
    }
}

/// Explains, scores, and writes pages, tables and records.
///
/// # Errors
/// Anything that is missing, damaged or foreign, settings out of range, a text without documents of every part.
pub fn explain(settings: &Settings) -> Result<ExitCode> {
    check(settings)?;
    let start = Instant::now();
    let model = Bert::read(&settings.model)?;
    let layer = settings.layer.unwrap_or(model.config.layers / 2);
    model.check_layer(layer)?;
    let tokenizer = tokenizer(&settings.model, model.config.positions)?;
    let subject = Subject::new(&model, &tokenizer, &settings.text, settings.max_lines)?;
    let (counted, stretches) = count(&subject, settings)?;
    let note = |what: &str| eprintln!("{what}: {:.0} s so far", start.elapsed().as_secs_f64());
    let (neurons, rows) = neurons(&subject, settings, &stretches, &counted, layer)?;
    note("neurons");
    let dictionary = match settings.features {
        0 => None,
        _ => Some(dictionary::train(&rows.finish(), settings)?),
    };
    let mut all = vec![neurons];
    if let Some(dictionary) = &dictionary {
        all.push(features(&subject, settings, &stretches, dictionary, layer)?);
        note("features");
    }
    let words = Words::new(&tokenizer);
    let shown: Vec<_> = all.iter().map(|found| excerpts(&subject, found, settings)).collect::<Result<_>>()?;
    for (found, shown) in all.iter().zip(&shown) {
        record::write(found, shown, &words, &model, settings)?;
    }
    viewer::write(&all, &shown, &words, &counted, settings)?;
    note("pages");
    finish(report(&all, &counted, dictionary.as_ref(), settings, &words)?, &settings.out)
}

fn check(settings: &Settings) -> Result<()> {
    check_folder(&settings.out)?;
    let Settings { features, k, stretches, rows, steps, .. } = *settings;
    let ranges = [
        ("--features", features, 0..=1 << 17),
        ("--k", k, 1..=if features == 0 { usize::MAX } else { features }),
        ("--stretches", stretches, 1..=1 << 20),
        ("--rows", rows, 1..=1 << 22),
        ("--steps", steps, 1..=1 << 20),
    ];
    match ranges.iter().find(|(_, got, range)| !range.contains(got)) {
        Some((name, got, range)) => {
            Err(Error(format!("{name} {got}: not between {} and {}", range.start(), range.end())))
        }
        None => Ok(()),
    }
}

/// Reads the text once without the model.
fn count(subject: &Subject<'_>, settings: &Settings) -> Result<(Counted, Stretches)> {
    let (mut counted, mut counter) = (Counted::default(), Counter::default());
    for document in subject.documents()? {
        let document = document?;
        let tokens = subject.tokens(&document);
        if tokens.is_empty() {
            continue;
        }
        let part = Part::of(document.line, Seed(settings.seed));
        counted.add(part, tokens.len(), document.truncated);
        if part == Part::Train {
            counter.add(tokens);
        }
    }
    match counted.parts.iter().position(|part| part.documents == 0) {
        Some(_) => Err(Error::at(
            Path::new(&settings.text),
            "too few documents: some are needed to train, to calibrate and to score",
        )),
        None => Ok((counted, counter.most(settings.stretches))),
    }
}

/// All neurons of all layers, and rows of one layer for a dictionary.
fn neurons<'a>(
    subject: &Subject<'a>,
    settings: &Settings,
    stretches: &'a Stretches,
    counted: &Counted,
    layer: usize,
) -> Result<(Found<'a>, Rows)> {
    let (seed, config) = (Seed(settings.seed), &subject.model.config);
    let source = Source { layers: 0..=config.layers - 1, sae: None };
    let limit = if settings.features == 0 { 0 } else { settings.rows };
    let mut rows = Rows::new(limit, counted.parts[0].tokens, config.neurons, seed);
    let mut study = Study::new(config.layers * config.neurons, stretches, seed)?;
    let trains = |line| Part::of(line, seed) == Part::Train;
    source.sweep(subject, "neurons, training", trains, |reading, _| {
        rows.draw(&reading, layer * config.neurons);
        study.see(&reading)
    })?;
    source.sweep(subject, "neurons, scoring", |line| !trains(line), |reading, _| study.see(&reading))?;
    Ok((Found::new("neuron", source, study, seed)?, rows))
}

/// The features of a dictionary of one layer.
fn features<'a>(
    subject: &Subject<'a>,
    settings: &Settings,
    stretches: &'a Stretches,
    dictionary: &'a Dictionary,
    layer: usize,
) -> Result<Found<'a>> {
    let seed = Seed(settings.seed);
    let source = Source { layers: layer..=layer, sae: Some(&dictionary.sae) };
    let mut study = Study::new(dictionary.sae.sae().latents(), stretches, seed)?;
    let trains = |line| Part::of(line, seed) == Part::Train;
    for (what, train) in [("features, training", true), ("features, scoring", false)] {
        source.sweep(
            subject,
            what,
            |line| trains(line) == train,
            |reading, codes| {
                codes.map_or_else(|| Err(Error("no codes".to_owned())), |codes| study.see_sparse(&reading, codes))
            },
        )?;
    }
    Found::new("feature", source, study, seed)
}
