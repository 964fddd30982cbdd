//! Random numbers and projections on the device, from the processor's own generator.
//!
//! The words are those of [`math::random`](crate::math::random), bit by bit, for any seed, purpose and item; signs of a
//! [`Projection`] follow exactly, their scale `1/√k` is rounded to single precision.
//!
//! Source: as [`math::random`](crate::math::random).

use super::array::GpuArray;
use super::context::{Call, GpuContext, Window, grid, word};
use super::kernels::RANDOM;
use crate::error::{check_each, check_limit};
use crate::influence::estimators::{Entries, Projection, Side};
use crate::math::chacha::BATCH;
use crate::{Error, Result, Seed};

/// Most words of one stream.
const MAX_WORDS: usize = 1 << 30;

/// The first `words` words of the streams `items.0..items.0 + items.1` of one purpose, `(items.1, words)` with `words` rounded up to a
/// multiple of 256.
///
/// # Errors
/// [`Error::TooLarge`], [`Error::Gpu`].
///
/// # Example
/// ```no_run
/// use limpid::Seed;
/// use limpid::gpu::{GpuContext, GpuSettings, random};
/// use rand::Rng;
///
/// let gpu = GpuContext::new(GpuSettings::default())?;
/// let words = gpu.read_blocking(&random::words(&gpu, Seed(1), 7, (3, 2), 256)?)?;
/// assert_eq!(words[[1, 0]], Seed(1).stream(7, 4).next_u32());
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn words(
    context: &GpuContext,
    seed: Seed,
    purpose: u64,
    items: (u64, usize),
    words: usize,
) -> Result<GpuArray<u32>> {
    check_limit("random words", words, MAX_WORDS)?;
    let batches = words.div_ceil(BATCH);
    let out = GpuArray::uninitialised(context, items.1, batches * BATCH)?;
    Streams { key: seed.key(purpose), first: items.0, batches, scale: 0.0 }.fill(context, "key_stream", &out)?;
    Ok(out)
}

/// Rows `first..first + count` of `P/√k` of a projection by signs, `(count, k)`, for one layer and side.
///
/// # Errors
/// [`Error::OutOfRange`] for `k` of 0, [`Error::Unsupported`] for normal entries, [`Error::TooLarge`], [`Error::Gpu`].
pub fn projection(
    context: &GpuContext,
    projection: &Projection,
    (layer, side): (usize, Side),
    first: usize,
    count: usize,
) -> Result<GpuArray<f32>> {
    check_each("k", &[projection.k as f64], ">= 1", |k: f64| k >= 1.0)?;
    if projection.entries != Entries::Rademacher {
        return Err(Error::Unsupported { what: "normal projections on the device" });
    }
    check_limit("k", projection.k, MAX_WORDS)?;
    let out = GpuArray::uninitialised(context, count, projection.k)?;
    let streams = Streams {
        key: projection.seed.key(side.purpose(layer)),
        first: first as u64,
        batches: projection.k.div_ceil(32 * BATCH),
        scale: narrow(1.0 / libm::sqrt(projection.k as f64)),
    };
    streams.fill(context, "signs", &out)?;
    Ok(out)
}

#[expect(clippy::cast_possible_truncation, reason = "rounding to single precision is what is asked for")]
fn narrow(x: f64) -> f32 {
    x as f32
}

/// Which streams.
struct Streams {
    key: [u32; 8],
    first: u64,
    /// Batches of each stream that are needed.
    batches: usize,
    scale: f32,
}

impl Streams {
    /// Fills the rows of `out`, a stream for each.
    fn fill<E: super::GpuElement>(&self, context: &GpuContext, entry: &'static str, out: &GpuArray<E>) -> Result<()> {
        if out.is_empty() {
            return Ok(());
        }
        let (rows, columns) = out.dim();
        let at_once = context.rows_at_once(columns)?;
        for start in (0..rows).step_by(at_once) {
            let part = start..rows.min(start + at_once);
            let to: Window<'_> = out.window(context, part.clone())?;
            let first = self.first.wrapping_add(start as u64).to_le_bytes();
            let half = |at: usize| first[at..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
            let mut parameters = [0; 16];
            parameters[..8].copy_from_slice(&self.key);
            let sizes = [half(0), half(4), word(part.len())?, word(self.batches)?];
            parameters[8..12].copy_from_slice(&sizes);
            parameters[12..15].copy_from_slice(&[word(columns)?, self.scale.to_bits(), to.skip]);
            let blocks = (part.len() * self.batches).checked_mul(16).unwrap_or(usize::MAX);
            check_limit("blocks of random words", blocks, u32::MAX as usize)?;
            let groups = grid(blocks.div_ceil(64))?;
            let windows = &[(1, to)];
            context.call(&Call { kernel: &RANDOM, entry, constants: &[], parameters: &parameters, windows, groups })?;
        }
        Ok(())
    }
}
