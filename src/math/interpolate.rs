//! A function given by its values at some points: straight lines between them, constant outside.
//!
//! ```text
//! f(x) = v_i + (v_(i+1) - v_i) (x - k_i)/(k_(i+1) - k_i),   k_i <= x < k_(i+1)
//! ```
//!
//! At a knot that occurs several times `f` has the value of the last of them.

use alloc::vec::Vec;

use crate::error::check_each;
use crate::{Dims, Error, Result};

/// Knots in ascending order with their values.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PiecewiseLinear {
    knots: Vec<f64>,
    values: Vec<f64>,
}

impl PiecewiseLinear {
    /// The function through `(knots_i, values_i)`.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::Shape`], [`Error::OutOfRange`] for numbers that are not finite or knots that descend.
    ///
    /// # Example
    /// ```
    /// use limpid::math::interpolate::PiecewiseLinear;
    ///
    /// let f = PiecewiseLinear::new(vec![0.0, 0.0, 2.0], vec![5.0, 1.0, 3.0])?;
    /// assert_eq!([-1.0, 0.0, 1.0, 9.0].map(|x| f.at(x)), [5.0, 1.0, 2.0, 3.0]);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn new(knots: Vec<f64>, values: Vec<f64>) -> Result<Self> {
        if knots.is_empty() {
            return Err(Error::Empty { what: "knots" });
        }
        if knots.len() != values.len() {
            let (expected, got) = (Dims::new(&[knots.len()]), Dims::new(&[values.len()]));
            return Err(Error::Shape { what: "values", expected, got });
        }
        check_each("values", &values, "finite", |x: f64| x.is_finite())?;
        let mut last = f64::MIN;
        check_each("knots", &knots, "finite and ascending", |x: f64| {
            let fits = x >= last && x.is_finite();
            last = x;
            fits
        })?;
        Ok(Self { knots, values })
    }

    /// The value at `x`; NaN at NaN.
    #[must_use]
    pub fn at(&self, x: f64) -> f64 {
        if x.is_nan() {
            return x;
        }
        // knots up to and including x
        let after = self.knots.partition_point(|&knot| knot <= x);
        let last = self.knots.len() - 1;
        if after == 0 || after > last {
            return self.values[if after == 0 { 0 } else { last }];
        }
        let (from, to) = (self.knots[after - 1], self.knots[after]);
        let (low, high) = (self.values[after - 1], self.values[after]);
        // halves, so that a difference of two finite numbers stays finite
        let share = (0.5 * x - 0.5 * from) / (0.5 * to - 0.5 * from);
        if share <= 0.0 { low } else { low * (1.0 - share) + high * share }
    }

    /// The knots, ascending.
    #[must_use]
    pub fn knots(&self) -> &[f64] {
        &self.knots
    }

    /// The values at the knots.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        &self.values
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn between_knots_it_is_straight_and_outside_constant() {
        let f = PiecewiseLinear::new(vec![0.0, 0.0, 0.0, 0.0, 2.0, 10.0], vec![0.0, 0.0, 0.5, 1.0, 3.0, 7.0]).unwrap();
        assert_eq!([0.0, 0.5, 1.0, 4.0, 10.0].map(|x| f.at(x)), [1.0, 1.5, 2.0, 4.0, 7.0]);
        assert_eq!([f64::NEG_INFINITY, -1e-9, f64::INFINITY].map(|x| f.at(x)), [0.0, 0.0, 7.0]);
        assert!(f.at(f64::NAN).is_nan());
        let wide = PiecewiseLinear::new(vec![f64::MIN, f64::MAX], vec![-1.0, 1.0]).unwrap();
        assert_eq!(wide.at(0.0), 0.0);
    }

    #[test]
    fn bad_knots_are_named() {
        assert_eq!(PiecewiseLinear::new(vec![], vec![]), Err(Error::Empty { what: "knots" }));
        assert!(matches!(PiecewiseLinear::new(vec![1.0], vec![]), Err(Error::Shape { what: "values", .. })));
        assert!(matches!(
            PiecewiseLinear::new(vec![1.0, 0.0], vec![0.0; 2]),
            Err(Error::OutOfRange { what: "knots", index: 1, .. })
        ));
        assert!(PiecewiseLinear::new(vec![f64::NAN], vec![0.0]).is_err());
        assert!(PiecewiseLinear::new(vec![0.0], vec![f64::NAN]).is_err());
    }
}
