//! Elementwise work.

use alloc::vec::Vec;

use super::{Job, broken, floats_mut, outputs, part, part_mut};
use crate::Result;

/// Inputs and outputs of a call, number by number.
fn pairs<'a>(
    job: &'a Job<'_>,
    out: &'a mut [Vec<u32>],
) -> Result<impl ExactSizeIterator<Item = (&'a mut f32, &'a f32)> + use<'a>> {
    let [out] = outputs(out)?;
    let [count, _, from, to] = job.sizes();
    Ok(part_mut(floats_mut(out), to, count)?.iter_mut().zip(part(job.floats(1)?, from, count)?))
}

/// Differences from a row.
pub(in crate::gpu) fn centre(job: &Job<'_>, out: &mut [Vec<u32>]) -> Result<()> {
    let row = part(job.floats(2)?, 0, job.size(1))?;
    pairs(job, out)?.zip(row.iter().cycle()).for_each(|((out, x), row)| *out = x - row);
    Ok(())
}

/// Square roots.
pub(in crate::gpu) fn roots(job: &Job<'_>, out: &mut [Vec<u32>]) -> Result<()> {
    pairs(job, out)?.for_each(|(out, x)| *out = libm::sqrtf(*x));
    Ok(())
}

/// Weighted sums.
pub(in crate::gpu) fn blend(job: &Job<'_>, out: &mut [Vec<u32>]) -> Result<()> {
    pairs(job, out)?.for_each(|(out, x)| *out += job.factor(6) * x);
    Ok(())
}

/// The number at the start of a binding.
fn number(job: &Job<'_>, binding: u32) -> Result<f32> {
    job.floats(binding)?.first().copied().ok_or(broken())
}

/// Products with a number.
pub(in crate::gpu) fn times(job: &Job<'_>, out: &mut [Vec<u32>]) -> Result<()> {
    let [out] = outputs(out)?;
    let by = job.factor(6) * number(job, 1)?;
    part_mut(floats_mut(out), job.size(3), job.size(0))?.iter_mut().for_each(|out| *out *= by);
    Ok(())
}

/// The weight of the auxiliary loss.
pub(in crate::gpu) fn share(job: &Job<'_>, out: &mut [Vec<u32>]) -> Result<()> {
    let [out] = outputs(out)?;
    let (divisor, many, most) = (number(job, 1)?, number(job, 2)?, job.word(5));
    let part = if most > 0 { (many / most as f32).min(1.0) } else { 1.0 };
    let found = if many > 0.0 && divisor > 0.0 { job.factor(6) / divisor * part } else { 0.0 };
    *floats_mut(out).first_mut().ok_or(broken())? = found;
    Ok(())
}

/// Which latents are silent.
pub(in crate::gpu) fn follow(job: &Job<'_>, out: &mut [Vec<u32>]) -> Result<()> {
    let [dead, silent] = outputs(out)?;
    if !job.gate(2)? {
        return Ok(());
    }
    let (count, rows, limit) = (job.size(0), job.word(4), job.word(5));
    let uses = part(job.words(1)?, 0, count)?;
    let latents = part_mut(floats_mut(dead), 0, count)?.iter_mut().zip(part_mut(silent, 0, count)?);
    for (&uses, (dead, silent)) in uses.iter().zip(latents) {
        *silent = if uses == 0 { silent.saturating_add(rows) } else { 0 };
        *dead = f32::from(u8::from(*silent >= limit));
    }
    Ok(())
}
