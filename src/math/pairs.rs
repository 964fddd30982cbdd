//! Sufficient statistics of pairs `(t, s)` of a true and a predicted value: mergeable, one pass over memory.
//!
//! ```text
//! of one chunk   d = t - t_1,  e = s - s_1:  mean t = t_1 + Σd/n,  M_tt = Σd² - (Σd)²/n,  M_ts = Σde - Σd Σe/n
//! of parts       mean = t̄_1 + Σ w_i (t̄_i - t̄_1)/w,   M = Σ M_i + Σ w_i (t̄_i - mean)²
//! ```
//!
//! The shift by the first pair of a chunk keeps all but `log_10(n + 1)` digits whatever the mean, `n <= 256`, and makes the
//! spread of equal values exactly 0, before and after parts are merged.
//!
//! Source: Chan, Golub and LeVeque, "Algorithms for computing the sample variance: analysis and recommendations", The
//! American Statistician 37(3), 1983 (shifted data and pairwise merging).

use alloc::vec::Vec;

use ndarray::{ArrayRef1, ArrayView1, ArrayView2};

use super::merge::{Bytes, Merge, Reader};
use super::simd::{Simd, SimdBase, Vector, dispatch, level};
use crate::error::{check_each, check_shape};
use crate::{Error, Result, Scalar};

/// Pairs that are shifted by the same one.
const CHUNK: usize = 256;

/// Lanes of a vector of double precision.
const LANES: usize = 8;

/// Statistics of pairs `(t, s)`: `t` is true, `s` predicted. Pairs that are not finite are counted and otherwise left out.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PairStats {
    /// Number of pairs.
    pub count: u64,
    /// Pairs with a NaN or an infinity.
    pub not_finite: u64,
    /// Sum of the weights: the number of pairs, where nothing was weighted.
    pub weight: f64,
    /// Mean of `t`, 0 without pairs.
    pub mean_true: f64,
    /// Mean of `s`, 0 without pairs.
    pub mean_predicted: f64,
    /// `Σ (t - mean t)²`.
    pub m2_true: f64,
    /// `Σ (s - mean s)²`.
    pub m2_predicted: f64,
    /// `Σ (t - mean t)(s - mean s)`.
    pub cross_moment: f64,
    /// `Σ |t|`.
    pub sum_absolute_true: f64,
    /// `Σ |t - s|`.
    pub sum_absolute_error: f64,
    /// `Σ (t - s)²`.
    pub sum_square_error: f64,
}

impl PairStats {
    /// Statistics of `truth, prediction: (t)`.
    ///
    /// # Errors
    /// [`Error::Shape`] if the lengths differ.
    ///
    /// # Example
    /// ```
    /// use limpid::math::pairs::PairStats;
    /// use ndarray::array;
    ///
    /// let stats = PairStats::of(&array![0.0, 0.0, 3.0], &array![1.0, 1.0, 4.0])?;
    /// assert_eq!((stats.count, stats.mean_true, stats.m2_true), (3, 1.0, 6.0));
    /// assert_eq!((stats.cross_moment, stats.sum_square_error), (6.0, 3.0));
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn of<T: Scalar>(truth: &ArrayRef1<T>, prediction: &ArrayRef1<T>) -> Result<Self> {
        check_shape("prediction", prediction, &[truth.len()])?;
        let mut stats = [Self::default()];
        Self::of_rows([(truth.view(), prediction.view())], &mut stats);
        Ok(stats[0])
    }

    /// Statistics of each row of `truth, prediction: (k, t)`, which have one shape, written to `out: (k)`.
    pub(crate) fn of_table<T: Scalar>(truth: ArrayView2<'_, T>, prediction: ArrayView2<'_, T>, out: &mut [Self]) {
        Self::of_rows(truth.rows().into_iter().zip(prediction.rows()), out);
    }

    fn of_rows<'a, T: Scalar>(
        rows: impl IntoIterator<Item = (ArrayView1<'a, T>, ArrayView1<'a, T>)>,
        out: &mut [Self],
    ) {
        dispatch!(level(), simd => fill(simd, rows, out));
    }

    /// The statistics of all parts together; those without weight are left out.
    #[must_use]
    pub fn pool<'a>(parts: impl IntoIterator<Item = &'a Self, IntoIter: Clone>) -> Self {
        let parts = parts.into_iter().filter(|part| part.weight != 0.0 || part.not_finite > 0);
        let mut pooled = Self::default();
        // the origin is the mean of the first part, so that parts with equal means have exactly that one
        let mut origin = None;
        let (mut true_shift, mut predicted_shift) = (0.0, 0.0);
        for part in parts.clone() {
            pooled.count = pooled.count.saturating_add(part.count);
            pooled.not_finite = pooled.not_finite.saturating_add(part.not_finite);
            if part.weight != 0.0 {
                let (of_true, of_predicted) = *origin.get_or_insert((part.mean_true, part.mean_predicted));
                pooled.weight += part.weight;
                true_shift += part.weight * (part.mean_true - of_true);
                predicted_shift += part.weight * (part.mean_predicted - of_predicted);
            }
        }
        let Some((of_true, of_predicted)) = origin else { return pooled };
        pooled.mean_true = of_true + true_shift / pooled.weight;
        pooled.mean_predicted = of_predicted + predicted_shift / pooled.weight;
        for part in parts {
            let [tt, ss, ts] = part.moments_around(pooled.mean_true, pooled.mean_predicted);
            pooled.m2_true += tt;
            pooled.m2_predicted += ss;
            pooled.cross_moment += ts;
            pooled.sum_absolute_true += part.sum_absolute_true;
            pooled.sum_absolute_error += part.sum_absolute_error;
            pooled.sum_square_error += part.sum_square_error;
        }
        pooled
    }

    /// `Σ (t - a)²`, `Σ (s - b)²`, `Σ (t - a)(s - b)`.
    pub(crate) fn moments_around(&self, a: f64, b: f64) -> [f64; 3] {
        let (of_true, of_predicted) = (self.mean_true - a, self.mean_predicted - b);
        [
            self.m2_true + self.weight * of_true * of_true,
            self.m2_predicted + self.weight * of_predicted * of_predicted,
            self.cross_moment + self.weight * of_true * of_predicted,
        ]
    }

    /// `Σ t²`.
    #[must_use]
    pub fn sum_square_true(&self) -> f64 {
        self.m2_true + self.weight * self.mean_true * self.mean_true
    }

    /// The same pairs, each counted `weight` times.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a weight that is negative or not finite.
    pub fn weighted(self, weight: f64) -> Result<Self> {
        check_each("weight", &[weight], "finite and >= 0", |weight: f64| weight >= 0.0 && weight.is_finite())?;
        Ok(self.times(weight))
    }

    pub(crate) fn times(mut self, weight: f64) -> Self {
        let sums = [
            &mut self.weight,
            &mut self.m2_true,
            &mut self.m2_predicted,
            &mut self.cross_moment,
            &mut self.sum_absolute_true,
            &mut self.sum_absolute_error,
            &mut self.sum_square_error,
        ];
        sums.into_iter().for_each(|sum| *sum *= weight);
        self
    }

    fn sums_are_finite(&self) -> bool {
        let sums = [self.m2_true, self.m2_predicted, self.sum_absolute_true, self.sum_square_error, self.cross_moment];
        sums.iter().all(|sum| sum.is_finite())
    }
}

impl Merge for PairStats {
    fn merge(&mut self, other: &Self) -> Result<()> {
        *self = Self::pool([&*self, other]);
        Ok(())
    }
}

#[inline(always)]
fn fill<'a, T: Scalar, S: Simd>(
    simd: S,
    rows: impl IntoIterator<Item = (ArrayView1<'a, T>, ArrayView1<'a, T>)>,
    out: &mut [PairStats],
) {
    for ((t, s), out) in rows.into_iter().zip(out) {
        *out = match (t.as_slice(), s.as_slice()) {
            (Some(t), Some(s)) => of_slices(simd, t, s),
            _ => of_slices(simd, &t.to_vec(), &s.to_vec()),
        };
    }
}

#[inline(always)]
fn of_slices<T: Scalar, S: Simd>(simd: S, t: &[T], s: &[T]) -> PairStats {
    let stats = of_chunks(simd, t, s);
    if stats.sums_are_finite() { stats } else { skipping(simd, t, s) }
}

#[inline(always)]
fn of_chunks<T: Scalar, S: Simd>(simd: S, t: &[T], s: &[T]) -> PairStats {
    let mut all = PairStats::default();
    for (t, s) in t.chunks(CHUNK).zip(s.chunks(CHUNK)) {
        let chunk = of_chunk(simd, t, s);
        all = if all.count == 0 { chunk } else { PairStats::pool([&all, &chunk]) };
    }
    all
}

/// The statistics of the finite pairs, where there are others; or what overflows, as it is.
#[cold]
fn skipping<T: Scalar, S: Simd>(simd: S, t: &[T], s: &[T]) -> PairStats {
    let pairs = t.iter().zip(s).filter(|(t, s)| t.is_finite() && s.is_finite());
    let (kept_t, kept_s): (Vec<T>, Vec<T>) = pairs.map(|(&t, &s)| (t, s)).unzip();
    PairStats { not_finite: (t.len() - kept_t.len()) as u64, ..of_chunks(simd, &kept_t, &kept_s) }
}

#[inline(always)]
fn of_chunk<T: Scalar, S: Simd>(simd: S, t: &[T], s: &[T]) -> PairStats {
    let (Some(first_t), Some(first_s)) = (t.first(), s.first()) else { return PairStats::default() };
    let (t0, s0) = (first_t.as_f64(), first_s.as_f64());
    let (t_blocks, t_rest) = t.as_chunks::<LANES>();
    let (s_blocks, s_rest) = s.as_chunks::<LANES>();
    let (origin_t, origin_s) = (Vector::<f64, S>::splat(simd, t0), Vector::<f64, S>::splat(simd, s0));
    let mut lanes = [Vector::<f64, S>::splat(simd, 0.0); 8];
    for (t, s) in t_blocks.iter().zip(s_blocks) {
        let (t, s) = (wide(simd, t), wide(simd, s));
        let (d, e, error) = (t - origin_t, s - origin_s, t - s);
        let terms = [d, e, d * d, e * e, d * e, t.abs(), error.abs(), error * error];
        for (sum, term) in lanes.iter_mut().zip(terms) {
            *sum += term;
        }
    }
    let mut sums = [0.0; 8];
    for (sum, lanes) in sums.iter_mut().zip(&lanes) {
        *sum = lanes.reduce_sum();
    }
    for (t, s) in t_rest.iter().zip(s_rest) {
        let (t, s) = (t.as_f64(), s.as_f64());
        let (d, e, error) = (t - t0, s - s0, t - s);
        let terms = [d, e, d * d, e * e, d * e, t.abs(), error.abs(), error * error];
        for (sum, term) in sums.iter_mut().zip(terms) {
            *sum += term;
        }
    }
    from_sums(t.len(), t0, s0, sums)
}

/// One block in double precision.
#[inline(always)]
fn wide<T: Scalar, S: Simd>(simd: S, block: &[T; LANES]) -> Vector<f64, S> {
    // loops, here and above: closures of iterators may be called without the vector instructions
    let mut lanes = [0.0; LANES];
    for (to, from) in lanes.iter_mut().zip(block) {
        *to = from.as_f64();
    }
    Vector::<f64, S>::from_slice(simd, &lanes)
}

#[inline(always)]
fn from_sums(count: usize, t0: f64, s0: f64, sums: [f64; 8]) -> PairStats {
    let [d, e, dd, ee, de, sum_absolute_true, sum_absolute_error, sum_square_error] = sums;
    let weight = count as f64;
    let (shift_t, shift_s) = (d / weight, e / weight);
    // rounding may make nothing out of a little, but NaN must stay
    let positive = |m2: f64| if m2 < 0.0 { 0.0 } else { m2 };
    PairStats {
        count: count as u64,
        not_finite: 0,
        weight,
        mean_true: t0 + shift_t,
        mean_predicted: s0 + shift_s,
        m2_true: positive(dd - d * shift_t),
        m2_predicted: positive(ee - e * shift_s),
        cross_moment: de - d * shift_s,
        sum_absolute_true,
        sum_absolute_error,
        sum_square_error,
    }
}

/// First bytes of the written form.
const MAGIC: &[u8; 8] = b"limppai1";

impl Bytes for PairStats {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend(MAGIC);
        out.extend(self.count.to_le_bytes());
        out.extend(self.not_finite.to_le_bytes());
        let numbers = [
            self.weight,
            self.mean_true,
            self.mean_predicted,
            self.m2_true,
            self.m2_predicted,
            self.cross_moment,
            self.sum_absolute_true,
            self.sum_absolute_error,
            self.sum_square_error,
        ];
        numbers.iter().for_each(|x| out.extend(x.to_le_bytes()));
    }

    fn read(input: &mut Reader<'_>) -> Result<Self> {
        let error = input.error("statistics of pairs");
        if input.take(MAGIC.len(), "statistics of pairs")? != MAGIC {
            return Err(error);
        }
        let (count, not_finite) = (input.u64("a number of pairs")?, input.u64("a number of pairs")?);
        let mut number = |least: f64| {
            let error = input.error("a number, sums of squares and magnitudes not negative");
            input.f64("a number").and_then(|x: f64| if x < least { Err::<f64, Error>(error) } else { Ok(x) })
        };
        let weight = number(0.0)?;
        let (mean_true, mean_predicted) = (number(f64::NEG_INFINITY)?, number(f64::NEG_INFINITY)?);
        let (m2_true, m2_predicted) = (number(0.0)?, number(0.0)?);
        let cross_moment = number(f64::NEG_INFINITY)?;
        let (sum_absolute_true, sum_absolute_error, sum_square_error) = (number(0.0)?, number(0.0)?, number(0.0)?);
        Ok(Self {
            count,
            not_finite,
            weight,
            mean_true,
            mean_predicted,
            m2_true,
            m2_predicted,
            cross_moment,
            sum_absolute_true,
            sum_absolute_error,
            sum_square_error,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use crate::math::random::fill_normal;
    use ndarray::{Array1, Array2, Axis, Slice, array};

    fn noise(n: usize, item: u64) -> Array1<f64> {
        let mut x = Array1::zeros(n);
        fill_normal(&mut Seed(8).stream(0, item), 1.0, x.as_slice_mut().unwrap());
        x
    }

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() <= 1e-11 * (1.0 + b.abs()), "{a} {b}");
    }

    /// Two passes, by the definitions.
    fn naive(t: &Array1<f64>, s: &Array1<f64>) -> PairStats {
        let n = t.len() as f64;
        let (mean_true, mean_predicted) = (t.sum() / n, s.sum() / n);
        let sum = |f: &dyn Fn(f64, f64) -> f64| t.iter().zip(s).map(|(&t, &s)| f(t, s)).sum::<f64>();
        PairStats {
            count: t.len() as u64,
            not_finite: 0,
            weight: n,
            mean_true,
            mean_predicted,
            m2_true: sum(&|t, _| (t - mean_true) * (t - mean_true)),
            m2_predicted: sum(&|_, s| (s - mean_predicted) * (s - mean_predicted)),
            cross_moment: sum(&|t, s| (t - mean_true) * (s - mean_predicted)),
            sum_absolute_true: sum(&|t, _| t.abs()),
            sum_absolute_error: sum(&|t, s| (t - s).abs()),
            sum_square_error: sum(&|t, s| (t - s) * (t - s)),
        }
    }

    fn all_close(a: &PairStats, b: &PairStats) {
        assert_eq!((a.count, a.not_finite), (b.count, b.not_finite));
        close(a.weight, b.weight);
        close(a.mean_true, b.mean_true);
        close(a.mean_predicted, b.mean_predicted);
        close(a.m2_true, b.m2_true);
        close(a.m2_predicted, b.m2_predicted);
        close(a.cross_moment, b.cross_moment);
        close(a.sum_absolute_true, b.sum_absolute_true);
        close(a.sum_absolute_error, b.sum_absolute_error);
        close(a.sum_square_error, b.sum_square_error);
    }

    #[test]
    fn one_pass_has_the_numbers_of_two() {
        for n in [1, 2, 7, 8, 9, 64, 100, 255, 256, 257, 700] {
            let (t, s) = (noise(n, 1) + 3.0, noise(n, 2));
            all_close(&PairStats::of(&t, &s).unwrap(), &naive(&t, &s));
        }
        assert_eq!(PairStats::of(&noise(0, 1), &noise(0, 1)).unwrap(), PairStats::default());
    }

    #[test]
    fn a_large_mean_of_single_floats_costs_no_digits() {
        let n = if cfg!(miri) { 1000 } else { 100_000 };
        let a = (noise(n, 3) + 1e4).mapv(f32::of);
        let b = (a.mapv(f64::from) + noise(n, 4)).mapv(f32::of);
        let stats = PairStats::of(&a, &b).unwrap();
        let exact = naive(&a.mapv(f64::from), &b.mapv(f64::from));
        assert!((stats.m2_true / exact.m2_true - 1.0).abs() < 1e-11);
        assert!((stats.cross_moment / exact.cross_moment - 1.0).abs() < 1e-11);
        let r = stats.cross_moment / libm::sqrt(stats.m2_true * stats.m2_predicted);
        assert!(cfg!(miri) || (r - core::f64::consts::FRAC_1_SQRT_2).abs() < 0.01, "{r}");
    }

    #[test]
    fn equal_values_have_no_spread_at_all() {
        let still = |n: usize| PairStats::of(&Array1::from_elem(n, 0.1), &noise(n, 5)).unwrap();
        let parts = [still(7), still(300), PairStats::default(), still(1)];
        let all = PairStats::pool(&parts);
        assert_eq!((all.count, all.mean_true, all.m2_true, all.cross_moment), (308, 0.1, 0.0, 0.0));
    }

    #[test]
    fn parts_and_tables_pool_to_the_whole() {
        let (t, s) = (noise(500, 6) * 3.0 + 100.0, noise(500, 7) - 7.0);
        let part = |from: usize, to: usize| {
            let cut = |x: &Array1<f64>| x.slice_axis(Axis(0), Slice::from(from..to)).to_owned();
            PairStats::of(&cut(&t), &cut(&s)).unwrap()
        };
        let mut merged = part(400, 500);
        merged.merge(&PairStats::pool(&[part(0, 1), part(1, 1), part(1, 400)])).unwrap();
        all_close(&merged, &naive(&t, &s));
        let mut rows = [PairStats::default(); 5];
        let spread = t.to_shape((100, 5)).unwrap().t().to_owned();
        let by_column = t.to_shape((100, 5)).unwrap();
        PairStats::of_table(by_column.t(), Array2::zeros((5, 100)).view(), &mut rows);
        for (row, stats) in spread.rows().into_iter().zip(&rows) {
            assert_eq!(*stats, PairStats::of(&row, &Array1::zeros(100)).unwrap());
        }
    }

    #[test]
    fn weights_count_pairs_again() {
        let (a, b) =
            (PairStats::of(&noise(9, 1), &noise(9, 2)).unwrap(), PairStats::of(&noise(4, 3), &noise(4, 4)).unwrap());
        let twice = PairStats::pool(&[a.weighted(2.0).unwrap(), b, b.weighted(0.0).unwrap()]);
        let plain = PairStats::pool(&[a, a, b]);
        all_close(&PairStats { count: 22, ..twice }, &plain);
        assert!(a.weighted(-1.0).is_err() && a.weighted(f64::NAN).is_err());
    }

    #[test]
    fn what_is_not_finite_is_counted_and_left_out() {
        let stats = PairStats::of(&array![1.0, f64::NAN, 3.0, 1.0], &array![2.0, 0.0, 4.0, f64::INFINITY]).unwrap();
        assert_eq!(stats, PairStats { not_finite: 2, ..PairStats::of(&array![1.0, 3.0], &array![2.0, 4.0]).unwrap() });
        let huge = PairStats::of(&array![1e300, -1e300], &array![0.0, 1.0]).unwrap();
        assert!(huge.not_finite == 0 && !huge.m2_true.is_finite());
        assert_eq!(PairStats::pool(&[PairStats { not_finite: 3, ..PairStats::default() }]).not_finite, 3);
        assert!(PairStats::of(&array![1.0], &array![1.0, 2.0]).is_err());
    }

    #[test]
    fn bytes_come_back() {
        let stats = PairStats::of(&noise(9, 1), &noise(9, 2)).unwrap();
        assert_eq!(PairStats::from_bytes(&stats.to_bytes()).unwrap(), stats);
        let mut broken = stats.to_bytes();
        broken[0] = 0;
        assert!(PairStats::from_bytes(&broken).is_err() && PairStats::from_bytes(&stats.to_bytes()[1..]).is_err());
        let negative = PairStats { m2_true: -1.0, ..stats };
        assert!(PairStats::from_bytes(&negative.to_bytes()).is_err());
    }
}
