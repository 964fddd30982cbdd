//! The most influential examples of every query, kept while training data stream by.
//!
//! ```text
//! first: larger key, then smaller number of the example          key = s, -s or |s|
//! ```
//!
//! The order is total, so what is kept does not depend on the order in which shards come. A score that is not a number is
//! an error and never an influential example.

use alloc::vec;
use alloc::vec::Vec;

use crate::error::{check_length, check_limit};
use crate::influence::curvature::sealed::{self, Kind};
use crate::math::merge::{Bytes, Merge, Reader};
use crate::{Error, Result};

/// Most examples that are kept in all.
const MAX_KEPT: usize = 1 << 27;

/// Which end of the scores is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum End {
    /// The largest scores: training on these lowered the query's loss.
    #[default]
    Largest,
    /// The most negative scores.
    Smallest,
    /// The largest magnitudes.
    Magnitude,
}

impl End {
    /// What is as large as possible.
    #[must_use]
    pub fn key(self, score: f64) -> f64 {
        match self {
            Self::Largest => score,
            Self::Smallest => -score,
            Self::Magnitude => score.abs(),
        }
    }
}

/// An example and its score.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Scored {
    /// Number of the example in the corpus.
    pub id: u64,
    /// Its score.
    pub score: f64,
}

/// The best examples of every query.
#[derive(Debug, Clone, PartialEq)]
pub struct TopK {
    k: usize,
    end: End,
    /// Best first.
    kept: Vec<Vec<Scored>>,
}

impl TopK {
    /// Nothing seen yet; `k` examples for each of `queries`.
    ///
    /// # Errors
    /// [`Error::TooLarge`] for more than 2²⁷ examples in all.
    ///
    /// # Example
    /// ```
    /// use limpid::influence::{End, TopK};
    ///
    /// let mut top = TopK::new(1, 2, End::Largest)?;
    /// for (id, score) in [(7, 0.5), (3, 2.0), (1, 2.0)] {
    ///     top.push(0, id, score)?;
    /// }
    /// assert_eq!(top.of(0).iter().map(|scored| scored.id).collect::<Vec<_>>(), [1, 3]);
    /// assert!(top.push(0, 9, f64::NAN).is_err());
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn new(queries: usize, k: usize, end: End) -> Result<Self> {
        check_limit("queries", queries, MAX_KEPT)?;
        check_limit("examples that are kept", queries.saturating_mul(k), MAX_KEPT)?;
        Ok(Self { k, end, kept: vec![Vec::new(); queries] })
    }

    /// Takes up the score of an example.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a query that does not exist, [`Error::NotFinite`] for a score that is not finite.
    pub fn push(&mut self, query: usize, id: u64, score: f64) -> Result<()> {
        if query >= self.kept.len() {
            return Err(Error::OutOfRange { what: "query", index: 0, value: query as f64, expected: "a query" });
        }
        if !score.is_finite() {
            return Err(Error::NotFinite { what: "score", index: query });
        }
        self.insert(query, Scored { id, score });
        Ok(())
    }

    /// The examples of a query, best first; none for a query that does not exist.
    #[must_use]
    pub fn of(&self, query: usize) -> &[Scored] {
        self.kept.get(query).map_or(&[], Vec::as_slice)
    }

    /// Number of queries.
    #[must_use]
    pub fn queries(&self) -> usize {
        self.kept.len()
    }

    /// How many are kept at most.
    #[must_use]
    pub fn k(&self) -> usize {
        self.k
    }

    /// Which end is looked for.
    #[must_use]
    pub fn end(&self) -> End {
        self.end
    }

    /// The key that an example must reach to be kept; `None` while there is room, infinity where nothing is kept.
    #[must_use]
    pub fn threshold(&self, query: usize) -> Option<f64> {
        if self.k == 0 {
            return Some(f64::INFINITY);
        }
        let kept = self.kept.get(query)?;
        (kept.len() >= self.k).then(|| kept.last().map_or(f64::INFINITY, |last| self.end.key(last.score)))
    }

    /// Scores the kept examples again, with something too costly for all of them, and sorts them by it.
    ///
    /// # Errors
    /// [`Error::NotFinite`] for a new score that is not finite, and what `score(query, id)` returns.
    pub fn rescore<E: From<Error>>(&self, mut score: impl FnMut(usize, u64) -> Result<f64, E>) -> Result<Self, E> {
        let mut out = Self::new(self.kept.len(), self.k, self.end)?;
        for (query, kept) in self.kept.iter().enumerate() {
            for scored in kept {
                out.push(query, scored.id, score(query, scored.id)?)?;
            }
        }
        Ok(out)
    }

    fn order(&self, a: &Scored, b: &Scored) -> core::cmp::Ordering {
        let keys = self.end.key(b.score).partial_cmp(&self.end.key(a.score));
        let by_id = a.id.cmp(&b.id);
        // -0.0 and 0.0 are equal scores; their order must be the same everywhere too
        keys.unwrap_or(core::cmp::Ordering::Equal).then(by_id).then(b.score.total_cmp(&a.score))
    }

    fn insert(&mut self, query: usize, new: Scored) {
        let kept = &self.kept[query];
        let at = kept.partition_point(|other| self.order(other, &new).is_lt());
        if at < self.k {
            let kept = &mut self.kept[query];
            kept.truncate(self.k - 1);
            kept.insert(at, new);
        }
    }
}

impl Merge for TopK {
    fn merge(&mut self, other: &Self) -> Result<()> {
        check_length("queries of the other", other.kept.len(), self.kept.len())?;
        if (self.k, self.end) != (other.k, other.end) {
            return Err(Error::Unsupported { what: "merging top examples of another number or end" });
        }
        for (query, kept) in other.kept.iter().enumerate() {
            kept.iter().for_each(|scored| self.insert(query, *scored));
        }
        Ok(())
    }
}

impl Bytes for TopK {
    fn write(&self, out: &mut Vec<u8>) {
        sealed::write(Kind::TopK, out, |out| {
            let end = match self.end {
                End::Largest => 0_u64,
                End::Smallest => 1,
                End::Magnitude => 2,
            };
            let mut number = |x: u64| out.extend(x.to_le_bytes());
            [self.k as u64, end, self.kept.len() as u64].into_iter().for_each(&mut number);
            for kept in &self.kept {
                number(kept.len() as u64);
                kept.iter().for_each(|scored| [scored.id, scored.score.to_bits()].into_iter().for_each(&mut number));
            }
        });
    }

    fn read(input: &mut Reader<'_>) -> Result<Self> {
        sealed::read(Kind::TopK, input, |input| {
            let error = input.error("top examples");
            let k = usize::try_from(input.u64("a number of examples")?).map_err(|_| error)?;
            let end = match input.u64("an end")? {
                0 => End::Largest,
                1 => End::Smallest,
                2 => End::Magnitude,
                _ => return Err(error),
            };
            let mut top = Self::new(input.count(8, "a number of queries")?, k, end).map_err(|_| error)?;
            for query in 0..top.kept.len() {
                let count = input.count(16, "a number of examples")?;
                for _ in 0..count {
                    let scored = Scored { id: input.u64("an example")?, score: input.f64("a score")? };
                    let last = top.kept[query].last();
                    let follows = last.is_none_or(|last| top.order(last, &scored).is_le());
                    if !(scored.score.is_finite() && follows && top.kept[query].len() < k) {
                        return Err(error);
                    }
                    top.kept[query].push(scored);
                }
            }
            Ok(top)
        })
    }
}
