//! A function of a curvature, applied to gradients.
//!
//! ```text
//! φ(C) V = Q_S [ (Q_Sᵀ V Q_A) ∘ φ ] Q_Aᵀ            quadratic form:  Σ_ij φ_ij (G~_ij)²,  without the way back
//! ```

use alloc::vec::Vec;

use ndarray::{Array1, Array2, ArrayRef2, Axis, Slice};

use super::basis::EigenBasis;
use super::factor::Rotation;
use crate::error::{check_finite, check_length, check_shape};
use crate::influence::LayerRows;
use crate::influence::rows::Block;
use crate::math::gemm::product;
use crate::math::reduce::dot;
use crate::{Result, Scalar};

/// A function `φ` of the curvature of one layer.
#[derive(Debug, Clone)]
pub struct Preconditioner<'a> {
    basis: &'a EigenBasis,
    filter: Array2<f64>,
    damping: Option<f64>,
    turn: (Rotation<f64>, Rotation<f64>),
}

impl<'a> Preconditioner<'a> {
    pub(super) fn new(basis: &'a EigenBasis, filter: Array2<f64>, damping: Option<f64>) -> Self {
        Self { basis, filter, damping, turn: (basis.gradient().cast(), basis.activation().cast()) }
    }

    /// `φ(C) V` of `v: (d_out, d)`.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape), [`Error::NotFinite`](crate::Error::NotFinite).
    pub fn apply(&self, v: &ArrayRef2<f64>) -> Result<Array2<f64>> {
        self.back(self.filtered(v)?)
    }

    /// `G~ ∘ φ` of `v: (d_out, d)`, in the eigenbasis.
    pub(crate) fn filtered(&self, v: &ArrayRef2<f64>) -> Result<Array2<f64>> {
        check_shape("v", v, &[self.filter.nrows(), self.filter.ncols()])?;
        check_finite("v", v)?;
        Ok(self.turn.0.forward_columns(&self.turn.1.forward(v.to_owned())?)? * &self.filter)
    }

    /// From the eigenbasis back to coordinates.
    pub(crate) fn back(&self, v: Array2<f64>) -> Result<Array2<f64>> {
        self.turn.0.back_columns(&self.turn.1.back(v)?)
    }

    /// `⟨G_e, φ(C) G_e⟩` of every example, `(n_examples)`: self-influence where `φ` is an inverse.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for rows of another layer.
    pub fn quad<T: Scalar>(&self, rows: &LayerRows<'_, T>) -> Result<Array1<f64>> {
        self.basis.spec().check_rows(rows)?;
        let mut out = Vec::with_capacity(rows.n_examples());
        for block in rows.blocks::<f64>() {
            let block = self.rotated(block)?;
            self.forms(&block, &block, &mut out)?;
        }
        Ok(Array1::from(out))
    }

    /// `⟨φ(C) M_e, G_e⟩` of every example, where `M_e` are gradients of another measurement by the same examples.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for rows of another layer or another number of examples.
    pub fn quad_with<T: Scalar>(&self, measurement: &LayerRows<'_, T>, rows: &LayerRows<'_, T>) -> Result<Array1<f64>> {
        self.basis.spec().check_rows(rows)?;
        self.basis.spec().check_rows(measurement)?;
        check_length("examples of the measurement", measurement.n_examples(), rows.n_examples())?;
        let mut out = Vec::with_capacity(rows.n_examples());
        for examples in rows.cuts() {
            let measured = self.rotated(measurement.block(examples.clone()))?;
            self.forms(&measured, &self.rotated(rows.block(examples))?, &mut out)?;
        }
        Ok(Array1::from(out))
    }

    /// The function that does what this one does twice: `φ²`.
    #[must_use]
    pub fn squared(&self) -> Self {
        Self { filter: self.filter.mapv(|x| x * x), ..self.clone() }
    }

    /// The number that was added to every eigenvalue; `None` where there is none, or not one for all.
    #[must_use]
    pub fn damping(&self) -> Option<f64> {
        self.damping
    }

    /// `φ` of every eigenvalue, `(d_out, d)`.
    #[must_use]
    pub fn filter(&self) -> &Array2<f64> {
        &self.filter
    }

    /// `u` and `v` with `φ_ij = u_i v_j` to the last bits, where there are such: factored damping, or none.
    pub(crate) fn separate(&self) -> Option<[Array1<f64>; 2]> {
        let filter = &self.filter;
        let larger = |m: (usize, usize), at: (usize, usize)| if filter[at].abs() > filter[m].abs() { at } else { m };
        let pivot = filter.indexed_iter().map(|(at, _)| at).reduce(larger)?;
        let u = filter.column(pivot.1).to_owned();
        let v = filter.row(pivot.0).mapv(|x| if x == 0.0 { 0.0 } else { x / filter[pivot] });
        let close = |((i, j), &x): ((usize, usize), &f64)| (x - u[i] * v[j]).abs() <= 8.0 * f64::EPSILON * x.abs();
        filter.indexed_iter().all(close).then_some([u, v])
    }

    /// The basis of the curvature.
    #[must_use]
    pub fn basis(&self) -> &'a EigenBasis {
        self.basis
    }

    /// The rows of a block in the eigenbasis.
    fn rotated(&self, block: Block<f64>) -> Result<Block<f64>> {
        Ok(Block { g: self.turn.0.forward(block.g)?, a: self.turn.1.forward(block.a)?, ..block })
    }

    /// `Σ_ij φ_ij (L_e)_ij (R_e)_ij` of rotated blocks with the same examples.
    fn forms(&self, left: &Block<f64>, right: &Block<f64>, out: &mut Vec<f64>) -> Result<()> {
        if left.one_row_each() && right.one_row_each() {
            let through = product(&(&left.g * &right.g), &self.filter)?;
            let inputs = &left.a * &right.a;
            for (x, y) in through.rows().into_iter().zip(inputs.rows()) {
                out.push(dot(&x, &y)?);
            }
            return Ok(());
        }
        for example in 0..left.n_examples() {
            let mut filtered = left.gradient(example)?;
            filtered *= &self.filter;
            let rows = Slice::from(right.rows_of(example));
            let through = product(&right.g.slice_axis(Axis(0), rows), &filtered)?;
            out.push((&through * &right.a.slice_axis(Axis(0), rows)).sum());
        }
        Ok(())
    }
}
