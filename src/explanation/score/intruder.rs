//! Intruder detection: are the texts on which a neuron fires so much alike that a stranger stands out?
//!
//! ```text
//! a trial: n - 1 texts of one group with right marks, and a silent one with as many random marks, in random order
//! score = share of the trials in which the stranger is found;  by chance 1/n
//! ```
//!
//! No explanation is needed: a neuron that fails here has none that is short.
//!
//! Source: Chang et al., "Reading Tea Leaves: How Humans Interpret Topic Models", NIPS 2009, section 3 (word intrusion), for
//! the task.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use super::fuzzing::Fuzzing;
use super::highlight::{Highlight, mean_nonzero_ceil};
use super::judge::{Example, IntruderJudge, by_kind};
use crate::error::{check_each, check_limit};
use crate::explanation::{Defined, Failure, Undefined};
use crate::math::random::{below, choose};
use crate::{Error, Result, Scalar, Seed};

/// Purpose of the streams, one for each trial.
const TRIAL: u64 = 0x7472_6961_6c00;

/// Most trials.
const MAX_TRIALS: usize = 1 << 24;

/// Settings of intruder detection. The default shows five texts in each of twenty trials.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Intruder {
    /// How tokens are marked.
    pub highlight: Highlight,
    /// Texts of a trial, the stranger among them; at least 3, so that there is a majority.
    pub texts: usize,
    /// Number of trials, shared among the groups in turn.
    pub trials: usize,
    /// Seed of all choices.
    pub seed: Seed,
}

impl Default for Intruder {
    fn default() -> Self {
        Self { highlight: Highlight::default(), texts: 5, trials: 20, seed: Seed::default() }
    }
}

/// How often the stranger was found.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct IntruderReport {
    /// Trials in which it was.
    pub found: usize,
    /// Trials in which another text was named.
    pub missed: usize,
    /// Trials whose answer could not be read.
    pub failed: usize,
    /// Share found of the trials that were read.
    pub accuracy: Defined<f64>,
    /// What guessing reaches.
    pub chance: f64,
    /// Numbers found and missed by group.
    pub by_group: BTreeMap<usize, (usize, usize)>,
}

impl Intruder {
    /// Runs the trials on groups that have enough texts.
    ///
    /// # Errors
    /// [`Failure::Model`] with the judge's own, [`Failure::Input`] for settings out of range,
    /// [`Error::Empty`] without a silent text or without a group of `texts - 1`, and as of [`Highlight::mask`].
    pub fn score<T: Scalar, J: IntruderJudge + ?Sized>(
        &self,
        judge: &mut J,
        examples: &[Example<T>],
    ) -> Result<IntruderReport, Failure<J::Error>> {
        check_each("texts", &[self.texts as f64], ">= 3", |texts: f64| texts >= 3.0)?;
        check_limit("trials", self.trials, MAX_TRIALS)?;
        let (groups, silent) = by_kind(examples);
        let groups: Vec<(usize, Vec<usize>)> =
            groups.into_iter().filter(|(_, members)| members.len() >= self.texts - 1).collect();
        if groups.is_empty() || silent.is_empty() {
            return Err(Error::Empty { what: "a group of activating texts, or silent ones" }.into());
        }
        let (mut found, mut missed, mut failed) = (0, 0, 0);
        let mut by_group = BTreeMap::<usize, (usize, usize)>::new();
        for trial in 0..self.trials {
            let (group, members) = &groups[trial % groups.len()];
            let (texts, place) = self.trial(trial, examples, members, &silent)?;
            let counts = by_group.entry(*group).or_default();
            match judge.find(&texts).map_err(Failure::Model)? {
                Some(answer) if answer == place => (found, counts.0) = (found + 1, counts.0 + 1),
                Some(answer) if answer < texts.len() => (missed, counts.1) = (missed + 1, counts.1 + 1),
                Some(_) | None => failed += 1,
            }
        }
        let accuracy = match (found + missed, failed) {
            (0, 0) => Err(Undefined::Empty),
            (0, _) => Err(Undefined::NoPrediction),
            (read, _) => Ok(found as f64 / read as f64),
        };
        Ok(IntruderReport { found, missed, failed, accuracy, chance: 1.0 / self.texts as f64, by_group })
    }

    /// The texts of a trial, and the place of the stranger.
    fn trial<T: Scalar>(
        &self,
        trial: usize,
        examples: &[Example<T>],
        members: &[usize],
        silent: &[usize],
    ) -> Result<(Vec<String>, usize)> {
        let mut stream = self.seed.stream(TRIAL, trial as u64);
        let mut members = members.to_vec();
        choose(&mut stream, self.texts - 1, &mut members);
        members.truncate(self.texts - 1);
        let stranger = silent[below(&mut stream, silent.len())];
        let place = below(&mut stream, self.texts);
        let records = members.iter().map(|&i| &examples[i].record);
        let count = mean_nonzero_ceil(records.clone()).unwrap_or(0).max(1);
        let mut texts: Vec<String> = records.map(|record| self.highlight.text(record)).collect::<Result<_>>()?;
        let record = &examples[stranger].record;
        let marks = Fuzzing { seed: self.seed.child(TRIAL, trial as u64), ..Fuzzing::default() };
        let mask =
            marks.wrong_mask(stranger, &alloc::vec![false; record.tokens.len()], true, count).unwrap_or_default();
        texts.insert(place, self.highlight.mark(&record.tokens, &mask)?);
        Ok((texts, place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explanation::ActivationRecord;
    use crate::explanation::score::Group;
    use core::convert::Infallible;
    use ndarray::array;

    /// Finds the text without a 7, at its first try if `sure`.
    struct Finder(Option<bool>);

    impl IntruderJudge for Finder {
        type Error = Infallible;

        fn find(&mut self, texts: &[String]) -> Result<Option<usize>, Infallible> {
            let place = texts.iter().position(|text| !text.contains('7')).unwrap_or(0);
            Ok(self.0.map(|sure| if sure { place } else { (place + 1) % texts.len() }))
        }
    }

    fn examples() -> Vec<Example<f64>> {
        let example = |token: &str, activation: f64, group| {
            let record = ActivationRecord::new(["a", token], array![0.0, activation]).unwrap();
            Example::new(record, group).unwrap()
        };
        let mut examples: Vec<_> = (0..6).map(|i| example("7", 1.0, Group::Activating(i % 2))).collect();
        examples.push(example("7", 1.0, Group::Activating(9)));
        examples.extend((0..3).map(|_| example("b", 0.0, Group::Silent)));
        examples
    }

    #[test]
    fn strangers_are_counted_by_group() {
        let settings = Intruder { texts: 4, trials: 10, ..Intruder::default() };
        let found = settings.score(&mut Finder(Some(true)), &examples()).unwrap();
        assert_eq!((found.found, found.accuracy, found.chance), (10, Ok(1.0), 0.25));
        assert_eq!(found.by_group, BTreeMap::from([(0, (5, 0)), (1, (5, 0))]));
        let wrong = settings.score(&mut Finder(Some(false)), &examples()).unwrap();
        assert_eq!((wrong.missed, wrong.accuracy), (10, Ok(0.0)));
        let silent = settings.score(&mut Finder(None), &examples()).unwrap();
        assert_eq!((silent.failed, silent.accuracy), (10, Err(Undefined::NoPrediction)));
    }

    #[test]
    fn what_cannot_be_tried_is_refused() {
        let refused =
            |settings: Intruder, examples: &[Example<f64>]| settings.score(&mut Finder(None), examples).is_err();
        assert!(refused(Intruder { texts: 2, ..Intruder::default() }, &examples()));
        assert!(refused(Intruder { texts: 5, ..Intruder::default() }, &examples()));
        assert!(refused(Intruder { texts: 4, ..Intruder::default() }, &examples()[..7]));
        assert!(refused(Intruder { texts: 4, trials: usize::MAX, ..Intruder::default() }, &examples()));
        let none =
            Intruder { texts: 4, trials: 0, ..Intruder::default() }.score(&mut Finder(None), &examples()).unwrap();
        assert_eq!(none.accuracy, Err(Undefined::Empty));
    }
}
