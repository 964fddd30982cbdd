//! Products of 1 to 4 rows: `B` is read once, straight from where it lies.

use alloc::vec;
use alloc::vec::Vec;

use ndarray::{ArrayView2, ArrayViewMut2};

use super::DEPTH;
use super::kernel::add_vector;
use super::pack::{Operand, pack_lines};
use crate::Scalar;
use crate::math::par;
use crate::math::simd::{Simd, SimdBase, SimdFloat, Vector, dispatch, level, load_part};

/// Largest number of rows that are streamed.
pub(super) const MOST: usize = 4;

/// Vectors of columns that one piece of work covers.
const STRIP_VECTORS: usize = 32;

/// Rows of `B` that are read side by side.
const TOGETHER: usize = 4;

/// Adds `A B` to `out: (m, n)`; `a: (m, k)` with `m` at most [`MOST`].
pub(super) fn add<T: Scalar>(a: ArrayView2<'_, T>, b: &Operand<'_, T>, out: ArrayViewMut2<'_, T>) {
    match a.nrows() {
        1 => add_rows::<T, 1>(a, b, out),
        2 => add_rows::<T, 2>(a, b, out),
        3 => add_rows::<T, 3>(a, b, out),
        _ => add_rows::<T, MOST>(a, b, out),
    }
}

fn add_rows<T: Scalar, const M: usize>(a: ArrayView2<'_, T>, b: &Operand<'_, T>, mut out: ArrayViewMut2<'_, T>) {
    let n = out.ncols();
    let weights: Vec<[T; M]> = a.columns().into_iter().map(|column| core::array::from_fn(|t| column[t])).collect();
    let strip = STRIP_VECTORS * T::LANES;
    let mut sums = vec![T::zero(); n.div_ceil(strip) * strip * M];
    for (index, sums) in sums.chunks_exact_mut(strip * M).enumerate() {
        for (row, sums) in out.rows().into_iter().zip(sums.chunks_exact_mut(strip)) {
            sums.iter_mut().zip(row.iter().skip(index * strip)).for_each(|(sum, &old)| *sum = old);
        }
    }
    par::for_each_chunk_mut(&mut sums, strip * M, |index, sums| {
        let first = index * strip;
        let live = strip.min(n - first);
        dispatch!(level(), simd => {
            if b.transposed() { gather(simd, &weights, b, first, live, sums) } else { stream(simd, &weights, b, first, live, sums) }
        });
    });
    for (index, sums) in sums.chunks_exact(strip * M).enumerate() {
        for (mut row, sums) in out.rows_mut().into_iter().zip(sums.chunks_exact(strip)) {
            row.iter_mut().skip(index * strip).zip(sums).for_each(|(new, &sum)| *new = sum);
        }
    }
}

/// `B` with rows that are slices: adds [`TOGETHER`] weighted rows at a time to sums that stay in the first-level cache.
#[inline(always)]
fn stream<T: Scalar, S: Simd, const M: usize>(
    simd: S,
    weights: &[[T; M]],
    b: &Operand<'_, T>,
    first: usize,
    live: usize,
    out: &mut [T],
) {
    let strip = out.len() / M;
    let mut sums = vec![T::zero(); out.len()];
    for (block, weights) in weights.chunks(DEPTH).enumerate() {
        sums.fill(T::zero());
        let mut p = block * DEPTH;
        let mut groups = weights.chunks_exact(TOGETHER);
        for group in &mut groups {
            let rows: [&[T]; TOGETHER] = core::array::from_fn(|q| &b.line(p + q)[first..first + live]);
            add_weighted::<T, S, M, TOGETHER>(simd, rows, group, &mut sums, strip);
            p += TOGETHER;
        }
        for group in groups.remainder().chunks_exact(1) {
            add_weighted::<T, S, M, 1>(simd, [&b.line(p)[first..first + live]], group, &mut sums, strip);
            p += 1;
        }
        out.iter_mut().zip(&sums).for_each(|(out, &sum)| *out += sum);
    }
}

/// Adds `Q` weighted rows of `B`, in order, to each of the `M` rows of `sums`.
#[inline(always)]
fn add_weighted<T: Scalar, S: Simd, const M: usize, const Q: usize>(
    simd: S,
    rows: [&[T]; Q],
    weights: &[[T; M]],
    sums: &mut [T],
    strip: usize,
) {
    let live = rows[0].len();
    for lane in (0..live).step_by(T::LANES) {
        let end = live.min(lane + T::LANES);
        let y: [_; Q] = core::array::from_fn(|q| load_part::<T, S>(simd, &rows[q][lane..end]));
        for t in 0..M {
            let place = &mut sums[t * strip + lane..t * strip + lane + T::LANES];
            let mut sum = Vector::<T, S>::from_slice(simd, place);
            for q in 0..Q {
                sum = y[q].mul_add(Vector::<T, S>::splat(simd, weights[q][t]), sum);
            }
            sum.store_slice(place);
        }
    }
}

/// `B` with columns that are slices: turns as many columns as a vector has lanes, a block at a time.
#[inline(always)]
fn gather<T: Scalar, S: Simd, const M: usize>(
    simd: S,
    weights: &[[T; M]],
    b: &Operand<'_, T>,
    first: usize,
    live: usize,
    out: &mut [T],
) {
    let strip = out.len() / M;
    let mut panel = vec![T::zero(); DEPTH * T::LANES];
    for lane in (0..live).step_by(T::LANES) {
        let columns = first + lane..first + live.min(lane + T::LANES);
        for (block, weights) in weights.chunks(DEPTH).enumerate() {
            let depth = block * DEPTH..block * DEPTH + weights.len();
            pack_lines(b, columns.clone(), depth, T::LANES, &mut panel[..weights.len() * T::LANES]);
            let mut sums = [Vector::<T, S>::splat(simd, T::zero()); M];
            for (y, weights) in panel.chunks_exact(T::LANES).zip(weights) {
                let y = Vector::<T, S>::from_slice(simd, y);
                for t in 0..M {
                    sums[t] = y.mul_add(Vector::<T, S>::splat(simd, weights[t]), sums[t]);
                }
            }
            for (t, &sum) in sums.iter().enumerate() {
                let start = t * strip + lane;
                add_vector::<T, S>(simd, sum, &mut out[start..start + columns.len()]);
            }
        }
    }
}
