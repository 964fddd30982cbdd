//! Sentences: tokens, the words they are parts of, and their embeddings.

use candle_core::Tensor;
use limpid::attribution::aggregate::{Marker, Subwords};
use ndarray::Array2;
use tokenizers::Tokenizer;

use crate::bert::{Bert, unpadded};
use crate::support::progress::Bar;
use crate::{Error, Result};

/// Tokens, padding included, that run together.
const AT_ONCE: usize = 1024;

/// A sentence as the model reads it.
#[derive(Debug, Clone)]
pub struct Sentence {
    pub ids: Vec<u32>,
    /// Words as they were written; special tokens are none.
    pub words: Vec<String>,
    /// The word that each token is a part of; none for special tokens.
    pub word_of: Vec<Option<usize>>,
    /// Whether tokens beyond the model's maximum were dropped.
    pub truncated: bool,
}

impl Sentence {
    /// # Errors
    /// Text without a word, or that the tokenizer refuses.
    pub fn new(tokenizer: &Tokenizer, text: &str) -> Result<Self> {
        let encoding = tokenizer.encode(text, true).map_err(|e| Error(format!("{text:?}: {e}")))?;
        let is_special = encoding.get_special_tokens_mask();
        let ordinary: Vec<usize> = (0..is_special.len()).filter(|&i| is_special[i] == 0).collect();
        if ordinary.is_empty() {
            return Err(Error(format!("{text:?}: a sentence without words")));
        }
        let tokens: Vec<&str> = ordinary.iter().map(|&i| encoding.get_tokens()[i].as_str()).collect();
        let (mut words, mut word_of) = (Vec::new(), vec![None; is_special.len()]);
        for span in Subwords::of(Marker::WordPiece).spans(&tokens) {
            let parts = &ordinary[span.clone()];
            parts.iter().for_each(|&part| word_of[part] = Some(words.len()));
            let place = |i: usize| encoding.get_offsets()[i];
            let written = text.get(place(parts[0]).0..place(parts[parts.len() - 1]).1);
            words.push(written.map_or_else(|| tokens[span].concat().replace("##", ""), str::to_owned));
        }
        let truncated = !encoding.get_overflowing().is_empty();
        Ok(Self { ids: encoding.get_ids().to_vec(), words, word_of, truncated })
    }
}

/// Mean of the rows of `x: (.., t, d)`, scaled to length 1: the embedding of a sentence.
///
/// # Errors
/// Rows of another kind than floats.
pub(crate) fn pooled(x: &Tensor) -> Result<Tensor> {
    let mean = x.mean(candle_core::D::Minus2)?;
    Ok(mean.broadcast_div(&mean.sqr()?.sum_keepdim(candle_core::D::Minus1)?.sqrt()?)?)
}

/// Embeddings of sentences, rows of length 1, `(b, d)`.
///
/// # Errors
/// As [`Bert::forward`].
pub fn embeddings(model: &Bert, sentences: &[&[u32]]) -> Result<Array2<f32>> {
    let mut order: Vec<usize> = (0..sentences.len()).collect();
    // neighbours of the same length need no padding
    order.sort_by_key(|&i| sentences[i].len());
    let (mut all, mut bar, mut rest) =
        (Array2::zeros((sentences.len(), model.config.hidden)), Bar::new("embed"), &order[..]);
    while let Some(&first) = rest.first() {
        let (now, later) = rest.split_at((AT_ONCE / sentences[first].len().max(1)).clamp(1, rest.len()));
        let batch: Vec<&[u32]> = now.iter().map(|&i| sentences[i]).collect();
        let last = model.config.layers - 1;
        model.forward(&batch, last, |layer, _, out| {
            if layer == last {
                for (&i, rows) in now.iter().zip(unpadded(out, &batch)?) {
                    let values: Vec<f32> = pooled(&rows)?.to_vec1()?;
                    all.row_mut(i).iter_mut().zip(values).for_each(|(slot, value)| *slot = value);
                }
            }
            Ok(())
        })?;
        rest = later;
        bar.show(order.len() - rest.len(), order.len());
    }
    Ok(all)
}
