//! Many changed copies of the inputs through the model, a batch at a time.

use alloc::vec::Vec;

use ndarray::{Array1, Array2, ArrayRef2, Axis, Slice};

use super::probe::Probe;
use super::{Batch, Evaluations, Explained, Forward, Target};
use crate::{Result, Scalar};

/// What all changed copies of one run share: the model, the unchanged inputs, and the size of a batch.
pub(crate) struct Sweep<'a, T, M: ?Sized> {
    probe: Probe<'a, T, M>,
    x: &'a ArrayRef2<T>,
    batch: usize,
}

impl<'a, T: Scalar, M: Forward<T> + ?Sized> Sweep<'a, T, M> {
    pub(crate) fn new(model: &'a mut M, x: &'a ArrayRef2<T>, target: &'a dyn Target<T>, batch: Batch) -> Result<Self> {
        Ok(Self { probe: Probe::new(model, x, target)?, x, batch: batch.rows(x.ncols())? })
    }

    /// The unchanged inputs, `(b, n)`.
    pub(crate) fn x(&self) -> &ArrayRef2<T> {
        self.x
    }

    pub(crate) fn evaluations(&self) -> Evaluations {
        self.probe.evaluations()
    }

    pub(crate) fn n_outputs(&self) -> usize {
        self.probe.n_outputs()
    }

    /// Runs one copy of an input for every item `(example, what)`, in their order.
    ///
    /// `change` turns the copy of row `example` into the item's input; `take` gets the value of the target and all outputs.
    pub(crate) fn run<K: Copy>(
        &mut self,
        items: impl IntoIterator<Item = (usize, K)>,
        mut change: impl FnMut(usize, K, &mut [T]),
        mut take: impl FnMut(usize, K, T, &[T]),
    ) -> Explained<(), M::Error> {
        let mut items = items.into_iter();
        let mut chunk: Vec<(usize, K)> = items.by_ref().take(self.batch).collect();
        let mut inputs = Array2::zeros((chunk.len(), self.x.ncols()));
        let mut outputs = Array2::zeros((chunk.len(), self.probe.n_outputs()));
        while !chunk.is_empty() {
            for (&(example, item), mut row) in chunk.iter().zip(inputs.rows_mut()) {
                row.assign(&self.x.row(example));
                change(example, item, row.as_slice_mut().unwrap_or_default());
            }
            let now = Slice::from(..chunk.len());
            let mut outputs = outputs.slice_axis_mut(Axis(0), now);
            self.probe.outputs(&inputs.slice_axis(Axis(0), now), &mut outputs)?;
            for (&(example, item), z) in chunk.iter().zip(outputs.rows()) {
                let z = z.to_slice().unwrap_or_default();
                take(example, item, self.probe.value_of(example, z), z);
            }
            chunk.clear();
            chunk.extend(items.by_ref().take(self.batch));
        }
        Ok(())
    }

    /// Values of the target for the inputs themselves, `(b)`.
    pub(crate) fn unchanged(&mut self) -> Explained<Array1<T>, M::Error> {
        let mut values = Array1::zeros(self.x.nrows());
        let items = (0..self.x.nrows()).map(|row| (row, ()));
        self.run(items, |_, (), _| {}, |row, (), value, _| values[row] = value)?;
        Ok(values)
    }
}
