//! Statistics of pairs and histograms on the device, row by row: what scores of explanations are made of.
//!
//! Moments are taken around the means of a row, and those around its first finite pair, in single precision and 256 strands: each
//! sum over `t` pairs is within `(t/256 + 12) u` of its terms' size, `u = 2⁻²⁴`. A row of equal values has a spread of exactly
//! 0. Histograms are exact.
//!
//! Source: as [`math::pairs`](crate::math::pairs) and [`math::histogram`](crate::math::histogram).

use alloc::vec::Vec;

use ndarray::{Array1, ArrayView1};

use super::array::GpuArray;
use super::context::{GpuContext, grid, pieces, word};
use super::kernels::PAIRS;
use crate::error::check_limit;
use crate::math::histogram::Histogram;
use crate::math::pairs::PairStats;
use crate::{Error, Result, Scalar};

/// Numbers of a row of results.
pub(super) const NUMBERS: usize = 12;

/// Most bins of a histogram on the device.
pub const MAX_BINS: usize = 2045;

/// Statistics of each row of `truth, prediction: (k, t)`.
///
/// # Errors
/// [`Error::Shape`], [`Error::TooLarge`], [`Error::Gpu`].
pub async fn stats(context: &GpuContext, truth: &GpuArray<f32>, prediction: &GpuArray<f32>) -> Result<Vec<PairStats>> {
    let (rows, columns) = truth.dim();
    prediction.check_dim("prediction", (rows, columns))?;
    let out = context.zeros::<f32>(rows, NUMBERS)?;
    let at_once = context.rows_at_once(columns.max(NUMBERS))?;
    for part in pieces(if truth.is_empty() { 0 } else { rows }, at_once) {
        let [t, s, to] = [
            truth.window(context, part.clone())?,
            prediction.window(context, part.clone())?,
            out.window(context, part.clone())?,
        ];
        let parameters = [word(part.len())?, word(columns)?, t.skip, s.skip, to.skip, 0, 0, 0];
        context.run(&PAIRS, "stats", &parameters, &[(1, t), (2, s), (3, to)], grid(part.len())?)?;
    }
    let numbers = context.read(&out).await?;
    Ok(numbers.rows().into_iter().map(|row| of_numbers(columns, &row.mapv(f64::from).to_vec())).collect())
}

/// As [`stats`], and waits.
///
/// # Errors
/// As [`stats`].
#[cfg(not(target_arch = "wasm32"))]
pub fn stats_blocking(
    context: &GpuContext,
    truth: &GpuArray<f32>,
    prediction: &GpuArray<f32>,
) -> Result<Vec<PairStats>> {
    pollster::block_on(stats(context, truth, prediction))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count of at most 2²⁴ pairs, exact in f32"
)]
fn of_numbers(columns: usize, numbers: &[f64]) -> PairStats {
    let &[count, t0, s0, t_shift, s_shift, m2_true, m2_predicted, cross_moment, absolute, error, square, _] = numbers
    else {
        return PairStats::default();
    };
    PairStats {
        count: count as u64,
        not_finite: columns as u64 - count as u64,
        weight: count,
        mean_true: t0 + t_shift,
        mean_predicted: s0 + s_shift,
        m2_true,
        m2_predicted,
        cross_moment,
        sum_absolute_true: absolute,
        sum_absolute_error: error,
        sum_square_error: square,
    }
}

/// Counts of each row of `x: (k, t)` between `edges`, as [`Histogram`] makes them.
///
/// # Errors
/// Those of [`Histogram::new`]; [`Error::TooLarge`] beyond [`MAX_BINS`], [`Error::NotFinite`] with the row that holds NaN,
/// [`Error::Gpu`].
pub async fn histograms(context: &GpuContext, x: &GpuArray<f32>, edges: &[f64]) -> Result<Vec<Histogram>> {
    let empty = Histogram::new(edges.to_vec())?;
    let (rows, columns) = x.dim();
    let bins = empty.counts().len();
    check_limit("bins on the device", bins, MAX_BINS)?;
    let (last, lower) = edges.split_last().unwrap_or((&0.0, &[]));
    let keys = lower.iter().map(|&edge| key(at_least(edge))).chain([key(at_most(*last))]);
    let keys = context.upload_vector(&keys.collect::<Array1<u32>>())?;
    let counts = context.zeros::<u32>(rows, bins + 3)?;
    let at_once = context.rows_at_once(columns.max(bins + 3))?;
    for part in pieces(if x.is_empty() { 0 } else { rows }, at_once) {
        let (from, to) = (x.window(context, part.clone())?, counts.window(context, part.clone())?);
        let parameters = [word(part.len())?, word(columns)?, from.skip, 0, to.skip, word(bins)?, 0, 0];
        context.run(
            &PAIRS,
            "histogram",
            &parameters,
            &[(1, from), (2, keys.whole(context)?), (3, to)],
            grid(part.len())?,
        )?;
    }
    let counts = context.read(&counts).await?;
    let of_row = |(index, row): (usize, ArrayView1<'_, u32>)| {
        let counts: Vec<u64> = row.iter().map(|&count| u64::from(count)).collect();
        let (inside, outside) = counts.split_at(bins);
        match outside {
            [below, above, 0] => Histogram::of_counts(edges.to_vec(), inside.to_vec(), (*below, *above)),
            _ => Err(Error::NotFinite { what: "a row of values", index }),
        }
    };
    counts.rows().into_iter().enumerate().map(of_row).collect()
}

/// As [`histograms`], and waits.
///
/// # Errors
/// As [`histograms`].
#[cfg(not(target_arch = "wasm32"))]
pub fn histograms_blocking(context: &GpuContext, x: &GpuArray<f32>, edges: &[f64]) -> Result<Vec<Histogram>> {
    pollster::block_on(histograms(context, x, edges))
}

/// The smallest number of single precision that is not below `x`.
fn at_least(x: f64) -> f32 {
    let near = f32::of(x);
    if f64::from(near) < x { near.next_up() } else { near }
}

/// The largest number of single precision that is not above `x`.
fn at_most(x: f64) -> f32 {
    -at_least(-x)
}

/// A whole number in the order of floats; both zeros are one.
pub(super) fn key(x: f32) -> u32 {
    let bits = if x == 0.0 { 0 } else { x.to_bits() };
    if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_the_order_of_floats() {
        let sorted = [f32::NEG_INFINITY, -1.0, -1e-40, 0.0, 1e-40, 1.0, f32::INFINITY];
        assert!(sorted.windows(2).all(|pair| key(pair[0]) < key(pair[1])));
        assert_eq!(key(-0.0), key(0.0));
    }

    #[test]
    fn edges_are_rounded_inwards() {
        let third = 1.0 / 3.0;
        assert!(f64::from(at_least(third)) >= third && f64::from(at_most(third)) <= third);
        assert_eq!(at_least(third), at_most(third).next_up());
        assert_eq!((at_least(0.5), at_most(0.5)), (0.5, 0.5));
    }
}
