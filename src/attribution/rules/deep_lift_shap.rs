//! DeepLIFT-SHAP: DeepLIFT averaged over a background of baselines, an approximation of Shapley values.
//!
//! ```text
//! A = 1/k Σ_j DeepLIFT(x, b_j)        standard error from the spread over j
//! ```
//!
//! Source: Lundberg and Lee, "A Unified Approach to Interpreting Model Predictions" (arXiv 1705.07874), on Deep SHAP.

use alloc::format;

use ndarray::{Array1, Array2, ArrayRef2, Axis, Slice};

use super::deep_lift::Pair;
use crate::attribution::baseline::check_background;
use crate::attribution::estimate::{Estimates, Statistic};
use crate::attribution::network::{Network, Source, Trace};
use crate::attribution::probe::Probe;
use crate::attribution::{Attribution, Batch, Evaluations, Explained, Explainer, Target};
use crate::{Error, Scalar};

/// DeepLIFT averaged over baselines.
///
/// # Example
/// ```
/// use limpid::attribution::rules::DeepLiftShap;
/// use limpid::attribution::target::Logit;
/// use limpid::attribution::{Explainer, Network};
/// use ndarray::array;
///
/// let mut model = Network::new(2).linear(array![[1.0, 2.0]], None)?;
/// let method = DeepLiftShap::new(array![[0.0, 0.0], [2.0, 4.0]]);
/// let found = method.attribute(&mut model, &array![[3.0, 3.0]], &Logit::of(0))?;
/// assert_eq!(found.values, array![[2.0, 2.0]]);
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct DeepLiftShap<T> {
    /// The background, `(k, n)`.
    pub baselines: Array2<T>,
    /// Rows of one run.
    pub batch: Batch,
}

impl<T: Scalar> DeepLiftShap<T> {
    /// Over this background, `(k, n)`.
    #[must_use]
    pub fn new(baselines: Array2<T>) -> Self {
        Self { baselines, batch: Batch::Auto }
    }

    /// As [`Explainer::attribute`], and the completeness of every single attribution, `(b, k)`.
    ///
    /// # Errors
    /// As [`Explainer::attribute`].
    pub fn attribute_with_deltas(
        &self,
        model: &mut Network<T>,
        x: &ArrayRef2<T>,
        target: &dyn Target<T>,
    ) -> Explained<(Attribution<T>, Array2<T>), Error> {
        Probe::new(model, x, target)?;
        check_background("baselines", &self.baselines, x.ncols())?;
        let (k, reference) = (self.baselines.nrows(), model.trace(&self.baselines)?);
        let mut estimates = Estimates::new(x.dim(), Statistic::Mean, k, None)?;
        let (mut output, mut base) = (Array1::zeros(x.nrows()), Array1::zeros(x.nrows()));
        let mut deltas = Array2::zeros((x.nrows(), k));
        let (mut trace, size) = (Trace::default(), self.batch.rows(x.ncols())?);
        for start in (0..x.nrows()).step_by(size) {
            let range = Slice::from(start..(start + size).min(x.nrows()));
            model.run(&x.slice_axis(Axis(0), range), None, &mut trace)?;
            for j in 0..k {
                let pair = Pair { trace: &trace, reference: &reference, fixed: Some(j) };
                let found = pair.attribute(model, Source::Input, (start, target))?;
                for (offset, row) in found.rows().into_iter().enumerate() {
                    let at = start + offset;
                    let ends = pair.ends(model, (offset, at, target));
                    deltas[[at, j]] = crate::math::reduce::sum(&row) - (ends.0 - ends.1);
                    output[at] = ends.0;
                    let step = (ends.1 - base[at]) / T::of((j + 1) as f64);
                    base[at] += step;
                    estimates.push(at, &row.to_vec())?;
                }
            }
        }
        let options = format!("{k} baselines");
        let mut result = Attribution::new("deep_lift_shap", options, estimates.values(), output).complete_to(base);
        result.standard_error = estimates.standard_errors();
        result.evaluations = Evaluations { forward: k as u64, gradient: (x.nrows() * k) as u64 };
        Ok((result, deltas))
    }
}

impl<T: Scalar> Explainer<T, Network<T>> for DeepLiftShap<T> {
    fn attribute(
        &self,
        model: &mut Network<T>,
        x: &ArrayRef2<T>,
        target: &dyn Target<T>,
    ) -> Explained<Attribution<T>, Error> {
        self.attribute_with_deltas(model, x, target).map(|(result, _)| result)
    }
}
