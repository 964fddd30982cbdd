//! `z = x Wᵀ + b`.

use ndarray::{Array1, Array2, ArrayRef2, ArrayView2, ArrayViewMut2};

use super::op::whole_parts;
use crate::error::{check_finite, check_not_empty, check_shape};
use crate::math::gemm::product_into;
use crate::{Result, Scalar};

/// A linear map; a row that holds several tokens of `i` values is mapped token by token.
#[derive(Debug, Clone, PartialEq)]
pub struct Linear<T> {
    weight: Array2<T>,
    bias: Option<Array1<T>>,
}

impl<T: Scalar> Linear<T> {
    /// From `weight: (o, i)` and `bias: (o)`.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape), [`Error::Empty`](crate::Error::Empty),
    /// [`Error::NotFinite`](crate::Error::NotFinite).
    pub fn new(weight: Array2<T>, bias: Option<Array1<T>>) -> Result<Self> {
        check_not_empty("weight", &weight)?;
        check_finite("weight", &weight)?;
        if let Some(bias) = &bias {
            check_shape("bias", bias, &[weight.nrows()])?;
            check_finite("bias", bias)?;
        }
        Ok(Self { weight, bias })
    }

    /// A map without bias.
    ///
    /// # Errors
    /// As [`Linear::new`].
    pub fn from_weight(weight: Array2<T>) -> Result<Self> {
        Self::new(weight, None)
    }

    /// The weight, `(o, i)`.
    #[must_use]
    pub fn weight(&self) -> &Array2<T> {
        &self.weight
    }

    /// The bias, `(o)`.
    #[must_use]
    pub fn bias(&self) -> Option<&Array1<T>> {
        self.bias.as_ref()
    }

    /// The same map with changed weights and bias.
    pub(crate) fn mapped(&self, weight: impl Fn(T) -> T, bias: impl Fn(T) -> T) -> Self {
        Self { weight: self.weight.mapv(weight), bias: self.bias.as_ref().map(|b| b.mapv(bias)) }
    }

    pub(super) fn width(&self, width: usize) -> Result<usize> {
        whole_parts("input of linear", width, self.weight.ncols())?;
        Ok((width / self.weight.ncols()).saturating_mul(self.weight.nrows()))
    }

    pub(super) fn forward(&self, x: &ArrayRef2<T>, out: &mut ArrayRef2<T>) {
        let (outputs, inputs) = self.weight.dim();
        let tokens = x.ncols() / inputs;
        let mut out = parts_mut(out, tokens, outputs);
        multiply(&parts(x, tokens, inputs), &self.weight.t(), &mut out);
        if let Some(bias) = &self.bias {
            out += bias;
        }
    }

    pub(crate) fn vjp(&self, by_output: &ArrayRef2<T>) -> Array2<T> {
        let (outputs, inputs) = self.weight.dim();
        let (rows, tokens) = (by_output.nrows(), by_output.ncols() / outputs);
        let mut gradient = Array2::zeros((rows, tokens * inputs));
        multiply(&parts(by_output, tokens, outputs), &self.weight, &mut parts_mut(&mut gradient, tokens, inputs));
        gradient
    }
}

/// `out = a b` of shapes that fit.
fn multiply<T: Scalar>(a: &ArrayRef2<T>, b: &ArrayRef2<T>, out: &mut ArrayRef2<T>) {
    let fits = product_into(a, b, out);
    debug_assert!(fits.is_ok(), "widths were checked when the network was built");
}

/// Rows of `parts` parts as rows of one part.
pub(super) fn parts<T>(x: &ArrayRef2<T>, count: usize, width: usize) -> ArrayView2<'_, T> {
    let shape = (x.nrows() * count, width);
    x.view().into_shape_with_order(shape).expect("values of nodes are row-major")
}

/// As [`parts`], to be written to.
pub(super) fn parts_mut<T>(x: &mut ArrayRef2<T>, count: usize, width: usize) -> ArrayViewMut2<'_, T> {
    let shape = (x.nrows() * count, width);
    x.view_mut().into_shape_with_order(shape).expect("values of nodes are row-major")
}
