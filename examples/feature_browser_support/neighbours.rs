//! The features that write in nearly the same direction.

use limpid::math::directions::{Neighbour, row_norms, unit_rows};
use limpid::math::gemm::Workspace;
use limpid::math::select::top_k;
use ndarray::{Array2, Axis, Slice};

use super::Result;

/// Features that are compared with all others at a time.
const ROWS: usize = 256;

/// The `count` other rows of `decoder: (m, d)` with the largest cosines to each row, largest first; none for a zero row.
pub fn nearest(decoder: &Array2<f32>, count: usize) -> Result<Vec<Vec<Neighbour<f32>>>> {
    let (unit, norms, m) = (unit_rows(decoder), row_norms(decoder), decoder.nrows());
    let (mut workspace, mut found) = (Workspace::new(), Vec::with_capacity(m));
    for top in (0..m).step_by(ROWS) {
        let rows = unit.slice_axis(Axis(0), Slice::from(top..m.min(top + ROWS)));
        let mut cosines = Array2::zeros((rows.nrows(), m));
        workspace.product_into(&rows, &unit.t(), &mut cosines)?;
        for (row, mut cosines) in cosines.rows_mut().into_iter().enumerate() {
            cosines[top + row] = f32::NEG_INFINITY;
            let chosen = top_k(cosines.as_slice().ok_or("a row with gaps")?, count);
            let usable = chosen.into_iter().filter(|&j| norms[top + row] > 0.0 && norms[j] > 0.0 && j != top + row);
            let mut nearest: Vec<_> = usable.map(|j| Neighbour { index: j, cosine: cosines[j] }).collect();
            nearest.sort_by(|a, b| b.cosine.total_cmp(&a.cosine).then(a.index.cmp(&b.index)));
            found.push(nearest);
        }
    }
    Ok(found)
}
