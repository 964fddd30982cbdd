//! Methods that take the gradient at the inputs themselves and nowhere else, a batch of rows at a time.

use alloc::string::String;
use alloc::vec;

use ndarray::{Array1, Array2, ArrayRef2, Axis, Slice};

use crate::Scalar;
use crate::attribution::probe::Probe;
use crate::attribution::{Attribution, Batch, Differentiable, Explained, Target};

/// The gradient `(b, n)` of the target at `x: (b, n)`, which `finish` turns into the attribution.
pub(super) fn one_pass<T: Scalar, M: Differentiable<T> + ?Sized>(
    (method, options): (&'static str, String),
    model: &mut M,
    x: &ArrayRef2<T>,
    target: &dyn Target<T>,
    finish: impl FnOnce(&mut Array2<T>),
) -> Explained<Attribution<T>, M::Error> {
    let mut probe = Probe::new(model, x, target)?;
    let (mut values, mut gradient) = (vec![T::zero(); x.nrows()], Array2::zeros(x.raw_dim()));
    let size = Batch::Auto.rows(x.ncols())?;
    for (chunk, values) in values.chunks_mut(size).enumerate() {
        let start = chunk * size;
        let rows = Slice::from(start..start + values.len());
        let mut gradient = gradient.slice_axis_mut(Axis(0), rows);
        probe.gradients(&x.slice_axis(Axis(0), rows), |row| start + row, values, &mut gradient)?;
    }
    finish(&mut gradient);
    Ok(probe.account(Attribution::new(method, options, gradient, Array1::from(values))))
}
