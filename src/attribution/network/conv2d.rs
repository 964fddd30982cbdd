//! Two-dimensional convolution, as a product with unfolded windows.
//!
//! ```text
//! z[o, y, x] = b_o + Σ_{i, u, v} W[o, i, u, v] a[i, s_y y + u - p_y, s_x x + v - p_x]        zero outside the image
//! ```

use ndarray::{Array1, Array2, Array4, ArrayRef2, ArrayView2, ArrayViewMut2};

use crate::error::{check_each, check_finite, check_not_empty, check_shape};
use crate::math::gemm::product_into;
use crate::{Dims, Error, Result, Scalar};

/// Windows over an image `[c, h, w]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Window {
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
    input: [usize; 3],
    output: [usize; 2],
}

impl Window {
    pub(super) fn new(kernel: [usize; 2], stride: [usize; 2], padding: [usize; 2], input: [usize; 3]) -> Result<Self> {
        let sizes = kernel.iter().chain(&stride).chain(&input).map(|&size| size as f64);
        check_each("size of the window or image", &sizes.collect::<Array1<f64>>(), ">= 1", |size: f64| size >= 1.0)?;
        let [_, height, width] = input;
        let mut output = [0; 2];
        for (axis, size) in [height, width].into_iter().enumerate() {
            let padded = padding[axis].saturating_mul(2).saturating_add(size);
            if kernel[axis] > padded {
                let (expected, got) = (Dims::new(&[padded]), Dims::new(&[kernel[axis]]));
                return Err(Error::Shape { what: "kernel", expected, got });
            }
            output[axis] = (padded - kernel[axis]) / stride[axis] + 1;
        }
        Ok(Self { kernel, stride, padding, input, output })
    }

    pub(super) fn check(&self, width: usize) -> Result<()> {
        let expected = self.input.iter().fold(1_usize, |product, &size| product.saturating_mul(size));
        if width == expected {
            return Ok(());
        }
        Err(Error::Shape { what: "image", expected: Dims::new(&self.input), got: Dims::new(&[width]) })
    }

    pub(super) fn channels(&self) -> usize {
        self.input[0]
    }

    /// Windows per channel.
    pub(super) fn positions(&self) -> usize {
        self.output[0].saturating_mul(self.output[1])
    }

    /// Elements of a window.
    fn size(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// For every element of the window at `position`, its place in the row, `None` in the padding.
    fn places(&self, channel: usize, position: usize) -> impl Iterator<Item = Option<usize>> {
        let window = *self;
        let [_, height, width] = window.input;
        let (y, x) = (position / window.output[1], position % window.output[1]);
        (0..window.size()).map(move |element| {
            let (u, v) = (element / window.kernel[1], element % window.kernel[1]);
            let row = (y * window.stride[0] + u).checked_sub(window.padding[0]).filter(|&row| row < height)?;
            let column = (x * window.stride[1] + v).checked_sub(window.padding[1]).filter(|&column| column < width)?;
            Some((channel * height + row) * width + column)
        })
    }

    /// The places of a window that lie in the image, in row-major order.
    pub(super) fn members(&self, channel: usize, position: usize) -> impl Iterator<Item = usize> {
        self.places(channel, position).flatten()
    }
}

/// A convolution of images `[c, h, w]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Conv2d<T> {
    /// `(o, i kh kw)`
    weight: Array2<T>,
    bias: Option<Array1<T>>,
    window: Window,
}

impl<T: Scalar> Conv2d<T> {
    /// From `weight: (o, i, kh, kw)`, `bias: (o)`, and the layout `[i, h, w]` of a row.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::Empty`], [`Error::NotFinite`], [`Error::OutOfRange`] for a stride or an image of size 0.
    pub fn new(
        weight: Array4<T>,
        bias: Option<Array1<T>>,
        stride: [usize; 2],
        padding: [usize; 2],
        input: [usize; 3],
    ) -> Result<Self> {
        check_not_empty("weight", &weight)?;
        check_finite("weight", &weight)?;
        let (outputs, inputs, height, width) = weight.dim();
        check_shape("weight", &weight, &[outputs, input[0], height, width])?;
        if let Some(bias) = &bias {
            check_shape("bias", bias, &[outputs])?;
            check_finite("bias", bias)?;
        }
        let window = Window::new([height, width], stride, padding, input)?;
        let flat = weight.as_standard_layout().into_owned().into_shape_with_order((outputs, inputs * height * width));
        let weight = flat.map_err(|_| Error::Unsupported { what: "a weight that cannot be laid out" })?;
        Ok(Self { weight, bias, window })
    }

    /// The same convolution with changed weights and bias.
    pub(crate) fn mapped(&self, weight: impl Fn(T) -> T, bias: impl Fn(T) -> T) -> Self {
        Self { weight: self.weight.mapv(weight), bias: self.bias.as_ref().map(|b| b.mapv(bias)), window: self.window }
    }

    pub(super) fn width(&self, width: usize) -> Result<usize> {
        self.window.check(width)?;
        Ok(self.weight.nrows().saturating_mul(self.window.positions()))
    }

    /// The windows of one image as columns: `(i kh kw, positions)`.
    fn unfold(&self, row: &[T], columns: &mut Array2<T>) {
        for channel in 0..self.window.channels() {
            for position in 0..self.window.positions() {
                for (element, place) in self.window.places(channel, position).enumerate() {
                    let value = place.map_or(T::zero(), |place| row[place]);
                    columns[[channel * self.window.size() + element, position]] = value;
                }
            }
        }
    }

    pub(crate) fn forward(&self, x: &ArrayRef2<T>, out: &mut ArrayRef2<T>) {
        let mut columns = Array2::zeros((self.weight.ncols(), self.window.positions()));
        for (x, mut out) in x.rows().into_iter().zip(out.rows_mut()) {
            self.unfold(x.to_slice().expect("values of nodes are row-major"), &mut columns);
            let shape = (self.weight.nrows(), self.window.positions());
            let mut image =
                ArrayViewMut2::from_shape(shape, out.as_slice_mut().expect("values of nodes are row-major"))
                    .expect("the width was checked when the network was built");
            let fits = product_into(&self.weight, &columns, &mut image);
            debug_assert!(fits.is_ok(), "windows fit the weight");
            for (mut channel, bias) in image.rows_mut().into_iter().zip(self.bias.iter().flatten()) {
                channel += *bias;
            }
        }
    }

    pub(crate) fn vjp(&self, by_output: &ArrayRef2<T>, rows: usize) -> Array2<T> {
        let mut gradient = Array2::zeros((rows, self.window.input.iter().product()));
        let mut columns = Array2::zeros((self.weight.ncols(), self.window.positions()));
        for (g, mut out) in by_output.rows().into_iter().zip(gradient.rows_mut()) {
            let shape = (self.weight.nrows(), self.window.positions());
            let image = ArrayView2::from_shape(shape, g.to_slice().expect("values of nodes are row-major"))
                .expect("the width was checked when the network was built");
            let fits = product_into(&self.weight.t(), &image, &mut columns);
            debug_assert!(fits.is_ok(), "windows fit the weight");
            for channel in 0..self.window.channels() {
                for position in 0..self.window.positions() {
                    for (element, place) in self.window.places(channel, position).enumerate() {
                        if let Some(place) = place {
                            out[place] += columns[[channel * self.window.size() + element, position]];
                        }
                    }
                }
            }
        }
        gradient
    }
}
