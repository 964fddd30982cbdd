//! Softmax as a node.

use ndarray::{Array2, ArrayRef2};

use super::linear::{parts, parts_mut};
use super::op::whole_parts;
use crate::math::pointwise::{softmax, softmax_backward};
use crate::{Result, Scalar};

/// Softmax over a whole row, or over equal parts of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Softmax {
    /// Values of a part, `None` for the whole row.
    pub part: Option<usize>,
}

impl Softmax {
    fn part(self, width: usize) -> usize {
        self.part.unwrap_or(width).max(1)
    }

    pub(super) fn width(self, width: usize) -> Result<usize> {
        whole_parts("input of softmax", width, self.part.unwrap_or(width))?;
        Ok(width)
    }

    pub(super) fn forward<T: Scalar>(self, x: &ArrayRef2<T>, out: &mut ArrayRef2<T>) {
        let part = self.part(x.ncols());
        let count = x.ncols() / part;
        if let Ok(values) = softmax(&parts(x, count, part)) {
            parts_mut(out, count, part).assign(&values);
        }
    }

    pub(super) fn vjp<T: Scalar>(self, output: &ArrayRef2<T>, by_output: &ArrayRef2<T>) -> Array2<T> {
        let part = self.part(output.ncols());
        let count = output.ncols() / part;
        let mut gradient = Array2::zeros(output.raw_dim());
        if let Ok(values) = softmax_backward(&parts(output, count, part), &parts(by_output, count, part)) {
            parts_mut(&mut gradient, count, part).assign(&values);
        }
        gradient
    }
}
