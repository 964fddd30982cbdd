//! Who answers: a language model of the caller, given texts; and how to read what it says.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use super::classification::Answer;
use crate::error::check_each;
use crate::explanation::{ActivationRecord, Defined, Failure, Undefined};
use crate::math::random::shuffle;
use crate::{Result, Scalar, Seed};

/// Purpose of the stream that puts texts in order.
const ORDER: u64 = 0x6f72_6465_7200;

/// What kind of text an example is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Group {
    /// The neuron fires on it; the number is the quantile of its largest activation, or any other group.
    Activating(usize),
    /// The neuron is silent on it.
    Silent,
}

/// A text that is asked about.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub struct Example<T> {
    /// Its tokens and the neuron's activations.
    pub record: ActivationRecord<T>,
    /// Its kind.
    pub group: Group,
}

impl<T: Scalar> Example<T> {
    /// An example, with its shape checked.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape).
    pub fn new(record: ActivationRecord<T>, group: Group) -> Result<Self> {
        record.check()?;
        Ok(Self { record, group })
    }
}

/// What somebody says about one text.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Verdict {
    /// Yes or no; `None` where the answer could not be read.
    pub prediction: Option<bool>,
    /// Probability of yes, where it is known.
    pub probability: Option<f64>,
}

impl From<bool> for Verdict {
    fn from(prediction: bool) -> Self {
        Self { prediction: Some(prediction), probability: None }
    }
}

/// Says of each text whether an explanation fits it, or its marks.
pub trait TextJudge {
    /// Failure of the caller's own.
    type Error;

    /// One verdict for each text, in order. Any other number counts as an answer that could not be read, for all of them.
    ///
    /// # Errors
    /// The caller's own, which ends the scoring.
    fn judge(&mut self, explanation: &str, texts: &[String]) -> Result<Vec<Verdict>, Self::Error>;
}

/// Finds the text that does not belong to the others.
pub trait IntruderJudge {
    /// Failure of the caller's own.
    type Error;

    /// Index of the text, `None` where the answer could not be read.
    ///
    /// # Errors
    /// The caller's own, which ends the scoring.
    fn find(&mut self, texts: &[String]) -> Result<Option<usize>, Self::Error>;
}

/// A text with the right answer.
pub(super) struct Question {
    pub(super) text: String,
    pub(super) label: bool,
}

/// Asks all questions, `per_request` at a time and in random order, so that the order tells nothing.
pub(super) fn ask<J: TextJudge + ?Sized>(
    judge: &mut J,
    explanation: &str,
    questions: Vec<Question>,
    (per_request, seed): (usize, Seed),
) -> Result<Vec<Answer>, Failure<J::Error>> {
    check_each("per_request", &[per_request as f64], ">= 1", |count: f64| count >= 1.0)?;
    let mut order: Vec<usize> = (0..questions.len()).collect();
    shuffle(&mut seed.stream(ORDER, 0), &mut order);
    let (mut texts, labels): (Vec<String>, Vec<bool>) = questions.into_iter().map(|q| (q.text, q.label)).unzip();
    let unread = |&label: &bool| Answer { label, prediction: None, probability: None };
    let mut answers: Vec<Answer> = labels.iter().map(unread).collect();
    for request in order.chunks(per_request) {
        let asked: Vec<String> = request.iter().map(|&i| core::mem::take(&mut texts[i])).collect();
        let verdicts = judge.judge(explanation, &asked).map_err(Failure::Model)?;
        if verdicts.len() == request.len() {
            for (&i, verdict) in request.iter().zip(verdicts) {
                answers[i] = Answer { prediction: verdict.prediction, probability: verdict.probability, ..answers[i] };
            }
        }
    }
    Ok(answers)
}

/// The list of yes and no in an answer: the first `[..]` whose items are `0`, `1`, `true` or `false`, if it has `expected`.
///
/// # Example
/// ```
/// use limpid::explanation::score::read_binary_list;
///
/// assert_eq!(read_binary_list("Sure: [1, 0, 1]", 3), Some(vec![true, false, true]));
/// assert_eq!(read_binary_list("[1, maybe]", 2), None);
/// ```
#[must_use]
pub fn read_binary_list(text: &str, expected: usize) -> Option<Vec<bool>> {
    let (_, rest) = text.split_once('[')?;
    let (inside, _) = rest.split_once(']')?;
    let yes = |item: &str| match item.trim().trim_matches(['"', '\'']) {
        "1" | "true" | "True" => Some(true),
        "0" | "false" | "False" => Some(false),
        _ => None,
    };
    let inside = inside.trim().trim_end_matches(',');
    let list =
        if inside.is_empty() { Some(Vec::new()) } else { inside.split(',').map(yes).collect::<Option<Vec<bool>>>() };
    list.filter(|list| list.len() == expected)
}

/// Probability of yes from the most likely tokens at the place of an answer of `0` or `1`, with their log-probabilities.
///
/// Tokens that are another digit, or a number that holds one, do not count; white space around a digit does not matter.
///
/// # Errors
/// [`Undefined::NoPrediction`] where neither is among the tokens.
///
/// # Example
/// ```
/// use limpid::explanation::score::probability_of_yes;
///
/// let p = probability_of_yes([("1", -0.2), ("0", -1.9), (" 1", -4.0), ("[", -6.0)]).unwrap();
/// assert!((p - 0.848_402).abs() < 1e-6);
/// ```
pub fn probability_of_yes<'a>(tokens: impl IntoIterator<Item = (&'a str, f64)>) -> Defined<f64> {
    let digit = |token: &str| match token.trim() {
        "0" => Some(0),
        "1" => Some(1),
        _ => None,
    };
    let found: Vec<(usize, f64)> = tokens.into_iter().filter_map(|(token, log)| Some((digit(token)?, log))).collect();
    let largest = found.iter().map(|(_, log)| *log).fold(f64::NEG_INFINITY, f64::max);
    let mut mass = [0.0; 2];
    found.iter().for_each(|&(digit, log)| mass[digit] += libm::exp(log - largest));
    let p = mass[1] / (mass[0] + mass[1]);
    if p.is_nan() { Err(Undefined::NoPrediction) } else { Ok(p) }
}

/// The examples of each group of activating ones, by index, and the silent ones.
pub(super) fn by_kind<T>(examples: &[Example<T>]) -> (BTreeMap<usize, Vec<usize>>, Vec<usize>) {
    let (mut activating, mut silent) = (BTreeMap::<usize, Vec<usize>>::new(), Vec::new());
    for (index, example) in examples.iter().enumerate() {
        match example.group {
            Group::Activating(group) => activating.entry(group).or_default().push(index),
            Group::Silent => silent.push(index),
        }
    }
    (activating, silent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec;
    use core::convert::Infallible;

    /// Says yes to texts with an `x`; every third request is unreadable.
    struct Fussy(usize);

    impl TextJudge for Fussy {
        type Error = Infallible;

        fn judge(&mut self, _: &str, texts: &[String]) -> Result<Vec<Verdict>, Infallible> {
            self.0 += 1;
            let read = if self.0.is_multiple_of(3) { 0 } else { texts.len() };
            Ok(texts.iter().take(read).map(|text| text.contains('x').into()).collect())
        }
    }

    #[test]
    fn answers_come_back_in_order_and_failures_are_counted() {
        let question = |i: usize| Question {
            text: if i.is_multiple_of(2) { "x" } else { "y" }.to_string(),
            label: i.is_multiple_of(2),
        };
        let answers = ask(&mut Fussy(0), "", (0..12).map(question).collect(), (2, Seed(1))).unwrap();
        assert_eq!(answers.iter().filter(|answer| answer.prediction.is_none()).count(), 4);
        assert!(answers.iter().all(|answer| answer.prediction.is_none_or(|p| p == answer.label)));
        assert!(ask(&mut Fussy(0), "", vec![], (0, Seed(1))).is_err());
    }

    #[test]
    fn lists_are_read_or_not() {
        assert_eq!(read_binary_list("[ 0,1 , ]", 2), Some(vec![false, true]));
        assert_eq!(read_binary_list("[True, \"0\"]", 2), Some(vec![true, false]));
        assert_eq!(read_binary_list("[]", 0), Some(vec![]));
        for (text, expected) in [("1, 0", 2), ("[1, 0", 2), ("[1]", 2), ("[2]", 1), ("", 0), ("[1,,0]", 3)] {
            assert_eq!(read_binary_list(text, expected), None, "{text}");
        }
    }

    #[test]
    fn digits_that_are_not_there_have_no_probability() {
        assert_eq!(probability_of_yes([("10", -0.1), ("[", -1.0)]), Err(Undefined::NoPrediction));
        assert_eq!(probability_of_yes([("0", -1000.0), ("1", -1000.0)]), Ok(0.5));
        assert_eq!(probability_of_yes([("1", f64::NEG_INFINITY)]), Err(Undefined::NoPrediction));
    }
}
