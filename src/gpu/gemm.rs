//! Matrix products on the device, with transposes, bias and activation in one kernel.
//!
//! ```text
//! C = act(α op(A) op(B) [+ C] [+ bias])        op(X) = X or Xᵀ,  act = identity, max(z, 0) or z [z > θ]
//! ```
//!
//! Single precision, the inner sum in order (over few rows: in four strands), fused with the multiplication where the device
//! does so. For an inner size `k` and `u = 2⁻²⁴` each entry is within `γ |op(A)| |op(B)|` of the exact one, `γ = k u/(1 - k u)`,
//! before the bias, whose sum rounds once more; the processor's product has the same bound in another order of sums.
//!
//! Arrays above the binding limit of the device are gone through in pieces of rows; pieces of the inner size are added
//! one after another.
//!
//! Source: register tiles after Goto and van de Geijn (see [`math::gemm`](crate::math::gemm)).

use core::ops::Range;

use super::array::GpuArray;
use super::context::{Call, GpuContext, word};
use super::kernels::GEMM;
use super::settings::Tiling;
use crate::{Dims, Error, Result};

/// What becomes of the sums.
#[derive(Debug, Clone, Copy, Default)]
pub enum Epilogue<'a> {
    /// Nothing.
    #[default]
    Plain,
    /// A bias `(1, n)` is added.
    Bias(&'a GpuArray<f32>),
    /// A bias `(1, n)` is added, then `max(z, 0)`.
    Relu(&'a GpuArray<f32>),
    /// A bias `(1, n)` is added, then `z` where it is above its threshold `(1, n)`, else 0.
    JumpRelu(&'a GpuArray<f32>, &'a GpuArray<f32>),
}

/// What is multiplied and how.
#[derive(Debug, Clone, Copy)]
pub struct Product<'a> {
    /// The left operand: `(m, k)`, or `(k, m)` where it is transposed.
    pub a: &'a GpuArray<f32>,
    /// Whether the left operand is used as its transpose.
    pub transpose_a: bool,
    /// The right operand: `(k, n)`, or `(n, k)` where it is transposed.
    pub b: &'a GpuArray<f32>,
    /// Whether the right operand is used as its transpose.
    pub transpose_b: bool,
    /// The factor `α`.
    pub alpha: f32,
    /// Whether the product is added to what is there.
    pub add: bool,
    /// What becomes of the sums.
    pub epilogue: Epilogue<'a>,
}

impl<'a> Product<'a> {
    /// `A B`.
    #[must_use]
    pub fn new(a: &'a GpuArray<f32>, b: &'a GpuArray<f32>) -> Self {
        Self { a, transpose_a: false, b, transpose_b: false, alpha: 1.0, add: false, epilogue: Epilogue::Plain }
    }

    /// `(m, k, n)`.
    fn sizes(&self) -> Result<(usize, usize, usize)> {
        let turned = |(rows, columns), turn: bool| if turn { (columns, rows) } else { (rows, columns) };
        let (m, k) = turned(self.a.dim(), self.transpose_a);
        let (inner, n) = turned(self.b.dim(), self.transpose_b);
        if inner == k {
            return Ok((m, k, n));
        }
        let (expected, got) = (Dims::new(&[k, n]), Dims::new(&[inner, n]));
        Err(Error::Shape { what: "b", expected, got })
    }
}

pub(super) const ADD: u32 = 1;
pub(super) const BIAS: u32 = 2;
pub(super) const RELU: u32 = 4;
pub(super) const JUMP: u32 = 8;

/// `A B`; `a: (m, k)`, `b: (k, n)`. Returns `(m, n)`.
///
/// # Errors
/// [`Error::Shape`], [`Error::TooLarge`], [`Error::Gpu`].
pub fn product(context: &GpuContext, a: &GpuArray<f32>, b: &GpuArray<f32>) -> Result<GpuArray<f32>> {
    multiply(context, &Product::new(a, b))
}

/// A product of any kind; `add` has no meaning here.
///
/// # Errors
/// As [`product`].
pub fn multiply(context: &GpuContext, product: &Product<'_>) -> Result<GpuArray<f32>> {
    let (m, _, n) = product.sizes()?;
    let mut out = GpuArray::uninitialised(context, m, n)?;
    multiply_into(context, &Product { add: false, ..*product }, &mut out)?;
    Ok(out)
}

/// A product of any kind, to `out: (m, n)`.
///
/// # Errors
/// As [`product`].
pub fn multiply_into(context: &GpuContext, product: &Product<'_>, out: &mut GpuArray<f32>) -> Result<()> {
    let (m, k, n) = product.sizes()?;
    out.check_dim("out", (m, n))?;
    multiply_columns(context, product, &mut Columns { rows: 0..product.b.rows(), out, first: 0 }, k)
}

/// Where a product by some rows of a transposed `B` goes: to the columns from `first` on.
pub(super) struct Columns<'a> {
    /// Rows of `B` that are used: all, but for a transposed one.
    pub(super) rows: Range<usize>,
    pub(super) out: &'a mut GpuArray<f32>,
    pub(super) first: usize,
}

/// As [`multiply_into`], for a part of the columns.
pub(super) fn multiply_columns(
    context: &GpuContext,
    product: &Product<'_>,
    to: &mut Columns<'_>,
    k: usize,
) -> Result<()> {
    let m = to.out.rows();
    let n = if product.transpose_b { to.rows.len() } else { product.b.columns() };
    check_vectors(product)?;
    if m == 0 || n == 0 {
        return Ok(());
    }
    let most = |array: &GpuArray<f32>| context.rows_at_once(array.columns());
    let (of_a, of_b, of_out) = (most(product.a)?, most(product.b)?, most(to.out)?);
    let rows = if product.transpose_a { of_out } else { of_out.min(of_a) };
    let inner = if product.transpose_a { of_a } else { usize::MAX };
    let inner = if product.transpose_b { inner } else { inner.min(of_b) };
    let columns = if product.transpose_b { of_b } else { n };
    for column in (0..n).step_by(columns) {
        for row in (0..m).step_by(rows) {
            let mut depth = 0;
            loop {
                let piece = Piece {
                    rows: row..m.min(row + rows),
                    inner: depth..k.min(depth.saturating_add(inner)),
                    columns: column..n.min(column + columns),
                    last: depth.saturating_add(inner) >= k,
                };
                let done = piece.last;
                piece.run(context, product, to)?;
                depth += inner.min(k);
                if done {
                    break;
                }
            }
        }
    }
    Ok(())
}

/// Checks bias and thresholds: one number for each column of `op(B)`.
fn check_vectors(product: &Product<'_>) -> Result<()> {
    let n = if product.transpose_b { product.b.rows() } else { product.b.columns() };
    let Some((_, bias, bars)) = vectors(&product.epilogue) else { return Ok(()) };
    bias.check_dim("bias", (1, n))?;
    bars.map_or(Ok(()), |bars| bars.check_dim("thresholds", (1, n)))
}

/// A part of a product that fits the bindings.
struct Piece {
    rows: Range<usize>,
    inner: Range<usize>,
    columns: Range<usize>,
    /// Whether this is the last part of the inner size.
    last: bool,
}

impl Piece {
    fn run(&self, context: &GpuContext, product: &Product<'_>, to: &mut Columns<'_>) -> Result<()> {
        let first = to.rows.start;
        let (a_rows, a_first) = if product.transpose_a {
            (self.inner.clone(), self.rows.start)
        } else {
            (self.rows.clone(), self.inner.start)
        };
        let (b_rows, b_first) = if product.transpose_b {
            (first + self.columns.start..first + self.columns.end, self.inner.start)
        } else {
            (self.inner.clone(), self.columns.start)
        };
        let a = product.a.window(context, a_rows)?;
        let b = product.b.window(context, b_rows)?;
        let c = to.out.window(context, self.rows.clone())?;
        let blank = context.blank();
        let (mut flags, mut bias, mut bar) = (0, blank, blank);
        if product.add || self.inner.start > 0 {
            flags |= ADD;
        }
        if let (true, Some((more, of_bias, of_bar))) = (self.last, vectors(&product.epilogue)) {
            flags |= more;
            bias = of_bias.whole(context)?;
            bar = of_bar.map_or(Ok(blank), |bar| bar.whole(context))?;
        }
        let (m, k, n) = (word(self.rows.len())?, word(self.inner.len())?, word(self.columns.len())?);
        let (lda, ldb) = (word(product.a.columns())?, word(product.b.columns())?);
        let (a_offset, b_offset) = (a.skip + word(a_first)?, b.skip + word(b_first)?);
        let fours = |numbers: [u32; 3]| numbers.iter().all(|number| number.is_multiple_of(4));
        let parameters = [
            m,
            n,
            k,
            flags,
            lda,
            ldb,
            word(to.out.columns())?,
            word(first + self.columns.start)?,
            a_offset,
            b_offset,
            c.skip + word(to.first + self.columns.start)?,
            product.alpha.to_bits(),
        ];
        let (entry, height, width) = shape(context.settings().tiling, self.rows.len(), self.columns.len());
        context.call(&Call {
            kernel: &GEMM,
            entry,
            constants: &[
                ("A_TRANSPOSED", product.transpose_a),
                ("B_TRANSPOSED", product.transpose_b),
                ("A_VEC4", product.transpose_a && fours([m, lda, a_offset])),
                ("B_VEC4", !product.transpose_b && fours([n, ldb, b_offset])),
            ],
            parameters: &parameters,
            windows: &[(1, a), (2, a), (3, b), (4, b), (5, bias), (6, bar), (7, c)],
            groups: (n.div_ceil(width), m.div_ceil(height)),
        })
    }
}

/// Flags, bias and thresholds.
type Vectors<'a> = (u32, &'a GpuArray<f32>, Option<&'a GpuArray<f32>>);

fn vectors<'a>(epilogue: &Epilogue<'a>) -> Option<Vectors<'a>> {
    match *epilogue {
        Epilogue::Plain => None,
        Epilogue::Bias(bias) => Some((BIAS, bias, None)),
        Epilogue::Relu(bias) => Some((BIAS | RELU, bias, None)),
        Epilogue::JumpRelu(bias, bars) => Some((BIAS | JUMP, bias, Some(bars))),
    }
}

/// Entry point, rows and columns of a tile. Large tiles need less memory traffic, but enough of them to fill a device.
fn shape(tiling: Tiling, m: usize, n: usize) -> (&'static str, u32, u32) {
    const ENOUGH: usize = 128;
    match tiling {
        Tiling::FewRows => ("few_rows", 4, 64),
        Tiling::Tile64 => ("tile64", 64, 64),
        Tiling::Tile128 => ("tile128", 128, 128),
        Tiling::Automatic if m <= 8 => ("few_rows", 4, 64),
        Tiling::Automatic if (m / 128) * (n / 128) >= ENOUGH => ("tile128", 128, 128),
        Tiling::Automatic => ("tile64", 64, 64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_follow_the_sizes_unless_forced() {
        assert_eq!(shape(Tiling::Automatic, 1, 4096).0, "few_rows");
        assert_eq!(shape(Tiling::Automatic, 64, 64).0, "tile64");
        assert_eq!(shape(Tiling::Automatic, 4096, 4096).0, "tile128");
        assert_eq!(shape(Tiling::Tile64, 1, 1).0, "tile64");
    }
}
