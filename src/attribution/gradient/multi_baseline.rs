//! Integrated gradients averaged over several baselines.
//!
//! ```text
//! A = 1/k Σ_j IG(x; b_j)        Σ_i A_i = f(x) - 1/k Σ_j f(b_j)
//! ```
//!
//! With baselines drawn from data this is the exact form of what [`GradientShap`](super::GradientShap) samples: each of the
//! `k` integrals is computed, at `k` times the cost.
//!
//! Source: Sturmfels et al., "Visualizing the Impact of Feature Attribution Baselines" (Distill 2020,
//! <https://distill.pub/2020/attribution-baselines/>).

use alloc::format;
use core::fmt;

use ndarray::{Array2, ArrayRef2};

use super::averaged::Averaged;
use super::integrated_gradients::IntegratedGradients;
use crate::Scalar;
use crate::attribution::baseline::check_background;
use crate::attribution::{Attribution, Batch, Differentiable, Explained, Explainer, Status, Target};
use crate::math::quadrature::Rule;

/// The mean of integrated gradients from all rows of `baselines`.
///
/// # Example
/// ```
/// use limpid::attribution::gradient::MultiBaselineIntegratedGradients;
/// use limpid::attribution::target::Logit;
/// use limpid::attribution::{Explainer, Network};
/// use ndarray::array;
///
/// let mut model = Network::new(2).linear(array![[3.0, -4.0]], None)?;
/// let method = MultiBaselineIntegratedGradients::new(array![[0.0, 0.0], [2.0, 1.0]]);
/// let found = method.attribute(&mut model, &array![[2.0, 0.5]], &Logit::of(0))?;
/// assert!((&found.values - array![[3.0, 0.0]]).iter().all(|error: &f64| error.abs() < 1e-13));
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
#[derive(Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub struct MultiBaselineIntegratedGradients<T> {
    /// Baselines `(k, n)` that all rows share.
    pub baselines: Array2<T>,
    /// How each integral is approximated.
    pub rule: Rule,
    /// Points of the rule, for each baseline.
    pub steps: usize,
    /// Rows of one model call.
    pub batch: Batch,
}

impl<T> MultiBaselineIntegratedGradients<T> {
    /// With 50 Gauss-Legendre points for each baseline.
    pub fn new(baselines: Array2<T>) -> Self {
        Self { baselines, rule: Rule::GaussLegendre, steps: 50, batch: Batch::Auto }
    }
}

/// Says how many baselines there are and not their numbers: settings are recorded with every result.
impl<T> fmt::Debug for MultiBaselineIntegratedGradients<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MultiBaselineIntegratedGradients")
            .field("baselines", &self.baselines.nrows())
            .field("rule", &self.rule)
            .field("steps", &self.steps)
            .field("batch", &self.batch)
            .finish()
    }
}

impl<T: Scalar> MultiBaselineIntegratedGradients<T> {
    /// The mean, and the completeness against each baseline, `(b, k)`. The inputs themselves are run once per baseline.
    ///
    /// # Errors
    /// As [`Explainer::attribute`].
    pub fn attribute_each<M: Differentiable<T> + ?Sized>(
        &self,
        model: &mut M,
        x: &ArrayRef2<T>,
        target: &dyn Target<T>,
    ) -> Explained<Averaged<T>, M::Error> {
        check_background("baselines", &self.baselines, x.ncols())?;
        let share = T::of(1.0 / self.baselines.nrows() as f64);
        let mut deltas = Array2::zeros((x.nrows(), self.baselines.nrows()));
        let mut sum: Option<Attribution<T>> = None;
        for (baseline, mut delta) in self.baselines.rows().into_iter().zip(deltas.columns_mut()) {
            let one = IntegratedGradients {
                baseline: baseline.to_owned().into(),
                rule: self.rule,
                steps: self.steps,
                multiply_by_inputs: true,
                batch: self.batch,
            };
            let mut found = one.attribute(model, x, target)?;
            found.delta.iter().for_each(|found| delta.assign(found));
            found.values.mapv_inplace(|value| value * share);
            found.base_value.iter_mut().for_each(|base| base.mapv_inplace(|base| base * share));
            match &mut sum {
                None => sum = Some(found),
                Some(sum) => add(sum, &found),
            }
        }
        let Some(mut attribution) = sum else { return Err(crate::Error::Empty { what: "baselines" }.into()) };
        attribution.method = "multi_baseline_integrated_gradients".into();
        attribution.options = format!("{self:?}");
        attribution.status = Status::Finished;
        let base = attribution.base_value.take().unwrap_or_default();
        Ok(Averaged { attribution: attribution.complete_to(base), deltas })
    }
}

fn add<T: Scalar>(sum: &mut Attribution<T>, found: &Attribution<T>) {
    sum.values += &found.values;
    if let (Some(sum), Some(base)) = (&mut sum.base_value, &found.base_value) {
        *sum += base;
    }
    sum.evaluations = sum.evaluations.plus(found.evaluations);
}

impl<T: Scalar, M: Differentiable<T> + ?Sized> Explainer<T, M> for MultiBaselineIntegratedGradients<T> {
    fn attribute(
        &self,
        model: &mut M,
        x: &ArrayRef2<T>,
        target: &dyn Target<T>,
    ) -> Explained<Attribution<T>, M::Error> {
        self.attribute_each(model, x, target).map(|found| found.attribution)
    }

    fn is_per_row(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::Network;
    use crate::attribution::target::Logit;
    use crate::math::pointwise::Activation;
    use ndarray::array;

    #[test]
    fn the_mean_of_single_baselines() {
        let mut model = Network::<f64>::new(2).linear(array![[1.0, -2.0]], None).unwrap();
        model = model.activation(Activation::Tanh).unwrap();
        let (x, baselines) = (array![[0.5, -0.3], [0.1, 0.9]], array![[0.0, 0.0], [1.0, 1.0], [-0.4, 0.2]]);
        let method = MultiBaselineIntegratedGradients::new(baselines.clone());
        let found = method.attribute_each(&mut model, &x, &Logit::of(0)).unwrap();
        let mut mean = Array2::<f64>::zeros((2, 2));
        for baseline in baselines.rows() {
            let one = IntegratedGradients { baseline: baseline.to_owned().into(), ..IntegratedGradients::default() };
            mean += &(one.attribute(&mut model, &x, &Logit::of(0)).unwrap().values / 3.0);
        }
        assert!((&found.attribution.values - mean).iter().all(|error| error.abs() < 1e-15));
        assert!(found.deltas.iter().chain(&found.attribution.delta.unwrap()).all(|delta| delta.abs() < 1e-13));
        assert_eq!((found.deltas.dim(), found.attribution.evaluations.gradient), ((2, 3), 300));
    }
}
