//! Attention weights: fused over heads and layers, with the residual connection, normalised; and, as they are, an
//! attribution table.
//!
//! ```text
//! fused   A_ij = mean, max or min over h of A^h_ij, or one head
//! mixing  Ā = rownorm(mask(A) + I)          rownorm divides every row by its sum, mask keeps j <= i
//! ```
//!
//! Raw weights say where a head looks, not what it uses of what it sees; rollout, flow, value zeroing and ALTI go further.
//!
//! Source: the residual form is that of Abnar and Zuidema, "Quantifying Attention Flow in Transformers"
//! (arXiv 2005.00928).

use ndarray::{Array, Array2, Array3, ArrayRef, ArrayRef3, ArrayRef4, ArrayViewMut1, Axis, RemoveAxis};

use crate::error::{check_each, check_finite, check_not_empty, check_shape};
use crate::{Error, Result, Scalar};

/// How several attention matrices become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Fusion {
    /// Their mean.
    #[default]
    Mean,
    /// The largest weight.
    Max,
    /// The smallest weight.
    Min,
    /// The matrix with this index.
    One(usize),
}

impl Fusion {
    /// Fuses the heads of `attention: (l, h, q, s)`, where `q` positions attend to `s`. Returns `(l, q, s)`.
    ///
    /// # Errors
    /// [`Error::Empty`] without heads, [`Error::OutOfRange`] for a head that does not exist.
    ///
    /// # Example
    /// ```
    /// use limpid::attribution::circuits::Fusion;
    /// use ndarray::array;
    ///
    /// let heads = array![[[[1.0, 0.0], [0.5, 0.5]], [[1.0, 0.0], [0.0, 1.0]]]];
    /// assert_eq!(Fusion::Mean.heads(&heads)?, array![[[1.0, 0.0], [0.25, 0.75]]]);
    /// assert_eq!(Fusion::One(1).heads(&heads)?, array![[[1.0, 0.0], [0.0, 1.0]]]);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn heads<T: Scalar>(self, attention: &ArrayRef4<T>) -> Result<Array3<T>> {
        self.fuse("heads", attention, Axis(1))
    }

    /// Fuses the layers of `attention: (l, q, s)`; some of them are a slice of it. Returns `(q, s)`.
    ///
    /// # Errors
    /// [`Error::Empty`] without layers, [`Error::OutOfRange`] for a layer that does not exist.
    pub fn layers<T: Scalar>(self, attention: &ArrayRef3<T>) -> Result<Array2<T>> {
        self.fuse("layers", attention, Axis(0))
    }

    fn fuse<T: Scalar, D: RemoveAxis>(
        self,
        what: &'static str,
        x: &ArrayRef<T, D>,
        axis: Axis,
    ) -> Result<Array<T, D::Smaller>> {
        let count = x.len_of(axis);
        if count == 0 {
            return Err(Error::Empty { what });
        }
        if let Self::One(index) = self {
            check_each(what, &[index as f64], "an index that exists", |i: f64| i < count as f64)?;
            return Ok(x.index_axis(axis, index).to_owned());
        }
        let mut fused = x.index_axis(axis, 0).to_owned();
        for part in x.axis_iter(axis).skip(1) {
            fused.zip_mut_with(&part, |fused, &weight| match self {
                Self::Max => *fused = fused.max(weight),
                Self::Min => *fused = fused.min(weight),
                _ => *fused += weight,
            });
        }
        if self == Self::Mean {
            fused.mapv_inplace(|sum| sum / T::of(count as f64));
        }
        Ok(fused)
    }
}

/// How attention weights become the weights with which a layer mixes positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Mixing {
    /// Adds the identity, which stands for the residual connection.
    pub residual: bool,
    /// Drops what a position takes from later ones.
    pub causal: bool,
}

impl Default for Mixing {
    fn default() -> Self {
        Self { residual: true, causal: false }
    }
}

impl Mixing {
    /// Mixing matrices of every layer, `(l, t, t)`, from `attention: (l, t, t)`; every row sums to 1.
    ///
    /// # Errors
    /// [`Error::Shape`] unless matrices are square, [`Error::Empty`], [`Error::NotFinite`], [`Error::OutOfRange`] for
    /// negative weights and for a row without any weight, which nothing can normalise.
    pub fn matrices<T: Scalar>(self, attention: &ArrayRef3<T>) -> Result<Array3<T>> {
        check_square("attention", attention)?;
        check_weights(attention)?;
        let mut mixing = attention.to_owned();
        for mut layer in mixing.outer_iter_mut() {
            for (i, mut row) in layer.rows_mut().into_iter().enumerate() {
                let hidden = if self.causal { row.len() - i - 1 } else { 0 };
                row.iter_mut().rev().take(hidden).for_each(|weight| *weight = T::zero());
                if self.residual {
                    row[i] += T::one();
                }
            }
        }
        normalise_rows("attention", mixing.rows_mut().into_iter())?;
        Ok(mixing)
    }
}

/// Attention weights taken as an attribution: how much every position looked at every other one.
///
/// The row of the position that predicts a token explains that token. Baseline of the other methods, not advice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RawAttention {
    /// How heads are fused, first.
    pub heads: Fusion,
    /// How layers are fused, after the heads.
    pub layers: Fusion,
    /// Drops what a position takes from later ones; the last of `q` positions is the last of `s`.
    pub causal: bool,
    /// Divides every row by its sum, which only a mean keeps at 1.
    pub normalise: bool,
}

impl Default for RawAttention {
    fn default() -> Self {
        Self { heads: Fusion::Mean, layers: Fusion::Mean, causal: false, normalise: true }
    }
}

impl RawAttention {
    /// Table `(q, s)` from `attention: (l, h, q, s)`, where `q` positions attend to `s`; the two may differ.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::NotFinite`], [`Error::OutOfRange`] for negative weights, for a head or layer that does not
    /// exist, and for a row without any weight where rows are to be normalised.
    ///
    /// # Example
    /// ```
    /// use limpid::attribution::circuits::{Fusion, RawAttention};
    /// use ndarray::array;
    ///
    /// let attention = array![[[[1.0, 0.0], [0.5, 0.5]], [[1.0, 0.0], [0.0, 1.0]]]];
    /// let largest = RawAttention { heads: Fusion::Max, ..RawAttention::default() };
    /// assert_eq!(largest.table(&attention)?.row(1), array![1.0 / 3.0, 2.0 / 3.0]);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn table<T: Scalar>(self, attention: &ArrayRef4<T>) -> Result<Array2<T>> {
        check_weights(attention)?;
        let mut table = self.layers.layers(&self.heads.heads(attention)?)?;
        let (queries, keys) = table.dim();
        if self.causal {
            for (i, mut row) in table.rows_mut().into_iter().enumerate() {
                // a cache makes keys outnumber queries; the last of both are the same position
                row.iter_mut().skip((keys + i + 1).saturating_sub(queries)).for_each(|weight| *weight = T::zero());
            }
        }
        if self.normalise {
            normalise_rows("attention", table.rows_mut().into_iter())?;
        }
        Ok(table)
    }
}

/// Checks that `(l, t, t)` holds square matrices.
pub(super) fn check_square<T>(what: &'static str, x: &ArrayRef3<T>) -> Result<()> {
    let (layers, tokens, _) = x.dim();
    check_not_empty(what, x)?;
    check_shape(what, x, &[layers, tokens, tokens])
}

fn check_weights<T: Scalar, D: ndarray::Dimension>(attention: &ArrayRef<T, D>) -> Result<()> {
    check_not_empty("attention", attention)?;
    check_finite("attention", attention)?;
    check_each("attention", attention, "weights >= 0", |weight| weight >= T::zero())
}

/// Sum of a row in double precision.
pub(super) fn row_sum<T: Scalar>(row: &ArrayViewMut1<'_, T>) -> f64 {
    row.iter().map(|x| x.as_f64()).sum()
}

/// Divides every row by its sum.
pub(super) fn normalise_rows<'a, T: Scalar>(
    what: &'static str,
    rows: impl Iterator<Item = ArrayViewMut1<'a, T>>,
) -> Result<()> {
    for (index, mut row) in rows.enumerate() {
        let sum = row_sum(&row);
        if !(sum > 0.0 && sum.is_finite()) {
            return Err(Error::OutOfRange { what, index, value: sum, expected: "rows with a positive, finite sum" });
        }
        row.mapv_inplace(|x| T::of(x.as_f64() / sum));
    }
    Ok(())
}

/// Divides every row by its sum; a row of zeros stays as it is.
pub(super) fn normalise_rows_with_zeros<'a, T: Scalar>(rows: impl Iterator<Item = ArrayViewMut1<'a, T>>) {
    for mut row in rows {
        let sum = row_sum(&row);
        if sum > 0.0 {
            row.mapv_inplace(|x| T::of(x.as_f64() / sum));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array4, array};

    fn two_heads() -> Array4<f64> {
        array![[[[1.0, 0.0], [0.5, 0.5]], [[0.25, 0.75], [0.0, 1.0]]]]
    }

    #[test]
    fn heads_fuse_entry_by_entry() {
        assert_eq!(Fusion::Mean.heads(&two_heads()).unwrap(), array![[[0.625, 0.375], [0.25, 0.75]]]);
        assert_eq!(Fusion::Max.heads(&two_heads()).unwrap(), array![[[1.0, 0.75], [0.5, 1.0]]]);
        assert_eq!(Fusion::Min.heads(&two_heads()).unwrap(), array![[[0.25, 0.0], [0.0, 0.5]]]);
        assert_eq!(Fusion::One(0).heads(&two_heads()).unwrap(), array![[[1.0, 0.0], [0.5, 0.5]]]);
        let error = Fusion::One(2).heads(&two_heads()).unwrap_err();
        assert!(matches!(error, Error::OutOfRange { what: "heads", value: 2.0, .. }));
        let error = Fusion::Mean.heads(&Array4::<f64>::zeros((1, 0, 2, 2))).unwrap_err();
        assert_eq!(error, Error::Empty { what: "heads" });
    }

    #[test]
    fn mixing_adds_the_residual_before_it_normalises() {
        let attention = array![[[0.5, 0.5], [0.25, 0.75]]];
        let mixing = |residual, causal| Mixing { residual, causal }.matrices(&attention).unwrap();
        assert_eq!(mixing(true, false), array![[[0.75, 0.25], [0.125, 0.875]]]);
        assert_eq!(mixing(true, true), array![[[1.0, 0.0], [0.125, 0.875]]]);
        assert_eq!(mixing(false, false), attention);
    }

    #[test]
    fn bad_weights_are_named() {
        let with = |weight: f64| array![[[1.0, 0.0], [weight, 0.0]]];
        let error = Mixing::default().matrices(&with(f64::NAN)).unwrap_err();
        assert_eq!(error, Error::NotFinite { what: "attention", index: 2 });
        let error = Mixing::default().matrices(&with(-0.5)).unwrap_err();
        assert!(matches!(error, Error::OutOfRange { index: 2, .. }));
        let plain = Mixing { residual: false, causal: false };
        assert!(matches!(plain.matrices(&with(0.0)).unwrap_err(), Error::OutOfRange { index: 1, value: 0.0, .. }));
        assert!(matches!(plain.matrices(&Array3::<f32>::zeros((1, 2, 3))).unwrap_err(), Error::Shape { .. }));
        assert!(matches!(plain.matrices(&Array3::<f32>::zeros((1, 0, 0))).unwrap_err(), Error::Empty { .. }));
    }

    #[test]
    fn a_table_of_a_cached_step_ends_at_its_own_position() {
        let attention = Array4::from_elem((2, 1, 2, 4), 0.25_f32);
        let causal = RawAttention { causal: true, ..RawAttention::default() };
        let third = 1.0 / 3.0;
        assert_eq!(causal.table(&attention).unwrap(), array![[third, third, third, 0.0], [0.25, 0.25, 0.25, 0.25]]);
        let raw = RawAttention { normalise: false, ..causal };
        assert_eq!(raw.table(&attention).unwrap().row(0), array![0.25, 0.25, 0.25, 0.0]);
    }
}
