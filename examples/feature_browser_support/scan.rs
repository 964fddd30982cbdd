//! The one pass over the activations.

use core::ops::Range;

use limpid::formats::activations::ActivationFile;
use limpid::sae::Sae;

use super::Result;
use super::options::Options;
use super::profile::Profile;

#[path = "../support/progress.rs"]
#[expect(dead_code, reason = "the callback of a training is not needed here")]
mod progress;

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

pub fn scan(sae: &Sae<f32>, mut file: ActivationFile, options: &Options) -> Result<Scanned> {
    let rows = 0..file.rows().min(options.max_rows).min(u32::MAX as usize);
    let corpus = Corpus { tokens: file.column("token", rows.clone())?, documents: file.column("document", rows)? };
    let mut profiles = (0..sae.latents()).map(|_| Profile::new(options)).collect::<Result<Vec<_>>>()?;
    let mut bar = progress::Bar::new("reading");
    for rows in stretches(&corpus.documents, ROWS) {
        let codes = sae.encode_sparse(&file.read(rows.clone())?)?;
        let of_row = |row: usize| codes.row(row - rows.start).map(move |(feature, value)| (feature, (row, value)));
        let mut firings: Vec<(usize, (usize, f32))> =
            rows.clone().flat_map(of_row).filter(|&(_, (_, value))| value > 0.0).collect();
        firings.sort_unstable_by_key(|&(feature, (row, _))| (feature, row));
        for group in firings.chunk_by(|a, b| a.0 == b.0) {
            let (feature, of_feature) = (group[0].0, group.iter().map(|&(_, firing)| firing).collect::<Vec<_>>());
            profiles[feature].update(feature, &of_feature, &corpus.documents, &rows, options)?;
        }
        bar.show(rows.end, corpus.tokens.len());
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
