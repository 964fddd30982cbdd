//! The norm in front of the unembedding, and its linear form: the scale that a position has, held fixed.
//!
//! ```text
//! layer  (h - mean h) s ⊙ γ + β,    s = 1/√(var h + ε), the biased variance
//! rms    h s ⊙ γ + β,               s = 1/√(mean h² + ε)
//! none   h ⊙ γ + β,                 s = 1
//! ```
//!
//! With `s` fixed, the norm of a sum is the sum of the norms of its parts plus `β`: this is what lets a logit, or the
//! output of an attention block, be split over components. No weights have to be folded into others first.
//!
//! Source: Ba et al., "Layer Normalization" (arXiv 1607.06450); Zhang and Sennrich, "Root Mean Square Layer
//! Normalization" (arXiv 1910.07467).

use alloc::vec::Vec;
use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2};

use crate::attribution::network::NormKind;
use crate::error::{check_each, check_finite, check_shape};
use crate::{Error, Result, Scalar};

/// A norm over the width of a residual stream; the default leaves it as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct ResidualNorm<T> {
    /// Which statistics are divided out; `None` = none.
    pub kind: Option<NormKind>,
    /// Factors `γ: (d)`; absent = 1.
    pub gamma: Option<Array1<T>>,
    /// Shifts `β: (d)`; absent = 0.
    pub beta: Option<Array1<T>>,
    /// `ε`, which is added to the variance or to the mean square.
    pub epsilon: f64,
}

impl<T> Default for ResidualNorm<T> {
    fn default() -> Self {
        Self { kind: None, gamma: None, beta: None, epsilon: 0.0 }
    }
}

impl<T: Scalar> ResidualNorm<T> {
    /// A layer norm with `gamma: (d)` and `beta: (d)`.
    #[must_use]
    pub fn layer(gamma: Array1<T>, beta: Array1<T>, epsilon: f64) -> Self {
        Self { kind: Some(NormKind::Layer), gamma: Some(gamma), beta: Some(beta), epsilon }
    }

    /// An RMS norm with `gamma: (d)`.
    #[must_use]
    pub fn rms(gamma: Array1<T>, epsilon: f64) -> Self {
        Self { kind: Some(NormKind::RootMeanSquare), gamma: Some(gamma), beta: None, epsilon }
    }

    /// The norm of every row of `h: (t, d)`, `(t, d)`.
    ///
    /// # Errors
    /// As [`Self::scales`].
    ///
    /// # Example
    /// ```
    /// use limpid::attribution::circuits::ResidualNorm;
    /// use ndarray::array;
    ///
    /// let norm = ResidualNorm::layer(array![1.0, 1.0], array![0.0, 10.0], 0.0);
    /// assert_eq!(norm.apply(&array![[3.0, 7.0]])?, array![[-1.0, 11.0]]);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn apply(&self, h: &ArrayRef2<T>) -> Result<Array2<T>> {
        let scales = self.scales(h)?;
        let mut out = h.to_owned();
        for (mut row, scale) in out.rows_mut().into_iter().zip(&scales) {
            self.part_in_place(&mut row, scale.as_f64());
            if let Some(beta) = &self.beta {
                row += beta;
            }
        }
        Ok(out)
    }

    /// The factor `s` of every row of `h: (t, d)`, `(t)`.
    ///
    /// # Errors
    /// [`Error::Empty`] without width, [`Error::NotFinite`], [`Error::Shape`] for `γ` or `β` of another width,
    /// [`Error::OutOfRange`] for a negative `ε`, and for a row that does not vary where `ε` is 0.
    pub fn scales(&self, h: &ArrayRef2<T>) -> Result<Array1<T>> {
        self.check(h.ncols())?;
        check_finite("h", h)?;
        let scales: Result<Vec<T>> =
            h.rows().into_iter().enumerate().map(|(index, row)| self.scale(&row, index)).collect();
        scales.map(Array1::from)
    }

    fn scale(&self, row: &ArrayRef1<T>, index: usize) -> Result<T> {
        let Some(kind) = self.kind else { return Ok(T::one()) };
        let value = kind.moments(row).1 + self.epsilon;
        if !(value > 0.0 && value.is_finite()) {
            return Err(Error::OutOfRange { what: "variance", index, value, expected: "a positive, finite one" });
        }
        Ok(T::of(1.0 / libm::sqrt(value)))
    }

    /// What is subtracted from every element of a row.
    fn centre(&self, row: &ArrayRef1<T>) -> f64 {
        self.kind.map_or(0.0, |kind| kind.centre(row))
    }

    /// The norm with a fixed scale and without `β`: linear in the row.
    pub(super) fn part_in_place(&self, row: &mut ArrayRef1<T>, scale: f64) {
        let centre = self.centre(row);
        row.mapv_inplace(|x| T::of((x.as_f64() - centre) * scale));
        if let Some(gamma) = &self.gamma {
            row.zip_mut_with(gamma, |x, &gamma| *x *= gamma);
        }
    }

    /// The vector `u` with `part(z) · w = scale z · u` for every `z`: the mean is taken off `γ ⊙ w` instead of off `z`.
    pub(super) fn pull_back(&self, w: &ArrayRef1<T>) -> Array1<T> {
        let mut u = w.to_owned();
        if let Some(gamma) = &self.gamma {
            u *= gamma;
        }
        let centre = self.centre(&u);
        u.mapv(|x| T::of(x.as_f64() - centre))
    }

    /// Checks the parameters for a width.
    pub(super) fn check(&self, width: usize) -> Result<()> {
        if width == 0 {
            return Err(Error::Empty { what: "width" });
        }
        for (what, parameter) in [("gamma", &self.gamma), ("beta", &self.beta)] {
            if let Some(parameter) = parameter {
                check_shape(what, parameter, &[width])?;
                check_finite(what, parameter)?;
            }
        }
        check_each("epsilon", &[self.epsilon], "0 <= epsilon < infinity", |e: f64| (0.0..f64::INFINITY).contains(&e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;
    use ndarray::array;

    fn norms() -> [ResidualNorm<f64>; 3] {
        let (gamma, beta) = (array![1.0, 2.0, -0.5], array![0.0, 1.0, 3.0]);
        let plain = ResidualNorm { kind: None, gamma: Some(gamma.clone()), beta: Some(beta.clone()), epsilon: 0.0 };
        [ResidualNorm::layer(gamma.clone(), beta, 0.5), ResidualNorm::rms(gamma, 0.5), plain]
    }

    #[test]
    fn by_hand() {
        let h = array![[1.0, 2.0, 3.0]];
        let [layer, rms, plain] = norms();
        let s = 1.0 / (2.0_f64 / 3.0 + 0.5).sqrt();
        assert_relative_eq!(layer.apply(&h).unwrap(), array![[-s, 1.0, 3.0 - 0.5 * s]], epsilon = 1e-15);
        let s = 1.0 / (14.0_f64 / 3.0 + 0.5).sqrt();
        assert_relative_eq!(rms.apply(&h).unwrap(), array![[s, 4.0 * s, -1.5 * s]], epsilon = 1e-15);
        assert_eq!(plain.apply(&h).unwrap(), array![[1.0, 5.0, 1.5]]);
        assert_eq!(ResidualNorm::default().apply(&h).unwrap(), h);
    }

    #[test]
    fn with_a_fixed_scale_it_is_linear_and_pulls_back() {
        let (a, b, w) = (array![1.0, -2.0, 0.5], array![0.25, 3.0, 1.0], array![0.5, -1.0, 2.0]);
        for norm in norms() {
            let h = (&a + &b).insert_axis(ndarray::Axis(0));
            let scale = norm.scales(&h).unwrap()[0];
            let part = |z: &Array1<f64>| {
                let mut z = z.clone();
                norm.part_in_place(&mut z, scale);
                z
            };
            let mut whole = part(&a) + part(&b);
            whole += norm.beta.as_ref().unwrap_or(&Array1::zeros(3));
            assert_relative_eq!(whole, norm.apply(&h).unwrap().row(0), epsilon = 1e-14);
            assert_relative_eq!(part(&a).dot(&w), scale * a.dot(&norm.pull_back(&w)), epsilon = 1e-14);
        }
    }

    #[test]
    fn what_cannot_be_normalised_is_named() {
        let norm = ResidualNorm::<f32>::layer(array![1.0, 1.0], array![0.0, 0.0], 0.0);
        let error = norm.apply(&array![[1.0, 2.0], [1.0, 1.0]]).unwrap_err();
        assert!(matches!(error, Error::OutOfRange { what: "variance", index: 1, .. }));
        assert!(matches!(norm.apply(&array![[1.0, f32::NAN]]), Err(Error::NotFinite { what: "h", index: 1 })));
        assert!(matches!(norm.apply(&array![[1.0, 2.0, 3.0]]), Err(Error::Shape { what: "gamma", .. })));
        let negative = ResidualNorm { epsilon: -1.0, ..norm };
        assert!(matches!(negative.apply(&array![[1.0, 2.0]]), Err(Error::OutOfRange { what: "epsilon", .. })));
        assert!(matches!(ResidualNorm::<f64>::default().apply(&Array2::zeros((1, 0))), Err(Error::Empty { .. })));
    }
}
