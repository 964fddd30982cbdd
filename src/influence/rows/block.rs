//! Rows gathered side by side, some examples at a time.

use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use ndarray::{Array2, ArrayRef2, Axis, Slice};

use super::LayerRows;
use crate::math::gemm::product;
use crate::{Result, Scalar};

/// Rows that are worked on together: few enough for the cache, many enough for a product.
const ROWS: usize = 512;

/// Some consecutive examples, their live rows gathered side by side.
#[derive(Debug, Clone)]
pub(crate) struct Block<U> {
    /// First example.
    pub(crate) first: usize,
    /// Inputs with the homogeneous 1, `(rows, d)`.
    pub(crate) a: Array2<U>,
    /// Gradients, `(rows, d_out)`.
    pub(crate) g: Array2<U>,
    /// Example `first + i` owns rows `starts[i]..starts[i + 1]`.
    pub(crate) starts: Vec<usize>,
    /// Where each row stands in the rows of the layer.
    pub(crate) rows: Vec<usize>,
}

impl<U: Scalar> Block<U> {
    /// Number of examples.
    pub(crate) fn n_examples(&self) -> usize {
        self.starts.len() - 1
    }

    /// Whether every example is exactly one row.
    pub(crate) fn one_row_each(&self) -> bool {
        self.starts.iter().enumerate().all(|(example, &start)| start == example)
    }

    /// Rows of example `first + index`.
    pub(crate) fn rows_of(&self, index: usize) -> Range<usize> {
        self.starts[index]..self.starts[index + 1]
    }

    /// `G_e` of example `first + index`.
    pub(crate) fn gradient(&self, index: usize) -> Result<Array2<U>> {
        gradient_of(&self.g, &self.a, self.rows_of(index))
    }
}

/// `Σ_t g_t a_tᵀ` over some rows.
pub(crate) fn gradient_of<U: Scalar>(g: &ArrayRef2<U>, a: &ArrayRef2<U>, rows: Range<usize>) -> Result<Array2<U>> {
    let rows = Slice::from(rows);
    product(&g.slice_axis(Axis(0), rows).t(), &a.slice_axis(Axis(0), rows))
}

impl<T: Scalar> LayerRows<'_, T> {
    /// All examples in order, so many at a time that they have about [`ROWS`] live rows; a cut depends on the rows alone.
    pub(crate) fn blocks<U: Scalar>(&self) -> impl Iterator<Item = Block<U>> + '_ {
        self.blocks_of(ROWS)
    }

    /// As [`Self::blocks`], with about `rows` rows in each.
    pub(crate) fn blocks_of<U: Scalar>(&self, rows: usize) -> impl Iterator<Item = Block<U>> + '_ {
        self.cuts_of(rows).map(|examples| self.block(examples))
    }

    /// The ranges of examples that [`Self::blocks`] works through.
    pub(crate) fn cuts(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.cuts_of(ROWS)
    }

    fn cuts_of(&self, rows: usize) -> impl Iterator<Item = Range<usize>> + '_ {
        let mut first = 0;
        core::iter::from_fn(move || {
            let start = first;
            let n = self.n_examples();
            (start < n).then(|| {
                let most = self.offsets[start] + rows;
                let limit = n.min(start + rows);
                let fitting = self.offsets[start + 1..=limit].partition_point(|&end| end <= most);
                first = start + fitting.max(1);
                start..first
            })
        })
    }

    /// Gathers the live rows of these examples.
    pub(crate) fn block<U: Scalar>(&self, examples: Range<usize>) -> Block<U> {
        let rows = &self.live[self.offsets[examples.start]..self.offsets[examples.end]];
        let base = self.offsets[examples.start];
        let starts = self.offsets[examples.start..=examples.end].iter().map(|offset| offset - base).collect();
        self.copy(examples.start, rows.to_vec(), starts)
    }

    /// Gathers the live rows of some examples; they are numbered anew from 0.
    pub(crate) fn gather<U: Scalar>(&self, examples: &[usize]) -> Block<U> {
        let (mut rows, mut starts) = (Vec::new(), vec![0]);
        for &example in examples {
            rows.extend(self.live_rows(example));
            starts.push(rows.len());
        }
        self.copy(0, rows, starts)
    }

    fn copy<U: Scalar>(&self, first: usize, rows: Vec<usize>, starts: Vec<usize>) -> Block<U> {
        let (width, d) = (self.a.ncols(), self.d_in());
        let mut a = Array2::from_elem((rows.len(), d), U::one());
        let mut g = Array2::zeros((rows.len(), self.d_out()));
        for (at, &row) in rows.iter().enumerate() {
            let mut to = a.row_mut(at);
            to.iter_mut().take(width).zip(self.a.row(row)).for_each(|(to, from)| *to = U::of(from.as_f64()));
            g.row_mut(at).zip_mut_with(&self.g.row(row), |to, from| *to = U::of(from.as_f64()));
        }
        Block { first, a, g, starts, rows }
    }
}
