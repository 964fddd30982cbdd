//! Quantiles of one neuron over a corpus, each to a known relative error.
//!
//! ```text
//! bucket of x > 0: 2^o (1 + i/B) <= x < 2^o (1 + (i+1)/B),   B = 2^bits;   answer: its middle, within 2^-(bits+1) of x
//! ```
//!
//! Counts of fixed buckets do not depend on order. Of each sign the buckets within `octaves` powers of two below the largest
//! magnitude are kept; smaller magnitudes are counted together and answered by 0.
//!
//! Source: buckets of constant relative width with a collapsed low end, C. Masson, J. E. Rim and H. K. Lee, "DDSketch",
//! VLDB 2019; bounds that are read off the bits of a float need no logarithm.

use alloc::vec::Vec;

use crate::error::{check_each, check_limit};
use crate::math::merge::{Bytes, Merge, Reader};
use crate::{Error, Result};

/// Bits of the fraction of a double.
const FRACTION: u32 = 52;

/// Most bits of a bucket within its power of two.
const MAX_BITS: usize = 10;

/// Most powers of two that are kept.
const MAX_OCTAVES: usize = 256;

/// Counts of buckets, from the largest magnitude down.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Tail {
    /// Bucket of the largest magnitude.
    top: u64,
    /// From `top` down; the last is not 0.
    counts: Vec<u64>,
    /// Values below the buckets that are kept, not 0.
    small: u64,
}

impl Tail {
    fn add(&mut self, bucket: u64, count: u64, window: usize) {
        if self.counts.is_empty() {
            self.top = bucket;
        }
        if let Some(steps) = bucket.checked_sub(self.top).filter(|&steps| steps > 0) {
            self.raise(usize::try_from(steps).unwrap_or(usize::MAX), window);
            self.top = bucket;
        }
        match usize::try_from(self.top - bucket).ok().filter(|&at| at < window) {
            None => self.small = self.small.saturating_add(count),
            Some(at) => {
                if at >= self.counts.len() {
                    self.counts.resize(at + 1, 0);
                }
                self.counts[at] = self.counts[at].saturating_add(count);
            }
        }
    }

    /// Puts empty buckets on top, and counts together what falls out below.
    fn raise(&mut self, steps: usize, window: usize) {
        let keep = self.counts.len().min(window.saturating_sub(steps));
        let lost = self.counts.drain(keep..).fold(0, |sum: u64, count| sum.saturating_add(count));
        self.small = self.small.saturating_add(lost);
        while self.counts.last() == Some(&0) {
            self.counts.pop();
        }
        if !self.counts.is_empty() {
            self.counts.splice(0..0, core::iter::repeat_n(0, steps));
        }
    }

    fn total(&self) -> u64 {
        self.counts.iter().fold(self.small, |sum, count| sum.saturating_add(*count))
    }
}

/// Quantiles of the values of one neuron.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuantileSketch {
    bits: u32,
    octaves: usize,
    zero: u64,
    /// Positive values, then negative ones.
    tails: [Tail; 2],
}

impl QuantileSketch {
    /// Nothing counted yet: `2^bits` buckets for each of `octaves` powers of two.
    ///
    /// 5 bits and 24 powers of two give quantiles within 1.6 % in at most 6 KiB a side.
    ///
    /// # Errors
    /// [`Error::TooLarge`] for more than 10 bits or 256 powers of two, [`Error::OutOfRange`] for none.
    ///
    /// # Example
    /// ```
    /// use limpid::explanation::collect::QuantileSketch;
    ///
    /// let mut sketch = QuantileSketch::new(7, 24)?;
    /// (1..=1000).for_each(|x| sketch.add(f64::from(x)));
    /// let median = sketch.quantile(0.5)?.unwrap();
    /// assert!((median - 500.0).abs() <= 500.0 / 256.0);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn new(bits: u32, octaves: usize) -> Result<Self> {
        check_limit("bits", usize::try_from(bits).unwrap_or(usize::MAX), MAX_BITS)?;
        check_limit("octaves", octaves, MAX_OCTAVES)?;
        check_each("octaves", &[octaves as f64], "at least 1", |octaves: f64| octaves >= 1.0)?;
        Ok(Self { bits, octaves, zero: 0, tails: <[Tail; 2]>::default() })
    }

    /// Counts a value; one that is not finite is left out.
    pub fn add(&mut self, x: f64) {
        if x == 0.0 {
            self.add_zeros(1);
        } else if x.is_finite() {
            let bucket = x.abs().to_bits() >> (FRACTION - self.bits);
            self.tails[usize::from(x < 0.0)].add(bucket, 1, self.octaves << self.bits);
        }
    }

    /// Counts this many zeros.
    pub fn add_zeros(&mut self, count: u64) {
        self.zero = self.zero.saturating_add(count);
    }

    /// Values counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.tails.iter().fold(self.zero, |sum, tail| sum.saturating_add(tail.total()))
    }

    /// The value at rank `⌊q (count - 1)⌋` from below, within `2^-(bits+1)` of itself; `None` without values.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a `q` outside `0..=1`.
    pub fn quantile(&self, q: f64) -> Result<Option<f64>> {
        check_each("q", &[q], "0..=1", |q| (0.0..=1.0).contains(&q))?;
        let count = self.count();
        if count == 0 {
            return Ok(None);
        }
        let rank = libm::floor(q * (count - 1) as f64);
        let [above, below] = &self.tails;
        let at_zero = self.zero.saturating_add(above.small).saturating_add(below.small);
        let negative = (0..).zip(&below.counts).map(|(step, &count)| (-self.middle(below.top - step), count));
        let lowest = above.top + 1 - above.counts.len() as u64;
        let positive = (lowest..).zip(above.counts.iter().rev()).map(|(at, &count)| (self.middle(at), count));
        let mut before = 0.0;
        let mut last = 0.0;
        for (value, count) in negative.chain([(0.0, at_zero)]).chain(positive).filter(|(_, count)| *count > 0) {
            before += count as f64;
            last = value;
            if before > rank {
                break;
            }
        }
        Ok(Some(last))
    }

    /// Middle of a bucket.
    fn middle(&self, bucket: u64) -> f64 {
        let [low, high] = [bucket, bucket + 1].map(|edge| f64::from_bits(edge << (FRACTION - self.bits)));
        if high.is_finite() { low + 0.5 * (high - low) } else { low }
    }

    /// Whether both have the same buckets.
    pub(super) fn belongs_to(&self, other: &Self) -> bool {
        (self.bits, self.octaves) == (other.bits, other.octaves)
    }
}

impl Merge for QuantileSketch {
    fn merge(&mut self, other: &Self) -> Result<()> {
        if !self.belongs_to(other) {
            return Err(Error::Unsupported { what: "merging quantile sketches of different buckets" });
        }
        self.add_zeros(other.zero);
        let window = self.octaves << self.bits;
        for (tail, more) in self.tails.iter_mut().zip(&other.tails) {
            let buckets = (0..).zip(&more.counts).filter(|(_, count)| **count > 0);
            buckets.for_each(|(step, &count)| tail.add(more.top - step, count, window));
            tail.small = tail.small.saturating_add(more.small);
        }
        Ok(())
    }
}

impl Bytes for QuantileSketch {
    fn write(&self, out: &mut Vec<u8>) {
        let head = [u64::from(self.bits), self.octaves as u64, self.zero];
        head.iter().for_each(|count| out.extend(count.to_le_bytes()));
        for tail in &self.tails {
            let head = [tail.top, tail.small, tail.counts.len() as u64];
            head.iter().chain(&tail.counts).for_each(|count| out.extend(count.to_le_bytes()));
        }
    }

    fn read(input: &mut Reader<'_>) -> Result<Self> {
        let error = input.error("a quantile sketch");
        let bits = u32::try_from(input.u64("a number of bits")?).unwrap_or(u32::MAX);
        let octaves = usize::try_from(input.u64("a number of powers")?).unwrap_or(usize::MAX);
        let mut sketch = Self::new(bits, octaves).map_err(|_| error)?;
        sketch.zero = input.u64("a count")?;
        let window = octaves << bits;
        for tail in &mut sketch.tails {
            let error = input.error("buckets of a quantile sketch");
            (tail.top, tail.small) = (input.u64("a bucket")?, input.u64("a count")?);
            let count = input.count(8, "a number of buckets")?;
            tail.counts = (0..count).map(|_| input.u64("a count")).collect::<Result<_>>()?;
            let ends = tail.counts.first() != Some(&0) && tail.counts.last() != Some(&0);
            let fits = count <= window && tail.top < 0x7ff << bits && count as u64 <= tail.top + 1;
            // without buckets there is no largest one, and nothing that was below it
            let none = count > 0 || (tail.top == 0 && tail.small == 0);
            if !(ends && fits && none) {
                return Err(error);
            }
        }
        Ok(sketch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use crate::math::random::{fill_normal, shuffle};

    fn of(values: &[f64], octaves: usize) -> QuantileSketch {
        let mut sketch = QuantileSketch::new(5, octaves).unwrap();
        values.iter().for_each(|&x| sketch.add(x));
        sketch
    }

    #[test]
    fn quantiles_are_as_near_as_promised() {
        let mut values = alloc::vec![0.0_f64; if cfg!(miri) { 60 } else { 2000 }];
        fill_normal(&mut Seed(2).stream(0, 0), 1.0, &mut values);
        values.iter_mut().for_each(|x| *x = if *x < -1.0 { 0.0 } else { *x * *x * *x });
        let sketch = of(&values, 60);
        values.sort_by(f64::total_cmp);
        for step in 0..=20_usize {
            let q = step as f64 / 20.0;
            let exact = values[(values.len() - 1) * step / 20];
            let found = sketch.quantile(q).unwrap().unwrap();
            assert!((found - exact).abs() <= exact.abs() / 64.0, "{q}: {found} {exact}");
        }
    }

    #[test]
    fn order_does_not_show_though_small_values_are_dropped() {
        let mut values: Vec<f64> =
            (0..60).map(|i| libm::scalbn(1.3, (i * 7) % 23) * if i % 3 == 0 { -1.0 } else { 1.0 }).collect();
        let whole = of(&values, 6);
        assert!(whole.tails.iter().all(|tail| tail.small > 0));
        let mut stream = Seed(1).stream(0, 0);
        for cut in [0, 13, 59] {
            shuffle(&mut stream, &mut values);
            let mut merged = of(&values[..cut], 6);
            merged.merge(&of(&values[cut..], 6)).unwrap();
            assert_eq!(merged, whole);
        }
        assert_eq!(whole.count(), 60);
        assert_eq!(QuantileSketch::from_bytes(&whole.to_bytes()), Ok(whole));
    }

    #[test]
    fn edges_and_refusals() {
        let mut sketch = of(&[], 3);
        assert_eq!(sketch.quantile(0.5), Ok(None));
        sketch.add_zeros(3);
        sketch.add(f64::NAN);
        assert_eq!((sketch.quantile(1.0), sketch.count()), (Ok(Some(0.0)), 3));
        assert!(sketch.quantile(1.5).is_err() && sketch.quantile(f64::NAN).is_err());
        assert!(QuantileSketch::new(11, 1).is_err() && QuantileSketch::new(1, 0).is_err());
        assert!(sketch.merge(&of(&[], 4)).is_err());
        let extreme = of(&[f64::MAX, 5e-324, -5e-324], 256);
        assert!(extreme.quantile(1.0).unwrap().unwrap() > 1e308);
        assert_eq!(QuantileSketch::from_bytes(&extreme.to_bytes()), Ok(extreme.clone()));
        let bytes = extreme.to_bytes();
        assert!((0..bytes.len()).all(|end| QuantileSketch::from_bytes(&bytes[..end]).is_err()));
    }
}
