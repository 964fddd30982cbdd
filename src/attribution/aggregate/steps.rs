//! Steps of a generation, weighted by a score of the step, such as the probability of the generated token.
//!
//! ```text
//! y_si = w_s x_si
//! ```

use ndarray::{Array2, ArrayRef1, ArrayRef2, Axis};

use crate::error::{check_finite, check_shape};
use crate::{Result, Scalar};

/// Each row of `x: (b, n)` times its weight of `weights: (b)`.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) unless there is a weight for every row, [`Error::NotFinite`](crate::Error::NotFinite),
/// also where a product leaves the range of `T`.
///
/// # Example
/// ```
/// use limpid::attribution::aggregate::weigh_steps;
/// use ndarray::array;
///
/// let x = array![[1.0, 2.0], [3.0, 4.0]];
/// assert_eq!(weigh_steps(&x, &array![0.5, 1.0])?, array![[0.5, 1.0], [3.0, 4.0]]);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn weigh_steps<T: Scalar>(x: &ArrayRef2<T>, weights: &ArrayRef1<T>) -> Result<Array2<T>> {
    check_shape("weights", weights, &[x.nrows()])?;
    check_finite("x", x)?;
    check_finite("weights", weights)?;
    let weighted = &x.view() * &weights.view().insert_axis(Axis(1));
    check_finite("weighted", &weighted)?;
    Ok(weighted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use ndarray::array;

    #[test]
    fn every_row_needs_a_weight() {
        let x = array![[1.0_f32, 2.0], [3.0, 4.0]];
        assert!(matches!(weigh_steps(&x, &array![1.0]), Err(Error::Shape { what: "weights", .. })));
        assert!(matches!(weigh_steps(&x, &array![1.0, f32::NAN]), Err(Error::NotFinite { what: "weights", index: 1 })));
    }
}
