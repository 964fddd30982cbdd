//! Layer and root-mean-square normalisation.
//!
//! ```text
//! layer  z = γ (x - mean)/√(var + ε) + β        var = mean (x - mean)²
//! rms    z = γ x/√(mean x² + ε) + β
//! ```
//!
//! Source: Ba et al., "Layer Normalization" (arXiv 1607.06450); Zhang and Sennrich, "Root Mean Square Layer Normalization"
//! (arXiv 1910.07467).

use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2, ArrayView1};

use super::linear::{parts, parts_mut};
use super::op::whole_parts;
use crate::error::{check_each, check_finite, check_not_empty, check_shape};
use crate::{Result, Scalar};

/// Which statistics are divided out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum NormKind {
    /// Mean and standard deviation.
    #[default]
    Layer,
    /// The root of the mean square.
    RootMeanSquare,
}

impl NormKind {
    /// What is subtracted from each value of a token.
    pub(crate) fn centre<T: Scalar>(self, x: &ArrayRef1<T>) -> f64 {
        match self {
            Self::Layer => x.iter().map(|x| x.as_f64()).sum::<f64>() / x.len() as f64,
            Self::RootMeanSquare => 0.0,
        }
    }

    /// The same, and the mean square of the rest.
    pub(crate) fn moments<T: Scalar>(self, x: &ArrayRef1<T>) -> (f64, f64) {
        let centre = self.centre(x);
        let squares: f64 = x.iter().map(|x| (x.as_f64() - centre) * (x.as_f64() - centre)).sum();
        (centre, squares / x.len() as f64)
    }
}

/// A normalisation of each token of `d` values.
#[derive(Debug, Clone, PartialEq)]
pub struct Norm<T> {
    kind: NormKind,
    gamma: Array1<T>,
    beta: Option<Array1<T>>,
    epsilon: T,
}

impl<T: Scalar> Norm<T> {
    /// From `gamma: (d)`, `beta: (d)` and the `epsilon` below the root.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape), [`Error::Empty`](crate::Error::Empty),
    /// [`Error::NotFinite`](crate::Error::NotFinite), [`Error::OutOfRange`](crate::Error::OutOfRange).
    pub fn new(kind: NormKind, gamma: Array1<T>, beta: Option<Array1<T>>, epsilon: T) -> Result<Self> {
        check_not_empty("gamma", &gamma)?;
        check_finite("gamma", &gamma)?;
        check_each("epsilon", &[epsilon], ">= 0", |epsilon| epsilon >= T::zero() && epsilon.is_finite())?;
        if let Some(beta) = &beta {
            check_shape("beta", beta, gamma.shape())?;
            check_finite("beta", beta)?;
        }
        Ok(Self { kind, gamma, beta, epsilon })
    }

    pub(super) fn width(&self, width: usize) -> Result<usize> {
        whole_parts("input of norm", width, self.gamma.len())?;
        Ok(width)
    }

    /// What is subtracted from a token, and what the rest is multiplied by. Where the variance is far above `ε` little is left
    /// of the gradient, so that double precision is needed on the way.
    fn statistics(&self, x: ArrayView1<'_, T>) -> (f64, f64) {
        let (centre, square) = self.kind.moments(&x);
        (centre, 1.0 / libm::sqrt(square + self.epsilon.as_f64()))
    }

    pub(super) fn forward(&self, x: &ArrayRef2<T>, out: &mut ArrayRef2<T>) {
        let count = x.ncols() / self.gamma.len();
        let mut out = parts_mut(out, count, self.gamma.len());
        for (x, mut z) in parts(x, count, self.gamma.len()).rows().into_iter().zip(out.rows_mut()) {
            let (mean, scale) = self.statistics(x);
            for ((z, &x), (i, &gamma)) in z.iter_mut().zip(x).zip(self.gamma.iter().enumerate()) {
                let beta = self.beta.as_ref().map_or(0.0, |beta| beta[i].as_f64());
                *z = T::of(gamma.as_f64() * (x.as_f64() - mean) * scale + beta);
            }
        }
    }

    pub(super) fn vjp(&self, x: &ArrayRef2<T>, by_output: &ArrayRef2<T>) -> Array2<T> {
        self.pull(x, by_output, true)
    }

    /// As [`Norm::vjp`] with the divisor held constant.
    pub(crate) fn vjp_with_fixed_scale(&self, x: &ArrayRef2<T>, by_output: &ArrayRef2<T>) -> Array2<T> {
        self.pull(x, by_output, false)
    }

    fn pull(&self, x: &ArrayRef2<T>, by_output: &ArrayRef2<T>, of_scale: bool) -> Array2<T> {
        let width = self.gamma.len();
        let count = x.ncols() / width;
        let mut gradient = Array2::zeros(x.raw_dim());
        let mut out = parts_mut(&mut gradient, count, width);
        let rows = parts(x, count, width);
        for ((x, g), mut out) in rows.rows().into_iter().zip(parts(by_output, count, width).rows()).zip(out.rows_mut())
        {
            let (mean, scale) = self.statistics(x);
            let centred = |x: T| (x.as_f64() - mean) * scale;
            let weighted = || g.iter().zip(&self.gamma).map(|(&g, &gamma)| g.as_f64() * gamma.as_f64());
            let share = 1.0 / width as f64;
            let along = || share * weighted().zip(x).map(|(g, &x)| g * centred(x)).sum::<f64>();
            let along = if of_scale { along() } else { 0.0 };
            let level = match self.kind {
                NormKind::Layer => share * weighted().sum::<f64>(),
                NormKind::RootMeanSquare => 0.0,
            };
            for ((out, g), &x) in out.iter_mut().zip(weighted()).zip(x) {
                *out = T::of(scale * (g - level - along * centred(x)));
            }
        }
        gradient
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn the_gradient_keeps_its_digits_in_single_precision() {
        // two values far apart: the derivative is all but 0, a small difference of large terms
        for kind in [NormKind::Layer, NormKind::RootMeanSquare] {
            let (x, g) = (array![[1.5_f32, -0.7], [300.0, 299.0]], array![[0.3_f32, -1.1], [2.0, 0.7]]);
            let single = Norm::new(kind, array![1.1_f32, 0.8], None, 1e-6).unwrap();
            let double =
                Norm::new(kind, array![f64::from(1.1_f32), f64::from(0.8_f32)], None, f64::from(1e-6_f32)).unwrap();
            let exact = double.vjp(&x.mapv(f64::from), &g.mapv(f64::from));
            for (found, exact) in single.vjp(&x, &g).iter().zip(&exact) {
                assert!((f64::from(*found) - exact).abs() <= 1e-6 * exact.abs(), "{kind:?}: {found} against {exact}");
            }
        }
    }
}
