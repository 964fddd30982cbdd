//! The eigenvectors of one Kronecker factor, and how good they are.

use alloc::vec;
use alloc::vec::Vec;

use ndarray::{Array1, Array2, ArrayRef2, Axis, CowArray, Ix2, Slice, concatenate};

use super::covariance::assemble;
use super::sealed::{read_numbers, write_numbers};
use crate::error::check_length;
use crate::math::eigen::{EigenResidual, symmetric_eigen};
use crate::math::gemm::product;
use crate::math::merge::Reader;
use crate::{Error, Result, Scalar};

/// Eigenvalues closer than this share of the largest count as equal.
const DEGENERATE: f64 = 1e-10;

/// Eigenvalues below this share of the largest count as zero.
const NULL: f64 = 1e-12;

/// What to know about the eigenvalues of a factor before one trusts a curvature.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FactorHealth {
    /// The worst residuals of its blocks.
    pub residual: EigenResidual,
    /// Eigenvalues below 0 that were set to 0: noise of the sums.
    pub clamped: usize,
    /// The most negative of them, 0 without.
    pub most_negative: f64,
    /// Eigenvalues that are zero to working precision.
    pub null: usize,
    /// Eigenvalues above zero that equal another one of their block. EK-FAC then depends on which basis the solver chose.
    pub degenerate: usize,
    /// Largest by smallest eigenvalue; `None` where the smallest is 0.
    pub condition: Option<f64>,
    /// Sum by largest eigenvalue: how many directions carry the factor. `None` for the zero matrix.
    pub stable_rank: Option<f64>,
}

/// Eigenvectors and eigenvalues of `A` or `S`.
#[derive(Debug, Clone, PartialEq)]
pub struct FactorBasis {
    /// Size of the blocks but for the last; 1 stands for the identity.
    block: usize,
    vectors: Vec<Array2<f64>>,
    values: Array1<f64>,
    health: FactorHealth,
}

impl FactorBasis {
    /// The coordinate axes themselves.
    #[must_use]
    pub fn identity(size: usize) -> Self {
        let health = FactorHealth::default();
        let mut basis = Self { block: 1, vectors: Vec::new(), values: Array1::ones(size), health };
        basis.assess(&[]);
        basis
    }

    /// The eigenvectors of a factor that is given by the blocks along its diagonal.
    pub(super) fn of_blocks(block: usize, blocks: &[Array2<f64>]) -> Result<Self> {
        let mut basis = Self { block, vectors: Vec::new(), values: Array1::zeros(0), health: FactorHealth::default() };
        if block == 1 {
            basis.values = blocks.iter().map(|x| x[[0, 0]]).collect();
            basis.assess(&[]);
            return Ok(basis);
        }
        let (mut values, mut sizes) = (Vec::new(), Vec::new());
        for block in blocks {
            let eigen = symmetric_eigen(block)?;
            let found = eigen.residual(block)?;
            let worst = &mut basis.health.residual;
            worst.reconstruction = worst.reconstruction.max(found.reconstruction);
            worst.orthogonality = worst.orthogonality.max(found.orthogonality);
            values.extend(&eigen.values);
            sizes.push(eigen.values.len());
            basis.vectors.push(eigen.vectors);
        }
        basis.values = Array1::from(values);
        basis.assess(&sizes);
        Ok(basis)
    }

    /// Clamps the eigenvalues and describes them; `sizes` are those of the blocks.
    fn assess(&mut self, sizes: &[usize]) {
        let health = &mut self.health;
        health.clamped = self.values.iter().filter(|&&l| l < 0.0).count();
        health.most_negative = self.values.iter().fold(0.0_f64, |m, &l| m.min(l));
        self.values.mapv_inplace(|l| l.max(0.0));
        let largest = self.values.iter().fold(0.0_f64, |m, &l| m.max(l));
        let smallest = self.values.iter().fold(largest, |m, &l| m.min(l));
        health.null = self.values.iter().filter(|&&l| l <= NULL * largest).count();
        health.condition = (smallest > 0.0).then(|| largest / smallest);
        health.stable_rank = (largest > 0.0).then(|| self.values.sum() / largest);
        let mut start = 0;
        for &size in sizes {
            let values = &self.values.as_slice().unwrap_or_default()[start..start + size];
            let close = |i: usize, j: usize| (values[i] - values[j]).abs() <= DEGENERATE * largest;
            let equal = |&i: &usize| {
                values[i] > NULL * largest && (i > 0 && close(i, i - 1) || i + 1 < size && close(i, i + 1))
            };
            health.degenerate += (0..size).filter(equal).count();
            start += size;
        }
    }

    /// Number of eigenvalues.
    #[must_use]
    pub fn size(&self) -> usize {
        self.values.len()
    }

    /// Eigenvalues, clamped at 0; ascending within each block, in place for a diagonal factor.
    #[must_use]
    pub fn values(&self) -> &Array1<f64> {
        &self.values
    }

    /// The eigenvectors in the columns, `(size, size)`.
    #[must_use]
    pub fn vectors(&self) -> Array2<f64> {
        if self.is_identity() { Array2::eye(self.size()) } else { assemble(&self.vectors, self.size()) }
    }

    /// What to know about the eigenvalues.
    #[must_use]
    pub fn health(&self) -> &FactorHealth {
        &self.health
    }

    /// Whether the basis is the coordinate axes, so that a rotation costs nothing.
    #[must_use]
    pub fn is_identity(&self) -> bool {
        self.block == 1
    }

    /// Multiplications of a rotation of one row.
    #[must_use]
    pub(crate) fn rotation_cost(&self) -> f64 {
        self.vectors.iter().map(|v| (v.len()) as f64).sum()
    }

    /// The same basis in the precision of the data.
    pub(crate) fn cast<T: Scalar>(&self) -> Rotation<T> {
        let vectors = self.vectors.iter().map(|v| v.mapv(T::of)).collect();
        Rotation { size: self.size(), vectors }
    }

    /// Everything but what the eigenvalues say of themselves.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend((self.block as u64).to_le_bytes());
        write_numbers(&self.values.to_vec(), out);
        self.vectors.iter().for_each(|v| write_numbers(v.as_standard_layout().as_slice().unwrap_or_default(), out));
        let health = &self.health;
        out.extend((health.clamped as u64).to_le_bytes());
        let residual = [health.residual.reconstruction, health.residual.orthogonality];
        write_numbers(&[residual[0], residual[1], health.most_negative], out);
    }

    pub(super) fn read(input: &mut Reader<'_>, size: usize) -> Result<Self> {
        let error = input.error("a basis of this layer");
        let block = usize::try_from(input.u64("a size of blocks")?).map_err(|_| error)?;
        if block == 0 || block > size.max(1) {
            return Err(error);
        }
        let values = Array1::from(read_numbers(input, Some(size))?);
        let sizes: Vec<usize> = (0..size).step_by(block).map(|start| block.min(size - start)).collect();
        let mut basis = Self { block, vectors: Vec::new(), values, health: FactorHealth::default() };
        if block > 1 {
            for &n in &sizes {
                let vectors = read_numbers(input, n.checked_mul(n))?;
                basis.vectors.push(Array2::from_shape_vec((n, n), vectors).map_err(|_| error)?);
            }
        }
        if basis.values.iter().any(|l| *l < 0.0) {
            return Err(error);
        }
        basis.assess(if block > 1 { &sizes } else { &[] });
        basis.health.clamped = usize::try_from(input.u64("a count")?).map_err(|_| error)?;
        let numbers = read_numbers(input, Some(3))?;
        basis.health.residual = EigenResidual { reconstruction: numbers[0], orthogonality: numbers[1] };
        basis.health.most_negative = numbers[2];
        Ok(basis)
    }

    /// Bytes that tell one basis from another.
    pub(super) fn fingerprint(&self) -> u32 {
        let mut bytes = Vec::new();
        bytes.extend((self.size() as u64).to_le_bytes());
        self.vectors.iter().flatten().for_each(|x| bytes.extend(x.to_le_bytes()));
        crate::math::crc32::crc32(&bytes)
    }
}

/// A basis that rows are rotated into and back.
#[derive(Debug, Clone)]
pub(crate) struct Rotation<T> {
    size: usize,
    /// Blocks along the diagonal; none for the identity.
    vectors: Vec<Array2<T>>,
}

impl<T: Scalar> Rotation<T> {
    /// The coordinate axes.
    pub(crate) fn identity(size: usize) -> Self {
        Self { size, vectors: Vec::new() }
    }

    #[cfg(test)]
    pub(crate) fn of_vectors(vectors: Array2<T>) -> Self {
        Self { size: vectors.nrows(), vectors: vec![vectors] }
    }

    /// Whether nothing is turned.
    pub(crate) fn is_identity(&self) -> bool {
        self.vectors.is_empty()
    }

    /// Row `index` of `Q`: a coordinate in the eigenbasis.
    pub(crate) fn coordinate(&self, index: usize) -> Array1<T> {
        let mut out = Array1::zeros(self.size);
        let mut start = 0;
        for q in &self.vectors {
            let end = start + q.nrows();
            if (start..end).contains(&index) {
                out.slice_axis_mut(Axis(0), Slice::from(start..end)).assign(&q.row(index - start));
            }
            start = end;
        }
        out
    }

    /// `X Q` for rows `x: (rows, size)`.
    pub(crate) fn forward(&self, x: Array2<T>) -> Result<Array2<T>> {
        self.apply(x, false)
    }

    /// [`Self::forward`] of rows that are kept: nothing is copied where nothing is turned.
    pub(crate) fn forward_of<'x>(&self, x: &'x Array2<T>) -> Result<CowArray<'x, T, Ix2>> {
        check_length("columns to rotate", x.ncols(), self.size)?;
        Ok(if self.is_identity() { x.view().into() } else { self.turn(x, false)?.into() })
    }

    /// `X Qᵀ`.
    pub(crate) fn back(&self, x: Array2<T>) -> Result<Array2<T>> {
        self.apply(x, true)
    }

    /// `Qᵀ X` for columns `x: (size, columns)`.
    pub(crate) fn forward_columns(&self, x: &ArrayRef2<T>) -> Result<Array2<T>> {
        self.apply_columns(x, false)
    }

    /// `Q X`.
    pub(crate) fn back_columns(&self, x: &ArrayRef2<T>) -> Result<Array2<T>> {
        self.apply_columns(x, true)
    }

    fn apply(&self, x: Array2<T>, back: bool) -> Result<Array2<T>> {
        check_length("columns to rotate", x.ncols(), self.size)?;
        if self.is_identity() { Ok(x) } else { self.turn(&x, back) }
    }

    /// `X Q` or `X Qᵀ` of a basis that is not the coordinate axes.
    fn turn(&self, x: &ArrayRef2<T>, back: bool) -> Result<Array2<T>> {
        match &self.vectors[..] {
            [q] if back => product(x, &q.t()),
            [q] => product(x, q),
            blocks => {
                let mut parts = vec![];
                let mut start = 0;
                for q in blocks {
                    let part = x.slice_axis(Axis(1), Slice::from(start..start + q.nrows()));
                    parts.push(if back { product(&part, &q.t())? } else { product(&part, q)? });
                    start += q.nrows();
                }
                let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
                concatenate(Axis(1), &views).map_err(|_| Error::Unsupported { what: "blocks of a basis" })
            }
        }
    }

    fn apply_columns(&self, x: &ArrayRef2<T>, back: bool) -> Result<Array2<T>> {
        match &self.vectors[..] {
            [] => Ok(x.to_owned()),
            [q] if back => product(q, x),
            [q] => product(&q.t(), x),
            _ => Ok(self.apply(x.t().to_owned(), back)?.reversed_axes()),
        }
    }
}
