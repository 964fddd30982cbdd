//! Leave-one-out agreement: do attributions tell how a query changes when one example is left out of training?
//!
//! ```text
//! r_q = corr_i(predicted(q, i), actual(q, i))        Pearson for size, Spearman for order
//! ```
//!
//! Influence scores `s` predict the change of a loss as `s/N`; a correlation does not need the `1/N`. For deep networks one
//! example moves a retrained model less than the order of its batches does: expect nothing there, and take
//! [`super::linear_datamodeling_score`].
//!
//! Source: Koh and Liang, "Understanding Black-box Predictions via Influence Functions" (arXiv 1703.04730), section 4.1.

use alloc::vec::Vec;

use ndarray::ArrayRef2;

use crate::error::{check_finite, check_shape};
use crate::math::correlation::pearson;
use crate::math::rank::spearman;
use crate::{Result, Scalar};

/// Agreement of predictions with retraining for one query; `None` where one side does not vary.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Agreement {
    /// Of the values.
    pub pearson: Option<f64>,
    /// Of the ranks, ties at their mean.
    pub spearman: Option<f64>,
}

/// Correlations of `predicted: (q, n)` with `actual: (q, n)`, one per query.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape), [`Error::NotFinite`](crate::Error::NotFinite).
///
/// # Example
/// ```
/// use limpid::influence::evaluate::leave_one_out_agreement;
/// use ndarray::array;
///
/// let found = leave_one_out_agreement(&array![[1.0, 2.0, 3.0]], &array![[0.1, 0.2, 0.4]])?;
/// assert_eq!(found[0].spearman, Some(1.0));
/// assert!((found[0].pearson.unwrap() - 0.982).abs() < 1e-3);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn leave_one_out_agreement<T: Scalar>(predicted: &ArrayRef2<T>, actual: &ArrayRef2<T>) -> Result<Vec<Agreement>> {
    check_shape("actual", actual, predicted.shape())?;
    check_finite("predicted", predicted)?;
    check_finite("actual", actual)?;
    let rows = predicted.rows().into_iter().zip(actual.rows());
    rows.map(|(x, y)| {
        let (x, y) = (x.mapv(Scalar::as_f64), y.mapv(Scalar::as_f64));
        let pearson = pearson((&x.to_vec(), 0.0), (&y.to_vec(), 0.0));
        Ok(Agreement { pearson, spearman: spearman(&x, &y)? })
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use ndarray::array;

    #[test]
    fn what_does_not_vary_agrees_with_nothing() {
        let found = leave_one_out_agreement(&array![[1.0, 1.0], [0.0, 2.0]], &array![[1.0, 2.0], [5.0, 1.0]]).unwrap();
        assert_eq!(found[0], Agreement { pearson: None, spearman: None });
        assert_eq!(found[1], Agreement { pearson: Some(-1.0), spearman: Some(-1.0) });
        assert!(matches!(leave_one_out_agreement(&array![[1.0]], &array![[1.0, 2.0]]), Err(Error::Shape { .. })));
    }
}
