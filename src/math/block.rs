//! Products on blocks of samples that are held feature by feature.
//!
//! A block is a `(q, BLOCK)` matrix whose columns are samples: vector lanes run over samples, so that every product
//! below is dense in its lanes however small `q` is. Only the first `live` columns are touched, a multiple of the
//! lane count.
//!
//! ```text
//! apply       C = A B        A: (p, q) small,  B: (q, BLOCK),  C: (p, BLOCK), handed out vector by vector
//! accumulate  G += A Bᵀ      A: (p, BLOCK),    B: (s, BLOCK),  G: (p, s)
//! ```

use super::simd::{Simd, SimdBase, SimdFloat, Vector, wide};
use crate::Scalar;

/// Samples in one block. Also the piece of a batch that has a random stream and a gradient of its own.
pub(crate) const BLOCK: usize = 256;

/// Rows of `A` in one register tile.
const TILE: usize = 4;

/// Rows of `A` in a tile on machines with 32 wide registers: more work for each vector that is read.
const TALL: usize = 10;

/// Vectors of `B` that go with [`TALL`] rows.
const SIDE: usize = 2;

/// Vectors of `B` that go with [`TILE`] rows or fewer on machines with 32 wide registers.
const PAIR: usize = 4;

/// The first `rows` samples, rounded up to whole vectors.
pub(crate) fn live_lanes<T: Scalar>(rows: usize) -> usize {
    rows.next_multiple_of(T::LANES)
}

/// Hands the vectors of `A B` to `emit(row, lane, vectors)`, some consecutive rows from `row` on at a time; `a: (p, q)`
/// row-major, `b: (q, BLOCK)`.
///
/// Sums run over `q` in order. For each lane rows come in order, too; how rows and lanes alternate depends on the machine.
#[inline(always)]
pub(crate) fn apply<T: Scalar, S: Simd>(
    simd: S,
    a: &[T],
    q: usize,
    b: &[T],
    live: usize,
    mut emit: impl FnMut(usize, usize, &[Vector<T, S>]),
) {
    if q == 0 {
        return;
    }
    let (mut row, mut left) = (0, a);
    while wide::<S>() && left.len() >= TALL * q {
        let (tile, rest) = left.split_at(TALL * q);
        apply_rows::<T, S, TALL, SIDE>(simd, tile, q, b, live, row, &mut emit);
        (row, left) = (row + TALL, rest);
    }
    while left.len() >= TILE * q {
        let (tile, rest) = left.split_at(TILE * q);
        apply_rows::<T, S, TILE, PAIR>(simd, tile, q, b, live, row, &mut emit);
        (row, left) = (row + TILE, rest);
    }
    for single in left.chunks_exact(q) {
        apply_rows::<T, S, 1, PAIR>(simd, single, q, b, live, row, &mut emit);
        row += 1;
    }
}

/// The first rows of a matrix that is `width` wide.
///
/// A loop, here and below, in place of closures and chained iterators: what those call may be compiled apart, and then without
/// the vector instructions of the caller.
#[inline(always)]
fn lines<T, const M: usize>(x: &[T], width: usize) -> [&[T]; M] {
    let mut lines: [&[T]; M] = [&[]; M];
    for (t, line) in lines.iter_mut().enumerate() {
        *line = &x[t * width..(t + 1) * width];
    }
    lines
}

/// Some rows of `A` with all vectors of `B`, on machines with 32 wide registers `N` at a time.
#[inline(always)]
fn apply_rows<T: Scalar, S: Simd, const M: usize, const N: usize>(
    simd: S,
    tile: &[T],
    q: usize,
    b: &[T],
    live: usize,
    row: usize,
    emit: &mut impl FnMut(usize, usize, &[Vector<T, S>]),
) {
    let mut lane = 0;
    while wide::<S>() && lane + N * T::LANES <= live {
        apply_tile::<T, S, M, N>(simd, tile, q, b, lane, row, emit);
        lane += N * T::LANES;
    }
    while lane < live {
        apply_tile::<T, S, M, 1>(simd, tile, q, b, lane, row, emit);
        lane += T::LANES;
    }
}

#[inline(always)]
fn apply_tile<T: Scalar, S: Simd, const M: usize, const N: usize>(
    simd: S,
    tile: &[T],
    q: usize,
    b: &[T],
    lane: usize,
    row: usize,
    emit: &mut impl FnMut(usize, usize, &[Vector<T, S>]),
) {
    let rows = lines::<T, M>(tile, q);
    let mut sums = [[Vector::<T, S>::splat(simd, T::zero()); N]; M];
    let mut j = 0;
    while j < q {
        let from = &b[j * BLOCK + lane..][..N * T::LANES];
        let mut x = [Vector::<T, S>::splat(simd, T::zero()); N];
        for (v, x) in x.iter_mut().enumerate() {
            *x = Vector::<T, S>::from_slice(simd, &from[v * T::LANES..(v + 1) * T::LANES]);
        }
        for t in 0..M {
            let a = Vector::<T, S>::splat(simd, rows[t][j]);
            for v in 0..N {
                sums[t][v] = x[v].mul_add(a, sums[t][v]);
            }
        }
        j += 1;
    }
    let mut v = 0;
    while v < N {
        // a copy: sums that are lent do not stay in registers before
        let mut of_lane = [Vector::<T, S>::splat(simd, T::zero()); M];
        for t in 0..M {
            of_lane[t] = sums[t][v];
        }
        emit(row, lane + v * T::LANES, &of_lane);
        v += 1;
    }
}

/// Adds `A Bᵀ + C Dᵀ` to `gram: (p, s)`; `a, c: (p, BLOCK)`, `b, d: (s, BLOCK)`; a second pair may be empty.
///
/// Each entry is summed in [`Scalar`]'s lanes over the samples and then over the lanes, in one fixed order.
#[inline(always)]
pub(crate) fn accumulate<T: Scalar, S: Simd, const PAIRS: usize>(
    simd: S,
    pairs: [(&[T], &[T]); PAIRS],
    (p, s): (usize, usize),
    live: usize,
    gram: &mut [T],
) {
    let mut d = 0;
    while d < p {
        let height = match p - d {
            TALL.. if wide::<S>() => TALL,
            TILE.. => TILE,
            _ => 1,
        };
        let mut i = 0;
        while i < s {
            let width = match (height, s - i) {
                (TALL, SIDE..) => SIDE,
                (TILE, PAIR..) if wide::<S>() => PAIR,
                (1, PAIR..) => PAIR,
                _ => 1,
            };
            let mut tiles = pairs;
            for (a, b) in &mut tiles {
                (*a, *b) = (&a[d * BLOCK..(d + height) * BLOCK], &b[i * BLOCK..(i + width) * BLOCK]);
            }
            let out = &mut gram[d * s + i..];
            match (height, width) {
                (TALL, SIDE) => accumulate_tile::<T, S, PAIRS, TALL, SIDE>(simd, tiles, live, out, s),
                (TALL, _) => accumulate_tile::<T, S, PAIRS, TALL, 1>(simd, tiles, live, out, s),
                (TILE, PAIR) => accumulate_tile::<T, S, PAIRS, TILE, PAIR>(simd, tiles, live, out, s),
                (TILE, _) => accumulate_tile::<T, S, PAIRS, TILE, 1>(simd, tiles, live, out, s),
                (_, PAIR) => accumulate_tile::<T, S, PAIRS, 1, PAIR>(simd, tiles, live, out, s),
                _ => accumulate_tile::<T, S, PAIRS, 1, 1>(simd, tiles, live, out, s),
            }
            i += width;
        }
        d += height;
    }
}

#[inline(always)]
fn accumulate_tile<T: Scalar, S: Simd, const PAIRS: usize, const M: usize, const N: usize>(
    simd: S,
    tiles: [(&[T], &[T]); PAIRS],
    live: usize,
    out: &mut [T],
    stride: usize,
) {
    let mut sums = [[Vector::<T, S>::splat(simd, T::zero()); N]; M];
    for (a, b) in tiles {
        let (left, right) = (lines::<T, M>(a, BLOCK), lines::<T, N>(b, BLOCK));
        for lane in (0..live).step_by(T::LANES) {
            let mut y = [Vector::<T, S>::splat(simd, T::zero()); N];
            for (u, y) in y.iter_mut().enumerate() {
                *y = Vector::<T, S>::from_slice(simd, &right[u][lane..lane + T::LANES]);
            }
            for t in 0..M {
                let x = Vector::<T, S>::from_slice(simd, &left[t][lane..lane + T::LANES]);
                for u in 0..N {
                    sums[t][u] = x.mul_add(y[u], sums[t][u]);
                }
            }
        }
    }
    for t in 0..M {
        for u in 0..N {
            out[t * stride + u] += sums[t][u].reduce_sum();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use crate::math::simd::{dispatch, level};
    use crate::scalar::Vectorised;
    use alloc::vec;
    use alloc::vec::Vec;

    use rand::Rng;

    fn noise(len: usize, item: u64) -> Vec<f64> {
        let mut stream = Seed(7).stream(0, item);
        (0..len).map(|_| f64::from(stream.next_u32()) / 2e9 - 1.0).collect()
    }

    #[test]
    fn apply_equals_the_triple_loop() {
        let fuses = crate::math::simd::fuses();
        for (p, q, live) in [(1, 1, 8), (4, 3, 16), (7, 5, 24), (9, 2, BLOCK), (15, 4, 40), (30, 3, BLOCK)] {
            let (a, b) = (noise(p * q, 1), noise(q * BLOCK, 2));
            let mut c = vec![0.0; p * BLOCK];
            dispatch!(level(), simd => apply(simd, &a, q, &b, live, |row, lane, vs| {
                for (row, v) in (row..).zip(vs) {
                    v.store_slice(&mut c[row * BLOCK + lane..row * BLOCK + lane + f64::LANES]);
                }
            }));
            for (row, lane) in (0..p).flat_map(|row| (0..live).map(move |lane| (row, lane))) {
                let naive = (0..q).fold(0.0, |sum, j| {
                    let (x, y) = (b[j * BLOCK + lane], a[row * q + j]);
                    if fuses { x.mul_add(y, sum) } else { sum + x * y }
                });
                assert_eq!(c[row * BLOCK + lane], naive);
            }
        }
    }

    #[test]
    fn accumulate_equals_the_triple_loop() {
        for (p, s, live) in [(1, 1, 8), (4, 4, 16), (5, 9, 24), (2, 3, BLOCK), (25, 5, 40), (10, 7, BLOCK)] {
            let (a, b) = (noise(p * BLOCK, 3), noise(s * BLOCK, 4));
            let mut gram = vec![1.0; p * s];
            let pairs = [(&a[..], &b[..]); 2];
            dispatch!(level(), simd => accumulate(simd, pairs, (p, s), live, &mut gram));
            for (d, i) in (0..p).flat_map(|d| (0..s).map(move |i| (d, i))) {
                let naive: f64 = (0..live).map(|r| a[d * BLOCK + r] * b[i * BLOCK + r]).sum();
                assert!((gram[d * s + i] - 1.0 - 2.0 * naive).abs() < 1e-12);
            }
        }
    }
}
