//! The largest of rows, by [`math::select`](crate::math::select).

use alloc::vec::Vec;

use super::{Job, outputs, part, part_mut};
use crate::Result;
use crate::gpu::select::{MASKED, RECTIFY, SCALED};
use crate::math::select;

/// The choice of each row among what was kept and a tile.
pub(in crate::gpu) fn top_k(job: &Job<'_>, out: &mut [Vec<u32>]) -> Result<()> {
    let [values, indices] = outputs(out)?;
    let [rows, columns, stride, offset, k, kept, _, _, to] = job.sizes();
    let (first, flags) = (job.word(6), job.word(7));
    let (scale, eligible) = (job.floats(4)?, job.words(5)?);
    let barred = |at: u32| flags & MASKED != 0 && eligible.get(at as usize).is_none_or(|&may| may == 0);
    let score = |(&bits, &at): (&u32, &u32)| {
        if barred(at) {
            // after everything else
            return f32::NAN;
        }
        let by = if flags & SCALED == 0 { 1.0 } else { scale.get(at as usize).copied().unwrap_or(f32::NAN) };
        f32::from_bits(bits) * by
    };
    let (tile, kept_values, kept_indices) = (job.words(1)?, job.words(2)?, job.words(3)?);
    for row in 0..rows {
        let fresh = part(tile, offset + row * stride, columns)?;
        let bits = [part(kept_values, row * k, kept)?, fresh].concat();
        let mut places = part(kept_indices, row * k, kept)?.to_vec();
        places.extend((first..).take(columns));
        let scores: Vec<f32> = bits.iter().zip(&places).map(score).collect();
        let chosen = select::top_k(&scores, k.min(scores.len()));
        let values = part_mut(values, to + row * k, chosen.len())?;
        let indices = part_mut(indices, to + row * k, chosen.len())?;
        for (at, (value, index)) in chosen.into_iter().zip(values.iter_mut().zip(indices)) {
            let below = flags & RECTIFY != 0 && f32::from_bits(bits[at]).is_sign_negative();
            let zero = barred(places[at]) || below && !f32::from_bits(bits[at]).is_nan();
            (*value, *index) = (if zero { 0 } else { bits[at] }, places[at]);
        }
    }
    Ok(())
}
