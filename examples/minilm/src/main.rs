//! Command line of `limpid-minilm`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use lexopt::prelude::*;
use limpid_minilm::capture::{Capture, capture, states};
use limpid_minilm::geometry::geometry;
use limpid_minilm::look::look;
use limpid_minilm::{Error, Result};

const HELP: &str = "\
limpid-minilm capture  MODEL_DIR TEXT_FILE --layer L --out FILE [--max-lines N] [--batch B]
limpid-minilm geometry MODEL_DIR --layer L --out DIR [--activations FILE]
limpid-minilm look     FILE MODEL_DIR --out DIR [--neurons 1,2,3]
limpid-minilm states   MODEL_DIR TEXT_FILE --out FILE [--max-lines N]

MODEL_DIR  Hugging Face BERT: config.json, model.safetensors, tokenizer.json
capture    writes one layer's MLP activations, a row per token, to one safetensors file
geometry   superposition geometry of the layer's MLP output weights: a page with figures, and CSV
look       sparsity, kurtosis and top tokens of neurons in a captured file
states     all hidden states and activations of a few lines, for compare.py
Each line is a document; documents longer than the model's maximum are truncated. Layers count from 0.
RAYON_NUM_THREADS sets the number of threads.
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
    help: bool,
}

fn read(arguments: impl IntoIterator<Item = OsString>) -> std::result::Result<Options, lexopt::Error> {
    let (mut options, mut parser) = (Options::default(), lexopt::Parser::from_args(arguments));
    while let Some(argument) = parser.next()? {
        match argument {
            Long("layer") => options.layer = Some(parser.value()?.parse()?),
            Long("out") => options.out = Some(parser.value()?.into()),
            Long("activations") => options.activations = Some(parser.value()?.into()),
            Long("max-lines") => options.max_lines = Some(parser.value()?.parse()?),
            Long("batch") => options.batch = Some(parser.value()?.parse()?),
            Long("neurons") => {
                let list = parser.value()?.string()?;
                for part in list.split(',') {
                    options.neurons.push(part.trim().parse().map_err(|_| format!("--neurons {list}: not numbers"))?);
                }
            }
            Long("help") | Short('h') => options.help = true,
            Value(path) => options.paths.push(path.into()),
            other => return Err(other.unexpected()),
        }
    }
    Ok(options)
}

fn run() -> Result<ExitCode> {
    let options = read(std::env::args_os().skip(1)).map_err(|e| Error(e.to_string()))?;
    if options.help {
        print!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    }
    let missing = |what: &str| Error(format!("{what} is missing; --help tells all"));
    let layer = || options.layer.ok_or_else(|| missing("--layer"));
    let out = || options.out.clone().ok_or_else(|| missing("--out"));
    let command = options.paths.first().and_then(|p| p.to_str()).unwrap_or_default();
    match (command, options.paths.get(1..).unwrap_or_default()) {
        ("capture", [model, text]) => {
            let (model, text) = (model.clone(), text.clone());
            let batch = options.batch.unwrap_or(16);
            let settings = Capture { model, text, out: out()?, layer: layer()?, batch, max_lines: options.max_lines };
            let got = capture(&settings)?;
            let file = settings.out.display();
            println!("{file}: {} tokens of {} documents, {} truncated", got.tokens, got.documents, got.truncated);
            Ok(ExitCode::SUCCESS)
        }
        ("geometry", [model]) => geometry(model, layer()?, &out()?, options.activations.as_ref()),
        ("look", [file, model]) => look(file, model, &options.neurons, &out()?),
        ("states", [model, text]) => {
            let tokens = states(model, text, &out()?, options.max_lines.unwrap_or(20))?;
            println!("{tokens} tokens");
            Ok(ExitCode::SUCCESS)
        }
        _ => Err(missing("capture, geometry, look or states, or a path of theirs,")),
    }
}

fn main() -> ExitCode {
    run().unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}
