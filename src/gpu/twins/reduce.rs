//! Sums, by [`math::reduce`](crate::math::reduce).

use alloc::vec::Vec;

use ndarray::Array2;

use super::{Job, floats_mut, matrix, outputs, part_mut};
use crate::Result;
use crate::gpu::reduce::Term;
use crate::math::reduce::{column_sums, sum};

/// What is summed, `(rows, columns)`.
fn terms(job: &Job<'_>) -> Result<Array2<f32>> {
    let [rows, columns, offset] = job.sizes();
    let x = matrix(job.floats(1)?, offset, (rows, columns), columns)?;
    let code = job.word(3);
    Ok(x.mapv(|x| match code {
        code if code == Term::Square.code() => x * x,
        code if code == Term::Active.code() => f32::from(u8::from(x != 0.0)),
        _ => x,
    }))
}

/// Writes sums, or adds them to what is there.
fn keep(job: &Job<'_>, out: &mut [Vec<u32>], sums: impl ExactSizeIterator<Item = f32>) -> Result<()> {
    let [out] = outputs(out)?;
    let (adds, scale) = (job.word(5) != 0, job.factor(6));
    for (to, sum) in part_mut(floats_mut(out), job.size(4), sums.len())?.iter_mut().zip(sums) {
        let before = if adds { *to } else { 0.0 };
        *to = before + scale * sum;
    }
    Ok(())
}

/// Sums of rows.
pub(in crate::gpu) fn rows(job: &Job<'_>, out: &mut [Vec<u32>]) -> Result<()> {
    let terms = terms(job)?;
    keep(job, out, terms.rows().into_iter().map(|row| sum(&row)))
}

/// Sums of columns.
pub(in crate::gpu) fn columns(job: &Job<'_>, out: &mut [Vec<u32>]) -> Result<()> {
    keep(job, out, column_sums(&terms(job)?).into_iter())
}
