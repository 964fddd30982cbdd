//! Inputs near an input, for what asks how steady an explanation is.

use ndarray::{Array2, Array3, ArrayRef2, Axis};

use crate::error::{check_each, check_finite, check_not_empty, check_shape};
use crate::math::random::{fill_normal, uniform};
use crate::{Result, Scalar, Seed};

/// Which inputs near `x` are tried.
///
/// # Example
/// ```
/// use limpid::attribution::faithfulness::Neighbourhood;
/// use ndarray::array;
///
/// let x = array![[1.0, 2.0]];
/// let near = Neighbourhood::default().neighbour(&x, 3)?;
/// assert!((&near - &x).iter().all(|step: &f64| step.abs() <= 0.02));
/// # Ok::<(), limpid::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub enum Neighbourhood<T> {
    /// Each feature moves by a uniform step of at most the radius.
    Uniform {
        /// The radius, in units of `x`.
        radius: f64,
        /// Number of neighbours of every row.
        samples: usize,
        /// What they follow from.
        seed: Seed,
    },
    /// Each feature moves by a normal step.
    Normal {
        /// Standard deviation of the steps, in units of `x`.
        deviation: f64,
        /// Number of neighbours of every row.
        samples: usize,
        /// What they follow from.
        seed: Seed,
    },
    /// The steps themselves, `(samples, b, n)`.
    Given(Array3<T>),
}

impl<T> Default for Neighbourhood<T> {
    /// Ten uniform neighbours within 0.02.
    fn default() -> Self {
        Self::Uniform { radius: 0.02, samples: 10, seed: Seed::default() }
    }
}

/// Purpose of the random streams.
const PURPOSE: u64 = 0x6e65_6172;

impl<T: Scalar> Neighbourhood<T> {
    /// Number of neighbours of every row.
    #[must_use]
    pub fn samples(&self) -> usize {
        match self {
            Self::Uniform { samples, .. } | Self::Normal { samples, .. } => *samples,
            Self::Given(steps) => steps.shape()[0],
        }
    }

    /// Seed of neighbours that are drawn.
    #[must_use]
    pub fn seed(&self) -> Option<Seed> {
        match self {
            Self::Uniform { seed, .. } | Self::Normal { seed, .. } => Some(*seed),
            Self::Given(_) => None,
        }
    }

    /// Checks that there are neighbours of `x: (b, n)`.
    pub(super) fn check(&self, x: &ArrayRef2<T>) -> Result<()> {
        match self {
            Self::Uniform { radius: size, .. } | Self::Normal { deviation: size, .. } => {
                check_each("radius", &[*size], "0 < radius", |size: f64| size > 0.0 && size.is_finite())?;
            }
            Self::Given(steps) => {
                check_shape("perturbation", steps, &[steps.shape()[0], x.nrows(), x.ncols()])?;
                check_not_empty("perturbation", steps)?;
                check_finite("perturbation", steps)?;
            }
        }
        check_each("samples", &[self.samples() as f64], ">= 1", |samples: f64| samples >= 1.0)
    }

    /// Neighbour `sample` of every row of `x: (b, n)`, the same whatever others are made.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for a radius that is not positive and a sample that there is not,
    /// [`Error::Shape`](crate::Error::Shape) for steps that do not fit.
    pub fn neighbour(&self, x: &ArrayRef2<T>, sample: usize) -> Result<Array2<T>> {
        self.check(x)?;
        check_each("sample", &[sample as f64], "below the number of samples", |_: f64| sample < self.samples())?;
        let mut near = Array2::zeros(x.raw_dim());
        for (row, mut steps) in near.rows_mut().into_iter().enumerate() {
            let stream = |seed: &Seed| seed.child(PURPOSE, row as u64).stream(PURPOSE, sample as u64);
            match self {
                Self::Uniform { radius, seed, .. } => {
                    let mut stream = stream(seed);
                    steps.mapv_inplace(|_| T::of(radius * (2.0 * uniform::<f64>(&mut stream) - 1.0)));
                }
                Self::Normal { deviation, seed, .. } => {
                    fill_normal(&mut stream(seed), T::of(*deviation), steps.as_slice_mut().unwrap_or_default());
                }
                Self::Given(given) => steps.assign(&given.index_axis(Axis(0), sample).row(row)),
            }
            steps += &x.row(row);
        }
        Ok(near)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use ndarray::array;

    #[test]
    fn neighbours_are_where_they_should_be() {
        let x = Array2::from_elem((2, 500), 3.0);
        let uniform = Neighbourhood::Uniform { radius: 0.5, samples: 2, seed: Seed(1) };
        let near = uniform.neighbour(&x, 1).unwrap();
        let steps = &near - &x;
        assert!(steps.iter().all(|step: &f64| step.abs() <= 0.5) && steps.iter().any(|step| step.abs() > 0.49));
        assert_ne!(near, uniform.neighbour(&x, 0).unwrap());
        assert_ne!(near.row(0), near.row(1));
        assert_eq!(near, uniform.neighbour(&x, 1).unwrap());
        let given = Neighbourhood::Given(array![[[1.0, -1.0]]]);
        assert_eq!(given.neighbour(&array![[5.0, 5.0]], 0), Ok(array![[6.0, 4.0]]));
    }

    #[test]
    fn bad_settings_are_named() {
        let x = array![[1.0]];
        let found = Neighbourhood::Normal { deviation: -1.0, samples: 1, seed: Seed(0) }.neighbour(&x, 0);
        assert!(matches!(found, Err(Error::OutOfRange { what: "radius", .. })));
        let found = Neighbourhood::Uniform { radius: 1.0, samples: 0, seed: Seed(0) }.neighbour(&x, 0);
        assert!(matches!(found, Err(Error::OutOfRange { what: "samples", .. })));
        let found = Neighbourhood::default().neighbour(&x, 10);
        assert!(matches!(found, Err(Error::OutOfRange { what: "sample", .. })));
        let found = Neighbourhood::Given(Array3::zeros((1, 1, 2))).neighbour(&x, 0);
        assert!(matches!(found, Err(Error::Shape { what: "perturbation", .. })));
    }
}
