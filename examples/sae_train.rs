//! Trains a sparse autoencoder on a file of activations, with any preset, checkpoints and figures, and saves it for SAELens.
//!
//! `cargo run --release --features formats --example sae_train -- ACTIVATIONS.safetensors --latents 12288 --k 32`
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program")]

#[path = "sae_train_support/mod.rs"]
mod sae_train_support;
#[path = "support/mod.rs"]
mod support;

use std::process::ExitCode;

use limpid::Scalar;
use limpid::formats::{SaveSettings, disk};

use sae_train_support::Result;
use sae_train_support::data::{Data, demonstration};
use sae_train_support::options::Options;
use sae_train_support::results::{check, results};
use sae_train_support::run::{evaluate, train};
use support::report::Report;

const HELP: &str = "\
sae_train ACTIVATIONS.safetensors [OPTIONS]: trains a sparse autoencoder on the rows of a matrix

  --preset NAME          bricken_2023, april_2024, gated, top_k, batch_top_k, jump_relu, jump_relu_tanh, matryoshka [top_k]
  --latents M            size of the dictionary [4096]
  --k K                  active latents per sample, where the preset counts them [32]
  --steps N              optimiser steps; the file is gone through as often as they need [2000]
  --batch B              rows of one step [1024]
  --learning-rate X      [that of the preset, up to 4 times as much in runs below 10000 steps]
  --dead-after N         samples of silence after which a latent counts as dead [a tenth of the run]
  --k-from K             active latents at the start of top_k, which fall to --k over half of the run [8 times --k]
  --data-start SHARE     share of an input in the first direction of each latent, the rest is random [0.3]
  --tensor NAME          matrix in the file [activations, or the only one]
  --validation SHARE     share of the last rows that is held out, at most 16384 rows [0.05]
  --buffer ROWS          rows that are shuffled at a time [16384]
  --checkpoint-every N   steps between two checkpoints [an eighth of the run]
  --resume               go on from the checkpoint in the folder
  --restart              begin anew although the folder holds a checkpoint of an earlier run, which is lost
  --out DIR              checkpoint, metrics.csv, figures, and the autoencoder in DIR/sae [target/limpid/sae_train]
  --seed N               seed of everything random [0]
  --gpu                  trains on a graphics adapter (top_k; build with --features formats,gpu)
  --quick                small sizes; without a file, one with a known dictionary is made, and results are checked
  --help                 this text

A run may be stopped at any moment: the last checkpoint stays whole, and --resume with the same options gives the numbers of
a run that was never stopped. Exit code: 0 done and all checks hold, 1 a check is missed, 2 an error.";

fn main() -> ExitCode {
    let report = Options::read().and_then(|options| options.map(|options| run(&options)).transpose());
    match report {
        Ok(Some(report)) => report.finish(),
        Ok(None) => {
            println!("{HELP}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("sae_train: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(options: &Options) -> Result<Report> {
    let made = options.file.is_none().then(|| demonstration(&options.out)).transpose()?;
    let file = made.as_ref().or(options.file.as_ref()).ok_or("no file")?;
    let outcome = train(options, file, None)?;
    let mut data = Data::open(file, options)?;
    let (sae, rows) = (outcome.trainer.sae(), data.held_out(usize::MAX));
    let metrics = evaluate(&sae, &mut data, rows)?;
    let settings = SaveSettings {
        log10_sparsity: Some(metrics.log10_density.mapv(f32::of)),
        metadata: data.metadata(),
        ..SaveSettings::default()
    };
    let folder = options.out.join("sae");
    disk::save(&folder, &sae, &settings)?;
    let mut report = Report::new("A sparse autoencoder and its training", &options.out);
    report.table("results", &["what", "value"], results(&outcome, &metrics));
    outcome.log.draw(&mut report);
    if made.is_some() {
        check(&mut report, options, file, (&outcome, &metrics))?;
    }
    println!("autoencoder: {}", folder.display());
    Ok(report)
}
