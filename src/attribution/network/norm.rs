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

    /// What is subtracted from a token, and what the rest is multiplied by.
    pub(crate) fn statistics(&self, x: ArrayView1<'_, T>) -> (T, T) {
        let (centre, square) = self.kind.moments(&x);
        (T::of(centre), T::of(1.0 / libm::sqrt(square + self.epsilon.as_f64())))
    }

    pub(super) fn forward(&self, x: &ArrayRef2<T>, out: &mut ArrayRef2<T>) {
        let count = x.ncols() / self.gamma.len();
        let mut out = parts_mut(out, count, self.gamma.len());
        for (x, mut z) in parts(x, count, self.gamma.len()).rows().into_iter().zip(out.rows_mut()) {
            let (mean, scale) = self.statistics(x);
            for ((z, &x), (i, &gamma)) in z.iter_mut().zip(x).zip(self.gamma.iter().enumerate()) {
                *z = gamma * (x - mean) * scale + self.beta.as_ref().map_or(T::zero(), |beta| beta[i]);
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
            let centred = |x: T| (x - mean) * scale;
            let share = T::of(1.0 / width as f64);
            let weighted = || g.iter().zip(&self.gamma).map(|(&g, &gamma)| g * gamma);
            let along = || share * weighted().zip(x).map(|(g, &x)| g * centred(x)).sum::<T>();
            let along = if of_scale { along() } else { T::zero() };
            let level = match self.kind {
                NormKind::Layer => share * weighted().sum::<T>(),
                NormKind::RootMeanSquare => T::zero(),
            };
            for ((out, g), &x) in out.iter_mut().zip(weighted()).zip(x) {
                *out = scale * (g - level - along * centred(x));
            }
        }
        gradient
    }
}
