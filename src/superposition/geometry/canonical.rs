//! Canonical orientation: solutions that differ by a rotation or reflection of the hidden space, made comparable.
//!
//! ```text
//! canonical_2d   rotate W_0 onto the positive first axis, then flip so that W_1 has a second coordinate >= 0
//! align          R = argmin over orthogonal R of ‖R W - target‖_F,  from W targetᵀ by polar iteration
//! ```
//!
//! Source: P. H. Schönemann, "A generalized solution of the orthogonal Procrustes problem" (1966); the polar factor by
//! Newton's iteration of Higham (1986).

use ndarray::{Array2, ArrayRef2};

use super::check_weight;
use crate::error::check_shape;
use crate::math::gemm::product;
use crate::{Error, Result, Scalar};

/// `w: (2, n)` turned so that the first feature with a norm above 1e-6 is on the positive first axis, and flipped so that
/// the first feature off that axis is above it.
///
/// # Errors
/// [`Error::Empty`], [`Error::NotFinite`], [`Error::Shape`] where there are not two hidden dimensions.
///
/// # Example
/// ```
/// use limpid::superposition::geometry::canonical_2d;
/// use ndarray::array;
///
/// assert_eq!(canonical_2d(&array![[0.0, 1.0], [2.0, 0.0]])?, array![[2.0, 0.0], [0.0, 1.0]]);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn canonical_2d<T: Scalar>(w: &ArrayRef2<T>) -> Result<Array2<T>> {
    check_weight(w)?;
    check_shape("w", w, &[2, w.ncols()])?;
    let tiny = T::of(1e-6);
    let Some((x, y)) = w.columns().into_iter().map(|c| (c[0], c[1])).find(|(x, y)| x.hypot(*y) > tiny) else {
        return Ok(w.to_owned());
    };
    let (cos, sin) = (x / x.hypot(y), y / x.hypot(y));
    let mut turned = Array2::zeros(w.raw_dim());
    for (i, column) in w.columns().into_iter().enumerate() {
        turned[[0, i]] = cos * column[0] + sin * column[1];
        turned[[1, i]] = cos * column[1] - sin * column[0];
    }
    if turned.row(1).iter().find(|y| y.abs() > tiny).is_some_and(|y| *y < T::zero()) {
        turned.row_mut(1).mapv_inplace(|y| -y);
    }
    // negative zeros would print as such
    turned.mapv_inplace(|x| x + T::zero());
    Ok(turned)
}

/// `w: (m, n)` rotated and reflected to lie as close as possible to `target: (m, n)`.
///
/// # Errors
/// [`Error::Empty`], [`Error::NotFinite`], [`Error::Shape`]; [`Error::Singular`] where `w targetᵀ` has no inverse, so that
/// the best rotation is not unique.
pub fn align<T: Scalar>(w: &ArrayRef2<T>, target: &ArrayRef2<T>) -> Result<Array2<T>> {
    check_weight(w)?;
    check_weight(target)?;
    check_shape("target", target, w.shape())?;
    let rotation = polar_factor(&product(target, &w.t())?.mapv(|x| x.as_f64()))?;
    product(&rotation.mapv(T::of), w)
}

/// Orthogonal factor of a square matrix, by the scaled Newton iteration `X ← (γ X + X⁻ᵀ/γ)/2`.
fn polar_factor(matrix: &Array2<f64>) -> Result<Array2<f64>> {
    let mut x = matrix.clone();
    for _ in 0..100 {
        let inverse = inverse(&x)?.reversed_axes();
        let size = |a: &Array2<f64>| libm::sqrt(a.iter().map(|v| v * v).sum::<f64>());
        let gamma = libm::sqrt(size(&inverse) / size(&x));
        let next = (&x * gamma + &inverse / gamma) * 0.5;
        let change = size(&(&next - &x));
        x = next;
        if change <= 1e-14 * size(&x) {
            return Ok(x);
        }
    }
    Err(Error::NoConvergence { iterations: 100, residual: f64::NAN })
}

/// Inverse by Gauss-Jordan elimination with row pivoting.
fn inverse(matrix: &Array2<f64>) -> Result<Array2<f64>> {
    let m = matrix.nrows();
    let (mut a, mut b) = (matrix.clone(), Array2::<f64>::eye(m));
    let scale = a.iter().fold(0.0_f64, |largest, x| largest.max(x.abs()));
    for k in 0..m {
        let pivot = (k..m).fold(k, |best, r| if a[[r, k]].abs() > a[[best, k]].abs() { r } else { best });
        if a[[pivot, k]].abs() <= scale * 1e-14 || a[[pivot, k]].is_nan() {
            return Err(Error::Singular { what: "w targetᵀ" });
        }
        for c in 0..m {
            a.swap([k, c], [pivot, c]);
            b.swap([k, c], [pivot, c]);
        }
        let head = a[[k, k]];
        for r in (0..m).filter(|&r| r != k) {
            let factor = a[[r, k]] / head;
            for c in 0..m {
                a[[r, c]] -= factor * a[[k, c]];
                b[[r, c]] -= factor * b[[k, c]];
            }
        }
    }
    for (k, mut row) in b.rows_mut().into_iter().enumerate() {
        row /= a[[k, k]];
    }
    Ok(b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::superposition::geometry::polytope::{polygon, simplex};
    use approx::assert_relative_eq;
    use ndarray::array;

    #[test]
    fn a_turned_polygon_comes_back() {
        let turn = array![[0.6, -0.8], [0.8, 0.6]];
        let w = polygon::<f64>(5);
        assert_relative_eq!(canonical_2d(&turn.dot(&w)).unwrap(), w, epsilon = 1e-12);
        assert_relative_eq!(align(&turn.dot(&w), &w).unwrap(), w, epsilon = 1e-12);
    }

    #[test]
    fn alignment_also_reflects() {
        let w = simplex::<f64>(3);
        let mirror = array![[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]].dot(&array![
            [-1.0, 0.0, 0.0],
            [0.0, 1.0, 0.0],
            [0.0, 0.0, 1.0]
        ]);
        assert_relative_eq!(align(&mirror.dot(&w), &w).unwrap(), w, epsilon = 1e-12);
    }

    #[test]
    fn a_rank_that_is_too_low_is_an_error() {
        let flat = array![[1.0, 2.0], [0.0, 0.0]];
        assert_eq!(align(&flat, &flat), Err(Error::Singular { what: "w targetᵀ" }));
        assert_eq!(canonical_2d(&array![[0.0], [0.0]]).unwrap(), array![[0.0], [0.0]]);
    }
}
