//! Features in slots, by the loops of the processor's sparse step, [`sae::fused`](crate::sae).

use alloc::vec::Vec;

use super::{Job, floats_mut, outputs, part, part_mut};
use crate::Result;
use crate::gpu::sparse::{FIRST, NORMS, SIGNED};
use crate::math::simd::{dispatch, level};
use crate::sae::fused::{add_rows, dot};

/// Sizes of a call, in the order of its parameters.
struct Sizes {
    rows: usize,
    k: usize,
    d: usize,
    latents: usize,
    first: usize,
    last: usize,
    start: usize,
    flags: u32,
    entries: usize,
}

impl Sizes {
    fn of(job: &Job<'_>) -> Self {
        let [rows, k, d, latents, first, last, start, _, _, _, _, entries] = job.sizes();
        Self { rows, k, d, latents, first, last, start, flags: job.word(7), entries }
    }

    fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    /// The vector of a latent, where the window shows it.
    fn vector<'w>(&self, w: &'w [f32], latent: usize) -> Result<Option<&'w [f32]>> {
        let here = latent >= self.first && latent < self.last;
        here.then(|| part(w, self.start + (latent - self.first) * self.d, self.d)).transpose()
    }
}

/// Adds weighted rows to a sum, in their order.
fn add(to: &mut [f32], entries: Vec<(f32, &[f32])>) {
    dispatch!(level(), simd => add_rows(simd, to, entries.into_iter()));
}

/// The output of each sample.
pub(in crate::gpu) fn decode(job: &Job<'_>, out: &mut [Vec<u32>]) -> Result<()> {
    let [out] = outputs(out)?;
    let sizes = Sizes::of(job);
    let (indices, features, w) = (job.words(1)?, job.floats(2)?, job.floats(3)?);
    for row in 0..sizes.rows {
        let to = part_mut(floats_mut(out), row * sizes.d, sizes.d)?;
        if sizes.has(FIRST) {
            to.copy_from_slice(part(job.floats(4)?, 0, sizes.d)?);
        }
        let slots = part(features, row * sizes.k, sizes.k)?.iter().zip(part(indices, row * sizes.k, sizes.k)?);
        let mut entries = Vec::with_capacity(sizes.k);
        for (&f, &latent) in slots.filter(|(f, _)| **f != 0.0) {
            entries.extend(sizes.vector(w, latent as usize)?.map(|w| (f, w)));
        }
        add(to, entries);
    }
    Ok(())
}

/// Errors and their squares.
pub(in crate::gpu) fn residual(job: &Job<'_>, out: &mut [Vec<u32>]) -> Result<()> {
    let [out, squares] = outputs(out)?;
    let Sizes { rows, d, .. } = Sizes::of(job);
    let (target, slope) = (job.floats(6)?, job.factor(8));
    let squares = part_mut(floats_mut(squares), 0, rows)?;
    for (row, square) in squares.iter_mut().enumerate() {
        let errors = part_mut(floats_mut(out), row * d, d)?;
        errors.iter_mut().zip(part(target, row * d, d)?).for_each(|(out, target)| *out -= target);
        *square = dispatch!(level(), simd => dot(simd, errors, errors));
        errors.iter_mut().for_each(|error| *error *= slope);
    }
    Ok(())
}

/// Gradients by features.
pub(in crate::gpu) fn by_feature(job: &Job<'_>, out: &mut [Vec<u32>]) -> Result<()> {
    let [out] = outputs(out)?;
    let sizes = Sizes::of(job);
    let (k, d, extra) = (sizes.k, sizes.d, job.factor(9));
    let (indices, features) = (part(job.words(1)?, 0, sizes.rows * k)?, part(job.floats(2)?, 0, sizes.rows * k)?);
    let (w, by_output, norms) = (job.floats(3)?, job.floats(4)?, job.floats(6)?);
    let slots = floats_mut(out).iter_mut().zip(indices.iter().zip(features));
    for (entry, (out, (&latent, &f))) in slots.enumerate() {
        let Some(w) = sizes.vector(w, latent as usize)? else { continue };
        let norm = if sizes.has(NORMS) { norms.get(latent as usize).copied().unwrap_or(f32::NAN) } else { 1.0 };
        let passes = f > 0.0 || sizes.has(SIGNED) && f < 0.0;
        let by_output = part(by_output, entry / k * d, d)?;
        let along = if passes { dispatch!(level(), simd => dot(simd, by_output, w)) } else { 0.0 };
        *out = if passes { along + extra * norm } else { 0.0 };
    }
    Ok(())
}

/// Entries that are not 0 with their latents, in their order.
fn live<'a>(job: &'a Job<'_>) -> Result<impl Iterator<Item = (usize, usize)> + 'a> {
    let count = Sizes::of(job).entries;
    let (indices, features) = (part(job.words(1)?, 0, count)?, part(job.floats(2)?, 0, count)?);
    let slots = indices.iter().zip(features).enumerate();
    Ok(slots.filter(|(_, (_, f))| **f != 0.0).map(|(entry, (&latent, _))| (entry, latent as usize)))
}

/// Uses of each latent.
pub(in crate::gpu) fn count(job: &Job<'_>, out: &mut [Vec<u32>]) -> Result<()> {
    let [counts] = outputs(out)?;
    for (_, latent) in live(job)? {
        let [count] = part_mut(counts, latent, 1)? else { continue };
        *count = count.wrapping_add(1);
    }
    Ok(())
}

/// Puts each entry among those of its latent, here in order already.
pub(in crate::gpu) fn place(job: &Job<'_>, out: &mut [Vec<u32>]) -> Result<()> {
    let [counts, places] = outputs(out)?;
    let starts = job.words(4)?;
    for (entry, latent) in live(job)? {
        let ([count], [start]) = (part_mut(counts, latent, 1)?, part(starts, latent, 1)?) else { continue };
        let at = *start as usize + *count as usize;
        *count = count.wrapping_add(1);
        let (Some(place), Ok(entry)) = (places.get_mut(at), u32::try_from(entry)) else { continue };
        *place = entry;
    }
    Ok(())
}

/// Where the entries of each latent start.
pub(in crate::gpu) fn scan(job: &Job<'_>, out: &mut [Vec<u32>]) -> Result<()> {
    let [ends] = outputs(out)?;
    let counts = part(job.words(1)?, 0, Sizes::of(job).latents)?;
    let mut sum = 0_u32;
    for (end, count) in part_mut(ends, 0, counts.len() + 1)?.iter_mut().zip(counts.iter().chain(&[0])) {
        *end = sum;
        sum = sum.wrapping_add(*count);
    }
    Ok(())
}

/// Entries of a latent.
fn range(starts: &[u32], latent: usize) -> Result<(usize, usize)> {
    let &[start, end] = part(starts, latent, 2)? else { return Ok((0, 0)) };
    Ok((start as usize, end.saturating_sub(start) as usize))
}

/// Sorts the entries of each latent.
pub(in crate::gpu) fn order(job: &Job<'_>, out: &mut [Vec<u32>]) -> Result<()> {
    let [sorted] = outputs(out)?;
    let (unsorted, starts) = (job.words(1)?, job.words(4)?);
    for latent in 0..Sizes::of(job).latents {
        let (start, count) = range(starts, latent)?;
        let to = part_mut(sorted, start, count)?;
        to.copy_from_slice(part(unsorted, start, count)?);
        to.sort_unstable();
    }
    Ok(())
}

/// The gradient of each latent.
pub(in crate::gpu) fn accumulate(job: &Job<'_>, out: &mut [Vec<u32>]) -> Result<()> {
    let [gradient] = outputs(out)?;
    let sizes = Sizes::of(job);
    let (entries, weights, starts, rows) = (job.words(1)?, job.floats(3)?, job.words(4)?, job.floats(5)?);
    let offset = job.size(10);
    for latent in sizes.first..sizes.last {
        let to = part_mut(floats_mut(gradient), sizes.start + (latent - sizes.first) * sizes.d, sizes.d)?;
        if sizes.has(FIRST) {
            to.fill(0.0);
        }
        let (start, count) = range(starts, latent)?;
        let mut terms = Vec::with_capacity(count.min(entries.len()));
        for &entry in part(entries, start, count)? {
            let [weight] = part(weights, entry as usize, 1)? else { continue };
            terms.push((*weight, part(rows, offset + entry as usize / sizes.k * sizes.d, sizes.d)?));
        }
        add(to, terms);
    }
    Ok(())
}

/// Sums of the weights of each latent.
pub(in crate::gpu) fn weigh(job: &Job<'_>, out: &mut [Vec<u32>]) -> Result<()> {
    let [gradient] = outputs(out)?;
    let sizes = Sizes::of(job);
    let (entries, weights, starts) = (job.words(1)?, job.floats(3)?, job.words(4)?);
    for (latent, to) in part_mut(floats_mut(gradient), 0, sizes.latents)?.iter_mut().enumerate() {
        if sizes.has(FIRST) {
            *to = 0.0;
        }
        let (start, count) = range(starts, latent)?;
        for &entry in part(entries, start, count)? {
            *to += part(weights, entry as usize, 1)?.iter().sum::<f32>();
        }
    }
    Ok(())
}
