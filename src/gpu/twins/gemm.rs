//! Products, by [`math::gemm`](crate::math::gemm).

use alloc::vec::Vec;

use super::{Job, floats_mut, matrix, matrix_mut, outputs};
use crate::Result;
use crate::gpu::gemm::{ADD, BIAS, JUMP, RELU};
use crate::math::gemm;

/// A product with whatever becomes of its sums, for every tiling.
pub(in crate::gpu) fn product(job: &Job<'_>, out: &mut [Vec<u32>]) -> Result<()> {
    let [c] = outputs(out)?;
    let [m, n, k, _, lda, ldb, ldc, column, a_start, b_start, c_start] = job.sizes();
    let operand = |binding, start, turned, (rows, columns), stride| {
        let shape = if turned { (columns, rows) } else { (rows, columns) };
        let found = matrix(job.floats(binding)?, start, shape, stride)?;
        Ok(if turned { found.reversed_axes() } else { found })
    };
    let a = operand(1, a_start, job.is("A_TRANSPOSED"), (m, k), lda)?;
    let b = operand(3, b_start, job.is("B_TRANSPOSED"), (k, n), ldb)?;
    let sums = gemm::product(&a, &b)?;
    let (bias, bars) = (job.floats(5)?, job.floats(6)?);
    let of = |vector: &[f32], j: usize| vector.get(column + j).copied().unwrap_or(f32::NAN);
    let (flags, alpha) = (job.word(3), job.factor(11));
    let has = |flag: u32| flags & flag != 0;
    let mut c = matrix_mut(floats_mut(c), c_start, (m, n), ldc)?;
    for (((_, j), c), sum) in c.indexed_iter_mut().zip(&sums) {
        let mut z = alpha * sum;
        if has(ADD) {
            z += *c;
        }
        if has(BIAS) {
            z += of(bias, j);
        }
        // written so that NaN stays NaN
        if has(RELU) && z <= 0.0 {
            z = 0.0;
        }
        let passes = !has(JUMP) || z > of(bars, j);
        *c = if passes { z } else { 0.0 };
    }
    Ok(())
}
