//! From the residual stream to logits: the final norm and the unembedding.
//!
//! ```text
//! z = norm(h) W_U + b_U
//! z_a - z_c = s h · u + bias        u = pull-back of W_U[:, a] - W_U[:, c] through the norm with its scale s fixed
//!                                   bias = β · (W_U[:, a] - W_U[:, c]) + b_U[a] - b_U[c]
//! ```
//!
//! Source: Elhage et al., "A Mathematical Framework for Transformer Circuits" (2021), for logits as a sum over what the
//! components of the residual stream write.

use alloc::vec::Vec;
use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2, ArrayView1, ArrayView2};

use super::norm::ResidualNorm;
use crate::error::{check_each, check_finite, check_shape};
use crate::math::gemm::product;
use crate::{Dims, Error, Result, Scalar};

/// How the residual stream becomes logits.
#[derive(Debug, Clone)]
pub struct Readout<'a, T> {
    /// The norm before the unembedding.
    pub norm: ResidualNorm<T>,
    /// The unembedding `W_U: (d, c)`.
    pub unembed: ArrayView2<'a, T>,
    /// Its bias `b_U: (c)`; absent = 0.
    pub bias: Option<ArrayView1<'a, T>>,
}

/// What a logit, or the difference of two, reads from one position.
#[derive(Debug, Clone)]
pub(super) struct Direction<T> {
    /// `W_U[:, a] - W_U[:, c]`, `(d)`.
    pub(super) column: Array1<T>,
    /// The same, pulled back through the norm, `(d)`.
    pub(super) pulled: Array1<T>,
    /// What does not depend on the residual.
    pub(super) bias: T,
}

impl<T: Scalar> Readout<'_, T> {
    /// Logits `(t, c)` of `residual: (t, d)`.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::Empty`], [`Error::NotFinite`], and those of [`ResidualNorm::apply`].
    ///
    /// # Example
    /// ```
    /// use limpid::attribution::circuits::{ResidualNorm, Readout};
    /// use ndarray::array;
    ///
    /// let unembed = array![[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]];
    /// let readout = Readout { norm: ResidualNorm::default(), unembed: unembed.view(), bias: None };
    /// assert_eq!(readout.logits(&array![[2.0, 3.0]])?, array![[2.0, 3.0, 5.0]]);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn logits(&self, residual: &ArrayRef2<T>) -> Result<Array2<T>> {
        self.check(residual.ncols())?;
        let mut logits = product(&self.norm.apply(residual)?, &self.unembed)?;
        if let Some(bias) = &self.bias {
            logits += bias;
        }
        Ok(logits)
    }

    /// Checks that everything fits the width of the residual.
    pub(super) fn check(&self, width: usize) -> Result<()> {
        let classes = self.unembed.ncols();
        self.norm.check(width)?;
        check_shape("unembed", &self.unembed, &[width, classes])?;
        check_finite("unembed", &self.unembed)?;
        self.bias.as_ref().map_or(Ok(()), |bias| {
            check_shape("unembed_bias", bias, &[classes])?;
            check_finite("unembed_bias", bias)
        })
    }

    /// The directions of `positions` positions: one for all of them, or one for each.
    pub(super) fn directions(
        &self,
        target: &[usize],
        contrast: Option<&[usize]>,
        positions: usize,
    ) -> Result<Vec<Direction<T>>> {
        let given = [Some(("target", target)), contrast.map(|contrast| ("contrast", contrast))];
        for (what, indices) in given.into_iter().flatten() {
            self.check_indices(what, indices, positions)?;
        }
        let count =
            if target.len() == 1 && contrast.is_none_or(|contrast| contrast.len() == 1) { 1 } else { positions };
        let at = |indices: &[usize], position: usize| indices[if indices.len() == 1 { 0 } else { position }];
        let direction = |p: usize| self.direction(at(target, p), contrast.map(|contrast| at(contrast, p)));
        Ok((0..count).map(direction).collect())
    }

    fn check_indices(&self, what: &'static str, indices: &[usize], positions: usize) -> Result<()> {
        if indices.len() != 1 && indices.len() != positions {
            return Err(Error::Shape { what, expected: Dims::new(&[positions]), got: Dims::new(&[indices.len()]) });
        }
        let classes = self.unembed.ncols();
        let values: Vec<f64> = indices.iter().map(|&index| index as f64).collect();
        check_each(what, &values, "a column of the unembedding", |index| index < classes as f64)
    }

    fn direction(&self, target: usize, contrast: Option<usize>) -> Direction<T> {
        let mut column = self.unembed.column(target).to_owned();
        let mut bias = self.bias.as_ref().map_or(0.0, |bias| bias[target].as_f64());
        if let Some(contrast) = contrast {
            column -= &self.unembed.column(contrast);
            bias -= self.bias.as_ref().map_or(0.0, |bias| bias[contrast].as_f64());
        }
        bias += self.norm.beta.as_ref().map_or(0.0, |beta| exact_dot(beta, &column));
        Direction { pulled: self.norm.pull_back(&column), column, bias: T::of(bias) }
    }
}

/// Dot product in double precision.
pub(super) fn exact_dot<T: Scalar>(a: &ArrayRef1<T>, b: &ArrayRef1<T>) -> f64 {
    a.iter().zip(b).map(|(a, b)| a.as_f64() * b.as_f64()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn a_direction_is_a_difference_of_columns() {
        let (unembed, bias) = (array![[1.0, 0.0, 2.0], [0.0, 1.0, 4.0]], array![0.5, 0.0, 1.0]);
        let norm = ResidualNorm { beta: Some(array![1.0, -1.0]), ..ResidualNorm::default() };
        let readout = Readout { norm, unembed: unembed.view(), bias: Some(bias.view()) };
        let single = readout.directions(&[2], None, 4).unwrap();
        assert_eq!((single.len(), &single[0].column, single[0].bias), (1, &array![2.0, 4.0], -1.0));
        let each = readout.directions(&[2, 0], Some(&[1]), 2).unwrap();
        assert_eq!((&each[0].column, each[0].bias), (&array![2.0, 3.0], 0.0));
        assert_eq!((&each[1].column, each[1].bias), (&array![1.0, -1.0], 2.5));
    }

    #[test]
    fn bad_targets_and_shapes_are_named() {
        let unembed = array![[1.0_f32, 0.0], [0.0, 1.0]];
        let readout = Readout { norm: ResidualNorm::default(), unembed: unembed.view(), bias: None };
        let error = readout.directions(&[0, 2], None, 2).unwrap_err();
        assert!(matches!(error, Error::OutOfRange { what: "target", index: 1, .. }));
        let error = readout.directions(&[0], Some(&[0, 1, 1]), 2).unwrap_err();
        assert!(matches!(error, Error::Shape { what: "contrast", .. }));
        assert!(matches!(readout.directions(&[], None, 0), Ok(none) if none.is_empty()));
        assert!(matches!(readout.logits(&array![[1.0, 2.0, 3.0]]), Err(Error::Shape { what: "unembed", .. })));
    }
}
