//! Reports, occlusion, LIME and any other importance of the same tokens side by side: how true each is of the model, and how
//! far every two agree.
//!
//! ```text
//! occlusion_i = p(all) - p(without i),  which the metrics need anyway
//! ```
//!
//! Source: Huang et al., "Can Large Language Models Explain Themselves?" (arXiv 2310.11207), for the comparison; Krishna et
//! al., "The Disagreement Problem in Explainable Machine Learning" (arXiv 2202.01602), for the agreement of pairs.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use ndarray::{Array1, ArrayRef1};

use super::erasing::{Erased, Erasing, PredictMasked, Remembered};
use crate::Result;
use crate::error::check_shape;
use crate::explanation::Failure;
use crate::math::agreement::{Agreement, By, agreement};

/// Settings of a comparison.
///
/// # Example
/// ```
/// use limpid::explanation::self_report::Comparing;
/// use ndarray::array;
///
/// let mut model = |kept: &[bool]| Ok::<_, limpid::Error>(0.1 + 0.6 * f64::from(kept[0]) + 0.2 * f64::from(kept[2]));
/// let (report, lime) = (array![0.9, 0.5, 0.0], array![0.6, 0.0, 0.2]);
/// let found = Comparing::default().judge(&mut model, &[("self", &report), ("LIME", &lime)])?;
/// assert_eq!(found.names, ["self", "LIME", "occlusion"]);
/// assert!(found.erased[1].comprehensiveness > found.erased[0].comprehensiveness);
/// let of_lime = found.between("LIME", "occlusion").unwrap();
/// assert_eq!((of_lime.feature, of_lime.spearman), (Some(1.0), Some(1.0)));
/// # Ok::<(), limpid::explanation::Failure<limpid::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Comparing {
    /// How each is judged.
    pub erasing: Erasing,
    /// Length of the lists of top tokens whose agreement is measured.
    pub k: usize,
    /// What orders these lists.
    pub by: By,
}

impl Default for Comparing {
    fn default() -> Self {
        Self { erasing: Erasing::default(), k: 5, by: By::Magnitude }
    }
}

/// What a comparison found.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SideBySide {
    /// The names that were given, and `occlusion`.
    pub names: Vec<String>,
    /// The importance of the tokens by each, `(t)`.
    pub importance: Vec<Array1<f64>>,
    /// How true each is of the model.
    pub erased: Vec<Erased>,
    /// Agreement of every two, with their places among the names, the first below the second.
    pub agreement: Vec<(usize, usize, Agreement)>,
    /// Different masks that the model was asked about.
    pub evaluations: usize,
}

impl SideBySide {
    /// Agreement of two names, in either order.
    #[must_use]
    pub fn between(&self, a: &str, b: &str) -> Option<&Agreement> {
        let place = |name: &str| self.names.iter().position(|other| other == name);
        let (a, b) = (place(a)?, place(b)?);
        let found = self.agreement.iter().find(|(first, second, _)| (*first, *second) == (a.min(b), a.max(b)));
        found.map(|(_, _, agreement)| agreement)
    }
}

impl Comparing {
    /// Judges each named importance `(t)` and compares every two, occlusion included.
    ///
    /// # Errors
    /// As [`Erasing::judge`], and [`Error::Shape`](crate::Error::Shape) within [`Failure::Input`] for an importance of another
    /// number of tokens than the first; [`Error::Empty`](crate::Error::Empty) without any.
    pub fn judge<M: PredictMasked + ?Sized>(
        &self,
        model: &mut M,
        explanations: &[(&str, &ArrayRef1<f64>)],
    ) -> Result<SideBySide, Failure<M::Error>> {
        let tokens = explanations.first().map_or(0, |(_, importance)| importance.len());
        let mut model = Remembered::new(model, tokens)?;
        let occlusion = model.single_drops()?;
        let mut names: Vec<String> = explanations.iter().map(|(name, _)| (*name).to_string()).collect();
        names.push("occlusion".to_string());
        let mut importance: Vec<Array1<f64>> = Vec::with_capacity(names.len());
        for (_, values) in explanations {
            check_shape("importance", *values, &[tokens])?;
            importance.push((*values).to_owned());
        }
        importance.push(occlusion);
        let mut erased = Vec::with_capacity(names.len());
        for values in &importance {
            erased.push(self.erasing.judge_with(&mut model, values)?);
        }
        let agreement = self.agree(&importance)?;
        Ok(SideBySide { names, importance, erased, agreement, evaluations: model.evaluations() })
    }

    fn agree(&self, importance: &[Array1<f64>]) -> Result<Vec<(usize, usize, Agreement)>> {
        let pairs = (0..importance.len()).flat_map(|a| (a + 1..importance.len()).map(move |b| (a, b)));
        let compared = |(a, b)| {
            let (x, y): (&Array1<f64>, &Array1<f64>) = (&importance[a], &importance[b]);
            Ok((a, b, agreement(x, y, self.k, self.by)?))
        };
        pairs.map(compared).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use ndarray::array;

    fn model(kept: &[bool]) -> Result<f64, Error> {
        Ok(kept.iter().zip([0.5, 0.2, 0.1]).map(|(&kept, weight)| f64::from(kept) * weight).sum())
    }

    #[test]
    fn occlusion_agrees_with_itself() {
        let (report, occlusion) = (array![0.1, 0.9, 0.0], array![0.5, 0.2, 0.1]);
        let given: [(&str, &ArrayRef1<f64>); 2] = [("self", &report), ("other", &occlusion)];
        let found = Comparing { k: 1, ..Comparing::default() }.judge(&mut model, &given).unwrap();
        assert_eq!(found.agreement.len(), 3);
        assert_eq!(found.between("occlusion", "other").unwrap().pairwise_rank, Some(1.0));
        assert_eq!(found.between("self", "other").unwrap().feature, Some(0.0));
        assert_eq!(found.between("self", "self"), None);
        assert!(found.erased[1].comprehensiveness > found.erased[0].comprehensiveness);
        // every mask of three tokens, each once
        assert_eq!(found.evaluations, 8);
    }

    #[test]
    fn importance_of_other_tokens_is_refused() {
        let (a, b) = (array![0.1, 0.2], array![0.1]);
        let given: [(&str, &ArrayRef1<f64>); 2] = [("a", &a), ("b", &b)];
        let mut two = |_: &[bool]| Ok::<_, Error>(0.5);
        let refused = Comparing::default().judge(&mut two, &given);
        assert!(matches!(refused, Err(Failure::Input(Error::Shape { what: "importance", .. }))));
        assert!(matches!(Comparing::default().judge(&mut two, &[]), Err(Failure::Input(Error::Empty { .. }))));
    }
}
