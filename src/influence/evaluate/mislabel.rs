//! Mislabel detection: are the examples that influence themselves most the ones with wrong labels?
//!
//! ```text
//! AUC       share of pairs (flipped, clean) in which the flipped one has the larger self-influence, ties a half
//! found_k   flipped ones among the k largest
//! ```
//!
//! An example that the model can only fit by itself has a large gradient in directions that few others share.
//!
//! Source: Koh and Liang, "Understanding Black-box Predictions via Influence Functions" (arXiv 1703.04730), section 5.4.

use alloc::vec::Vec;

use ndarray::{ArrayRef1, aview1};

use crate::error::{check_finite, check_length};
use crate::math::rank::{auc, largest_first};
use crate::{Result, Scalar};

/// How well a suspicion finds wrong labels.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MislabelDetection {
    /// Area under the ROC curve; `None` where no label or every label is wrong.
    pub auc: Option<f64>,
    /// Number of wrong labels.
    pub flipped: usize,
    /// Of each number of inspected examples, the wrong labels among them.
    pub found: Vec<usize>,
}

impl MislabelDetection {
    /// Of each number of inspected examples, the share of all wrong labels that it finds; `None` where no label is wrong.
    #[must_use]
    pub fn recall(&self) -> Option<Vec<f64>> {
        let share = |&found: &usize| found as f64 / self.flipped as f64;
        (self.flipped > 0).then(|| self.found.iter().map(share).collect())
    }
}

/// Ranks examples by `suspicion: (n)`, such as self-influence, and looks for those whose label is `flipped: (n)` among the
/// first `inspected`; equal suspicions by index.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape), [`Error::NotFinite`](crate::Error::NotFinite).
///
/// # Example
/// ```
/// use limpid::influence::evaluate::mislabel_detection;
/// use ndarray::array;
///
/// let found = mislabel_detection(&array![0.1, 5.0, 0.3, 0.2], &[false, true, false, true], &[1, 2])?;
/// assert_eq!((found.auc, found.found), (Some(0.75), vec![1, 1]));
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn mislabel_detection<T: Scalar>(
    suspicion: &ArrayRef1<T>,
    flipped: &[bool],
    inspected: &[usize],
) -> Result<MislabelDetection> {
    check_length("flipped", flipped.len(), suspicion.len())?;
    check_finite("suspicion", suspicion)?;
    let order = largest_first(suspicion, inspected.iter().copied().max().unwrap_or(0));
    let among = |&count: &usize| order.iter().take(count).filter(|&&example| flipped[example]).count();
    Ok(MislabelDetection {
        auc: auc(suspicion, &aview1(flipped))?,
        flipped: flipped.iter().filter(|&&flipped| flipped).count(),
        found: inspected.iter().map(among).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use ndarray::array;

    #[test]
    fn everything_is_found_in_the_end() {
        let found = mislabel_detection(&array![3.0_f32, 2.0, 2.0], &[true, false, true], &[0, 1, 2, 99]).unwrap();
        assert_eq!((&found.found[..], found.auc), (&[0, 1, 1, 2][..], Some(0.75)));
        assert_eq!(found.recall(), Some(vec![0.0, 0.5, 0.5, 1.0]));
    }

    #[test]
    fn without_wrong_labels_there_is_nothing_to_find() {
        let found = mislabel_detection(&array![3.0, 2.0], &[false, false], &[1]).unwrap();
        assert_eq!((found.auc, found.recall()), (None, None));
        assert!(matches!(mislabel_detection(&array![1.0], &[], &[]), Err(Error::Shape { .. })));
        assert!(matches!(mislabel_detection(&array![f64::NAN], &[true], &[]), Err(Error::NotFinite { .. })));
    }
}
