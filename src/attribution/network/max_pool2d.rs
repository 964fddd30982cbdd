//! Maximum over windows of an image.

use ndarray::{Array2, ArrayRef2};

use super::conv2d::Window;
use crate::{Result, Scalar};

/// The largest element of every window of `[c, h, w]`; of equal elements the first in row-major order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MaxPool2d {
    window: Window,
}

impl MaxPool2d {
    /// Windows of `kernel` elements, `stride` apart, over an input of `[c, h, w]`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for an empty size, [`Error::Shape`](crate::Error::Shape) for a
    /// kernel that is larger than the image.
    pub fn new(kernel: [usize; 2], stride: [usize; 2], input: [usize; 3]) -> Result<Self> {
        Ok(Self { window: Window::new(kernel, stride, [0, 0], input)? })
    }

    pub(super) fn width(self, width: usize) -> Result<usize> {
        self.window.check(width)?;
        Ok(self.window.channels().saturating_mul(self.window.positions()))
    }

    /// For every output in order, the input that wins its window.
    pub(crate) fn winners<'a, T: Scalar>(self, row: &'a [T]) -> impl Iterator<Item = usize> + 'a {
        let outputs = self.window.channels() * self.window.positions();
        (0..outputs).map(move |output| {
            let (channel, position) = (output / self.window.positions(), output % self.window.positions());
            let mut members = self.window.members(channel, position);
            let first = members.next().unwrap_or(0);
            // NaN wins, so that it is not hidden
            members.fold(first, |best, at| if row[at] > row[best] || row[at].is_nan() { at } else { best })
        })
    }

    pub(super) fn forward<T: Scalar>(self, x: &ArrayRef2<T>, out: &mut ArrayRef2<T>) {
        for (x, mut out) in x.rows().into_iter().zip(out.rows_mut()) {
            let row = x.to_slice().expect("values of nodes are row-major");
            for (out, winner) in out.iter_mut().zip(self.winners(row)) {
                *out = row[winner];
            }
        }
    }

    pub(super) fn vjp<T: Scalar>(self, x: &ArrayRef2<T>, by_output: &ArrayRef2<T>) -> Array2<T> {
        let mut gradient = Array2::zeros(x.raw_dim());
        for ((x, g), mut out) in x.rows().into_iter().zip(by_output.rows()).zip(gradient.rows_mut()) {
            let row = x.to_slice().expect("values of nodes are row-major");
            for (&g, winner) in g.iter().zip(self.winners(row)) {
                out[winner] += g;
            }
        }
        gradient
    }
}
