//! Copies operands into panels that the kernel reads from front to back.

use core::ops::Range;

use ndarray::{ArrayView2, CowArray, Ix2};

use crate::Scalar;

/// Lines that are turned at a time, so that their numbers are written side by side.
const TOGETHER: usize = 4;

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

    /// Numbers of a row.
    pub(super) fn depth(&self) -> usize {
        if self.transposed { self.lines.nrows() } else { self.lines.ncols() }
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
    let slice = |line: usize| &matrix.line(line)[depth.clone()];
    let (first, whole) = (lines.start, lines.len() - lines.len() % TOGETHER);
    for t in (0..whole).step_by(TOGETHER) {
        let [a, b, c, d]: [_; TOGETHER] = core::array::from_fn(|q| slice(first + t + q));
        for ((((group, &a), &b), &c), &d) in panel.chunks_exact_mut(height).zip(a).zip(b).zip(c).zip(d) {
            group[t..t + TOGETHER].copy_from_slice(&[a, b, c, d]);
        }
    }
    for t in whole..lines.len() {
        for (group, &value) in panel.chunks_exact_mut(height).zip(slice(first + t)) {
            group[t] = value;
        }
    }
}
