//! Sums of outer products, as [`CovarianceAccumulator`](crate::influence::CovarianceAccumulator) makes them: in double precision.

use alloc::vec::Vec;

use ndarray::{ArrayView1, Axis};

use super::{Job, floats_mut, matrix, matrix_mut, outputs, part};
use crate::gpu::covariance::{ADD, WEIGHTED};
use crate::math::gemm;
use crate::{Result, Scalar};

/// A symmetric product, symmetric to the bit.
pub(in crate::gpu) fn rank_k(job: &Job<'_>, out: &mut [Vec<u32>]) -> Result<()> {
    let [out] = outputs(out)?;
    let [rows, d, from, of_weights] = job.sizes();
    let flags = job.word(4);
    let x = matrix(job.floats(1)?, from, (rows, d), d)?.mapv(f64::from);
    let mut scaled = x.clone();
    if flags & WEIGHTED != 0 {
        let weights = ArrayView1::from(part(job.floats(2)?, of_weights, rows)?).mapv(f64::from);
        scaled *= &weights.insert_axis(Axis(1));
    }
    let sums = gemm::product(&scaled.t(), &x)?;
    let mut out = matrix_mut(floats_mut(out), 0, (d, d), d)?;
    for i in 0..d {
        for j in 0..=i {
            let before = if flags & ADD == 0 { 0.0 } else { out[[i, j]] };
            let sum = before + f32::of(sums[[i, j]]);
            (out[[i, j]], out[[j, i]]) = (sum, sum);
        }
    }
    Ok(())
}
