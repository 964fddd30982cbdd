//! Random words, by the key stream of [`math::random`](crate::math::random).

use alloc::vec::Vec;

use super::{Job, floats_mut, outputs, part, part_mut};
use crate::Result;
use crate::math::chacha::{BATCH, batch};

/// Calls `take` with each stream, the number of a batch of it, and its words.
fn each(job: &Job<'_>, mut take: impl FnMut(usize, usize, &[u32; BATCH]) -> Result<()>) -> Result<()> {
    let [low, high, streams, batches, _, _, _, per_key] = job.sizes();
    let first = (high as u64) << 32 | low as u64;
    let mut words = [0; BATCH];
    for stream in 0..streams {
        let key = part(job.words(2)?, 8 * (stream / per_key.max(1)), 8)?;
        let key = core::array::from_fn(|at| key[at]);
        let item = first.wrapping_add((stream % per_key.max(1)) as u64);
        for index in 0..batches {
            batch(&key, item, index as u64, &mut words);
            take(stream, index, &words)?;
        }
    }
    Ok(())
}

/// Words of streams.
pub(in crate::gpu) fn words(job: &Job<'_>, out: &mut [Vec<u32>]) -> Result<()> {
    let [out] = outputs(out)?;
    let (batches, start) = (job.size(3), job.size(6));
    each(job, |stream, index, words| {
        part_mut(out, start + (stream * batches + index) * BATCH, BATCH)?.copy_from_slice(words);
        Ok(())
    })
}

/// Their bits as signs.
pub(in crate::gpu) fn signs(job: &Job<'_>, out: &mut [Vec<u32>]) -> Result<()> {
    let [out] = outputs(out)?;
    let (columns, scale, start) = (job.size(4), job.factor(5), job.size(6));
    each(job, |stream, index, words| {
        let row = part_mut(floats_mut(out), start + stream * columns, columns)?;
        let bits = words.iter().flat_map(|word| (0..32).map(move |bit| word >> bit & 1 == 1));
        let to = row.iter_mut().skip(32 * BATCH * index);
        to.zip(bits).for_each(|(to, up)| *to = if up { scale } else { -scale });
        Ok(())
    })
}
