//! Adam on the device, gradients along the sphere and rows of unit length: what [`math::optim`](crate::math::optim) and
//! [`sae::decoder_norm`](crate::sae::decoder_norm) do on the processor.
//!
//! ```text
//! g_i ← g_i - (g_i · w_i)/(w_i · w_i) w_i        m, v, θ as in Adam        w_i ← w_i/‖w_i‖
//! ```
//!
//! Elementwise in single precision: a division and a root may be a few units in the last place off where the processor
//! rounds exactly, so that one step differs by a few `u s`, `u = 2⁻²⁴`, `s` the learning rate. Squares are not scaled: a row
//! longer than about 10¹⁹ is left as it is.
//!
//! Source: as the twins.

use core::ops::Range;

use super::array::GpuArray;
use super::context::{GpuContext, grid, pieces, word};
use super::kernels::OPTIM;
use crate::error::{check_each, check_limit};
use crate::math::optim::{AdamStep, Optimizer};
use crate::{Error, Result};

/// Gradients are clipped.
pub(super) const CLIP: u32 = 1;

/// First and second moment of a parameter, of its shape.
#[derive(Debug)]
pub struct Moments {
    /// First moment.
    pub first: GpuArray<f32>,
    /// Second moment.
    pub second: GpuArray<f32>,
}

/// How a step is held back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Guard<'a> {
    /// A loss `(1, 1)`: where it is not finite, nothing moves.
    pub(super) loss: &'a GpuArray<f32>,
    /// Longest gradient, and the square `(1, 1)` of the length of all gradients together.
    pub(super) clip: Option<(f32, &'a GpuArray<f32>)>,
}

impl Moments {
    /// Moments before the first step of `parameter`.
    ///
    /// # Errors
    /// [`Error::Gpu`], [`Error::TooLarge`].
    pub fn new(context: &GpuContext, parameter: &GpuArray<f32>) -> Result<Self> {
        let (rows, columns) = parameter.dim();
        Ok(Self { first: context.zeros(rows, columns)?, second: context.zeros(rows, columns)? })
    }

    /// Step number `t`, from 1, of a whole `parameter` against a `gradient` of its shape.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::Gpu`], and those of [`Optimizer::check`]; [`Error::Unsupported`] for SGD,
    /// [`Error::OutOfRange`] for a learning rate that is not finite or a step of 0.
    pub fn step(
        &mut self,
        context: &GpuContext,
        parameter: &mut GpuArray<f32>,
        gradient: &GpuArray<f32>,
        optimizer: &Optimizer,
        (learning_rate, t): (f64, usize),
    ) -> Result<()> {
        optimizer.check()?;
        check_each("learning_rate", &[learning_rate], "finite", f64::is_finite)?;
        check_each("step", &[t as f64], ">= 1", |t: f64| t >= 1.0)?;
        self.first.check_dim("moments", parameter.dim())?;
        gradient.check_dim("gradient", parameter.dim())?;
        let adam = adam_step(optimizer, learning_rate, t)?;
        let loss = context.zeros(1, 1)?;
        let guard = Guard { loss: &loss, clip: None };
        let at_once = context.rows_at_once(parameter.columns())?;
        for rows in pieces(parameter.rows(), at_once) {
            adam_rows(context, (parameter, self), rows.clone(), (gradient, rows.start), &adam, guard)?;
        }
        Ok(())
    }
}

/// Step number `t` of an optimiser that a device can do.
pub(super) fn adam_step(optimizer: &Optimizer, learning_rate: f64, t: usize) -> Result<AdamStep<f32>> {
    AdamStep::of(optimizer, learning_rate, t).ok_or(Error::Unsupported { what: "gradient descent on the device" })
}

/// One step of some rows of a parameter with its moments against the rows of `gradient` from a first one on.
pub(super) fn adam_rows(
    context: &GpuContext,
    (parameter, moments): (&GpuArray<f32>, &Moments),
    rows: Range<usize>,
    (gradient, from): (&GpuArray<f32>, usize),
    adam: &AdamStep<f32>,
    guard: Guard<'_>,
) -> Result<()> {
    let d = parameter.columns();
    let count = rows.len() * d;
    if count == 0 {
        return Ok(());
    }
    let gradient = gradient.window(context, from..from + rows.len())?;
    let parameter = parameter.window(context, rows.clone())?;
    let first = moments.first.window(context, rows.clone())?;
    let second = moments.second.window(context, rows)?;
    let (flags, clip, squares) = match guard.clip {
        Some((clip, squares)) => (CLIP, clip, squares.whole(context)?),
        None => (0, 0.0, context.blank()),
    };
    let mut parameters = [0; 16];
    parameters[..4].copy_from_slice(&[word(count)?, word(d)?, parameter.skip, gradient.skip]);
    parameters[4..13].copy_from_slice(&adam.factors().map(f32::to_bits));
    (parameters[13], parameters[15]) = (clip.to_bits(), flags);
    let windows =
        [(1, guard.loss.whole(context)?), (2, gradient), (3, parameter), (4, first), (5, second), (6, squares)];
    context.run(&OPTIM, "adam", &parameters, &windows, grid(count.div_ceil(256))?)
}

/// Removes from the first rows of `gradient: (.., d)` what points along the rows `range` of `w: (m, d)`; zero rows are kept.
///
/// # Errors
/// [`Error::Shape`], [`Error::TooLarge`], [`Error::Gpu`].
pub fn project_gradient(
    context: &GpuContext,
    w: &GpuArray<f32>,
    range: Range<usize>,
    gradient: &mut GpuArray<f32>,
) -> Result<()> {
    let d = w.columns();
    gradient.check_dim("gradient", (gradient.rows(), d))?;
    check_limit("rows", range.end, w.rows())?;
    check_limit("rows of the gradient", range.len(), gradient.rows())?;
    let at_once = context.rows_at_once(d)?;
    for part in pieces(range.len(), at_once) {
        let from = w.window(context, range.start + part.start..range.start + part.end)?;
        let to = gradient.window(context, part.clone())?;
        let mut parameters = [0; 16];
        parameters[..4].copy_from_slice(&[word(part.len())?, word(d)?, to.skip, from.skip]);
        context.run(&OPTIM, "project", &parameters, &[(2, from), (3, to)], grid(part.len())?)?;
    }
    Ok(())
}

/// Scales each row of `w: (m, d)` to unit length; zero rows are kept.
///
/// # Errors
/// [`Error::TooLarge`], [`Error::Gpu`].
pub fn normalise_rows(context: &GpuContext, w: &mut GpuArray<f32>) -> Result<()> {
    normalise_unless(context, w, &context.zeros(1, 1)?)
}

/// As [`normalise_rows`], unless the `loss: (1, 1)` is not finite.
pub(super) fn normalise_unless(context: &GpuContext, w: &mut GpuArray<f32>, loss: &GpuArray<f32>) -> Result<()> {
    let (rows, d) = w.dim();
    if w.is_empty() {
        return Ok(());
    }
    let at_once = context.rows_at_once(d)?;
    for part in pieces(rows, at_once) {
        let to = w.window(context, part.clone())?;
        let mut parameters = [0; 16];
        parameters[..4].copy_from_slice(&[word(part.len())?, word(d)?, to.skip, 0]);
        context.run(&OPTIM, "normalise", &parameters, &[(1, loss.whole(context)?), (3, to)], grid(part.len())?)?;
    }
    Ok(())
}
