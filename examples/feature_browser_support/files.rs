//! What comes from files and goes to one.

use std::fs;
use std::path::Path;

use limpid::files::write_atomically;
use limpid::formats::activations::ActivationFile;
use limpid::sae::Sae;

use super::Result;
use super::options::{Inputs, Options};
use super::page::{self, Page};
use super::scan::{self, Corpus, Scanned};
use super::synthetic::{self, Known};

#[path = "../support/progress.rs"]
#[expect(dead_code, reason = "the callback of a training is not needed here")]
mod progress;

/// Reads the activations, a stretch at a time.
pub fn scan(sae: &Sae<f32>, mut file: ActivationFile, options: &Options) -> Result<Scanned> {
    let rows = 0..file.rows().min(options.max_rows).min(u32::MAX as usize);
    let corpus = Corpus { tokens: file.column("token", rows.clone())?, documents: file.column("document", rows)? };
    let mut bar = progress::Bar::new("reading");
    scan::scan(sae, corpus, options, |rows| Ok(file.read(rows)?), |done, all| bar.show(done, all))
}

/// Writes the files of the made-up autoencoder into `folder`.
pub fn make(folder: &Path, seed: u64) -> Result<(Inputs, Known)> {
    let (files, known) = synthetic::files(seed)?;
    fs::create_dir_all(folder.join("sae"))?;
    for (name, bytes) in files {
        fs::write(folder.join(name), bytes)?;
    }
    let [sae, activations, vocabulary] = ["sae", "activations.safetensors", "vocab.txt"].map(|name| folder.join(name));
    Ok((Inputs { sae, activations, vocabulary, tensor: None }, known))
}

/// Writes the page and returns its size.
pub fn write(page: &Page<'_>, out: &Path) -> Result<usize> {
    let html = page::html(page)?;
    if let Some(folder) = out.parent() {
        fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    write_atomically(out, html.as_bytes()).map_err(|error| format!("{}: {error}", out.display()))?;
    Ok(html.len())
}
