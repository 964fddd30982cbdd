//! What each head writes into the residual stream: the output projection, head by head.
//!
//! ```text
//! out^h = z^h W_O^h        Σ_h out^h + b_O = output of the attention block
//! ```
//!
//! With `z` = the mixed values of the heads these are components for [`direct_logit`](super::direct_logit()); with `z` = the
//! value vectors before mixing they are the `values` of an [`AttentionBlock`](super::AttentionBlock).
//!
//! Source: Elhage et al., "A Mathematical Framework for Transformer Circuits" (2021).

use ndarray::{Array3, ArrayRef3, Axis};

use crate::error::{check_finite, check_not_empty, check_shape};
use crate::math::gemm::Workspace;
use crate::{Result, Scalar};

/// `(h, t, d)`: what each of `h` heads writes at every position, without the bias of the projection.
///
/// `z: (h, t, k)` are the outputs of the heads, `projection: (h, k, d)` is `W_O` cut by head.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape), [`Error::Empty`](crate::Error::Empty),
/// [`Error::NotFinite`](crate::Error::NotFinite).
///
/// # Example
/// ```
/// use limpid::attribution::circuits::project_heads;
/// use ndarray::array;
///
/// let (z, projection) = (array![[[1.0]], [[2.0]]], array![[[1.0, 1.0]], [[0.0, 3.0]]]);
/// assert_eq!(project_heads(&z, &projection)?, array![[[1.0, 1.0]], [[0.0, 6.0]]]);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn project_heads<T: Scalar>(z: &ArrayRef3<T>, projection: &ArrayRef3<T>) -> Result<Array3<T>> {
    let ((heads, tokens, inner), (_, _, width)) = (z.dim(), projection.dim());
    check_shape("projection", projection, &[heads, inner, width])?;
    check_not_empty("z", z)?;
    check_not_empty("projection", projection)?;
    check_finite("z", z)?;
    check_finite("projection", projection)?;
    let (mut out, mut workspace) = (Array3::zeros((heads, tokens, width)), Workspace::new());
    for (head, mut out) in out.outer_iter_mut().enumerate() {
        workspace.product_into(&z.index_axis(Axis(0), head), &projection.index_axis(Axis(0), head), &mut out)?;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    #[test]
    fn a_projection_of_another_head_size_is_named() {
        let (z, projection) = (Array3::<f64>::zeros((2, 3, 4)), Array3::zeros((2, 3, 5)));
        assert!(matches!(project_heads(&z, &projection), Err(Error::Shape { what: "projection", .. })));
        assert_eq!(project_heads(&z, &Array3::zeros((2, 4, 5))).unwrap().dim(), (2, 3, 5));
    }
}
