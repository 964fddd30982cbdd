//! The one pass over the activations.

use core::ops::Range;

use limpid::sae::Sae;
use ndarray::Array2;

use super::Result;
use super::options::Options;
use super::profile::Profile;

/// Tokens that are encoded together; all their features, active or not, are in memory meanwhile.
const ROWS: usize = 1024;

/// The text: a row is a token.
pub struct Corpus {
    pub tokens: Vec<u32>,
    pub documents: Vec<u32>,
}

/// What the pass found.
pub struct Scanned {
    pub corpus: Corpus,
    pub profiles: Vec<Profile>,
}

/// `read` gives the activations of consecutive rows; `progress` is told how many of all are done.
pub fn scan(
    sae: &Sae<f32>,
    corpus: Corpus,
    options: &Options,
    mut read: impl FnMut(Range<usize>) -> Result<Array2<f32>>,
    mut progress: impl FnMut(usize, usize),
) -> Result<Scanned> {
    let mut profiles = (0..sae.latents()).map(|_| Profile::new(options)).collect::<Result<Vec<_>>>()?;
    for rows in stretches(&corpus.documents, ROWS) {
        let codes = sae.encode_sparse(&read(rows.clone())?)?;
        let of_row = |row: usize| codes.row(row - rows.start).map(move |(feature, value)| (feature, (row, value)));
        let mut firings: Vec<(usize, (usize, f32))> =
            rows.clone().flat_map(of_row).filter(|&(_, (_, value))| value > 0.0).collect();
        firings.sort_unstable_by_key(|&(feature, (row, _))| (feature, row));
        for group in firings.chunk_by(|a, b| a.0 == b.0) {
            let (feature, of_feature) = (group[0].0, group.iter().map(|&(_, firing)| firing).collect::<Vec<_>>());
            profiles[feature].update(feature, &of_feature, &corpus.documents, &rows, options)?;
        }
        progress(rows.end, corpus.tokens.len());
    }
    Ok(Scanned { corpus, profiles })
}

/// Stretches of whole documents of at most `rows` rows; only a longer document is cut, and contexts with it.
fn stretches(documents: &[u32], rows: usize) -> Vec<Range<usize>> {
    let (mut stretches, mut start) = (Vec::new(), 0);
    while start < documents.len() {
        let most = documents.len().min(start + rows);
        let boundary = |&end: &usize| documents.get(end) != documents.get(end - 1);
        let end = (start + 1..=most).rev().find(boundary).unwrap_or(most);
        stretches.push(start..end);
        start = end;
    }
    stretches
}
