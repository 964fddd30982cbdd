//! Why are two sentences similar? The cosine of their embeddings, explained by the words of each with the other held fixed.

use std::path::Path;

use limpid::math::reduce::dot;

use super::case::{Case, absent};
use super::sentence::{Sentence, embeddings};
use super::show::{Shown, text, write};
use super::{BUDGET, Settings, record};
use crate::Result;
use crate::bert::Bert;
use crate::corpus::tokenizer;
use crate::look::check_folder;

const NAMES: [&str; 2] = ["a", "b"];

/// Explains the similarity of `a` and `b`; returns what is to be printed.
///
/// # Errors
/// A missing, damaged or foreign model, a sentence without words, a place that cannot be written.
pub fn similar(folder: &Path, [a, b]: [&str; 2], settings: &Settings) -> Result<String> {
    settings.out.as_deref().map_or(Ok(()), check_folder)?;
    let model = Bert::read(folder)?;
    let tokenizer = tokenizer(folder, model.config.positions)?;
    let (name, id) = absent(&tokenizer, settings.baseline.as_deref())?;
    let sentences = [Sentence::new(&tokenizer, a)?, Sentence::new(&tokenizer, b)?];
    let embedded = embeddings(&model, &[&sentences[0].ids, &sentences[1].ids])?;
    let cosine = dot(&embedded.row(0), &embedded.row(1))?;
    let lead = format!("a: {a}\nb: {b}\ncosine of the embeddings: {cosine:.3}");
    let mut shown = Vec::new();
    for (sentence, (this, other)) in sentences.into_iter().zip([(0, 1), (1, 0)]) {
        let case = Case::new(&model, sentence, id, (embedded.row(other).to_owned(), 0.0))?;
        let title = format!("Words of {}, with {} held fixed", NAMES[this], NAMES[other]);
        shown.push(Shown::new(title, case, settings.budget.unwrap_or(BUDGET))?);
    }
    let printed = text(&lead, &shown, &name)?;
    settings.json.as_ref().map_or(Ok(()), |path| record::write(path, &shown))?;
    match &settings.out {
        None => Ok(printed),
        Some(out) => {
            write(out, "Why are these two sentences similar?", &lead, &shown, &name)?;
            Ok(format!("{printed}page: {}\n", out.join("index.html").display()))
        }
    }
}
