//! Random numbers and projections on the device, from the processor's own generator.
//!
//! The words are those of [`math::random`](crate::math::random), bit by bit, for any seed, purpose and item; signs of a
//! [`Projection`] follow exactly, their scale `1/√k` is rounded to single precision.
//!
//! Source: as [`math::random`](crate::math::random).

use core::ops::Range;

use ndarray::Array2;

use super::array::{GpuArray, GpuElement};
use super::context::{GpuContext, Window, grid, word};
use super::kernels::RANDOM;
use crate::error::{check_each, check_limit};
use crate::influence::estimators::{Entries, Projection, Side};
use crate::math::chacha::BATCH;
use crate::{Error, Result, Scalar, Seed};

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
    let keys = keys(context, &[seed.key(purpose)])?;
    let streams = Streams { keys: &keys, first: items.0, per_key: items.1, batches, scale: 0.0 };
    streams.fill(context, "key_stream", &out, 0..if out.is_empty() { 0 } else { items.1 })?;
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
    let keys = keys(context, &[projection.seed.key(side.purpose(layer))])?;
    let streams = Streams {
        keys: &keys,
        first: first as u64,
        per_key: count,
        batches: projection.k.div_ceil(32 * BATCH),
        scale: f32::of(1.0 / libm::sqrt(projection.k as f64)),
    };
    streams.fill(context, "signs", &out, 0..count)?;
    Ok(out)
}

/// Keys of streams, one per row.
pub(super) fn keys(context: &GpuContext, keys: &[[u32; 8]]) -> Result<GpuArray<u32>> {
    context.upload(&Array2::from_shape_fn((keys.len(), 8), |(row, at)| keys[row][at]))
}

/// Which streams, of keys in the rows of `(keys, 8)`.
pub(super) struct Streams<'a> {
    pub(super) keys: &'a GpuArray<u32>,
    /// Number of the first stream of every key.
    pub(super) first: u64,
    /// Streams of each key.
    pub(super) per_key: usize,
    /// Batches of each stream that are needed.
    pub(super) batches: usize,
    /// Size of signs.
    pub(super) scale: f32,
}

impl Streams<'_> {
    /// Fills the rows `rows` of `out`, a stream for each.
    pub(super) fn fill<E: GpuElement>(
        &self,
        context: &GpuContext,
        entry: &'static str,
        out: &GpuArray<E>,
        rows: Range<usize>,
    ) -> Result<()> {
        let columns = out.columns();
        let at_once = context.rows_at_once(columns)?;
        // where one key serves all rows, pieces go on with its streams; where there are several, all rows are one piece
        let one = self.keys.rows() == 1;
        check_limit("streams at once", rows.len(), if one { usize::MAX } else { at_once })?;
        for start in rows.clone().step_by(at_once) {
            let part = start..rows.end.min(start + at_once);
            let to: Window<'_> = out.window(context, part.clone())?;
            let first = self.first.wrapping_add((start - rows.start) as u64).to_le_bytes();
            let half = |at: usize| first[at..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
            let parameters = [
                half(0),
                half(4),
                word(part.len())?,
                word(self.batches)?,
                word(columns)?,
                self.scale.to_bits(),
                to.skip,
                word(self.per_key.max(1))?,
            ];
            let blocks = part.len().saturating_mul(self.batches).saturating_mul(16);
            check_limit("blocks of random words", blocks, u32::MAX as usize)?;
            let groups = grid(blocks.div_ceil(64))?;
            let windows = &[(1, to), (2, self.keys.whole(context)?)];
            context.run(&RANDOM, entry, &parameters, windows, groups)?;
        }
        Ok(())
    }
}
