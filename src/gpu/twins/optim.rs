//! Optimiser and unit rows, by [`math::optim`](crate::math::optim) and [`sae::decoder_norm`](crate::sae::decoder_norm).

use alloc::vec::Vec;

use super::{Job, floats_mut, matrix, matrix_mut, outputs, part, part_mut};
use crate::Result;
use crate::gpu::optim::CLIP;
use crate::math::optim::AdamStep;
use crate::sae::decoder_norm;

/// One step of Adam.
pub(in crate::gpu) fn adam(job: &Job<'_>, out: &mut [Vec<u32>]) -> Result<()> {
    let [parameter, first, second] = outputs(out)?;
    if !job.gate(1)? {
        return Ok(());
    }
    let [count, _, offset, from] = job.sizes();
    let mut gradient = part(job.floats(2)?, from, count)?.to_vec();
    if job.word(15) & CLIP != 0 {
        let square = job.floats(6)?.first().copied().unwrap_or(f32::NAN);
        let share = (job.factor(13) / (libm::sqrtf(square) + 1e-6)).min(1.0);
        gradient.iter_mut().for_each(|g| *g *= share);
    }
    let step = AdamStep::from_factors(core::array::from_fn(|at| job.factor(4 + at)));
    let parameter = part_mut(floats_mut(parameter), offset, count)?;
    let first = part_mut(floats_mut(first), offset, count)?;
    step.apply(parameter, &gradient, first, part_mut(floats_mut(second), offset, count)?);
    Ok(())
}

/// Gradients along the sphere.
pub(in crate::gpu) fn project(job: &Job<'_>, out: &mut [Vec<u32>]) -> Result<()> {
    let [rows] = outputs(out)?;
    let [count, d, offset, from] = job.sizes();
    let w = matrix(job.floats(2)?, from, (count, d), d)?;
    let mut to = matrix_mut(floats_mut(rows), offset, (count, d), d)?;
    let mut gradient = to.to_owned();
    decoder_norm::project_gradient(&w, &mut gradient)?;
    to.assign(&gradient);
    Ok(())
}

/// Rows of unit length.
pub(in crate::gpu) fn normalise(job: &Job<'_>, out: &mut [Vec<u32>]) -> Result<()> {
    let [rows] = outputs(out)?;
    if !job.gate(1)? {
        return Ok(());
    }
    let [count, d, offset] = job.sizes();
    let mut to = matrix_mut(floats_mut(rows), offset, (count, d), d)?;
    let mut w = to.to_owned();
    decoder_norm::normalise_rows(&mut w);
    to.assign(&w);
    Ok(())
}
