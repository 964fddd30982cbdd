//! What is kept of one feature while its firings go by.

use core::ops::Range;

use limpid::math::histogram::Histogram;

use super::Result;
use super::context::{Context, Firings, Kept};
use super::options::Options;

/// Bins per doubling, and the powers of two between which they lie.
const PER_DOUBLING: i32 = 4;
const POWERS: Range<i32> = -16..16;

/// A feature.
pub struct Profile {
    pub fired: u64,
    pub sum: f64,
    pub histogram: Histogram,
    pub top: Kept,
    pub samples: Kept,
}

impl Profile {
    pub fn new(options: &Options) -> Result<Self> {
        let edges =
            (POWERS.start * PER_DOUBLING..=POWERS.end * PER_DOUBLING).map(|i| f64::from(i) / f64::from(PER_DOUBLING));
        let histogram = Histogram::new(edges.map(f64::exp2).collect())?;
        Ok(Self { fired: 0, sum: 0.0, histogram, top: Kept::new(options.top), samples: Kept::new(options.samples) })
    }

    /// Takes up the firings of this feature, number `feature`, in `rows`.
    pub fn update(
        &mut self,
        feature: usize,
        firings: Firings<'_>,
        documents: &[u32],
        rows: &Range<usize>,
        options: &Options,
    ) -> Result<()> {
        self.fired += firings.len() as u64;
        self.sum += firings.iter().map(|&(_, value)| f64::from(value)).sum::<f64>();
        self.histogram.update(firings.iter().map(|&(_, value)| value))?;
        let cut = |at: usize| Context::cut(firings, at, documents, rows, options.context);
        let mut start = 0;
        for of_document in firings.chunk_by(|a, b| documents[a.0] == documents[b.0]) {
            let best = (0..of_document.len()).min_by_key(|&at| descending(of_document[at])).unwrap_or(0);
            let (peak, key) = (of_document[best].0, descending(of_document[best]));
            self.top.offer_one(key, documents, documents[peak], || cut(start + best));
            start += of_document.len();
        }
        for (at, &(row, _)) in firings.iter().enumerate() {
            self.samples.offer(priority(options.seed, feature, row), || cut(at));
        }
        Ok(())
    }

    pub fn max(&self) -> f32 {
        self.top.contexts().next().map_or(0.0, |context| context.value)
    }

    pub fn mean(&self) -> f64 {
        if self.fired == 0 { 0.0 } else { self.sum / self.fired as f64 }
    }

    /// Counts of the bins; what lies outside is in the outermost ones.
    pub fn counts(&self) -> Vec<u64> {
        let mut counts = self.histogram.counts().to_vec();
        if let [first, .., last] = &mut counts[..] {
            *first += self.histogram.below();
            *last += self.histogram.above();
        }
        counts
    }

    /// Activation below which a share `q` of the firings lies, to within a bin.
    pub fn quantile(&self, q: f64) -> f64 {
        let (mut left, edges) = (q * self.fired as f64, self.histogram.edges());
        for (count, edges) in self.counts().into_iter().map(|count| count as f64).zip(edges.windows(2)) {
            if count > 0.0 && left <= count {
                return (edges[0] * (edges[1] / edges[0]).powf(left / count)).min(self.max().into());
            }
            left -= count;
        }
        self.max().into()
    }
}

/// Ascends as the activation, which is positive, descends; equal ones by row.
fn descending((row, value): (usize, f32)) -> u64 {
    u64::from(!value.to_bits()) << 32 | row as u64
}

/// A random number that depends on nothing but its arguments (the finaliser of `splitmix64`): the firings with the smallest
/// ones are a uniform sample, whatever the order of reading.
fn priority(seed: u64, feature: usize, row: usize) -> u64 {
    let mix = |x: u64| {
        let x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ x >> 31
    };
    mix(mix(mix(seed.wrapping_add(0x9e37_79b9_7f4a_7c15)).wrapping_add(feature as u64)).wrapping_add(row as u64))
}
