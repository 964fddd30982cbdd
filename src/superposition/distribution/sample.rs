//! Sampling of feature blocks at a cost that grows with the present features.
//!
//! Dense features draw one number per cell, which decides both presence and value: given `u < p`, `u/p` is uniform
//! again. Sparse features jump from one present cell to the next by geometric skips; neighbours of similar density skip
//! together at the rate of the densest, and each cell is then kept with its own share of that rate.

use alloc::vec::Vec;

use super::features::{FeatureDistribution, Joint, Value};
use crate::Scalar;
use crate::math::block::{BLOCK, live_lanes};
use crate::math::chacha::BATCH;
use crate::math::random::{SHORT_SKIPS_FROM, Skips, Stream, below, short_skips, uniform};
use crate::math::simd::{Simd, dispatch, level};

/// Purpose of the random streams of samples.
pub(super) const PURPOSE: u64 = 0x5a4d_504c;

/// Below this density skips are cheaper than one draw per cell.
const SKIP_BELOW: f64 = 0.08;

// one batch of random words serves one feature of a block
const _: () = assert!(BATCH == BLOCK);

impl<T: Scalar> FeatureDistribution<T> {
    /// Fills the first `rows` columns of `block: (n, BLOCK)`; the rest of the touched lanes becomes 0.
    pub(crate) fn fill_block(&self, stream: &mut Stream, rows: usize, block: &mut [T]) {
        let rows = rows.min(BLOCK);
        match self.joint() {
            Joint::Independent => self.fill_independent(stream, rows, block),
            Joint::Correlated { size } => self.fill_sets(stream, rows, block, |stream, set, row| {
                for i in 0..size {
                    set[i * BLOCK + row] = self.draw(stream);
                }
            }),
            Joint::OneOfSet { size } => self.fill_sets(stream, rows, block, |stream, set, row| {
                set[below(stream, size) * BLOCK + row] = self.draw(stream);
            }),
            Joint::ExclusivePairs => self.fill_pairs(stream, rows, block),
            Joint::ExactlyOne => self.fill_exactly_one(stream, rows, block),
        }
    }

    fn draw(&self, stream: &mut Stream) -> T {
        shape(self.value(), uniform(stream))
    }

    fn fill_independent(&self, stream: &mut Stream, rows: usize, block: &mut [T]) {
        let probability = self.probability();
        let mut rest = probability.as_slice().unwrap_or(&[]);
        let mut block = block;
        while !rest.is_empty() {
            let (run, next) = rest.split_at(similar(rest, T::of(SKIP_BELOW)));
            let (features, after) = block.split_at_mut(run.len() * BLOCK);
            if run[0].as_f64() < SKIP_BELOW {
                fill_sparse(stream, self.value(), run, rows, features);
            } else {
                fill_dense(stream, self.value(), run[0], rows, features);
            }
            (rest, block) = (next, after);
        }
    }

    /// Calls `on(stream, set, row)` for every row in which a set is on; `set` holds the set's features.
    fn fill_sets(&self, stream: &mut Stream, rows: usize, block: &mut [T], on: impl Fn(&mut Stream, &mut [T], usize)) {
        let size = self.set_size();
        for (index, set) in block.chunks_exact_mut(size * BLOCK).enumerate() {
            set.fill(T::zero());
            let skips = Skips::new(self.probability()[index * size].as_f64());
            let mut row = skips.next(stream);
            while row < rows {
                on(stream, set, row);
                row = row.saturating_add(1).saturating_add(skips.next(stream));
            }
        }
    }

    fn fill_pairs(&self, stream: &mut Stream, rows: usize, block: &mut [T]) {
        for (index, pair) in block.chunks_exact_mut(2 * BLOCK).enumerate() {
            pair.fill(T::zero());
            // the second feature's chance p/(1 - p) where the first is absent is a chance of p in all: one of the two is
            // there with 2p, and either is as likely
            let skips = Skips::new(2.0 * self.probability()[2 * index].as_f64());
            let mut row = skips.next(stream);
            while row < rows {
                pair[below(stream, 2) * BLOCK + row] = self.draw(stream);
                row = row.saturating_add(1).saturating_add(skips.next(stream));
            }
        }
    }

    fn fill_exactly_one(&self, stream: &mut Stream, rows: usize, block: &mut [T]) {
        block.fill(T::zero());
        let mut total = 0.0;
        let up_to: Vec<f64> = self.probability().iter().map(|p| (total += p.as_f64(), total).1).collect();
        // rounding may leave a sliver after the last feature
        let last = self.probability().iter().rposition(|&p| p > T::zero()).unwrap_or(0);
        for row in 0..rows {
            let u = uniform::<f64>(stream) * total;
            let chosen = up_to.partition_point(|&sum| sum <= u).min(last);
            block[chosen * BLOCK + row] = self.draw(stream);
        }
    }
}

/// A value from a uniform number on `[0, 1)`.
#[inline(always)]
fn shape<T: Scalar>(value: Value, u: T) -> T {
    match value {
        Value::Uniform => u,
        Value::Symmetric => u + u - T::one(),
        Value::One => T::one(),
    }
}

/// Length of the first run of densities that skip together: equal ones, or ones below `limit` within a factor of 2.
fn similar<T: Scalar>(densities: &[T], limit: T) -> usize {
    let (mut low, mut high) = (densities[0], densities[0]);
    let run = densities.iter().take_while(|&&p| {
        (low, high) = (low.min(p), high.max(p));
        low == high || high < limit && high <= low + low
    });
    run.count().max(1)
}

/// Similar densities `densities: (count)` for `features: (count, BLOCK)`, by geometric skips over their cells.
fn fill_sparse<T: Scalar>(stream: &mut Stream, value: Value, densities: &[T], rows: usize, features: &mut [T]) {
    let live = live_lanes::<T>(rows);
    features.chunks_exact_mut(BLOCK).for_each(|feature| feature[..live].fill(T::zero()));
    if rows == 0 {
        return;
    }
    let highest = densities.iter().copied().fold(T::zero(), T::max);
    let p = highest.as_f64();
    let cells = features.len() / BLOCK * rows;
    let mut place = |cell: usize, u: T| {
        let (feature, row) = (cell / rows, cell % rows);
        let own = densities[feature];
        let scaled = u * highest;
        if own == highest {
            features[feature * BLOCK + row] = shape(value, u);
        } else if scaled < own {
            // given that it is below the share, the number is uniform again
            features[feature * BLOCK + row] = shape(value, scaled / own);
        }
    };
    if p < SHORT_SKIPS_FROM {
        let skips = Skips::new(p);
        let mut cell = skips.next(stream);
        while cell < cells {
            place(cell, uniform(stream));
            cell = cell.saturating_add(1).saturating_add(skips.next(stream));
        }
        return;
    }
    let (mut words, mut values, mut skips) = ([0; BATCH], [0; 2 * BATCH], [0; BATCH]);
    let mut cell = 0;
    loop {
        stream.fresh_words(&mut words);
        dispatch!(level(), simd => short_skips(simd, p, &words, &mut skips));
        fresh_values::<T>(stream, &mut values);
        for (i, &skip) in skips.iter().enumerate() {
            cell += skip as usize;
            if cell >= cells {
                return;
            }
            place(cell, T::uniform_from(&values[i * T::RANDOM_WORDS..(i + 1) * T::RANDOM_WORDS]));
            cell += 1;
        }
    }
}

/// One density for all `features: (count, BLOCK)`, one draw per cell.
fn fill_dense<T: Scalar>(stream: &mut Stream, value: Value, p: T, rows: usize, features: &mut [T]) {
    let mut words = [0; 2 * BATCH];
    let live = live_lanes::<T>(rows);
    for feature in features.chunks_exact_mut(BLOCK) {
        fresh_values::<T>(stream, &mut words);
        dispatch!(level(), simd => thin(simd, &words, value, p, &mut feature[..rows]));
        feature[rows..live].fill(T::zero());
    }
}

/// Words for [`BATCH`] uniform numbers.
fn fresh_values<T: Scalar>(stream: &mut Stream, words: &mut [u32; 2 * BATCH]) {
    let (batches, _) = words.as_chunks_mut::<BATCH>();
    batches.iter_mut().take(T::RANDOM_WORDS).for_each(|batch| stream.fresh_words(batch));
}

/// Turns random words into values that are present where their uniform number is below `p`.
#[inline(always)]
fn thin<T: Scalar, S: Simd>(_: S, words: &[u32], value: Value, p: T, out: &mut [T]) {
    let inverse = T::one() / p;
    // as long as needed: a loop that might panic leaves a vector's worth of turns undone, and ends one by one
    let words = &words[..out.len() * T::RANDOM_WORDS];
    // no iterator: what it calls may be compiled apart, and then not as vectors
    let mut i = 0;
    while i < out.len() {
        let u = T::uniform_from(&words[i * T::RANDOM_WORDS..(i + 1) * T::RANDOM_WORDS]);
        let present = shape(value, u * inverse);
        out[i] = if u < p { present } else { T::zero() };
        i += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use ndarray::{Array1, Array2, Axis};

    fn sample(p: &[f64], value: Value, joint: Joint) -> Array2<f64> {
        let rows = if cfg!(miri) { 600 } else { 40_000 };
        FeatureDistribution::new(Array1::from(p.to_vec()), value, joint).unwrap().sample(rows, Seed(11)).unwrap()
    }

    fn rate(x: &Array2<f64>) -> Array1<f64> {
        x.mapv(|v| f64::from(u8::from(v != 0.0))).mean_axis(Axis(0)).unwrap()
    }

    fn tolerance(x: &Array2<f64>) -> f64 {
        3.5 / (x.nrows() as f64).sqrt()
    }

    #[test]
    fn both_paths_have_the_same_rates_and_means() {
        let p = [0.0, 0.03, 0.079, 0.05, 0.05, 0.04, 0.08, 0.081, 0.5, 1.0, 7e-4, 4e-4];
        let x = sample(&p, Value::Uniform, Joint::Independent);
        for (i, (&rate, &mean)) in rate(&x).iter().zip(&x.mean_axis(Axis(0)).unwrap()).enumerate() {
            assert!((rate - p[i]).abs() < tolerance(&x) && (mean - p[i] / 2.0).abs() < tolerance(&x), "{i}");
        }
        assert!(x.iter().all(|&v| (0.0..1.0).contains(&v)));
    }

    #[test]
    fn a_correlated_set_is_all_or_nothing() {
        let x = sample(&[0.3; 4], Value::Uniform, Joint::Correlated { size: 2 });
        assert!(x.rows().into_iter().all(|row| (row[0] != 0.0) == (row[1] != 0.0)));
        assert!(x.rows().into_iter().any(|row| (row[0] != 0.0) != (row[2] != 0.0)));
    }

    #[test]
    fn an_exclusive_set_never_shows_two() {
        for (joint, rate_of_one) in [(Joint::OneOfSet { size: 2 }, 0.2), (Joint::ExclusivePairs, 0.4)] {
            let x = sample(&[0.4; 4], Value::Symmetric, joint);
            assert!(x.rows().into_iter().all(|row| row[0] == 0.0 || row[1] == 0.0));
            assert!(rate(&x).iter().all(|rate| (rate - rate_of_one).abs() < tolerance(&x)));
        }
    }

    #[test]
    fn exactly_one_is_exactly_one() {
        let x = sample(&[0.1, 0.3, 0.0], Value::One, Joint::ExactlyOne);
        assert!(x.rows().into_iter().all(|row| row.sum() == 1.0));
        assert!((rate(&x)[1] - 0.75).abs() < tolerance(&x) && rate(&x)[2] == 0.0);
    }

    #[test]
    fn a_short_block_leaves_no_old_values_in_its_lanes() {
        for p in [0.01_f32, 0.9] {
            let mut block = [7.0_f32; 2 * BLOCK];
            let distribution = FeatureDistribution::uniform(2, p).unwrap();
            distribution.fill_block(&mut Seed(1).stream(0, 0), 5, &mut block);
            assert!(block[5..16].iter().all(|&x| x == 0.0) && block[BLOCK + 5..BLOCK + 16].iter().all(|&x| x == 0.0));
        }
    }
}
