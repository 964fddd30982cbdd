//! One self-contained page on the learned features of a sparse autoencoder: which text excites each of them most, how often
//! and how strongly they are active, and which others are like them.
//!
//! `cargo run --release --features formats --example feature_browser -- SAE_FOLDER ACTIVATIONS.safetensors --vocabulary vocab.txt`
//!
//! The activations are read once, in stretches of whole documents, and what is kept grows with the number of features, not
//! with that of tokens (8 B of each token aside). 302,725 tokens and 12,288 features of 1,536 neurons took 170 s of processor
//! time and 390 MB; their page has 7.3 MB.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program")]

#[path = "feature_browser_support/mod.rs"]
mod feature_browser_support;

use std::process::ExitCode;
use std::time::Instant;

use feature_browser_support::options::{Asked, Inputs, Options};
use feature_browser_support::page::Page;
use feature_browser_support::vocabulary::Vocabulary;
use feature_browser_support::{Result, check, files, neighbours, peak_memory};
use limpid::formats::activations::ActivationFile;
use limpid::formats::{Hint, disk};

fn main() -> ExitCode {
    let asked = match Options::read() {
        Ok(asked) => asked,
        Err(error) => {
            eprintln!("feature_browser: {error} (--help shows the options)");
            return ExitCode::from(2);
        }
    };
    let outcome = match &asked {
        Asked::Help(text) => {
            println!("{text}");
            Ok(true)
        }
        Asked::Page(options, inputs) => write(options, inputs).map(|()| true),
        Asked::Quick(options) => quick(options),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("feature_browser: {error}");
            ExitCode::from(2)
        }
    }
}

fn write(options: &Options, inputs: &Inputs) -> Result<()> {
    let start = Instant::now();
    let loaded = disk::load::<f32>(&inputs.sae, &Hint::default())?;
    if loaded.external_scale {
        eprintln!("note: this autoencoder was trained on scaled inputs, and its files do not hold the scale");
    }
    let vocabulary = Vocabulary::read(&inputs.vocabulary)?;
    let file = ActivationFile::open(&inputs.activations, inputs.tensor.as_deref())?;
    let scanned = files::scan(&loaded.sae, file, options)?;
    println!("read {} tokens: {:.1} s", scanned.corpus.tokens.len(), start.elapsed().as_secs_f64());
    let neighbours = neighbours::nearest(&loaded.sae.w_dec, options.neighbours)?;
    println!("compared {} features: {:.1} s", neighbours.len(), start.elapsed().as_secs_f64());
    let title = inputs.sae.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let page =
        Page { title: &title, vocabulary: &vocabulary, scanned: &scanned, neighbours: &neighbours, effects: None };
    let size = files::write(&page, &options.out)?;
    println!("{}: {:.1} MB, {:.1} s", options.out.display(), size as f64 / 1e6, start.elapsed().as_secs_f64());
    if let Some(bytes) = peak_memory() {
        println!("peak memory: {:.0} MB", bytes as f64 / 1e6);
    }
    Ok(())
}

/// The page of a made-up autoencoder of which everything is known, and whether the page says so.
fn quick(options: &Options) -> Result<bool> {
    let (inputs, known) = files::make(&options.out.with_file_name("quick"), options.seed)?;
    write(options, &inputs)?;
    let missed = check::missed(&std::fs::read_to_string(&options.out)?, &known)?;
    for what in &missed {
        eprintln!("MISSED: {what}");
    }
    if missed.is_empty() {
        println!("the page holds what was planted");
    }
    Ok(missed.is_empty())
}
