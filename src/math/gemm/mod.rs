//! Dense matrix product, with the same floats for every layout, batch size and thread count.
//!
//! ```text
//! C = A B        c_ij = Σ_blocks ( Σ_{p in block} a_ip b_pj )
//! ```
//!
//! The inner size is cut into blocks of [`DEPTH`]. Within a block the sum runs in order from 0, and the sums of the blocks
//! are added in order. Every route below keeps this order, so a row of `C` does not depend on how many other rows there
//! are. Where many numbers of `A` are 0 they are left out, which changes no sum. Machines with AVX2 or NEON fuse each product
//! with its addition; others round in between.
//!
//! Both operands may be any view: a transpose `a.t()` costs nothing, and runs at the same speed.
//!
//! Source: panels, register tiles and loop order after Goto and van de Geijn, "Anatomy of High-Performance Matrix
//! Multiplication", ACM TOMS 34(3), 2008, section 4, <https://doi.org/10.1145/1356052.1356053>.

mod few_rows;
mod kernel;
mod pack;
mod packed;
mod skip;
pub(crate) mod streamed;
mod tiny;

use alloc::vec::Vec;
use core::ops::Range;
use core::sync::atomic::AtomicBool;
use core::sync::atomic::Ordering::Relaxed;

use ndarray::{Array2, ArrayRef2, ArrayView2, ArrayViewMut2};

use super::FOR_MUCH_DATA;
use super::aligned::Aligned;
use super::par;
use super::simd::{Registers, registers_here};
use crate::error::{all_finite, check_shape};
use crate::{Dims, Error, Result, Scalar};
use kernel::{HEIGHT, Output, width};
use pack::{Operand, pack};
pub use packed::Packed;

/// Inner indices that are summed in one run, from 0 and in order.
pub const DEPTH: usize = 512;

/// Rows of `A` that are packed together; with [`DEPTH`] they fill a part of the second-level cache.
const ROWS: usize = 144;

/// Vectors of columns of `B` that are packed together: many, so that `A` is packed once for all of them.
const COLUMN_VECTORS: usize = 256;

/// As [`COLUMN_VECTORS`] on machines of wide registers: with [`DEPTH`] they fill the second-level cache, without which such
/// machines starve.
const WIDE_COLUMN_VECTORS: usize = 32;

/// Multiplications of the smallest piece of work that is worth a thread's waking, and the reading of `B` anew.
const PIECE: usize = 1 << 22;

/// Products up to this many multiplications are not worth panels and threads.
const TINY: usize = 1 << 14;

/// `A B`; `a: (m, k)`, `b: (k, n)`. Returns `(m, n)`.
///
/// # Errors
/// [`Error::Shape`] if the inner sizes differ.
///
/// # Example
/// ```
/// use limpid::math::gemm::product;
/// use ndarray::array;
///
/// let a = array![[1.0, 2.0], [3.0, 4.0]];
/// assert_eq!(product(&a, &a.t())?, array![[5.0, 11.0], [11.0, 25.0]]);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn product<T: Scalar>(a: &ArrayRef2<T>, b: &ArrayRef2<T>) -> Result<Array2<T>> {
    check_shape("b", b, &[a.ncols(), b.ncols()])?;
    let mut out = Array2::zeros((a.nrows(), b.ncols()));
    Workspace::new().product_into(a, b, &mut out)?;
    Ok(out)
}

/// Writes `A B` to `out: (m, n)`; `a: (m, k)`, `b: (k, n)`.
///
/// # Errors
/// As [`product`], and [`Error::Shape`] if `out` has another shape.
pub fn product_into<T: Scalar>(a: &ArrayRef2<T>, b: &ArrayRef2<T>, out: &mut ArrayRef2<T>) -> Result<()> {
    Workspace::new().product_into(a, b, out)
}

/// Adds `A B` to `out: (m, n)`, block by block; `a: (m, k)`, `b: (k, n)`.
///
/// # Errors
/// As [`product_into`].
pub fn add_product_into<T: Scalar>(a: &ArrayRef2<T>, b: &ArrayRef2<T>, out: &mut ArrayRef2<T>) -> Result<()> {
    Workspace::new().add_product_into(a, b, out)
}

/// Packing buffers, kept from one product to the next.
#[derive(Debug, Clone, Default)]
pub struct Workspace<T> {
    left: Aligned<T>,
    right: Aligned<T>,
    /// Which numbers of rows with many zeros are others.
    present: Vec<u64>,
}

impl<T: Scalar> Workspace<T> {
    /// An empty workspace; buffers grow when a product needs them.
    #[must_use]
    pub const fn new() -> Self {
        Self { left: Aligned::new(), right: Aligned::new(), present: Vec::new() }
    }

    /// As [`product_into`].
    ///
    /// # Errors
    /// As [`product_into`].
    pub fn product_into(&mut self, a: &ArrayRef2<T>, b: &ArrayRef2<T>, out: &mut ArrayRef2<T>) -> Result<()> {
        check(a, b.dim(), out)?;
        self.multiply(a.view(), b.view(), out.view_mut(), Output::Store);
        Ok(())
    }

    /// As [`add_product_into`].
    ///
    /// # Errors
    /// As [`product_into`].
    pub fn add_product_into(&mut self, a: &ArrayRef2<T>, b: &ArrayRef2<T>, out: &mut ArrayRef2<T>) -> Result<()> {
        check(a, b.dim(), out)?;
        self.multiply(a.view(), b.view(), out.view_mut(), Output::Add);
        Ok(())
    }

    /// As [`product_into`] with a right operand that was packed before; the same floats.
    ///
    /// # Errors
    /// As [`product_into`].
    pub fn product_packed_into(&mut self, a: &ArrayRef2<T>, b: &Packed<T>, out: &mut ArrayRef2<T>) -> Result<()> {
        check(a, b.dim(), out)?;
        if a.is_empty() || out.is_empty() {
            out.fill(T::zero());
            return Ok(());
        }
        if let Some(c) = out.as_slice_mut() {
            self.multiply_blocks(&Operand::new(a.view()), &Right::Packed(b), (c, b.dim().1), Output::Store);
            return Ok(());
        }
        let mut owned = Array2::zeros(out.raw_dim());
        self.product_packed_into(a, b, &mut owned)?;
        out.assign(&owned);
        Ok(())
    }

    /// Chooses the route; shapes fit.
    fn multiply(&mut self, a: ArrayView2<'_, T>, b: ArrayView2<'_, T>, mut out: ArrayViewMut2<'_, T>, output: Output) {
        let ((m, k), n) = (a.dim(), b.ncols());
        let tiny = m.saturating_mul(n).saturating_mul(k) <= TINY;
        let few = m.min(n) <= few_rows::MOST;
        if output == Output::Store && (tiny || few) {
            out.fill(T::zero());
        }
        if m == 0 || n == 0 || k == 0 {
            return;
        }
        if tiny {
            return tiny::add(a, b, out, &mut self.right);
        }
        // Cᵀ = Bᵀ Aᵀ has the same floats
        if few && m > n || !few && !out.is_standard_layout() && out.t().is_standard_layout() {
            return self.multiply_rows(b.reversed_axes(), a.reversed_axes(), out.reversed_axes(), output);
        }
        if out.is_standard_layout() {
            return self.multiply_rows(a, b, out, output);
        }
        let mut owned = out.as_standard_layout().into_owned();
        self.multiply_rows(a, b, owned.view_mut(), output);
        out.assign(&owned);
    }

    /// Row by row: few rows are streamed, many are packed.
    fn multiply_rows(
        &mut self,
        a: ArrayView2<'_, T>,
        b: ArrayView2<'_, T>,
        mut out: ArrayViewMut2<'_, T>,
        output: Output,
    ) {
        if a.nrows() <= few_rows::MOST {
            return few_rows::add(a, &Operand::new(b), out);
        }
        let n = out.ncols();
        if let Some(c) = out.as_slice_mut() {
            let (a, b) = (Operand::new(a), Operand::new(b.reversed_axes()));
            self.multiply_blocks(&a, &Right::Columns(&b), (c, n), output);
        }
    }

    /// Block by block; `c: (m, n)`.
    fn multiply_blocks(&mut self, a: &Operand<'_, T>, b: &Right<'_, T>, (c, n): (&mut [T], usize), output: Output) {
        let (m, k) = (c.len() / n, a.depth());
        let Self { left: buffer, right, present } = self;
        let block_columns = block_columns::<T>(n);
        for left in (0..n).step_by(block_columns) {
            let columns = left..n.min(left + block_columns);
            for start in (0..k).step_by(DEPTH) {
                let depth = start..k.min(start + DEPTH);
                let mut skips = skip::pays(a, m, &depth, columns.len());
                let right = b.block(&columns, &depth, right, &mut skips);
                let output = if start == 0 { output } else { Output::Add };
                let block = Block { a, right, depth, columns: columns.clone(), n, output };
                if FOR_MUCH_DATA && skips {
                    block.multiply_skipping(c, buffer, present);
                } else {
                    block.multiply(c, buffer);
                }
            }
        }
    }
}

/// A right operand.
enum Right<'a, T> {
    /// By its columns.
    Columns(&'a Operand<'a, T>),
    /// In panels.
    Packed(&'a Packed<T>),
}

impl<T: Scalar> Right<'_, T> {
    /// Panels of `columns` at the inner indices `depth`, and how far apart they start. `finite` becomes false where not all
    /// numbers are.
    fn block<'s>(
        &'s self,
        columns: &Range<usize>,
        depth: &Range<usize>,
        buffer: &'s mut Aligned<T>,
        finite: &mut bool,
    ) -> (&'s [T], usize) {
        let b = match self {
            Self::Columns(b) => *b,
            Self::Packed(b) => {
                *finite = *finite && b.finite();
                let first = columns.start / width::<T>() * b.panel() + depth.start * width::<T>();
                return (&b.panels()[first..], b.panel());
            }
        };
        let panel = width::<T>() * depth.len();
        let panels = columns.len().div_ceil(width::<T>());
        buffer.grow(panels * panel);
        let so_far = AtomicBool::new(*finite);
        par::for_each_chunk_mut(&mut buffer[..panels * panel], panel, |index, panel| {
            let first = columns.start + index * width::<T>();
            pack(b, first..columns.end.min(first + width::<T>()), depth.clone(), width::<T>(), panel);
            if FOR_MUCH_DATA && so_far.load(Relaxed) && !all_finite(panel) {
                so_far.store(false, Relaxed);
            }
        });
        *finite = so_far.into_inner();
        (&buffer[..panels * panel], panel)
    }
}

/// `A[.., depth] B[depth, columns]`, with `B` already packed.
struct Block<'a, 'm, T> {
    a: &'a Operand<'m, T>,
    /// Panels, and how far apart they start.
    right: (&'a [T], usize),
    depth: Range<usize>,
    columns: Range<usize>,
    /// Columns of all of `C`.
    n: usize,
    output: Output,
}

impl<T: Scalar> Block<'_, '_, T> {
    fn multiply(&self, c: &mut [T], buffers: &mut Aligned<T>) {
        let (pieces, block_rows) = self.cut(c, HEIGHT);
        let buffer = block_rows * self.depth.len();
        buffers.grow(pieces.len() * buffer);
        self.work(pieces, block_rows, buffers.chunks_mut(buffer), |first, c, left| self.multiply_rows(first, c, left));
    }

    /// As [`Self::multiply`] for rows with many zeros.
    fn multiply_skipping(&self, c: &mut [T], buffers: &mut Aligned<T>, present: &mut Vec<u64>) {
        let (pieces, block_rows) = self.cut(c, skip::PIECE_ROWS);
        let lengths = (skip::sums::<T>(block_rows), skip::words(block_rows));
        buffers.grow(pieces.len() * lengths.0);
        present.resize(present.len().max(pieces.len() * lengths.1), 0);
        let buffers = buffers.chunks_mut(lengths.0).zip(present.chunks_mut(lengths.1));
        self.work(pieces, block_rows, buffers, |first, c, (sums, present)| {
            skip::Rows { block: self, first }.multiply(c, sums, present);
        });
    }

    /// Calls `rows(first, c, buffer)` for every block of rows; those of a piece share its buffer.
    fn work<B: Send>(
        &self,
        pieces: Vec<(usize, &mut [T])>,
        block_rows: usize,
        buffers: impl Iterator<Item = B>,
        rows: impl Fn(usize, &mut [T], &mut B) + Sync + Send,
    ) {
        let mut pieces: Vec<_> = pieces.into_iter().zip(buffers).collect();
        par::for_each_mut(&mut pieces, |_, ((first, c), buffer)| {
            for (block, c) in c.chunks_mut(block_rows * self.n).enumerate() {
                rows(*first + block * block_rows, c, buffer);
            }
        });
    }

    /// The rows of `c`, which start at row `first` of all of `C`.
    fn multiply_rows(&self, first: usize, c: &mut [T], left: &mut [T]) {
        let rows = c.len() / self.n;
        let panels = rows.div_ceil(HEIGHT);
        let left = &mut left[..panels * HEIGHT * self.depth.len()];
        for (panel, left) in left.chunks_mut(HEIGHT * self.depth.len()).enumerate() {
            let start = panel * HEIGHT;
            pack(self.a, first + start..first + rows.min(start + HEIGHT), self.depth.clone(), HEIGHT, left);
        }
        kernel::multiply_panels(left, self.right, self.depth.len(), c, self.n, self.columns.clone(), self.output);
    }

    /// Cuts `c: (m, n)` into pieces of work of at least some rows, each with its first row; tiles are spread evenly. Also the
    /// rows that are packed together.
    fn cut<'c>(&self, mut c: &'c mut [T], least_rows: usize) -> (Vec<(usize, &'c mut [T])>, usize) {
        let (m, n) = (c.len() / self.n, self.n);
        let tiles = m.div_ceil(HEIGHT);
        // packing a row takes as long as multiplying it with a panel
        let work = m.saturating_mul(self.columns.len() + width::<T>()).saturating_mul(self.depth.len());
        let pieces =
            if par::threads() > 1 { (4 * par::threads()).min(m / least_rows).min(work / PIECE).max(1) } else { 1 };
        let cuts = (0..pieces).map(|piece| {
            let [first, end] = [piece, piece + 1].map(|piece| m.min(tiles * piece / pieces * HEIGHT));
            let (now, rest) = core::mem::take(&mut c).split_at_mut((end - first) * n);
            c = rest;
            (first, now)
        });
        (cuts.collect(), ROWS.min(tiles.div_ceil(pieces) * HEIGHT))
    }
}

/// Columns of `n` that are packed together.
fn block_columns<T: Scalar>(n: usize) -> usize {
    let vectors = if registers_here() == Registers::Wide { WIDE_COLUMN_VECTORS } else { COLUMN_VECTORS };
    let blocks = n.div_ceil(vectors * T::LANES).max(1);
    n.div_ceil(blocks).next_multiple_of(width::<T>())
}

fn check<T: Scalar>(a: &ArrayRef2<T>, (k, n): (usize, usize), out: &ArrayRef2<T>) -> Result<()> {
    if k != a.ncols() {
        return Err(Error::Shape { what: "b", expected: Dims::new(&[a.ncols(), n]), got: Dims::new(&[k, n]) });
    }
    check_shape("out", out, &[a.nrows(), n])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dims, Error};
    use ndarray::{Axis, Slice, array};

    fn filled<T: Scalar>(rows: usize, columns: usize, seed: u32) -> Array2<T> {
        let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(12345);
        Array2::from_shape_fn((rows, columns), |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            T::of(f64::from(state >> 8) / f64::from(1_u32 << 24) - 0.5)
        })
    }

    /// The definition, one entry after the other.
    fn add_entry_by_entry<T: Scalar>(a: ArrayView2<'_, T>, b: ArrayView2<'_, T>, mut out: ArrayViewMut2<'_, T>) {
        let fuses = crate::math::simd::fuses();
        for (row, mut out) in a.rows().into_iter().zip(out.rows_mut()) {
            for (column, out) in b.columns().into_iter().zip(&mut out) {
                let mut sum = T::zero();
                for (p, (&x, &y)) in row.iter().zip(column).enumerate() {
                    if p > 0 && p.is_multiple_of(DEPTH) {
                        *out += sum;
                        sum = T::zero();
                    }
                    sum = if fuses { x.mul_add(y, sum) } else { sum + x * y };
                }
                *out += sum;
            }
        }
    }

    fn agrees<T: Scalar>(m: usize, k: usize, n: usize) {
        let (a, b) = (filled::<T>(m, k, 1), filled::<T>(k, n, 2));
        let mut naive = Array2::zeros((m, n));
        add_entry_by_entry(a.view(), b.view(), naive.view_mut());
        let (at, bt) = (a.t().as_standard_layout().into_owned(), b.t().as_standard_layout().into_owned());
        for (a, b) in [(a.view(), b.view()), (at.t(), b.view()), (a.view(), bt.t()), (at.t(), bt.t())] {
            assert_eq!(product(&a, &b).unwrap(), naive, "{m}x{k}x{n}");
            let mut packed = Array2::ones((m, n));
            Workspace::new().product_packed_into(&a, &Packed::new(&b), &mut packed).unwrap();
            assert_eq!(packed, naive);
            let mut transposed = Array2::zeros((n, m));
            Workspace::new()
                .product_packed_into(&a, &Packed::new(&b), &mut transposed.view_mut().reversed_axes())
                .unwrap();
            assert_eq!(transposed.t(), naive);
            product_into(&a, &b, &mut transposed.view_mut().reversed_axes()).unwrap();
            assert_eq!(transposed.t(), naive);
        }
        let wide = filled::<T>(2 * m, 3 * k, 3);
        let rows = wide.slice_axis(Axis(0), Slice::new(0, None, 2));
        let view = rows.slice_axis(Axis(1), Slice::new(0, None, -3));
        let mut naive = Array2::ones((m, n));
        let mut spread = Array2::ones((m, 2 * n));
        add_entry_by_entry(view, b.view(), naive.view_mut());
        let every_second = Slice::new(0, None, 2);
        add_product_into(&view, &b, &mut spread.slice_axis_mut(Axis(1), every_second)).unwrap();
        assert_eq!(spread.slice_axis(Axis(1), every_second), naive);
    }

    #[test]
    fn every_route_gives_the_floats_of_the_definition() {
        let sizes: &[_] = if cfg!(miri) {
            &[(3, 3, 5), (2, 513, 3)]
        } else {
            &[(9, 3, 33), (17, 600, 70), (131, 513, 65), (1, 1200, 100), (3, 517, 531), (700, 1025, 2), (5, 7, 2100)]
        };
        for &(m, k, n) in sizes {
            agrees::<f32>(m, k, n);
            if !cfg!(miri) {
                agrees::<f64>(m, k, n);
            }
        }
    }

    #[test]
    fn rows_with_zeros_have_the_floats_of_the_definition() {
        let sizes: &[_] = if cfg!(miri) { &[(48, 12, 33)] } else { &[(48, 70, 33), (333, 600, 210), (500, 1030, 40)] };
        for (index, &(m, k, n)) in sizes.iter().enumerate() {
            let (mut a, mut b) = (filled::<f32>(m, k, 1).mapv(|x| x.max(0.0)), filled::<f32>(k, n, 2));
            for undefined in [false, true] {
                let (mut naive, mut found) = (Array2::ones((m, n)), Array2::ones((m, n)));
                add_entry_by_entry(a.view(), b.view(), naive.view_mut());
                add_product_into(&a, &b, &mut found).unwrap();
                assert!(found.iter().zip(&naive).all(|(x, y)| x == y || x.is_nan() && y.is_nan()), "{m}x{k}x{n}");
                naive.fill(0.0);
                add_entry_by_entry(a.view(), b.view(), naive.view_mut());
                let found = product(&a, &b).unwrap();
                assert!(found.iter().zip(&naive).all(|(x, y)| x == y || x.is_nan() && y.is_nan()), "{m}x{k}x{n}");
                let mut found = Array2::ones((m, n));
                Workspace::new().product_packed_into(&a, &Packed::new(&b), &mut found).unwrap();
                assert!(found.iter().zip(&naive).all(|(x, y)| x == y || x.is_nan() && y.is_nan()), "{m}x{k}x{n}");
                assert_eq!(found.iter().filter(|x| x.is_nan()).count() > 0, undefined);
                // a zero times infinity; a number that is undefined is none that may be left out
                b[[k / 2, n - 1]] = [f32::INFINITY, 1.0][index % 2];
                a[[m - 1, 3]] = [1.0, f32::NAN][index % 2];
            }
        }
    }

    #[test]
    fn zeros_are_noticed_where_they_are_many() {
        let (sparse, dense) = (filled::<f32>(64, 70, 1).mapv(|x| x.max(0.0)), filled::<f32>(64, 70, 1));
        let pays = |a: &Array2<f32>, rows| skip::pays(&Operand::new(a.view()), rows, &(0..70), 64);
        assert!(pays(&sparse, 64) && !pays(&dense, 64) && !pays(&sparse, 8));
        assert!(!skip::pays(&Operand::new(sparse.t()), 70, &(0..64), 64));
    }

    #[test]
    fn a_small_product_by_hand() {
        let (a, b) = (array![[1.0, 2.0, 3.0]], array![[1.0], [10.0], [100.0]]);
        assert_eq!(product(&a, &b).unwrap(), array![[321.0]]);
        let mut out = array![[1.0]];
        add_product_into(&a, &b, &mut out).unwrap();
        assert_eq!(out, array![[322.0]]);
    }

    #[test]
    fn empty_sizes_are_sums_of_nothing() {
        let (a, b) = (Array2::<f64>::zeros((2, 0)), Array2::zeros((0, 3)));
        assert_eq!(product(&a, &b).unwrap(), Array2::<f64>::zeros((2, 3)));
        assert_eq!(product(&b.t(), &a.t()).unwrap().dim(), (3, 2));
        assert_eq!(product(&b, &Array2::zeros((3, 4))).unwrap().dim(), (0, 4));
        let (mut out, mut workspace) = (Array2::ones((2, 3)), Workspace::new());
        workspace.product_packed_into(&a, &Packed::new(&b), &mut out).unwrap();
        assert_eq!(out, Array2::<f64>::zeros((2, 3)));
        for (m, n) in [(0, 3), (2, 0)] {
            let (a, b) = (Array2::<f64>::ones((m, 4)), Array2::ones((4, n)));
            workspace.product_packed_into(&a, &Packed::new(&b), &mut Array2::ones((m, n))).unwrap();
        }
    }

    #[test]
    fn sizes_that_do_not_fit_are_named() {
        let a = array![[1.0, 2.0]];
        let expected = Error::Shape { what: "b", expected: Dims::new(&[2, 2]), got: Dims::new(&[1, 2]) };
        assert_eq!(product(&a, &a), Err(expected));
        let mut out = array![[0.0]];
        assert!(product_into(&a.t(), &a, &mut out).is_err());
        let packed =
            |b: &Array2<f64>, out: &mut Array2<f64>| Workspace::new().product_packed_into(&a, &Packed::new(b), out);
        let expected = Error::Shape { what: "b", expected: Dims::new(&[2, 2]), got: Dims::new(&[1, 2]) };
        assert_eq!(packed(&a, &mut out), Err(expected));
        let expected = Error::Shape { what: "out", expected: Dims::new(&[1, 2]), got: Dims::new(&[1, 1]) };
        assert_eq!(packed(&Array2::ones((2, 2)), &mut out), Err(expected));
    }
}
