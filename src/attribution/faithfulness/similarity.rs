//! Similarity of two attributions of the same input.
//!
//! ```text
//! Spearman   correlation of ranks              cosine   <a, b>/(|a| |b|)
//! SSIM       mean over windows of (2 μ_a μ_b + C_1)(2 σ_ab + C_2) / ((μ_a² + μ_b² + C_1)(σ_a² + σ_b² + C_2))
//!            C_1 = (0.01 R)², C_2 = (0.03 R)², R = range of the values of both, windows of 7 x 7, or of the image if smaller
//! ```
//!
//! Source: Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity", IEEE TIP 13(4), 2004,
//! here with windows of equal weights.

use alloc::vec::Vec;

use ndarray::{ArrayRef1, ArrayView2};

use crate::error::{check_each, check_finite, check_not_empty, check_shape};
use crate::math::rank::spearman;
use crate::math::reduce::norm;
use crate::{Error, Result, Scalar};

/// A measure of similarity; 1 is the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Similarity {
    /// Spearman's correlation; `None` where one side does not vary.
    #[default]
    Spearman,
    /// Cosine of the angle; `None` where one side is zero.
    Cosine,
    /// Structural similarity of images `(height, width)`; `None` where all values of both are equal.
    Ssim {
        /// Rows of the image.
        height: usize,
        /// Columns of the image.
        width: usize,
    },
}

/// Side of a window.
const WINDOW: usize = 7;

impl Similarity {
    /// Similarity of `a, b: (n)`; `None` where it is not defined.
    ///
    /// # Errors
    /// [`Error::Shape`] if the lengths differ or are not those of the image, [`Error::Empty`], [`Error::NotFinite`].
    ///
    /// # Example
    /// ```
    /// use limpid::attribution::faithfulness::Similarity;
    /// use ndarray::array;
    ///
    /// let (a, b) = (array![1.0, 2.0, 3.0], array![1.0, 4.0, 9.0]);
    /// assert_eq!(Similarity::Spearman.of(&a, &b)?, Some(1.0));
    /// assert!(Similarity::Cosine.of(&a, &b)?.unwrap() < 0.98);
    /// assert_eq!(Similarity::Cosine.of(&a, &array![0.0, 0.0, 0.0])?, None);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn of<T: Scalar>(self, a: &ArrayRef1<T>, b: &ArrayRef1<T>) -> Result<Option<f64>> {
        check_shape("b", b, &[a.len()])?;
        check_not_empty("a", a)?;
        check_finite("a", a)?;
        check_finite("b", b)?;
        match self {
            Self::Spearman => spearman(a, b),
            Self::Cosine => Ok(cosine(a, b)),
            Self::Ssim { height, width } => {
                let image = |x: &ArrayRef1<T>| -> Vec<f64> { x.iter().map(|x| x.as_f64()).collect() };
                let (a, b) = (image(a), image(b));
                let shaped = |x| ArrayView2::from_shape((height, width), x);
                match (shaped(&a), shaped(&b)) {
                    (Ok(x), Ok(y)) if height.checked_mul(width) == Some(a.len()) => Ok(ssim(&x, &y)),
                    _ => Err(Error::Shape {
                        what: "a",
                        expected: crate::Dims::new(&[height.saturating_mul(width)]),
                        got: crate::Dims::new(&[a.len()]),
                    }),
                }
            }
        }
    }

    /// Checks that attributions of `n` values have it.
    pub(super) fn check(self, n: usize) -> Result<()> {
        match self {
            Self::Ssim { height, width } => {
                let area = height.saturating_mul(width);
                check_each("pixels of the image", &[area as f64], "one for each value", |_: f64| area == n)
            }
            _ => Ok(()),
        }
    }
}

fn cosine<T: Scalar>(a: &ArrayRef1<T>, b: &ArrayRef1<T>) -> Option<f64> {
    // of unit size first: the length of huge values is beyond all numbers
    let unit = |x: &ArrayRef1<T>| {
        let largest = x.iter().map(|x| x.as_f64().abs()).fold(0.0, f64::max);
        x.mapv(|x| if largest > 0.0 { x.as_f64() / largest } else { 0.0 })
    };
    let (a, b) = (unit(a), unit(b));
    let (of_a, of_b) = (norm(&a), norm(&b));
    (of_a > 0.0 && of_b > 0.0).then(|| {
        let products = a.iter().zip(&b).map(|(x, y)| (x / of_a) * (y / of_b));
        products.sum::<f64>().clamp(-1.0, 1.0)
    })
}

fn ssim(a: &ArrayView2<'_, f64>, b: &ArrayView2<'_, f64>) -> Option<f64> {
    let (low, high) =
        a.iter().chain(b).fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &x| (low.min(x), high.max(x)));
    // in units of the range nothing overflows
    let scale = low.abs().max(high.abs());
    let range = high / scale - low / scale;
    if scale == 0.0 || range <= 0.0 {
        return None;
    }
    let side = [WINDOW.min(a.nrows()), WINDOW.min(a.ncols())];
    let windows = a.windows(side).into_iter().zip(b.windows(side));
    let each = windows.map(|(x, y)| window(&x, &y, scale, range));
    crate::math::curves::mean(each)
}

/// SSIM of one window, of values in units of `scale`.
fn window(a: &ArrayView2<'_, f64>, b: &ArrayView2<'_, f64>, scale: f64, range: f64) -> f64 {
    let count = a.len() as f64;
    let mean = |x: &ArrayView2<'_, f64>| x.iter().map(|x| x / scale).sum::<f64>() / count;
    let (of_a, of_b) = (mean(a), mean(b));
    let [mut aa, mut bb, mut ab] = [0.0; 3];
    for (x, y) in a.iter().zip(b) {
        let (x, y) = (x / scale - of_a, y / scale - of_b);
        aa += x * x / count;
        bb += y * y / count;
        ab += x * y / count;
    }
    let [c_1, c_2] = [0.01, 0.03].map(|k| (k * range) * (k * range));
    (2.0 * of_a * of_b + c_1) * (2.0 * ab + c_2) / ((of_a * of_a + of_b * of_b + c_1) * (aa + bb + c_2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;
    use ndarray::{Array1, array};

    #[test]
    fn an_image_is_most_like_itself() {
        let ssim = Similarity::Ssim { height: 9, width: 10 };
        let image: Array1<f64> = (0..90).map(|i| f64::from(i * i % 17)).collect();
        assert_relative_eq!(ssim.of(&image, &image).unwrap().unwrap(), 1.0, epsilon = 1e-12);
        assert!(ssim.of(&image, &image.mapv(|x| 16.0 - x)).unwrap().unwrap() < 0.0);
        let flat = Array1::from_elem(90, 3.0);
        assert_eq!(ssim.of(&flat, &flat), Ok(None));
        assert!(ssim.of(&image, &flat).unwrap().unwrap() < 0.2);
    }

    #[test]
    fn one_window_by_hand() {
        // means 0.5 and 0.5, variances 0.25, covariance -0.25, range 1
        let found = Similarity::Ssim { height: 1, width: 2 }.of(&array![0.0, 1.0], &array![1.0, 0.0]).unwrap().unwrap();
        let (c_1, c_2) = (1e-4, 9e-4);
        assert_relative_eq!(found, (0.5 + c_1) * (c_2 - 0.5) / ((0.5 + c_1) * (0.5 + c_2)), epsilon = 1e-12);
    }

    #[test]
    fn shapes_must_fit() {
        let found = Similarity::Ssim { height: 2, width: 2 }.of(&array![1.0, 2.0], &array![1.0, 2.0]);
        assert!(matches!(found, Err(Error::Shape { .. })));
        assert!(matches!(Similarity::Cosine.of(&array![1.0], &array![1.0, 2.0]), Err(Error::Shape { .. })));
        assert!(matches!(Similarity::Cosine.of(&array![f64::NAN], &array![1.0]), Err(Error::NotFinite { .. })));
        let huge = array![f64::MAX, f64::MAX];
        assert_relative_eq!(Similarity::Cosine.of(&huge, &huge).unwrap().unwrap(), 1.0, epsilon = 1e-12);
    }
}
