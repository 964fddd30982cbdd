//! Elementwise work on the device: centring of inputs, and which latents are silent. Exact: one subtraction rounds as on the
//! processor.

use super::array::GpuArray;
use super::context::{GpuContext, Window, grid, pieces, word};
use super::kernels::POINTWISE;
use crate::Result;

/// `x - row` for every row of `x: (b, d)`, `row: (1, d)`.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape), [`Error::TooLarge`](crate::Error::TooLarge), [`Error::Gpu`](crate::Error::Gpu).
pub fn centre(context: &GpuContext, x: &GpuArray<f32>, row: &GpuArray<f32>) -> Result<GpuArray<f32>> {
    let (rows, d) = x.dim();
    row.check_dim("row", (1, d))?;
    let out = GpuArray::uninitialised(context, rows, d)?;
    if out.is_empty() {
        return Ok(out);
    }
    let at_once = context.rows_at_once(d)?;
    for part in pieces(rows, at_once) {
        let (from, to) = (x.window(context, part.clone())?, out.window(context, part.clone())?);
        let count = part.len() * d;
        let parameters = [word(count)?, word(d)?, from.skip, to.skip, 0, 0, 0, 0];
        let windows = [(1, from), (2, row.whole(context)?), (3, to)];
        call(context, "centre", &parameters, &windows, count)?;
    }
    Ok(out)
}

/// Square roots of `x: (1, n)`.
pub(super) fn roots(context: &GpuContext, x: &GpuArray<f32>) -> Result<GpuArray<f32>> {
    let out = GpuArray::uninitialised(context, x.rows(), x.columns())?;
    let count = x.rows() * x.columns();
    let parameters = [word(count)?, 0, 0, 0, 0, 0, 0, 0];
    call(context, "roots", &parameters, &[(1, x.whole(context)?), (3, out.whole(context)?)], count)?;
    Ok(out)
}

/// Adds `factor x` to `out`, both of one shape.
pub(super) fn blend(context: &GpuContext, x: &GpuArray<f32>, factor: f32, out: &mut GpuArray<f32>) -> Result<()> {
    x.check_dim("x", out.dim())?;
    let count = x.rows() * x.columns();
    let parameters = [word(count)?, 0, 0, 0, 0, 0, factor.to_bits(), 0];
    call(context, "blend", &parameters, &[(1, x.whole(context)?), (3, out.whole(context)?)], count)
}

/// Multiplies `out` by `factor` and by `x: (1, 1)`.
pub(super) fn times(context: &GpuContext, x: &GpuArray<f32>, factor: f32, out: &mut GpuArray<f32>) -> Result<()> {
    let count = out.rows() * out.columns();
    let parameters = [word(count)?, 0, 0, 0, 0, 0, factor.to_bits(), 0];
    call(context, "times", &parameters, &[(1, x.whole(context)?), (3, out.whole(context)?)], count)
}

/// `factor share/divisor`, `(1, 1)`, 0 where `many` or the divisor are not above 0; the share is `min(many/most, 1)`, 1 without `most`.
pub(super) fn share(
    context: &GpuContext,
    divisor: &GpuArray<f32>,
    (many, most): (&GpuArray<f32>, Option<usize>),
    factor: f32,
) -> Result<GpuArray<f32>> {
    let out = context.zeros(1, 1)?;
    let parameters = [1, 0, 0, 0, 0, word(most.unwrap_or(0))?, factor.to_bits(), 0];
    let windows = [(1, divisor.whole(context)?), (2, many.whole(context)?), (3, out.whole(context)?)];
    call(context, "share", &parameters, &windows, 1)?;
    Ok(out)
}

/// Takes up the uses `(1, m)` of a batch of `rows` samples: `silent: (1, m)` are samples since each latent fired, `dead: (1, m)`
/// becomes 1 for those that are silent for `limit` samples. Nothing changes where the `loss: (1, 1)` is not finite.
pub(super) fn follow(
    context: &GpuContext,
    (uses, loss): (&GpuArray<u32>, &GpuArray<f32>),
    (silent, dead): (&mut GpuArray<u32>, &mut GpuArray<f32>),
    rows: usize,
    limit: u64,
) -> Result<()> {
    let m = uses.columns();
    let limit = u32::try_from(limit).unwrap_or(u32::MAX);
    let parameters = [word(m)?, 0, 0, 0, word(rows)?, limit, 0, 0];
    let windows =
        [(1, uses.whole(context)?), (2, loss.whole(context)?), (3, dead.whole(context)?), (4, silent.whole(context)?)];
    call(context, "follow", &parameters, &windows, m)
}

fn call(
    context: &GpuContext,
    entry: &'static str,
    parameters: &[u32],
    windows: &[(u32, Window<'_>)],
    count: usize,
) -> Result<()> {
    context.run(&POINTWISE, entry, parameters, windows, grid(count.div_ceil(256))?)
}
