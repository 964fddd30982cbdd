//! Detection: can one tell from an explanation on which texts the neuron fires?
//!
//! The judge sees plain texts, some at a time and in random order, and says of each whether the neuron fires on it.
//!
//! Source: Paulo et al., "Automatically Interpreting Millions of Features in Large Language Models" (arXiv 2410.13928), on
//! detection scoring.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::classification::{Answer, Classification, classification_by_group};
use super::judge::{Example, Group, Question, TextJudge, ask};
use crate::explanation::Failure;
use crate::{Result, Scalar, Seed};

/// Settings of detection. The default asks about five texts at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Detection {
    /// Texts that the judge sees at a time.
    pub per_request: usize,
    /// Seed of their order.
    pub seed: Seed,
}

impl Default for Detection {
    fn default() -> Self {
        Self { per_request: 5, seed: Seed::default() }
    }
}

/// Answers about texts and how right they are.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct DetectionReport {
    /// An answer for each text that was asked about.
    pub answers: Vec<Answer>,
    /// The kind of each.
    pub groups: Vec<Group>,
    /// All together.
    pub all: Classification,
    /// Each kind on its own: a group of activating texts has a recall, the silent ones a specificity.
    pub by_group: BTreeMap<Group, Classification>,
}

impl DetectionReport {
    pub(super) fn of(answers: Vec<Answer>, groups: Vec<Group>) -> Result<Self> {
        let (all, by_group) = (Classification::of(&answers)?, classification_by_group(&answers, &groups)?);
        Ok(Self { answers, groups, all, by_group })
    }
}

impl Detection {
    /// Asks about each example whether the neuron fires on it.
    ///
    /// # Errors
    /// [`Failure::Model`] with the judge's own, [`Failure::Input`] for no text at a time and a probability that is
    /// NaN.
    ///
    /// # Example
    /// ```
    /// use limpid::explanation::ActivationRecord;
    /// use limpid::explanation::score::{Detection, Example, Group, TextJudge, Verdict};
    /// use ndarray::array;
    ///
    /// struct Keyword;
    /// impl TextJudge for Keyword {
    ///     type Error = core::convert::Infallible;
    ///     fn judge(&mut self, explanation: &str, texts: &[String]) -> Result<Vec<Verdict>, Self::Error> {
    ///         Ok(texts.iter().map(|text| text.contains(explanation).into()).collect())
    ///     }
    /// }
    ///
    /// let fires = ActivationRecord::new(["a", " red", " car"], array![0.0, 3.0, 0.0])?;
    /// let silent = ActivationRecord::new(["a", " blue", " car"], array![0.0, 0.0, 0.0])?;
    /// let examples = [Example::new(fires, Group::Activating(0))?, Example::new(silent, Group::Silent)?];
    /// let found = Detection::default().score(&mut Keyword, "red", &examples).unwrap();
    /// assert_eq!(found.all.balanced_accuracy, Ok(1.0));
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn score<T: Scalar, J: TextJudge + ?Sized>(
        &self,
        judge: &mut J,
        explanation: &str,
        examples: &[Example<T>],
    ) -> Result<DetectionReport, Failure<J::Error>> {
        let question = |example: &Example<T>| Question {
            text: example.record.tokens.concat(),
            label: example.group != Group::Silent,
        };
        let answers = ask(judge, explanation, examples.iter().map(question).collect(), (self.per_request, self.seed))?;
        Ok(DetectionReport::of(answers, examples.iter().map(|example| example.group).collect())?)
    }
}
