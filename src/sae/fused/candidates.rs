//! The largest scores of a row, found while they stream by.

use alloc::vec::Vec;
use core::cmp::Ordering;
use core::ops::Range;

use crate::Scalar;
use crate::math::simd::{Simd, SimdBase, SimdMask, Vector, dispatch, level, load_part};

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
    let falling = |a: &T, b: &T| b.partial_cmp(a).unwrap_or(Ordering::Equal);
    let last = *scores.select_nth_unstable_by(k - 1, falling).1;
    let mut room = k - scores[..k].iter().filter(|&&score| score > last).count();
    entries.retain(|entry| {
        let equal = entry.score == last && room > 0;
        room -= usize::from(equal);
        equal || entry.score > last
    });
    Some(last)
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
    fn only_eligible_latents_count_even_below_zero() {
        let mut candidates = Candidates::new(2, f64::NEG_INFINITY);
        let scoring = Scoring { bias: &[0.0; 4], norms: Some(&[1.0; 4]), bars: None };
        candidates.scan(&[-3.0, -1.0, 5.0, -2.0], 0, scoring, Some(&[1.0, 1.0, 0.0, 1.0]));
        let found: Vec<(u32, f64)> = candidates.finish().iter().map(|entry| (entry.latent, entry.z)).collect();
        assert_eq!(found, [(1, -1.0), (3, -2.0)]);
    }
}
