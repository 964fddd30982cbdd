//! Attention rollout: how much of every input token reaches every position, if information splits as attention does.
//!
//! ```text
//! R_0 = M_0        R_l = M_l R_{l-1}        M_l = rownorm(A_l + I)
//! ```
//!
//! Source: Abnar and Zuidema, "Quantifying Attention Flow in Transformers" (arXiv 2005.00928). The product of
//! any other mixing matrices is [`rollout`]: of value zeroing scores, or of ALTI contributions.

use ndarray::{Array3, ArrayRef3, Axis};

use super::attention::{Mixing, check_square};
use crate::error::check_finite;
use crate::math::gemm::Workspace;
use crate::{Result, Scalar};

/// Rollout of attention weights; see [`Fusion::heads`](super::Fusion::heads) for several heads.
///
/// `attention: (l, t, t)`, first layer first, row = the position that attends. Returns `(l, t, t)`: matrix `l` goes from
/// the output of layer `l` to the input tokens, and every row sums to 1.
///
/// # Errors
/// As [`Mixing::matrices`].
///
/// # Example
/// ```
/// use limpid::attribution::circuits::{Mixing, attention_rollout};
/// use ndarray::array;
///
/// let attention = array![[[0.5, 0.5], [0.25, 0.75]], [[1.0, 0.0], [0.5, 0.5]]];
/// let rollout = attention_rollout(&attention, Mixing::default())?;
/// assert_eq!(rollout.index_axis(ndarray::Axis(0), 1), array![[0.75, 0.25], [0.28125, 0.71875]]);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn attention_rollout<T: Scalar>(attention: &ArrayRef3<T>, mixing: Mixing) -> Result<Array3<T>> {
    rollout(&mixing.matrices(attention)?)
}

/// Products `M_l ... M_0` for every layer `l` of `mixing: (l, t, t)`, `(l, t, t)`.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) unless matrices are square, [`Error::Empty`](crate::Error::Empty),
/// [`Error::NotFinite`](crate::Error::NotFinite).
pub fn rollout<T: Scalar>(mixing: &ArrayRef3<T>) -> Result<Array3<T>> {
    check_square("mixing", mixing)?;
    check_finite("mixing", mixing)?;
    let (mut out, mut workspace) = (Array3::zeros(mixing.raw_dim()), Workspace::new());
    out.index_axis_mut(Axis(0), 0).assign(&mixing.index_axis(Axis(0), 0));
    for (layer, mixing) in mixing.outer_iter().enumerate().skip(1) {
        let (below, mut here) = out.view_mut().split_at(Axis(0), layer);
        let below = below.index_axis_move(Axis(0), layer - 1);
        workspace.product_into(&mixing, &below, &mut here.index_axis_mut(Axis(0), 0))?;
    }
    check_finite("rollout", &out)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use ndarray::array;

    #[test]
    fn two_layers_by_hand() {
        let attention = array![[[0.5, 0.5], [0.25, 0.75]], [[1.0, 0.0], [0.5, 0.5]]];
        let expected = array![[[0.75, 0.25], [0.125, 0.875]], [[0.75, 0.25], [0.28125, 0.71875]]];
        assert_eq!(attention_rollout(&attention, Mixing::default()).unwrap(), expected);
        let single = attention_rollout(&attention.mapv(<f32 as Scalar>::of), Mixing::default()).unwrap();
        assert_eq!(single.mapv(f64::from), expected);
    }

    #[test]
    fn later_layers_stand_on_the_left() {
        // layer 0 copies token 0 to position 1, layer 1 copies position 1 to position 0
        let mixing = array![[[1.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [0.0, 1.0]]];
        assert_eq!(rollout(&mixing).unwrap().index_axis(Axis(0), 1), array![[1.0, 0.0], [1.0, 0.0]]);
    }

    #[test]
    fn bad_matrices_are_named() {
        let error = rollout(&array![[[1.0, f64::INFINITY], [0.0, 1.0]]]).unwrap_err();
        assert_eq!(error, Error::NotFinite { what: "mixing", index: 1 });
        assert!(matches!(rollout(&Array3::<f64>::zeros((2, 2, 1))).unwrap_err(), Error::Shape { .. }));
        assert!(matches!(rollout(&Array3::<f64>::zeros((0, 2, 2))).unwrap_err(), Error::Empty { .. }));
    }
}
