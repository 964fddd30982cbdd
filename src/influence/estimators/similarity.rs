//! Representation similarity: training examples whose activations are most like those of a query.
//!
//! ```text
//! cosine  x·y/(‖x‖ ‖y‖)        dot  x·y        euclidean  -‖x - y‖, so that larger is more alike
//! ```
//!
//! No gradient and no curvature: a baseline that influence has to beat, and a prefilter where it does not. A vector of
//! zeros has no direction, and its cosine is undefined.
//!
//! Source: Hanawa et al., "Evaluation of Similarity-based Explanations" (arXiv 2006.04528).

use alloc::vec;
use alloc::vec::Vec;

use ndarray::{Array2, ArrayRef2, ArrayView2, Axis, Slice};

use super::layers::MAX_VALUES;
use crate::error::{check_finite, check_limit, check_shape};
use crate::math::directions::{row_norms, unit_rows};
use crate::math::gemm::product;
use crate::{Result, Scalar};

/// Numbers that [`most_similar`] holds at once.
const BLOCK: usize = 1 << 20;

/// When two vectors are alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Similarity {
    /// Same direction.
    #[default]
    Cosine,
    /// Same direction and both long.
    Dot,
    /// Close to each other; the similarity is minus the distance.
    Euclidean,
}

/// Similarities of `query: (q, d)` with `train: (n, d)`, `(q, n)`; `None` for the cosine of a vector of zeros.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape), [`Error::NotFinite`](crate::Error::NotFinite),
/// [`Error::TooLarge`](crate::Error::TooLarge) beyond 2²⁸ values: take [`most_similar`].
///
/// # Example
/// ```
/// use limpid::influence::estimators::{Similarity, similarity};
/// use ndarray::array;
///
/// let found = similarity(&array![[3.0, 4.0]], &array![[1.0, 0.0], [0.0, 0.0]], Similarity::Cosine)?;
/// assert!((found[[0, 0]].unwrap() - 0.6).abs() < 1e-15);
/// assert_eq!(found[[0, 1]], None);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn similarity<T: Scalar>(
    query: &ArrayRef2<T>,
    train: &ArrayRef2<T>,
    kind: Similarity,
) -> Result<Array2<Option<f64>>> {
    check_limit("similarities", query.nrows().saturating_mul(train.nrows()), MAX_VALUES)?;
    check(query, train)?;
    of_block(&prepared(query.view(), kind), &prepared(train.view(), kind), kind)
}

/// The `k` most similar rows of `train: (n, d)` for each row of `query: (q, d)`, best first, equal ones by index; rows
/// without a similarity are left out. Never holds all similarities.
///
/// # Errors
/// As [`similarity`], without its limit.
///
/// # Example
/// ```
/// use limpid::influence::estimators::{Similarity, most_similar};
/// use ndarray::array;
///
/// let train = array![[1.0, 0.0], [2.0, 2.0], [0.0, 1.0]];
/// let found = most_similar(&array![[1.0, 1.1]], &train, Similarity::Euclidean, 2)?;
/// assert_eq!((found[0][0].0, found[0][1].0), (2, 0));
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn most_similar<T: Scalar>(
    query: &ArrayRef2<T>,
    train: &ArrayRef2<T>,
    kind: Similarity,
    k: usize,
) -> Result<Vec<Vec<(usize, f64)>>> {
    check(query, train)?;
    let of_query = prepared(query.view(), kind);
    let mut best: Vec<Vec<(usize, f64)>> = vec![Vec::new(); query.nrows()];
    let rows = (BLOCK / query.nrows().max(train.ncols()).max(1)).max(1);
    for start in (0..train.nrows()).step_by(rows) {
        let block = train.slice_axis(Axis(0), Slice::from(start..(start + rows).min(train.nrows())));
        let found = of_block(&of_query, &prepared(block, kind), kind)?;
        for (best, row) in best.iter_mut().zip(found.rows()) {
            best.extend(row.iter().enumerate().filter_map(|(at, value)| Some((start + at, (*value)?))));
            // stable: earlier rows first among equals
            best.sort_by(|a, b| b.1.total_cmp(&a.1));
            best.truncate(k);
        }
    }
    Ok(best)
}

fn check<T: Scalar>(query: &ArrayRef2<T>, train: &ArrayRef2<T>) -> Result<()> {
    check_shape("train", train, &[train.nrows(), query.ncols()])?;
    check_finite("query", query)?;
    check_finite("train", train)
}

/// Rows in double precision, of length 1 where only directions count.
fn prepared<T: Scalar>(x: ArrayView2<'_, T>, kind: Similarity) -> Array2<f64> {
    let x = x.mapv(Scalar::as_f64);
    if kind == Similarity::Cosine { unit_rows(&x) } else { x }
}

fn of_block(query: &Array2<f64>, train: &Array2<f64>, kind: Similarity) -> Result<Array2<Option<f64>>> {
    if kind == Similarity::Euclidean {
        // not by ‖x‖² - 2 x·y + ‖y‖², which loses the digits of close neighbours
        let distance = |(i, j)| {
            let pairs = query.row(i).into_iter().zip(train.row(j));
            Some(-libm::sqrt(pairs.map(|(x, y)| (x - y) * (x - y)).sum()))
        };
        return Ok(Array2::from_shape_fn((query.nrows(), train.nrows()), distance));
    }
    let products = product(query, &train.t())?;
    if kind == Similarity::Dot {
        return Ok(products.mapv(Some));
    }
    let (of_query, of_train) = (row_norms(query), row_norms(train));
    let cosine = |(i, j)| {
        let defined = of_query[i] > 0.0 && of_train[j] > 0.0;
        defined.then(|| products[[i, j]].clamp(-1.0, 1.0))
    };
    Ok(Array2::from_shape_fn(products.dim(), cosine))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::influence::testing::noise;
    use ndarray::array;

    #[test]
    fn the_best_are_those_of_all() {
        let (query, mut train) = (noise(3, 4, 0), noise(40, 4, 1));
        train.row_mut(7).fill(0.0);
        for kind in [Similarity::Cosine, Similarity::Dot, Similarity::Euclidean] {
            let all = similarity(&query, &train, kind).unwrap();
            let best = most_similar(&query, &train, kind, 5).unwrap();
            for (best, row) in best.iter().zip(all.rows()) {
                let mut expected: Vec<(usize, f64)> =
                    row.iter().enumerate().filter_map(|(j, value)| Some((j, (*value)?))).collect();
                expected.sort_by(|a, b| b.1.total_cmp(&a.1));
                assert_eq!(best[..], expected[..5]);
            }
        }
        assert_eq!(similarity(&query, &train, Similarity::Cosine).unwrap()[[0, 7]], None);
    }

    #[test]
    fn a_thing_is_most_like_itself() {
        let x = noise(6, 3, 2);
        for kind in [Similarity::Cosine, Similarity::Euclidean] {
            let best = most_similar(&x, &x, kind, 1).unwrap();
            assert!(best.iter().enumerate().all(|(i, best)| best[0].0 == i));
        }
        let bad = similarity(&array![[1.0]], &array![[1.0, 2.0]], Similarity::Dot);
        assert!(matches!(bad, Err(Error::Shape { what: "train", .. })));
        assert_eq!(most_similar(&x, &x, Similarity::Dot, 0).unwrap()[0], []);
    }
}
