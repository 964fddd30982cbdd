//! The page on which features are looked through, with what they do to the logits.

use std::ops::Range;
use std::path::Path;

use limpid::sae::Sae;
use ndarray::{Array2, Axis, Slice, concatenate};
use serde_json::json;

use crate::compare::Subject;
use crate::feature_page::neighbours;
use crate::feature_page::options::Options;
use crate::feature_page::page::{Page, html};
use crate::feature_page::scan::{Corpus, scan};
use crate::feature_page::vocabulary::Vocabulary as Words;
use crate::model::{Frozen, Shape};
use crate::reading::Reading;
use crate::saved::write;
use crate::support::progress::Bar;
use crate::text::Vocabulary;
use crate::{Error, Result};

/// What one unit of each feature adds to the logits, `(f, v)`: its direction, through the weights after the neurons.
///
/// ```text
/// effects = W_dec W_out U
/// ```
///
/// # Errors
/// Those of candle.
pub fn effects(model: &Frozen, sae: &Sae<f32>) -> Result<Array2<f32>> {
    Ok(sae.w_dec.dot(&model.logit_effects()?))
}

/// Writes `index.html` into `folder`, on the text of at most `windows` training windows; returns its size in bytes.
///
/// # Errors
/// A folder that cannot be written.
pub(crate) fn browse(
    subject: Subject<'_>,
    vocabulary: &Vocabulary,
    (windows, seed): (usize, u64),
    folder: &Path,
) -> Result<usize> {
    let Subject { model, text, sae } = subject;
    let context = model.shape.context;
    let starts = text.some_windows(false, context, windows);
    let tokens: Vec<u32> = starts.iter().flat_map(|&start| text.window(start, context)).copied().collect();
    let documents = (0..).zip(&starts).flat_map(|(document, _)| std::iter::repeat_n(document, context)).collect();
    let out = folder.join("index.html");
    let options = Options { out, max_rows: usize::MAX, top: 10, samples: 15, neighbours: 8, context: 40, seed };
    let mut bar = Bar::new("browser");
    let of = |error: Box<dyn std::error::Error>| Error(error.to_string());
    let read = |rows| activations(subject, &starts, rows).map_err(Into::into);
    let scanned = scan(sae, Corpus { tokens, documents }, &options, read, |done, all| bar.show(done, all));
    let scanned = scanned.map_err(of)?;
    let neighbours = neighbours::nearest(&sae.w_dec, options.neighbours).map_err(of)?;
    let listed: Vec<_> = vocabulary.characters().iter().map(|c| json!([c.to_string(), 0])).collect();
    let words = Words::parse(&json!({ "model": { "vocab": listed } }).to_string(), true).map_err(of)?;
    let effects = effects(model, sae)?;
    let Shape { neurons, .. } = model.shape;
    let title = format!("Features of {neurons} neurons of a one-layer transformer");
    let page =
        Page { title: &title, vocabulary: &words, scanned: &scanned, neighbours: &neighbours, effects: Some(&effects) };
    let html = html(&page).map_err(of)?;
    write(&options.out, html.as_bytes())?;
    Ok(html.len())
}

/// Activations of the neurons in these rows of the windows.
fn activations(subject: Subject<'_>, starts: &[usize], rows: Range<usize>) -> Result<Array2<f32>> {
    let context = subject.model.shape.context;
    let (first, last) = (rows.start / context, rows.end.div_ceil(context));
    let mut parts = Vec::new();
    for starts in starts[first..last].chunks(crate::reading::TOGETHER) {
        parts.push(Reading::new(subject.model, subject.text, starts)?.neurons);
    }
    let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
    let all = concatenate(Axis(0), &views).map_err(|e| Error(e.to_string()))?;
    let from = rows.start - first * context;
    Ok(all.slice_axis(Axis(0), Slice::from(from..from + rows.len())).to_owned())
}
