//! What the processor does in place of a kernel: for each entry point of the table the crate's own function, on the words that
//! the kernel would see.

pub(super) mod covariance;
pub(super) mod gemm;
pub(super) mod optim;
pub(super) mod pairs;
pub(super) mod pointwise;
pub(super) mod random;
pub(super) mod reduce;
pub(super) mod select;
pub(super) mod sparse;
pub(super) mod toy;

use alloc::vec::Vec;

use ndarray::{ArrayView2, ArrayViewMut2, ShapeBuilder};

use super::context::fault;
use crate::{Error, GpuFault, Result};

/// Computes what a kernel writes: a function of a call and of the bindings that its entry lists as written.
pub(super) type Twin = fn(&Job<'_>, &mut [Vec<u32>]) -> Result<()>;

/// A call, as its twin sees it.
pub(super) struct Job<'a> {
    pub(super) parameters: &'a [u32],
    pub(super) constants: &'a [(&'static str, bool)],
    /// Words of the bindings that are only read.
    pub(super) inputs: Vec<(u32, Vec<u32>)>,
}

impl Job<'_> {
    /// A word of the parameters.
    fn word(&self, at: usize) -> u32 {
        self.parameters.get(at).copied().unwrap_or(0)
    }

    fn size(&self, at: usize) -> usize {
        self.word(at) as usize
    }

    /// Several sizes, from the first parameter on.
    fn sizes<const N: usize>(&self) -> [usize; N] {
        core::array::from_fn(|at| self.size(at))
    }

    fn factor(&self, at: usize) -> f32 {
        f32::from_bits(self.word(at))
    }

    /// A constant of the pipeline.
    fn is(&self, name: &str) -> bool {
        self.constants.iter().any(|(constant, value)| *constant == name && *value)
    }

    /// Words of a binding that is read.
    fn words(&self, binding: u32) -> Result<&[u32]> {
        let found = self.inputs.iter().find(|(number, _)| *number == binding);
        found.map(|(_, words)| words.as_slice()).ok_or(broken())
    }

    fn floats(&self, binding: u32) -> Result<&[f32]> {
        self.words(binding).map(bytemuck::cast_slice)
    }

    /// Whether the number at the start of a binding is finite: where a loss is not, nothing moves.
    fn gate(&self, binding: u32) -> Result<bool> {
        Ok(self.floats(binding)?.first().is_some_and(|loss| loss.is_finite()))
    }
}

/// What the device holds contradicts itself.
fn broken() -> Error {
    fault(GpuFault::Internal, "a kernel on the processor")
}

/// The outputs, whose number each twin knows.
fn outputs<const N: usize>(out: &mut [Vec<u32>]) -> Result<&mut [Vec<u32>; N]> {
    out.try_into().map_err(|_| broken())
}

fn floats_mut(words: &mut [u32]) -> &mut [f32] {
    bytemuck::cast_slice_mut(words)
}

/// `count` numbers from `start` on.
fn part<V>(values: &[V], start: usize, count: usize) -> Result<&[V]> {
    if count == 0 {
        return Ok(&[]);
    }
    values.get(start..).and_then(|rest| rest.get(..count)).ok_or(broken())
}

fn part_mut<V>(values: &mut [V], start: usize, count: usize) -> Result<&mut [V]> {
    if count == 0 {
        return Ok(&mut []);
    }
    values.get_mut(start..).and_then(|rest| rest.get_mut(..count)).ok_or(broken())
}

/// A matrix whose rows start `stride` numbers after each other.
fn matrix(values: &[f32], start: usize, shape: (usize, usize), stride: usize) -> Result<ArrayView2<'_, f32>> {
    if shape.0 == 0 || shape.1 == 0 {
        return ArrayView2::from_shape(shape, &[]).map_err(|_| broken());
    }
    let values = values.get(start..).ok_or(broken())?;
    ArrayView2::from_shape(shape.strides((stride, 1)), values).map_err(|_| broken())
}

fn matrix_mut(
    values: &mut [f32],
    start: usize,
    shape: (usize, usize),
    stride: usize,
) -> Result<ArrayViewMut2<'_, f32>> {
    let values = values.get_mut(start..).ok_or(broken())?;
    ArrayViewMut2::from_shape(shape.strides((stride, 1)), values).map_err(|_| broken())
}

/// Stands for every twin where none can be called.
pub(super) fn none(_: &Job<'_>, _: &mut [Vec<u32>]) -> Result<()> {
    Err(Error::Unsupported { what: "kernels on the processor in browsers" })
}
