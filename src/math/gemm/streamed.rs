//! Products that are consumed tile by tile while they lie in the nearest caches; the whole product never exists.

use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use ndarray::ArrayView2;

use super::DEPTH;
use super::kernel::{HEIGHT, Output, multiply_panels, width};
use super::pack::{Operand, pack};
use super::packed::{Packed, pack_panel};
use crate::Scalar;
use crate::math::aligned::Aligned;
use crate::math::par;

/// Rows of one tile.
pub(crate) const TILE_ROWS: usize = 96;

/// Columns of one tile, in vectors.
const TILE_VECTORS: usize = 16;

/// Columns of `B` that are packed at once, in vectors: some megabytes, whatever the size of the product.
const CHUNK_VECTORS: usize = 128;

/// A part of `A B` in the making.
pub(crate) struct Tile<'a, T> {
    /// Which columns.
    pub(crate) columns: Range<usize>,
    /// The values, row after row.
    pub(crate) values: &'a [T],
}

/// Number of row blocks of a product with `rows` rows.
pub(crate) fn row_blocks(rows: usize) -> usize {
    rows.div_ceil(TILE_ROWS)
}

/// Computes `A B` in tiles and hands each to `consume`; `a: (m, k)`, `b: (k, n)`.
///
/// There is one state per block of [`TILE_ROWS`] rows; the tiles of a block come to its state one after another, columns
/// ascending, while other blocks may run beside it. The floats are those of the plain product.
pub(crate) fn for_each_tile<T: Scalar, V: Send>(
    a: ArrayView2<'_, T>,
    b: ArrayView2<'_, T>,
    packed: &mut Aligned<T>,
    states: &mut [V],
    consume: impl Fn(&mut V, Tile<'_, T>) + Sync + Send,
) {
    let ((m, k), n) = (a.dim(), b.ncols());
    let (a, b) = (Operand::new(a), Operand::new(b.reversed_axes()));
    let chunk = CHUNK_VECTORS * T::LANES;
    for start in (0..n).step_by(chunk) {
        let columns = start..n.min(start + chunk);
        let panels = columns.len().div_ceil(width::<T>());
        packed.grow(panels * width::<T>() * k.max(1));
        pack_columns(&b, &columns, k, packed);
        let right = &packed[..panels * width::<T>() * k];
        par::for_each_mut(states, |block, state| {
            let rows = block * TILE_ROWS..m.min((block + 1) * TILE_ROWS);
            if !rows.is_empty() {
                tiles(&a, right, k, rows, &columns, |tile| consume(state, tile));
            }
        });
    }
}

/// [`for_each_tile`] with a right operand that was packed before.
pub(crate) fn for_each_tile_of<T: Scalar, V: Send>(
    a: ArrayView2<'_, T>,
    b: &Packed<T>,
    states: &mut [V],
    consume: impl Fn(&mut V, Tile<'_, T>) + Sync + Send,
) {
    let (m, k) = a.dim();
    debug_assert_eq!(k, b.dim().0);
    let a = Operand::new(a);
    par::for_each_mut(states, |block, state| {
        let rows = block * TILE_ROWS..m.min((block + 1) * TILE_ROWS);
        if !rows.is_empty() {
            tiles(&a, b.panels(), k, rows, &(0..b.dim().1), |tile| consume(state, tile));
        }
    });
}

/// Packs all inner indices of some columns: for each panel of columns its blocks of [`DEPTH`] one after another.
fn pack_columns<T: Scalar>(b: &Operand<'_, T>, columns: &Range<usize>, k: usize, packed: &mut [T]) {
    let panel = width::<T>() * k;
    let panels = columns.len().div_ceil(width::<T>());
    par::for_each_chunk_mut(&mut packed[..panels * panel], panel.max(1), |index, panel| {
        pack_panel(b, columns, k, index, panel);
    });
}

/// The tiles of one block of rows.
fn tiles<T: Scalar>(
    a: &Operand<'_, T>,
    right: &[T],
    k: usize,
    rows: Range<usize>,
    columns: &Range<usize>,
    consume: impl FnMut(Tile<'_, T>),
) {
    packed_tiles(&pack_rows(a, &rows, k), right, k, rows.len(), columns, &mut Aligned::new(), consume);
}

/// The tiles of a block of rows that is packed.
fn packed_tiles<T: Scalar>(
    left: &[T],
    right: &[T],
    k: usize,
    rows: usize,
    columns: &Range<usize>,
    values: &mut Aligned<T>,
    mut consume: impl FnMut(Tile<'_, T>),
) {
    let tile_columns = TILE_VECTORS * T::LANES;
    values.grow(rows * tile_columns);
    let padded = rows.next_multiple_of(HEIGHT);
    for start in columns.clone().step_by(tile_columns) {
        let part = start..columns.end.min(start + tile_columns);
        let out = &mut values[..rows * part.len()];
        let first_panel = (start - columns.start) / width::<T>();
        for block in 0..k.div_ceil(DEPTH).max(1) {
            let depth = DEPTH.min(k - block * DEPTH);
            let output = if block == 0 { Output::Store } else { Output::Add };
            let left = &left[block * DEPTH * padded..][..depth * padded];
            for (index, first) in (0..part.len()).step_by(width::<T>()).enumerate() {
                let panel = (first_panel + index) * width::<T>() * k + block * DEPTH * width::<T>();
                let right = &right[panel..panel + depth * width::<T>()];
                let live = first..part.len().min(first + width::<T>());
                multiply_panels(left, (right, right.len()), depth, out, part.len(), live, output);
            }
        }
        consume(Tile { columns: part, values: out });
    }
}

/// Rows of a left operand that is used again and again.
pub(crate) struct PackedRows<T> {
    rows: usize,
    k: usize,
    /// Blocks of [`TILE_ROWS`].
    blocks: Vec<Vec<T>>,
}

impl<T: Scalar> PackedRows<T> {
    /// Packs `a: (m, k)`.
    pub(crate) fn new(a: ArrayView2<'_, T>) -> Self {
        let (rows, k) = a.dim();
        let a = Operand::new(a);
        let blocks = (0..rows).step_by(TILE_ROWS).map(|row| pack_rows(&a, &(row..rows.min(row + TILE_ROWS)), k));
        Self { rows, k, blocks: blocks.collect() }
    }
}

/// The product of packed operands on this thread, tile by tile with the first row of each; `values` is a buffer.
pub(crate) fn for_each_packed_tile<T: Scalar>(
    a: &PackedRows<T>,
    b: &Packed<T>,
    values: &mut Aligned<T>,
    mut consume: impl FnMut(usize, Tile<'_, T>),
) {
    let (k, n) = b.dim();
    debug_assert_eq!(a.k, k);
    for (block, left) in a.blocks.iter().enumerate() {
        let first = block * TILE_ROWS;
        let rows = TILE_ROWS.min(a.rows - first);
        packed_tiles(left, b.panels(), k, rows, &(0..n), values, |tile| consume(first, tile));
    }
}

/// Packs all inner indices of some rows: for each block of [`DEPTH`] its panels one after another.
fn pack_rows<T: Scalar>(a: &Operand<'_, T>, rows: &Range<usize>, k: usize) -> Vec<T> {
    let padded = rows.len().next_multiple_of(HEIGHT);
    let mut left = vec![T::zero(); padded * k];
    for (block, part) in left.chunks_mut(DEPTH * padded).enumerate() {
        let depth = block * DEPTH..k.min((block + 1) * DEPTH);
        for (panel, part) in part.chunks_mut(HEIGHT * depth.len()).enumerate() {
            let first = rows.start + panel * HEIGHT;
            pack(a, first..rows.end.min(first + HEIGHT), depth.clone(), HEIGHT, part);
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use crate::math::gemm::product;
    use crate::math::random::fill_normal;
    use ndarray::Array2;

    fn noise(rows: usize, columns: usize, item: u64) -> Array2<f32> {
        let mut x = Array2::zeros((rows, columns));
        fill_normal(&mut Seed(6).stream(0, item), 1.0, x.as_slice_mut().unwrap());
        x
    }

    #[test]
    fn tiles_together_are_the_product() {
        let sizes: &[_] =
            if cfg!(miri) { &[(5, 3, 40)] } else { &[(5, 3, 40), (200, 7, 3000), (97, 1030, 300), (1, 1, 1)] };
        for &(m, k, n) in sizes {
            let (a, b) = (noise(m, k, 0), noise(n, k, 1));
            let expected = product(&a, &b.t()).unwrap();
            let gather = |state: &mut Vec<Vec<f32>>, tile: Tile<'_, f32>| {
                let wide = tile.columns.len();
                state.resize(tile.values.len() / wide, Vec::new());
                assert_eq!(state[0].len(), tile.columns.start, "columns ascend without gaps");
                state.iter_mut().zip(tile.values.chunks(wide)).for_each(|(row, values)| row.extend(values));
            };
            let mut states = [vec![Vec::new(); row_blocks(m)], vec![Vec::new(); row_blocks(m)]];
            for_each_tile(a.view(), b.t(), &mut Aligned::new(), &mut states[0], gather);
            for_each_tile_of(a.view(), &Packed::of_columns(b.view()), &mut states[1], gather);
            for states in states {
                let total: Vec<f32> = states.into_iter().flatten().flatten().collect();
                assert_eq!(total, expected.clone().into_raw_vec_and_offset().0, "{m}x{k}x{n}");
            }
            let (rows, mut columns) = (PackedRows::new(a.view()), Packed::of_columns(noise(n + 20, k, 2).view()));
            columns.pack(b.view());
            let mut packed = Array2::<f32>::zeros((m, n));
            for_each_packed_tile(&rows, &columns, &mut Aligned::new(), |first, tile| {
                for (row, values) in tile.values.chunks(tile.columns.len()).enumerate() {
                    tile.columns.clone().zip(values).for_each(|(column, v)| packed[[first + row, column]] = *v);
                }
            });
            assert_eq!(packed, expected);
        }
    }
}
