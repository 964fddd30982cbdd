//! The register tile: products of packed panels.

use core::ops::Range;

use crate::Scalar;
use crate::math::simd::{
    Registers, Simd, SimdBase, SimdFloat, Vector, dispatch, level, load_part, registers, store_part,
};

/// Rows of `A` in one panel.
pub(super) const HEIGHT: usize = 12;

/// Vectors of columns of `B` in one panel.
pub(super) const VECTORS: usize = 2;

/// Columns of `B` in one panel.
pub(super) const fn width<T: Scalar>() -> usize {
    VECTORS * T::LANES
}

/// What a product does with the numbers that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Output {
    /// Overwrites them.
    Store,
    /// Adds to them.
    Add,
}

/// Product of packed rows and packed columns into `c[.., columns]`; `c: (rows, n)`.
///
/// `left` holds panels `(depth, HEIGHT)`, `right` panels `(depth, width)` that start `right.1` numbers apart. A panel of
/// columns stays in the nearest cache while all panels of rows pass by.
pub(super) fn multiply_panels<T: Scalar>(
    left: &[T],
    right: (&[T], usize),
    depth: usize,
    c: &mut [T],
    n: usize,
    columns: Range<usize>,
    output: Output,
) {
    dispatch!(level(), simd => panels(simd, left, right, depth, c, n, columns, output));
}

#[expect(clippy::too_many_arguments, reason = "the kernel behind one entry point")]
#[inline(always)]
fn panels<T: Scalar, S: Simd>(
    simd: S,
    left: &[T],
    (right, stride): (&[T], usize),
    depth: usize,
    c: &mut [T],
    n: usize,
    columns: Range<usize>,
    output: Output,
) {
    for (panel, first) in columns.clone().step_by(width::<T>()).enumerate() {
        let right = &right[panel * stride..panel * stride + width::<T>() * depth];
        for (left, c) in left.chunks_exact(HEIGHT * depth).zip(c.chunks_mut(HEIGHT * n)) {
            let live = first..columns.end.min(first + width::<T>());
            match registers::<S>() {
                Registers::Wide if live.len() <= T::LANES => {
                    tile::<T, S, HEIGHT, 1>(simd, left, right, (0, 0), c, n, live, output);
                }
                Registers::Wide => tile::<T, S, HEIGHT, VECTORS>(simd, left, right, (0, 0), c, n, live, output),
                Registers::Some => parts::<T, S, { HEIGHT / 2 }>(simd, left, right, c, n, live, output),
                Registers::Few => parts::<T, S, { HEIGHT / 6 }>(simd, left, right, c, n, live, output),
            }
        }
    }
}

/// A tile in parts of `M` rows and one vector, for machines whose registers hold no more.
#[inline(always)]
fn parts<T: Scalar, S: Simd, const M: usize>(
    simd: S,
    left: &[T],
    right: &[T],
    c: &mut [T],
    n: usize,
    columns: Range<usize>,
    output: Output,
) {
    for vector in 0..VECTORS {
        let first = columns.start + vector * T::LANES;
        let part = first..columns.end.min(first + T::LANES);
        if part.is_empty() {
            continue;
        }
        for top in (0..HEIGHT).step_by(M) {
            tile::<T, S, M, 1>(simd, left, right, (top, vector * T::LANES), c, n, part.clone(), output);
        }
    }
}

/// The part of a tile that starts at `(top, side)`: `M` rows and `N` vectors, of which `columns` exist in `c`.
#[expect(clippy::too_many_arguments, reason = "the kernel behind one entry point")]
#[inline(always)]
fn tile<T: Scalar, S: Simd, const M: usize, const N: usize>(
    simd: S,
    left: &[T],
    right: &[T],
    (top, side): (usize, usize),
    c: &mut [T],
    n: usize,
    columns: Range<usize>,
    output: Output,
) {
    let zero = Vector::<T, S>::splat(simd, T::zero());
    let whole = columns.len() == N * T::LANES && c.len() >= (top + M) * n;
    // read before the sums, so that the way to memory is over when they end
    let mut before = [[zero; N]; M];
    if whole && output == Output::Add {
        for (t, before) in before.iter_mut().enumerate() {
            let row = &c[(top + t) * n..][columns.clone()];
            for (v, before) in before.iter_mut().enumerate() {
                *before = Vector::<T, S>::from_slice(simd, &row[v * T::LANES..(v + 1) * T::LANES]);
            }
        }
    }
    let mut sums = [[zero; N]; M];
    for (x, y) in left.chunks_exact(HEIGHT).zip(right.chunks_exact(width::<T>())) {
        let (x, y) = (&x[top..top + M], &y[side..side + N * T::LANES]);
        let y: [_; N] =
            core::array::from_fn(|v| Vector::<T, S>::from_slice(simd, &y[v * T::LANES..(v + 1) * T::LANES]));
        for t in 0..M {
            let x = Vector::<T, S>::splat(simd, x[t]);
            for v in 0..N {
                sums[t][v] = y[v].mul_add(x, sums[t][v]);
            }
        }
    }
    if whole {
        for (t, (before, sums)) in before.iter().zip(&sums).enumerate() {
            let row = &mut c[(top + t) * n..][columns.clone()];
            for (v, (&before, &sum)) in before.iter().zip(sums).enumerate() {
                let out = &mut row[v * T::LANES..(v + 1) * T::LANES];
                if output == Output::Add { before + sum } else { sum }.store_slice(out);
            }
        }
        return;
    }
    for (row, sums) in c.chunks_exact_mut(n).skip(top).zip(&sums) {
        let row = &mut row[columns.clone()];
        if output == Output::Store {
            row.fill(T::zero());
        }
        for (out, &sum) in row.chunks_mut(T::LANES).zip(sums) {
            add_vector::<T, S>(simd, sum, out);
        }
    }
}

/// Adds the first lanes of `sum` to `out`, which may be shorter.
#[inline(always)]
pub(super) fn add_vector<T: Scalar, S: Simd>(simd: S, sum: Vector<T, S>, out: &mut [T]) {
    store_part(load_part::<T, S>(simd, out) + sum, out);
}
