//! How often a neuron takes values of each power of two: small enough to keep for every neuron.
//!
//! ```text
//! bin o of either sign: 2^o <= |x| < 2^(o+1),   o = lowest .. lowest + octaves
//! ```
//!
//! Zeros, smaller and larger magnitudes are counted by themselves.

use alloc::vec::Vec;

use crate::error::{check_each, check_limit};
use crate::math::merge::{Bytes, Merge, Reader};
use crate::{Error, Result};

/// Most powers of two: those of all doubles.
const MAX_OCTAVES: usize = 2200;

/// Counts by powers of two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogHistogram {
    lowest: i32,
    octaves: usize,
    /// Zeros; positive values below the bins, in each of them, and above; the same of negative ones.
    counts: Vec<u64>,
}

impl LogHistogram {
    /// Nothing counted yet; the bins begin at `2^lowest` on either side.
    ///
    /// # Errors
    /// [`Error::OutOfRange`], [`Error::TooLarge`] for powers that no double has.
    ///
    /// # Example
    /// ```
    /// use limpid::explanation::collect::LogHistogram;
    ///
    /// let mut histogram = LogHistogram::new(-1, 3)?;
    /// for x in [0.0, 0.6, 1.0, 3.9, -1.5, 8.0] {
    ///     histogram.add(x);
    /// }
    /// assert_eq!(histogram.positive(), [1, 1, 1]);
    /// assert_eq!((histogram.zero(), histogram.negative(), histogram.beyond()), (1, &[0, 1, 0][..], [1, 0]));
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn new(lowest: i32, octaves: usize) -> Result<Self> {
        check_each("lowest", &[f64::from(lowest)], "-1100..=1100", |lowest: f64| lowest.abs() <= 1100.0)?;
        check_limit("octaves", octaves, MAX_OCTAVES)?;
        Ok(Self { lowest, octaves, counts: alloc::vec![0; 1 + 2 * (octaves + 2)] })
    }

    /// Counts a value; NaN and infinities are for the caller to leave out, here they are beyond.
    #[inline]
    pub fn add(&mut self, x: f64) {
        let slot = self.slot(x);
        if let Some(count) = self.counts.get_mut(slot) {
            *count = count.saturating_add(1);
        }
    }

    /// Where a value is counted, without a branch: nothing foretells the exponents of a neuron.
    #[inline]
    pub(super) fn slot(&self, x: f64) -> usize {
        let exponent = (x.abs().to_bits() >> 52).cast_signed() - 1023;
        let bin = (exponent - i64::from(self.lowest) + 1).max(0).cast_unsigned().min(self.octaves as u64 + 1);
        // no more than there are bins
        let bin = usize::try_from(bin).unwrap_or(0);
        let side = if x < 0.0 { self.octaves + 2 } else { 0 };
        if x == 0.0 { 0 } else { 1 + side + bin }
    }

    /// Number of slots.
    pub(super) fn slots(&self) -> usize {
        self.counts.len()
    }

    /// Adds counts by slot.
    pub(super) fn add_counts(&mut self, counts: impl Iterator<Item = u16>) {
        self.counts.iter_mut().zip(counts).for_each(|(count, more)| *count = count.saturating_add(u64::from(more)));
    }

    /// Counts this many zeros.
    pub fn add_zeros(&mut self, count: u64) {
        self.counts[0] = self.counts[0].saturating_add(count);
    }

    /// Exponent of the first edge.
    #[must_use]
    pub fn lowest(&self) -> i32 {
        self.lowest
    }

    /// Positive values by power of two, from [`LogHistogram::lowest`] up.
    #[must_use]
    pub fn positive(&self) -> &[u64] {
        &self.counts[2..2 + self.octaves]
    }

    /// Negative values by power of two of their magnitude.
    #[must_use]
    pub fn negative(&self) -> &[u64] {
        &self.counts[4 + self.octaves..4 + 2 * self.octaves]
    }

    /// Values that are 0.
    #[must_use]
    pub fn zero(&self) -> u64 {
        self.counts[0]
    }

    /// Positive and negative values, not 0, below the first bin.
    #[must_use]
    pub fn below(&self) -> [u64; 2] {
        [self.counts[1], self.counts[3 + self.octaves]]
    }

    /// Positive and negative values above the last bin.
    #[must_use]
    pub fn beyond(&self) -> [u64; 2] {
        [self.counts[2 + self.octaves], self.counts[4 + 2 * self.octaves]]
    }

    /// All values counted.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().fold(0, |total: u64, count| total.saturating_add(*count))
    }

    /// Whether both have the same bins.
    pub(super) fn belongs_to(&self, other: &Self) -> bool {
        (self.lowest, self.octaves) == (other.lowest, other.octaves)
    }

    /// Places of the counts in the order of the written form: zeros, outside of the bins, positive, negative.
    fn written(octaves: usize) -> impl Iterator<Item = usize> {
        let outside = [0, 1, 2 + octaves, 3 + octaves, 4 + 2 * octaves];
        outside.into_iter().chain(2..2 + octaves).chain(4 + octaves..4 + 2 * octaves)
    }
}

impl Merge for LogHistogram {
    fn merge(&mut self, other: &Self) -> Result<()> {
        if !self.belongs_to(other) {
            return Err(Error::Unsupported { what: "merging histograms of different edges" });
        }
        self.counts.iter_mut().zip(&other.counts).for_each(|(count, more)| *count = count.saturating_add(*more));
        Ok(())
    }
}

impl Bytes for LogHistogram {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.lowest.to_le_bytes());
        out.extend((self.octaves as u64).to_le_bytes());
        Self::written(self.octaves).for_each(|at| out.extend(self.counts[at].to_le_bytes()));
    }

    fn read(input: &mut Reader<'_>) -> Result<Self> {
        let error = input.error("a histogram");
        let lowest = input.take(4, "an exponent")?.first_chunk().map_or(0, |bytes| i32::from_le_bytes(*bytes));
        let octaves = input.count(16, "a number of bins")?;
        let mut histogram = Self::new(lowest, octaves).map_err(|_| error)?;
        for at in Self::written(octaves) {
            histogram.counts[at] = input.u64("a count")?;
        }
        Ok(histogram)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_are_powers_of_two() {
        let mut histogram = LogHistogram::new(-2, 4).unwrap();
        for x in [-0.0, 0.25, 0.49, 0.5, 1.0, 3.999, 4.0, 0.2, -0.3, -1e-300, -5.0, f64::INFINITY, 5e-324] {
            histogram.add(x);
        }
        assert_eq!((histogram.positive(), histogram.negative()), (&[2, 1, 1, 1][..], &[1, 0, 0, 0][..]));
        assert_eq!((histogram.zero(), histogram.below(), histogram.beyond()), (1, [2, 1], [2, 1]));
        assert_eq!(histogram.total(), 13);
    }

    #[test]
    fn shards_merge_and_bytes_come_back() {
        let mut histogram = LogHistogram::new(-2, 4).unwrap();
        histogram.add(0.3);
        let mut twice = histogram.clone();
        twice.merge(&histogram).unwrap();
        assert_eq!((twice.positive()[0], twice.total()), (2, 2));
        let bytes = twice.to_bytes();
        assert!((0..bytes.len()).all(|end| LogHistogram::from_bytes(&bytes[..end]).is_err()));
        assert_eq!(LogHistogram::from_bytes(&bytes), Ok(twice.clone()));
        assert!(twice.merge(&LogHistogram::new(-1, 4).unwrap()).is_err());
        assert!(LogHistogram::new(i32::MIN, 1).is_err() && LogHistogram::new(0, usize::MAX).is_err());
    }
}
