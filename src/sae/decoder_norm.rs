//! Unit-norm dictionary vectors: gradients along the sphere and renormalisation.
//!
//! ```text
//! ŵ_i = w_i/(‖w_i‖ + ε)        g_i ← g_i - (g_i · ŵ_i) ŵ_i        w_i ← w_i/(‖w_i‖ + ε)
//! ```
//!
//! Without it the sparsity penalty is escaped by small features and large dictionary vectors. Both halves are needed: a unit
//! vector plus a step along the sphere leaves the sphere. Here `ε` is 0; peers that add one can be reproduced.
//!
//! Source: Bricken et al. (2023), appendix on training.

use ndarray::{Array2, ArrayRef2};

use crate::error::check_shape;
use crate::math::reduce::norm;
use crate::{Result, Scalar};

/// Removes from each row of `gradient: (m, d)` what points along the same row of `w_dec: (m, d)`; zero rows are kept.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape).
pub fn project_gradient<T: Scalar>(w_dec: &ArrayRef2<T>, gradient: &mut Array2<T>) -> Result<()> {
    project_gradient_with(w_dec, gradient, T::zero())
}

/// As [`project_gradient`], with `epsilon` added to the norms.
///
/// # Errors
/// As [`project_gradient`].
pub fn project_gradient_with<T: Scalar>(w_dec: &ArrayRef2<T>, gradient: &mut Array2<T>, epsilon: T) -> Result<()> {
    check_shape("gradient", gradient, w_dec.shape())?;
    for (w, mut g) in w_dec.rows().into_iter().zip(gradient.rows_mut()) {
        let length = norm(&w) + epsilon;
        if length > T::zero() {
            let along = g.iter().zip(w).map(|(&g, &w)| g * (w / length)).sum::<T>();
            g.zip_mut_with(&w, |g, &w| *g -= along * (w / length));
        }
    }
    Ok(())
}

/// Scales each row of `w_dec: (m, d)` to unit length; zero rows are kept.
pub fn normalise_rows<T: Scalar>(w_dec: &mut Array2<T>) {
    normalise_rows_with(w_dec, T::zero());
}

/// As [`normalise_rows`], with `epsilon` added to the norms.
pub fn normalise_rows_with<T: Scalar>(w_dec: &mut Array2<T>, epsilon: T) {
    for mut w in w_dec.rows_mut() {
        let length = norm(&w) + epsilon;
        if length > T::zero() && length.is_finite() {
            w.mapv_inplace(|x| x / length);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn only_the_tangent_remains() {
        let w = array![[2.0, 0.0], [0.0, 0.0]];
        let mut gradient = array![[3.0, 4.0], [5.0, 6.0]];
        project_gradient(&w, &mut gradient).unwrap();
        assert_eq!(gradient, array![[0.0, 4.0], [5.0, 6.0]]);
        let mut unit = array![[3.0, 4.0], [0.0, 0.0]];
        normalise_rows(&mut unit);
        assert!((&unit - &array![[0.6, 0.8], [0.0, 0.0]]).iter().all(|x: &f64| x.abs() < 1e-15));
        let mut huge = array![[3e30_f32, 4e30], [3e-30, 4e-30]];
        normalise_rows(&mut huge);
        assert!(huge.rows().into_iter().all(|w| (norm(&w) - 1.0).abs() < 1e-6));
    }
}
