//! Linear datamodeling score: do summed attributions rank models that were trained on random subsets of the data?
//!
//! ```text
//! p_j(q) = Σ_i∈S_j τ(q, i)        LDS = mean_q Spearman_j(p_j(q), y_j(q))
//! S_j random subsets (usually half of the data), y_j(q) output of a model trained on S_j, averaged over a few trainings
//! ```
//!
//! Ties have their mean rank. A query whose predictions or outputs are all equal has no rank correlation and is left out of
//! the mean.
//!
//! Source: Park et al., "TRAK: Attributing Model Behavior at Scale" (arXiv 2303.14186), after Ilyas et al.,
//! "Datamodels" (arXiv 2202.00622).

use alloc::vec::Vec;

use ndarray::{Array1, ArrayRef2, Axis};

use crate::error::{check_finite, check_shape};
use crate::math::bootstrap::{Resamples, bca_interval};
use crate::math::curves::mean;
use crate::math::rank::spearman;
use crate::{Result, Scalar, Seed};

/// What the retrained models were measured by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Measured {
    /// Something that helpful examples raise: a margin, a log-probability, a correct answer.
    Output,
    /// A loss, which helpful examples lower: influence scores count against it.
    Loss,
}

/// Rank correlations of predicted and actual outputs.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LinearDatamodelingScore {
    /// Of each query; `None` where its predictions or its outputs are all equal.
    pub per_query: Vec<Option<f64>>,
    /// Over the queries that have one; `None` where none has.
    pub mean: Option<f64>,
}

impl LinearDatamodelingScore {
    /// Ends of the interval of the mean over queries, from `resamples` of them; `None` for fewer than two.
    ///
    /// # Errors
    /// Those of [`Resamples::draw`] and [`bca_interval`].
    pub fn interval(&self, level: f64, resamples: usize, seed: Seed) -> Result<Option<(f64, f64)>> {
        let rows: Vec<[f64; 1]> = self.per_query.iter().flatten().map(|&value| [value]).collect();
        let count = rows.len() as f64;
        let Some(estimate) = self.mean.filter(|_| rows.len() > 1) else { return Ok(None) };
        let mut replicates = Vec::with_capacity(resamples.min(1 << 16));
        Resamples::draw(&[rows.len()], resamples, seed)?.sums(&rows, |_, [sum]| replicates.push(sum / count));
        let without: Vec<f64> = rows.iter().map(|[x]| (estimate * count - x) / (count - 1.0)).collect();
        bca_interval(estimate, &mut replicates, &without, level)
    }
}

/// The linear datamodeling score of `attributions: (q, n)` to `n` training examples, where `masks: (m, n)` tells what each
/// of `m` models was trained on and `actual: (m, q)` what they then gave.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape), [`Error::NotFinite`](crate::Error::NotFinite).
///
/// # Example
/// ```
/// use limpid::influence::evaluate::{Measured, linear_datamodeling_score};
/// use ndarray::array;
///
/// let masks = array![[true, false], [false, true], [true, true]];
/// let found = linear_datamodeling_score(&array![[2.0, 1.0]], &masks, &array![[0.5], [0.1], [0.9]], Measured::Output)?;
/// assert_eq!(found.mean, Some(1.0));
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn linear_datamodeling_score<T: Scalar>(
    attributions: &ArrayRef2<T>,
    masks: &ArrayRef2<bool>,
    actual: &ArrayRef2<T>,
    measured: Measured,
) -> Result<LinearDatamodelingScore> {
    let (q, n) = attributions.dim();
    check_shape("masks", masks, &[masks.nrows(), n])?;
    check_shape("actual", actual, &[masks.nrows(), q])?;
    check_finite("attributions", attributions)?;
    check_finite("actual", actual)?;
    let sign = if measured == Measured::Loss { -1.0 } else { 1.0 };
    let score = |query: usize| {
        let attribution = attributions.index_axis(Axis(0), query).mapv(|x| sign * x.as_f64());
        // members one by one, so that equal attributions of equally many members have equal sums
        let sum = |mask: ndarray::ArrayView1<'_, bool>| {
            mask.iter().zip(&attribution).filter(|(inside, _)| **inside).map(|(_, x)| *x).sum::<f64>()
        };
        let predicted: Array1<f64> = masks.rows().into_iter().map(sum).collect();
        spearman(&predicted, &actual.index_axis(Axis(1), query).mapv(Scalar::as_f64))
    };
    let per_query = (0..q).map(score).collect::<Result<Vec<_>>>()?;
    let mean = mean(per_query.iter().copied().flatten());
    Ok(LinearDatamodelingScore { per_query, mean })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use ndarray::{Array2, array};

    #[test]
    fn ties_have_their_mean_rank() {
        // members chosen so that the predictions are (3, 5, 0, 3, 3)
        let masks = array![[1, 0, 0, 1, 0], [1, 0, 1, 0, 0], [0, 0, 0, 1, 0], [1, 0, 0, 0, 0], [1, 1, 0, 0, 1]]
            .mapv(|x| x == 1);
        let actual = array![[2.0], [6.0], [0.0], [3.0], [2.0]];
        let found =
            linear_datamodeling_score(&array![[3.0, -1.0, 2.0, 0.0, 1.0]], &masks, &actual, Measured::Output).unwrap();
        assert!((found.mean.unwrap() - 0.917_662_935_482_247_2).abs() < 1e-12);
        let loss =
            linear_datamodeling_score(&array![[3.0, -1.0, 2.0, 0.0, 1.0]], &masks, &actual, Measured::Loss).unwrap();
        assert_eq!(loss.mean, found.mean.map(|x| -x));
    }

    #[test]
    fn what_does_not_vary_is_undefined() {
        let masks = Array2::from_shape_fn((6, 4), |(j, i)| (j + i) % 2 == 0);
        let actual = Array2::from_shape_fn((6, 2), |(j, q)| if q == 0 { j as f64 } else { 0.3 });
        // 0.1 + 0.1 in whatever order: subsets of one size have one prediction
        let found =
            linear_datamodeling_score(&Array2::from_elem((2, 4), 0.1), &masks, &actual, Measured::Output).unwrap();
        assert_eq!((found.per_query, found.mean), (vec![None, None], None));
    }

    #[test]
    fn the_interval_holds_the_mean() {
        let per_query: Vec<Option<f64>> = (0..20).map(|q| Some(0.4 + 0.01 * f64::from(q % 7))).chain([None]).collect();
        let score = LinearDatamodelingScore { mean: mean(per_query.iter().copied().flatten()), per_query };
        let (low, high) = score.interval(0.95, 999, Seed(1)).unwrap().unwrap();
        assert!(low < score.mean.unwrap() && score.mean.unwrap() < high && high - low < 0.03, "{low} {high}");
        let single = LinearDatamodelingScore { per_query: vec![Some(0.5)], mean: Some(0.5) };
        assert_eq!(single.interval(0.95, 10, Seed(1)), Ok(None));
    }

    #[test]
    fn bad_input_is_named() {
        let (tau, masks) = (Array2::<f64>::zeros((1, 3)), Array2::from_elem((2, 3), true));
        let score = |masks: &Array2<bool>, actual: &Array2<f64>| {
            linear_datamodeling_score(&tau, masks, actual, Measured::Output)
        };
        assert!(matches!(score(&Array2::from_elem((2, 4), true), &Array2::zeros((2, 1))), Err(Error::Shape { .. })));
        assert!(matches!(score(&masks, &Array2::zeros((1, 2))), Err(Error::Shape { .. })));
        assert!(matches!(score(&masks, &Array2::from_elem((2, 1), f64::NAN)), Err(Error::NotFinite { .. })));
    }
}
