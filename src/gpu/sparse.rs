//! Decoding from active features and its transpose on the device, every sum in one fixed order.
//!
//! ```text
//! x' = shift + Σ_j f_j w_j              active latents j of a sample, ascending
//! ∂L/∂f_j = G · w_j + c ν_j             where f_j > 0
//! ∂L/∂w_i = Σ_s f_s G_s                 samples s of latent i, ascending
//! ```
//!
//! Single precision. A sum of `k` terms is within `γ Σ|f w|` of the exact one, `γ = k u/(1 - k u)`, `u = 2⁻²⁴`; dot products
//! over `d` go in 64 strands, `γ` for `d/64 + 7` terms. The result is the same at every run.
//!
//! Source: the division of work is that of Gao et al. (arXiv 2406.04093), appendix on kernels; the samples of a latent are put
//! in order where that uses atomic additions.

use core::ops::Range;

use super::array::GpuArray;
use super::context::{GpuContext, Window, grid, pieces, word};
use super::kernels::SPARSE;
use super::select::TopK;
use crate::Result;

pub(super) const FIRST: u32 = 1;
pub(super) const NORMS: u32 = 2;
pub(super) const SIGNED: u32 = 4;

/// Parameters of a call, in the order of the kernel.
#[derive(Debug, Clone, Copy, Default)]
struct Parameters {
    rows: usize,
    k: usize,
    d: usize,
    latents: usize,
    range: (usize, usize),
    w_offset: u32,
    flags: u32,
    slope: f32,
    extra: f32,
    x_offset: u32,
    entries: usize,
}

impl Parameters {
    fn words(&self) -> Result<[u32; 12]> {
        Ok([
            word(self.rows)?,
            word(self.k)?,
            word(self.d)?,
            word(self.latents)?,
            word(self.range.0)?,
            word(self.range.1)?,
            self.w_offset,
            self.flags,
            self.slope.to_bits(),
            self.extra.to_bits(),
            self.x_offset,
            word(self.entries)?,
        ])
    }
}

/// `shift + f W`, `(b, d)`, from the features of `codes`, `w: (m, d)` and `shift: (1, d)`.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape), [`Error::TooLarge`](crate::Error::TooLarge), [`Error::Gpu`](crate::Error::Gpu).
pub fn decode(context: &GpuContext, codes: &TopK, w: &GpuArray<f32>, shift: &GpuArray<f32>) -> Result<GpuArray<f32>> {
    let (m, d) = w.dim();
    shift.check_dim("shift", (1, d))?;
    codes.indices.check_dim("indices", codes.values.dim())?;
    let out = GpuArray::uninitialised(context, codes.values.rows(), d)?;
    if out.is_empty() {
        return Ok(out);
    }
    let by_four = d.is_multiple_of(4);
    let at_once = context.rows_at_once(d)?;
    let mut parameters = Parameters { rows: out.rows(), k: codes.k(), d, flags: FIRST, ..Parameters::default() };
    for first in (0..m.max(1)).step_by(at_once) {
        let part = first..m.min(first + at_once);
        let rows = w.window(context, part.clone())?;
        parameters.range = (part.start, part.end);
        parameters.w_offset = rows.skip;
        let windows = [
            (1, codes.indices.whole(context)?),
            (2, codes.values.whole(context)?),
            (3, rows),
            (4, shift.whole(context)?),
            (5, out.whole(context)?),
        ];
        let entry = if by_four && rows.skip.is_multiple_of(4) { "decode4" } else { "decode" };
        context.run(&SPARSE, entry, &parameters.words()?, &windows, grid(out.rows())?)?;
        parameters.flags = 0;
    }
    Ok(out)
}

/// Turns outputs into `slope` times their errors against `target`, both `(b, d)`; returns the squares `(1, b)` of the errors.
///
/// # Errors
/// As [`decode`].
pub fn residual(
    context: &GpuContext,
    out: &mut GpuArray<f32>,
    target: &GpuArray<f32>,
    slope: f32,
) -> Result<GpuArray<f32>> {
    target.check_dim("target", out.dim())?;
    let squares = context.zeros(1, out.rows())?;
    if out.is_empty() {
        return Ok(squares);
    }
    let parameters = Parameters { rows: out.rows(), d: out.columns(), slope, ..Parameters::default() };
    let windows = [(5, out.whole(context)?), (6, target.whole(context)?), (7, squares.whole(context)?)];
    context.run(&SPARSE, "residual", &parameters.words()?, &windows, grid(out.rows())?)?;
    Ok(squares)
}

/// Gradients `(b, k)` by the pre-activations of active features, from `by_output: (b, d)`: what the features pass on, and
/// `extra`, times the `norms: (1, m)` where there are some, of a penalty. 0 where a feature is not above 0.
///
/// # Errors
/// As [`decode`].
pub fn by_features(
    context: &GpuContext,
    codes: &TopK,
    w: &GpuArray<f32>,
    by_output: &GpuArray<f32>,
    extra: f32,
    norms: Option<&GpuArray<f32>>,
) -> Result<GpuArray<f32>> {
    let Some(norms) = norms else { return differentiate(context, codes, w, by_output, (0, extra, context.blank())) };
    norms.check_dim("norms", (1, w.rows()))?;
    if norms.is_empty() {
        return context.zeros(codes.values.rows(), codes.k());
    }
    differentiate(context, codes, w, by_output, (NORMS, extra, norms.whole(context)?))
}

/// As [`by_features`] without a penalty, for features of both signs.
pub(super) fn by_signed_features(
    context: &GpuContext,
    codes: &TopK,
    w: &GpuArray<f32>,
    by_output: &GpuArray<f32>,
) -> Result<GpuArray<f32>> {
    differentiate(context, codes, w, by_output, (SIGNED, 0.0, context.blank()))
}

fn differentiate(
    context: &GpuContext,
    codes: &TopK,
    w: &GpuArray<f32>,
    by_output: &GpuArray<f32>,
    (flags, extra, norms): (u32, f32, Window<'_>),
) -> Result<GpuArray<f32>> {
    let (m, d) = w.dim();
    let (rows, k) = codes.values.dim();
    by_output.check_dim("gradient by outputs", (rows, d))?;
    let out = context.zeros(rows, k)?;
    if out.is_empty() || m == 0 {
        return Ok(out);
    }
    let at_once = context.rows_at_once(d)?;
    for part in pieces(m, at_once) {
        let w_rows = w.window(context, part.clone())?;
        let (range, w_offset) = ((part.start, part.end), w_rows.skip);
        let parameters = Parameters { rows, k, d, range, w_offset, flags, extra, ..Parameters::default() };
        let windows = [
            (1, codes.indices.whole(context)?),
            (2, codes.values.whole(context)?),
            (3, w_rows),
            (4, by_output.whole(context)?),
            (5, out.whole(context)?),
            (6, norms),
        ];
        context.run(&SPARSE, "by_feature", &parameters.words()?, &windows, grid(rows * k)?)?;
    }
    Ok(out)
}

/// Adds the features of `codes` that are not 0 to the counts `(1, m)` of their latents.
pub(super) fn add_counts(context: &GpuContext, codes: &TopK, counts: &mut GpuArray<u32>) -> Result<()> {
    let entries = codes.values.rows() * codes.k();
    let parameters = Parameters { latents: counts.columns(), entries, ..Parameters::default() }.words()?;
    let windows = [(1, codes.indices.whole(context)?), (2, codes.values.whole(context)?), (3, counts.whole(context)?)];
    context.run(&SPARSE, "count", &parameters, &windows, grid(entries.div_ceil(256))?)
}

/// The samples of each latent.
#[derive(Debug)]
pub struct Uses {
    /// Features that are not 0, `(1, m)` by latent.
    pub counts: GpuArray<u32>,
    /// Where the entries of each latent start, `(1, m + 1)`.
    starts: GpuArray<u32>,
    /// Entries, sample times `k` plus slot, `(b, k)`: those of each latent together, ascending.
    entries: GpuArray<u32>,
    k: usize,
}

impl Uses {
    /// Sorts the features of `codes` that are not 0 by their latents, of which there are `m`.
    ///
    /// # Errors
    /// [`Error::TooLarge`](crate::Error::TooLarge), [`Error::Gpu`](crate::Error::Gpu).
    pub fn new(context: &GpuContext, codes: &TopK, m: usize) -> Result<Self> {
        let (rows, k) = codes.values.dim();
        let (mut counts, cursors) = (context.zeros(1, m)?, context.zeros::<u32>(1, m)?);
        let starts = context.zeros(1, m + 1)?;
        let (places, entries) =
            (GpuArray::<u32>::uninitialised(context, rows, k)?, GpuArray::uninitialised(context, rows, k)?);
        if codes.values.is_empty() || m == 0 {
            return Ok(Self { counts, starts, entries, k });
        }
        add_counts(context, codes, &mut counts)?;
        let uses = Self { counts, starts, entries, k };
        let parameters = Parameters { latents: m, entries: rows * k, ..Parameters::default() }.words()?;
        let per_entry = grid((rows * k).div_ceil(256))?;
        let starts = uses.starts.whole(context)?;
        let codes = [(1, codes.indices.whole(context)?), (2, codes.values.whole(context)?)];
        let [indices, features] = codes;
        let counted = uses.counts.whole(context)?;
        context.run(&SPARSE, "scan", &parameters, &[(1, counted), (2, starts)], (1, 1))?;
        let placing = [indices, features, (3, cursors.whole(context)?), (4, starts), (5, places.whole(context)?)];
        context.run(&SPARSE, "place", &parameters, &placing, per_entry)?;
        let ordering = [(1, places.whole(context)?), (2, uses.entries.whole(context)?), (4, starts)];
        context.run(&SPARSE, "order", &parameters, &ordering, grid(m)?)?;
        Ok(uses)
    }

    /// Writes (or adds) `Σ weight · row` over the samples of the latents `range` to the first rows of `out: (.., d)`;
    /// `weights: (b, k)`, `rows: (b, d)`.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape), [`Error::TooLarge`](crate::Error::TooLarge), [`Error::Gpu`](crate::Error::Gpu).
    pub fn accumulate(
        &self,
        context: &GpuContext,
        (weights, rows): (&GpuArray<f32>, &GpuArray<f32>),
        range: Range<usize>,
        add: bool,
        out: &mut GpuArray<f32>,
    ) -> Result<()> {
        weights.check_dim("weights", self.entries.dim())?;
        rows.check_dim("rows", (weights.rows(), out.columns()))?;
        crate::error::check_limit("latents", range.end, self.counts.columns())?;
        crate::error::check_limit("latents of a piece", range.len(), out.rows())?;
        let flags = if add { 0 } else { FIRST };
        let at_once = context.rows_at_once(out.columns())?;
        for part in pieces(range.len(), at_once) {
            let to = out.window(context, part.clone())?;
            let parameters = Parameters {
                k: self.k,
                d: out.columns(),
                range: (range.start + part.start, range.start + part.end),
                w_offset: to.skip,
                flags,
                ..Parameters::default()
            };
            let windows = [
                (1, self.entries.whole(context)?),
                (3, weights.whole(context)?),
                (4, self.starts.whole(context)?),
                (5, rows.whole(context)?),
                (6, to),
            ];
            context.run(&SPARSE, "accumulate", &parameters.words()?, &windows, grid(part.len())?)?;
        }
        Ok(())
    }

    /// Writes (or adds) the sums of the weights of each latent to `out: (1, m)`.
    ///
    /// # Errors
    /// As [`Uses::accumulate`].
    pub fn weigh(
        &self,
        context: &GpuContext,
        weights: &GpuArray<f32>,
        add: bool,
        out: &mut GpuArray<f32>,
    ) -> Result<()> {
        let m = self.counts.columns();
        weights.check_dim("weights", self.entries.dim())?;
        out.check_dim("out", (1, m))?;
        let flags = if add { 0 } else { FIRST };
        let parameters = Parameters { k: self.k, latents: m, flags, ..Parameters::default() };
        let windows = [
            (1, self.entries.whole(context)?),
            (3, weights.whole(context)?),
            (4, self.starts.whole(context)?),
            (6, out.whole(context)?),
        ];
        context.run(&SPARSE, "weigh", &parameters.words()?, &windows, grid(m.div_ceil(64))?)
    }
}
