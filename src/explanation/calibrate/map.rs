//! The maps and how they are fitted.

use alloc::vec::Vec;

use ndarray::{Array1, ArrayRef1};

use super::sets::CalibrationSet;
use crate::error::check_shape;
use crate::explanation::score::PairStats;
use crate::explanation::{Defined, Undefined};
use crate::math::interpolate::PiecewiseLinear;
use crate::math::isotonic;
use crate::{Result, Scalar};

/// How predictions are mapped to activations; the table of [`super`] has the formulas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Calibration {
    /// The least-squares line.
    #[default]
    LeastSquares,
    /// The least-squares line of a slope that is not negative: a prediction that is wrong way round becomes the mean, it is
    /// not turned around.
    NonNegative,
    /// The line that gives the predictions the mean and the spread of the truth.
    VarianceMatched,
    /// Sorted predictions to sorted activations. At a prediction that occurs several times the last of its activations counts.
    Percentile,
    /// The best increasing function, by least squares.
    Isotonic,
}

/// A map that was fitted.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Calibrated {
    method: Calibration,
    map: Map,
}

#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Map {
    Line { slope: f64, intercept: f64 },
    Curve(PiecewiseLinear),
}

/// What a map makes of a distribution over values.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MappedDistribution {
    /// `Σ p f(v)`: the expectation of what is mapped.
    pub expectation_of_mapped: f64,
    /// `f(Σ p v)`: the map of the expectation, which the first published scorer uses. The same for a line.
    pub mapped_of_expectation: f64,
}

impl Calibration {
    /// Fits the map.
    ///
    /// # Errors
    /// [`Undefined::Empty`] without tokens, [`Undefined::NotFinite`] where a value is NaN or infinite,
    /// [`Undefined::OutOfRange`] where a sum overflows.
    ///
    /// # Example
    /// ```
    /// use limpid::explanation::calibrate::{Calibration, CalibrationSet};
    /// use limpid::explanation::score::Sequence;
    /// use ndarray::array;
    ///
    /// let text = Sequence::new(array![0.0, 0.0, 1.0, 4.0, 2.0], array![0.0, 1.0, 1.0, 3.0, 2.0])?;
    /// let set = CalibrationSet::new(vec![text]);
    /// let line = Calibration::LeastSquares.fit(&set).unwrap();
    /// assert!((line.slope().unwrap() - 18.0 / 13.0).abs() < 1e-12);
    /// let curve = Calibration::Percentile.fit(&set).unwrap();
    /// assert_eq!([0.5, 1.0, 9.0].map(|s| curve.at(s)), [0.0, 1.0, 4.0]);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn fit<T: Scalar>(self, set: &CalibrationSet<T>) -> Defined<Calibrated> {
        let stats = set.stats();
        if stats.not_finite > 0 {
            return Err(Undefined::NotFinite);
        }
        if stats.count == 0 {
            return Err(Undefined::Empty);
        }
        let map = match self {
            Self::LeastSquares | Self::NonNegative | Self::VarianceMatched => self.line(&stats)?,
            Self::Percentile => Map::Curve(percentile(set.points())?),
            Self::Isotonic => Map::Curve(isotonic::fit(&set.points()).map_err(|_| Undefined::OutOfRange)?),
        };
        Ok(Calibrated { method: self, map })
    }

    /// Fits one of the lines from statistics alone, such as those of a corpus in shards.
    ///
    /// # Errors
    /// As [`Calibration::fit`]; [`Undefined::TooFew`] for the two curves, which need the values themselves.
    pub fn fit_stats(self, stats: &PairStats) -> Defined<Calibrated> {
        match (stats.not_finite, stats.count, self) {
            (1.., ..) => Err(Undefined::NotFinite),
            (0, 0, _) => Err(Undefined::Empty),
            (_, _, Self::Percentile | Self::Isotonic) => Err(Undefined::TooFew),
            _ => Ok(Calibrated { method: self, map: self.line(stats)? }),
        }
    }

    fn line(self, stats: &PairStats) -> Defined<Map> {
        let least_squares = stats.cross_moment / stats.m2_predicted;
        let slope = match self {
            _ if stats.m2_predicted == 0.0 => 0.0,
            Self::VarianceMatched => libm::sqrt(stats.m2_true / stats.m2_predicted),
            Self::NonNegative if least_squares < 0.0 => 0.0,
            _ => least_squares,
        };
        let intercept = stats.mean_true - slope * stats.mean_predicted;
        let finite = slope.is_finite() && intercept.is_finite();
        if finite { Ok(Map::Line { slope, intercept }) } else { Err(Undefined::OutOfRange) }
    }
}

/// Sorted predictions with sorted activations.
fn percentile(points: Vec<(f64, f64)>) -> Defined<PiecewiseLinear> {
    let (mut s, mut t): (Vec<f64>, Vec<f64>) = points.into_iter().unzip();
    s.sort_unstable_by(f64::total_cmp);
    t.sort_unstable_by(f64::total_cmp);
    PiecewiseLinear::new(s, t).map_err(|_| Undefined::Empty)
}

impl Calibrated {
    /// How it was fitted.
    #[must_use]
    pub fn method(&self) -> Calibration {
        self.method
    }

    /// Slope of a line, `None` for a curve.
    #[must_use]
    pub fn slope(&self) -> Option<f64> {
        if let Map::Line { slope, .. } = self.map { Some(slope) } else { None }
    }

    /// Intercept of a line, `None` for a curve.
    #[must_use]
    pub fn intercept(&self) -> Option<f64> {
        if let Map::Line { intercept, .. } = self.map { Some(intercept) } else { None }
    }

    /// The activation that a prediction stands for.
    #[must_use]
    pub fn at(&self, s: f64) -> f64 {
        match &self.map {
            Map::Line { slope, intercept } => slope * s + intercept,
            Map::Curve(curve) => curve.at(s),
        }
    }

    /// The activations that `prediction: (t)` stands for, `(t)`.
    #[must_use]
    pub fn apply<T: Scalar>(&self, prediction: &ArrayRef1<T>) -> Array1<T> {
        prediction.mapv(|s| T::of(self.at(s.as_f64())))
    }

    /// What becomes of a distribution with `values: (k)` and `probabilities: (k)`.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) if the lengths differ.
    pub fn distribution<T: Scalar>(
        &self,
        values: &ArrayRef1<T>,
        probabilities: &ArrayRef1<T>,
    ) -> Result<MappedDistribution> {
        check_shape("probabilities", probabilities, &[values.len()])?;
        let pairs = values.iter().zip(probabilities).map(|(v, p)| (v.as_f64(), p.as_f64()));
        Ok(MappedDistribution {
            expectation_of_mapped: pairs.clone().map(|(v, p)| p * self.at(v)).sum(),
            mapped_of_expectation: self.at(pairs.map(|(v, p)| p * v).sum()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explanation::score::Sequence;
    use alloc::vec;
    use ndarray::array;

    const ALL: [Calibration; 5] = [
        Calibration::LeastSquares,
        Calibration::NonNegative,
        Calibration::VarianceMatched,
        Calibration::Percentile,
        Calibration::Isotonic,
    ];

    fn set(s: Array1<f64>, t: Array1<f64>) -> CalibrationSet<f64> {
        CalibrationSet::new(vec![Sequence::new(t, s).unwrap()])
    }

    #[test]
    fn a_falling_truth_is_not_turned_around() {
        let falling = set(array![0.0, 1.0, 2.0, 5.0, 7.0], array![6.0, 5.0, 5.5, 1.0, 0.0]);
        let fitted = |method: Calibration| method.fit(&falling).unwrap();
        assert!(fitted(Calibration::LeastSquares).slope().unwrap() < 0.0);
        assert_eq!(fitted(Calibration::NonNegative).slope(), Some(0.0));
        assert_eq!(fitted(Calibration::NonNegative).at(9.0), 3.5);
        assert!((fitted(Calibration::Isotonic).at(-1.0) - 3.5).abs() < 1e-12);
        assert!(fitted(Calibration::VarianceMatched).slope().unwrap() > 0.0);
    }

    #[test]
    fn equal_predictions_map_to_the_mean() {
        let still = set(array![1.0, 1.0, 1.0], array![0.0, 1.0, 5.0]);
        for method in &ALL[..3] {
            let fitted = method.fit(&still).unwrap();
            assert_eq!((fitted.slope(), fitted.at(7.0), fitted.method()), (Some(0.0), 2.0, *method));
            assert_eq!(method.fit_stats(&still.stats()), Ok(fitted));
        }
        assert_eq!(Calibration::Percentile.fit(&still).unwrap().at(1.0), 5.0);
        assert_eq!(Calibration::Isotonic.fit(&still).unwrap().at(1.0), 2.0);
        assert_eq!(Calibration::Isotonic.fit_stats(&still.stats()), Err(Undefined::TooFew));
    }

    #[test]
    fn a_curve_does_not_commute_with_the_expectation() {
        let curve = Calibration::Percentile.fit(&set(array![0.0, 1.0, 2.0, 3.0], array![0.0, 0.0, 2.0, 4.0])).unwrap();
        let found = curve.distribution(&array![0.0, 3.0, 10.0], &array![0.5, 0.25, 0.25]).unwrap();
        assert_eq!((found.expectation_of_mapped, found.mapped_of_expectation), (2.0, 4.0));
        assert_eq!(curve.apply(&array![1.5_f32, 9.0]), array![1.0, 4.0]);
        assert!(curve.distribution(&array![0.0], &array![0.5, 0.5]).is_err());
    }

    #[test]
    fn what_cannot_be_fitted_says_why() {
        for method in ALL {
            assert_eq!(method.fit(&set(array![], array![])), Err(Undefined::Empty));
            assert_eq!(method.fit(&set(array![0.0, f64::NAN], array![0.0, 1.0])), Err(Undefined::NotFinite));
            match method.fit(&set(array![-1e300, 1e300], array![-1e300, 1e300])) {
                Ok(map) => assert!(map.at(1.0).is_finite(), "{method:?}"),
                Err(reason) => assert_eq!(reason, Undefined::OutOfRange),
            }
        }
    }
}
