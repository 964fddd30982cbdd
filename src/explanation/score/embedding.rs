//! Embedding scores: is an explanation nearer to the texts on which the neuron fires than to others?
//!
//! ```text
//! similarity_i = cos(explanation, text_i)                                  query by explanation
//! similarity_i = mean_j cos(text_i, firing_j) - mean_j cos(text_i, other_j)   query by examples
//! score = AUC of the similarity
//! ```
//!
//! The caller embeds; a text whose embedding is zero has no direction and similarity 0.
//!
//! Source: Paulo et al., "Automatically Interpreting Millions of Features in Large Language Models" (arXiv 2410.13928), on
//! embedding scoring.

use alloc::vec::Vec;

use ndarray::{ArrayRef1, ArrayRef2, Axis};

use super::surprisal::auc_of;
use crate::error::{check_not_empty, check_shape};
use crate::explanation::{Defined, Undefined};
use crate::math::directions::cosines;
use crate::{Dims, Error, Result, Scalar};

/// Similarity of a query to each of many texts.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct EmbeddingScore {
    /// Similarity to each text.
    pub similarity: Vec<f64>,
    /// Mean similarity to the texts on which the neuron fires, less that to the others.
    pub gap: Defined<f64>,
    /// Chance that a text of the first kind is nearer than one of the second, ties counting a half.
    pub auc: Defined<f64>,
}

impl EmbeddingScore {
    /// Of the embedding of an explanation `(d)` and those of texts `(n, d)`; `activating: (n)` says on which the neuron
    /// fires.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::NotFinite`].
    ///
    /// # Example
    /// ```
    /// use limpid::explanation::score::EmbeddingScore;
    /// use ndarray::array;
    ///
    /// let found = EmbeddingScore::of(&array![1.0, 0.0], &array![[2.0, 0.0], [0.0, 3.0]], &[true, false])?;
    /// assert_eq!((found.auc, found.gap), (Ok(1.0), Ok(1.0)));
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn of<T: Scalar>(explanation: &ArrayRef1<T>, texts: &ArrayRef2<T>, activating: &[bool]) -> Result<Self> {
        check_shape("texts", texts, &[texts.nrows(), explanation.len()])?;
        let query = explanation.view().insert_axis(Axis(0));
        let similarity = cosines(texts, &query)?.iter().map(|cosine| cosine.as_f64()).collect();
        Self::from_similarity(similarity, activating)
    }

    fn from_similarity(similarity: Vec<f64>, activating: &[bool]) -> Result<Self> {
        if activating.len() != similarity.len() {
            let (expected, got) = (Dims::new(&[similarity.len()]), Dims::new(&[activating.len()]));
            return Err(Error::Shape { what: "activating", expected, got });
        }
        let auc = auc_of(&similarity, activating)?;
        let of = |kind: bool| similarity.iter().zip(activating).filter(move |(_, a)| **a == kind).map(|(s, _)| *s);
        let mean = |kind: bool| of(kind).sum::<f64>() / of(kind).count() as f64;
        let gap = mean(true) - mean(false);
        let gap = if gap.is_finite() { Ok(gap) } else { auc.and(Err(Undefined::OneClass)) };
        Ok(Self { similarity, gap, auc })
    }
}

/// The score of a neuron without words: its own examples, those on which it fires `(p, d)` and others `(q, d)`, are the query.
///
/// # Errors
/// [`Error::Shape`], [`Error::NotFinite`], [`Error::Empty`] without examples of either kind.
pub fn example_embedding_score<T: Scalar>(
    firing: &ArrayRef2<T>,
    others: &ArrayRef2<T>,
    texts: &ArrayRef2<T>,
    activating: &[bool],
) -> Result<EmbeddingScore> {
    check_not_empty("firing", firing)?;
    check_not_empty("others", others)?;
    let (near, far) = (cosines(texts, firing)?, cosines(texts, others)?);
    let mean = |row: ndarray::ArrayView1<'_, T>| row.iter().map(|c| c.as_f64()).sum::<f64>() / row.len() as f64;
    let similarity = near.rows().into_iter().zip(far.rows()).map(|(near, far)| mean(near) - mean(far)).collect();
    EmbeddingScore::from_similarity(similarity, activating)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};

    #[test]
    fn nearness_is_by_direction() {
        let texts = array![[3.0, 4.0], [0.0, -1.0], [0.0, 0.0], [5.0, 0.0]];
        let found = EmbeddingScore::of(&array![7.0, 0.0], &texts, &[true, true, false, false]).unwrap();
        assert_eq!(found.similarity, [0.6, 0.0, 0.0, 1.0]);
        // pairs: 0.6 > 0, 0.6 < 1, 0 = 0, 0 < 1
        assert_eq!(found.auc, Ok(1.5 / 4.0));
        assert!((found.gap.unwrap() + 0.2).abs() < 1e-15);
        let one = EmbeddingScore::of(&array![7.0, 0.0], &texts, &[true; 4]).unwrap();
        assert_eq!((one.auc, one.gap), (Err(Undefined::OneClass), Err(Undefined::OneClass)));
        let none = EmbeddingScore::of(&array![1.0, 0.0], &Array2::zeros((0, 2)), &[]).unwrap();
        assert_eq!((none.auc, none.gap), (Err(Undefined::Empty), Err(Undefined::Empty)));
        assert!(EmbeddingScore::of(&array![1.0], &texts, &[true; 4]).is_err());
        assert!(EmbeddingScore::of(&array![1.0, 0.0], &texts, &[true]).is_err());
    }

    #[test]
    fn examples_stand_for_an_explanation() {
        let (firing, others) = (array![[1.0, 0.0], [1.0, 0.0]], array![[0.0, 1.0]]);
        let found = example_embedding_score(&firing, &others, &array![[2.0, 0.0], [0.0, 2.0]], &[true, false]).unwrap();
        assert_eq!((found.similarity, found.auc), (alloc::vec![1.0, -1.0], Ok(1.0)));
        assert!(example_embedding_score(&Array2::zeros((0, 2)), &others, &firing, &[true, false]).is_err());
        assert!(example_embedding_score(&firing, &array![[1.0]], &firing, &[true, false]).is_err());
    }
}
