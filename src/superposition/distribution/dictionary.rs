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

use ndarray::{Array1, Array2, ArrayRef2, Axis};

use crate::error::{check_each, check_limit};
use crate::math::block::BLOCK;
use crate::math::random::{below, fill_normal, uniform};
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
        let causes = unit_rows(self.features, CAUSES, libm::sqrt(self.correlation), seed, 1);
        let mut coefficients = Array2::zeros((rows, self.features));
        for (item, mut part) in coefficients.axis_chunks_iter_mut(Axis(0), BLOCK).enumerate() {
            self.fill(&probability, &causes, &mut part, seed.stream(PURPOSE, item as u64 + 2));
        }
        let dictionary = self.dictionary(seed)?;
        let data = coefficients.dot(&dictionary);
        Ok(DictionarySample { dictionary, coefficients, data })
    }

    fn fill<T: Scalar>(
        &self,
        probability: &Array1<f64>,
        causes: &Array2<f64>,
        part: &mut ArrayRef2<T>,
        mut stream: impl rand::Rng,
    ) {
        let own = libm::sqrt(1.0 - self.correlation);
        let mut shared = vec![0.0; CAUSES];
        let mut noise: Vec<f64> = vec![0.0; self.features];
        for mut row in part.rows_mut() {
            if self.correlation > 0.0 {
                fill_normal(&mut stream, 1.0, &mut shared);
                fill_normal(&mut stream, own, &mut noise);
            }
            for (i, slot) in row.iter_mut().enumerate() {
                let level = if self.correlation > 0.0 {
                    let cause: f64 = causes.row(i).iter().zip(&shared).map(|(f, u)| f * u).sum();
                    0.5 * libm::erfc(-(cause + noise[i]) * core::f64::consts::FRAC_1_SQRT_2)
                } else {
                    uniform(&mut stream)
                };
                if level < probability[i] {
                    *slot = uniform(&mut stream);
                }
            }
            if row.iter().all(|&c| c == T::zero()) {
                row[below(&mut stream, self.features)] = T::one();
            }
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
