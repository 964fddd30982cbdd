//! One sentence and one number that is read off its embedding: what all methods are given.

use limpid::attribution::aggregate::{Aggregation, over_groups, over_last_axis};
use limpid::attribution::{Batch, Forward};
use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2, Axis};
use tokenizers::Tokenizer;

use super::model::Explained;
use super::sentence::Sentence;
use crate::bert::Bert;
use crate::{Error, Result};

/// Tokens of a model call.
const AT_ONCE: usize = 512;

/// What is to be explained.
pub(crate) struct Case<'a> {
    bert: &'a Bert,
    /// The number is `e·weights + offset` of the sentence's embedding `e`.
    pub(crate) weights: Array1<f32>,
    pub(crate) offset: f64,
    pub(crate) sentence: Sentence,
    /// Word embeddings `(1, t d)`.
    pub(crate) x: Array2<f32>,
    /// The same with every word absent, special tokens kept.
    pub(crate) baseline: Array2<f32>,
    /// Id of the token that stands for an absent one.
    pub(crate) absent: u32,
    /// The number itself.
    pub(crate) value: f64,
    /// The number with every word absent.
    pub(crate) base: f64,
    /// Number above which a verdict holds, where there is one.
    pub(crate) threshold: Option<f32>,
}

impl<'a> Case<'a> {
    pub(crate) fn new(
        bert: &'a Bert,
        sentence: Sentence,
        absent: u32,
        (weights, offset): (Array1<f32>, f64),
    ) -> Result<Self> {
        let row = |ids: &[u32]| -> Result<Array2<f32>> {
            let values: Vec<f32> = bert.word_embeddings(ids)?.flatten_all()?.to_vec1()?;
            Array2::from_shape_vec((1, values.len()), values).map_err(|e| Error(e.to_string()))
        };
        let places = sentence.ids.iter().zip(&sentence.word_of);
        let without: Vec<u32> = places.map(|(&id, word)| word.map_or(id, |_| absent)).collect();
        let (x, baseline) = (row(&sentence.ids)?, row(&without)?);
        let mut case =
            Self { bert, weights, offset, sentence, x, baseline, absent, value: 0.0, base: 0.0, threshold: None };
        let mut model = case.model()?;
        let mut value = |x: &Array2<f32>| -> Result<f64> {
            let mut out = Array2::zeros((1, 1));
            model.forward(x, &mut out)?;
            Ok(f64::from(out[[0, 0]]))
        };
        (case.value, case.base) = (value(&case.x)?, value(&case.baseline)?);
        Ok(case)
    }

    pub(crate) fn model(&self) -> Result<Explained<'a>> {
        Explained::new(self.bert, self.sentence.ids.len(), &self.weights, self.offset)
    }

    /// Rows of a model call.
    pub(crate) fn batch(&self) -> Batch {
        Batch::Rows((AT_ONCE / self.sentence.ids.len().max(1)).clamp(1, 64))
    }

    /// The group of every feature: words, or tokens. Special tokens, which never change, are with the first word.
    pub(crate) fn groups(&self, words: bool) -> Vec<usize> {
        let mut tokens = 0;
        let of_token = self.sentence.word_of.iter().map(|&word| {
            let Some(word) = word else { return 0 };
            tokens += 1;
            if words { word } else { tokens - 1 }
        });
        of_token.flat_map(|group| std::iter::repeat_n(group, self.bert.config.hidden)).collect()
    }

    /// One number for each token from `values: (1, t d)`; 0 for special tokens, which were not changed or have no say.
    pub(crate) fn of_tokens(&self, values: &ArrayRef2<f32>, how: Aggregation) -> Result<Array1<f64>> {
        let shape = (1, self.sentence.ids.len(), self.bert.config.hidden);
        let values = values.mapv(f64::from).into_shape_with_order(shape).map_err(|e| Error(e.to_string()))?;
        let mut tokens = over_last_axis(&values, how)?.remove_axis(Axis(0));
        for (token, _) in tokens.iter_mut().zip(&self.sentence.word_of).filter(|(_, word)| word.is_none()) {
            *token = 0.0;
        }
        Ok(tokens)
    }

    /// One number for each word from `tokens: (t)`.
    pub(crate) fn of_words(&self, tokens: &ArrayRef1<f64>, how: Aggregation) -> Result<Array1<f64>> {
        let ordinary: (Vec<f64>, Vec<usize>) =
            tokens.iter().zip(&self.sentence.word_of).filter_map(|(&token, &word)| Some((token, word?))).unzip();
        let row = Array1::from(ordinary.0).insert_axis(Axis(0));
        Ok(over_groups(&row, &ordinary.1, how)?.remove_axis(Axis(0)))
    }
}

/// Id of the token that stands for absent ones: the one named, or else `[MASK]`, or else `[PAD]`.
///
/// # Errors
/// A token that the vocabulary does not have.
pub(crate) fn absent(tokenizer: &Tokenizer, named: Option<&str>) -> Result<(String, u32)> {
    let known = |name: &str| Some((name.to_owned(), tokenizer.token_to_id(name)?));
    match named {
        Some(name) => known(name).ok_or_else(|| Error(format!("--baseline {name}: no such token"))),
        None => known("[MASK]")
            .or_else(|| known("[PAD]"))
            .ok_or_else(|| Error("no [MASK] or [PAD]: name one with --baseline".to_owned())),
    }
}
