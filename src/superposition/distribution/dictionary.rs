//! Data with a known dictionary: sparse combinations of random unit vectors, with decaying and correlated presences.
//!
//! ```text
//! x = Σ_i c_i f_i      f_i random unit vectors in R^d,  c_i = 0 or U[0, 1]
//! P(c_i ≠ 0) = p_i ∝ decay^i,  Σ p_i = mean_active
//! presences: c_i ≠ 0 where Φ(z_i) < p_i,  z = F u + √(1 - ‖F_i‖²) v,  u, v standard normal
//! ```
//!
//! With `correlation = ρ` each row of `F: (g, r)` is a random direction of length `√ρ`, so that `z` is a Gaussian copula;
//! with 0 the presences are independent. A sample without any feature gets one at random, with coefficient 1.
//!
//! Source: Sharkey, Braun and Millidge, "Taking features out of superposition with sparse autoencoders" (2022).

use alloc::vec;
use alloc::vec::Vec;

use ndarray::{Array1, Array2, Axis};

use crate::error::{check_each, check_limit};
use crate::math::block::BLOCK;
use crate::math::random::{Skips, Stream, below, fill_normal, uniform};
use crate::{Result, Scalar, Seed};

const PURPOSE: u64 = 0x4449_4354;
/// Hidden causes of the copula.
const CAUSES: usize = 8;
const MAX_ELEMENTS: usize = 1 << 31;

/// Settings of the data; the default is the published one.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct DictionaryData {
    /// Number of true features `g`.
    pub features: usize,
    /// Width `d` of the data.
    pub width: usize,
    /// Expected number of present features, before empty samples get one.
    pub mean_active: f64,
    /// Ratio of consecutive probabilities.
    pub decay: f64,
    /// Mean squared correlation that hidden causes explain, `0 <= ρ < 1`.
    pub correlation: f64,
}

impl Default for DictionaryData {
    fn default() -> Self {
        Self { features: 512, width: 256, mean_active: 5.0, decay: 0.99, correlation: 0.0 }
    }
}

/// Samples with the truth behind them.
#[derive(Debug, Clone, PartialEq)]
pub struct DictionarySample<T> {
    /// True features, unit rows, `(g, d)`.
    pub dictionary: Array2<T>,
    /// Coefficients `(b, g)`.
    pub coefficients: Array2<T>,
    /// Data `(b, d)`, coefficients times dictionary.
    pub data: Array2<T>,
}

impl DictionaryData {
    /// Probabilities `(g)` that each feature is present, capped at 1.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) and [`Error::TooLarge`](crate::Error::TooLarge) name the setting.
    pub fn probability(&self) -> Result<Array1<f64>> {
        self.check()?;
        let shape: Array1<f64> = (0..self.features).map(|i| libm::pow(self.decay, i as f64)).collect();
        let total = shape.sum();
        Ok(shape.mapv(|share| (self.mean_active * share / total).min(1.0)))
    }

    fn check(&self) -> Result<()> {
        let positive = |what, count: usize| check_each(what, &[count as f64], ">= 1", |x: f64| x >= 1.0);
        positive("features", self.features)?;
        positive("width", self.width)?;
        check_limit("features x width", self.features.saturating_mul(self.width), MAX_ELEMENTS)?;
        check_each("mean_active", &[self.mean_active], "finite and >= 0", |x: f64| x >= 0.0 && x.is_finite())?;
        check_each("decay", &[self.decay], "0 < decay <= 1", |x: f64| x > 0.0 && x <= 1.0)?;
        check_each("correlation", &[self.correlation], "0 <= x < 1", |x: f64| (0.0..1.0).contains(&x))
    }

    /// The true features: random unit rows, `(g, d)`, a function of the seed alone.
    ///
    /// # Errors
    /// As [`DictionaryData::probability`].
    pub fn dictionary<T: Scalar>(&self, seed: Seed) -> Result<Array2<T>> {
        self.check()?;
        Ok(unit_rows(self.features, self.width, 1.0, seed, 0))
    }

    /// `rows` samples and the truth behind them.
    ///
    /// # Errors
    /// As [`DictionaryData::probability`], and [`Error::TooLarge`](crate::Error::TooLarge) for an absurd number of rows.
    ///
    /// # Example
    /// ```
    /// use limpid::Seed;
    /// use limpid::superposition::DictionaryData;
    ///
    /// let truth = DictionaryData { features: 64, width: 32, mean_active: 3.0, ..Default::default() };
    /// let sample = truth.sample::<f32>(100, Seed(0))?;
    /// assert_eq!((sample.data.dim(), sample.coefficients.dim()), ((100, 32), (100, 64)));
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn sample<T: Scalar>(&self, rows: usize, seed: Seed) -> Result<DictionarySample<T>> {
        let probability = self.probability()?;
        check_limit("rows x features", rows.saturating_mul(self.features.max(self.width)), MAX_ELEMENTS)?;
        let dictionary: Array2<T> = self.dictionary(seed)?;
        let presence = Presence::new(self, &probability, seed);
        let mut coefficients = Array2::zeros((rows, self.features));
        let mut data = Array2::zeros((rows, self.width));
        let blocks = coefficients.axis_chunks_iter_mut(Axis(0), BLOCK).zip(data.axis_chunks_iter_mut(Axis(0), BLOCK));
        for (item, (mut coefficients, mut data)) in blocks.enumerate() {
            let mut stream = seed.stream(PURPOSE, item as u64 + 2);
            for (mut coefficients, mut x) in coefficients.rows_mut().into_iter().zip(data.rows_mut()) {
                presence.draw(&mut stream, |i, c| {
                    coefficients[i] = c;
                    x.scaled_add(c, &dictionary.row(i));
                });
            }
        }
        Ok(DictionarySample { dictionary, coefficients, data })
    }
}

/// Who is present in a sample.
enum Presence<'a> {
    /// Features of similar probability skip together, at the rate of the likeliest.
    Independent { probability: &'a Array1<f64>, runs: Vec<Run> },
    /// The hidden causes `F: (g, r)` of a Gaussian copula, and what they leave to each feature of its own.
    Correlated { probability: &'a Array1<f64>, causes: Array2<f64>, own: f64 },
}

/// Features from `start` to `end` and the rate at which one of them is looked at.
struct Run {
    start: usize,
    end: usize,
    rate: f64,
    skips: Skips,
}

impl<'a> Presence<'a> {
    fn new(data: &DictionaryData, probability: &'a Array1<f64>, seed: Seed) -> Self {
        if data.correlation > 0.0 {
            let causes = unit_rows(data.features, CAUSES, libm::sqrt(data.correlation), seed, 1);
            return Self::Correlated { probability, causes, own: libm::sqrt(1.0 - data.correlation) };
        }
        let mut runs = Vec::new();
        let mut start = 0;
        while start < probability.len() {
            // probabilities fall, so the first of a run is its largest
            let rate = probability[start];
            let count = probability.iter().skip(start).take_while(|&&p| 2.0 * p >= rate).count().max(1);
            runs.push(Run { start, end: start + count, rate, skips: Skips::new(rate) });
            start += count;
        }
        Self::Independent { probability, runs }
    }

    /// Calls `on(feature, coefficient)` for every present feature of one sample.
    fn draw<T: Scalar>(&self, stream: &mut Stream, mut on: impl FnMut(usize, T)) {
        let mut found = false;
        let mut present = |i: usize, stream: &mut Stream| {
            found = true;
            on(i, uniform(stream));
        };
        let probability = match self {
            Self::Independent { probability, runs } => {
                for run in runs {
                    let mut i = run.start.saturating_add(run.skips.next(stream));
                    while i < run.end {
                        if uniform::<f64>(stream) * run.rate < probability[i] {
                            present(i, stream);
                        }
                        i = i.saturating_add(1).saturating_add(run.skips.next(stream));
                    }
                }
                probability
            }
            Self::Correlated { probability, causes, own } => {
                let mut shared = [0.0; CAUSES];
                let mut noise = vec![0.0; probability.len()];
                fill_normal(stream, 1.0, &mut shared);
                fill_normal(stream, *own, &mut noise);
                for (i, (&p, cause)) in probability.iter().zip(causes.rows()).enumerate() {
                    let level = cause.iter().zip(&shared).map(|(f, u)| f * u).sum::<f64>() + noise[i];
                    if 0.5 * libm::erfc(-level * core::f64::consts::FRAC_1_SQRT_2) < p {
                        present(i, stream);
                    }
                }
                probability
            }
        };
        if !found {
            on(below(stream, probability.len()), T::one());
        }
    }
}

/// Random directions of the given length as rows, `(rows, width)`.
fn unit_rows<T: Scalar>(rows: usize, width: usize, length: f64, seed: Seed, item: u64) -> Array2<T> {
    let mut values = vec![0.0_f64; rows * width];
    fill_normal(&mut seed.stream(PURPOSE, item), 1.0, &mut values);
    for row in values.chunks_mut(width) {
        let scale = length / libm::sqrt(row.iter().map(|x| x * x).sum::<f64>()).max(f64::MIN_POSITIVE);
        row.iter_mut().for_each(|x| *x *= scale);
    }
    Array2::from_shape_fn((rows, width), |(i, j)| T::of(values[i * width + j]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    fn small(correlation: f64) -> DictionaryData {
        DictionaryData { features: 20, width: 6, mean_active: 4.0, decay: 0.9, correlation }
    }

    fn presence(sample: &DictionarySample<f64>) -> Array2<f64> {
        sample.coefficients.mapv(|c| f64::from(u8::from(c != 0.0)))
    }

    #[test]
    fn presences_have_their_rates_with_and_without_correlation() {
        let rows = if cfg!(miri) { 200 } else { 20_000 };
        for correlation in [0.0, 0.6] {
            let rate = presence(&small(correlation).sample(rows, Seed(4)).unwrap()).mean_axis(Axis(0)).unwrap();
            let expected = small(correlation).probability().unwrap();
            // an empty sample adds at most 1/20 of the share of empty samples
            assert!(rate.iter().zip(&expected).all(|(r, p)| (r - p).abs() < 0.02 + 3.0 / (rows as f64).sqrt()));
        }
    }

    #[test]
    fn correlation_correlates() {
        if cfg!(miri) {
            return;
        }
        let excess = |correlation| {
            let present = presence(&small(correlation).sample(20_000, Seed(4)).unwrap());
            let rate = present.mean_axis(Axis(0)).unwrap();
            let joint = present.t().dot(&present) / 20_000.0;
            (0..20)
                .flat_map(|i| (0..i).map(move |j| (i, j)))
                .map(|(i, j)| (joint[[i, j]] - rate[i] * rate[j]).abs())
                .sum::<f64>()
        };
        assert!(excess(0.6) > 3.0 * excess(0.0));
    }

    #[test]
    fn features_are_unit_and_no_sample_is_empty() {
        let sample = DictionaryData { mean_active: 0.1, ..small(0.0) }.sample::<f64>(300, Seed(1)).unwrap();
        assert!(sample.dictionary.rows().into_iter().all(|f| (f.dot(&f) - 1.0).abs() < 1e-12));
        assert!(sample.coefficients.rows().into_iter().all(|c| c.sum() > 0.0));
    }

    #[test]
    fn bad_settings_are_named() {
        let error = DictionaryData { correlation: 1.0, ..small(0.0) }.sample::<f32>(1, Seed(0)).unwrap_err();
        assert!(matches!(error, Error::OutOfRange { what: "correlation", .. }));
        let error = DictionaryData { width: 0, ..small(0.0) }.dictionary::<f32>(Seed(0)).unwrap_err();
        assert!(matches!(error, Error::OutOfRange { what: "width", .. }));
    }
}
