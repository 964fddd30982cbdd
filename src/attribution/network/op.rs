//! The operations of the tape: what each computes, and its derivative.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use ndarray::{Array1, Array2, ArrayRef2};

use super::{Conv2d, Embedding, Linear, MaxPool2d, Mix, Norm, Scores, Softmax, activation};
use crate::error::check_shape;
use crate::math::pointwise::Activation;
use crate::{Dims, Error, Result, Scalar};

/// An operation.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Op<T> {
    /// `x Wᵀ + b`, over all of a row or token by token.
    Linear(Linear<T>),
    /// Convolution over the two last axes of `[c, h, w]`.
    Conv2d(Conv2d<T>),
    /// Maximum over windows of `[c, h, w]`.
    MaxPool2d(MaxPool2d),
    /// A function of each element.
    Activation(Activation),
    /// Layer or root-mean-square normalisation.
    Norm(Norm<T>),
    /// Softmax over the row or over equal parts of it.
    Softmax(Softmax),
    /// Rows of a table, by index.
    Embedding(Embedding<T>),
    /// Attention scores of queries and keys.
    Scores(Scores<T>),
    /// Values mixed by attention weights.
    Mix(Mix),
    /// The sum of two or more inputs.
    Add,
    /// The elementwise product of two inputs.
    Multiply,
    /// Adds a constant row, such as positions.
    Shift(Array1<T>),
    /// An operation of the caller.
    Custom(Arc<dyn Operation<T>>),
}

/// An operation of the caller; rule methods treat it by `vjp` where it is linear, and by a straight path otherwise.
pub trait Operation<T: Scalar>: fmt::Debug + Send + Sync {
    /// Values per row of the result, from those of the inputs.
    ///
    /// # Errors
    /// [`Error::Shape`] where the inputs do not fit.
    fn width(&self, inputs: &[usize]) -> Result<usize>;

    /// Writes the result `(b, width)`.
    ///
    /// # Errors
    /// Whatever is wrong with the values.
    fn forward(&self, inputs: &[&ArrayRef2<T>], out: &mut ArrayRef2<T>) -> Result<()>;

    /// The gradient by each input from the gradient by the output.
    ///
    /// # Errors
    /// Whatever is wrong with the values.
    fn vjp(&self, inputs: &[&ArrayRef2<T>], output: &ArrayRef2<T>, by_output: &ArrayRef2<T>) -> Result<Vec<Array2<T>>>;

    /// Whether the operation is linear in all of its inputs together, up to a constant.
    fn linear(&self) -> bool {
        false
    }
}

impl<T: Scalar> Op<T> {
    /// Short name for reports.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Linear(_) => "linear",
            Self::Conv2d(_) => "conv2d",
            Self::MaxPool2d(_) => "max_pool2d",
            Self::Activation(activation) => activation::name(*activation),
            Self::Norm(_) => "norm",
            Self::Softmax(_) => "softmax",
            Self::Embedding(_) => "embedding",
            Self::Scores(_) => "scores",
            Self::Mix(_) => "mix",
            Self::Add => "add",
            Self::Multiply => "multiply",
            Self::Shift(_) => "shift",
            Self::Custom(_) => "custom",
        }
    }

    /// Values per row of the result, from those of the inputs.
    ///
    /// # Errors
    /// [`Error::Shape`] where the operation does not fit its inputs.
    pub fn width(&self, inputs: &[usize]) -> Result<usize> {
        match self {
            Self::Linear(op) => op.width(one(inputs)?),
            Self::Conv2d(op) => op.width(one(inputs)?),
            Self::MaxPool2d(op) => op.width(one(inputs)?),
            Self::Activation(_) => one(inputs),
            Self::Norm(op) => op.width(one(inputs)?),
            Self::Softmax(op) => op.width(one(inputs)?),
            Self::Embedding(op) => op.width(one(inputs)?),
            Self::Scores(op) => two(inputs).and_then(|(query, key)| op.width(query, key)),
            Self::Mix(op) => two(inputs).and_then(|(weights, values)| op.width(weights, values)),
            Self::Add => equal(inputs),
            Self::Multiply => two(inputs).and_then(|_| equal(inputs)),
            Self::Shift(row) => equal(&[one(inputs)?, row.len()]),
            Self::Custom(op) => op.width(inputs),
        }
    }

    /// Writes the result `(b, width)`.
    ///
    /// # Errors
    /// Whatever is wrong with the values.
    pub(crate) fn forward(&self, inputs: &[&ArrayRef2<T>], out: &mut ArrayRef2<T>) -> Result<()> {
        match (self, inputs) {
            (Self::Linear(op), [x]) => op.forward(x, out),
            (Self::Conv2d(op), [x]) => op.forward(x, out),
            (Self::MaxPool2d(op), [x]) => op.forward(x, out),
            (Self::Activation(op), [x]) => activation::forward(*op, x, out),
            (Self::Norm(op), [x]) => op.forward(x, out),
            (Self::Softmax(op), [x]) => op.forward(x, out),
            (Self::Embedding(op), [x]) => return op.forward(x, out),
            (Self::Scores(op), [query, key]) => op.forward(query, key, out),
            (Self::Mix(op), [weights, values]) => op.forward(weights, values, out),
            (Self::Add, [first, rest @ ..]) => {
                out.assign(first);
                rest.iter().for_each(|x| *out += *x);
            }
            (Self::Multiply, [a, b]) => {
                out.assign(a);
                *out *= *b;
            }
            (Self::Shift(row), [x]) => {
                out.assign(x);
                out.rows_mut().into_iter().for_each(|mut out| out += row);
            }
            (Self::Custom(op), _) => return op.forward(inputs, out),
            _ => return Err(wrong_count(inputs.len())),
        }
        Ok(())
    }

    /// The gradient by each input from the gradient by the output.
    ///
    /// # Errors
    /// Whatever is wrong with the values.
    pub(crate) fn vjp(
        &self,
        inputs: &[&ArrayRef2<T>],
        output: &ArrayRef2<T>,
        by_output: Array2<T>,
    ) -> Result<Vec<Array2<T>>> {
        let g = &by_output;
        Ok(match (self, inputs) {
            (Self::Linear(op), [_]) => alloc::vec![op.vjp(g)],
            (Self::Conv2d(op), [x]) => alloc::vec![op.vjp(g, x.nrows())],
            (Self::MaxPool2d(op), [x]) => alloc::vec![op.vjp(x, g)],
            (Self::Activation(op), [x]) => alloc::vec![activation::vjp(*op, x, by_output)],
            (Self::Norm(op), [x]) => alloc::vec![op.vjp(x, g)],
            (Self::Softmax(op), [_]) => alloc::vec![op.vjp(output, g)],
            // an index has no derivative
            (Self::Embedding(_), [x]) => alloc::vec![Array2::zeros(x.raw_dim())],
            (Self::Scores(op), [query, key]) => op.vjp(query, key, g).into(),
            (Self::Mix(op), [weights, values]) => op.vjp(weights, values, g).into(),
            (Self::Add, [_, rest @ ..]) => {
                let mut all: Vec<Array2<T>> = rest.iter().map(|_| by_output.clone()).collect();
                all.push(by_output);
                all
            }
            (Self::Multiply, [a, b]) => alloc::vec![times(g, b), times(g, a)],
            (Self::Shift(_), [_]) => alloc::vec![by_output],
            (Self::Custom(op), _) => checked(op.vjp(inputs, output, g)?, inputs)?,
            _ => return Err(wrong_count(inputs.len())),
        })
    }

    /// The same linear layer or convolution with changed weights and biases; other operations as they are.
    pub(crate) fn mapped(&self, weight: impl Fn(T) -> T, bias: impl Fn(T) -> T) -> Self {
        match self {
            Self::Linear(op) => Self::Linear(op.mapped(weight, bias)),
            Self::Conv2d(op) => Self::Conv2d(op.mapped(weight, bias)),
            other => other.clone(),
        }
    }

    /// Whether the operation is linear in all of its inputs together, up to a constant.
    #[must_use]
    pub fn linear(&self) -> bool {
        match self {
            Self::Linear(_) | Self::Conv2d(_) | Self::Add | Self::Shift(_) => true,
            Self::Activation(activation) => *activation == Activation::Identity,
            Self::Custom(op) => op.linear(),
            _ => false,
        }
    }
}

/// The gradients of a caller's operation, row-major; neither number nor shape is taken on trust.
fn checked<T: Scalar>(gradients: Vec<Array2<T>>, inputs: &[&ArrayRef2<T>]) -> Result<Vec<Array2<T>>> {
    if gradients.len() != inputs.len() {
        let (expected, got) = (Dims::new(&[inputs.len()]), Dims::new(&[gradients.len()]));
        return Err(Error::Shape { what: "gradients of an operation", expected, got });
    }
    for (gradient, input) in gradients.iter().zip(inputs) {
        check_shape("gradient of an operation", gradient, input.shape())?;
    }
    let row_major = |gradient: Array2<T>| {
        if gradient.is_standard_layout() { gradient } else { gradient.as_standard_layout().into_owned() }
    };
    Ok(gradients.into_iter().map(row_major).collect())
}

fn times<T: Scalar>(g: &ArrayRef2<T>, x: &ArrayRef2<T>) -> Array2<T> {
    let mut product = g.to_owned();
    product.zip_mut_with(x, |g, &x| *g *= x);
    product
}

fn wrong_count(got: usize) -> Error {
    Error::Shape { what: "inputs of an operation", expected: Dims::new(&[]), got: Dims::new(&[got]) }
}

fn one(inputs: &[usize]) -> Result<usize> {
    match inputs {
        [width] => Ok(*width),
        _ => Err(Error::Shape {
            what: "inputs of an operation",
            expected: Dims::new(&[1]),
            got: Dims::new(&[inputs.len()]),
        }),
    }
}

fn two(inputs: &[usize]) -> Result<(usize, usize)> {
    match inputs {
        [first, second] => Ok((*first, *second)),
        _ => Err(Error::Shape {
            what: "inputs of an operation",
            expected: Dims::new(&[2]),
            got: Dims::new(&[inputs.len()]),
        }),
    }
}

fn equal(inputs: &[usize]) -> Result<usize> {
    let (&first, rest) = inputs.split_first().ok_or_else(|| wrong_count(0))?;
    match rest.iter().find(|&&width| width != first) {
        None => Ok(first),
        Some(&width) => {
            Err(Error::Shape { what: "input of an operation", expected: Dims::new(&[first]), got: Dims::new(&[width]) })
        }
    }
}

/// Checks that a row of `width` values is a whole number of parts.
pub(super) fn whole_parts(what: &'static str, width: usize, part: usize) -> Result<()> {
    if part > 0 && width > 0 && width.is_multiple_of(part) {
        return Ok(());
    }
    Err(Error::Shape { what, expected: Dims::new(&[part]), got: Dims::new(&[width]) })
}
