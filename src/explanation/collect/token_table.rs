//! Mean activation of a neuron at each token of the vocabulary.
//!
//! ```text
//! mean(token) = Σ_{places of the token} x / number of places       places whose x is not finite are left out
//! ```
//!
//! How often a token comes is counted once for all neurons; a neuron keeps a sum only for tokens at which it was ever
//! different from 0. The sums are exact, so that they do not depend on order.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::error::check_limit;
use crate::math::exact_sum::ExactSum;
use crate::math::merge::{Bytes, Merge, Reader};
use crate::math::select::order;
use crate::{Error, Result};

/// Largest vocabulary.
const MAX_VOCABULARY: usize = 1 << 24;

/// How often each token came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenCounts {
    counts: Vec<u64>,
}

impl TokenCounts {
    /// No tokens yet, of so many different ones.
    ///
    /// # Errors
    /// [`Error::TooLarge`] beyond 16 million.
    pub fn new(vocabulary: usize) -> Result<Self> {
        check_limit("vocabulary", vocabulary, MAX_VOCABULARY)?;
        Ok(Self { counts: alloc::vec![0; vocabulary] })
    }

    /// Counts a token; whether there is such a token.
    pub fn add(&mut self, token: u32) -> bool {
        let count = usize::try_from(token).ok().and_then(|token| self.counts.get_mut(token));
        count.is_some_and(|count| {
            *count = count.saturating_add(1);
            true
        })
    }

    /// Counts by token.
    #[must_use]
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// Number of different tokens there can be.
    #[must_use]
    pub fn vocabulary(&self) -> usize {
        self.counts.len()
    }
}

impl Merge for TokenCounts {
    fn merge(&mut self, other: &Self) -> Result<()> {
        if self.vocabulary() != other.vocabulary() {
            return Err(Error::Unsupported { what: "merging counts of different vocabularies" });
        }
        self.counts.iter_mut().zip(&other.counts).for_each(|(count, more)| *count = count.saturating_add(*more));
        Ok(())
    }
}

impl Bytes for TokenCounts {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend((self.vocabulary() as u64).to_le_bytes());
        self.counts.iter().for_each(|count| out.extend(count.to_le_bytes()));
    }

    fn read(input: &mut Reader<'_>) -> Result<Self> {
        let error = input.error("a vocabulary");
        let count = input.count(8, "a vocabulary")?;
        check_limit("vocabulary", count, MAX_VOCABULARY).map_err(|_| error)?;
        Ok(Self { counts: (0..count).map(|_| input.u64("a count")).collect::<Result<_>>()? })
    }
}

/// What a neuron did at one token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct TokenSum {
    sum: ExactSum<3>,
    skipped: u64,
}

/// A neuron's activations by token.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TokenTable {
    sums: BTreeMap<u32, TokenSum>,
}

impl TokenTable {
    /// Takes up the activation at one place of a token; one that is not finite is left out of the mean.
    ///
    /// # Example
    /// ```
    /// use limpid::explanation::collect::{TokenCounts, TokenTable};
    ///
    /// let (mut counts, mut table) = (TokenCounts::new(3)?, TokenTable::default());
    /// for (token, activation) in [(0, 0.0), (1, 4.0), (2, 0.0), (0, 0.0), (1, 6.0), (0, 1.0)] {
    ///     counts.add(token);
    ///     table.add(token, activation);
    /// }
    /// assert_eq!(table.means(&counts), [(1, 5.0), (0, 1.0 / 3.0), (2, 0.0)]);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn add(&mut self, token: u32, activation: f64) {
        if !activation.is_finite() {
            let entry = self.sums.entry(token).or_default();
            entry.skipped = entry.skipped.saturating_add(1);
        } else if activation != 0.0 {
            self.sums.entry(token).or_default().sum.add(activation);
        }
    }

    /// Mean activation of a token, the nearest double; `None` for a token that was not seen.
    #[must_use]
    pub fn mean(&self, token: u32, counts: &TokenCounts) -> Option<f64> {
        let seen = *counts.counts().get(usize::try_from(token).ok()?)?;
        let Some(entry) = self.sums.get(&token) else { return (seen > 0).then_some(0.0) };
        let count = seen.saturating_sub(entry.skipped);
        (count > 0).then(|| entry.sum.value().value() / count as f64)
    }

    /// All tokens that were seen with their means, the highest first, equal ones by token.
    #[must_use]
    pub fn means(&self, counts: &TokenCounts) -> Vec<(u32, f64)> {
        let tokens = (0_u32..).take(counts.vocabulary());
        let mut means: Vec<(u32, f64)> =
            tokens.filter_map(|token| self.mean(token, counts).map(|mean| (token, mean))).collect();
        // sorting is stable, and tokens ascend
        means.sort_by(|a, b| order((a.1, 0), (b.1, 0)));
        means
    }

    /// Number of tokens that a sum is kept for.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sums.len()
    }

    /// Whether the neuron was 0 everywhere.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sums.is_empty()
    }
}

impl Merge for TokenTable {
    fn merge(&mut self, other: &Self) -> Result<()> {
        for (&token, more) in &other.sums {
            let entry = self.sums.entry(token).or_default();
            entry.sum.merge(&more.sum)?;
            entry.skipped = entry.skipped.saturating_add(more.skipped);
        }
        Ok(())
    }
}

impl Bytes for TokenTable {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend((self.sums.len() as u64).to_le_bytes());
        for (token, entry) in &self.sums {
            out.extend(token.to_le_bytes());
            out.extend(entry.skipped.to_le_bytes());
            entry.sum.write(out);
        }
    }

    fn read(input: &mut Reader<'_>) -> Result<Self> {
        let mut sums = BTreeMap::new();
        for _ in 0..input.count(40, "a number of tokens")? {
            let error = input.error("ascending tokens");
            let token = input.take(4, "a token")?.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
            if sums.last_key_value().is_some_and(|(last, _)| *last >= token) {
                return Err(error);
            }
            let skipped = input.u64("a count")?;
            sums.insert(token, TokenSum { sum: ExactSum::read(input)?, skipped });
        }
        Ok(Self { sums })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_that_are_not_finite_do_not_count() {
        let (mut counts, mut table) = (TokenCounts::new(4).unwrap(), TokenTable::default());
        for (token, activation) in [(1, 3.0), (1, f64::NAN), (1, -1.0), (2, f64::INFINITY), (3, 0.0)] {
            assert!(counts.add(token));
            table.add(token, activation);
        }
        assert!(!counts.add(4));
        assert_eq!(table.means(&counts), [(1, 1.0), (3, 0.0)]);
        assert_eq!((table.mean(0, &counts), table.mean(2, &counts), table.mean(9, &counts)), (None, None, None));
        assert_eq!(table.len(), 2);
    }

    #[test]
    fn order_does_not_show_and_bytes_come_back() {
        let places = [(1, 0.1), (0, 1e20), (1, 0.2), (0, -1e20), (0, 0.7), (1, 0.3)];
        let mut whole = TokenTable::default();
        places.iter().for_each(|&(token, x)| whole.add(token, x));
        let mut merged = TokenTable::default();
        for &(token, x) in places.iter().rev() {
            let mut part = TokenTable::default();
            part.add(token, x);
            merged.merge(&part).unwrap();
        }
        assert_eq!(merged, whole);
        let bytes = whole.to_bytes();
        assert!((0..bytes.len()).all(|end| TokenTable::from_bytes(&bytes[..end]).is_err()));
        assert_eq!(TokenTable::from_bytes(&bytes), Ok(whole));
        let mut counts = TokenCounts::new(2).unwrap();
        counts.add(1);
        assert_eq!(TokenCounts::from_bytes(&counts.to_bytes()), Ok(counts.clone()));
        assert!(counts.merge(&TokenCounts::new(3).unwrap()).is_err() && TokenCounts::new(usize::MAX).is_err());
    }
}
