//! Sparse feature distributions: which features of a sample are present, and with what value.
//!
//! ```text
//! x_i = 0 with probability 1 - p_i,  otherwise a value drawn from U[0, 1] (or U[-1, 1], or exactly 1)
//! ```
//!
//! Presence is independent, shared by a set (correlated), exclusive within a set (anti-correlated), or exactly one in
//! all. Every sample draws its own presences: one mask for a whole batch, as some replications draw, is unbiased but
//! far noisier.
//!
//! Source: Elhage et al. (2022), "Demonstrating Superposition" (independent) and "Correlated Features".

use ndarray::{Array1, Array2};

use crate::error::{check_each, check_limit, check_not_empty};
use crate::math::block::BLOCK;
use crate::{Error, Result, Scalar, Seed};

/// Values of present features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Value {
    /// Uniform on `[0, 1]`.
    #[default]
    Uniform,
    /// Uniform on `[-1, 1]`.
    Symmetric,
    /// Exactly 1.
    One,
}

/// Which features are present together. Sets are consecutive runs of `size` features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Joint {
    /// Every feature on its own, present with its probability.
    #[default]
    Independent,
    /// All features of a set present, with the set's probability, or all absent.
    Correlated {
        /// Features of a set.
        size: usize,
    },
    /// With the set's probability exactly one uniformly chosen feature of the set; each has the rate `p/size`.
    OneOfSet {
        /// Features of a set.
        size: usize,
    },
    /// The second feature of a pair is present only where the first is absent, then with `p/(1 - p)`: each has the rate
    /// `p`, which must not exceed 1/2.
    ExclusivePairs,
    /// Exactly one feature in all, feature `i` with a share of `p_i / Σ p`.
    ExactlyOne,
}

/// A distribution of samples `x: (n)` with sparse features.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(try_from = "Unchecked<T>", bound(deserialize = "T: Scalar + serde::Deserialize<'de>"))
)]
pub struct FeatureDistribution<T> {
    /// In standard layout.
    probability: Array1<T>,
    value: Value,
    joint: Joint,
}

/// What a distribution is made of, before anything was checked.
#[cfg_attr(feature = "serde", derive(serde::Deserialize))]
struct Unchecked<T> {
    probability: Array1<T>,
    value: Value,
    joint: Joint,
}

impl<T: Scalar> TryFrom<Unchecked<T>> for FeatureDistribution<T> {
    type Error = Error;

    fn try_from(parts: Unchecked<T>) -> Result<Self> {
        let Unchecked { probability, value, joint } = parts;
        check_not_empty("probability", &probability)?;
        check_each("probability", &probability, "0 <= p <= 1", |p| p >= T::zero() && p <= T::one())?;
        let distribution = Self { probability: probability.iter().copied().collect(), value, joint };
        distribution.check_sets()?;
        Ok(distribution)
    }
}

/// Elements that one call will allocate for at most.
const MAX_ELEMENTS: usize = 1 << 31;

impl<T: Scalar> FeatureDistribution<T> {
    /// `n` independent features with one density, values uniform on `[0, 1]`: the paper's distribution.
    ///
    /// # Errors
    /// [`Error::Empty`] without features, [`Error::OutOfRange`] for a probability outside `[0, 1]`.
    ///
    /// # Example
    /// ```
    /// use limpid::Seed;
    /// use limpid::superposition::FeatureDistribution;
    ///
    /// let sparse = FeatureDistribution::<f32>::uniform(5, 0.05)?;
    /// assert_eq!(sparse.sample(1000, Seed(0))?.dim(), (1000, 5));
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn uniform(n: usize, probability: T) -> Result<Self> {
        check_limit("features", n, MAX_ELEMENTS)?;
        Self::new(Array1::from_elem(n, probability), Value::Uniform, Joint::Independent)
    }

    /// A distribution from `probability: (n)`, the value law and the joint law.
    ///
    /// # Errors
    /// [`Error::Empty`] without features; [`Error::OutOfRange`] for a probability outside `[0, 1]`, above 1/2 for
    /// [`Joint::ExclusivePairs`], or all zero for [`Joint::ExactlyOne`]; [`Error::Unsupported`] where sets do not divide
    /// the features or hold different probabilities.
    pub fn new(probability: Array1<T>, value: Value, joint: Joint) -> Result<Self> {
        Unchecked { probability, value, joint }.try_into()
    }

    fn check_sets(&self) -> Result<()> {
        let size = self.set_size();
        if size == 0 || !self.n_features().is_multiple_of(size) {
            return Err(Error::Unsupported { what: "sets that do not divide the features" });
        }
        let p = &self.probability;
        if (0..p.len()).any(|i| p[i] != p[i - i % size]) {
            return Err(Error::Unsupported { what: "different probabilities within one set" });
        }
        match self.joint {
            Joint::ExclusivePairs => check_each("probability", p, "p <= 1/2 for pairs", |p| p <= T::of(0.5)),
            Joint::ExactlyOne if p.sum() <= T::zero() => {
                Err(Error::OutOfRange { what: "probability", index: 0, value: 0.0, expected: "one that is above 0" })
            }
            _ => Ok(()),
        }
    }

    /// Number of features `n`.
    #[must_use]
    pub fn n_features(&self) -> usize {
        self.probability.len()
    }

    /// Probabilities as given, `(n)`.
    #[must_use]
    pub fn probability(&self) -> &Array1<T> {
        &self.probability
    }

    /// The value law.
    #[must_use]
    pub fn value(&self) -> Value {
        self.value
    }

    /// The joint law.
    #[must_use]
    pub fn joint(&self) -> Joint {
        self.joint
    }

    /// Features of one set, 1 where features have no sets.
    pub(super) fn set_size(&self) -> usize {
        match self.joint {
            Joint::Independent | Joint::ExactlyOne => 1,
            Joint::Correlated { size } | Joint::OneOfSet { size } => size,
            Joint::ExclusivePairs => 2,
        }
    }

    /// Probability `(n)` that each feature is present.
    #[must_use]
    pub fn active_rate(&self) -> Array1<T> {
        match self.joint {
            Joint::OneOfSet { size } => self.probability.mapv(|p| p / T::of(size as f64)),
            Joint::ExactlyOne => &self.probability / self.probability.sum(),
            _ => self.probability.clone(),
        }
    }

    /// Expectation `(n)` of each feature.
    #[must_use]
    pub fn mean(&self) -> Array1<T> {
        let mean = match self.value {
            Value::Uniform => 0.5,
            Value::Symmetric => 0.0,
            Value::One => 1.0,
        };
        self.active_rate() * T::of(mean)
    }

    /// Samples `(rows, n)`; row `r` is the same for every number of rows that includes its block of 256.
    ///
    /// # Errors
    /// [`Error::TooLarge`] where the result would exceed 2³¹ elements.
    pub fn sample(&self, rows: usize, seed: Seed) -> Result<Array2<T>> {
        let n = self.n_features();
        check_limit("samples x features", rows.saturating_mul(n), MAX_ELEMENTS)?;
        let mut samples = Array2::zeros((rows, n));
        let mut block = alloc::vec![T::zero(); n * BLOCK];
        for (item, mut part) in samples.axis_chunks_iter_mut(ndarray::Axis(0), BLOCK).enumerate() {
            self.fill_block(&mut seed.stream(super::sample::PURPOSE, item as u64), part.nrows(), &mut block);
            for (i, mut column) in part.columns_mut().into_iter().enumerate() {
                column.iter_mut().zip(&block[i * BLOCK..]).for_each(|(slot, &x)| *slot = x);
            }
        }
        Ok(samples)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn bad_probabilities_are_named() {
        let bad = FeatureDistribution::new(array![0.5, f64::NAN], Value::Uniform, Joint::Independent);
        assert!(matches!(bad, Err(Error::OutOfRange { what: "probability", index: 1, .. })));
        assert_eq!(FeatureDistribution::<f32>::uniform(0, 0.5), Err(Error::Empty { what: "probability" }));
        assert!(FeatureDistribution::new(array![0.7, 0.7], Value::Uniform, Joint::ExclusivePairs).is_err());
        assert!(FeatureDistribution::new(array![0.0, 0.0], Value::One, Joint::ExactlyOne).is_err());
    }

    #[test]
    fn sets_must_divide_the_features_and_agree() {
        for (p, size) in [(array![0.1, 0.1, 0.1], 2), (array![0.1, 0.2], 2), (array![0.1], 0)] {
            let bad = FeatureDistribution::new(p, Value::Uniform, Joint::Correlated { size });
            assert!(matches!(bad, Err(Error::Unsupported { .. })));
        }
    }

    #[test]
    fn more_samples_begin_with_the_same_blocks() {
        let sparse = FeatureDistribution::<f64>::uniform(3, 0.3).unwrap();
        let (few, many) = (sparse.sample(BLOCK, Seed(3)).unwrap(), sparse.sample(3 * BLOCK + 7, Seed(3)).unwrap());
        assert_eq!(few, many.slice_axis(ndarray::Axis(0), (..BLOCK).into()));
    }

    #[test]
    fn expectations_follow_the_laws() {
        let p = array![0.2, 0.2];
        let one = FeatureDistribution::new(p.clone(), Value::Uniform, Joint::OneOfSet { size: 2 }).unwrap();
        assert_eq!(one.mean(), array![0.05, 0.05]);
        let exactly = FeatureDistribution::new(p, Value::One, Joint::ExactlyOne).unwrap();
        assert_eq!(exactly.mean(), array![0.5, 0.5]);
    }

    #[test]
    fn an_absurd_request_is_refused() {
        let sparse = FeatureDistribution::<f64>::uniform(3, 0.3).unwrap();
        assert!(matches!(sparse.sample(usize::MAX, Seed(0)), Err(Error::TooLarge { .. })));
    }
}
