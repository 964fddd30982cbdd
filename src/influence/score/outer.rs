//! Scores between outer products, without a gradient on either side.
//!
//! ```text
//! s(q, i) = Σ_jk φ_jk (x_qj x_ij)(y_qk y_ik) = Σ_j x_qj x_ij [ (Y_q diag(φ_j)) Y_iᵀ ]_qi
//! ```
//!
//! One product of all queries with all rows for every coordinate of the narrower side, which becomes the sum over `j`.

use alloc::vec;
use alloc::vec::Vec;

use ndarray::{Array2, ArrayView2, Axis};

use crate::Scalar;
use crate::math::gemm::DEPTH;
use crate::math::gemm::streamed::{PackedColumns, PackedRows, Tile, for_each_packed_tile};
use crate::math::par;
use crate::math::simd::{Simd, dispatch, level};

/// Queries that are worked on together.
const QUERIES: usize = 384;

/// Rows that one thread works on, so few that they and their scores stay in its cache.
const ROWS: usize = 256;

/// Coordinates whose queries are prepared for all threads at once.
const GROUP: usize = 8;

/// Scores of queries `[g, a]` and rows `[g, a]`, all in the coordinates of `filter: (d_out, d)`. Returns `(queries, rows)`.
pub(super) fn scores<T: Scalar>(query: [&Array2<T>; 2], rows: [&Array2<T>; 2], filter: &Array2<T>) -> Array2<T> {
    let ([query_g, query_a], [rows_g, rows_a]) = (query, rows);
    if filter.is_empty() {
        return Array2::zeros((query_g.nrows(), rows_g.nrows()));
    }
    // a product costs its inner size, and a pass over the scores for each of its blocks
    let cost = |outer: usize, inner: usize| outer * (inner + 32 * inner.div_ceil(DEPTH));
    if cost(filter.nrows(), filter.ncols()) <= cost(filter.ncols(), filter.nrows()) {
        by_coordinate([query_g, query_a], [rows_g, rows_a], filter.view())
    } else {
        by_coordinate([query_a, query_g], [rows_a, rows_g], filter.t())
    }
}

/// The rows of one thread, and their scores.
struct Chunk<T> {
    /// One line per coordinate, `(outer size, rows)`.
    x: Array2<T>,
    y: PackedColumns<T>,
    /// `(queries, rows)`.
    scores: Vec<T>,
    values: Vec<T>,
}

/// The sum over the coordinates of `x`.
fn by_coordinate<T: Scalar>(query: [&Array2<T>; 2], [x, y]: [&Array2<T>; 2], filter: ArrayView2<'_, T>) -> Array2<T> {
    let (queries, rows) = (query[0].nrows(), x.nrows());
    let mut out = Array2::zeros((queries, rows));
    let mut chunks: Vec<_> = x
        .axis_chunks_iter(Axis(0), ROWS)
        .zip(y.axis_chunks_iter(Axis(0), ROWS))
        .map(|(x, y)| Chunk {
            x: x.t().as_standard_layout().into_owned(),
            y: PackedColumns::new(y),
            scores: Vec::new(),
            values: Vec::new(),
        })
        .collect();
    for first in (0..queries).step_by(QUERIES) {
        let range = ndarray::Slice::from(first..queries.min(first + QUERIES));
        let part = query.map(|x| x.slice_axis(Axis(0), range));
        score_queries(part, &mut chunks, filter);
        let mut to = out.slice_axis_mut(Axis(0), range);
        for (chunk, mut to) in chunks.iter().zip(to.axis_chunks_iter_mut(Axis(1), ROWS)) {
            to.iter_mut().zip(&chunk.scores).for_each(|(to, s)| *to = *s);
        }
    }
    out
}

/// The scores of some queries with the rows of all chunks.
fn score_queries<T: Scalar>([x, y]: [ArrayView2<'_, T>; 2], chunks: &mut [Chunk<T>], filter: ArrayView2<'_, T>) {
    for chunk in chunks.iter_mut() {
        chunk.scores = vec![T::zero(); x.nrows() * chunk.x.ncols()];
    }
    for start in (0..filter.nrows()).step_by(GROUP) {
        let mut group: Vec<_> = (start..filter.nrows().min(start + GROUP)).map(|j| (j, None)).collect();
        par::for_each_mut(&mut group, |_, (j, packed)| {
            let mut scaled = y.to_owned();
            for (mut to, &x) in scaled.rows_mut().into_iter().zip(x.column(*j)) {
                to.zip_mut_with(&filter.row(*j), |y, f| *y *= *f * x);
            }
            *packed = Some(PackedRows::new(scaled.view()));
        });
        par::for_each_mut(chunks, |_, chunk| {
            for (j, packed) in &group {
                packed.iter().for_each(|packed| chunk.add(*j, packed));
            }
        });
    }
}

impl<T: Scalar> Chunk<T> {
    /// Adds what coordinate `j` contributes.
    fn add(&mut self, j: usize, queries: &PackedRows<T>) {
        let Self { x, y, scores, values } = self;
        let rows = x.ncols();
        let x = x.row(j);
        let x = x.as_slice().unwrap_or_default();
        for_each_packed_tile(queries, y, values, |first, tile| {
            dispatch!(level(), simd => add_tile(simd, &mut scores[first * rows..], rows, x, &tile));
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
