//! What differs between two attributions of the same features: two outputs, two models, two methods.
//!
//! ```text
//! d = a - b
//! ```
//!
//! Give both the same scale first ([`shares`](super::shares)) where their strengths are not comparable.

use ndarray::{Array2, ArrayRef2};

use crate::error::{check_finite, check_shape};
use crate::{Result, Scalar};

/// `a - b` of `a, b: (b, n)`.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) if the shapes differ, [`Error::NotFinite`](crate::Error::NotFinite).
///
/// # Example
/// ```
/// use limpid::attribution::aggregate::difference;
/// use ndarray::array;
///
/// assert_eq!(difference(&array![[0.5, 0.25]], &array![[0.25, 0.5]])?, array![[0.25, -0.25]]);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn difference<T: Scalar>(a: &ArrayRef2<T>, b: &ArrayRef2<T>) -> Result<Array2<T>> {
    check_shape("b", b, a.shape())?;
    check_finite("a", a)?;
    check_finite("b", b)?;
    let difference = a - b;
    check_finite("difference", &difference)?;
    Ok(difference)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use ndarray::array;

    #[test]
    fn nothing_differs_from_itself() {
        let a = array![[0.1_f32, -3.0], [2.0, 0.0]];
        assert_eq!(difference(&a, &a), Ok(Array2::zeros((2, 2))));
    }

    #[test]
    fn other_features_are_refused() {
        assert!(matches!(difference(&array![[1.0]], &array![[1.0, 2.0]]), Err(Error::Shape { what: "b", .. })));
        let huge = array![[f64::MAX]];
        assert!(matches!(difference(&huge, &-&huge), Err(Error::NotFinite { what: "difference", .. })));
    }
}
