//! Sums over few rows of a matrix: the loops of sparse decoding and of sparse gradients.

use crate::Scalar;
use crate::math::simd::{Simd, SimdBase, Vector, load_part, store_part};

/// Rows that are read side by side.
const TOGETHER: usize = 4;

/// Adds `Σ weight · row` to `out`, in the order of `entries`; each entry is a weight and a row as long as `out`.
#[inline(always)]
pub(crate) fn add_rows<'a, T: Scalar, S: Simd>(
    simd: S,
    out: &mut [T],
    mut entries: impl Iterator<Item = (T, &'a [T])>,
) {
    loop {
        let mut weights = [T::zero(); TOGETHER];
        let mut rows: [&[T]; TOGETHER] = [&[]; TOGETHER];
        let mut count = 0;
        for (weight, row) in entries.by_ref().take(TOGETHER) {
            (weights[count], rows[count]) = (weight, row);
            count += 1;
        }
        match count {
            TOGETHER => add_some::<T, S, TOGETHER>(simd, out, weights, rows),
            0 => return,
            // a loop, not a closure: what an iterator calls is compiled without the vector instructions
            _ => {
                for q in 0..count {
                    add_some::<T, S, 1>(simd, out, [weights[q]], [rows[q]]);
                }
            }
        }
    }
}

#[inline(always)]
fn add_some<T: Scalar, S: Simd, const Q: usize>(simd: S, out: &mut [T], weights: [T; Q], rows: [&[T]; Q]) {
    let len = out.len();
    let rows = rows.map(|row| &row[..len]);
    for lane in (0..len).step_by(T::LANES) {
        let end = len.min(lane + T::LANES);
        let mut sum = load_part::<T, S>(simd, &out[lane..end]);
        for q in 0..Q {
            sum += load_part::<T, S>(simd, &rows[q][lane..end]) * weights[q];
        }
        store_part::<T, S>(sum, &mut out[lane..end]);
    }
}

/// `Σ a_i b_i` in lanes.
#[inline(always)]
pub(crate) fn dot<T: Scalar, S: Simd>(simd: S, a: &[T], b: &[T]) -> T {
    let len = a.len();
    let b = &b[..len];
    // four chains hide the latency of the additions
    let mut sums = [Vector::<T, S>::splat(simd, T::zero()); 4];
    for (index, lane) in (0..len).step_by(T::LANES).enumerate() {
        let end = len.min(lane + T::LANES);
        sums[index % 4] += load_part::<T, S>(simd, &a[lane..end]) * load_part::<T, S>(simd, &b[lane..end]);
    }
    ((sums[0] + sums[1]) + (sums[2] + sums[3])).reduce_sum()
}
