//! Scores between outer products, without a gradient on either side.
//!
//! ```text
//! s(q, i) = Σ_jk φ_jk x_qj x_ij y_qk y_ik              in the eigenbasis of both sides x, y
//!         = Σ_j x_ij [ N_j Y_iᵀ ]_qi                    N_j = Y_q diag(φ_j) x_qj
//!         = Σ_c x_ic [ N_c Y_iᵀ ]_qi                    N_c = (X_q diag(Q_c)) φ ∘ Y_q         x_i in its own coordinates
//! ```
//!
//! One product of all queries with all rows for every coordinate of one side. In the eigenbasis of both sides that is the
//! narrower one. In the own coordinates of a side rows without its coordinate are left out of the product: behind a rectifier
//! half of all numbers are 0. That costs a product with `φ` for the queries, once for all rows.

use alloc::vec;
use alloc::vec::Vec;

use ndarray::{Array2, ArrayView2, Axis};

use crate::influence::curvature::Rotation;
use crate::math::aligned::Aligned;
use crate::math::gemm::DEPTH;
use crate::math::gemm::Packed;
use crate::math::gemm::streamed::{PackedRows, Tile, for_each_packed_tile};
use crate::math::par;
use crate::math::simd::{Simd, dispatch, level};
use crate::{Result, Scalar};

/// Queries that are worked on together.
const QUERIES: usize = 384;

/// Rows that one thread works on, so few that they and their scores stay in its cache.
const ROWS: usize = 256;

/// The same where about half of them have a coordinate.
const SPARSE_ROWS: usize = 384;

/// Coordinates whose queries are prepared for all threads at once.
const GROUP: usize = 8;

/// What gathering one number costs, in multiplications.
const GATHER: f64 = 24.0;

/// One side of the outer products: `g` or `a`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Side<'a, T> {
    /// In the eigenbasis, `(queries, size)`.
    pub(super) queries: &'a Array2<T>,
    /// In coordinates, `(rows, size)`.
    pub(super) rows: &'a Array2<T>,
    /// From coordinates to the eigenbasis.
    pub(super) rotation: &'a Rotation<T>,
}

impl<T: Scalar> Side<'_, T> {
    /// Multiplications of all scores, coordinate by coordinate of this side: in the eigenbasis, and in its own coordinates.
    fn costs(&self, other: &Self) -> [f64; 2] {
        let ((rows, size), queries, inner) = (self.rows.dim(), self.queries.nrows() as f64, other.queries.ncols());
        // a product costs its inner size, and a pass over the scores for each of its blocks
        let pair = queries * (inner + 32 * inner.div_ceil(DEPTH)) as f64;
        let present = self.rows.iter().filter(|x| **x != T::zero()).count() as f64;
        let turned = if self.rotation.is_identity() { 0.0 } else { size as f64 };
        let eigen = rows as f64 * size as f64 * (pair + turned);
        let own = present * (pair + GATHER * inner as f64) + turned * queries * size as f64 * inner as f64;
        [eigen, own]
    }
}

/// Scores of queries and rows, `filter: (size of the first side, size of the second)`. Returns `(queries, rows)`.
pub(super) fn scores<T: Scalar>(sides: [Side<'_, T>; 2], filter: &Array2<T>) -> Result<Array2<T>> {
    let [g, a] = sides;
    if filter.is_empty() {
        return Ok(Array2::zeros((g.queries.nrows(), g.rows.nrows())));
    }
    let (by_g, by_a) = (g.costs(&a), a.costs(&g));
    let least = by_g.into_iter().chain(by_a).fold(f64::INFINITY, f64::min);
    let own = least == by_g[1] || least == by_a[1];
    if by_g.contains(&least) {
        by_coordinate([g, a], filter.view(), own)
    } else {
        by_coordinate([a, g], filter.t(), own)
    }
}

/// The rows of one thread, and their scores.
struct Chunk<T> {
    /// One line per coordinate, `(outer size, rows)`.
    x: Array2<T>,
    /// `(rows, inner size)`; none where all rows have all coordinates.
    y: Option<Array2<T>>,
    /// All rows, or those with a coordinate.
    packed: Packed<T>,
    /// `(queries, rows)`.
    scores: Vec<T>,
    values: Aligned<T>,
}

/// What the queries are multiplied by for each coordinate of the first side.
struct Prepared<'a, T> {
    x: ArrayView2<'a, T>,
    y: ArrayView2<'a, T>,
    filter: ArrayView2<'a, T>,
    /// The basis and the filter where the coordinates are not those of the queries.
    turn: Option<(&'a Rotation<T>, &'a Packed<T>)>,
}

/// The sum over the coordinates of the first side, in its own coordinates or in the eigenbasis.
fn by_coordinate<T: Scalar>([x, y]: [Side<'_, T>; 2], filter: ArrayView2<'_, T>, own: bool) -> Result<Array2<T>> {
    let (queries, rows) = (x.queries.nrows(), x.rows.nrows());
    let rows_y = y.rotation.forward_of(y.rows)?;
    let rows_x = if own { x.rows.view().into() } else { x.rotation.forward_of(x.rows)? };
    let size = if own { SPARSE_ROWS } else { ROWS };
    let mut chunks: Vec<_> = rows_x
        .axis_chunks_iter(Axis(0), size)
        .zip(rows_y.axis_chunks_iter(Axis(0), size))
        .map(|(x, y)| Chunk::new(x, y, own))
        .collect();
    let packed = (own && !x.rotation.is_identity()).then(|| Packed::of_columns(filter.t()));
    let mut out = Array2::zeros((queries, rows));
    for first in (0..queries).step_by(QUERIES) {
        let range = ndarray::Slice::from(first..queries.min(first + QUERIES));
        let [part_x, part_y] = [x, y].map(|side| side.queries.slice_axis(Axis(0), range));
        let turn = packed.as_ref().map(|packed| (x.rotation, packed));
        Prepared { x: part_x, y: part_y, filter, turn }.score(&mut chunks);
        let mut to = out.slice_axis_mut(Axis(0), range);
        for (chunk, mut to) in chunks.iter().zip(to.axis_chunks_iter_mut(Axis(1), size)) {
            to.iter_mut().zip(&chunk.scores).for_each(|(to, s)| *to = *s);
        }
    }
    Ok(out)
}

impl<T: Scalar> Prepared<'_, T> {
    /// The scores of the queries with the rows of all chunks.
    fn score(&self, chunks: &mut [Chunk<T>]) {
        for chunk in chunks.iter_mut() {
            chunk.scores = vec![T::zero(); self.x.nrows() * chunk.x.ncols()];
        }
        for start in (0..self.filter.nrows()).step_by(GROUP) {
            let mut group: Vec<_> = (start..self.filter.nrows().min(start + GROUP)).map(|j| (j, None)).collect();
            par::for_each_mut(&mut group, |_, (j, packed)| *packed = Some(PackedRows::new(self.coordinate(*j).view())));
            par::for_each_mut(chunks, |_, chunk| {
                for (j, packed) in &group {
                    packed.iter().for_each(|packed| chunk.add(*j, packed));
                }
            });
        }
    }

    /// What rows with a 1 at coordinate `j` are multiplied by, `(queries, inner size)`.
    fn coordinate(&self, j: usize) -> Array2<T> {
        let mut out = self.y.to_owned();
        let Some((rotation, filter)) = self.turn else {
            for (mut to, &x) in out.rows_mut().into_iter().zip(self.x.column(j)) {
                to.zip_mut_with(&self.filter.row(j), |y, f| *y *= *f * x);
            }
            return out;
        };
        let x = PackedRows::new((&self.x * &rotation.coordinate(j)).view());
        for_each_packed_tile(&x, filter, &mut Aligned::new(), |first, tile| {
            for (row, values) in tile.values.chunks_exact(tile.columns.len()).enumerate() {
                let mut to = out.row_mut(first + row);
                to.iter_mut().skip(tile.columns.start).zip(values).for_each(|(y, v)| *y *= *v);
            }
        });
        out
    }
}

impl<T: Scalar> Chunk<T> {
    fn new(x: ArrayView2<'_, T>, y: ArrayView2<'_, T>, gathers: bool) -> Self {
        Self {
            x: x.t().as_standard_layout().into_owned(),
            packed: if gathers { Packed::default() } else { Packed::of_columns(y) },
            y: gathers.then(|| y.to_owned()),
            scores: Vec::new(),
            values: Aligned::new(),
        }
    }

    /// Adds what coordinate `j` contributes.
    fn add(&mut self, j: usize, queries: &PackedRows<T>) {
        let Self { x, y, packed, scores, values } = self;
        let rows = x.ncols();
        let x = x.row(j);
        let Some(y) = y else {
            let x = x.as_slice().unwrap_or_default();
            for_each_packed_tile(queries, packed, values, |first, tile| {
                dispatch!(level(), simd => add_tile(simd, &mut scores[first * rows..], rows, x, &tile));
            });
            return;
        };
        let (live, x): (Vec<usize>, Vec<T>) =
            x.iter().enumerate().filter(|(_, x)| **x != T::zero()).map(|(row, x)| (row, *x)).unzip();
        packed.pack(y.select(Axis(0), &live).view());
        for_each_packed_tile(queries, packed, values, |first, tile| {
            let (live, x) = (&live[tile.columns.clone()], &x[tile.columns.clone()]);
            for (values, to) in tile.values.chunks_exact(live.len()).zip(scores[first * rows..].chunks_mut(rows)) {
                live.iter().zip(x).zip(values).for_each(|((&row, x), v)| to[row] += *x * *v);
            }
        });
    }
}

/// Adds a tile, each column times its number of `x`.
#[inline(always)]
fn add_tile<T: Scalar, S: Simd>(_: S, scores: &mut [T], rows: usize, x: &[T], tile: &Tile<'_, T>) {
    let (start, width) = (tile.columns.start, tile.columns.len());
    let x = &x[start..start + width];
    for (values, to) in tile.values.chunks_exact(width).zip(scores.chunks_mut(rows)) {
        let to = &mut to[start..start + width];
        for ((to, v), x) in to.iter_mut().zip(values).zip(x) {
            *to += *x * *v;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::influence::testing::noise;
    use crate::math::eigen::symmetric_eigen;

    fn rotation(size: usize) -> Rotation<f64> {
        let x = noise(size, size, 9);
        Rotation::of_vectors(symmetric_eigen(&(&x + &x.t())).unwrap().vectors)
    }

    #[test]
    fn every_way_to_the_sum_is_the_definition() {
        let (queries, rows, sizes) = (3, 530, [5, 7]);
        let filter = noise(sizes[0], sizes[1], 1).mapv(f64::abs);
        let [g, a] = [0, 1].map(|side| noise(queries, sizes[side], 2 + side as u64));
        let rectified = |side: usize| noise(rows, sizes[side], 4 + side as u64).mapv(|x: f64| x.max(0.0));
        let mut of_rows = [rectified(0), rectified(1)];
        of_rows[0].column_mut(2).fill(0.0);
        for turned in [[true, true], [false, true], [false, false]] {
            let turns =
                [0, 1].map(|side| if turned[side] { rotation(sizes[side]) } else { Rotation::identity(sizes[side]) });
            let eigen = [0, 1].map(|side| turns[side].forward(of_rows[side].clone()).unwrap());
            let exact = Array2::from_shape_fn((queries, rows), |(q, i)| {
                let outer = |(j, k): (usize, usize)| g[[q, j]] * a[[q, k]] * eigen[0][[i, j]] * eigen[1][[i, k]];
                filter.indexed_iter().map(|(at, f)| f * outer(at)).sum::<f64>()
            });
            let sides =
                [0, 1].map(|side| Side { queries: [&g, &a][side], rows: &of_rows[side], rotation: &turns[side] });
            let mut found = vec![scores(sides, &filter).unwrap()];
            for own in [false, true] {
                found.push(by_coordinate(sides, filter.view(), own).unwrap());
                found.push(by_coordinate([sides[1], sides[0]], filter.t(), own).unwrap());
            }
            assert!(found.iter().all(|found| (found - &exact).iter().all(|x| x.abs() < 1e-12)));
        }
    }
}
