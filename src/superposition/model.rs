//! The toy models: linear, ReLU output, ReLU hidden (privileged basis) and absolute value.
//!
//! ```text
//! linear          y = Wᵀ W x + b
//! relu_output     y = relu(Wᵀ W x + b)
//! relu_hidden     y = relu(Wᵀ relu(W x) + b)
//! absolute_value  y = relu(D relu(E x) + b),  target |x|,  untied
//! ```
//!
//! Source: Elhage et al. (2022), sections "Demonstrating Superposition" and "Superposition in a Privileged Basis".

use alloc::vec::Vec;

use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2, Axis};

use super::backward::{BlockGradient, Objective, Parameters, Workspace, add_own_block};
use crate::error::{check_each, check_finite, check_not_empty, check_shape};
use crate::math::block::BLOCK;
use crate::math::gemm::product;
use crate::{Error, Result, Scalar};

/// Which computation a toy model makes of its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Architecture {
    /// `y = Wᵀ W x + b`.
    Linear,
    /// `y = relu(Wᵀ W x + b)`, the paper's main model.
    ReluOutput,
    /// `y = relu(Wᵀ relu(W x) + b)`: hidden units with a privileged basis.
    ReluHidden,
    /// `y = relu(D relu(E x) + b)` with untied encoder and decoder, trained towards `|x|`.
    AbsoluteValue,
}

/// How the importance-weighted squared errors of a batch become one loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Reduction {
    /// Mean over rows and features, as in the published notebook.
    #[default]
    Mean,
    /// Sum over features, mean over rows.
    FeatureSum,
    /// Sum over rows and features, as in the paper's formula.
    Sum,
}

impl Reduction {
    /// The reduction whose value does not grow with the number of samples.
    pub(crate) fn per_sample(self) -> Self {
        if self == Self::Sum { Self::FeatureSum } else { self }
    }
}

/// A toy model: `n` features through `m` hidden dimensions and back.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ToyModel<T> {
    /// The computation.
    pub architecture: Architecture,
    /// Encoder `W: (m, n)`; column `i` is feature `i`.
    pub weight: Array2<T>,
    /// Decoder `D: (n, m)` of the absolute-value model; the others decode with `Wᵀ`.
    pub decoder: Option<Array2<T>>,
    /// Output bias `b: (n)`.
    pub bias: Array1<T>,
}

/// Gradient of a loss by the parameters of a [`ToyModel`], in their shapes.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Gradient<T> {
    /// By the encoder, `(m, n)`; in tied models the sum of the encoder path and the decoder path.
    pub weight: Array2<T>,
    /// By the decoder, `(n, m)`, of untied models.
    pub decoder: Option<Array2<T>>,
    /// By the bias, `(n)`.
    pub bias: Array1<T>,
}

/// What a [`ToyModel`] makes of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Forward<T> {
    /// Hidden activations, `(b, m)`.
    pub hidden: Array2<T>,
    /// Outputs, `(b, n)`.
    pub output: Array2<T>,
}

impl<T: Scalar> ToyModel<T> {
    /// A tied model from its parameters, `weight: (m, n)`, `bias: (n)`.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::Shape`], [`Error::NotFinite`]; [`Error::Unsupported`] for the absolute-value model,
    /// which is untied (see [`ToyModel::untied`]).
    pub fn new(architecture: Architecture, weight: Array2<T>, bias: Array1<T>) -> Result<Self> {
        Self { architecture, weight, decoder: None, bias }.checked()
    }

    /// An absolute-value model from its parameters, `encoder: (m, n)`, `decoder: (n, m)`, `bias: (n)`.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::Shape`], [`Error::NotFinite`].
    pub fn untied(encoder: Array2<T>, decoder: Array2<T>, bias: Array1<T>) -> Result<Self> {
        Self { architecture: Architecture::AbsoluteValue, weight: encoder, decoder: Some(decoder), bias }.checked()
    }

    /// Number of features `n`.
    #[must_use]
    pub fn n_features(&self) -> usize {
        self.weight.ncols()
    }

    /// Number of hidden dimensions `m`.
    #[must_use]
    pub fn n_hidden(&self) -> usize {
        self.weight.nrows()
    }

    /// Hidden activations and outputs for `x: (b, n)`.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::NotFinite`].
    ///
    /// # Example
    /// ```
    /// use limpid::superposition::{Architecture, ToyModel};
    /// use ndarray::array;
    ///
    /// // two features as an antipodal pair in one dimension
    /// let model = ToyModel::new(Architecture::ReluOutput, array![[1.0, -1.0]], array![0.0, 0.0])?;
    /// assert_eq!(model.forward(&array![[0.0, 0.5]])?.output, array![[0.0, 0.5]]);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn forward(&self, x: &ArrayRef2<T>) -> Result<Forward<T>> {
        self.check_input(x)?;
        let relu = |v: T| if v <= T::zero() { T::zero() } else { v };
        let mut hidden = product(x, &self.weight.t())?;
        if matches!(self.architecture, Architecture::ReluHidden | Architecture::AbsoluteValue) {
            hidden.mapv_inplace(relu);
        }
        let mut output = match &self.decoder {
            Some(decoder) => product(&hidden, &decoder.t())?,
            None => product(&hidden, &self.weight)?,
        };
        output += &self.bias;
        if self.architecture != Architecture::Linear {
            output.mapv_inplace(relu);
        }
        Ok(Forward { hidden, output })
    }

    /// Loss and its gradient on `x: (b, n)` with `importance: (n)`, by backpropagation written by hand.
    ///
    /// ```text
    /// L = s Σ_b Σ_i I_i (t_bi - y_bi)²      s = 1/(b n), 1/b or 1,  t = x, or |x| for the absolute-value model
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::NotFinite`]; [`Error::Empty`] without rows, [`Error::OutOfRange`] for an importance
    /// below 0.
    ///
    /// # Example
    /// ```
    /// use limpid::superposition::{Architecture, Reduction, ToyModel};
    /// use ndarray::array;
    ///
    /// let model = ToyModel::new(Architecture::Linear, array![[1.0, 0.0]], array![0.0, 0.0])?;
    /// let (loss, gradient) = model.loss_and_gradient(&array![[0.5, 1.0]], &array![1.0, 0.5], Reduction::FeatureSum)?;
    /// assert_eq!((loss, gradient.bias), (0.5, array![0.0, -1.0]));
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn loss_and_gradient(
        &self,
        x: &ArrayRef2<T>,
        importance: &ArrayRef1<T>,
        reduction: Reduction,
    ) -> Result<(T, Gradient<T>)> {
        self.check_input(x)?;
        check_not_empty("x", x)?;
        check_importance(importance, self.n_features())?;
        let parameters = Parameters::new(self);
        let objective = Objective::new(importance, T::zero(), reduction, x.nrows());
        let mut workspace = Workspace::new(self.n_features(), self.n_hidden());
        let (mut total, mut part) = (BlockGradient::new(&parameters), BlockGradient::new(&parameters));
        for rows in x.axis_chunks_iter(Axis(0), BLOCK) {
            workspace.input.fill(T::zero());
            rows.indexed_iter().for_each(|((row, i), &value)| workspace.input[i * BLOCK + row] = value);
            part.clear();
            add_own_block(&parameters, &objective, rows.nrows(), &mut workspace, &mut part);
            total.add(&part);
        }
        Ok((T::of(total.loss), self.shaped(total)))
    }

    fn shaped(&self, gradient: BlockGradient<T>) -> Gradient<T> {
        let (m, n) = self.weight.dim();
        let matrix = |flat: Vec<T>| Array2::from_shape_fn((m, n), |(d, i)| flat[d * n + i]);
        let decoder = self.decoder.as_ref().map(|_| matrix(gradient.decoder_transposed).reversed_axes());
        Gradient { weight: matrix(gradient.encoder), decoder, bias: gradient.bias.into() }
    }

    fn check_input(&self, x: &ArrayRef2<T>) -> Result<()> {
        self.check()?;
        check_shape("x", x, &[x.nrows(), self.n_features()])?;
        check_finite("x", x)
    }

    fn checked(self) -> Result<Self> {
        self.check()?;
        Ok(self)
    }

    /// Checks shapes and values, for functions that take a model whose public fields may have been changed.
    pub(crate) fn check(&self) -> Result<()> {
        check_not_empty("weight", &self.weight)?;
        let (m, n) = self.weight.dim();
        check_shape("bias", &self.bias, &[n])?;
        check_finite("weight", &self.weight)?;
        check_finite("bias", &self.bias)?;
        match (&self.decoder, self.architecture) {
            (Some(decoder), Architecture::AbsoluteValue) => {
                check_shape("decoder", decoder, &[n, m])?;
                check_finite("decoder", decoder)
            }
            (None, Architecture::AbsoluteValue) => {
                Err(Error::Unsupported { what: "an absolute-value model without a decoder" })
            }
            (Some(_), _) => Err(Error::Unsupported { what: "a decoder in a tied model" }),
            (None, _) => Ok(()),
        }
    }
}

/// Checks `importance: (n)`: finite and not negative.
pub(crate) fn check_importance<T: Scalar>(importance: &ArrayRef1<T>, n: usize) -> Result<()> {
    check_shape("importance", importance, &[n])?;
    check_each("importance", importance, "finite and >= 0", |i| i >= T::zero() && i.is_finite())
}
