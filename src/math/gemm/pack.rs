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
            copy(&matrix.line(p)[rows.clone()], &mut group[..rows.len()]);
        }
        return;
    }
    pack_lines(matrix, rows, depth, height, panel);
}

/// Copies a line of a panel, which is too short for a call to be worth it.
#[inline(always)]
fn copy<T: Copy>(from: &[T], to: &mut [T]) {
    let ((from, rest), (to, rest_to)) = (from.as_chunks::<TOGETHER>(), to.as_chunks_mut::<TOGETHER>());
    to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
    rest_to.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
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
        let lines: [_; TOGETHER] = core::array::from_fn(|q| slice(first + t + q).as_chunks::<TOGETHER>());
        let [a, b, c, d] = lines.map(|(squares, _)| squares);
        let (squares, rest) = panel.split_at_mut(a.len() * TOGETHER * height);
        for ((((groups, a), b), c), d) in squares.chunks_exact_mut(TOGETHER * height).zip(a).zip(b).zip(c).zip(d) {
            turn([a, b, c, d], &mut groups[t..], height);
        }
        for (p, group) in rest.chunks_exact_mut(height).enumerate() {
            group[t..t + TOGETHER].copy_from_slice(&lines.map(|(_, rest)| rest[p]));
        }
    }
    for t in whole..lines.len() {
        for (group, &value) in panel.chunks_exact_mut(height).zip(slice(first + t)) {
            group[t] = value;
        }
    }
}

/// Writes the columns of a square to the starts of groups, `height` numbers apart.
#[inline(always)]
fn turn<T: Copy>([a, b, c, d]: [&[T; TOGETHER]; TOGETHER], groups: &mut [T], height: usize) {
    let columns: [[T; TOGETHER]; TOGETHER] = core::array::from_fn(|p| [a[p], b[p], c[p], d[p]]);
    // one check for all, so that nothing stands between the loads and the stores
    let groups = &mut groups[..(TOGETHER - 1) * height + TOGETHER];
    for (p, column) in columns.iter().enumerate() {
        groups[p * height..p * height + TOGETHER].copy_from_slice(column);
    }
}
