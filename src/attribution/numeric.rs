//! Gradients by finite differences, for models that have none, and to check those of models that have.
//!
//! ```text
//! ∂z/∂x_i ≈ (z(x + h e_i) - z(x - h e_i)) / 2h       h = step max(1, |x_i|)
//! ```
//!
//! The error is of order `h²` from the curvature and `ε/h` from rounding, which the default step `ε^(1/3)` balances.
//!
//! Source: Press et al., "Numerical Recipes" (3rd ed.), on numerical derivatives.

use alloc::vec::Vec;

use ndarray::{Array2, ArrayRef2, Axis, Slice};

use super::failure::Explained;
use super::model::{Cotangent, Differentiable, Forward};
use super::probe::Probe;
use super::target::Target;
use crate::error::check_each;
use crate::math::random::fill_normal;
use crate::{Result, Scalar, Seed};

/// A forward-only model with gradients by central differences: `2n` more rows for every row.
///
/// Results say that their gradients were not exact.
///
/// # Example
/// ```
/// use limpid::attribution::model::{Differentiable, Function};
/// use limpid::attribution::numeric::Numeric;
/// use ndarray::{Array2, ArrayRef2, array};
///
/// let product = Function::new((2, 1), |x: &ArrayRef2<f64>, z: &mut ArrayRef2<f64>| {
///     z.column_mut(0).assign(&(&x.column(0) * &x.column(1)));
///     Ok::<(), &str>(())
/// });
/// let mut model = Numeric::new(product);
/// let (mut z, mut gradient) = (Array2::zeros((1, 1)), Array2::zeros((1, 2)));
/// model.vjp(&array![[3.0, 4.0]], &mut |_, ct| ct.fill(1.0), &mut z, &mut gradient)?;
/// assert!((gradient[[0, 0]] - 4.0_f64).abs() < 1e-8 && !model.exact_gradients());
/// # Ok::<(), &str>(())
/// ```
#[derive(Debug, Clone)]
pub struct Numeric<M> {
    model: M,
    step: Option<f64>,
}

impl<M> Numeric<M> {
    /// The model with differences of the default step, the cube root of the precision.
    pub fn new(model: M) -> Self {
        Self { model, step: None }
    }

    /// The same with a step of its own, relative to the larger of 1 and the input.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for a step that is not positive.
    pub fn with_step(model: M, step: f64) -> Result<Self> {
        check_each("step", &[step], "0 < step", |step: f64| step > 0.0 && step.is_finite())?;
        Ok(Self { model, step: Some(step) })
    }
}

fn default_step<T: Scalar>() -> f64 {
    libm::cbrt(T::epsilon().as_f64())
}

impl<T: Scalar, M: Forward<T>> Forward<T> for Numeric<M> {
    type Error = M::Error;

    fn n_inputs(&self) -> usize {
        self.model.n_inputs()
    }

    fn n_outputs(&self) -> usize {
        self.model.n_outputs()
    }

    fn forward(&mut self, x: &ArrayRef2<T>, out: &mut ArrayRef2<T>) -> Result<(), Self::Error> {
        self.model.forward(x, out)
    }
}

impl<T: Scalar, M: Forward<T>> Differentiable<T> for Numeric<M> {
    fn vjp(
        &mut self,
        x: &ArrayRef2<T>,
        cotangent: Cotangent<'_, T>,
        out: &mut ArrayRef2<T>,
        gradient: &mut ArrayRef2<T>,
    ) -> Result<(), Self::Error> {
        self.model.forward(x, out)?;
        let mut weights = Array2::zeros(out.raw_dim());
        cotangent(out, &mut weights);
        let step = T::of(self.step.unwrap_or_else(default_step::<T>));
        let (mut moved, mut ends) = (x.to_owned(), [out.to_owned(), out.to_owned()]);
        for feature in 0..x.ncols() {
            let steps: Vec<T> = x.column(feature).iter().map(|x| step * x.abs().max(T::one())).collect();
            for (end, sign) in ends.iter_mut().zip([T::one(), -T::one()]) {
                let places = moved.column_mut(feature).into_iter().zip(x.column(feature)).zip(&steps);
                places.for_each(|((moved, &x), &h)| *moved = x + sign * h);
                self.model.forward(&moved, end)?;
            }
            moved.column_mut(feature).assign(&x.column(feature));
            for (row, slot) in gradient.column_mut(feature).into_iter().enumerate() {
                let x = x[[row, feature]];
                // the distance that the machine numbers really have
                let distance = (x + steps[row]) - (x - steps[row]);
                let (up, down, w) = (ends[0].row(row), ends[1].row(row), weights.row(row));
                let change = up.iter().zip(&down).zip(&w);
                *slot = change.map(|((&up, &down), &w)| w * (up - down)).sum::<T>() / distance;
            }
        }
        Ok(())
    }

    fn exact_gradients(&self) -> bool {
        false
    }
}

/// How a model's gradients compare with finite differences.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GradientCheck<T> {
    /// Largest difference between the two, in units of `1 + |derivative|`.
    pub worst: T,
    /// Row where it was found.
    pub row: usize,
    /// The derivative along the direction of that place, from the model's gradient.
    pub analytic: T,
    /// The same by central differences.
    pub numeric: T,
}

/// Compares the gradient of `target` that `model` gives at `x: (b, n)` with central differences along `directions` random
/// unit directions a row.
///
/// A right gradient has a `worst` of about the square root of the precision or less, away from kinks.
///
/// # Errors
/// As [`Explainer::attribute`](super::Explainer::attribute).
///
/// # Example
/// ```
/// use limpid::Seed;
/// use limpid::attribution::network::Network;
/// use limpid::attribution::numeric::check_gradient;
/// use limpid::attribution::target::Logit;
/// use limpid::math::pointwise::Activation;
/// use ndarray::array;
///
/// let mut model = Network::new(2).linear(array![[1.0, 2.0]], None)?.activation(Activation::Tanh)?;
/// let found = check_gradient(&mut model, &array![[0.3, -0.1_f64]], &Logit::of(0), 8, Seed(0))?;
/// assert!(found.worst < 1e-8);
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
pub fn check_gradient<T: Scalar, M: Differentiable<T> + ?Sized>(
    model: &mut M,
    x: &ArrayRef2<T>,
    target: &dyn Target<T>,
    directions: usize,
    seed: Seed,
) -> Explained<GradientCheck<T>, M::Error> {
    check_each("directions", &[directions as f64], ">= 1", |count: f64| count >= 1.0)?;
    let mut probe = Probe::new(model, x, target)?;
    let (mut values, mut gradient) = (alloc::vec![T::zero(); x.nrows()], Array2::zeros(x.raw_dim()));
    probe.gradients(x, |row| row, &mut values, &mut gradient)?;
    let mut worst = GradientCheck { worst: -T::one(), row: 0, analytic: T::zero(), numeric: T::zero() };
    let (mut direction, mut ends) = (Array2::zeros((1, x.ncols())), [T::zero(); 2]);
    for row in 0..x.nrows() {
        let here = x.slice_axis(Axis(0), Slice::from(row..=row));
        let step = T::of(default_step::<T>()) * here.iter().fold(T::one(), |largest, x| largest.max(x.abs()));
        for item in 0..directions {
            fill_normal(
                &mut seed.stream(PURPOSE, (row * directions + item) as u64),
                T::one(),
                direction.as_slice_mut().unwrap_or_default(),
            );
            let length = crate::math::reduce::norm(&direction.row(0));
            direction.mapv_inplace(|d| d / length);
            for (end, sign) in ends.iter_mut().zip([step, -step]) {
                let moved = &here + &(&direction * sign);
                probe.values(&moved, |_| row, core::slice::from_mut(end))?;
            }
            let numeric = (ends[0] - ends[1]) / (step + step);
            let analytic = crate::math::reduce::dot(&direction.row(0), &gradient.row(row))?;
            let difference = (numeric - analytic).abs() / (T::one() + analytic.abs());
            if difference > worst.worst {
                worst = GradientCheck { worst: difference, row, analytic, numeric };
            }
        }
    }
    Ok(worst)
}

/// Purpose of the directions' random stream.
const PURPOSE: u64 = 0x6772_6164;
