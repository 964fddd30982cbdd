//! Copies operands into panels that the kernel reads from front to back.

use core::ops::Range;

use ndarray::{ArrayView2, CowArray, Ix2};

use crate::Scalar;

/// A matrix of which either the rows or the columns are slices.
pub(super) struct Operand<'a, T> {
    /// The matrix, or its transpose, with rows that are slices.
    lines: CowArray<'a, T, Ix2>,
    transposed: bool,
}

impl<'a, T: Scalar> Operand<'a, T> {
    /// Takes `matrix` as it is if it can, and copies it otherwise.
    pub(super) fn new(matrix: ArrayView2<'a, T>) -> Self {
        let unit = |length: usize, stride: isize| length <= 1 || stride == 1;
        let (strides, (rows, columns)) = ([matrix.strides()[0], matrix.strides()[1]], matrix.dim());
        if unit(columns, strides[1]) {
            Self { lines: matrix.into(), transposed: false }
        } else if unit(rows, strides[0]) {
            Self { lines: matrix.reversed_axes().into(), transposed: true }
        } else {
            Self { lines: matrix.as_standard_layout().into_owned().into(), transposed: false }
        }
    }

    /// Whether columns, not rows, are slices.
    pub(super) const fn transposed(&self) -> bool {
        self.transposed
    }

    /// Row `index`, or column `index` if [`Self::transposed`]; empty if there is none.
    #[inline(always)]
    pub(super) fn line(&self, index: usize) -> &[T] {
        if index >= self.lines.nrows() {
            return &[];
        }
        self.lines.row(index).to_slice().unwrap_or(&[])
    }
}

/// Writes rows `rows` at the inner indices `depth` to `panel: (depth, height)`; rows beyond the last become 0.
pub(super) fn pack<T: Scalar>(
    matrix: &Operand<'_, T>,
    rows: Range<usize>,
    depth: Range<usize>,
    height: usize,
    panel: &mut [T],
) {
    if rows.len() < height {
        panel.fill(T::zero());
    }
    if matrix.transposed() {
        for (p, group) in depth.zip(panel.chunks_exact_mut(height)) {
            group[..rows.len()].copy_from_slice(&matrix.line(p)[rows.clone()]);
        }
        return;
    }
    pack_lines(matrix, rows, depth, height, panel);
}

/// As [`pack`] for slices that run along the inner index: it turns them.
#[inline(always)]
pub(super) fn pack_lines<T: Scalar>(
    matrix: &Operand<'_, T>,
    lines: Range<usize>,
    depth: Range<usize>,
    height: usize,
    panel: &mut [T],
) {
    for (t, line) in lines.enumerate() {
        let line = &matrix.line(line)[depth.clone()];
        for (group, &value) in panel.chunks_exact_mut(height).zip(line) {
            group[t] = value;
        }
    }
}
