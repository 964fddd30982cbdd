//! Runs a model over a text and writes what one layer's MLP neurons do, in bounded memory.
//!
//! The text is read twice: once to count tokens, so that the file's header can be written first, and once to run the
//! model. A window of documents is sorted by length so that batches hold little padding; each document's rows then go
//! to their own place, and the file is in the order of the text.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::Tensor;
use serde_json::json;

use crate::Result;
use crate::bert::Bert;
use crate::corpus::{Document, Documents, tokenizer};
use crate::store::Writer;
use crate::support::progress::Bar;

/// Batches whose documents are sorted by length together.
const WINDOW: usize = 32;

/// What to capture.
#[derive(Debug, Clone)]
pub struct Capture {
    pub model: PathBuf,
    pub text: PathBuf,
    pub out: PathBuf,
    pub layer: usize,
    pub batch: usize,
    pub max_lines: Option<u32>,
}

/// What was captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Captured {
    pub documents: u64,
    pub tokens: u64,
    /// Documents of which only the first tokens fitted the model.
    pub truncated: u64,
}

/// Captures one layer's MLP activations.
///
/// # Errors
/// Anything that is missing, damaged or foreign; then no file is left.
pub fn capture(settings: &Capture) -> Result<Captured> {
    if !(1..=1024).contains(&settings.batch) {
        return Err(format!("batch {} is not between 1 and 1024", settings.batch).into());
    }
    let model = Bert::read(&settings.model)?;
    model.check_layer(settings.layer)?;
    let tokenizer = tokenizer(&settings.model, model.config.positions)?;
    let documents = || Documents::open(&settings.text, &tokenizer, settings.max_lines);
    let mut counted = Captured::default();
    for document in documents()? {
        let document = document?;
        counted.documents += 1;
        counted.tokens += document.tokens.len() as u64;
        counted.truncated += u64::from(document.truncated);
    }
    if counted.tokens == 0 {
        return Err(format!("{}: no text", settings.text.display()).into());
    }
    let about = json!({
        "model": settings.model.display().to_string(),
        "text": settings.text.display().to_string(),
        "layer": settings.layer.to_string(),
        "truncated_documents": counted.truncated.to_string(),
    });
    let mut writer = Writer::create(&settings.out, counted.tokens, model.config.neurons as u64, &about)?;
    let mut bar = Bar::new("capture");
    let (mut row, mut source) = (0, documents()?);
    loop {
        let window: Vec<Document> = source.by_ref().take(WINDOW * settings.batch).collect::<Result<_>>()?;
        if window.is_empty() {
            break;
        }
        row = write_window(&model, settings, window, row, &mut writer, &mut |done| {
            bar.show(
                usize::try_from(done).unwrap_or(usize::MAX),
                usize::try_from(counted.tokens).unwrap_or(usize::MAX),
            );
        })?;
    }
    if row != counted.tokens {
        return Err(format!("{}: the text changed while it was read", settings.text.display()).into());
    }
    writer.finish()?;
    Ok(counted)
}

fn write_window(
    model: &Bert,
    settings: &Capture,
    window: Vec<Document>,
    first: u64,
    writer: &mut Writer,
    progress: &mut dyn FnMut(u64),
) -> Result<u64> {
    let mut row = first;
    let mut placed: Vec<(u64, Document)> = Vec::with_capacity(window.len());
    for document in window {
        let length = document.tokens.len() as u64;
        placed.push((row, document));
        row += length;
    }
    placed.sort_by_key(|(_, document)| document.tokens.len());
    let mut done = first;
    for batch in placed.chunks(settings.batch) {
        let sequences: Vec<&[u32]> = batch.iter().map(|(_, document)| document.tokens.as_slice()).collect();
        let mut taken = Vec::new();
        model.forward(&sequences, settings.layer, |layer, neurons, _| {
            if layer == settings.layer {
                taken = unpadded(neurons, &sequences)?;
            }
            Ok(())
        })?;
        for ((row, document), activations) in batch.iter().zip(&taken) {
            writer.write(*row, activations, document.line, &document.tokens)?;
            done += document.tokens.len() as u64;
        }
        progress(done);
    }
    Ok(row)
}

/// Each sequence's rows of `x: (b, t, n)`, without the padding.
fn unpadded(x: &Tensor, sequences: &[&[u32]]) -> Result<Vec<Vec<f32>>> {
    let rows = sequences.iter().enumerate();
    rows.map(|(i, s)| Ok(x.get(i)?.narrow(0, 0, s.len())?.flatten_all()?.to_vec1()?)).collect()
}

/// Writes embeddings, every layer's output and every layer's MLP activations for a few lines, for comparison with
/// another program: `hidden` (layers + 1, tokens, d), `neurons` (layers, tokens, n), `token` (tokens).
///
/// # Errors
/// As [`capture`], and more than 256 lines.
pub fn states(model: &Path, text: &Path, out: &Path, max_lines: u32) -> Result<u64> {
    if max_lines > 256 {
        return Err(format!("{max_lines} lines: states are kept in memory, at most 256").into());
    }
    let model_path = model;
    let model = Bert::read(model_path)?;
    let tokenizer = tokenizer(model_path, model.config.positions)?;
    let documents: Vec<Document> = Documents::open(text, &tokenizer, Some(max_lines))?.collect::<Result<_>>()?;
    let sequences: Vec<&[u32]> = documents.iter().map(|document| document.tokens.as_slice()).collect();
    if sequences.is_empty() {
        return Err(format!("{}: no text", text.display()).into());
    }
    let cut = |x: &Tensor| -> Result<Tensor> {
        let parts: Vec<Tensor> =
            sequences.iter().enumerate().map(|(i, s)| Ok(x.get(i)?.narrow(0, 0, s.len())?)).collect::<Result<_>>()?;
        Ok(Tensor::cat(&parts, 0)?)
    };
    let (mut hidden, mut neurons) = (Vec::new(), Vec::new());
    let start = model.forward(&sequences, model.config.layers - 1, |_, mlp, out| {
        neurons.push(cut(mlp)?);
        hidden.push(cut(out)?);
        Ok(())
    })?;
    hidden.insert(0, cut(&start)?);
    let tokens = sequences.concat();
    let count = tokens.len();
    let tensors = HashMap::from([
        ("hidden", Tensor::stack(&hidden, 0)?),
        ("neurons", Tensor::stack(&neurons, 0)?),
        ("token", Tensor::from_vec(tokens, count, &candle_core::Device::Cpu)?),
    ]);
    let part = out.with_extension(format!("{}.part", std::process::id()));
    candle_core::safetensors::save(&tensors, &part)?;
    std::fs::rename(&part, out).map_err(|e| format!("{}: {e}", out.display()))?;
    Ok(count as u64)
}
