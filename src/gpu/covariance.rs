//! Covariances for K-FAC and rotations into their eigenbases on the device.
//!
//! ```text
//! C = Σ_t w_t x_t x_tᵀ        symmetric to the bit        x Q  and  x Qᵀ
//! ```
//!
//! Single precision on the device: sums of 256 rows from 0, which are then added. An entry over `n` rows is within
//! `(257 + n/256) u Σ w|x_i x_j|` of the exact one, `u = 2⁻²⁴`, where the processor sums in double precision. That is enough for
//! eigenvectors of large eigenvalues; eigenvalues below about `(257 + n/256) u` of the largest are noise and may come out below 0,
//! which [`FactorHealth`](crate::influence::FactorHealth) shows. What several calls give is added in double precision.
//!
//! Source: as [`CovarianceAccumulator`].

use super::array::GpuArray;
use super::context::{GpuContext, pieces, word};
use super::gemm::{Product, multiply};
use super::kernels::COVARIANCE;
use crate::influence::{CovarianceAccumulator, LayerRows};
use crate::{Result, Scalar};

pub(super) const ADD: u32 = 1;
pub(super) const WEIGHTED: u32 = 2;

/// Adds `Σ w x xᵀ` over the rows of `x: (t, d)` to `out: (d, d)`; `weights: (1, t)`, 1 without. `out` stays symmetric.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape), [`Error::TooLarge`](crate::Error::TooLarge) where `out` exceeds what a kernel sees of
/// an array, [`Error::Gpu`](crate::Error::Gpu).
pub fn add_rank_k(
    context: &GpuContext,
    x: &GpuArray<f32>,
    weights: Option<&GpuArray<f32>>,
    out: &mut GpuArray<f32>,
) -> Result<()> {
    let (rows, d) = x.dim();
    out.check_dim("out", (d, d))?;
    if let Some(weights) = weights {
        weights.check_dim("weights", (1, rows))?;
    }
    if x.is_empty() {
        return Ok(());
    }
    let at_once = context.rows_at_once(d)?;
    let (flags, of_weights) = match weights {
        Some(weights) => (ADD | WEIGHTED, weights.whole(context)?),
        None => (ADD, context.blank()),
    };
    let tiles = word(d.div_ceil(64))?;
    for part in pieces(rows, at_once) {
        let from = x.window(context, part.clone())?;
        let parameters = [word(part.len())?, word(d)?, from.skip, of_weights.skip + word(part.start)?, flags, 0, 0, 0];
        context.run(
            &COVARIANCE,
            "rank_k",
            &parameters,
            &[(1, from), (2, of_weights), (3, out.whole(context)?)],
            (tiles, tiles),
        )?;
    }
    Ok(())
}

/// `X Q`, or `X Qᵀ` on the way `back`, for rows `x: (t, d)` and eigenvectors `q: (d, d)` in columns.
///
/// # Errors
/// As [`gemm`](super::gemm::product).
pub fn rotate(context: &GpuContext, x: &GpuArray<f32>, q: &GpuArray<f32>, back: bool) -> Result<GpuArray<f32>> {
    multiply(context, &Product { transpose_b: back, ..Product::new(x, q) })
}

/// As [`CovarianceAccumulator::update`], with the sums made on the device and read back once.
///
/// # Errors
/// Those of [`CovarianceAccumulator::update`] and of [`add_rank_k`]; nothing is taken up then.
pub async fn update(
    context: &GpuContext,
    covariance: &mut CovarianceAccumulator,
    rows: &LayerRows<'_, f32>,
) -> Result<()> {
    let (d_in, d_out) = (covariance.spec().d_in, covariance.spec().d_out);
    let (mut activation, mut gradient) = (context.zeros(d_in, d_in)?, context.zeros(d_out, d_out)?);
    for block in rows.blocks::<f32>() {
        let weights = rows.is_weighted().then(|| {
            let weights = block.rows.iter().map(|&row| f32::of(rows.row_weight(row)));
            context.upload_vector(&weights.collect::<ndarray::Array1<f32>>())
        });
        let weights = weights.transpose()?;
        add_rank_k(context, &context.upload(&block.a)?, weights.as_ref(), &mut activation)?;
        add_rank_k(context, &context.upload(&block.g)?, weights.as_ref(), &mut gradient)?;
    }
    let sums = context.read_many([&activation, &gradient]).await?;
    let [activation, gradient] = sums.map(|x| x.mapv(f64::from));
    covariance.update_by_sums(rows, &activation, &gradient)
}

/// As [`update`], and waits.
///
/// # Errors
/// As [`update`].
#[cfg(not(target_arch = "wasm32"))]
pub fn update_blocking(
    context: &GpuContext,
    covariance: &mut CovarianceAccumulator,
    rows: &LayerRows<'_, f32>,
) -> Result<()> {
    pollster::block_on(update(context, covariance, rows))
}
