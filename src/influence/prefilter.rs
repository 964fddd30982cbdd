//! Which documents share rare tokens with a query: a first choice before gradients are computed for the rest.
//!
//! ```text
//! presence BM25   score(q, D) = Σ_t∈q, distinct 1[t ∈ D] IDF_t,   IDF_t = ln((n - df_t + 1/2)/(df_t + 1/2) + 1)
//! TF-IDF          score(q, D) = v_q · v_D,   v_t = tf_t IDF_t / ‖v‖,   IDF_t = ln((1 + n)/(1 + df_t)) + 1  (smooth)
//! n documents, df_t of them hold t;   tf = count of t, or 1 + ln(count)
//! ```
//!
//! BM25's saturation `(k₁ + 1) tf/(k₁ + tf)` is exactly 1 where only presence counts, so there is no `k₁` to choose.
//!
//! The choice is blind to influence without shared words, such as that between languages or of an abstract idea, and this is
//! the interesting part: draw candidates in another way as well (a low-rank projection of gradients, an embedding), and let
//! [`Overlap`] say how much the two agree.
//!
//! Source: Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009), for the
//! weights; Grosse et al., "Studying Large Language Model Generalization with Influence Functions" (arXiv 2308.03296),
//! section 3.2, for the use.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use ndarray::{Array1, Array2, ArrayRef1};

use super::curvature::sealed::{self, Kind};
use crate::error::check_limit;
use crate::math::merge::{Bytes, Merge, Reader};
use crate::math::par::for_each_chunk_mut;
use crate::math::rank::largest_first;
use crate::{Error, Result};

/// Most scores that are held at once.
const MAX_SCORES: usize = 1 << 28;

/// Scores that [`Prefilter::top`] holds at once.
const BLOCK_SCORES: usize = 1 << 20;

/// How many documents hold each token: merges over shards of a corpus.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DocumentCounts {
    documents: u64,
    frequency: BTreeMap<u64, u64>,
}

impl DocumentCounts {
    /// Counts more documents, each a list of token ids.
    ///
    /// # Example
    /// ```
    /// use limpid::influence::prefilter::DocumentCounts;
    ///
    /// let mut counts = DocumentCounts::default();
    /// counts.update([[1, 2, 2], [2, 3, 3]]);
    /// assert_eq!((counts.documents(), counts.frequency(2), counts.frequency(9)), (2, 2, 0));
    /// ```
    pub fn update<D: AsRef<[u64]>>(&mut self, documents: impl IntoIterator<Item = D>) {
        for document in documents {
            self.documents += 1;
            for (token, _) in token_counts(document.as_ref()) {
                *self.frequency.entry(token).or_insert(0) += 1;
            }
        }
    }

    /// Number of documents.
    #[must_use]
    pub fn documents(&self) -> u64 {
        self.documents
    }

    /// Number of documents that hold a token.
    #[must_use]
    pub fn frequency(&self, token: u64) -> u64 {
        self.frequency.get(&token).copied().unwrap_or(0)
    }

    /// Tokens that some document holds, ascending.
    pub fn vocabulary(&self) -> impl Iterator<Item = u64> + '_ {
        self.frequency.keys().copied()
    }
}

impl Merge for DocumentCounts {
    fn merge(&mut self, other: &Self) -> Result<()> {
        // no frequency exceeds the number of documents, so that none overflows where it does not
        let full = Error::Unsupported { what: "more than 2^64 documents" };
        self.documents = self.documents.checked_add(other.documents).ok_or(full)?;
        for (&token, &count) in &other.frequency {
            *self.frequency.entry(token).or_insert(0) += count;
        }
        Ok(())
    }
}

impl Bytes for DocumentCounts {
    fn write(&self, out: &mut Vec<u8>) {
        sealed::write(Kind::DocumentCounts, out, |out| {
            for word in [self.documents, self.frequency.len() as u64] {
                out.extend(word.to_le_bytes());
            }
            for (&token, &count) in &self.frequency {
                out.extend(token.to_le_bytes());
                out.extend(count.to_le_bytes());
            }
        });
    }

    fn read(input: &mut Reader<'_>) -> Result<Self> {
        sealed::read(Kind::DocumentCounts, input, Self::read_body)
    }
}

impl DocumentCounts {
    fn read_body(input: &mut Reader<'_>) -> Result<Self> {
        let documents = input.u64("a number of documents")?;
        let mut frequency = BTreeMap::new();
        for _ in 0..input.count(16, "a number of tokens")? {
            let error = input.error("ascending tokens, each in 1 to all documents");
            let (token, count) = (input.u64("a token")?, input.u64("a document frequency")?);
            let ascending = frequency.last_key_value().is_none_or(|(&last, _)| last < token);
            if !ascending || count == 0 || count > documents {
                return Err(error);
            }
            frequency.insert(token, count);
        }
        Ok(Self { documents, frequency })
    }
}

/// Distinct tokens with how often they occur, ascending.
fn token_counts(document: &[u64]) -> Vec<(u64, usize)> {
    let mut sorted = document.to_vec();
    sorted.sort_unstable();
    sorted.chunk_by(|a, b| a == b).map(|equal| (equal[0], equal.len())).collect()
}

/// How a shared token counts. The default is presence BM25.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Weighting {
    /// The sum of the weights of the distinct tokens that both have.
    #[default]
    Bm25Presence,
    /// The product of weighted token counts.
    TfIdf {
        /// One more document that holds every token: no weight is extreme.
        smooth_idf: bool,
        /// `1 + ln(count)` instead of the count.
        sublinear_tf: bool,
        /// Vectors of length 1; one without a known token stays 0.
        normalise: bool,
    },
}

impl Weighting {
    /// TF-IDF as text libraries have it by default: smooth, plain counts, length 1.
    pub const TF_IDF: Self = Self::TfIdf { smooth_idf: true, sublinear_tf: false, normalise: true };

    fn idf(self, documents: f64, frequency: f64) -> f64 {
        match self {
            Self::Bm25Presence => libm::log((documents - frequency + 0.5) / (frequency + 0.5) + 1.0),
            Self::TfIdf { smooth_idf: true, .. } => libm::log((1.0 + documents) / (1.0 + frequency)) + 1.0,
            Self::TfIdf { .. } => libm::log(documents / frequency) + 1.0,
        }
    }

    /// The entry of a token that occurs `count` times, before normalisation. A query leaves the weight of BM25 to the
    /// document.
    fn entry(self, idf: f64, count: usize, is_query: bool) -> f64 {
        match self {
            Self::Bm25Presence if is_query => 1.0,
            Self::Bm25Presence => idf,
            Self::TfIdf { sublinear_tf: true, .. } => idf * (1.0 + libm::log(count as f64)),
            Self::TfIdf { .. } => idf * count as f64,
        }
    }
}

/// Scores of documents for queries by shared tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct Prefilter {
    weighting: Weighting,
    idf: BTreeMap<u64, f64>,
}

impl Prefilter {
    /// A prefilter with the document frequencies of a corpus.
    ///
    /// # Example
    /// ```
    /// use limpid::influence::prefilter::{DocumentCounts, Prefilter, Weighting};
    ///
    /// let documents = [[1, 2, 3], [2, 2, 4], [5, 1, 1], [6, 7, 8]];
    /// let mut counts = DocumentCounts::default();
    /// counts.update(&documents);
    /// let filter = Prefilter::new(&counts, Weighting::Bm25Presence);
    /// let scores = filter.scores(&[[1, 2, 9]], &documents)?;
    /// let ln2 = 2.0_f64.ln();
    /// assert!((scores[[0, 0]] - 2.0 * ln2).abs() < 1e-15 && scores[[0, 3]] == 0.0);
    /// assert_eq!(filter.top(&[[1, 2, 9]], &documents, 2), [[0, 1]]);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    #[must_use]
    pub fn new(counts: &DocumentCounts, weighting: Weighting) -> Self {
        let documents = counts.documents as f64;
        let idf = counts.frequency.iter().map(|(&token, &df)| (token, weighting.idf(documents, df as f64))).collect();
        Self { weighting, idf }
    }

    /// Weights of the vocabulary, tokens ascending.
    #[must_use]
    pub fn idf(&self) -> Array1<f64> {
        self.idf.values().copied().collect()
    }

    /// Scores `(queries, documents)`. Tokens that no counted document holds are ignored.
    ///
    /// # Errors
    /// [`Error::TooLarge`] beyond 2²⁸ scores: take [`Prefilter::top`].
    pub fn scores<Q: AsRef<[u64]>, D: AsRef<[u64]> + Sync>(
        &self,
        queries: &[Q],
        documents: &[D],
    ) -> Result<Array2<f64>> {
        check_limit("queries times documents", queries.len().saturating_mul(documents.len()), MAX_SCORES)?;
        let by_document = self.block(&self.postings(queries), queries.len(), documents);
        Ok(by_document.t().as_standard_layout().into_owned())
    }

    /// Indices of the `keep` best documents of each query, best first, equal scores by index; holds no matrix of scores.
    #[must_use]
    pub fn top<Q: AsRef<[u64]>, D: AsRef<[u64]> + Sync>(
        &self,
        queries: &[Q],
        documents: &[D],
        keep: usize,
    ) -> Vec<Vec<usize>> {
        let postings = self.postings(queries);
        let mut best: Vec<Vec<(usize, f64)>> = vec![Vec::new(); queries.len()];
        let size = (BLOCK_SCORES / queries.len().max(1)).max(1);
        for (block, documents) in documents.chunks(size).enumerate() {
            let scores = self.block(&postings, queries.len(), documents);
            for (best, scores) in best.iter_mut().zip(scores.columns()) {
                take_better(best, &scores, block * size, keep);
            }
        }
        best.into_iter().map(|best| best.into_iter().map(|(document, _)| document).collect()).collect()
    }

    /// For each token of the queries, the queries that hold it with its entry.
    fn postings<Q: AsRef<[u64]>>(&self, queries: &[Q]) -> BTreeMap<u64, Vec<(usize, f64)>> {
        let mut postings: BTreeMap<u64, Vec<(usize, f64)>> = BTreeMap::new();
        for (query, tokens) in queries.iter().enumerate() {
            for (token, entry) in self.vector(tokens.as_ref(), true) {
                postings.entry(token).or_default().push((query, entry));
            }
        }
        postings
    }

    /// Known tokens with their entries, ascending.
    fn vector(&self, tokens: &[u64], is_query: bool) -> Vec<(u64, f64)> {
        let entry = |(token, count)| Some((token, self.weighting.entry(*self.idf.get(&token)?, count, is_query)));
        let mut vector: Vec<(u64, f64)> = token_counts(tokens).into_iter().filter_map(entry).collect();
        if matches!(self.weighting, Weighting::TfIdf { normalise: true, .. }) {
            let length = libm::sqrt(vector.iter().map(|(_, x)| x * x).sum());
            vector.iter_mut().for_each(|(_, x)| *x /= length);
        }
        vector
    }

    /// Scores `(documents, queries)`.
    fn block<D: AsRef<[u64]> + Sync>(
        &self,
        postings: &BTreeMap<u64, Vec<(usize, f64)>>,
        queries: usize,
        documents: &[D],
    ) -> Array2<f64> {
        let mut scores = Array2::zeros((documents.len(), queries));
        let Some(all) = scores.as_slice_mut() else { return scores };
        for_each_chunk_mut(all, queries, |document, scores| {
            for (token, entry) in
                documents.get(document).map(|tokens| self.vector(tokens.as_ref(), false)).unwrap_or_default()
            {
                for &(query, of_query) in postings.get(&token).into_iter().flatten() {
                    scores[query] += of_query * entry;
                }
            }
        });
        scores
    }
}

/// Takes the scores of the documents from `start` into the `keep` best so far.
fn take_better(best: &mut Vec<(usize, f64)>, scores: &ArrayRef1<f64>, start: usize, keep: usize) {
    best.extend(largest_first(scores, keep).into_iter().map(|at| (start + at, scores[at])));
    // stable: earlier documents first among equals
    best.sort_by(|a, b| b.1.total_cmp(&a.1));
    best.truncate(keep);
}

/// How much two choices of candidates have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Overlap {
    /// Candidates of both.
    pub both: usize,
    /// Candidates of the first alone.
    pub only_first: usize,
    /// Candidates of the second alone.
    pub only_second: usize,
}

impl Overlap {
    /// Compares two lists of candidates; one that a list holds twice counts once.
    ///
    /// # Example
    /// ```
    /// use limpid::influence::prefilter::Overlap;
    ///
    /// let overlap = Overlap::of(&[4, 1, 3], &[3, 4, 9, 7]);
    /// assert_eq!((overlap.both, overlap.only_first, overlap.only_second), (2, 1, 2));
    /// assert_eq!(overlap.jaccard(), Some(0.4));
    /// ```
    #[must_use]
    pub fn of(first: &[usize], second: &[usize]) -> Self {
        let distinct = |list: &[usize]| {
            let mut list = list.to_vec();
            list.sort_unstable();
            list.dedup();
            list
        };
        let (first, second) = (distinct(first), distinct(second));
        let both = first.iter().filter(|candidate| second.binary_search(candidate).is_ok()).count();
        Self { both, only_first: first.len() - both, only_second: second.len() - both }
    }

    /// Shared candidates among all; `None` where both lists are empty.
    #[must_use]
    pub fn jaccard(&self) -> Option<f64> {
        let all = self.both + self.only_first + self.only_second;
        (all > 0).then(|| self.both as f64 / all as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::merge::Shards;
    use ndarray::Axis;

    fn corpus() -> Vec<Vec<u64>> {
        (0..40_u64).map(|d| (0..d % 7).map(|t| (d * d + 3 * t * t) % 23).collect()).collect()
    }

    fn counts(documents: &[Vec<u64>]) -> DocumentCounts {
        let mut counts = DocumentCounts::default();
        counts.update(documents);
        counts
    }

    #[test]
    fn shards_in_any_order_count_like_one_pass() {
        let documents = corpus();
        let mut shards = Shards::default();
        for (number, part) in documents.chunks(9).enumerate().rev() {
            shards.insert(number as u64, counts(part)).unwrap();
        }
        assert_eq!(shards.total().unwrap().unwrap(), counts(&documents));
    }

    #[test]
    fn bytes_come_back_and_bad_ones_are_refused() {
        let counts = counts(&corpus());
        let bytes = counts.to_bytes();
        assert_eq!(DocumentCounts::from_bytes(&bytes).unwrap(), counts);
        for end in 0..bytes.len() {
            assert!(matches!(DocumentCounts::from_bytes(&bytes[..end]), Err(Error::Parse { .. })), "{end}");
        }
        for at in 0..bytes.len() {
            let mut wrong = bytes.clone();
            wrong[at] ^= 0x40;
            assert!(matches!(DocumentCounts::from_bytes(&wrong), Err(Error::Parse { .. })), "{at}");
        }
        let (mut many, other) = (counts.clone(), counts);
        many.documents = u64::MAX;
        assert!(many.merge(&other).is_err() && many.documents == u64::MAX);
    }

    #[test]
    fn the_best_documents_are_those_of_the_scores() {
        let documents = corpus();
        let queries = [vec![3, 7, 12, 3], vec![], vec![99], vec![0, 22, 5]];
        for weighting in [Weighting::Bm25Presence, Weighting::TF_IDF] {
            let filter = Prefilter::new(&counts(&documents), weighting);
            let scores = filter.scores(&queries, &documents).unwrap();
            for keep in [0, 1, 5, 99] {
                let expected: Vec<Vec<usize>> =
                    scores.rows().into_iter().map(|row| largest_first(&row, keep)).collect();
                assert_eq!(filter.top(&queries, &documents, keep), expected);
            }
            assert!(scores.index_axis(Axis(0), 2).iter().all(|score| *score == 0.0));
        }
    }

    #[test]
    fn a_document_is_most_like_itself() {
        let documents = corpus();
        let filter = Prefilter::new(&counts(&documents), Weighting::TF_IDF);
        let scores = filter.scores(&documents, &documents).unwrap();
        for (i, document) in documents.iter().enumerate() {
            let expected = if document.is_empty() { 0.0 } else { 1.0 };
            assert!((scores[[i, i]] - expected).abs() < 1e-14);
        }
    }

    #[test]
    fn nothing_is_a_corpus_too() {
        let filter = Prefilter::new(&DocumentCounts::default(), Weighting::default());
        assert_eq!(filter.idf().len(), 0);
        assert_eq!(filter.scores(&[[1_u64]], &[[1_u64]]).unwrap()[[0, 0]], 0.0);
        assert_eq!(filter.scores::<[u64; 1], [u64; 1]>(&[], &[]).unwrap().dim(), (0, 0));
        assert_eq!(Overlap::of(&[], &[]).jaccard(), None);
    }
}
