//! Many changed copies of the inputs through the model, a batch at a time.

use alloc::vec;
use alloc::vec::Vec;

use ndarray::{Array1, Array2, ArrayRef2, Axis, Slice};

use crate::Scalar;
use crate::attribution::probe::Probe;
use crate::attribution::{Batch, Explained, Forward};

/// What all changed copies of one run share: the model, the unchanged inputs, and room for one batch.
pub(crate) struct Sweep<'a, T, M: ?Sized> {
    pub(crate) probe: Probe<'a, T, M>,
    x: &'a ArrayRef2<T>,
    batch: usize,
}

impl<'a, T: Scalar, M: Forward<T> + ?Sized> Sweep<'a, T, M> {
    pub(crate) fn new(probe: Probe<'a, T, M>, x: &'a ArrayRef2<T>, batch: Batch) -> crate::Result<Self> {
        Ok(Self { probe, x, batch: batch.rows(x.ncols())? })
    }

    /// Runs one copy of an input for every item `(example, what)`, in their order.
    ///
    /// `change` turns the copy of row `example` into the item's input; `take` gets the value of the target for it.
    pub(crate) fn run<K: Copy>(
        &mut self,
        items: impl IntoIterator<Item = (usize, K)>,
        mut change: impl FnMut(usize, K, &mut [T]),
        mut take: impl FnMut(usize, K, T),
    ) -> Explained<(), M::Error> {
        let mut items = items.into_iter();
        let mut chunk: Vec<(usize, K)> = items.by_ref().take(self.batch).collect();
        let mut inputs = Array2::zeros((chunk.len(), self.x.ncols()));
        let mut values = vec![T::zero(); chunk.len()];
        while !chunk.is_empty() {
            for (&(example, item), mut row) in chunk.iter().zip(inputs.rows_mut()) {
                row.assign(&self.x.row(example));
                change(example, item, row.as_slice_mut().unwrap_or_default());
            }
            let now = inputs.slice_axis(Axis(0), Slice::from(..chunk.len()));
            self.probe.values(&now, |row| chunk[row].0, &mut values[..chunk.len()])?;
            chunk.iter().zip(&values).for_each(|(&(example, item), &value)| take(example, item, value));
            chunk.clear();
            chunk.extend(items.by_ref().take(self.batch));
        }
        Ok(())
    }

    /// Values of the target for the inputs themselves, `(b)`.
    pub(crate) fn unchanged(&mut self) -> Explained<Array1<T>, M::Error> {
        let mut values = Array1::zeros(self.x.nrows());
        self.run((0..self.x.nrows()).map(|row| (row, ())), |_, (), _| {}, |row, (), value| values[row] = value)?;
        Ok(values)
    }
}
