//! How a caller's model enters: small traits, and adapters that make them from closures.
//!
//! ```text
//! Forward          rows in, rows out: x (b, n) -> z (b, c)
//! Differentiable   the same, and the gradient of Σ_rows <cotangent, z> by x; the cotangent is chosen once z is known
//! Layers           the same, from and to an inner activation h
//! ```
//!
//! Rows must not influence each other. All matrices that a model is given are row-major.

use ndarray::ArrayRef2;

use crate::Scalar;

/// Chooses the cotangent `(b, c)` once the outputs `(b, c)` are known.
///
/// One forward pass so serves the value of a target and its gradient.
pub type Cotangent<'a, T> = &'a mut dyn FnMut(&ArrayRef2<T>, &mut ArrayRef2<T>);

/// A model that can be run.
pub trait Forward<T: Scalar> {
    /// What the model says when it cannot run.
    type Error;

    /// Number of inputs `n` of a row.
    fn n_inputs(&self) -> usize;

    /// Number of outputs `c` of a row.
    fn n_outputs(&self) -> usize;

    /// Runs `x: (b, n)` and writes all of `out: (b, c)`.
    ///
    /// # Errors
    /// Whatever the model reports.
    fn forward(&mut self, x: &ArrayRef2<T>, out: &mut ArrayRef2<T>) -> Result<(), Self::Error>;
}

/// A model with gradients: a vector-Jacobian product.
pub trait Differentiable<T: Scalar>: Forward<T> {
    /// Runs `x: (b, n)`, writes `out: (b, c)`, asks for the cotangent `(b, c)`, and writes
    /// `gradient: (b, n)`, row `i` of it being `Σ_j cotangent_ij ∂out_ij/∂x_i`.
    ///
    /// # Errors
    /// Whatever the model reports.
    fn vjp(
        &mut self,
        x: &ArrayRef2<T>,
        cotangent: Cotangent<'_, T>,
        out: &mut ArrayRef2<T>,
        gradient: &mut ArrayRef2<T>,
    ) -> Result<(), Self::Error>;

    /// Whether gradients are exact up to rounding; results say so.
    fn exact_gradients(&self) -> bool {
        true
    }
}

/// A model whose inner activations can be read and replaced.
///
/// A layer is a number below [`Layers::n_layers`], its activation `h` a flat row of [`Layers::layer_width`] units.
pub trait Layers<T: Scalar>: Differentiable<T> {
    /// Number of layers that can be reached.
    fn n_layers(&self) -> usize;

    /// Number of units of a layer, `None` where there is no such layer.
    fn layer_width(&self, layer: usize) -> Option<usize>;

    /// Writes the activation `h: (b, units)` of `layer` for the rows of `x: (b, n)`.
    ///
    /// # Errors
    /// Whatever the model reports.
    fn layer(&mut self, layer: usize, x: &ArrayRef2<T>, h: &mut ArrayRef2<T>) -> Result<(), Self::Error>;

    /// Runs `x: (b, n)` with the activation of `layer` replaced by `h: (b, units)` and writes `out: (b, c)`.
    ///
    /// # Errors
    /// Whatever the model reports.
    fn forward_with(
        &mut self,
        layer: usize,
        x: &ArrayRef2<T>,
        h: &ArrayRef2<T>,
        out: &mut ArrayRef2<T>,
    ) -> Result<(), Self::Error>;

    /// As [`Layers::forward_with`], and the gradient `(b, units)` by `h`.
    ///
    /// # Errors
    /// Whatever the model reports.
    fn vjp_with(
        &mut self,
        layer: usize,
        x: &ArrayRef2<T>,
        h: &ArrayRef2<T>,
        cotangent: Cotangent<'_, T>,
        out: &mut ArrayRef2<T>,
        gradient: &mut ArrayRef2<T>,
    ) -> Result<(), Self::Error>;

    /// Writes the activation `h: (b, units)`, asks for a cotangent `(b, units)` of it, and writes the gradient `(b, n)`
    /// by `x`.
    ///
    /// # Errors
    /// Whatever the model reports.
    fn vjp_to(
        &mut self,
        layer: usize,
        x: &ArrayRef2<T>,
        cotangent: Cotangent<'_, T>,
        h: &mut ArrayRef2<T>,
        gradient: &mut ArrayRef2<T>,
    ) -> Result<(), Self::Error>;
}

impl<T: Scalar, M: Forward<T> + ?Sized> Forward<T> for &mut M {
    type Error = M::Error;

    fn n_inputs(&self) -> usize {
        (**self).n_inputs()
    }

    fn n_outputs(&self) -> usize {
        (**self).n_outputs()
    }

    fn forward(&mut self, x: &ArrayRef2<T>, out: &mut ArrayRef2<T>) -> Result<(), Self::Error> {
        (**self).forward(x, out)
    }
}

impl<T: Scalar, M: Differentiable<T> + ?Sized> Differentiable<T> for &mut M {
    fn vjp(
        &mut self,
        x: &ArrayRef2<T>,
        cotangent: Cotangent<'_, T>,
        out: &mut ArrayRef2<T>,
        gradient: &mut ArrayRef2<T>,
    ) -> Result<(), Self::Error> {
        (**self).vjp(x, cotangent, out, gradient)
    }

    fn exact_gradients(&self) -> bool {
        (**self).exact_gradients()
    }
}

/// A closure as a [`Forward`] model.
///
/// # Example
/// ```
/// use limpid::attribution::model::{Forward, Function};
/// use ndarray::{Array2, ArrayRef2, array};
///
/// let mut sum = Function::new((2, 1), |x: &ArrayRef2<f64>, z: &mut ArrayRef2<f64>| {
///     for (row, z) in x.rows().into_iter().zip(z.iter_mut()) {
///         *z = row.sum();
///     }
///     Ok::<(), &str>(())
/// });
/// let mut z = Array2::zeros((1, 1));
/// sum.forward(&array![[1.0, 2.0]], &mut z)?;
/// assert_eq!(z, array![[3.0]]);
/// # Ok::<(), &str>(())
/// ```
#[derive(Debug, Clone)]
pub struct Function<F> {
    sizes: (usize, usize),
    forward: F,
}

impl<F> Function<F> {
    /// A model with `sizes = (n, c)`, inputs and outputs of a row; `forward(x, out)` writes all of `out`.
    pub fn new<T: Scalar, E>(sizes: (usize, usize), forward: F) -> Self
    where
        F: FnMut(&ArrayRef2<T>, &mut ArrayRef2<T>) -> Result<(), E>,
    {
        Self { sizes, forward }
    }

    /// The same model with gradients: `vjp(x, cotangent, out, gradient)` as [`Differentiable::vjp`] says.
    pub fn with_vjp<T: Scalar, E, V>(self, vjp: V) -> DifferentiableFunction<F, V>
    where
        V: FnMut(&ArrayRef2<T>, Cotangent<'_, T>, &mut ArrayRef2<T>, &mut ArrayRef2<T>) -> Result<(), E>,
    {
        DifferentiableFunction { function: self, vjp }
    }
}

impl<T: Scalar, E, F> Forward<T> for Function<F>
where
    F: FnMut(&ArrayRef2<T>, &mut ArrayRef2<T>) -> Result<(), E>,
{
    type Error = E;

    fn n_inputs(&self) -> usize {
        self.sizes.0
    }

    fn n_outputs(&self) -> usize {
        self.sizes.1
    }

    fn forward(&mut self, x: &ArrayRef2<T>, out: &mut ArrayRef2<T>) -> Result<(), E> {
        (self.forward)(x, out)
    }
}

/// Two closures as a [`Differentiable`] model; see [`Function::with_vjp`].
///
/// # Example
/// ```
/// use limpid::attribution::model::{Cotangent, Differentiable, Function};
/// use ndarray::{Array2, ArrayRef2, Zip, array};
///
/// // z = x², elementwise
/// let square = |x: &ArrayRef2<f64>, z: &mut ArrayRef2<f64>| Ok::<(), &str>(z.assign(&(x * x)));
/// let mut model = Function::new((2, 2), square).with_vjp(
///     |x: &ArrayRef2<f64>, cotangent: Cotangent<'_, f64>, z: &mut ArrayRef2<f64>, gradient: &mut ArrayRef2<f64>| {
///         z.assign(&(x * x));
///         cotangent(z, gradient);
///         Zip::from(gradient).and(x).for_each(|g, &x| *g *= 2.0 * x);
///         Ok(())
///     },
/// );
/// let (mut z, mut gradient) = (Array2::zeros((1, 2)), Array2::zeros((1, 2)));
/// model.vjp(&array![[3.0, 4.0]], &mut |_, ct| ct.fill(1.0), &mut z, &mut gradient)?;
/// assert_eq!(gradient, array![[6.0, 8.0]]);
/// # Ok::<(), &str>(())
/// ```
#[derive(Debug, Clone)]
pub struct DifferentiableFunction<F, V> {
    function: Function<F>,
    vjp: V,
}

impl<T: Scalar, F, V> Forward<T> for DifferentiableFunction<F, V>
where
    Function<F>: Forward<T>,
{
    type Error = <Function<F> as Forward<T>>::Error;

    fn n_inputs(&self) -> usize {
        self.function.sizes.0
    }

    fn n_outputs(&self) -> usize {
        self.function.sizes.1
    }

    fn forward(&mut self, x: &ArrayRef2<T>, out: &mut ArrayRef2<T>) -> Result<(), Self::Error> {
        self.function.forward(x, out)
    }
}

impl<T: Scalar, E, F, V> Differentiable<T> for DifferentiableFunction<F, V>
where
    Function<F>: Forward<T, Error = E>,
    V: FnMut(&ArrayRef2<T>, Cotangent<'_, T>, &mut ArrayRef2<T>, &mut ArrayRef2<T>) -> Result<(), E>,
{
    fn vjp(
        &mut self,
        x: &ArrayRef2<T>,
        cotangent: Cotangent<'_, T>,
        out: &mut ArrayRef2<T>,
        gradient: &mut ArrayRef2<T>,
    ) -> Result<(), E> {
        (self.vjp)(x, cotangent, out, gradient)
    }
}
