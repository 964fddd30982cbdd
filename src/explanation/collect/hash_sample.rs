//! A random sample of places, without replacement, that shards can merge.
//!
//! ```text
//! priority = hash(seed, stream, document, position)      kept: the k places of the lowest priority
//! ```
//!
//! A place has its priority whichever shard sees it and whenever, so the sample does not depend on order or grouping. Every
//! set of k places is equally likely over seeds. Samples of the same seed and stream are the same places for all neurons.
//!
//! Source: bottom-k samples, E. Cohen and H. Kaplan, "Summarizing data using bottom-k sketches", PODC 2007; the hash is the
//! finaliser of SplitMix64, G. L. Steele, D. Lea and C. H. Flood, "Fast splittable pseudorandom number generators",
//! OOPSLA 2014.

use alloc::vec::Vec;

use super::top_activations::{Hit, MAX_KEPT};
use crate::error::check_limit;
use crate::math::merge::{Bytes, Merge, Reader};
use crate::{Error, Result, Seed};

/// What this file draws random numbers for.
const PURPOSE: u64 = 0x6861_7368;

/// A random sample of places.
#[derive(Debug, Clone, PartialEq)]
pub struct HashSample {
    k: usize,
    key: u64,
    seen: u64,
    /// By priority.
    items: Vec<(u64, Hit)>,
}

impl HashSample {
    /// Nothing seen yet; `k` places will be kept. Samples of one seed and different `stream`s are independent.
    ///
    /// # Errors
    /// [`Error::TooLarge`] for a `k` beyond a million.
    ///
    /// # Example
    /// ```
    /// use limpid::Seed;
    /// use limpid::explanation::collect::{HashSample, Hit};
    /// use limpid::math::merge::Merge;
    ///
    /// let of = |documents: core::ops::Range<u64>| -> limpid::Result<HashSample> {
    ///     let mut sample = HashSample::new(5, Seed(1), 0)?;
    ///     documents.for_each(|document| sample.push(Hit { value: 1.0, document, position: 0 }));
    ///     Ok(sample)
    /// };
    /// let mut merged = of(60..100)?;
    /// merged.merge(&of(0..60)?)?;
    /// assert_eq!(merged, of(0..100)?);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn new(k: usize, seed: Seed, stream: u64) -> Result<Self> {
        check_limit("k", k, MAX_KEPT)?;
        Ok(Self { k, key: seed.child(PURPOSE, stream).0, seen: 0, items: Vec::new() })
    }

    /// Takes up a place, each one once.
    pub fn push(&mut self, hit: Hit) {
        self.seen = self.seen.saturating_add(1);
        if self.k == 0 {
            return;
        }
        self.keep((self.priority(hit.document, hit.position), hit));
    }

    fn priority(&self, document: u64, position: u32) -> u64 {
        mix(self.key ^ mix(document ^ mix(u64::from(position).wrapping_add(GOLDEN))))
    }

    fn keep(&mut self, item: (u64, Hit)) {
        let key = |(priority, hit): &(u64, Hit)| (*priority, hit.document, hit.position);
        if self.items.len() >= self.k && self.items.last().is_none_or(|last| key(&item) >= key(last)) {
            return;
        }
        let at = self.items.partition_point(|other| key(other) < key(&item));
        self.items.truncate(self.k.saturating_sub(1).max(at));
        self.items.insert(at, item);
    }

    /// The places kept, in random order: any first part of them is itself a random sample.
    pub fn hits(&self) -> impl ExactSizeIterator<Item = Hit> {
        self.items.iter().map(|(_, hit)| *hit)
    }

    /// Places that the sample was drawn from.
    #[must_use]
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// How many are kept at most.
    #[must_use]
    pub fn k(&self) -> usize {
        self.k
    }

    /// Whether both draw the same places.
    pub(super) fn belongs_to(&self, other: &Self) -> bool {
        (self.k, self.key) == (other.k, other.key)
    }
}

/// 2⁶⁴ over the golden ratio.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// A one-to-one map that leaves no pattern.
fn mix(x: u64) -> u64 {
    let x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

impl Merge for HashSample {
    fn merge(&mut self, other: &Self) -> Result<()> {
        if !self.belongs_to(other) {
            return Err(Error::Unsupported { what: "merging samples of different k or seed" });
        }
        self.seen = self.seen.saturating_add(other.seen);
        other.items.iter().for_each(|item| self.keep(*item));
        Ok(())
    }
}

impl Bytes for HashSample {
    fn write(&self, out: &mut Vec<u8>) {
        let counts = [self.k as u64, self.key, self.seen, self.items.len() as u64];
        counts.iter().for_each(|count| out.extend(count.to_le_bytes()));
        self.items.iter().for_each(|(_, hit)| hit.write(out));
    }

    fn read(input: &mut Reader<'_>) -> Result<Self> {
        let error = input.error("a sample");
        let k = usize::try_from(input.u64("a number of places")?).unwrap_or(usize::MAX);
        check_limit("k", k, MAX_KEPT).map_err(|_| error)?;
        let (key, seen) = (input.u64("the key of a sample")?, input.u64("a count")?);
        let mut sample = Self { k, key, seen, items: Vec::new() };
        let count = input.count(Hit::SIZE, "a number of places")?;
        for _ in 0..count {
            let hit = Hit::read(input)?;
            sample.items.push((sample.priority(hit.document, hit.position), hit));
        }
        let ordered = sample.items.windows(2).all(|pair| pair[0].0 <= pair[1].0);
        if count <= k && ordered { Ok(sample) } else { Err(error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(seed: u64, k: usize, places: impl IntoIterator<Item = u64>) -> HashSample {
        let mut sample = HashSample::new(k, Seed(seed), 0).unwrap();
        let hit = |place: u64| Hit { value: 0.5, document: place / 8, position: u32::try_from(place % 8).unwrap() };
        places.into_iter().for_each(|place| sample.push(hit(place)));
        sample
    }

    #[test]
    fn every_place_is_as_likely_as_any_other() {
        let (places, k, rounds) = (40, 10, if cfg!(miri) { 4 } else { 4000 });
        let mut counts = [0.0_f64; 40];
        for seed in 0..rounds {
            for hit in of(seed, k, 0..places).hits() {
                counts[usize::try_from(hit.document * 8).unwrap() + usize::try_from(hit.position).unwrap()] += 1.0;
            }
        }
        let expected = rounds as f64 * k as f64 / places as f64;
        let chi: f64 = counts.iter().map(|count| (count - expected) * (count - expected) / expected).sum();
        // drawing without replacement shrinks the variance by 1 - k/places; 39 degrees of freedom
        assert!(cfg!(miri) || chi / (1.0 - k as f64 / places as f64) < 80.0, "{chi}");
    }

    #[test]
    fn order_does_not_show_and_bytes_come_back() {
        let forward = of(3, 7, 0..50);
        assert_eq!(of(3, 7, (0..50).rev()), forward);
        assert_ne!(of(4, 7, 0..50), forward);
        assert_eq!((forward.hits().len(), forward.seen(), of(3, 7, 0..3).hits().len()), (7, 50, 3));
        let bytes = forward.to_bytes();
        assert!((0..bytes.len()).all(|end| HashSample::from_bytes(&bytes[..end]).is_err()));
        assert_eq!(HashSample::from_bytes(&bytes), Ok(forward.clone()));
        assert!(of(4, 7, 0..3).merge(&forward).is_err() && of(3, 8, 0..3).merge(&forward).is_err());
        assert_eq!(of(3, 0, 0..5).hits().len(), 0);
    }
}
