//! Products too small for panels: rows of `B` padded to whole vectors, one row of `A` at a time.

use ndarray::{ArrayView2, ArrayViewMut2};

use super::DEPTH;
use super::kernel::add_vector;
use crate::Scalar;
use crate::math::aligned::Aligned;
use crate::math::simd::{Simd, SimdBase, SimdFloat, Vector, dispatch, level};

/// Adds `A B` to `out: (m, n)`; `buffer` receives the padded `B`.
pub(super) fn add<T: Scalar>(
    a: ArrayView2<'_, T>,
    b: ArrayView2<'_, T>,
    out: ArrayViewMut2<'_, T>,
    buffer: &mut Aligned<T>,
) {
    let padded = b.ncols().next_multiple_of(T::LANES);
    buffer.grow(b.nrows() * padded);
    for (to, from) in buffer.chunks_exact_mut(padded).zip(b.rows()) {
        to[from.len()..].fill(T::zero());
        to.iter_mut().zip(from).for_each(|(to, &from)| *to = from);
    }
    let padded_b = &buffer[..b.nrows() * padded];
    dispatch!(level(), simd => rows(simd, a, padded_b, padded, out));
}

#[inline(always)]
fn rows<T: Scalar, S: Simd>(simd: S, a: ArrayView2<'_, T>, b: &[T], padded: usize, mut out: ArrayViewMut2<'_, T>) {
    let n = out.ncols();
    for (weights, mut out) in a.rows().into_iter().zip(out.rows_mut()) {
        for lane in (0..padded).step_by(T::LANES) {
            let end = n.min(lane + T::LANES);
            let mut sum = Vector::<T, S>::splat(simd, T::zero());
            for (p, (&weight, row)) in weights.iter().zip(b.chunks_exact(padded)).enumerate() {
                if p > 0 && p.is_multiple_of(DEPTH) {
                    add_lanes(simd, sum, &mut out, lane..end);
                    sum = Vector::<T, S>::splat(simd, T::zero());
                }
                let y = Vector::<T, S>::from_slice(simd, &row[lane..lane + T::LANES]);
                sum = y.mul_add(Vector::<T, S>::splat(simd, weight), sum);
            }
            add_lanes(simd, sum, &mut out, lane..end);
        }
    }
}

/// Adds the first lanes of `sum` to the entries `lanes` of a row of any stride.
#[inline(always)]
fn add_lanes<T: Scalar, S: Simd>(
    simd: S,
    sum: Vector<T, S>,
    out: &mut ndarray::ArrayViewMut1<'_, T>,
    lanes: core::ops::Range<usize>,
) {
    if let Some(out) = out.as_slice_mut() {
        return add_vector::<T, S>(simd, sum, &mut out[lanes]);
    }
    for (entry, &sum) in out.iter_mut().skip(lanes.start).take(lanes.len()).zip(sum.as_slice()) {
        *entry += sum;
    }
}
