//! The largest scores of a row, found while they stream by.

use alloc::vec::Vec;
use core::cmp::Ordering;
use core::ops::Range;

use crate::Scalar;
use crate::math::FOR_MUCH_DATA;
use crate::math::simd::{Select, Simd, SimdBase, SimdMask, Vector, dispatch, level, load_part};

/// Vectors that are compared before anything is done about their hits.
const TOGETHER: usize = 4;

/// A latent that may be among the chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Entry<T> {
    /// What it is chosen by.
    pub(crate) score: T,
    /// Which latent.
    pub(crate) latent: u32,
    /// Its pre-activation.
    pub(crate) z: T,
}

/// How products become scores, for the latents of one tile.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scoring<'a, T> {
    /// Added to the products: gives the pre-activations.
    pub(crate) bias: &'a [T],
    /// What pre-activations are multiplied with.
    pub(crate) norms: Option<&'a [T]>,
    /// What is subtracted from pre-activations, where nothing is multiplied.
    pub(crate) bars: Option<&'a [T]>,
}

/// The `k` largest scores above a floor, of what came so far.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Candidates<T> {
    k: usize,
    /// Scores up to this cannot be chosen any more.
    pub(crate) bar: T,
    pub(crate) entries: Vec<Entry<T>>,
}

impl<T: Scalar> Candidates<T> {
    /// For the `k` largest scores above `floor`; all of them for `usize::MAX`.
    pub(crate) fn new(k: usize, floor: T) -> Self {
        Self { k, bar: floor, entries: Vec::new() }
    }

    /// Takes up the products of consecutive latents from `first` on.
    ///
    /// Where `eligible` is 0 a latent is passed over.
    pub(crate) fn scan(&mut self, products: &[T], first: usize, scoring: Scoring<'_, T>, eligible: Option<&[T]>) {
        dispatch!(level(), simd => self.scan_lanes(simd, products, first, scoring, eligible));
    }

    #[inline(always)]
    fn scan_lanes<S: Simd>(
        &mut self,
        simd: S,
        products: &[T],
        first: usize,
        scoring: Scoring<'_, T>,
        eligible: Option<&[T]>,
    ) {
        let group = TOGETHER * T::LANES;
        let whole = products.len() - products.len() % group;
        for at in (0..whole).step_by(group) {
            let mut hits = 0_u64;
            for v in 0..TOGETHER {
                let lanes = at + v * T::LANES..at + (v + 1) * T::LANES;
                hits |= self.hits(simd, products, lanes, scoring, eligible) << (v * T::LANES);
            }
            self.take(hits, at, first, products, scoring);
        }
        for at in (whole..products.len()).step_by(T::LANES) {
            let end = products.len().min(at + T::LANES);
            // lanes past the end hold 0, which a bar below 0 would let through
            let live = u64::MAX >> (64 - (end - at));
            let hits = self.hits(simd, products, at..end, scoring, eligible) & live;
            self.take(hits, at, first, products, scoring);
        }
    }

    /// Which of some lanes beat the bar, as bits.
    #[inline(always)]
    fn hits<S: Simd>(
        &self,
        simd: S,
        products: &[T],
        lanes: Range<usize>,
        Scoring { bias, norms, bars }: Scoring<'_, T>,
        eligible: Option<&[T]>,
    ) -> u64 {
        let z = load_part::<T, S>(simd, &products[lanes.clone()]) + load_part::<T, S>(simd, &bias[lanes.clone()]);
        let score = match (norms, bars) {
            (Some(norms), _) => z * load_part::<T, S>(simd, &norms[lanes.clone()]),
            (None, Some(bars)) => z - load_part::<T, S>(simd, &bars[lanes.clone()]),
            (None, None) => z,
        };
        let hits = score.simd_gt(Vector::<T, S>::splat(simd, self.bar)).to_bitmask();
        let Some(eligible) = eligible else { return hits };
        let zero = Vector::<T, S>::splat(simd, T::zero());
        hits & load_part::<T, S>(simd, &eligible[lanes]).simd_gt(zero).to_bitmask()
    }

    /// Takes up the latents whose bits are set.
    #[inline(always)]
    fn take(
        &mut self,
        mut hits: u64,
        at: usize,
        first: usize,
        products: &[T],
        Scoring { bias, norms, bars }: Scoring<'_, T>,
    ) {
        while hits != 0 {
            let i = at + hits.trailing_zeros() as usize;
            hits &= hits - 1;
            let z = products[i] + bias[i];
            let score = match (norms, bars) {
                (Some(norms), _) => z * norms[i],
                (None, Some(bars)) => z - bars[i],
                (None, None) => z,
            };
            self.push(score, first + i, z);
        }
    }

    /// Adds a candidate whose latent is larger than all before it.
    #[inline(always)]
    fn push(&mut self, score: T, latent: usize, z: T) {
        // the bar may have risen since the vector was compared
        if score > self.bar {
            self.entries.push(Entry { score, latent: u32::try_from(latent).unwrap_or(u32::MAX), z });
            if self.entries.len() >= self.k.saturating_mul(4) {
                self.cut();
            }
        }
    }

    /// Keeps the `k` best; whoever comes later must beat the last of them, for ties go to the lower latent.
    #[inline(never)]
    fn cut(&mut self) {
        if let Some(last) = keep_best(&mut self.entries, self.k) {
            self.bar = self.bar.max(last);
        }
    }

    /// The chosen, by ascending latent.
    pub(crate) fn finish(&mut self) -> &[Entry<T>] {
        self.cut();
        &self.entries
    }
}

/// Cuts `entries`, whose latents ascend, down to the `k` best, which stay in their order; gives the last score that was good
/// enough where something was cut.
pub(crate) fn keep_best<T: Scalar>(entries: &mut Vec<Entry<T>>, k: usize) -> Option<T> {
    if k == 0 {
        entries.clear();
    }
    if k >= entries.len() {
        return None;
    }
    // scores that passed a bar are numbers
    let mut scores: Vec<T> = entries.iter().map(|entry| entry.score).collect();
    let found = if FOR_MUCH_DATA { dispatch!(level(), simd => split(simd, &scores, k)) } else { None };
    let last = found.unwrap_or_else(|| {
        let falling = |a: &T, b: &T| b.partial_cmp(a).unwrap_or(Ordering::Equal);
        *scores.select_nth_unstable_by(k - 1, falling).1
    });
    let mut room = k - entries.iter().filter(|entry| entry.score > last).count();
    let mut kept = 0;
    // every entry is copied, kept or not: no guess at what comes next can be wrong
    for index in 0..entries.len() {
        let entry = entries[index];
        let equal = entry.score == last && room > 0;
        entries[kept] = entry;
        kept += usize::from(equal || entry.score > last);
        room -= usize::from(equal);
    }
    entries.truncate(kept);
    Some(last)
}

/// Halvings of the range of scores before another way is taken.
const HALVINGS: usize = 24;

/// The `k`-th largest of more than `k` scores, found by counting those above a bar in the middle; `None` where that finds no
/// bar that lets `k` pass, as with equal scores.
#[inline(always)]
fn split<T: Scalar, S: Simd>(simd: S, scores: &[T], k: usize) -> Option<T> {
    let (lanes, rest) = scores.split_at(scores.len() - scores.len() % T::LANES);
    let (mut low, mut high) = (Vector::<T, S>::splat(simd, scores[0]), Vector::<T, S>::splat(simd, scores[0]));
    for at in (0..lanes.len()).step_by(T::LANES) {
        let some = Vector::<T, S>::from_slice(simd, &lanes[at..at + T::LANES]);
        (low, high) = (low.min(some), high.max(some));
    }
    let mut low = rest.iter().fold(low.reduce_min(), |low, &score| low.min(score));
    let mut high = rest.iter().fold(high.reduce_max(), |high, &score| high.max(score));
    for _ in 0..HALVINGS {
        let bar = low + (high - low) * T::of(0.5);
        let bars = Vector::<T, S>::splat(simd, bar);
        // the least above the bar
        let (mut above, mut least) = (0, Vector::<T, S>::splat(simd, high));
        for at in (0..lanes.len()).step_by(T::LANES) {
            let some = Vector::<T, S>::from_slice(simd, &lanes[at..at + T::LANES]);
            let passes = some.simd_gt(bars);
            above += passes.to_bitmask().count_ones() as usize;
            least = least.min(passes.select(some, least));
        }
        above += rest.iter().filter(|score| **score > bar).count();
        match above.cmp(&k) {
            Ordering::Equal => {
                return Some(
                    rest.iter().filter(|score| **score > bar).fold(least.reduce_min(), |least, &s| least.min(s)),
                );
            }
            Ordering::Greater => low = bar,
            Ordering::Less => high = bar,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use crate::math::random::{below, fill_normal};
    use crate::math::select::top_k;
    use alloc::vec;

    #[test]
    fn equals_the_choice_among_all_at_once() {
        let mut stream = Seed(3).stream(0, 0);
        for round in 0..if cfg!(miri) { 4 } else { 60 } {
            let n = 1 + below(&mut stream, 700);
            let mut z = vec![0.0_f32; n];
            fill_normal(&mut stream, 1.0, &mut z);
            if round % 3 == 0 {
                // many ties
                z.iter_mut().for_each(|z| *z = (*z * 2.0).round());
            }
            let bias = vec![0.25; n];
            let k = 1 + below(&mut stream, 40);
            let mut candidates = Candidates::new(k, 0.0);
            for (chunk, values) in z.chunks(37).enumerate() {
                let first = chunk * 37;
                let bias = &bias[first..first + values.len()];
                candidates.scan(values, first, Scoring { bias, norms: None, bars: None }, None);
            }
            let shifted: Vec<f32> = z.iter().map(|z| z + 0.25).collect();
            let expected: Vec<usize> = top_k(&shifted, k).into_iter().filter(|&i| shifted[i] > 0.0).collect();
            let found: Vec<usize> = candidates.finish().iter().map(|entry| entry.latent as usize).collect();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn the_best_are_kept_whatever_the_scores() {
        let mut stream = Seed(4).stream(0, 0);
        for round in 0..if cfg!(miri) { 6 } else { 200 } {
            let n = 1 + below(&mut stream, 200);
            let mut scores = vec![0.0_f64; n];
            fill_normal(&mut stream, 1.0, &mut scores);
            match round % 6 {
                0 => scores.iter_mut().for_each(|score| *score = (*score * 2.0).round()),
                1 => scores.fill(-1.5),
                2 => scores[0] = f64::INFINITY,
                3 => scores.iter_mut().for_each(|score| *score *= 1e300),
                4 => scores[n - 1] = f64::NEG_INFINITY,
                _ => {}
            }
            let k = below(&mut stream, n + 2);
            let entry = |(latent, &score)| Entry { score, latent: u32::try_from(latent).unwrap(), z: score };
            let mut entries: Vec<Entry<f64>> = scores.iter().enumerate().map(entry).collect();
            let last = keep_best(&mut entries, k);
            let expected = top_k(&scores, k);
            assert!(entries.iter().map(|entry| entry.latent as usize).eq(expected.iter().copied()), "round {round}");
            let worst = expected.iter().map(|&i| scores[i]).reduce(f64::min);
            assert_eq!(last, if k < n { worst } else { None }, "round {round}");
        }
    }

    #[test]
    fn only_eligible_latents_count_even_below_zero() {
        let mut candidates = Candidates::new(2, f64::NEG_INFINITY);
        let scoring = Scoring { bias: &[0.0; 4], norms: Some(&[1.0; 4]), bars: None };
        candidates.scan(&[-3.0, -1.0, 5.0, -2.0], 0, scoring, Some(&[1.0, 1.0, 0.0, 1.0]));
        let found: Vec<(u32, f64)> = candidates.finish().iter().map(|entry| (entry.latent, entry.z)).collect();
        assert_eq!(found, [(1, -1.0), (3, -2.0)]);
    }
}
