//! Occlusion: what the output loses when a window of the input is replaced by the baseline, slid over all places.
//!
//! ```text
//! A_i = mean over the windows w that cover i of  f(x) - f(x with w at the baseline)
//! windows start at 0, s, 2s, .. along each axis:  ceil((d - w)/s) + 1 of them, the last one clipped at the border
//! ```
//!
//! The input is read as an array of any rank: a sequence, an image `[c, h, w]`, a video. The sign is kept.
//!
//! Source: Zeiler & Fergus, "Visualizing and Understanding Convolutional Networks" (arXiv 1311.2901), section 4.2; the mean
//! over windows and the clipping are Captum's.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use ndarray::{Array2, ArrayRef2, ArrayView1};

use crate::attribution::sweep::Sweep;
use crate::attribution::{Attribution, Baseline, Batch, Explained, Explainer, Forward, Target};
use crate::error::check_each;
use crate::{Dims, Error, Result, Scalar};

/// A window slid over the input: one row for every place of it, and one more.
///
/// # Example
/// ```
/// use limpid::attribution::perturbation::Occlusion;
/// use limpid::attribution::target::Logit;
/// use limpid::attribution::{Explainer, Network};
/// use ndarray::array;
///
/// let mut model = Network::new(4).linear(array![[1.0, 2.0, 4.0, 8.0]], None)?;
/// let x = array![[1.0, 1.0, 1.0, 1.0]];
/// // rows of an image of 2 x 2 pixels
/// let rows = Occlusion { input_shape: vec![2, 2], window: vec![1, 2], ..Occlusion::default() };
/// assert_eq!(rows.attribute(&mut model, &x, &Logit::of(0))?.values, array![[3.0, 3.0, 12.0, 12.0]]);
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub struct Occlusion<T> {
    /// What occluded features become.
    pub baseline: Baseline<T>,
    /// How the features of a row are laid out, last axis fastest; empty: one axis.
    pub input_shape: Vec<usize>,
    /// Extent of the window along each axis; empty: 1 along all.
    pub window: Vec<usize>,
    /// Steps of the window along each axis; empty: 1 along all. At most the window, so that nothing is missed.
    pub stride: Vec<usize>,
    /// Rows of a model call.
    pub batch: Batch,
}

impl<T> Default for Occlusion<T> {
    fn default() -> Self {
        Self {
            baseline: Baseline::Zeros,
            input_shape: Vec::new(),
            window: Vec::new(),
            stride: Vec::new(),
            batch: Batch::Auto,
        }
    }
}

/// The places of a window along one axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Axis {
    extent: usize,
    window: usize,
    stride: usize,
    places: usize,
}

impl Axis {
    fn new(axis: usize, extent: usize, window: usize, stride: usize) -> Result<Self> {
        for (what, value) in [("input_shape", extent), ("window", window), ("stride", stride)] {
            if value == 0 {
                return Err(Error::OutOfRange { what, index: axis, value: 0.0, expected: ">= 1" });
            }
        }
        let places = extent.saturating_sub(window).div_ceil(stride) + 1;
        let expected = "a stride of at most the window, or a window over the whole axis";
        if stride > window && places > 1 {
            return Err(Error::OutOfRange { what: "stride", index: axis, value: stride as f64, expected });
        }
        Ok(Self { extent, window, stride, places })
    }

    fn covers(self, place: usize, position: usize) -> bool {
        let start = place * self.stride;
        (start..start.saturating_add(self.window)).contains(&position)
    }

    /// Positions of the window at a place, clipped.
    fn span(self, place: usize) -> core::ops::Range<usize> {
        let start = place * self.stride;
        start..start.saturating_add(self.window).min(self.extent)
    }
}

/// The places of the window over all axes.
struct Windows {
    axes: Vec<Axis>,
    count: usize,
}

impl Windows {
    fn new(shape: &[usize], window: &[usize], stride: &[usize], n: usize) -> Result<Self> {
        let whole = [n];
        let shape = if shape.is_empty() { &whole[..] } else { shape };
        if shape.iter().try_fold(1_usize, |size, &extent| size.checked_mul(extent)) != Some(n) {
            return Err(Error::Shape { what: "input_shape", expected: Dims::new(&[n]), got: Dims::new(shape) });
        }
        for (what, given) in [("window", window), ("stride", stride)] {
            if !given.is_empty() && given.len() != shape.len() {
                return Err(Error::Shape { what, expected: Dims::new(&[shape.len()]), got: Dims::new(&[given.len()]) });
            }
        }
        let of = |given: &[usize], axis: usize| given.get(axis).copied().unwrap_or(1);
        let axes = shape.iter().enumerate();
        let axes = axes.map(|(axis, &extent)| Axis::new(axis, extent, of(window, axis), of(stride, axis)));
        let axes = axes.collect::<Result<Vec<Axis>>>()?;
        // a window starts at a feature of its own, so there are at most n
        let count = axes.iter().map(|axis| axis.places).product();
        Ok(Self { axes, count })
    }

    /// Calls `visit` with every feature under window `number`.
    fn for_each(&self, number: usize, mut visit: impl FnMut(usize)) {
        let (mut spans, mut rest) = (vec![0..0; self.axes.len()], number);
        for (axis, span) in self.axes.iter().zip(&mut spans).rev() {
            *span = axis.span(rest % axis.places);
            rest /= axis.places;
        }
        let mut at: Vec<usize> = spans.iter().map(|span| span.start).collect();
        loop {
            visit(self.axes.iter().zip(&at).fold(0, |feature, (axis, at)| feature * axis.extent + at));
            // the next position, last axis fastest
            let Some(axis) = (0..at.len()).rev().find(|&axis| at[axis] + 1 < spans[axis].end) else { return };
            at[axis] += 1;
            at[axis + 1..].iter_mut().zip(&spans[axis + 1..]).for_each(|(at, span)| *at = span.start);
        }
    }

    /// Number of windows over a feature.
    fn over(&self, feature: usize) -> usize {
        let (mut rest, mut count) = (feature, 1);
        for axis in self.axes.iter().rev() {
            let position = rest % axis.extent;
            rest /= axis.extent;
            // the places that can reach the position lie close together, however many there are
            let last = (position / axis.stride).min(axis.places - 1);
            let first = (position + 1).saturating_sub(axis.window).div_ceil(axis.stride);
            count *= (first..=last).filter(|&place| axis.covers(place, position)).count();
        }
        count
    }

    fn occlude<T: Scalar>(&self, number: usize, baseline: ArrayView1<'_, T>, row: &mut [T]) {
        self.for_each(number, |feature| row[feature] = baseline[feature]);
    }
}

impl<T: Scalar, M: Forward<T> + ?Sized> Explainer<T, M> for Occlusion<T> {
    fn attribute(
        &self,
        model: &mut M,
        x: &ArrayRef2<T>,
        target: &dyn Target<T>,
    ) -> Explained<Attribution<T>, M::Error> {
        let mut sweep = Sweep::new(model, x, target, self.batch)?;
        let (rows, n) = x.dim();
        check_each("n", &[n as f64], ">= 1", |n: f64| n >= 1.0)?;
        let windows = Windows::new(&self.input_shape, &self.window, &self.stride, n)?;
        let baseline = self.baseline.rows(x)?;
        let output = sweep.unchanged()?;
        let mut sums: Array2<T> = Array2::zeros(x.raw_dim());
        sweep.run(
            (0..rows).flat_map(|row| (0..windows.count).map(move |number| (row, number))),
            |row, number, changed| windows.occlude(number, baseline.row(row), changed),
            |row, number, value, _| {
                let loss = output[row] - value;
                windows.for_each(number, |feature| sums[[row, feature]] += loss);
            },
        )?;
        for (feature, mut column) in sums.columns_mut().into_iter().enumerate() {
            let count = T::of(windows.over(feature) as f64);
            column.mapv_inplace(|sum| sum / count);
        }
        let mut result = Attribution::new("occlusion", format!("{self:?}"), sums, output);
        result.evaluations = sweep.evaluations();
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{c1, failed_input, is_batch_invariant};
    use super::*;
    use crate::attribution::Network;
    use crate::attribution::network::{Conv2d, Op};
    use crate::attribution::target::Logit;
    use crate::math::pointwise::Activation;
    use ndarray::{Array1, Array4, array};

    fn windows(shape: &[usize], window: &[usize], stride: &[usize]) -> Windows {
        Windows::new(shape, window, stride, shape.iter().product()).unwrap()
    }

    #[test]
    fn windows_of_one_axis() {
        let x = array![[20.0, 50.0, 30.0]];
        let run = |window: usize, stride: usize, base: f64| {
            let baseline = Baseline::Row(Array1::from_elem(3, base));
            let method = Occlusion { baseline, window: vec![window], stride: vec![stride], ..Occlusion::default() };
            method.attribute(&mut c1(), &x, &Logit::of(0)).unwrap().values
        };
        assert_eq!(run(1, 1, 0.0), array![[80.0, 200.0, 120.0]]);
        assert_eq!(run(2, 1, 10.0), array![[200.0, 220.0, 240.0]]);
        assert_eq!(run(2, 2, 0.0), array![[280.0, 280.0, 120.0]]);
        // a window over all, whatever the stride
        assert_eq!(run(7, 9, 0.0), array![[390.0, 390.0, 390.0]]);
    }

    #[test]
    fn a_window_of_two_axes() {
        // a convolution of a 4 x 4 image, of which the second input of ones is added before
        let weight = Array4::ones((2, 1, 3, 3));
        let conv = Conv2d::new(weight, Some(array![-50.0, -75.0]), [1, 1], [0, 0], [1, 4, 4]).unwrap();
        let net = Network::new(16).then(Op::Conv2d(conv)).unwrap().activation(Activation::Relu).unwrap();
        let signs = Array2::from_shape_fn((4, 8), |(_, i)| if i < 5 { 1.0 } else { -1.0 });
        let mut net = net.linear(signs, None).unwrap().activation(Activation::Relu).unwrap();
        let mut model = crate::attribution::Function::new((16, 4), |x: &ArrayRef2<f64>, z: &mut ArrayRef2<f64>| {
            net.forward(&(x + 1.0), z)
        });
        let x = Array2::from_shape_fn((1, 16), |(_, i)| i as f64);
        let method =
            Occlusion { input_shape: vec![4, 4], window: vec![2, 3], stride: vec![2, 1], ..Occlusion::default() };
        let found = method.attribute(&mut model, &x, &Logit::of(0)).unwrap().values;
        let expected = [[17.0; 4], [17.0; 4], [64.0, 65.5, 65.5, 67.0], [64.0, 65.5, 65.5, 67.0]].concat();
        assert_eq!(found.row(0).to_vec(), expected);
    }

    #[test]
    fn every_feature_is_covered_and_counted() {
        for (shape, window, stride) in
            [([7, 6], [3, 4], [2, 3]), ([5, 5], [2, 2], [1, 1]), ([4, 1], [9, 1], [3, 1]), ([8, 9], [3, 2], [3, 1])]
        {
            let windows = windows(&shape, &window, &stride);
            let mut counts = vec![0; shape[0] * shape[1]];
            (0..windows.count).for_each(|number| windows.for_each(number, |feature| counts[feature] += 1));
            let over: Vec<usize> = (0..counts.len()).map(|feature| windows.over(feature)).collect();
            assert_eq!((over.iter().min() > Some(&0), over), (true, counts));
        }
        assert_eq!(windows(&[7], &[3], &[2]).count, 3);
        assert_eq!(windows(&[8], &[3], &[2]).count, 4);
    }

    #[test]
    fn results_do_not_depend_on_the_batch() {
        is_batch_invariant(|batch| Occlusion { batch, window: vec![2], ..Occlusion::default() });
    }

    #[test]
    fn bad_windows_are_named() {
        let failed = |shape: &[usize], window: &[usize], stride: &[usize]| {
            let (input_shape, window, stride) = (shape.to_vec(), window.to_vec(), stride.to_vec());
            failed_input(&Occlusion { input_shape, window, stride, ..Occlusion::default() })
        };
        assert!(matches!(failed(&[], &[0], &[]), Error::OutOfRange { what: "window", .. }));
        assert!(matches!(failed(&[], &[1], &[0]), Error::OutOfRange { what: "stride", .. }));
        assert!(matches!(failed(&[], &[1], &[2]), Error::OutOfRange { what: "stride", .. }));
        assert!(matches!(failed(&[2, 2], &[], &[]), Error::Shape { what: "input_shape", .. }));
        assert!(matches!(failed(&[usize::MAX, 2], &[], &[]), Error::Shape { what: "input_shape", .. }));
        assert!(matches!(failed(&[3, 1], &[1], &[]), Error::Shape { what: "window", .. }));
    }
}
