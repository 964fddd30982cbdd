//! Scores between outer products, without a gradient on either side.
//!
//! ```text
//! s(q, i) = Σ_jk φ_jk (x_qj x_ij)(y_qk y_ik) = Σ_j x_qj x_ij [ (Y_q diag(φ_j)) Y_iᵀ ]_qi
//! ```
//!
//! One product of all queries with all rows for every coordinate of the narrower side, which becomes the sum over `j`.

use alloc::vec::Vec;

use ndarray::{Array2, ArrayView2};

use crate::math::gemm::streamed::{TILE_ROWS, Tile, for_each_tile, row_blocks};
use crate::{Result, Scalar};

/// Scores of queries `[g, a]` and rows `[g, a]`, all in the coordinates of `filter: (d_out, d)`. Returns `(queries, rows)`.
pub(super) fn scores<T: Scalar>(
    query: [&Array2<T>; 2],
    rows: [&Array2<T>; 2],
    filter: &Array2<T>,
) -> Result<Array2<T>> {
    let ([query_g, query_a], [rows_g, rows_a]) = (query, rows);
    if filter.nrows() <= filter.ncols() {
        Ok(by_coordinate([query_g, query_a], [rows_g, rows_a], filter.view()))
    } else {
        Ok(by_coordinate([query_a, query_g], [rows_a, rows_g], filter.t()))
    }
}

/// The sum over the coordinates of `x`.
fn by_coordinate<T: Scalar>(
    [query_x, query_y]: [&Array2<T>; 2],
    [x, y]: [&Array2<T>; 2],
    filter: ArrayView2<'_, T>,
) -> Array2<T> {
    let (queries, rows) = (query_x.nrows(), x.nrows());
    let mut out = Array2::zeros((queries, rows));
    if queries == 0 || rows == 0 {
        return out;
    }
    let turned = x.t().as_standard_layout().into_owned();
    let (mut packed, mut scaled) = (Vec::new(), query_y.clone());
    for (j, filter) in filter.rows().into_iter().enumerate() {
        for (mut to, from) in scaled.rows_mut().into_iter().zip(query_y.rows()) {
            to.iter_mut().zip(from).zip(filter).for_each(|((to, y), f)| *to = *y * *f);
        }
        let (query_x, x) = (query_x.column(j), turned.row(j));
        let x = x.as_slice().unwrap_or_default();
        let Some(out) = out.as_slice_mut() else { break };
        let mut states: Vec<_> = out.chunks_mut(TILE_ROWS * rows).enumerate().collect();
        debug_assert_eq!(states.len(), row_blocks(queries));
        for_each_tile(scaled.view(), y.t(), &mut packed, &mut states, |(block, out), tile: Tile<'_, T>| {
            let width = tile.columns.len();
            let x = &x[tile.columns.clone()];
            for (line, values) in tile.values.chunks(width).enumerate() {
                let scale = query_x[*block * TILE_ROWS + line];
                let to = &mut out[line * rows + tile.columns.start..][..width];
                to.iter_mut().zip(values).zip(x).for_each(|((to, v), x)| *to += scale * *x * *v);
            }
        });
    }
    out
}
