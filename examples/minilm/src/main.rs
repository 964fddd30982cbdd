//! Command line of `limpid-minilm`.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use lexopt::prelude::*;
use limpid_minilm::capture::{Capture, capture};
use limpid_minilm::explain::{self, explain};
use limpid_minilm::geometry::geometry;
use limpid_minilm::influence::influence;
use limpid_minilm::look::look;
use limpid_minilm::states::states;
use limpid_minilm::why::Settings;
use limpid_minilm::why::review::review;
use limpid_minilm::why::similar::similar;
use limpid_minilm::{Error, Result};

const HELP: &str = "\
limpid-minilm capture  MODEL_DIR TEXT_FILE --layer L --out FILE [--max-lines N] [--batch B] [--force]
limpid-minilm geometry MODEL_DIR --layer L --out DIR [--activations FILE]
limpid-minilm look     FILE MODEL_DIR --out DIR [--neurons 1,2,3]
limpid-minilm states   MODEL_DIR TEXT_FILE --out FILE [--max-lines N] [--force]
limpid-minilm similar  MODEL_DIR SENTENCE SENTENCE [--out DIR] [--json FILE] [--baseline TOKEN] [--budget N]
limpid-minilm review   MODEL_DIR TEXT_FILE [--sentence TEXT] [--max-lines N] [and the options of similar]
limpid-minilm influence MODEL_DIR TEXT_FILE [--sentence TEXT] [--max-lines N] [--out FILE]
limpid-minilm explain  MODEL_DIR TEXT_FILE --out DIR [--max-lines N] [--full N] [--stretches N] [--seed N]
                       [--layer L] [--features M] [--k K] [--steps N] [--rows N]

MODEL_DIR  Hugging Face BERT: config.json, model.safetensors, tokenizer.json
capture    writes one layer's MLP activations, a row per token, to one safetensors file
geometry   superposition geometry of the layer's MLP output weights: a page with figures, and CSV
look       sparsity, kurtosis and top tokens of neurons in a captured file: a page, and CSV
states     all hidden states and activations of a few lines (20), for compare.py
similar    which words make two sentences similar: attributions by several methods, on the terminal and as a page
review     the same for the verdict of a classifier trained on lines that start with 0 (negative) or 1 (positive)
influence  which labelled lines a classifier owes its verdicts to, and whether wrong labels are found; --out is a CSV of all lines
explain    explains every MLP neuron by tokens and stretches of tokens, scores it on other documents, and so the features of a
           dictionary of one layer: a page to look them through, figures, CSV, records. A label 0 or 1 in front of a line is left out
Each line is a document; documents longer than the model's maximum are truncated. Layers and neurons count from 0.
--baseline is the token that stands for absent words ([MASK]), --budget the most sentences that Shapley values take (1024).
--full is the number of neurons that are shown with texts (120), --stretches that of stretches that are known (12288); --features
is the size of the dictionary of --layer (2048 of the middle layer; 0 for none), of which --k (32) are active at a token, trained
in --steps (400) on --rows tokens (65536).
--json writes token ids and attributions for compare_attribution.py.
--force replaces an existing FILE. RAYON_NUM_THREADS sets the number of threads.
";

#[derive(Default)]
struct Options {
    paths: Vec<PathBuf>,
    layer: Option<usize>,
    out: Option<PathBuf>,
    activations: Option<PathBuf>,
    max_lines: Option<u32>,
    batch: Option<usize>,
    neurons: Vec<usize>,
    sentence: Option<String>,
    why: Settings,
    explain: explain::Settings,
    force: bool,
    help: bool,
}

fn number<T: FromStr>(option: &str, text: &str) -> std::result::Result<T, lexopt::Error> {
    text.trim().parse().map_err(|_| format!("--{option} {text}: not a whole number from 0 on").into())
}

/// Sets a number of `explain`.
fn set(settings: &mut explain::Settings, name: &str, text: &str) -> std::result::Result<(), lexopt::Error> {
    if name == "seed" {
        settings.seed = number(name, text)?;
        return Ok(());
    }
    *match name {
        "full" => &mut settings.full,
        "stretches" => &mut settings.stretches,
        "features" => &mut settings.features,
        "k" => &mut settings.k,
        "steps" => &mut settings.steps,
        _ => &mut settings.rows,
    } = number(name, text)?;
    Ok(())
}

fn read(arguments: impl IntoIterator<Item = OsString>) -> std::result::Result<Options, lexopt::Error> {
    let (mut options, mut parser) = (Options::default(), lexopt::Parser::from_args(arguments));
    while let Some(argument) = parser.next()? {
        match argument {
            Long(name @ ("full" | "stretches" | "features" | "k" | "steps" | "rows" | "seed")) => {
                let name = name.to_owned();
                set(&mut options.explain, &name, &parser.value()?.string()?)?;
            }
            Long("layer") => options.layer = Some(number("layer", &parser.value()?.string()?)?),
            Long("out") => options.out = Some(parser.value()?.into()),
            Long("json") => options.why.json = Some(parser.value()?.into()),
            Long("baseline") => options.why.baseline = Some(parser.value()?.string()?),
            Long("budget") => options.why.budget = Some(number("budget", &parser.value()?.string()?)?),
            Long("sentence") => options.sentence = Some(parser.value()?.string()?),
            Long("activations") => options.activations = Some(parser.value()?.into()),
            Long("max-lines") => options.max_lines = Some(number("max-lines", &parser.value()?.string()?)?),
            Long("batch") => options.batch = Some(number("batch", &parser.value()?.string()?)?),
            Long("neurons") => {
                for part in parser.value()?.string()?.split(',') {
                    options.neurons.push(number("neurons", part)?);
                }
            }
            Long("force") => options.force = true,
            Long("help") | Short('h') => options.help = true,
            Value(path) => options.paths.push(path.into()),
            other => return Err(other.unexpected()),
        }
    }
    Ok(options)
}

/// Prints; a reader that has gone away is no reason to fail.
fn say(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn run() -> Result<ExitCode> {
    let mut options = read(std::env::args_os().skip(1)).map_err(|e| Error(e.to_string()))?;
    if options.help {
        say(HELP);
        return Ok(ExitCode::SUCCESS);
    }
    let Some((command, paths)) = options.paths.split_first() else {
        return Err(Error("no command; --help tells all".to_owned()));
    };
    options.why.out.clone_from(&options.out);
    let missing = |what: &str| Error(format!("{}: {what} is missing; --help tells all", command.display()));
    let layer = || options.layer.ok_or_else(|| missing("--layer"));
    let out = || options.out.clone().ok_or_else(|| missing("--out"));
    match (command.to_str().unwrap_or_default(), paths) {
        ("capture", [model, text]) => run_capture(Capture {
            model: model.clone(),
            text: text.clone(),
            out: out()?,
            layer: layer()?,
            batch: options.batch.unwrap_or(16),
            max_lines: options.max_lines,
            force: options.force,
        }),
        ("geometry", [model]) => geometry(model, layer()?, &out()?, options.activations.as_ref()),
        ("look", [file, model]) => look(file, model, &options.neurons, &out()?),
        ("states", [model, text]) => {
            let tokens = states(model, text, &out()?, options.max_lines.unwrap_or(20), options.force)?;
            say(&format!("{tokens} tokens\n"));
            Ok(ExitCode::SUCCESS)
        }
        ("similar", [model, a, b]) => {
            let text = |path: &PathBuf| path.to_str().map(str::to_owned).ok_or_else(|| missing("UTF-8"));
            say(&similar(model, [&text(a)?, &text(b)?], &options.why)?);
            Ok(ExitCode::SUCCESS)
        }
        ("review", [model, text]) => {
            say(&review(model, text, options.sentence.as_deref(), options.max_lines, &options.why)?);
            Ok(ExitCode::SUCCESS)
        }
        ("influence", [model, text]) => {
            say(&influence(model, text, options.sentence.as_deref(), options.max_lines, options.out.as_deref())?);
            Ok(ExitCode::SUCCESS)
        }
        ("explain", [model, text]) => explain(&explain::Settings {
            model: model.clone(),
            text: text.clone(),
            out: out()?,
            layer: options.layer,
            max_lines: options.max_lines,
            ..options.explain.clone()
        }),
        ("capture" | "geometry" | "look" | "states" | "similar" | "review" | "explain" | "influence", _) => {
            Err(Error(format!("{}: not the paths it needs; --help tells all", command.display())))
        }
        (other, _) => Err(Error(format!("{other}: no such command; --help tells all"))),
    }
}

fn run_capture(settings: Capture) -> Result<ExitCode> {
    let got = capture(&settings)?;
    let file = settings.out.display();
    say(&format!("{file}: {} tokens of {} documents, {} truncated\n", got.tokens, got.documents, got.truncated));
    Ok(ExitCode::SUCCESS)
}

fn main() -> ExitCode {
    run().unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}
