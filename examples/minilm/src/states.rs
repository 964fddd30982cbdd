//! All states of a model on a few lines, for comparison with another program.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{Device, Tensor};

use crate::bert::{Bert, unpadded};
use crate::corpus::{Document, Documents, tokenizer};
use crate::draft::Draft;
use crate::{Error, Result};

/// States are kept in memory, so there may not be many.
const MAX_LINES: u32 = 256;
/// Documents that run together.
const BATCH: usize = 8;

/// Writes embeddings, every layer's output and every layer's MLP activations for the first `lines` lines: `hidden`
/// (layers + 1, tokens, d), `neurons` (layers, tokens, n), `token` (tokens). Returns the number of tokens.
///
/// # Errors
/// Anything that is missing, damaged or foreign, more than 256 lines; then no file is left.
pub fn states(folder: &Path, text: &Path, out: &Path, lines: u32, force: bool) -> Result<usize> {
    if lines > MAX_LINES {
        return Err(format!("--max-lines {lines}: states are kept in memory, at most {MAX_LINES}").into());
    }
    let model = Bert::read(folder)?;
    let tokenizer = tokenizer(folder, model.config.positions)?;
    let documents: Vec<Document> = Documents::open(text, &tokenizer, Some(lines))?.collect::<Result<_>>()?;
    let sequences: Vec<&[u32]> = documents.iter().map(|document| document.tokens.as_slice()).collect();
    if sequences.is_empty() {
        return Err(Error::at(text, "no text, every line is blank"));
    }
    let mut draft = Draft::create(out, force)?;
    let (hidden, neurons) = run(&model, &sequences)?;
    let tokens = sequences.concat();
    let count = tokens.len();
    let token = Tensor::from_vec(tokens, count, &Device::Cpu)?;
    let tensors =
        HashMap::from([("hidden".to_owned(), hidden), ("neurons".to_owned(), neurons), ("token".to_owned(), token)]);
    let bytes = safetensors::serialize(tensors, None).map_err(|e| Error::at(out, e))?;
    draft.put(0, &bytes)?;
    draft.finish()?;
    Ok(count)
}

/// `hidden` and `neurons`.
fn run(model: &Bert, sequences: &[&[u32]]) -> Result<(Tensor, Tensor)> {
    let layers = model.config.layers;
    let (mut hidden, mut neurons) = (vec![Vec::new(); layers + 1], vec![Vec::new(); layers]);
    for batch in sequences.chunks(BATCH) {
        let start = model.forward(batch, layers - 1, |layer, mlp, out| {
            neurons[layer].extend(unpadded(mlp, batch)?);
            hidden[layer + 1].extend(unpadded(out, batch)?);
            Ok(())
        })?;
        hidden[0].extend(unpadded(&start, batch)?);
    }
    let stack = |layers: &[Vec<Tensor>]| -> Result<Tensor> {
        let rows: Vec<Tensor> = layers.iter().map(|parts| Ok(Tensor::cat(parts, 0)?)).collect::<Result<_>>()?;
        Ok(Tensor::stack(&rows, 0)?)
    };
    Ok((stack(&hidden)?, stack(&neurons)?))
}
