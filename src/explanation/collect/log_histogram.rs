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
    zero: u64,
    /// Smaller than any bin, larger than any bin, per sign.
    outside: [[u64; 2]; 2],
    /// Positive values, then negative ones.
    counts: [Vec<u64>; 2],
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
        let counts = [alloc::vec![0; octaves], alloc::vec![0; octaves]];
        Ok(Self { lowest, zero: 0, outside: [[0; 2]; 2], counts })
    }

    /// Counts a value; NaN and infinities are for the caller to leave out, here they are beyond.
    #[inline]
    pub fn add(&mut self, x: f64) {
        if x == 0.0 {
            return self.add_zeros(1);
        }
        let sign = usize::from(x < 0.0);
        let octave = i32::try_from(x.abs().to_bits() >> 52).unwrap_or(i32::MAX) - 1023 - self.lowest;
        let count = match usize::try_from(octave) {
            Err(_) => &mut self.outside[sign][0],
            Ok(at) => self.counts[sign].get_mut(at).unwrap_or(&mut self.outside[sign][1]),
        };
        *count = count.saturating_add(1);
    }

    /// Counts this many zeros.
    pub fn add_zeros(&mut self, count: u64) {
        self.zero = self.zero.saturating_add(count);
    }

    /// Exponent of the first edge.
    #[must_use]
    pub fn lowest(&self) -> i32 {
        self.lowest
    }

    /// Positive values by power of two, from [`LogHistogram::lowest`] up.
    #[must_use]
    pub fn positive(&self) -> &[u64] {
        &self.counts[0]
    }

    /// Negative values by power of two of their magnitude.
    #[must_use]
    pub fn negative(&self) -> &[u64] {
        &self.counts[1]
    }

    /// Values that are 0.
    #[must_use]
    pub fn zero(&self) -> u64 {
        self.zero
    }

    /// Positive and negative values, not 0, below the first bin.
    #[must_use]
    pub fn below(&self) -> [u64; 2] {
        self.outside.map(|[below, _]| below)
    }

    /// Positive and negative values above the last bin.
    #[must_use]
    pub fn beyond(&self) -> [u64; 2] {
        self.outside.map(|[_, beyond]| beyond)
    }

    /// All values counted.
    #[must_use]
    pub fn total(&self) -> u64 {
        let counts = self.counts.iter().flatten().chain(self.outside.iter().flatten()).chain([&self.zero]);
        counts.fold(0, |total: u64, count| total.saturating_add(*count))
    }

    /// Whether both have the same bins.
    pub(super) fn belongs_to(&self, other: &Self) -> bool {
        (self.lowest, self.positive().len()) == (other.lowest, other.positive().len())
    }

    fn all_mut(&mut self) -> impl Iterator<Item = &mut u64> {
        core::iter::once(&mut self.zero)
            .chain(self.outside.iter_mut().flatten())
            .chain(self.counts.iter_mut().flatten())
    }
}

impl Merge for LogHistogram {
    fn merge(&mut self, other: &Self) -> Result<()> {
        if !self.belongs_to(other) {
            return Err(Error::Unsupported { what: "merging histograms of different edges" });
        }
        let more =
            core::iter::once(&other.zero).chain(other.outside.iter().flatten()).chain(other.counts.iter().flatten());
        self.all_mut().zip(more).for_each(|(count, more)| *count = count.saturating_add(*more));
        Ok(())
    }
}

impl Bytes for LogHistogram {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.lowest.to_le_bytes());
        out.extend((self.positive().len() as u64).to_le_bytes());
        let all = core::iter::once(&self.zero).chain(self.outside.iter().flatten()).chain(self.counts.iter().flatten());
        all.for_each(|count| out.extend(count.to_le_bytes()));
    }

    fn read(input: &mut Reader<'_>) -> Result<Self> {
        let error = input.error("a histogram");
        let lowest = input.take(4, "an exponent")?.first_chunk().map_or(0, |bytes| i32::from_le_bytes(*bytes));
        let octaves = input.count(16, "a number of bins")?;
        let mut histogram = Self::new(lowest, octaves).map_err(|_| error)?;
        for count in histogram.all_mut() {
            *count = input.u64("a count")?;
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
