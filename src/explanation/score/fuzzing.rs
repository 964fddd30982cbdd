//! Fuzzing: can one tell from an explanation which tokens the neuron fires on?
//!
//! ```text
//! right marks   tokens of texts on which the neuron fires, by their activations
//! wrong marks   of silent texts, or of tokens that the neuron leaves out: k at random, k = mean number of tokens that fire
//! ```
//!
//! Source: Paulo et al., "Automatically Interpreting Millions of Features in Large Language Models" (arXiv 2410.13928), on
//! fuzzing.

use alloc::vec::Vec;

use super::detection::DetectionReport;
use super::highlight::{Highlight, mean_nonzero_ceil};
use super::judge::{Example, Group, Question, TextJudge, ask};
use crate::explanation::Failure;
use crate::math::random::choose;
use crate::{Result, Scalar, Seed};

/// Purpose of the streams that choose tokens, one for each example.
const MARKS: u64 = 0x6d61_726b_7300;

/// Which texts have wrong marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum FalseMarks {
    /// Those on which the neuron is silent.
    #[default]
    Silent,
    /// Those on which it fires, at tokens below the threshold; a text whose tokens all fire has none.
    Activating,
}

/// Settings of fuzzing. The default asks about five texts at a time, with wrong marks in silent texts.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Fuzzing {
    /// How tokens are marked.
    pub highlight: Highlight,
    /// Which texts have wrong marks.
    pub false_marks: FalseMarks,
    /// Texts that the judge sees at a time.
    pub per_request: usize,
    /// Seed of wrong marks and of the order.
    pub seed: Seed,
}

impl Default for Fuzzing {
    fn default() -> Self {
        let (highlight, false_marks) = (Highlight::default(), FalseMarks::default());
        Self { highlight, false_marks, per_request: 5, seed: Seed::default() }
    }
}

impl Fuzzing {
    /// Asks about each text whether its marks are right. In the report a text with wrong marks counts as silent.
    ///
    /// # Errors
    /// [`Failure::Model`] with the judge's own, [`Failure::Input`] as of [`Highlight::mask`], for no text at a time
    /// and a probability that is NaN.
    pub fn score<T: Scalar, J: TextJudge + ?Sized>(
        &self,
        judge: &mut J,
        explanation: &str,
        examples: &[Example<T>],
    ) -> Result<DetectionReport, Failure<J::Error>> {
        let (questions, groups) = self.questions(examples)?;
        let answers = ask(judge, explanation, questions, (self.per_request, self.seed))?;
        Ok(DetectionReport::of(answers, groups)?)
    }

    /// The texts with right marks, then those with wrong ones.
    fn questions<T: Scalar>(&self, examples: &[Example<T>]) -> Result<(Vec<Question>, Vec<Group>)> {
        let activating = examples.iter().filter(|example| example.group != Group::Silent);
        let count = mean_nonzero_ceil(activating.clone().map(|example| &example.record)).unwrap_or(0).max(1);
        let (mut questions, mut groups) = (Vec::new(), Vec::new());
        for example in activating {
            questions.push(Question { text: self.highlight.text(&example.record)?, label: true });
            groups.push(example.group);
        }
        for (index, example) in examples.iter().enumerate() {
            let silent = example.group == Group::Silent;
            if silent != (self.false_marks == FalseMarks::Silent) {
                continue;
            }
            let right = self.highlight.mask(&example.record)?;
            if let Some(mask) = self.wrong_mask(index, &right, silent, count) {
                let text = self.highlight.mark(&example.record.tokens, &mask)?;
                questions.push(Question { text, label: false });
                groups.push(Group::Silent);
            }
        }
        Ok((questions, groups))
    }

    /// Marks on `count` tokens that should have none; `None` where there is no such token.
    pub(super) fn wrong_mask(&self, index: usize, right: &[bool], silent: bool, count: usize) -> Option<Vec<bool>> {
        let mut open: Vec<usize> = (0..right.len()).filter(|&i| silent || !right[i]).collect();
        choose(&mut self.seed.stream(MARKS, index as u64), count, &mut open);
        let mut mask = alloc::vec![false; right.len()];
        open.iter().take(count).for_each(|&i| mask[i] = true);
        (!open.is_empty()).then_some(mask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explanation::ActivationRecord;
    use crate::explanation::score::{Detection, Verdict};
    use alloc::string::String;
    use core::convert::Infallible;
    use ndarray::{Array1, array};

    /// Knows that the neuron fires on tokens with a 7.
    struct Knows;

    impl TextJudge for Knows {
        type Error = Infallible;

        fn judge(&mut self, explanation: &str, texts: &[String]) -> Result<Vec<Verdict>, Infallible> {
            let right = |text: &String| match text.contains("<<") {
                true => text
                    .split("<<")
                    .skip(1)
                    .all(|part| part.split(">>").next().is_some_and(|p| p.contains(explanation))),
                false => text.contains(explanation),
            };
            Ok(texts.iter().map(|text| right(text).into()).collect())
        }
    }

    fn examples() -> Vec<Example<f64>> {
        let example = |tokens: [&str; 4], activations: Array1<f64>, group| {
            Example::new(ActivationRecord::new(tokens, activations).unwrap(), group).unwrap()
        };
        alloc::vec![
            example(["a", "7", "b", "c"], array![0.0, 5.0, 0.0, 0.0], Group::Activating(0)),
            example(["7", "7", "b", "c"], array![2.0, 3.0, 0.0, 0.0], Group::Activating(1)),
            example(["a", "e", "b", "c"], array![0.0, 0.0, 0.0, 0.0], Group::Silent),
            example(["d", "e", "f", "c"], array![0.0, 0.0, 0.0, 0.0], Group::Silent),
        ]
    }

    #[test]
    fn who_knows_the_neuron_tells_right_marks() {
        for false_marks in [FalseMarks::Silent, FalseMarks::Activating] {
            let found = Fuzzing { false_marks, ..Fuzzing::default() }.score(&mut Knows, "7", &examples()).unwrap();
            assert_eq!((found.all.accuracy, found.answers.len()), (Ok(1.0), 4), "{false_marks:?}");
            assert_eq!(found.by_group[&Group::Activating(1)].recall, Ok(1.0));
            assert_eq!(found.by_group[&Group::Silent].specificity, Ok(1.0));
        }
        let detected = Detection::default().score(&mut Knows, "7", &examples()).unwrap();
        assert_eq!(detected.all.f1, Ok(1.0));
    }

    #[test]
    fn wrong_marks_are_as_many_as_right_ones() {
        let (questions, _) = Fuzzing::default().questions(&examples()).unwrap();
        // 1 and 2 tokens fire: 1.5, rounded up
        let marked =
            |text: &str| text.split("<<").skip(1).map(|p| p.split(">>").next().map_or(0, str::len)).sum::<usize>();
        assert!(questions.iter().filter(|q| !q.label).all(|q| marked(&q.text) == 2));
        assert_eq!(questions[1].text, "<<77>>bc");
        let none = Fuzzing::default().score(&mut Knows, "7", &examples()[..0]).unwrap();
        assert!(none.answers.is_empty() && none.all.accuracy.is_err());
        let all_fire = Fuzzing::default().wrong_mask(0, &[true, true], false, 1);
        assert_eq!(all_fire, None);
    }
}
