//! The bootstrap and the jackknife: how much an estimate would vary had other things of the same kind been observed.
//!
//! ```text
//! resample   as many items as there are, drawn with replacement: a number of times w_i for each
//! BCa        z_0 = Φ⁻¹(share of θ* below θ),   a = Σ (θ̄ - θ_(i))³ / (6 (Σ (θ̄ - θ_(i))²)^(3/2)),  θ_(i) without item i
//!            ends: quantiles of θ* at Φ(z_0 + (z_0 + z)/(1 - a (z_0 + z))),  z = ± Φ⁻¹((1 + level)/2)
//! jackknife  bias = (m - 1)(θ̄ - θ),   standard error = √((m - 1)/m Σ (θ_(i) - θ̄)²)
//! ```
//!
//! The numbers of times depend on the seed and on how many items there are, not on what is resampled: one draw serves any
//! number of estimates.
//!
//! Source: Efron, "Better bootstrap confidence intervals", JASA 82(397), 1987 (BCa); Efron and Tibshirani, "An Introduction to
//! the Bootstrap" (1993), chapters 11 and 14.

use alloc::vec;
use alloc::vec::Vec;

use super::correlation::check_level;
use super::normal::{below, quantile as normal_quantile};
use super::random::below as whole_below;
use super::rank::quantile;
use super::simd::{Simd, SimdBase, Vector, dispatch, level};
use crate::error::{check_each, check_limit};
use crate::{Result, Seed};

/// Most items times resamples.
const MAX_WEIGHTS: usize = 1 << 27;

/// Lanes of a vector of double precision.
const LANES: usize = 8;

/// Purpose of the random streams, one for each resample.
const PURPOSE: u64 = 0x626f_6f74;

/// How often each resample has each item.
#[derive(Debug, Clone, PartialEq)]
pub struct Resamples {
    count: usize,
    items: usize,
    /// Numbers of times, `(items, count)`, rows filled up with zeros to whole vectors.
    weights: Vec<f64>,
}

impl Resamples {
    /// Draws `count` resamples of items that lie in groups of these sizes, one group after another; each group is drawn
    /// from on its own, so that all resamples have the same number of items of it.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for less than one resample,
    /// [`Error::TooLarge`](crate::Error::TooLarge) beyond 2²⁷ numbers.
    ///
    /// # Example
    /// ```
    /// use limpid::Seed;
    /// use limpid::math::bootstrap::Resamples;
    ///
    /// let resamples = Resamples::draw(&[2, 3], 100, Seed(0))?;
    /// assert_eq!(resamples.weight(17, 0) + resamples.weight(17, 1), 2.0);
    /// assert_eq!((2..5).map(|item| resamples.weight(17, item)).sum::<f64>(), 3.0);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn draw(groups: &[usize], count: usize, seed: Seed) -> Result<Self> {
        check_each("resamples", &[count as f64], ">= 1", |count: f64| count >= 1.0)?;
        check_limit("resamples", count, MAX_WEIGHTS)?;
        let items = groups.iter().fold(0_usize, |sum, size| sum.saturating_add(*size));
        let stride = count.next_multiple_of(LANES);
        check_limit("items times resamples", items.saturating_mul(stride), MAX_WEIGHTS)?;
        let mut weights = vec![0.0; items * stride];
        for resample in 0..count {
            let mut stream = seed.stream(PURPOSE, resample as u64);
            let mut start = 0;
            for &size in groups {
                for _ in 0..size {
                    weights[(start + whole_below(&mut stream, size)) * stride + resample] += 1.0;
                }
                start += size;
            }
        }
        Ok(Self { count, items, weights })
    }

    /// Number of resamples.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Number of items.
    #[must_use]
    pub fn items(&self) -> usize {
        self.items
    }

    /// How often a resample has an item; 0 where there is none such.
    #[must_use]
    pub fn weight(&self, resample: usize, item: usize) -> f64 {
        let inside = resample < self.count && item < self.items;
        if inside { self.weights[item * self.count.next_multiple_of(LANES) + resample] } else { 0.0 }
    }

    /// Hands the sums of `rows: (items, C)` over each resample to `emit(resample, sums)`, in the order of the resamples.
    pub(crate) fn sums<const C: usize>(&self, rows: &[[f64; C]], emit: impl FnMut(usize, [f64; C])) {
        debug_assert_eq!(rows.len(), self.items, "a row for each item");
        dispatch!(level(), simd => self.sums_with(simd, rows, emit));
    }

    #[inline(always)]
    fn sums_with<S: Simd, const C: usize>(&self, simd: S, rows: &[[f64; C]], mut emit: impl FnMut(usize, [f64; C])) {
        let stride = self.count.next_multiple_of(LANES);
        for start in (0..self.count).step_by(LANES) {
            let mut sums = [Vector::<f64, S>::splat(simd, 0.0); C];
            for (row, weights) in rows.iter().zip(self.weights.chunks_exact(stride)) {
                let times = Vector::<f64, S>::from_slice(simd, &weights[start..start + LANES]);
                for (sum, &x) in sums.iter_mut().zip(row) {
                    *sum += times * Vector::<f64, S>::splat(simd, x);
                }
            }
            for lane in 0..LANES.min(self.count - start) {
                let mut of_lane = [0.0; C];
                of_lane.iter_mut().zip(&sums).for_each(|(to, sum)| *to = sum.as_slice()[lane]);
                emit(start + lane, of_lane);
            }
        }
    }
}

/// Ends of the bias-corrected and accelerated interval of an estimate from its `replicates`, which are put into another
/// order, and its values without one item each; `None` without replicates.
///
/// Values that all agree say nothing about the skewness, and the acceleration is then 0.
///
/// # Errors
/// [`Error::OutOfRange`](crate::Error::OutOfRange) for a level outside `[0, 1)`.
///
/// # Example
/// ```
/// use limpid::math::bootstrap::bca_interval;
///
/// let mut replicates: Vec<f64> = (0..=100).map(f64::from).collect();
/// let (low, high) = bca_interval(50.0, &mut replicates, &[], 0.9)?.unwrap();
/// assert!((low - 5.0).abs() < 1e-9 && (high - 95.0).abs() < 1e-9);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn bca_interval(
    estimate: f64,
    replicates: &mut [f64],
    leave_one_out: &[f64],
    level: f64,
) -> Result<Option<(f64, f64)>> {
    check_level(level)?;
    Ok(bca_ends(estimate, replicates, leave_one_out, normal_quantile(0.5 * (1.0 + level))))
}

/// [`bca_interval`] with the normal quantile `z` of the level.
pub(crate) fn bca_ends(estimate: f64, replicates: &mut [f64], leave_one_out: &[f64], z: f64) -> Option<(f64, f64)> {
    if replicates.is_empty() {
        return None;
    }
    let count = replicates.len() as f64;
    let (mut under, mut equal) = (0.0, 0.0);
    for &replicate in replicates.iter() {
        under += f64::from(u8::from(replicate < estimate));
        equal += f64::from(u8::from(replicate == estimate));
    }
    // half a replicate away from the ends, where the normal quantile is infinite
    let share = ((under + 0.5 * equal) / count).clamp(0.5 / count, 1.0 - 0.5 / count);
    let (bias, acceleration) = (normal_quantile(share), acceleration(leave_one_out));
    let mut end = |z: f64| {
        let sum = bias + z;
        let stretch = 1.0 - acceleration * sum;
        // beyond the pole the transformation has left the line: the outermost replicate is all there is to say
        let place = if stretch > 0.0 { below(bias + sum / stretch) } else { f64::from(u8::from(sum > 0.0)) };
        quantile(replicates, place)
    };
    Some((end(-z)?, end(z)?))
}

fn acceleration(leave_one_out: &[f64]) -> f64 {
    let mean = leave_one_out.iter().sum::<f64>() / leave_one_out.len() as f64;
    let (mut squares, mut cubes) = (0.0, 0.0);
    for value in leave_one_out {
        let distance = mean - value;
        squares += distance * distance;
        cubes += distance * distance * distance;
    }
    let acceleration = cubes / (6.0 * squares * libm::sqrt(squares));
    if acceleration.is_finite() { acceleration } else { 0.0 }
}

/// Standard deviation of `values`; `None` for fewer than two.
#[must_use]
pub fn standard_deviation(values: &[f64]) -> Option<f64> {
    let count = values.len() as f64;
    let first = *values.first().filter(|_| values.len() > 1)?;
    let mean = first + values.iter().map(|x| x - first).sum::<f64>() / count;
    Some(libm::sqrt(values.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / (count - 1.0)))
}

/// What leaving out one item at a time says about an estimate.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct JackknifeError {
    /// By how much the estimate is too large on average.
    pub bias: f64,
    /// Its standard error.
    pub standard_error: f64,
}

/// Bias and standard error of an estimate from its values without one item each; `None` for fewer than two.
#[must_use]
pub fn jackknife(estimate: f64, leave_one_out: &[f64]) -> Option<JackknifeError> {
    let deviation = standard_deviation(leave_one_out)?;
    let count = leave_one_out.len() as f64;
    let mean = leave_one_out.iter().map(|x| x / count).sum::<f64>();
    let standard_error = deviation * (count - 1.0) / libm::sqrt(count);
    Some(JackknifeError { bias: (count - 1.0) * (mean - estimate), standard_error })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::random::fill_normal;

    fn noise(n: usize, item: u64) -> Vec<f64> {
        let mut x = vec![0.0; n];
        fill_normal(&mut Seed(2).stream(0, item), 1.0, &mut x);
        x
    }

    #[test]
    fn resamples_are_fair_and_their_sums_those_of_their_weights() {
        let (items, count) = (6, if cfg!(miri) { 20 } else { 5001 });
        let resamples = Resamples::draw(&[items], count, Seed(1)).unwrap();
        let rows: Vec<[f64; 2]> = noise(items, 0).into_iter().map(|x| [x, 1.0]).collect();
        let mut seen = 0;
        resamples.sums(&rows, |resample, [sum, number]| {
            let plain: f64 = rows.iter().enumerate().map(|(i, row)| resamples.weight(resample, i) * row[0]).sum();
            assert!((sum - plain).abs() < 1e-12 && number == items as f64 && resample == seen);
            seen += 1;
        });
        assert_eq!(seen, count);
        let mean = |item| (0..count).map(|r| resamples.weight(r, item)).sum::<f64>() / count as f64;
        assert!(cfg!(miri) || (0..items).all(|item| (mean(item) - 1.0).abs() < 0.06));
        assert_eq!(resamples.weight(0, items) + resamples.weight(count, 0), 0.0);
    }

    #[test]
    fn a_longer_run_begins_like_a_short_one() {
        let (short, long) =
            (Resamples::draw(&[4, 2], 3, Seed(7)).unwrap(), Resamples::draw(&[4, 2], 50, Seed(7)).unwrap());
        assert!((0..3).all(|r| (0..6).all(|item| short.weight(r, item) == long.weight(r, item))));
    }

    #[test]
    fn a_symmetric_statistic_has_the_interval_of_its_quantiles() {
        let mut replicates = noise(2001, 1);
        replicates.iter_mut().for_each(|x| *x *= 2.0);
        let middle = quantile(&mut replicates, 0.5).unwrap();
        let (low, high) = bca_interval(middle, &mut replicates, &[1.0, 2.0, 3.0], 0.9).unwrap().unwrap();
        let ends = [0.05, 0.95].map(|p| quantile(&mut replicates, p).unwrap());
        assert!((low - ends[0]).abs() < 1e-3 && (high - ends[1]).abs() < 1e-3, "{low} {high} {ends:?}");
        // an estimate above most of its replicates is too large: the interval moves up, away from them
        let (_, moved) = bca_interval(middle + 1.0, &mut replicates, &[1.0, 2.0, 3.0], 0.9).unwrap().unwrap();
        assert!(moved > high);
        assert_eq!(bca_interval(0.0, &mut [], &[], 0.9), Ok(None));
        assert!(bca_interval(0.0, &mut [1.0], &[], 1.0).is_err());
    }

    #[test]
    fn extremes_stay_within_the_replicates() {
        for estimate in [-9.0, 0.5, 9.0] {
            for skew in [&[0.0, 0.0, 1e9][..], &[1.0; 3], &[]] {
                let (low, high) = bca_interval(estimate, &mut [0.0, 1.0, 2.0], skew, 0.999).unwrap().unwrap();
                assert!((0.0..=2.0).contains(&low) && (0.0..=2.0).contains(&high), "{low} {high}");
            }
        }
    }

    #[test]
    fn the_jackknife_of_a_mean_is_its_standard_error() {
        let x = noise(12, 3);
        let mean = x.iter().sum::<f64>() / 12.0;
        let without: Vec<f64> = x.iter().map(|x| (12.0 * mean - x) / 11.0).collect();
        let found = jackknife(mean, &without).unwrap();
        assert!(found.bias.abs() < 1e-13);
        assert!((found.standard_error - standard_deviation(&x).unwrap() / libm::sqrt(12.0)).abs() < 1e-13);
        assert_eq!((jackknife(1.0, &[1.0]), standard_deviation(&[])), (None, None));
    }

    #[test]
    fn absurd_numbers_are_refused() {
        assert!(Resamples::draw(&[3], 0, Seed(0)).is_err() && Resamples::draw(&[3], usize::MAX, Seed(0)).is_err());
        assert!(Resamples::draw(&[usize::MAX, usize::MAX], 2, Seed(0)).is_err());
        assert_eq!(Resamples::draw(&[], 2, Seed(0)).unwrap().items(), 0);
    }
}
