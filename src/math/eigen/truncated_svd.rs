//! The best approximation of a matrix by one of low rank.
//!
//! ```text
//! V = Σ_k s_k u_k w_kᵀ       L = [u_k], R = [s_k w_k], k <= rank       ‖V - L Rᵀ‖_F² = Σ_{k > rank} s_k²
//! ```
//!
//! From the eigenvectors of the smaller of `V Vᵀ` and `Vᵀ V`. Singular values below `1e-8 s_1` are lost in the squares, and
//! are counted in the tail, which is measured from the difference itself.
//!
//! Source: Eckart and Young, "The approximation of one matrix by another of lower rank", Psychometrika 1 (1936).

use ndarray::{Array1, Array2, ArrayRef2, Axis, Slice};

use super::symmetric_eigen;
use crate::Result;
use crate::error::check_finite;
use crate::math::gemm::product;

/// `V ≈ L Rᵀ`.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TruncatedSvd {
    /// `(m, rank)`: orthonormal left vectors, or the left ones times singular values where `m > n`.
    pub left: Array2<f64>,
    /// `(n, rank)`: right vectors times singular values, or orthonormal ones where `m > n`.
    pub right: Array2<f64>,
    /// Singular values that were kept, descending.
    pub singular: Array1<f64>,
    /// `‖V - L Rᵀ‖_F`.
    pub tail: f64,
}

impl TruncatedSvd {
    /// The best approximation of `v: (m, n)` of rank `rank`; exact but for rounding where `rank >= min(m, n)`.
    ///
    /// # Errors
    /// [`Error::NotFinite`](crate::Error::NotFinite), and those of [`symmetric_eigen`].
    pub fn new(v: &ArrayRef2<f64>, rank: usize) -> Result<Self> {
        check_finite("v", v)?;
        if v.nrows() > v.ncols() {
            let turned = Self::new(&v.t(), rank)?;
            return Ok(Self { left: turned.right, right: turned.left, ..turned });
        }
        let scale = v.iter().fold(f64::MIN_POSITIVE, |m, x| m.max(x.abs()));
        let scaled = v.mapv(|x| x / scale);
        let eigen = symmetric_eigen(&product(&scaled, &scaled.t())?)?;
        let m = v.nrows();
        let kept = rank.min(m);
        let mut u = eigen.vectors.slice_axis(Axis(1), Slice::from(m - kept..)).to_owned();
        u.invert_axis(Axis(1));
        let u = u.as_standard_layout().into_owned();
        // Vᵀ u holds s_k w_k without the loss of the square
        let right = product(&v.t(), &u)?;
        let singular = right.columns().into_iter().map(|column| crate::math::reduce::norm(&column)).collect();
        let rest = product(&u, &right.t())? - v;
        let tail = if kept == m { 0.0 } else { crate::math::reduce::norm(&rest.flatten()) };
        Ok(Self { left: u, right, singular, tail })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn what_is_left_out_is_the_tail() {
        let v = Array2::from_shape_fn((4, 7), |(i, j)| libm::sin((3 * i + j * j) as f64));
        for turned in [false, true] {
            let v = if turned { v.t().to_owned() } else { v.clone() };
            let full = TruncatedSvd::new(&v, 9).unwrap();
            assert!((full.left.dot(&full.right.t()) - &v).iter().all(|x| x.abs() < 1e-13));
            for rank in 0..4 {
                let part = TruncatedSvd::new(&v, rank).unwrap();
                let rest: f64 = full.singular.iter().skip(rank).map(|s| s * s).sum();
                assert!((part.tail - libm::sqrt(rest)).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn zero_and_empty_matrices() {
        assert_eq!(TruncatedSvd::new(&Array2::zeros((2, 3)), 1).unwrap().singular, array![0.0]);
        assert_eq!(TruncatedSvd::new(&Array2::zeros((0, 3)), 1).unwrap().singular.len(), 0);
    }
}
