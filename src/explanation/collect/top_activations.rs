//! The k places of a corpus where a neuron is strongest, as references and not as texts.
//!
//! ```text
//! key = value (positive), -value (negative), |value| (magnitude)
//! first: larger key, then smaller document, then smaller position, then larger value
//! ```
//!
//! The order is total, so that the places kept do not depend on the order in which they come.

use alloc::vec::Vec;
use core::cmp::Ordering;

use crate::error::check_limit;
use crate::explanation::Side;
use crate::math::merge::{Bytes, Merge, Reader};
use crate::{Error, Result};

/// Most places that are kept.
pub(super) const MAX_KEPT: usize = 1 << 20;

/// A value of a neuron, and where it stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// The value.
    pub value: f64,
    /// Number of the document.
    pub document: u64,
    /// Token within the document, from 0.
    pub position: u32,
}

impl Hit {
    /// Bytes of the written form.
    pub(super) const SIZE: usize = 20;

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.value.to_le_bytes());
        out.extend(self.document.to_le_bytes());
        out.extend(self.position.to_le_bytes());
    }

    pub(super) fn read(input: &mut Reader<'_>) -> Result<Self> {
        let error = input.error("a finite value");
        let value = input.f64("a value")?;
        if !value.is_finite() {
            return Err(error);
        }
        let document = input.u64("a document")?;
        let position = input.take(4, "a position")?.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        Ok(Self { value, document, position })
    }
}

/// The best places seen so far.
#[derive(Debug, Clone, PartialEq)]
pub struct TopActivations {
    k: usize,
    side: Side,
    skipped: u64,
    /// Best first.
    hits: Vec<Hit>,
    /// The key of the last one once there are `k`; what is below cannot be kept.
    bar: f64,
}

impl TopActivations {
    /// Nothing seen yet; the best `k` will be kept.
    ///
    /// # Errors
    /// [`Error::TooLarge`] for a `k` beyond a million.
    ///
    /// # Example
    /// ```
    /// use limpid::explanation::Side;
    /// use limpid::explanation::collect::{Hit, TopActivations};
    ///
    /// let mut top = TopActivations::new(2, Side::Positive)?;
    /// for (document, value) in [0.5, 3.0, f64::NAN, 3.0].into_iter().enumerate() {
    ///     top.push(Hit { value, document: document as u64, position: 7 });
    /// }
    /// assert_eq!(top.hits().iter().map(|hit| hit.document).collect::<Vec<_>>(), [1, 3]);
    /// assert_eq!(top.skipped(), 1);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn new(k: usize, side: Side) -> Result<Self> {
        check_limit("k", k, MAX_KEPT)?;
        let bar = if k == 0 { f64::INFINITY } else { f64::NEG_INFINITY };
        Ok(Self { k, side, skipped: 0, hits: Vec::new(), bar })
    }

    /// Takes up a place; a value that is not finite is only counted.
    pub fn push(&mut self, hit: Hit) {
        if !hit.value.is_finite() {
            self.skipped = self.skipped.saturating_add(1);
            return;
        }
        if self.hits.len() >= self.k && self.hits.last().is_none_or(|last| self.order(&hit, last).is_ge()) {
            return;
        }
        let at = self.hits.partition_point(|other| self.order(other, &hit).is_lt());
        self.hits.truncate(self.k.saturating_sub(1).max(at));
        self.hits.insert(at, hit);
        self.raise_bar();
    }

    fn raise_bar(&mut self) {
        if let Some(last) = self.hits.last().filter(|_| self.hits.len() >= self.k) {
            self.bar = self.key(last.value);
        }
    }

    /// Whether a place of this value in this document could be kept: hardly any of a long corpus.
    #[inline]
    pub(super) fn admits(&self, value: f64, document: u64) -> bool {
        let key = self.key(value);
        key > self.bar || key == self.bar && self.hits.last().is_some_and(|last| document <= last.document)
    }

    fn key(&self, value: f64) -> f64 {
        match self.side {
            Side::Positive => value,
            Side::Negative => -value,
            Side::Magnitude => value.abs(),
        }
    }

    /// Which of two comes first.
    fn order(&self, a: &Hit, b: &Hit) -> Ordering {
        let descending = |a: f64, b: f64| b.partial_cmp(&a).unwrap_or(Ordering::Equal);
        let by_place = (a.document, a.position).cmp(&(b.document, b.position));
        descending(self.key(a.value), self.key(b.value)).then(by_place).then(descending(a.value, b.value))
    }

    /// The places kept, best first.
    #[must_use]
    pub fn hits(&self) -> &[Hit] {
        &self.hits
    }

    /// Places whose value is not finite.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// How many are kept at most.
    #[must_use]
    pub fn k(&self) -> usize {
        self.k
    }

    /// Which end is looked at.
    #[must_use]
    pub fn side(&self) -> Side {
        self.side
    }
}

impl Merge for TopActivations {
    fn merge(&mut self, other: &Self) -> Result<()> {
        if (self.k, self.side) != (other.k, other.side) {
            return Err(Error::Unsupported { what: "merging top activations of different k or side" });
        }
        self.skipped = self.skipped.saturating_add(other.skipped);
        other.hits.iter().for_each(|hit| self.push(*hit));
        Ok(())
    }
}

impl Bytes for TopActivations {
    fn write(&self, out: &mut Vec<u8>) {
        let side = match self.side {
            Side::Positive => 0_u64,
            Side::Negative => 1,
            Side::Magnitude => 2,
        };
        let counts = [self.k as u64, side, self.skipped, self.hits.len() as u64];
        counts.iter().for_each(|count| out.extend(count.to_le_bytes()));
        self.hits.iter().for_each(|hit| hit.write(out));
    }

    fn read(input: &mut Reader<'_>) -> Result<Self> {
        let error = input.error("top activations");
        let k = usize::try_from(input.u64("a number of places")?).unwrap_or(usize::MAX);
        let side = match input.u64("a side")? {
            0 => Side::Positive,
            1 => Side::Negative,
            2 => Side::Magnitude,
            _ => return Err(error),
        };
        let mut top = Self::new(k, side).map_err(|_| error)?;
        top.skipped = input.u64("a count")?;
        let count = input.count(Hit::SIZE, "a number of places")?;
        top.hits = (0..count).map(|_| Hit::read(input)).collect::<Result<_>>()?;
        let ordered = top.hits.windows(2).all(|pair| top.order(&pair[0], &pair[1]).is_le());
        top.raise_bar();
        if count <= k && ordered { Ok(top) } else { Err(error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use crate::math::random::below;

    #[test]
    fn what_is_kept_is_what_a_sort_would_keep() {
        let mut stream = Seed(1).stream(0, 0);
        for side in [Side::Positive, Side::Negative, Side::Magnitude] {
            for k in [0, 1, 5, 40] {
                let mut top = TopActivations::new(k, side).unwrap();
                let mut all: Vec<Hit> = Vec::new();
                for _ in 0..30 {
                    let value = below(&mut stream, 7) as f64 - 3.0;
                    let (document, position) = (below(&mut stream, 4) as u64, u32::try_from(all.len() % 5).unwrap());
                    all.push(Hit { value, document, position });
                    top.push(Hit { value, document, position });
                }
                all.sort_by(|a, b| top.order(a, b));
                all.truncate(k);
                assert_eq!(top.hits(), all);
                assert_eq!(TopActivations::from_bytes(&top.to_bytes()), Ok(top));
            }
        }
    }

    #[test]
    fn what_does_not_belong_together_is_refused() {
        let mut top = TopActivations::new(2, Side::Positive).unwrap();
        top.push(Hit { value: 1.0, document: 0, position: 0 });
        assert!(top.merge(&TopActivations::new(3, Side::Positive).unwrap()).is_err());
        assert!(top.merge(&TopActivations::new(2, Side::Negative).unwrap()).is_err());
        assert!(TopActivations::new(usize::MAX, Side::Positive).is_err());
        let bytes = top.to_bytes();
        assert!((0..bytes.len()).all(|end| TopActivations::from_bytes(&bytes[..end]).is_err()));
    }
}
