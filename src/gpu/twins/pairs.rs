//! Statistics of pairs, by [`math::pairs`](crate::math::pairs), and histograms.

use alloc::vec::Vec;

use super::{Job, floats_mut, matrix, outputs, part, part_mut};
use crate::gpu::pairs::{NUMBERS, key};
use crate::math::pairs::PairStats;
use crate::{Result, Scalar};

/// Numbers of each row.
pub(in crate::gpu) fn stats(job: &Job<'_>, out: &mut [Vec<u32>]) -> Result<()> {
    let [out] = outputs(out)?;
    let [rows, columns, of_truth, of_prediction, to] = job.sizes();
    let truth = matrix(job.floats(1)?, of_truth, (rows, columns), columns)?;
    let prediction = matrix(job.floats(2)?, of_prediction, (rows, columns), columns)?;
    for (row, (truth, prediction)) in truth.rows().into_iter().zip(prediction.rows()).enumerate() {
        let found = PairStats::of(&truth, &prediction)?;
        // a mean in two numbers of single precision
        let (t, s) = (f32::of(found.mean_true), f32::of(found.mean_predicted));
        let numbers = [
            found.count as f64,
            found.mean_true,
            found.mean_predicted,
            found.mean_true - f64::from(t),
            found.mean_predicted - f64::from(s),
            found.m2_true,
            found.m2_predicted,
            found.cross_moment,
            found.sum_absolute_true,
            found.sum_absolute_error,
            found.sum_square_error,
            0.0,
        ];
        let to = part_mut(floats_mut(out), to + row * NUMBERS, NUMBERS)?;
        to.iter_mut().zip(numbers).for_each(|(to, number)| *to = f32::of(number));
    }
    Ok(())
}

/// Counts of each row: bins, below the first edge, above the last, NaN.
pub(in crate::gpu) fn histogram(job: &Job<'_>, out: &mut [Vec<u32>]) -> Result<()> {
    let [counts] = outputs(out)?;
    let [rows, columns, from, _, to, bins] = job.sizes();
    let edges = part(job.words(2)?, 0, bins + 1)?;
    let place = |x: f32| {
        let own = key(x);
        match edges.partition_point(|&edge| edge <= own) {
            _ if x.is_nan() => bins + 2,
            0 => bins,
            // the last edge is the largest value of the last bin
            _ if edges.last().is_some_and(|&last| own > last) => bins + 1,
            found => found.min(bins) - 1,
        }
    };
    for row in 0..rows {
        let counts = part_mut(counts, to + row * (bins + 3), bins + 3)?;
        counts.fill(0);
        part(job.floats(1)?, from + row * columns, columns)?.iter().for_each(|&x| counts[place(x)] += 1);
    }
    Ok(())
}
