//! Which inner unit is explained: one, the sum of several, or a weighted sum.
//!
//! ```text
//! Unit(j)  h_j        Sum(S)  Σ_{j in S} h_j        Weights(w)  Σ_j w_j h_j
//! ```

use alloc::vec::Vec;
use core::fmt;

use ndarray::{Array1, ArrayView1};

use crate::attribution::Target;
use crate::error::{check_each, check_finite, check_not_empty, check_shape};
use crate::{Result, Scalar};

/// A number read off the units `h: (units)` of a layer; the target of methods on [`UpTo`](super::UpTo).
///
/// # Example
/// ```
/// use limpid::attribution::Target;
/// use limpid::attribution::layer::Neuron;
/// use ndarray::array;
///
/// let h = [1.0, 2.0, 4.0];
/// assert_eq!(Neuron::Unit(1).value(0, &h), 2.0);
/// assert_eq!(Neuron::Sum(vec![0, 2]).value(0, &h), 5.0);
/// assert_eq!(Neuron::Weights(array![1.0, 0.0, -1.0]).value(0, &h), -3.0);
/// ```
#[derive(Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub enum Neuron<T> {
    /// One unit.
    Unit(usize),
    /// The sum of several units; one named twice counts twice.
    Sum(Vec<usize>),
    /// A weighted sum of all units, `(units)`.
    Weights(Array1<T>),
}

/// Says which units, and of weights only that there are some: settings are recorded with every result.
impl<T> fmt::Debug for Neuron<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unit(unit) => write!(f, "Unit({unit})"),
            Self::Sum(units) => write!(f, "Sum({units:?})"),
            Self::Weights(_) => f.write_str("Weights"),
        }
    }
}

impl<T: Scalar> Neuron<T> {
    /// Checks that a layer of so many units has it.
    pub(super) fn fit(&self, units: usize) -> Result<()> {
        let known = |named: &[usize]| {
            let named: Vec<f64> = named.iter().map(|&unit| unit as f64).collect();
            check_each("neuron", &named, "a unit of the layer", |unit| unit < units as f64)
        };
        match self {
            Self::Unit(unit) => known(&[*unit]),
            Self::Sum(named) => {
                check_not_empty("neuron", &ArrayView1::from(named))?;
                known(named)
            }
            Self::Weights(weights) => {
                check_shape("neuron", weights, &[units])?;
                check_finite("neuron", weights)
            }
        }
    }

    /// The weight of every unit.
    pub(super) fn weights(&self, weights: &mut [T]) {
        weights.fill(T::zero());
        match self {
            Self::Unit(unit) => weights[*unit] = T::one(),
            Self::Sum(named) => named.iter().for_each(|&unit| weights[unit] += T::one()),
            Self::Weights(given) => weights.iter_mut().zip(given).for_each(|(weight, &given)| *weight = given),
        }
    }
}

impl<T: Scalar> Target<T> for Neuron<T> {
    fn check(&self, _rows: usize, outputs: usize) -> Result<()> {
        self.fit(outputs)
    }

    fn value(&self, _row: usize, h: &[T]) -> T {
        match self {
            Self::Unit(unit) => h[*unit],
            Self::Sum(named) => named.iter().map(|&unit| h[unit]).sum(),
            Self::Weights(weights) => weights.iter().zip(h).map(|(&weight, &h)| weight * h).sum(),
        }
    }

    fn cotangent(&self, _row: usize, _h: &[T], gradient: &mut [T]) {
        self.weights(gradient);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use alloc::{format, vec};
    use ndarray::array;

    #[test]
    fn a_neuron_must_be_in_the_layer() {
        assert!(matches!(Neuron::<f64>::Unit(3).fit(3), Err(Error::OutOfRange { what: "neuron", index: 0, .. })));
        assert!(matches!(Neuron::<f64>::Sum(vec![0, 3]).fit(3), Err(Error::OutOfRange { index: 1, .. })));
        assert!(matches!(Neuron::<f64>::Sum(vec![]).fit(3), Err(Error::Empty { .. })));
        assert!(matches!(Neuron::Weights(array![1.0]).fit(3), Err(Error::Shape { .. })));
        assert!(matches!(Neuron::Weights(array![f64::NAN]).fit(1), Err(Error::NotFinite { .. })));
    }

    #[test]
    fn weights_say_the_same_as_values() {
        let h = [1.0, 2.0, 4.0];
        for neuron in [Neuron::Unit(1), Neuron::Sum(vec![0, 2, 2]), Neuron::Weights(array![0.5, 1.0, -1.0])] {
            let mut weights = [9.0; 3];
            neuron.weights(&mut weights);
            let value: f64 = weights.iter().zip(&h).map(|(w, h)| w * h).sum();
            assert_eq!(neuron.value(0, &h), value, "{neuron:?}");
        }
        assert_eq!(format!("{:?}", Neuron::Weights(array![0.5])), "Weights");
    }
}
