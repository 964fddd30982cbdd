//! Why is a review positive, or negative? A logistic regression on sentence embeddings, and its logit explained.

use std::path::Path;

use limpid::math::logistic::{Logistic, LogisticRegression};
use ndarray::{Array2, Axis};
use tokenizers::Tokenizer;

use super::case::{Case, absent};
use super::sentence::{Sentence, embeddings};
use super::show::{Shown, text, write};
use super::{BUDGET, Settings, record};
use crate::bert::Bert;
use crate::corpus::tokenizer;
use crate::labelled::{Line, read};
use crate::look::check_folder;
use crate::{Error, Result};

/// Weight of the data against the penalty, for rows of length 1.
const C: f64 = 10.0;
/// Lines that are read unless another number is asked for.
const LINES: u32 = 2000;

/// A probe, and what it was tried on.
struct Head {
    probe: Logistic,
    trained: usize,
    held_out: usize,
    accuracy: f64,
}

fn train(model: &Bert, tokenizer: &Tokenizer, lines: &[Line]) -> Result<Head> {
    let ids: Vec<Vec<u32>> =
        lines.iter().map(|line| Ok(Sentence::new(tokenizer, &line.text)?.ids)).collect::<Result<_>>()?;
    let x: Array2<f32> = embeddings(model, &ids.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
    let labels: Vec<bool> = lines.iter().map(|line| line.is_positive).collect();
    // the first fifth is held out
    let held_out = lines.len().div_ceil(5);
    let (test, rest) = x.view().split_at(Axis(0), held_out);
    let probe = LogisticRegression { c: C, ..LogisticRegression::default() }.fit(&rest, &labels[held_out..])?;
    let accuracy = probe.accuracy(&test, &labels[..held_out])?;
    Ok(Head { probe, trained: lines.len() - held_out, held_out, accuracy })
}

/// Trains a head on at most `lines` labelled lines of `file`, and explains its logit for `sentence`, or for the first line
/// that was held out; returns what is to be printed.
///
/// # Errors
/// A missing, damaged or foreign model, lines without labels or of one class only, a place that cannot be written.
pub fn review(
    folder: &Path,
    file: &Path,
    sentence: Option<&str>,
    lines: Option<u32>,
    settings: &Settings,
) -> Result<String> {
    settings.out.as_deref().map_or(Ok(()), check_folder)?;
    let mut all_lines = read(file)?;
    // what is explained must not have been learned
    all_lines.retain(|line| Some(line.text.as_str()) != sentence.map(str::trim));
    all_lines.truncate(lines.unwrap_or(LINES) as usize);
    let first = all_lines.first().ok_or_else(|| Error::at(file, "no text, every line is blank"))?;
    let model = Bert::read(folder)?;
    let tokenizer = tokenizer(folder, model.config.positions)?;
    let (name, id) = absent(&tokenizer, settings.baseline.as_deref())?;
    let labelled = if first.is_positive { " (labelled positive)" } else { " (labelled negative)" };
    let (said, labelled) = sentence.map_or((first.text.as_str(), labelled), |said| (said, ""));
    let sentence = Sentence::new(&tokenizer, said)?;
    let head = train(&model, &tokenizer, &all_lines).map_err(|e| Error::at(file, e))?;
    let logit = head.probe.decision(&embeddings(&model, &[&sentence.ids])?)?[0];
    let (verdict, sign) = if logit > 0.0 { ("positive", 1.0) } else { ("negative", -1.0) };
    let Head { trained, held_out, accuracy, .. } = head;
    let learned = format!("logistic regression on {trained} lines; right on {accuracy:.3} of {held_out} others");
    let lead =
        format!("{said}{labelled}\n{learned}\nverdict: {verdict}, with a logit of {:.3} in its favour", sign * logit);
    let weights = head.probe.weights.mapv(|w| (sign * w) as f32);
    let mut case = Case::new(&model, sentence, id, (weights, sign * head.probe.intercept))?;
    case.threshold = Some(0.0);
    let shown = [Shown::new(format!("Logit for {verdict:?}"), case, settings.budget.unwrap_or(BUDGET))?];
    let printed = text(&lead, &shown, &name)?;
    settings.json.as_ref().map_or(Ok(()), |path| record::write(path, &shown))?;
    match &settings.out {
        None => Ok(printed),
        Some(out) => {
            write(out, &format!("Why is this review {verdict}?"), &lead, &shown, &name)?;
            Ok(format!("{printed}page: {}\n", out.join("index.html").display()))
        }
    }
}
