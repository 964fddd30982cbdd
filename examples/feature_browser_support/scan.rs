//! The one pass over the activations.

use core::ops::Range;

use limpid::sae::{Codes, Sae};
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
    let mut scan = Scan::new(sae.latents(), corpus, options)?;
    loop {
        let rows = scan.rows();
        if rows.is_empty() {
            return scan.finish().ok_or_else(|| "rows are left".into());
        }
        scan.take(&sae.encode_sparse(&read(rows.clone())?)?, options)?;
        progress(rows.end, scan.found.corpus.tokens.len());
    }
}

/// A pass that has come to some row.
pub struct Scan {
    found: Scanned,
    done: usize,
}

impl Scan {
    pub fn new(latents: usize, corpus: Corpus, options: &Options) -> Result<Self> {
        let profiles = (0..latents).map(|_| Profile::new(options)).collect::<Result<_>>()?;
        Ok(Self { found: Scanned { corpus, profiles }, done: 0 })
    }

    /// The rows that come next; none in the end.
    pub fn rows(&self) -> Range<usize> {
        stretch(&self.found.corpus.documents, self.done, ROWS)
    }

    /// Takes up the features of these rows.
    pub fn take(&mut self, codes: &Codes<f32>, options: &Options) -> Result<()> {
        let (rows, Scanned { corpus, profiles }) = (self.rows(), &mut self.found);
        if codes.rows() != rows.len() || codes.latents() != profiles.len() {
            return Err("these are not the features of the rows that come next".into());
        }
        let of_row = |row: usize| codes.row(row - rows.start).map(move |(feature, value)| (feature, (row, value)));
        let mut firings: Vec<(usize, (usize, f32))> =
            rows.clone().flat_map(of_row).filter(|&(_, (_, value))| value > 0.0).collect();
        firings.sort_unstable_by_key(|&(feature, (row, _))| (feature, row));
        for group in firings.chunk_by(|a, b| a.0 == b.0) {
            let (feature, of_feature) = (group[0].0, group.iter().map(|&(_, firing)| firing).collect::<Vec<_>>());
            profiles[feature].update(feature, &of_feature, &corpus.documents, &rows, options)?;
        }
        self.done = rows.end;
        Ok(())
    }

    /// What was found; `None` where rows are left.
    pub fn finish(self) -> Option<Scanned> {
        self.rows().is_empty().then_some(self.found)
    }
}

/// The next stretch of whole documents of at most `rows` rows; only a longer document is cut, and contexts with it.
fn stretch(documents: &[u32], start: usize, rows: usize) -> Range<usize> {
    let most = documents.len().min(start + rows);
    let boundary = |&end: &usize| documents.get(end) != documents.get(end - 1);
    start..(start + 1..=most).rev().find(boundary).unwrap_or(most)
}
