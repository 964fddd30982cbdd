//! `TracIn`: how much a training step on one example lowered the loss of another, summed over checkpoints.
//!
//! ```text
//! s(q, i) = Σ_c η_c Σ_l ⟨G_q^l(θ_c), G_i^l(θ_c)⟩
//! ```
//!
//! No curvature: the gradients as plain descent would use them. Inner products come from the rows, so that no gradient is
//! formed; hand over the last layer only, and it is the fast variant. [`tracin_embeddings`] projects both factors of every
//! layer, so that scores become inner products of short vectors which any nearest-neighbour index can hold.
//!
//! Source: Pruthi et al., "Estimating Training Data Influence by Tracing Gradient Descent" (arXiv 2002.08484), for checkpoints
//! and for the projection of both factors.

use alloc::vec::Vec;

use ndarray::{Array1, Array2};

use super::layers::{MAX_VALUES, check_layers, check_like, squared_norms};
use super::projection::{Projection, side_by_side, two_sided_layers};
use crate::error::{check_each, check_length, check_limit};
use crate::influence::LayerRows;
use crate::{Error, Result, Scalar};

/// Rows of the same examples at one checkpoint of training.
#[derive(Debug, Clone, Copy)]
pub struct Checkpoint<'l, 'a, T> {
    /// Learning rate `η` at that time.
    pub learning_rate: f64,
    /// Layers of the training examples.
    pub train: &'l [LayerRows<'a, T>],
    /// Layers of the queries.
    pub query: &'l [LayerRows<'a, T>],
}

/// Scores of training examples for queries, `(queries, examples)`; no minus sign, no `1/N`.
///
/// # Errors
/// [`Error::Empty`] without checkpoints or layers, [`Error::Shape`] where checkpoints have other examples,
/// [`Error::OutOfRange`] for a learning rate that is not finite, [`Error::TooLarge`] beyond 2²⁸ scores.
///
/// # Example
/// ```
/// use limpid::influence::estimators::{Checkpoint, tracin};
/// use limpid::influence::{Examples, LayerRows};
/// use ndarray::array;
///
/// let (a, early, late) = (array![[1.0]], array![[1.0]], array![[2.0]]);
/// let early = [LayerRows::new(&a, &early, Examples::EachRow)?];
/// let late = [LayerRows::new(&a, &late, Examples::EachRow)?];
/// let first = Checkpoint { learning_rate: 0.1, train: &early, query: &early };
/// let second = Checkpoint { learning_rate: 0.05, train: &late, query: &late };
/// assert!((tracin(&[first, second])?[[0, 0]] - 0.3).abs() < 1e-15);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn tracin<T: Scalar>(checkpoints: &[Checkpoint<'_, '_, T>]) -> Result<Array2<f64>> {
    let (n, q) = check(checkpoints)?;
    check_limit("scores", n.saturating_mul(q), MAX_VALUES)?;
    let mut scores = Array2::zeros((q, n));
    for checkpoint in checkpoints {
        for (train, query) in checkpoint.train.iter().zip(checkpoint.query) {
            scores.scaled_add(checkpoint.learning_rate, &query.gram(train)?);
        }
    }
    Ok(scores)
}

/// Scores of the training examples for themselves, `(examples)`.
///
/// # Errors
/// As [`tracin`].
pub fn tracin_self<T: Scalar>(checkpoints: &[Checkpoint<'_, '_, T>]) -> Result<Array1<f64>> {
    let (n, _) = check(checkpoints)?;
    let mut scores = Array1::zeros(n);
    for checkpoint in checkpoints {
        for train in checkpoint.train {
            scores.scaled_add(checkpoint.learning_rate, &squared_norms(train)?);
        }
    }
    Ok(scores)
}

/// Short vectors of the training examples and of the queries, `(examples, ·)` and `(queries, ·)`, whose inner products are
/// [`tracin`] up to the error of the projection.
///
/// # Errors
/// As [`tracin`] and [`Projection::rows`]; [`Error::OutOfRange`] for a negative learning rate.
pub fn tracin_embeddings<T: Scalar>(
    checkpoints: &[Checkpoint<'_, '_, T>],
    projection: &Projection,
) -> Result<(Array2<f64>, Array2<f64>)> {
    let (n, q) = check(checkpoints)?;
    let (mut train, mut query) = (Vec::new(), Vec::new());
    for (number, checkpoint) in checkpoints.iter().enumerate() {
        check_each("learning rate", &[checkpoint.learning_rate], ">= 0", |x: f64| x >= 0.0)?;
        let root = libm::sqrt(checkpoint.learning_rate);
        // a projection of its own for each checkpoint, or their errors would add up
        let projection = Projection { seed: projection.seed.child(PURPOSE, number as u64), ..*projection };
        train.extend(two_sided_layers(&projection, checkpoint.train)?.into_iter().map(|part| part * root));
        query.extend(two_sided_layers(&projection, checkpoint.query)?.into_iter().map(|part| part * root));
    }
    Ok((side_by_side(&train, n)?, side_by_side(&query, q)?))
}

/// Purpose of the seeds of checkpoints.
const PURPOSE: u64 = 0x7472_6163_696e;

/// Numbers of training examples and of queries.
fn check<T: Scalar>(checkpoints: &[Checkpoint<'_, '_, T>]) -> Result<(usize, usize)> {
    let first = checkpoints.first().ok_or(Error::Empty { what: "checkpoints" })?;
    let (n, q) = (check_layers("train", first.train)?, check_layers("query", first.query)?);
    for checkpoint in checkpoints {
        check_each("learning rate", &[checkpoint.learning_rate], "finite", |x: f64| x.is_finite())?;
        check_length("examples of a checkpoint", check_layers("train", checkpoint.train)?, n)?;
        check_length("queries of a checkpoint", check_like("query", checkpoint.query, checkpoint.train)?, q)?;
    }
    Ok((n, q))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use crate::influence::estimators::testing::{layers, noise_layers};

    #[test]
    fn self_scores_are_the_diagonal() {
        let data = [noise_layers(8, 1), noise_layers(8, 3)];
        let rows: Vec<_> = data.iter().map(|data| layers(data)).collect();
        let rates = [0.1, 0.02];
        let checkpoints: Vec<_> = rows
            .iter()
            .zip(rates)
            .map(|(rows, learning_rate)| Checkpoint { learning_rate, train: rows, query: rows })
            .collect();
        let (all, own) = (tracin(&checkpoints).unwrap(), tracin_self(&checkpoints).unwrap());
        assert!(all.diag().iter().zip(&own).all(|(a, b)| (a - b).abs() < 1e-12));
        assert!((&all - &all.t()).iter().all(|e| e.abs() < 1e-12));
        let (train, query) =
            tracin_embeddings(&checkpoints, &Projection::new(if cfg!(miri) { 8 } else { 96 }, Seed(1))).unwrap();
        let near = train.dot(&query.t());
        let largest = own.iter().copied().fold(0.0, f64::max);
        assert!((&near - &all).iter().all(|e| e.abs() < 0.5 * largest), "{near} {all}");
        assert!((train.dot(&train.t()) - near).iter().all(|e| e.abs() < 1e-12));
    }

    #[test]
    fn bad_checkpoints_are_named() {
        let (data, other) = (noise_layers(3, 1), noise_layers(4, 1));
        let (rows, more) = (layers(&data), layers(&other));
        assert!(matches!(tracin::<f64>(&[]), Err(Error::Empty { what: "checkpoints" })));
        let first = Checkpoint { learning_rate: 1.0, train: &rows, query: &rows };
        let other = Checkpoint { train: &more, ..first };
        assert!(matches!(tracin(&[first, other]), Err(Error::Shape { .. })));
        let nan = Checkpoint { learning_rate: f64::NAN, ..first };
        assert!(matches!(tracin(&[nan]), Err(Error::OutOfRange { .. })));
    }
}
