//! Blur integrated gradients: the way of an image from fully blurred to sharp.
//!
//! ```text
//! L(σ) = the image under a Gaussian blur of deviation σ, channel by channel        γ(α) = L((1 - α) σ_max)
//! A_i = ∫_0^1 ∂f/∂x_i (γ(α)) γ_i'(α) dα
//! ```
//!
//! No pixel value stands for "nothing is there": what is taken away is detail, at scale after scale. The sum is
//! `f(x) - f(L(σ_max))`, up to a `delta` of the quadrature. The derivative of the blur by `σ` is exact. `σ` is in pixels; a
//! kernel is cut off where it is below rounding.
//!
//! Source: Xu, Venugopalan and Sundararajan, "Attribution in Scale and Space" (arXiv 2004.03383). The authors' code differs:
//! it takes differences for the derivative by `σ`, and the left rule.

use alloc::borrow::Cow;
use alloc::format;
use alloc::vec::Vec;

use ndarray::{Array2, ArrayRef2, ArrayView2, Axis};
use num_traits::ToPrimitive;

use super::paths::PathIntegral;
use crate::attribution::{Attribution, Batch, Differentiable, Explained, Explainer, Target};
use crate::error::{check_each, check_finite, check_limit, check_shape};
use crate::math::gemm::product;
use crate::math::quadrature::Rule;
use crate::{Result, Scalar};

/// Integrated gradients along the blur of images: `steps` evaluations with gradient per row.
///
/// # Example
/// ```
/// use limpid::attribution::gradient::BlurIntegratedGradients;
/// use limpid::attribution::target::Logit;
/// use limpid::attribution::{Explainer, Network};
/// use ndarray::array;
///
/// // a white dot in an image of 1 x 3 pixels and one channel, seen by its contrast
/// let mut model = Network::new(3).linear(array![[-0.5, 1.0, -0.5]], None)?;
/// let method = BlurIntegratedGradients::new([1, 3, 1]);
/// let found = method.attribute(&mut model, &array![[0.0, 1.0, 0.0_f64]], &Logit::of(0))?;
/// // fully blurred it has no contrast
/// assert!(found.base_value.unwrap()[0].abs() < 1e-9 && found.delta.unwrap()[0].abs() < 1e-3);
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct BlurIntegratedGradients {
    /// Height, width and channels of an image, the first two at most 4096; a row of the input is `[height, width, channels]`, row-major.
    pub shape: [usize; 3],
    /// `σ_max` in pixels, at most 10000.
    pub sigma: f64,
    /// What lies beyond the border.
    pub border: BlurBorder,
    /// How the integral is approximated.
    pub rule: Rule,
    /// Points of the rule.
    pub steps: usize,
    /// Rows of one model call.
    pub batch: Batch,
}

/// What a blur sees beyond the border of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum BlurBorder {
    /// Its mirror image: fully blurred is every channel's mean.
    #[default]
    Mirror,
    /// Zeros: fully blurred is black.
    Zero,
}

impl BlurIntegratedGradients {
    /// For images of `shape = [height, width, channels]`, from a deviation of 50 pixels, with 100 Gauss-Legendre points.
    #[must_use]
    pub fn new(shape: [usize; 3]) -> Self {
        let (border, rule, batch) = (BlurBorder::Mirror, Rule::GaussLegendre, Batch::Auto);
        Self { shape, sigma: 50.0, border, rule, steps: 100, batch }
    }

    /// The images `x: (b, height width channels)` under a blur of `sigma` pixels.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape), [`Error::NotFinite`](crate::Error::NotFinite),
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for a deviation outside of `[0, 10000]`,
    /// [`Error::TooLarge`](crate::Error::TooLarge) for a height or width above 4096.
    pub fn blurred<T: Scalar>(&self, x: &ArrayRef2<T>, sigma: f64) -> Result<Array2<T>> {
        self.check(x)?;
        check_each("sigma", &[sigma], "0 <= sigma <= 10000", |sigma: f64| (0.0..=MAX_SIGMA).contains(&sigma))?;
        let mut out = Array2::zeros(x.raw_dim());
        let kernels = self.kernels(sigma);
        for (x, mut out) in x.rows().into_iter().zip(out.rows_mut()) {
            out.iter_mut().zip(self.blur(&x.to_vec(), &kernels).0).for_each(|(out, value)| *out = value);
        }
        Ok(out)
    }

    fn check<T: Scalar>(&self, x: &ArrayRef2<T>) -> Result<()> {
        for &side in &self.shape[..2] {
            check_limit("side of an image", side, MAX_SIDE)?;
        }
        let n = self.shape.iter().fold(1, |n: usize, &size| n.saturating_mul(size));
        check_shape("x", x, &[x.nrows(), n])?;
        check_finite("x", x)
    }

    /// The blur along columns and along rows, and their derivatives by `sigma`.
    fn kernels<T: Scalar>(&self, sigma: f64) -> [[Array2<T>; 2]; 2] {
        [self.shape[0], self.shape[1]].map(|size| kernel(size, sigma, self.border))
    }

    /// An image and the derivative of its blur by `sigma`.
    fn blur<T: Scalar>(
        &self,
        x: &[T],
        [[down, down_slope], [across, across_slope]]: &[[Array2<T>; 2]; 2],
    ) -> (Vec<T>, Vec<T>) {
        let [height, width, channels] = self.shape;
        let view = ArrayView2::from_shape((height, width * channels), x).expect("the shape was checked");
        let [half, half_slope] = [down, down_slope].map(|kernel| times(kernel, &view));
        let (mut blurred, mut slope) = (half.clone(), half.clone());
        for row in 0..height {
            let line = |image: &Array2<T>| {
                let line = image.row(row).to_vec();
                Array2::from_shape_vec((width, channels), line).expect("a line of the image")
            };
            let (here, moved) = (line(&half), line(&half_slope));
            blurred.row_mut(row).iter_mut().zip(&times(across, &here)).for_each(|(out, &value)| *out = value);
            let change = times(across, &moved) + times(across_slope, &here);
            slope.row_mut(row).iter_mut().zip(&change).for_each(|(out, &value)| *out = value);
        }
        (blurred.into_iter().collect(), slope.into_iter().collect())
    }
}

/// Largest height and width: a blur is a matrix of pixels by pixels of a side.
const MAX_SIDE: usize = 1 << 12;

/// Largest deviation: kernels take time in proportion to it.
const MAX_SIGMA: f64 = 1e4;

fn times<T: Scalar>(kernel: &Array2<T>, image: &ArrayRef2<T>) -> Array2<T> {
    product(kernel, image).expect("a square kernel of the image's size")
}

/// The blur of `size` pixels as a matrix `(size, size)`, and its derivative by `sigma`.
fn kernel<T: Scalar>(size: usize, sigma: f64, border: BlurBorder) -> [Array2<T>; 2] {
    let [mut blur, mut slope] = [Array2::<f64>::zeros((size, size)), Array2::<f64>::zeros((size, size))];
    // exp(-d²/2σ²) is below 2^-53 of the largest beyond this distance
    let reach = libm::ceil(9.0 * sigma).to_i64().unwrap_or(0);
    let weights = (-reach..=reach).map(|d| {
        let scaled = if d == 0 { 0.0 } else { d as f64 / sigma };
        let weight = libm::exp(-0.5 * scaled * scaled);
        (d, weight, if d == 0 { 0.0 } else { weight * scaled * scaled / sigma })
    });
    let (mut sum, mut sum_slope) = (0.0, 0.0);
    for (_, weight, change) in weights.clone() {
        sum += weight;
        sum_slope += change;
    }
    for (d, weight, change) in weights {
        let (share, change) = (weight / sum, (change - weight / sum * sum_slope) / sum);
        for to in 0..size {
            if let Some(from) = pixel(to as i64 + d, size as i64, border) {
                blur[[to, from]] += share;
                slope[[to, from]] += change;
            }
        }
    }
    [blur.mapv(T::of), slope.mapv(T::of)]
}

/// The pixel that lies at `place` of a line of `size` pixels and of what is beyond.
fn pixel(place: i64, size: i64, border: BlurBorder) -> Option<usize> {
    let inside = match border {
        BlurBorder::Zero => place,
        BlurBorder::Mirror => {
            let place = place.rem_euclid(2 * size);
            place.min(2 * size - 1 - place)
        }
    };
    usize::try_from(inside).ok().filter(|_| inside < size)
}

impl<T: Scalar, M: Differentiable<T> + ?Sized> Explainer<T, M> for BlurIntegratedGradients {
    fn attribute(
        &self,
        model: &mut M,
        x: &ArrayRef2<T>,
        target: &dyn Target<T>,
    ) -> Explained<Attribution<T>, M::Error> {
        self.check(x)?;
        check_each("sigma", &[self.sigma], "0 < sigma <= 10000", |sigma: f64| sigma > 0.0 && sigma <= MAX_SIGMA)?;
        let path = |row: usize, alpha: f64, point: &mut [T], velocity: &mut [T]| {
            let image = x.index_axis(Axis(0), row).to_vec();
            let (blurred, slope) = self.blur(&image, &self.kernels((1.0 - alpha) * self.sigma));
            point.copy_from_slice(&blurred);
            velocity.iter_mut().zip(slope).for_each(|(velocity, slope)| *velocity = T::of(-self.sigma) * slope);
        };
        let along = PathIntegral { path, rule: self.rule, steps: self.steps, batch: self.batch };
        let mut result = along.attribute(model, x, target)?;
        (result.method, result.options) = (Cow::Borrowed("blur_integrated_gradients"), format!("{self:?}"));
        Ok(result)
    }

    fn is_per_row(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::target::Logit;
    use crate::attribution::{Failure, Network};
    use crate::math::pointwise::Activation;
    use ndarray::array;

    fn small(border: BlurBorder) -> BlurIntegratedGradients {
        BlurIntegratedGradients { sigma: 3.0, border, ..BlurIntegratedGradients::new([3, 4, 2]) }
    }

    fn image() -> Array2<f64> {
        Array2::from_shape_fn((2, 24), |(row, i)| f64::from(u8::try_from((i * 7 + row * 5) % 11).unwrap()) / 10.0)
    }

    /// The blur pixel by pixel, without matrices.
    fn naive(x: &Array2<f64>, row: usize, sigma: f64, border: BlurBorder) -> Vec<f64> {
        let weight = |d: i64| (-0.5 * (d * d) as f64 / (sigma * sigma)).exp();
        let sum: f64 = (-60..=60).map(weight).sum();
        let mut out = alloc::vec![0.0; 24];
        for (place, out) in out.iter_mut().enumerate() {
            let (i, j, c) = ((place / 8) as i64, (place / 2 % 4) as i64, place % 2);
            for (a, b) in (-60..=60).flat_map(|a| (-60..=60).map(move |b| (a, b))) {
                if let (Some(i), Some(j)) = (pixel(i + a, 3, border), pixel(j + b, 4, border)) {
                    *out += weight(a) * weight(b) / (sum * sum) * x[[row, i * 8 + j * 2 + c]];
                }
            }
        }
        out
    }

    #[test]
    fn a_blur_is_what_it_says() {
        for border in [BlurBorder::Mirror, BlurBorder::Zero] {
            for sigma in [0.3, 1.0, 3.0] {
                let found = small(border).blurred(&image(), sigma).unwrap();
                for row in 0..2 {
                    let expected = naive(&image(), row, sigma, border);
                    assert!(found.row(row).iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-13), "{border:?}");
                }
            }
            assert_eq!(small(border).blurred(&image(), 0.0).unwrap(), image());
        }
        assert_eq!([-1, 3, 4, 7, 8].map(|place| pixel(place, 4, BlurBorder::Mirror)), [0, 3, 3, 0, 0].map(Some));
        assert_eq!([-1, 3, 4].map(|place| pixel(place, 4, BlurBorder::Zero)), [None, Some(3), None]);
    }

    #[test]
    fn the_derivative_is_that_of_the_blur() {
        let (method, image) = (small(BlurBorder::Zero), image().row(0).to_vec());
        let at = |sigma| method.blur(&image, &method.kernels(sigma));
        for sigma in [0.4, 1.5] {
            let (up, down, slope) = (at(sigma + 1e-5).0, at(sigma - 1e-5).0, at(sigma).1);
            assert!(
                up.iter().zip(down).zip(slope).all(|((up, down), slope)| ((up - down) / 2e-5 - slope).abs() < 1e-8)
            );
        }
    }

    #[test]
    fn a_linear_model_weighs_what_the_blur_took() {
        let weight = Array2::from_shape_fn((1, 24), |(_, i)| f64::from(u8::try_from(i % 5).unwrap()) - 2.0);
        let mut model = Network::new(24).linear(weight.clone(), None).unwrap();
        for border in [BlurBorder::Mirror, BlurBorder::Zero] {
            let method = small(border);
            let found = method.attribute(&mut model, &image(), &Logit::of(0)).unwrap();
            let expected = (image() - method.blurred(&image(), 3.0).unwrap()) * weight.row(0);
            assert!((&found.values - &expected).iter().all(|error| error.abs() < 1e-9));
            assert_eq!((found.evaluations.gradient, found.method.as_ref()), (200, "blur_integrated_gradients"));
        }
    }

    #[test]
    fn it_is_complete_and_an_even_image_has_nothing_to_blur() {
        let weight = Array2::from_shape_fn((3, 24), |(row, i)| ((i * 3 + row * 7) % 5) as f64 / 5.0 - 0.4);
        let first = Network::new(24).linear(weight, None).unwrap().activation(Activation::Tanh).unwrap();
        let mut model = first.linear(array![[1.0, -2.0, 0.5]], None).unwrap();
        let found = small(BlurBorder::Mirror).attribute(&mut model, &image(), &Logit::of(0)).unwrap();
        assert!(found.delta.unwrap().iter().all(|delta| delta.abs() < 1e-8));
        let even = small(BlurBorder::Mirror).attribute(&mut model, &Array2::from_elem((1, 24), 0.7), &Logit::of(0));
        assert!(even.unwrap().values.iter().all(|value| value.abs() < 1e-14));
    }

    #[test]
    fn bad_settings_are_named() {
        let mut model = Network::new(24).linear(Array2::from_elem((1, 24), 1.0), None).unwrap();
        let mut run = |method: BlurIntegratedGradients| {
            method.attribute(&mut model, &image(), &Logit::of(0)).map(|_| ()).unwrap_err()
        };
        let shape = run(BlurIntegratedGradients::new([3, 4, 3]));
        assert!(matches!(shape, Failure::Input(crate::Error::Shape { what: "x", .. })));
        let side = run(BlurIntegratedGradients::new([1, 5000, 1]));
        assert!(matches!(side, Failure::Input(crate::Error::TooLarge { what: "side of an image", .. })));
        for sigma in [0.0, f64::INFINITY, f64::NAN] {
            let sigma = run(BlurIntegratedGradients { sigma, ..small(BlurBorder::Zero) });
            assert!(matches!(sigma, Failure::Input(crate::Error::OutOfRange { what: "sigma", .. })));
        }
    }
}
