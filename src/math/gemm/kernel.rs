//! The register tile: products of packed panels.

use core::ops::Range;

use crate::Scalar;
use crate::math::simd::{Simd, SimdBase, Vector, dispatch, level, wide};

/// Rows of `A` in one panel.
pub(super) const HEIGHT: usize = 8;

/// Vectors of columns of `B` in one panel.
const VECTORS: usize = 1;

/// Columns of `B` in one panel.
pub(super) const fn width<T: Scalar>() -> usize {
    VECTORS * T::LANES
}

/// Adds the product of packed rows and packed columns to `c[.., columns]`; `c: (rows, n)`.
///
/// `left` holds panels `(depth, HEIGHT)`, `right` panels `(depth, width)`.
pub(super) fn add_panels<T: Scalar>(
    left: &[T],
    right: &[T],
    depth: usize,
    c: &mut [T],
    n: usize,
    columns: Range<usize>,
) {
    dispatch!(level(), simd => panels(simd, left, right, depth, c, n, columns));
}

#[inline(always)]
fn panels<T: Scalar, S: Simd>(
    simd: S,
    left: &[T],
    right: &[T],
    depth: usize,
    c: &mut [T],
    n: usize,
    columns: Range<usize>,
) {
    for (left, c) in left.chunks_exact(HEIGHT * depth).zip(c.chunks_mut(HEIGHT * n)) {
        for (right, first) in right.chunks_exact(width::<T>() * depth).zip(columns.clone().step_by(width::<T>())) {
            let live = width::<T>().min(columns.end - first);
            if wide::<S>() {
                tile::<T, S, HEIGHT, VECTORS>(simd, left, right, (0, 0), c, n, first..first + live);
                continue;
            }
            // 16 narrow registers hold a quarter of the tile
            for top in [0, HEIGHT / 2] {
                for vector in 0..VECTORS {
                    let first = first + vector * T::LANES;
                    let end = columns.end.min(first + T::LANES).max(first);
                    tile::<T, S, { HEIGHT / 2 }, 1>(simd, left, right, (top, vector * T::LANES), c, n, first..end);
                }
            }
        }
    }
}

/// The part of a tile that starts at `(top, side)`: `M` rows and `N` vectors, of which `columns` exist in `c`.
#[inline(always)]
fn tile<T: Scalar, S: Simd, const M: usize, const N: usize>(
    simd: S,
    left: &[T],
    right: &[T],
    (top, side): (usize, usize),
    c: &mut [T],
    n: usize,
    columns: Range<usize>,
) {
    let mut sums = [[Vector::<T, S>::splat(simd, T::zero()); N]; M];
    for (x, y) in left.chunks_exact(HEIGHT).zip(right.chunks_exact(width::<T>())) {
        let (x, y) = (&x[top..top + M], &y[side..side + N * T::LANES]);
        let y: [_; N] =
            core::array::from_fn(|v| Vector::<T, S>::from_slice(simd, &y[v * T::LANES..(v + 1) * T::LANES]));
        for t in 0..M {
            let x = Vector::<T, S>::splat(simd, x[t]);
            for v in 0..N {
                sums[t][v] += x * y[v];
            }
        }
    }
    for (row, sums) in c.chunks_exact_mut(n).skip(top).zip(&sums) {
        for (out, &sum) in row[columns.clone()].chunks_mut(T::LANES).zip(sums) {
            add_vector::<T, S>(simd, sum, out);
        }
    }
}

/// Adds the first lanes of `sum` to `out`, which may be shorter.
#[inline(always)]
pub(super) fn add_vector<T: Scalar, S: Simd>(simd: S, sum: Vector<T, S>, out: &mut [T]) {
    if out.len() == T::LANES {
        (Vector::<T, S>::from_slice(simd, out) + sum).store_slice(out);
        return;
    }
    for (out, &sum) in out.iter_mut().zip(sum.as_slice()) {
        *out += sum;
    }
}
