//! Curvature as a linear operator: whatever multiplies a vector can be inverted.
//!
//! ```text
//! F v = (1/W) Σ_e w_e (Σ_l ⟨G_e^l, v^l⟩) vec(G_e),   W = Σ_e w_e
//! ```
//!
//! The Fisher matrix of several layers needs no automatic differentiation: two products per layer with the rows give the
//! exact matrix, the blocks between layers that every Kronecker factorisation drops included. A caller's own Hessian-vector
//! product enters by [`LinearOperator`] or [`OperatorFn`].
//!
//! Source: Martens, "New Insights and Perspectives on the Natural Gradient Method" (arXiv 1412.1193), for the Fisher matrix.

use alloc::vec::Vec;

use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2, ArrayView1, Axis};

use super::layers::{check_layers, dim, inner, sizes, squared_norms, weighted_mean, weighted_sum};
use crate::error::{check_each, check_length, check_shape};
use crate::influence::LayerRows;
use crate::math::gemm::product;
use crate::{Error, Result, Scalar};

/// A square matrix that is known by what it does to a vector.
pub trait LinearOperator {
    /// What the operator says when it cannot be applied.
    type Error: From<Error>;

    /// Number of rows and columns `D`.
    fn dim(&self) -> usize;

    /// Writes all of `out = A x`, both `(D)`.
    ///
    /// # Errors
    /// Whatever the operator reports.
    fn apply(&mut self, x: &ArrayRef1<f64>, out: &mut ArrayRef1<f64>) -> Result<(), Self::Error>;
}

/// A mean over examples of which any batch can be taken.
pub trait BatchOperator: LinearOperator {
    /// Number of examples.
    fn n_examples(&self) -> usize;

    /// Writes all of `out = A_batch x`, the mean over these examples only.
    ///
    /// # Errors
    /// Whatever the operator reports.
    fn apply_batch(&mut self, batch: &[usize], x: &ArrayRef1<f64>, out: &mut ArrayRef1<f64>)
    -> Result<(), Self::Error>;
}

impl<O: LinearOperator + ?Sized> LinearOperator for &mut O {
    type Error = O::Error;

    fn dim(&self) -> usize {
        (**self).dim()
    }

    fn apply(&mut self, x: &ArrayRef1<f64>, out: &mut ArrayRef1<f64>) -> Result<(), O::Error> {
        (**self).apply(x, out)
    }
}

impl LinearOperator for Array2<f64> {
    type Error = Error;

    fn dim(&self) -> usize {
        self.nrows()
    }

    fn apply(&mut self, x: &ArrayRef1<f64>, out: &mut ArrayRef1<f64>) -> Result<()> {
        check_length("x", x.len(), self.ncols())?;
        out.assign(&product(self, &x.view().insert_axis(Axis(1)))?.remove_axis(Axis(1)));
        Ok(())
    }
}

/// An operator made of a closure, such as a Hessian-vector product of the caller's automatic differentiation.
#[derive(Debug, Clone)]
pub struct OperatorFn<F> {
    dim: usize,
    apply: F,
}

impl<F> OperatorFn<F> {
    /// The operator of `dim` rows that `apply(x, out)` computes.
    ///
    /// # Example
    /// ```
    /// use limpid::Error;
    /// use limpid::influence::estimators::{ConjugateGradient, OperatorFn};
    /// use ndarray::{ArrayRef1, array};
    ///
    /// let double = |x: &ArrayRef1<f64>, out: &mut ArrayRef1<f64>| -> Result<(), Error> {
    ///     out.assign(&(x * 2.0));
    ///     Ok(())
    /// };
    /// let found = ConjugateGradient::default().solve(OperatorFn::new(2, double), &array![1.0, 4.0])?;
    /// assert_eq!(found.x, array![0.5, 2.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn new<E>(dim: usize, apply: F) -> Self
    where
        F: FnMut(&ArrayRef1<f64>, &mut ArrayRef1<f64>) -> Result<(), E>,
    {
        Self { dim, apply }
    }
}

impl<E: From<Error>, F: FnMut(&ArrayRef1<f64>, &mut ArrayRef1<f64>) -> Result<(), E>> LinearOperator for OperatorFn<F> {
    type Error = E;

    fn dim(&self) -> usize {
        self.dim
    }

    fn apply(&mut self, x: &ArrayRef1<f64>, out: &mut ArrayRef1<f64>) -> Result<(), E> {
        (self.apply)(x, out)
    }
}

/// `A + diag(λ)`.
#[derive(Debug, Clone)]
pub struct Damped<O> {
    operator: O,
    damping: Array1<f64>,
}

impl<O: LinearOperator> Damped<O> {
    /// The same damping `λ` for every parameter.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a damping that is negative or not finite.
    pub fn new(operator: O, damping: f64) -> Result<Self> {
        let dim = operator.dim();
        Self::per_block(operator, &[(dim, damping)])
    }

    /// A damping for each of some consecutive blocks of parameters, such as [`FisherOperator::blocks`] makes.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a damping that is negative or not finite, [`Error::Shape`] where the blocks are not all
    /// parameters.
    pub fn per_block(operator: O, blocks: &[(usize, f64)]) -> Result<Self> {
        let total = blocks.iter().fold(0_usize, |sum, block| sum.saturating_add(block.0));
        check_length("blocks", total, operator.dim())?;
        let values: Vec<f64> = blocks.iter().map(|block| block.1).collect();
        check_each("damping", &values, "finite and >= 0", |x: f64| x >= 0.0 && x.is_finite())?;
        let damping = blocks.iter().flat_map(|&(count, value)| core::iter::repeat_n(value, count)).collect();
        Ok(Self { operator, damping })
    }

    fn add(&self, x: &ArrayRef1<f64>, out: &mut ArrayRef1<f64>) {
        out.iter_mut().zip(x).zip(&self.damping).for_each(|((out, x), damping)| *out += damping * x);
    }
}

impl<O: LinearOperator> LinearOperator for Damped<O> {
    type Error = O::Error;

    fn dim(&self) -> usize {
        self.operator.dim()
    }

    fn apply(&mut self, x: &ArrayRef1<f64>, out: &mut ArrayRef1<f64>) -> Result<(), O::Error> {
        self.operator.apply(x, out)?;
        self.add(x, out);
        Ok(())
    }
}

impl<O: BatchOperator> BatchOperator for Damped<O> {
    fn n_examples(&self) -> usize {
        self.operator.n_examples()
    }

    fn apply_batch(&mut self, batch: &[usize], x: &ArrayRef1<f64>, out: &mut ArrayRef1<f64>) -> Result<(), O::Error> {
        self.operator.apply_batch(batch, x, out)?;
        self.add(x, out);
        Ok(())
    }
}

/// The exact Fisher matrix of all layers together.
///
/// Weights of the rows make it the exact Fisher matrix of a categorical head; without them the labels that `g` was computed
/// with decide whether it is the empirical or a sampled one.
#[derive(Debug, Clone)]
pub struct FisherOperator<'l, 'a, T> {
    layers: &'l [LayerRows<'a, T>],
    weights: Array1<f64>,
    total: f64,
}

impl<'l, 'a, T: Scalar> FisherOperator<'l, 'a, T> {
    /// The Fisher matrix of these layers, whose examples are the same.
    ///
    /// # Errors
    /// [`Error::Empty`] without layers or examples of positive weight, [`Error::Shape`].
    ///
    /// # Example
    /// ```
    /// use limpid::influence::estimators::{FisherOperator, LinearOperator};
    /// use limpid::influence::{Examples, LayerRows};
    /// use ndarray::{Array1, array};
    ///
    /// let (a, g) = (array![[1.0, 2.0], [0.0, 1.0]], array![[1.0], [2.0]]);
    /// let layers = [LayerRows::new(&a, &g, Examples::EachRow)?];
    /// // gradients (1, 2) and (0, 2)
    /// let mut fisher = FisherOperator::new(&layers)?;
    /// let mut out = Array1::zeros(2);
    /// fisher.apply(&array![1.0, 0.0], &mut out)?;
    /// assert_eq!(out, array![0.5, 1.0]);
    /// assert_eq!(fisher.mean_eigenvalue()?, 2.25);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn new(layers: &'l [LayerRows<'a, T>]) -> Result<Self> {
        check_layers("layers", layers)?;
        let weights = Array1::from(example_weights(layers)?);
        let total = weights.sum();
        if total > 0.0 {
            Ok(Self { layers, weights, total })
        } else {
            Err(Error::Empty { what: "examples of positive weight" })
        }
    }

    /// Mean eigenvalue of each layer's own block, `trace/size`.
    ///
    /// # Errors
    /// None that [`FisherOperator::new`] has not seen.
    pub fn layer_mean_eigenvalues(&self) -> Result<Vec<f64>> {
        let weights = self.weights.to_vec();
        let mean = |layer: &LayerRows<'_, T>| {
            let size = layer.d_out() * layer.d_in();
            Ok(weighted_mean(&squared_norms(layer)?, &weights)? / size.max(1) as f64)
        };
        self.layers.iter().map(mean).collect()
    }

    /// Mean eigenvalue over all layers together, `trace/D`.
    ///
    /// # Errors
    /// None that [`FisherOperator::new`] has not seen.
    pub fn mean_eigenvalue(&self) -> Result<f64> {
        let traces = self.layer_mean_eigenvalues()?.into_iter().zip(sizes(self.layers));
        Ok(traces.map(|(mean, size)| mean * size as f64).sum::<f64>() / self.dim().max(1) as f64)
    }

    /// For [`Damped::per_block`]: the parameters of each layer, and `relative` times their mean eigenvalue.
    ///
    /// # Errors
    /// None that [`FisherOperator::new`] has not seen.
    pub fn blocks(&self, relative: f64) -> Result<Vec<(usize, f64)>> {
        let means = self.layer_mean_eigenvalues()?;
        Ok(sizes(self.layers).into_iter().zip(means).map(|(size, mean)| (size, relative * mean)).collect())
    }

    fn mean_of(&self, weights: &Array1<f64>, total: f64, x: &ArrayRef1<f64>, out: &mut ArrayRef1<f64>) -> Result<()> {
        check_length("out", out.len(), self.dim())?;
        let coefficients = inner(self.layers, x)? * weights / total;
        weighted_sum(self.layers, &coefficients, out)
    }
}

/// Weights of the examples, on which all layers where an example has live rows must agree.
pub(super) fn example_weights<T: Scalar>(layers: &[LayerRows<'_, T>]) -> Result<Vec<f64>> {
    let all: Vec<Vec<f64>> = layers.iter().map(LayerRows::example_weights).collect();
    let n = check_layers("layers", layers)?;
    let weight = |example: usize| {
        let mut live = layers.iter().zip(&all).filter(|(layer, _)| !layer.live_rows(example).is_empty());
        let first = live.next().map_or(all[0][example], |(_, weights)| weights[example]);
        if live.all(|(_, weights)| weights[example] == first) {
            return Ok(first);
        }
        Err(Error::Unsupported { what: "layers that weight an example differently" })
    };
    (0..n).map(weight).collect()
}

impl<T: Scalar> LinearOperator for FisherOperator<'_, '_, T> {
    type Error = Error;

    fn dim(&self) -> usize {
        dim(self.layers)
    }

    fn apply(&mut self, x: &ArrayRef1<f64>, out: &mut ArrayRef1<f64>) -> Result<()> {
        self.mean_of(&self.weights, self.total, x, out)
    }
}

impl<T: Scalar> BatchOperator for FisherOperator<'_, '_, T> {
    fn n_examples(&self) -> usize {
        self.weights.len()
    }

    fn apply_batch(&mut self, batch: &[usize], x: &ArrayRef1<f64>, out: &mut ArrayRef1<f64>) -> Result<()> {
        let n = self.weights.len();
        let mut weights = Array1::zeros(n);
        for (index, &example) in batch.iter().enumerate() {
            if example >= n {
                let expected = "an example of the layers";
                return Err(Error::OutOfRange { what: "batch", index, value: example as f64, expected });
            }
            weights[example] += self.weights[example];
        }
        let total = weights.sum();
        if total > 0.0 { self.mean_of(&weights, total, x, out) } else { Err(Error::Empty { what: "batch" }) }
    }
}

/// Solves for every row of `right: (k, D)` by `solve`, `(k, D)`.
pub(super) fn for_each_row<E: From<Error>>(
    right: &ArrayRef2<f64>,
    mut solve: impl FnMut(ArrayView1<'_, f64>) -> Result<Array1<f64>, E>,
) -> Result<Array2<f64>, E> {
    let mut out = Array2::zeros(right.dim());
    for (from, mut to) in right.rows().into_iter().zip(out.rows_mut()) {
        let solution = solve(from)?;
        check_shape("a solution", &solution, &[to.len()])?;
        to.assign(&solution);
    }
    Ok(out)
}
