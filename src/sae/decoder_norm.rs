//! Unit-norm dictionary vectors: gradients along the sphere and renormalisation.
//!
//! ```text
//! g_i ← g_i - (g_i · ŵ_i) ŵ_i        w_i ← w_i / ‖w_i‖
//! ```
//!
//! Without it the sparsity penalty is escaped by small features and large dictionary vectors.
//!
//! Source: Bricken et al. (2023), appendix on training.

use ndarray::{Array2, ArrayRef2};

use crate::Result;
use crate::Scalar;
use crate::error::check_shape;

/// Removes from each row of `gradient: (m, d)` what points along the same row of `w_dec: (m, d)`; zero rows are kept.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape).
pub fn project_gradient<T: Scalar>(w_dec: &ArrayRef2<T>, gradient: &mut Array2<T>) -> Result<()> {
    check_shape("gradient", gradient, w_dec.shape())?;
    for (w, mut g) in w_dec.rows().into_iter().zip(gradient.rows_mut()) {
        let square = w.dot(&w);
        if square > T::zero() {
            let along = g.dot(&w) / square;
            g.zip_mut_with(&w, |g, &w| *g -= along * w);
        }
    }
    Ok(())
}

/// Scales each row of `w_dec: (m, d)` to unit length; zero rows are kept.
pub fn normalise_rows<T: Scalar>(w_dec: &mut Array2<T>) {
    for mut w in w_dec.rows_mut() {
        let norm = w.dot(&w).sqrt();
        if norm > T::zero() {
            w.mapv_inplace(|x| x / norm);
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
        assert_eq!(unit, array![[0.6, 0.8], [0.0, 0.0]]);
    }
}
