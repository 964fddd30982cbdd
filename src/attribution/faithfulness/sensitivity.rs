//! Sensitivity: how far an explanation moves when its input moves a little.
//!
//! ```text
//! s_j = |A(x_j) - A(x)|₂ / |A(x)|₂       x_j near x; a zero |A(x)|₂ counts as 1
//! max-sensitivity = max_j s_j            average sensitivity = mean_j s_j
//! ```
//!
//! Source: Yeh et al., "On the (In)fidelity and Sensitivity of Explanations" (arXiv 1901.09392), for the largest;
//! Bhatt et al., "Evaluating and Aggregating Feature-based Model Explanations" (arXiv 2005.00631), for the average.

use alloc::vec;
use alloc::vec::Vec;

use ndarray::{Array1, ArrayRef2, ArrayView1};

use super::masking::mean_and_error;
use super::neighbourhood::Neighbourhood;
use crate::attribution::{Attribution, Evaluations, Explained, Explainer, Forward, Target};
use crate::error::{check_not_empty, check_shape};
use crate::math::reduce::norm;
use crate::{Scalar, Seed};

/// Settings of max-sensitivity and average sensitivity.
///
/// # Example
/// ```
/// use limpid::attribution::Network;
/// use limpid::attribution::faithfulness::Sensitivity;
/// use limpid::attribution::gradient::Saliency;
/// use limpid::attribution::target::Logit;
/// use ndarray::array;
///
/// // the gradient of a linear model is the same everywhere
/// let mut model = Network::new(2).linear(array![[3.0, -1.0]], None)?;
/// let found = Sensitivity::default().judge(&Saliency::default(), &mut model, &array![[1.0, 2.0]], &Logit::of(0))?;
/// assert_eq!(found.maximum, array![0.0]);
/// assert_eq!(found.evaluations.gradient, 11);
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub struct Sensitivity<T> {
    /// Which inputs are tried.
    pub neighbourhood: Neighbourhood<T>,
}

impl<T> Default for Sensitivity<T> {
    fn default() -> Self {
        Self { neighbourhood: Neighbourhood::default() }
    }
}

/// Sensitivity of `b` rows.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SensitivityReport {
    /// Largest relative change, `(b)`; a lower bound of that over the whole neighbourhood.
    pub maximum: Array1<f64>,
    /// Mean relative change, `(b)`.
    pub average: Array1<f64>,
    /// Standard error of the mean, `(b)`; `None` for a single neighbour.
    pub standard_error: Vec<Option<f64>>,
    /// Seed of neighbours that were drawn.
    pub seed: Option<Seed>,
    /// Rows that the model was run for.
    pub evaluations: Evaluations,
}

impl<T: Scalar> Sensitivity<T> {
    /// Explains every row of `x: (b, n)` and its neighbours.
    ///
    /// # Errors
    /// As [`Explainer::attribute`], and [`Error::OutOfRange`](crate::Error::OutOfRange) for an empty neighbourhood.
    pub fn judge<M: Forward<T> + ?Sized>(
        &self,
        explainer: &dyn Explainer<T, M>,
        model: &mut M,
        x: &ArrayRef2<T>,
        target: &dyn Target<T>,
    ) -> Explained<SensitivityReport, M::Error> {
        let here = explainer.attribute(model, x, target)?;
        let mut found = self.judge_from(&here, explainer, model, x, target)?;
        found.evaluations = found.evaluations.plus(here.evaluations);
        Ok(found)
    }

    /// The same where the rows themselves are explained already.
    ///
    /// # Errors
    /// As [`Sensitivity::judge`], and [`Error::Shape`](crate::Error::Shape) for an attribution of other rows.
    pub fn judge_from<M: Forward<T> + ?Sized>(
        &self,
        here: &Attribution<T>,
        explainer: &dyn Explainer<T, M>,
        model: &mut M,
        x: &ArrayRef2<T>,
        target: &dyn Target<T>,
    ) -> Explained<SensitivityReport, M::Error> {
        check_not_empty("x", x)?;
        check_shape("attribution", &here.values, &[x.nrows(), here.values.ncols()])?;
        self.neighbourhood.check(x)?;
        let mut changes = vec![Vec::new(); x.nrows()];
        let mut evaluations = Evaluations::default();
        for sample in 0..self.neighbourhood.samples() {
            let there = explainer.attribute(model, &self.neighbourhood.neighbour(x, sample)?, target)?;
            evaluations = evaluations.plus(there.evaluations);
            check_shape("attribution", &there.values, here.values.shape())?;
            let rows = here.values.rows().into_iter().zip(there.values.rows());
            changes.iter_mut().zip(rows).for_each(|(changes, (here, there))| changes.push(relative(here, there)));
        }
        let summaries: Vec<_> = changes.iter().map(|changes| mean_and_error(changes).unwrap_or_default()).collect();
        Ok(SensitivityReport {
            maximum: changes.iter().map(|changes| changes.iter().copied().fold(0.0, f64::max)).collect(),
            average: summaries.iter().map(|(mean, _)| *mean).collect(),
            standard_error: summaries.iter().map(|(_, error)| *error).collect(),
            seed: self.neighbourhood.seed(),
            evaluations,
        })
    }
}

/// Length of the change over the length of what was changed.
fn relative<T: Scalar>(here: ArrayView1<'_, T>, there: ArrayView1<'_, T>) -> f64 {
    let wide = |row: ArrayView1<'_, T>| row.mapv(|a| a.as_f64());
    let (here, there) = (wide(here), wide(there));
    let (change, length) = (norm(&(&there - &here)), norm(&here));
    if length == 0.0 { change } else { change / length }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::attribution::gradient::Saliency;
    use crate::attribution::target::Logit;
    use crate::attribution::{Failure, Network};
    use crate::math::pointwise::Activation;
    use ndarray::{Array3, array};

    /// `relu(x_0) + relu(-x_1)`.
    fn hinges() -> Network<f64> {
        let model = Network::new(2).linear(array![[1.0, 0.0], [0.0, -1.0]], None).unwrap();
        model.activation(Activation::Relu).unwrap().linear(array![[1.0, 1.0]], None).unwrap()
    }

    #[test]
    fn a_kink_makes_it_sensitive() {
        let given = Neighbourhood::Given(array![[[0.0, 0.0], [0.0, 0.0]], [[0.0, -0.5], [-1.0, -0.5]]]);
        let (x, saliency) = (array![[1.0, 0.2], [-0.5, 0.2]], Saliency { absolute: false });
        let method = Sensitivity { neighbourhood: given };
        let found = method.judge(&saliency, &mut hinges(), &x, &Logit::of(0)).unwrap();
        // (1, 0) becomes (1, -1); (0, 0), whose length counts as 1, becomes (0, -1)
        assert_eq!((found.maximum, found.average), (array![1.0, 1.0], array![0.5, 0.5]));
        assert_eq!((found.standard_error[0], found.evaluations.gradient), (Some(0.5), 6));
    }

    #[test]
    fn away_from_kinks_saliency_does_not_move() {
        let found =
            Sensitivity::default().judge(&Saliency::default(), &mut hinges(), &array![[3.0, 1.0]], &Logit::of(0));
        assert_eq!(found.unwrap().maximum, array![0.0]);
    }

    #[test]
    fn steps_must_fit() {
        let method = Sensitivity { neighbourhood: Neighbourhood::Given(Array3::zeros((1, 2, 2))) };
        let found = method.judge(&Saliency::default(), &mut hinges(), &array![[3.0, 1.0]], &Logit::of(0));
        assert!(matches!(found, Err(Failure::Input(Error::Shape { what: "perturbation", .. }))));
    }
}
