//! Runs a model over a text and writes what one layer's MLP neurons do, in bounded memory.
//!
//! The text is read twice: once to count tokens, so that the file's header can be written first, and once to run the
//! model. A window of documents is sorted by length so that batches hold little padding; each document's rows then go
//! to their own place, and the file is in the order of the text.

use std::path::PathBuf;

use serde_json::json;

use crate::bert::{Bert, unpadded};
use crate::corpus::{Document, Documents, tokenizer};
use crate::draft::Draft;
use crate::store::Writer;
use crate::support::progress::Bar;
use crate::{Error, Result};

/// Batches whose documents are sorted by length together.
const WINDOW: usize = 32;
/// Tokens of a batch, padding included; memory, above all that of attention, grows with them.
const PADDED: usize = 4096;

/// What to capture.
#[derive(Debug, Clone)]
pub struct Capture {
    pub model: PathBuf,
    pub text: PathBuf,
    pub out: PathBuf,
    pub layer: usize,
    /// Documents that run together, fewer where they are long.
    pub batch: usize,
    pub max_lines: Option<u32>,
    /// Whether an existing file is replaced.
    pub force: bool,
}

/// What was captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Captured {
    pub documents: u64,
    pub tokens: u64,
    /// Documents of which only the first tokens fitted the model.
    pub truncated: u64,
}

/// A document and its first row in the file.
type Placed = (u64, Document);

/// Captures one layer's MLP activations.
///
/// # Errors
/// Anything that is missing, damaged or foreign; then no file is left.
pub fn capture(settings: &Capture) -> Result<Captured> {
    if !(1..=1024).contains(&settings.batch) {
        return Err(format!("--batch {}: not between 1 and 1024", settings.batch).into());
    }
    let model = Bert::read(&settings.model)?;
    model.check_layer(settings.layer)?;
    let tokenizer = tokenizer(&settings.model, model.config.positions)?;
    let documents = || Documents::open(&settings.text, &tokenizer, settings.max_lines);
    let (source, draft) = (documents()?, Draft::create(&settings.out, settings.force)?);
    let counted = count(source)?;
    if counted.tokens == 0 {
        return Err(Error::at(&settings.text, "no text, every line is blank"));
    }
    let about = json!({
        "model": settings.model.display().to_string(),
        "text": settings.text.display().to_string(),
        "layer": settings.layer.to_string(),
        "truncated_documents": counted.truncated.to_string(),
    });
    let mut writer = Writer::new(draft, counted.tokens, model.config.neurons as u64, &about)?;
    if write(&model, settings, documents()?, counted.tokens, &mut writer)? != counted.tokens {
        return Err(Error::at(&settings.text, "the text changed while it was read"));
    }
    writer.finish()?;
    Ok(counted)
}

fn count(mut source: Documents) -> Result<Captured> {
    let (mut counted, mut bar) = (Captured::default(), Bar::new("count"));
    while let Some(document) = source.next().transpose()? {
        counted.documents += 1;
        counted.tokens += document.tokens.len() as u64;
        counted.truncated += u64::from(document.truncated);
        show(&mut bar, source.read_so_far(), 1000);
    }
    Ok(counted)
}

/// Runs the model over all documents; returns the number of rows.
fn write(model: &Bert, settings: &Capture, mut source: Documents, all: u64, writer: &mut Writer) -> Result<u64> {
    let (mut row, mut done, mut bar) = (0, 0, Bar::new("capture"));
    loop {
        let mut window: Vec<Placed> = Vec::new();
        for document in source.by_ref().take(WINDOW * settings.batch) {
            let document = document?;
            let first = row;
            row += document.tokens.len() as u64;
            window.push((first, document));
        }
        if window.is_empty() {
            return Ok(row);
        }
        window.sort_by_key(|(_, document)| document.tokens.len());
        let length = |(_, document): &Placed| document.tokens.len();
        for batch in batches(&window, length, settings.batch, PADDED) {
            done += write_batch(model, settings, batch, writer)?;
            show(&mut bar, done, all);
        }
    }
}

/// Splits documents, which are sorted by `length`, into batches of at most `most` documents and `padded` tokens.
pub(crate) fn batches<D>(mut sorted: &[D], length: impl Fn(&D) -> usize, most: usize, padded: usize) -> Vec<&[D]> {
    let mut batches = Vec::new();
    while !sorted.is_empty() {
        let fits = |count: &usize| count * length(&sorted[count - 1]) <= padded;
        let count = (1..=most.min(sorted.len())).take_while(fits).last().unwrap_or(1);
        let (batch, rest) = sorted.split_at(count);
        batches.push(batch);
        sorted = rest;
    }
    batches
}

/// Returns the number of rows.
fn write_batch(model: &Bert, settings: &Capture, batch: &[Placed], writer: &mut Writer) -> Result<u64> {
    let sequences: Vec<&[u32]> = batch.iter().map(|(_, document)| document.tokens.as_slice()).collect();
    let mut taken = Vec::new();
    model.forward(&sequences, settings.layer, |layer, neurons, _| {
        if layer == settings.layer {
            taken = unpadded(neurons, &sequences)?;
        }
        Ok(())
    })?;
    let mut rows = 0;
    for ((row, document), activations) in batch.iter().zip(&taken) {
        let activations: Vec<f32> = activations.flatten_all()?.to_vec1()?;
        if activations.iter().any(|x| !x.is_finite()) {
            let says = format!("line {} gives activations that are not finite", u64::from(document.line) + 1);
            return Err(Error::at(&settings.model, says));
        }
        writer.write(*row, &activations, document.line, &document.tokens)?;
        rows += document.tokens.len() as u64;
    }
    Ok(rows)
}

fn show(bar: &mut Bar, done: u64, all: u64) {
    let [done, all] = [done, all].map(|n| usize::try_from(n).unwrap_or(usize::MAX));
    bar.show(done.min(all), all);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_bounded_in_documents_and_in_tokens() {
        let sorted = [3, 3, 3, 1000, 2000, 2000, 5000, 9000];
        let lengths = |most| -> Vec<usize> {
            batches(&sorted, |length| *length, most, 4096).iter().map(|batch| batch.len()).collect()
        };
        assert_eq!(lengths(2), [2, 2, 2, 1, 1]);
        assert_eq!(lengths(16), [4, 2, 1, 1]);
        assert!(batches(&[], |length| *length, 16, 4096).is_empty());
    }
}
