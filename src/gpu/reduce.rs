//! Sums over rows and columns on the device, in a fixed order.
//!
//! A row of `n` numbers is summed in 256 strands that are then added in pairs: each sum is within
//! `(n/256 + 9) u Σ|x|` of the exact one, `u = 2⁻²⁴`. Columns go in 8 strands of rows: `(n/8 + 4) u Σ|x|` for `n` rows.

use super::array::GpuArray;
use super::context::{GpuContext, grid, pieces, word};
use super::kernels::REDUCE;
use crate::Result;

/// What is summed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Term {
    /// The numbers.
    #[default]
    Value,
    /// Their squares.
    Square,
    /// 1 for each that is not 0.
    Active,
}

impl Term {
    pub(super) const fn code(self) -> u32 {
        match self {
            Self::Value => 0,
            Self::Square => 1,
            Self::Active => 2,
        }
    }
}

/// Sums of the rows of `x: (b, n)`, `(1, b)`.
///
/// # Errors
/// [`Error::TooLarge`](crate::Error::TooLarge), [`Error::Gpu`](crate::Error::Gpu).
pub fn row_sums(context: &GpuContext, x: &GpuArray<f32>, term: Term) -> Result<GpuArray<f32>> {
    let out = context.zeros(1, x.rows())?;
    if x.is_empty() {
        return Ok(out);
    }
    let at_once = context.rows_at_once(x.columns())?;
    for rows in pieces(x.rows(), at_once) {
        let groups = grid(rows.len())?;
        let from = x.window(context, rows.clone())?;
        let to = out.whole(context)?;
        let parameters = [
            word(rows.len())?,
            word(x.columns())?,
            from.skip,
            term.code(),
            to.skip + word(rows.start)?,
            0,
            1.0_f32.to_bits(),
            0,
        ];
        let windows = [(1, from), (2, to)];
        context.run(&REDUCE, "row_sums", &parameters, &windows, groups)?;
    }
    Ok(out)
}

/// Sums of the columns of `x: (b, n)`, `(1, n)`.
///
/// # Errors
/// As [`row_sums`].
pub fn column_sums(context: &GpuContext, x: &GpuArray<f32>, term: Term) -> Result<GpuArray<f32>> {
    let mut out = context.zeros(1, x.columns())?;
    add_column_sums(context, x, term, 1.0, &mut out)?;
    Ok(out)
}

/// Adds `scale` times the sums of the columns of `x: (b, n)` to `out: (1, n)`.
///
/// # Errors
/// As [`row_sums`], and [`Error::Shape`](crate::Error::Shape).
pub fn add_column_sums(
    context: &GpuContext,
    x: &GpuArray<f32>,
    term: Term,
    scale: f32,
    out: &mut GpuArray<f32>,
) -> Result<()> {
    out.check_dim("out", (1, x.columns()))?;
    if x.is_empty() {
        return Ok(());
    }
    let at_once = context.rows_at_once(x.columns())?;
    let groups = grid(x.columns().div_ceil(32))?;
    for rows in pieces(x.rows(), at_once) {
        let (from, to) = (x.window(context, rows.clone())?, out.whole(context)?);
        let parameters =
            [word(rows.len())?, word(x.columns())?, from.skip, term.code(), to.skip, 1, scale.to_bits(), 0];
        context.run(&REDUCE, "column_sums", &parameters, &[(1, from), (2, to)], groups)?;
    }
    Ok(())
}

/// The sum of everything in `x`, `(1, 1)`: rows first, then what they give.
///
/// # Errors
/// As [`row_sums`].
pub fn total(context: &GpuContext, x: &GpuArray<f32>, term: Term) -> Result<GpuArray<f32>> {
    let mut out = context.zeros(1, 1)?;
    add_total(context, x, term, 1.0, &mut out)?;
    Ok(out)
}

/// Adds `scale` times the sum of everything in `x: (b, n)` to `out: (1, 1)`: rows first, then what they give.
///
/// # Errors
/// As [`add_column_sums`].
pub fn add_total(
    context: &GpuContext,
    x: &GpuArray<f32>,
    term: Term,
    scale: f32,
    out: &mut GpuArray<f32>,
) -> Result<()> {
    let rows = x.rows();
    add_column_sums(context, &row_sums(context, x, term)?.reshaped(rows, 1), Term::Value, scale, out)
}
