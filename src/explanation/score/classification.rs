//! Answers of yes or no, and how right they are.
//!
//! ```text
//! recall      TP/(TP + FN)            precision  TP/(TP + FP)       accuracy  (TP + TN)/all
//! specificity TN/(TN + FP)            F1         2 TP/(2 TP + FP + FN)
//! balanced    (recall + specificity)/2            AUC  P(yes of a positive > yes of a negative) + P(equal)/2
//! ```
//!
//! Answers that could not be read are counted, and are otherwise left out. A rate of a class that does not occur is undefined;
//! two peers put 0 there, each in its own way.
//!
//! Source: Fawcett, "An introduction to ROC analysis", Pattern Recognition Letters 27(8), 2006. Balanced accuracy of peers:
//! delphi and Neuronpedia, as their sources have it.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::surprisal::auc_of;
use crate::explanation::{Defined, Undefined};
use crate::math::merge::Merge;
use crate::{Dims, Error, Result};

/// One answer, and what would be right.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Answer {
    /// Whether yes is right: the neuron fires on the text, or the marks are right.
    pub label: bool,
    /// The answer; `None` where it could not be read.
    pub prediction: Option<bool>,
    /// Probability of yes, where it is known.
    pub probability: Option<f64>,
}

/// Numbers of answers by what is right and what was said; mergeable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Confusion {
    /// Yes, and right.
    pub true_positive: u64,
    /// Yes, and wrong.
    pub false_positive: u64,
    /// No, and right.
    pub true_negative: u64,
    /// No, and wrong.
    pub false_negative: u64,
    /// Answers that could not be read.
    pub failed: u64,
}

/// Rates in which a peer puts 0 for what is undefined.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PeerRates {
    /// Mean of recall and specificity: at most 1/2 where one class does not occur.
    pub balanced_accuracy: f64,
    /// 0 where nobody said yes.
    pub precision: f64,
    /// 0 without positives.
    pub recall: f64,
    /// 0 where precision and recall are.
    pub f1: f64,
}

/// Everything about a set of answers.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Classification {
    /// The numbers of answers.
    pub confusion: Confusion,
    /// Share of right answers.
    pub accuracy: Defined<f64>,
    /// Share of the yeses that are right.
    pub precision: Defined<f64>,
    /// Share of the positives that are found.
    pub recall: Defined<f64>,
    /// Share of the negatives that are found.
    pub specificity: Defined<f64>,
    /// Harmonic mean of precision and recall.
    pub f1: Defined<f64>,
    /// Mean of recall and specificity.
    pub balanced_accuracy: Defined<f64>,
    /// Area under the ROC curve of the probabilities that are known, whatever was answered.
    pub auc: Defined<f64>,
}

impl Confusion {
    /// Counts answers.
    #[must_use]
    pub fn of<'a>(answers: impl IntoIterator<Item = &'a Answer>) -> Self {
        let mut counts = Self::default();
        for answer in answers {
            *match (answer.label, answer.prediction) {
                (true, Some(true)) => &mut counts.true_positive,
                (false, Some(true)) => &mut counts.false_positive,
                (false, Some(false)) => &mut counts.true_negative,
                (true, Some(false)) => &mut counts.false_negative,
                (_, None) => &mut counts.failed,
            } += 1;
        }
        counts
    }

    /// What somebody who always gives one answer would reach: the floor for any explanation.
    #[must_use]
    pub fn constant(labels: &[bool], answer: bool) -> Self {
        let answer = |&label: &bool| Answer { label, prediction: Some(answer), probability: None };
        Self::of(&labels.iter().map(answer).collect::<Vec<_>>())
    }

    /// Answers that could be read.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.positives() + self.negatives()
    }

    fn positives(&self) -> u64 {
        self.true_positive + self.false_negative
    }

    fn negatives(&self) -> u64 {
        self.true_negative + self.false_positive
    }

    /// `of/all`, or why there is none: `reason`, unless there is nothing at all.
    fn share(&self, of: u64, all: u64, reason: Undefined) -> Defined<f64> {
        match (all, self.read(), self.failed) {
            (1.., ..) => Ok(of as f64 / all as f64),
            (0, 0, 0) => Err(Undefined::Empty),
            (0, 0, _) => Err(Undefined::NoPrediction),
            (0, ..) => Err(reason),
        }
    }

    /// Share of right answers.
    ///
    /// # Errors
    /// [`Undefined::Empty`], [`Undefined::NoPrediction`] where no answer could be read.
    pub fn accuracy(&self) -> Defined<f64> {
        self.share(self.true_positive + self.true_negative, self.read(), Undefined::Empty)
    }

    /// Share of the yeses that are right.
    ///
    /// # Errors
    /// [`Undefined::NoPrediction`] where nobody said yes, [`Undefined::Empty`].
    pub fn precision(&self) -> Defined<f64> {
        let yes = self.true_positive + self.false_positive;
        self.share(self.true_positive, yes, Undefined::NoPrediction)
    }

    /// Share of the positives that are found.
    ///
    /// # Errors
    /// [`Undefined::OneClass`] without positives; as [`Confusion::accuracy`].
    pub fn recall(&self) -> Defined<f64> {
        self.share(self.true_positive, self.positives(), Undefined::OneClass)
    }

    /// Share of the negatives that are found.
    ///
    /// # Errors
    /// [`Undefined::OneClass`] without negatives; as [`Confusion::accuracy`].
    pub fn specificity(&self) -> Defined<f64> {
        self.share(self.true_negative, self.negatives(), Undefined::OneClass)
    }

    /// Harmonic mean of precision and recall.
    ///
    /// # Errors
    /// [`Undefined::OneClass`] where there is neither a positive nor a yes; as [`Confusion::accuracy`].
    pub fn f1(&self) -> Defined<f64> {
        let all = 2 * self.true_positive + self.false_positive + self.false_negative;
        self.share(2 * self.true_positive, all, Undefined::OneClass)
    }

    /// Mean of recall and specificity.
    ///
    /// # Errors
    /// As those.
    pub fn balanced_accuracy(&self) -> Defined<f64> {
        Ok(0.5 * (self.recall()? + self.specificity()?))
    }

    /// The rates as delphi has them: everything undefined is 0, and half of it goes into the balanced accuracy.
    #[must_use]
    pub fn delphi(&self) -> PeerRates {
        let or_zero = |rate: Defined<f64>| rate.unwrap_or(0.0);
        let (recall, specificity) = (or_zero(self.recall()), or_zero(self.specificity()));
        let balanced_accuracy = 0.5 * (recall + specificity);
        PeerRates { balanced_accuracy, precision: or_zero(self.precision()), recall, f1: or_zero(self.f1()) }
    }

    /// Balanced accuracy as Neuronpedia has it: 0 without negatives, and a recall of 0 without positives.
    ///
    /// # Errors
    /// [`Undefined::Empty`], [`Undefined::NoPrediction`] where no answer could be read.
    pub fn neuronpedia_balanced_accuracy(&self) -> Defined<f64> {
        self.accuracy()?;
        Ok(self.specificity().map_or(0.0, |specificity| 0.5 * (self.recall().unwrap_or(0.0) + specificity)))
    }
}

impl Merge for Confusion {
    fn merge(&mut self, other: &Self) -> Result<()> {
        self.true_positive += other.true_positive;
        self.false_positive += other.false_positive;
        self.true_negative += other.true_negative;
        self.false_negative += other.false_negative;
        self.failed += other.failed;
        Ok(())
    }
}

impl Classification {
    /// Judges answers.
    ///
    /// # Errors
    /// [`Error::NotFinite`] for a probability that is NaN.
    ///
    /// # Example
    /// ```
    /// use limpid::explanation::Undefined;
    /// use limpid::explanation::score::{Answer, Classification};
    ///
    /// let yes = |label| Answer { label, prediction: Some(true), probability: None };
    /// let found = Classification::of(&[yes(true), yes(true), yes(false)])?;
    /// assert_eq!((found.recall, found.specificity), (Ok(1.0), Ok(0.0)));
    /// assert_eq!(found.auc, Err(Undefined::NoPrediction));
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn of(answers: &[Answer]) -> Result<Self> {
        let known = answers.iter().filter_map(|answer| answer.probability.map(|p| (p, answer.label)));
        let (probability, label): (Vec<f64>, Vec<bool>) = known.unzip();
        let auc = match auc_of(&probability, &label)? {
            Err(Undefined::Empty) if !answers.is_empty() => Err(Undefined::NoPrediction),
            found => found,
        };
        let confusion = Confusion::of(answers);
        Ok(Self {
            confusion,
            accuracy: confusion.accuracy(),
            precision: confusion.precision(),
            recall: confusion.recall(),
            specificity: confusion.specificity(),
            f1: confusion.f1(),
            balanced_accuracy: confusion.balanced_accuracy(),
            auc,
        })
    }
}

/// Answers judged group by group, such as by the quantile of the text.
///
/// # Errors
/// [`Error::Shape`] where there is not one group for each answer, [`Error::NotFinite`].
pub fn classification_by_group<G: Ord + Copy>(answers: &[Answer], group: &[G]) -> Result<BTreeMap<G, Classification>> {
    if group.len() != answers.len() {
        let (expected, got) = (Dims::new(&[answers.len()]), Dims::new(&[group.len()]));
        return Err(Error::Shape { what: "group", expected, got });
    }
    let mut members: BTreeMap<G, Vec<Answer>> = BTreeMap::new();
    for (answer, &group) in answers.iter().zip(group) {
        members.entry(group).or_default().push(*answer);
    }
    members.into_iter().map(|(group, answers)| Ok((group, Classification::of(&answers)?))).collect()
}

/// Mean of a score over neurons, each counted as often as it fires; those without a score are left out.
///
/// # Errors
/// [`Error::Shape`] if the lengths differ. Undefined where no neuron that fires has a score.
pub fn firing_weighted_mean(score: &[Defined<f64>], firings: &[u64]) -> Result<Defined<f64>> {
    if firings.len() != score.len() {
        let (expected, got) = (Dims::new(&[score.len()]), Dims::new(&[firings.len()]));
        return Err(Error::Shape { what: "firings", expected, got });
    }
    let (mut sum, mut total, mut reason) = (0.0, 0.0, Undefined::Empty);
    for (score, &firings) in score.iter().zip(firings) {
        match score {
            Ok(score) => (sum, total) = (sum + score * firings as f64, total + firings as f64),
            Err(why) => reason = *why,
        }
    }
    Ok(if total > 0.0 { Ok(sum / total) } else { Err(reason) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn answers(labels: &[u8], predictions: &[Option<u8>]) -> Vec<Answer> {
        let answer = |(label, prediction): (&u8, &Option<u8>)| Answer {
            label: *label == 1,
            prediction: prediction.map(|p| p == 1),
            probability: None,
        };
        labels.iter().zip(predictions).map(answer).collect()
    }

    #[test]
    fn rates_by_hand() {
        let counts =
            Confusion { true_positive: 40, true_negative: 35, false_positive: 15, false_negative: 10, failed: 3 };
        assert_eq!((counts.accuracy(), counts.balanced_accuracy(), counts.recall()), (Ok(0.75), Ok(0.75), Ok(0.8)));
        assert_eq!((counts.precision(), counts.f1()), (Ok(40.0 / 55.0), Ok(80.0 / 105.0)));
        let mut twice = counts;
        twice.merge(&counts).unwrap();
        assert_eq!((twice.read(), twice.failed, twice.f1()), (200, 6, counts.f1()));
    }

    #[test]
    fn one_class_is_undefined_here_and_zero_with_the_peers() {
        let only = Confusion::of(&answers(&[1, 1, 1, 1], &[Some(1), Some(1), Some(1), Some(0)]));
        assert_eq!(
            (only.specificity(), only.balanced_accuracy()),
            (Err(Undefined::OneClass), Err(Undefined::OneClass))
        );
        assert_eq!((only.delphi().balanced_accuracy, only.neuronpedia_balanced_accuracy()), (0.375, Ok(0.0)));
        let none = Confusion::of(&answers(&[0, 0], &[Some(0), Some(1)]));
        assert_eq!((none.recall(), none.f1()), (Err(Undefined::OneClass), Ok(0.0)));
        assert_eq!(none.neuronpedia_balanced_accuracy(), Ok(0.25));
        let silent = Confusion::of(&answers(&[1, 0], &[Some(0), Some(0)]));
        assert_eq!((silent.precision(), silent.delphi().precision), (Err(Undefined::NoPrediction), 0.0));
        let failed = Confusion::of(&answers(&[1, 0], &[None, None]));
        assert_eq!((failed.accuracy(), failed.recall()), (Err(Undefined::NoPrediction), Err(Undefined::NoPrediction)));
        assert_eq!(failed.neuronpedia_balanced_accuracy(), Err(Undefined::NoPrediction));
        assert_eq!(Confusion::default().f1(), Err(Undefined::Empty));
    }

    #[test]
    fn who_always_says_no_sets_the_floor() {
        let labels: Vec<bool> = (0..14).map(|i| i < 4).collect();
        assert_eq!(Confusion::constant(&labels, false).accuracy(), Ok(10.0 / 14.0));
        assert_eq!(Confusion::constant(&labels, true).recall(), Ok(1.0));
    }

    #[test]
    fn probabilities_count_even_of_answers_that_were_not_read() {
        let answer = |label, p| Answer { label, prediction: None, probability: p };
        let found =
            Classification::of(&[answer(true, Some(0.9)), answer(false, Some(0.9)), answer(true, None)]).unwrap();
        assert_eq!((found.auc, found.accuracy), (Ok(0.5), Err(Undefined::NoPrediction)));
        assert_eq!(Classification::of(&[]).unwrap().auc, Err(Undefined::Empty));
        assert!(Classification::of(&[answer(true, Some(f64::NAN))]).is_err());
    }

    #[test]
    fn groups_and_neurons_are_put_together() {
        let given = answers(&[1, 1, 0], &[Some(1), Some(0), Some(0)]);
        let found = classification_by_group(&given, &[7, 8, 7]).unwrap();
        assert_eq!((found[&7].accuracy, found[&8].recall), (Ok(1.0), Ok(0.0)));
        assert!(classification_by_group(&given, &[7]).is_err());
        let scores = vec![Ok(1.0), Err(Undefined::OneClass), Ok(0.5)];
        assert_eq!(firing_weighted_mean(&scores, &[1, 9, 3]), Ok(Ok(2.5 / 4.0)));
        assert_eq!(firing_weighted_mean(&scores, &[0, 9, 0]), Ok(Err(Undefined::OneClass)));
        assert!(firing_weighted_mean(&scores, &[]).is_err());
    }
}
