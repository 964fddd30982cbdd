//! A right operand in the order in which products read it, for matrices that many products share.

use core::ops::Range;

use ndarray::{ArrayRef2, ArrayView2};

use super::DEPTH;
use super::kernel::width;
use super::pack::{Operand, pack};
use crate::Scalar;
use crate::error::all_finite;
use crate::math::FOR_MUCH_DATA;
use crate::math::aligned::Aligned;

/// A right operand `B: (k, n)` for [`Workspace::product_packed_into`](super::Workspace::product_packed_into): weights that
/// stay as they are from one batch to the next.
///
/// # Example
/// ```
/// use limpid::math::gemm::{Packed, Workspace};
/// use ndarray::{Array2, array};
///
/// let weights = Packed::new(&array![[1.0, 2.0], [3.0, 4.0]]);
/// let (mut workspace, mut out) = (Workspace::new(), Array2::zeros((1, 2)));
/// workspace.product_packed_into(&array![[1.0, 1.0]], &weights, &mut out)?;
/// assert_eq!(out, array![[4.0, 6.0]]);
/// # Ok::<(), limpid::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Packed<T> {
    n: usize,
    k: usize,
    /// For each panel of columns its blocks of [`DEPTH`] one after another.
    panels: Aligned<T>,
    /// Whether all numbers are known to be.
    finite: bool,
}

impl<T: Scalar> Packed<T> {
    /// Packs `b: (k, n)` of any layout.
    #[must_use]
    pub fn new(b: &ArrayRef2<T>) -> Self {
        let mut packed = Self::of_columns(b.t());
        packed.finite = FOR_MUCH_DATA && all_finite(packed.panels());
        packed
    }

    /// Inner indices and columns, `(k, n)`.
    #[must_use]
    pub fn dim(&self) -> (usize, usize) {
        (self.k, self.n)
    }

    /// Packs a matrix that is given by its columns `lines: (n, k)`.
    pub(crate) fn of_columns(lines: ArrayView2<'_, T>) -> Self {
        let mut packed = Self::default();
        packed.pack(lines);
        packed
    }

    /// Packs other columns in the same place, on this thread.
    pub(crate) fn pack(&mut self, lines: ArrayView2<'_, T>) {
        (self.n, self.k) = lines.dim();
        let size = self.n.div_ceil(width::<T>()) * self.panel();
        self.panels.grow(size);
        self.finite = false;
        let lines = Operand::new(lines);
        for (index, panel) in self.panels[..size].chunks_mut((width::<T>() * self.k).max(1)).enumerate() {
            pack_panel(&lines, &(0..self.n), self.k, index, panel);
        }
    }

    /// Numbers of a panel.
    pub(super) const fn panel(&self) -> usize {
        width::<T>() * self.k
    }

    /// All panels.
    pub(super) fn panels(&self) -> &[T] {
        &self.panels[..self.n.div_ceil(width::<T>()) * self.panel()]
    }

    /// Whether all numbers are known to be finite.
    pub(super) const fn finite(&self) -> bool {
        self.finite
    }
}

/// Packs the panel with this number.
pub(super) fn pack_panel<T: Scalar>(
    b: &Operand<'_, T>,
    columns: &Range<usize>,
    k: usize,
    index: usize,
    panel: &mut [T],
) {
    let first = columns.start + index * width::<T>();
    let lines = first..columns.end.min(first + width::<T>());
    for (block, part) in panel.chunks_mut(DEPTH * width::<T>()).enumerate() {
        let depth = block * DEPTH..k.min((block + 1) * DEPTH);
        pack(b, lines.clone(), depth, width::<T>(), part);
    }
}
