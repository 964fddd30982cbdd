//! A fixed set of training points, for memorisation and double descent.
//!
//! Source: Henighan et al., "Superposition, Memorization, and Double Descent" (2023),
//! <https://transformer-circuits.pub/2023/toy-double-descent/index.html>: sparse points, each scaled to unit length.

use alloc::vec::Vec;

use ndarray::{Array2, Axis};

use super::features::FeatureDistribution;
use crate::error::{check_finite, check_not_empty};
use crate::math::aligned::Aligned;
use crate::math::block::BLOCK;
use crate::{Error, Result, Scalar, Seed};

/// Training points that every step sees in full.
#[derive(Debug, Clone, PartialEq)]
pub struct FixedDataset<T> {
    points: Array2<T>,
    /// The same points in blocks of samples, `(n, BLOCK)` each.
    blocks: Vec<Aligned<T>>,
}

impl<T: Scalar> FixedDataset<T> {
    /// A dataset from `points: (t, n)`.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::NotFinite`].
    pub fn new(points: Array2<T>) -> Result<Self> {
        check_not_empty("points", &points)?;
        check_finite("points", &points)?;
        let blocks = points.axis_chunks_iter(Axis(0), BLOCK).map(|part| {
            let mut block = Aligned::zeros(points.ncols() * BLOCK);
            for ((row, i), &x) in part.indexed_iter() {
                block[i * BLOCK + row] = x;
            }
            block
        });
        let blocks = blocks.collect();
        Ok(Self { points, blocks })
    }

    /// `count` points drawn from `distribution` and scaled to unit length; a point without any present feature is drawn
    /// again.
    ///
    /// # Errors
    /// [`Error::TooLarge`] for an absurd count, [`Error::NoConvergence`] where the distribution (almost) never shows a
    /// feature.
    ///
    /// # Example
    /// ```
    /// use limpid::Seed;
    /// use limpid::superposition::{FeatureDistribution, FixedDataset};
    ///
    /// let sparse = FeatureDistribution::<f64>::uniform(1000, 0.01)?;
    /// let data = FixedDataset::on_unit_sphere(&sparse, 5, Seed(0))?;
    /// assert!(data.points().rows().into_iter().all(|x| (x.dot(&x) - 1.0).abs() < 1e-12));
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn on_unit_sphere(distribution: &FeatureDistribution<T>, count: usize, seed: Seed) -> Result<Self> {
        const ATTEMPTS: usize = 1000;
        let mut points = distribution.sample(count, seed)?;
        for attempt in 1..=ATTEMPTS {
            let norms = points.map_axis(Axis(1), |x| x.dot(&x).sqrt());
            let empty: Vec<usize> = (0..count).filter(|&t| norms[t] <= T::zero()).collect();
            if empty.is_empty() {
                points /= &norms.insert_axis(Axis(1));
                return Self::new(points);
            }
            let fresh = distribution.sample(empty.len(), seed.child(super::sample::PURPOSE, attempt as u64))?;
            for (&t, x) in empty.iter().zip(fresh.rows()) {
                points.row_mut(t).assign(&x);
            }
        }
        Err(Error::NoConvergence { iterations: ATTEMPTS, residual: 1.0 })
    }

    /// The points `(t, n)`.
    #[must_use]
    pub fn points(&self) -> &Array2<T> {
        &self.points
    }

    /// The points of one block, `(n, BLOCK)`.
    pub(crate) fn block(&self, index: usize) -> &[T] {
        &self.blocks[index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_hold_the_transposed_points() {
        let points = Array2::from_shape_fn((BLOCK + 2, 3), |(t, i)| (t * 3 + i) as f64);
        let data = FixedDataset::new(points.clone()).unwrap();
        assert_eq!(data.block(1)[2 * BLOCK + 1], points[[BLOCK + 1, 2]]);
        assert_eq!(data.block(1)[2], 0.0);
    }

    #[test]
    fn a_distribution_that_shows_nothing_is_an_error() {
        let nothing = FeatureDistribution::<f32>::uniform(3, 0.0).unwrap();
        let error = FixedDataset::on_unit_sphere(&nothing, 2, Seed(0)).unwrap_err();
        assert!(matches!(error, Error::NoConvergence { .. }));
        assert_eq!(FixedDataset::<f64>::new(Array2::zeros((0, 3))).unwrap_err(), Error::Empty { what: "points" });
    }
}
