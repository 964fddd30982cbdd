//! Methods that take the gradient at the inputs themselves and nowhere else.

use alloc::string::String;
use alloc::vec;

use ndarray::{Array1, Array2, ArrayRef2};

use crate::Scalar;
use crate::attribution::probe::Probe;
use crate::attribution::{Attribution, Differentiable, Explained, Target};

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
    probe.gradients(x, |row| row, &mut values, &mut gradient)?;
    finish(&mut gradient);
    Ok(probe.account(Attribution::new(method, options, gradient, Array1::from(values))))
}
