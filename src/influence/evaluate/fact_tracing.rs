//! Fact tracing: are the training examples that state a fact ranked before all others?
//!
//! ```text
//! reciprocal rank   1/(place of the first relevant example, from 1)        MRR = its mean over queries
//! recall@k          relevant examples among the k first, as a share of all relevant ones
//! ```
//!
//! Source: Akyürek et al., "Towards Tracing Knowledge in Language Models Back to the Training Data" (arXiv 2205.11482).

use alloc::vec::Vec;

use ndarray::{Array1, Array2, ArrayRef2, Axis};

use crate::error::{check_finite, check_shape};
use crate::math::curves::mean;
use crate::math::rank::argsort_descending;
use crate::{Result, Scalar};

/// How early relevant examples come.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FactTracing {
    /// Of each query; `None` where no example is relevant to it.
    pub reciprocal_rank: Vec<Option<f64>>,
    /// Mean over the queries that have one.
    pub mean_reciprocal_rank: Option<f64>,
    /// For each `k`, the mean share over the queries with a relevant example.
    pub recall: Vec<Option<f64>>,
}

/// Ranks the examples of each query by `scores: (q, n)`, equal ones by index, and looks up the `relevant: (q, n)`.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape), [`Error::NotFinite`](crate::Error::NotFinite).
///
/// # Example
/// ```
/// use limpid::influence::evaluate::fact_tracing;
/// use ndarray::array;
///
/// let found = fact_tracing(&array![[0.1, 0.9, 0.5]], &array![[true, false, true]], &[1, 2])?;
/// assert_eq!(found.mean_reciprocal_rank, Some(0.5));
/// assert_eq!(found.recall, [Some(0.0), Some(0.5)]);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn fact_tracing<T: Scalar>(scores: &ArrayRef2<T>, relevant: &ArrayRef2<bool>, k: &[usize]) -> Result<FactTracing> {
    check_shape("relevant", relevant, scores.shape())?;
    check_finite("scores", scores)?;
    let mut shares = Array2::from_elem((scores.nrows(), k.len()), None);
    let mut reciprocal_rank = Vec::with_capacity(scores.nrows());
    for (query, (scores, relevant)) in scores.rows().into_iter().zip(relevant.rows()).enumerate() {
        let ranked: Vec<bool> = argsort_descending(&scores).into_iter().map(|example| relevant[example]).collect();
        let hits = |count: usize| ranked.iter().take(count).filter(|&&hit| hit).count() as f64;
        let all = hits(ranked.len());
        let row: Array1<Option<f64>> = k.iter().map(|&k| (all > 0.0).then(|| hits(k) / all)).collect();
        shares.index_axis_mut(Axis(0), query).assign(&row);
        reciprocal_rank.push(ranked.iter().position(|&hit| hit).map(|place| 1.0 / (place + 1) as f64));
    }
    Ok(FactTracing {
        mean_reciprocal_rank: mean(reciprocal_rank.iter().copied().flatten()),
        recall: shares.columns().into_iter().map(|column| mean(column.iter().copied().flatten())).collect(),
        reciprocal_rank,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use ndarray::array;

    #[test]
    fn queries_without_relevant_examples_do_not_count() {
        let scores = array![[3.0, 2.0, 1.0], [1.0, 2.0, 3.0]];
        let found = fact_tracing(&scores, &array![[false, false, false], [true, false, false]], &[0, 3]).unwrap();
        assert_eq!(found.reciprocal_rank, [None, Some(1.0 / 3.0)]);
        assert_eq!((found.mean_reciprocal_rank, found.recall), (Some(1.0 / 3.0), vec![Some(0.0), Some(1.0)]));
        let none = fact_tracing(&scores, &Array2::from_elem((2, 3), false), &[1]).unwrap();
        assert_eq!((none.mean_reciprocal_rank, none.recall), (None, vec![None]));
        assert!(matches!(fact_tracing(&scores, &array![[true]], &[]), Err(Error::Shape { .. })));
    }
}
