//! All calls of a caller's model go through here: shapes, counting, the check for NaN, and the target.

use alloc::vec::Vec;

use ndarray::{ArrayRef2, ArrayView2, ArrayViewMut2};

use super::failure::{Explained, Failure};
use super::model::{Differentiable, Forward, Layers};
use super::result::{Attribution, Evaluations};
use super::target::Target;
use crate::error::{check_finite, check_not_empty, check_shape};
use crate::{Result, Scalar};

/// A model together with the target that is explained.
pub(crate) struct Probe<'a, T, M: ?Sized> {
    model: &'a mut M,
    target: &'a dyn Target<T>,
    calls: u64,
    evaluations: Evaluations,
    outputs: Vec<T>,
}

impl<'a, T: Scalar, M: Forward<T> + ?Sized> Probe<'a, T, M> {
    /// Checks that `x: (b, n)` can be given to the model, and its outputs to the target.
    pub(crate) fn new(model: &'a mut M, x: &ArrayRef2<T>, target: &'a dyn Target<T>) -> Result<Self> {
        check_shape("x", x, &[x.nrows(), model.n_inputs()])?;
        check_not_empty("x", x)?;
        check_finite("x", x)?;
        target.check(x.nrows(), model.n_outputs())?;
        Ok(Self { model, target, calls: 0, evaluations: Evaluations::default(), outputs: Vec::new() })
    }

    /// Rows that the model was run for.
    pub(crate) fn evaluations(&self) -> Evaluations {
        self.evaluations
    }

    /// Values of the target for the rows of `x`, row `r` of which belongs to example `example(r)`.
    pub(crate) fn values(
        &mut self,
        x: &ArrayRef2<T>,
        example: impl Fn(usize) -> usize,
        values: &mut [T],
    ) -> Explained<(), M::Error> {
        let model = &mut *self.model;
        let mut outputs = buffer(&mut self.outputs, x.nrows(), model.n_outputs());
        let called = model.forward(x, &mut outputs);
        self.evaluations.forward += x.nrows() as u64;
        finish(&mut self.calls, called, &[("output", outputs.view())])?;
        read(self.target, &outputs, example, values);
        Ok(())
    }

    /// The outputs themselves for the rows of `x`, into `outputs: (rows, c)`.
    pub(crate) fn outputs(&mut self, x: &ArrayRef2<T>, outputs: &mut ArrayRef2<T>) -> Explained<(), M::Error> {
        let called = self.model.forward(x, outputs);
        self.evaluations.forward += x.nrows() as u64;
        finish(&mut self.calls, called, &[("output", outputs.view())])
    }

    /// Value of the target for one row of outputs of `example`.
    pub(crate) fn value_of(&self, example: usize, outputs: &[T]) -> T {
        self.target.value(example, outputs)
    }

    /// Number of outputs of the model.
    pub(crate) fn n_outputs(&self) -> usize {
        self.model.n_outputs()
    }
}

impl<T: Scalar, M: Differentiable<T> + ?Sized> Probe<'_, T, M> {
    /// Values of the target and their gradients `(rows, n)` for the rows of `x`.
    pub(crate) fn gradients(
        &mut self,
        x: &ArrayRef2<T>,
        example: impl Fn(usize) -> usize,
        values: &mut [T],
        gradient: &mut ArrayRef2<T>,
    ) -> Explained<(), M::Error> {
        let (model, target) = (&mut *self.model, self.target);
        let mut outputs = buffer(&mut self.outputs, x.nrows(), model.n_outputs());
        let called = model.vjp(x, &mut cotangent(target, &example), &mut outputs, gradient);
        self.evaluations.gradient += x.nrows() as u64;
        finish(&mut self.calls, called, &[("output", outputs.view()), ("gradient", gradient.view())])?;
        read(target, &outputs, &example, values);
        Ok(())
    }

    /// Whether the model's gradients are exact.
    pub(crate) fn exact_gradients(&self) -> bool {
        self.model.exact_gradients()
    }

    /// The result with what it took: rows that the model was run for, and whether its gradients are exact.
    pub(crate) fn account(&self, result: Attribution<T>) -> Attribution<T> {
        Attribution { evaluations: self.evaluations, exact_gradients: self.model.exact_gradients(), ..result }
    }
}

impl<T: Scalar, M: Layers<T> + ?Sized> Probe<'_, T, M> {
    /// Number of units of `layer`.
    pub(crate) fn layer_width(&self, layer: usize) -> Result<usize> {
        self.model.layer_width(layer).ok_or(crate::Error::OutOfRange {
            what: "layer",
            index: 0,
            value: layer as f64,
            expected: "a layer of the model",
        })
    }

    /// The activation of `layer` for the rows of `x`, into `h: (rows, units)`.
    pub(crate) fn layer(&mut self, layer: usize, x: &ArrayRef2<T>, h: &mut ArrayRef2<T>) -> Explained<(), M::Error> {
        let called = self.model.layer(layer, x, h);
        self.evaluations.forward += x.nrows() as u64;
        finish(&mut self.calls, called, &[("layer", h.view())])
    }

    /// Values of the target for the rows of `x` with the activation of `layer` replaced by `h`.
    pub(crate) fn values_with(
        &mut self,
        layer: usize,
        (x, h): (&ArrayRef2<T>, &ArrayRef2<T>),
        example: impl Fn(usize) -> usize,
        values: &mut [T],
    ) -> Explained<(), M::Error> {
        let model = &mut *self.model;
        let mut outputs = buffer(&mut self.outputs, x.nrows(), model.n_outputs());
        let called = model.forward_with(layer, x, h, &mut outputs);
        self.evaluations.forward += x.nrows() as u64;
        finish(&mut self.calls, called, &[("output", outputs.view())])?;
        read(self.target, &outputs, example, values);
        Ok(())
    }

    /// As [`Probe::values_with`], and the gradients `(rows, units)` by `h`.
    pub(crate) fn gradients_with(
        &mut self,
        layer: usize,
        (x, h): (&ArrayRef2<T>, &ArrayRef2<T>),
        example: impl Fn(usize) -> usize,
        values: &mut [T],
        gradient: &mut ArrayRef2<T>,
    ) -> Explained<(), M::Error> {
        let (model, target) = (&mut *self.model, self.target);
        let mut outputs = buffer(&mut self.outputs, x.nrows(), model.n_outputs());
        let called = model.vjp_with(layer, x, h, &mut cotangent(target, &example), &mut outputs, gradient);
        self.evaluations.gradient += x.nrows() as u64;
        finish(&mut self.calls, called, &[("output", outputs.view()), ("gradient", gradient.view())])?;
        read(target, &outputs, &example, values);
        Ok(())
    }

    /// Activations `h: (rows, units)` of `layer`, and the gradients `(rows, n)` of `Σ weight(h) h` by `x`.
    pub(crate) fn layer_gradients(
        &mut self,
        layer: usize,
        x: &ArrayRef2<T>,
        mut cotangent: impl FnMut(&ArrayRef2<T>, &mut ArrayRef2<T>),
        h: &mut ArrayRef2<T>,
        gradient: &mut ArrayRef2<T>,
    ) -> Explained<(), M::Error> {
        let called = self.model.vjp_to(layer, x, &mut cotangent, h, gradient);
        self.evaluations.gradient += x.nrows() as u64;
        finish(&mut self.calls, called, &[("layer", h.view()), ("gradient", gradient.view())])
    }
}

/// The first `rows` rows of a buffer that grows where it must.
fn buffer<T: Scalar>(values: &mut Vec<T>, rows: usize, columns: usize) -> ArrayViewMut2<'_, T> {
    values.resize((rows * columns).max(values.len()), T::zero());
    let (now, _) = values.split_at_mut(rows * columns);
    ArrayViewMut2::from_shape((rows, columns), now).expect("the length was just set")
}

/// The cotangent of a target, row by row.
fn cotangent<'a, T: Scalar>(
    target: &'a dyn Target<T>,
    example: &'a impl Fn(usize) -> usize,
) -> impl FnMut(&ArrayRef2<T>, &mut ArrayRef2<T>) + 'a {
    move |outputs, cotangent| {
        for (r, (z, mut ct)) in outputs.rows().into_iter().zip(cotangent.rows_mut()).enumerate() {
            match (z.to_slice(), ct.as_slice_mut()) {
                (Some(z), Some(ct)) => target.cotangent(example(r), z, ct),
                // a model may hand over any layout
                _ => {
                    let mut out = alloc::vec![T::zero(); ct.len()];
                    target.cotangent(example(r), &z.to_vec(), &mut out);
                    ct.iter_mut().zip(out).for_each(|(ct, value)| *ct = value);
                }
            }
        }
    }
}

/// The value of the target for every row of the model's outputs, which are row-major.
fn read<T: Scalar>(target: &dyn Target<T>, outputs: &ArrayRef2<T>, example: impl Fn(usize) -> usize, values: &mut [T]) {
    for (r, (value, z)) in values.iter_mut().zip(outputs.rows()).enumerate() {
        *value = z.to_slice().map_or_else(|| target.value(example(r), &z.to_vec()), |z| target.value(example(r), z));
    }
}

/// Counts the call, and names the first thing that is wrong with what came back.
fn finish<T: Scalar, E>(
    calls: &mut u64,
    called: Result<(), E>,
    given: &[(&'static str, ArrayView2<'_, T>)],
) -> Explained<(), E> {
    let call = *calls;
    *calls += 1;
    called.map_err(|error| Failure::Model { call, error })?;
    for (what, values) in given {
        if let Err(crate::Error::NotFinite { index, .. }) = check_finite(what, values) {
            let columns = values.ncols().max(1);
            return Err(Failure::NotFinite { what, call, row: index / columns, column: index % columns });
        }
    }
    Ok(())
}
