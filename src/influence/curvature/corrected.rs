//! Corrected eigenvalues: the true second moments of the gradients along the axes of the eigenbasis.
//!
//! ```text
//! Λ_ij = Σ_e w_e (G~_e)_ij² / Σ_e w_e        G~ = Q_Sᵀ G Q_A = Σ_t (Q_Sᵀ g_t)(Q_Aᵀ ã_t)ᵀ
//! ```
//!
//! Of all curvatures that are diagonal in this basis it is the closest to the Fisher matrix in the Frobenius norm, so never
//! worse than K-FAC. Rows are rotated before their product where that costs less, which it does for fewer rows than
//! columns; an example of one row needs no gradient at all, since then `Λ = (g~ ∘ g~)ᵀ (a~ ∘ a~)`.
//!
//! Source: George et al., "Fast approximate natural gradient descent in a Kronecker-factored eigenbasis" (2018),
//! section 3, <https://arxiv.org/abs/1806.03884>.

use alloc::vec::Vec;

use ndarray::{Array2, Axis, Slice};

use super::basis::EigenBasis;
use super::covariance::too_large;
use super::factor::Rotation;
use super::sealed::{self, Counts, Kind, read_numbers, write_numbers};
use super::spec::LayerSpec;
use crate::influence::LayerRows;
use crate::influence::rows::Block;
use crate::math::gemm::{add_product_into, product};
use crate::math::merge::{Bytes, Merge, Reader};
use crate::math::par;
use crate::{Error, Result, Scalar};

/// Rows of `Λ` that are worked on at once.
const STRIPE: usize = 64;

/// Sums of squared gradients in an eigenbasis.
#[derive(Debug, Clone, PartialEq)]
pub struct EigenvalueAccumulator {
    spec: LayerSpec,
    /// Which basis the squares belong to.
    basis: u64,
    counts: Counts,
    sum: Array2<f64>,
}

impl EigenvalueAccumulator {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(basis: &EigenBasis) -> Self {
        let spec = *basis.spec();
        let sum = Array2::zeros((spec.d_out, spec.d_in));
        Self { spec, basis: basis.fingerprint(), counts: Counts::default(), sum }
    }

    /// Takes up rows. Two calls give the same floats as merging two accumulators of one call each.
    ///
    /// # Errors
    /// [`Error::Shape`] and [`Error::Unsupported`] for rows of another layer or another basis, [`Error::OutOfRange`] where
    /// a sum is beyond double precision; nothing is changed then.
    ///
    /// # Example
    /// ```
    /// use limpid::influence::{EigenBasis, EigenvalueAccumulator, Examples, LayerRows, LayerSpec};
    /// use ndarray::array;
    ///
    /// // in the coordinate axes: the diagonal of the Fisher matrix
    /// let (a, g) = (array![[1.0, 2.0], [0.0, 1.0]], array![[1.0], [3.0]]);
    /// let rows = LayerRows::new(&a, &g, Examples::EachRow)?;
    /// let basis = EigenBasis::identity(LayerSpec::of(0, &rows));
    /// let mut diagonal = EigenvalueAccumulator::new(&basis);
    /// diagonal.update(&basis, &rows)?;
    /// assert_eq!(diagonal.eigenvalues()?, array![[0.5, 6.5]]);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn update<T: Scalar>(&mut self, basis: &EigenBasis, rows: &LayerRows<'_, T>) -> Result<()> {
        self.check_basis(basis.fingerprint())?;
        self.spec.check_rows(rows)?;
        let weights = rows.example_weights();
        let counts = Counts {
            rows: rows.n_live() as u64,
            row_weight: rows.n_live() as f64,
            examples: rows.n_examples() as u64,
            example_weight: weights.iter().sum(),
        };
        let turn = (basis.gradient().cast::<f64>(), basis.activation().cast::<f64>());
        let mut sum = Array2::zeros(self.sum.raw_dim());
        for block in rows.blocks::<f64>() {
            let weights = &weights[block.first..block.first + block.n_examples()];
            add_squares(block, weights, &turn, basis, &mut sum)?;
        }
        if sum.iter().any(|x| !f64::is_finite(*x)) {
            return Err(too_large());
        }
        self.counts = self.counts.plus(counts)?;
        self.sum += &sum;
        Ok(())
    }

    /// `Λ: (d_out, d)`; rows follow the eigenvalues of `S`, columns those of `A`.
    ///
    /// # Errors
    /// [`Error::Empty`] before the first example of a weight above 0.
    pub fn eigenvalues(&self) -> Result<Array2<f64>> {
        if self.counts.example_weight <= 0.0 {
            return Err(Error::Empty { what: "examples of the curvature" });
        }
        Ok(self.sum.mapv(|x| x / self.counts.example_weight))
    }

    /// Examples.
    #[must_use]
    pub fn examples(&self) -> u64 {
        self.counts.examples
    }

    /// The layer and its kind of gradients.
    #[must_use]
    pub fn spec(&self) -> &LayerSpec {
        &self.spec
    }

    /// Live rows by example; `None` without examples.
    #[must_use]
    pub fn rows_per_example(&self) -> Option<f64> {
        (self.counts.examples > 0).then(|| self.counts.rows as f64 / self.counts.examples as f64)
    }

    /// Checks that this belongs to a basis.
    pub(super) fn check_basis(&self, basis: u64) -> Result<()> {
        if self.basis == basis {
            return Ok(());
        }
        Err(Error::Unsupported { what: "eigenvalues of one basis together with another basis" })
    }
}

impl Merge for EigenvalueAccumulator {
    fn merge(&mut self, other: &Self) -> Result<()> {
        self.spec.check_same(&other.spec)?;
        self.check_basis(other.basis)?;
        self.counts = self.counts.plus(other.counts)?;
        self.sum += &other.sum;
        Ok(())
    }
}

impl Bytes for EigenvalueAccumulator {
    fn write(&self, out: &mut Vec<u8>) {
        sealed::write(Kind::Eigenvalues, out, |out| {
            self.spec.write(out);
            out.extend(self.basis.to_le_bytes());
            self.counts.write(out);
            write_numbers(self.sum.as_slice().unwrap_or_default(), out);
        });
    }

    fn read(input: &mut Reader<'_>) -> Result<Self> {
        sealed::read(Kind::Eigenvalues, input, |input| {
            let spec = LayerSpec::read(input)?;
            let basis = input.u64("a basis")?;
            let counts = Counts::read(input)?;
            let error = input.error("sums of squares");
            let sum = read_numbers(input, spec.d_out.checked_mul(spec.d_in))?;
            if sum.iter().any(|x| *x < 0.0) {
                return Err(error);
            }
            let sum = Array2::from_shape_vec((spec.d_out, spec.d_in), sum).map_err(|_| error)?;
            Ok(Self { spec, basis, counts, sum })
        })
    }
}

/// Rotations into the bases of `S` and `A`.
type Turn = (Rotation<f64>, Rotation<f64>);

/// Adds `Σ_e w_e G~_e²` of a block of examples.
fn add_squares(
    block: Block<f64>,
    weights: &[f64],
    turn: &Turn,
    basis: &EigenBasis,
    sum: &mut Array2<f64>,
) -> Result<()> {
    if !rotate_first(&block, basis) {
        for (example, &weight) in weights.iter().enumerate() {
            let rotated = turn.0.forward_columns(&turn.1.forward(block.gradient(example)?)?)?;
            sum.zip_mut_with(&rotated, |sum, g| *sum += weight * g * g);
        }
        return Ok(());
    }
    let each = block.one_row_each();
    let (g, a) = (turn.0.forward(block.g)?, turn.1.forward(block.a)?);
    if each {
        let mut squares = g.mapv(|g| g * g);
        squares.rows_mut().into_iter().zip(weights).for_each(|(mut row, w)| row.mapv_inplace(|g| g * w));
        return add_product_into(&squares.t(), &a.mapv(|a| a * a), sum);
    }
    let width = sum.ncols();
    let Some(sum) = sum.as_slice_mut() else { return Ok(()) };
    par::for_each_chunk_mut(sum, STRIPE * width, |stripe, sum| {
        let lines = Slice::from(stripe * STRIPE..stripe * STRIPE + sum.len() / width);
        let lines = g.slice_axis(Axis(1), lines);
        for (example, &weight) in weights.iter().enumerate() {
            let rows = Slice::from(block.starts[example]..block.starts[example + 1]);
            // the inner sizes are equal: both are the rows of the example
            let part = product(&lines.slice_axis(Axis(0), rows).t(), &a.slice_axis(Axis(0), rows)).unwrap_or_default();
            sum.iter_mut().zip(&part).for_each(|(sum, g)| *sum += weight * g * g);
        }
    });
    Ok(())
}

/// Whether rotating the rows costs less than rotating the gradients.
fn rotate_first(block: &Block<f64>, basis: &EigenBasis) -> bool {
    let (spec, rows) = (basis.spec(), block.rows.len() as f64);
    let by_row = basis.activation().rotation_cost() + basis.gradient().rotation_cost();
    let by_gradient =
        spec.d_out as f64 * basis.activation().rotation_cost() + spec.d_in as f64 * basis.gradient().rotation_cost();
    block.one_row_each() || rows * by_row <= block.n_examples() as f64 * by_gradient
}
