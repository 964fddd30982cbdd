//! What a simulator predicts for the tokens of a text, and how much of it could be read.
//!
//! A token whose prediction is missing has none: it is not taken for 0, as an answer that could not be read would then count as
//! the prediction that nothing happens. Scores are best given next to the [`Accounting`].

use alloc::vec;
use alloc::vec::Vec;

use ndarray::{Array1, Array2, ArrayRef2};

use crate::{Dims, Error, Result, Scalar};

/// How the prediction for one token came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum TokenStatus {
    /// It was predicted.
    Ok,
    /// The simulator knows nothing of the token and gave what it gives then.
    Fallback,
    /// The digits together have less probability than was asked for; their expectation is kept.
    LowDigitMass,
    /// Nothing was said of the token.
    Missing,
    /// What was said is not a number.
    NotANumber,
    /// The number is not on the scale.
    OutOfRange,
    /// Another token stands in its place.
    TokenMismatch,
}

impl TokenStatus {
    /// Whether the simulator failed at this token.
    #[must_use]
    pub fn failed(self) -> bool {
        !matches!(self, Self::Ok | Self::Fallback)
    }
}

/// Units of a prediction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Scale {
    /// Levels from 0 to the largest digit, 10 as a rule.
    #[default]
    Digits,
    /// Units of the neuron.
    Activation,
}

/// Predictions for the `t` tokens of a text.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub struct Simulation<T> {
    /// Expected activation of every token, `(t)`; `None` where there is none.
    pub expected: Vec<Option<T>>,
    /// How each came about, `(t)`.
    pub status: Vec<TokenStatus>,
    /// Units of `expected`.
    pub scale: Scale,
    /// Probability of all digits together, `(t)`; `None` for simulators without probabilities.
    pub digit_mass: Option<Vec<f64>>,
    /// Probabilities of the digits `0..d`, rescaled to the sum 1, `(t, d)`; rows of tokens without digits are 0.
    pub distribution: Option<Array2<f64>>,
}

impl<T: Scalar> Simulation<T> {
    /// A prediction for every token.
    ///
    /// # Example
    /// ```
    /// use limpid::explanation::simulate::{Scale, Simulation, TokenStatus};
    ///
    /// let mut simulation = Simulation::of(vec![0.0, 7.0, 3.0], Scale::Digits);
    /// simulation.fail(2, TokenStatus::Missing);
    /// assert_eq!(simulation.filled(0.0).to_vec(), [0.0, 7.0, 0.0]);
    /// assert_eq!(simulation.accounting().failed_fraction(), Some(1.0 / 3.0));
    /// ```
    #[must_use]
    pub fn of(values: Vec<T>, scale: Scale) -> Self {
        let status = vec![TokenStatus::Ok; values.len()];
        Self { expected: values.into_iter().map(Some).collect(), status, scale, digit_mass: None, distribution: None }
    }

    /// Nothing for any of `t` tokens.
    #[must_use]
    pub fn missing(t: usize, scale: Scale) -> Self {
        Self {
            expected: vec![None; t],
            status: vec![TokenStatus::Missing; t],
            scale,
            digit_mass: None,
            distribution: None,
        }
    }

    /// Number of tokens.
    #[must_use]
    pub fn len(&self) -> usize {
        self.expected.len()
    }

    /// Whether there are no tokens.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.expected.is_empty()
    }

    /// Sets the prediction for one token; tokens that do not exist are passed over.
    pub fn set(&mut self, token: usize, value: T, status: TokenStatus) {
        self.put(token, Some(value), status);
    }

    /// Takes away the prediction for one token.
    pub fn fail(&mut self, token: usize, status: TokenStatus) {
        self.put(token, None, status);
    }

    fn put(&mut self, token: usize, value: Option<T>, status: TokenStatus) {
        if let (Some(slot), Some(of)) = (self.expected.get_mut(token), self.status.get_mut(token)) {
            (*slot, *of) = (value, status);
        }
    }

    /// Predictions `(t)`, with `missing` where there is none.
    #[must_use]
    pub fn filled(&self, missing: T) -> Array1<T> {
        self.expected.iter().map(|value| value.unwrap_or(missing)).collect()
    }

    /// How many tokens came about how.
    #[must_use]
    pub fn accounting(&self) -> Accounting {
        let mut accounting = Accounting::default();
        self.status.iter().for_each(|&status| accounting.count(status));
        accounting
    }

    /// Checks that there is a prediction and a status for each of `t` tokens, and that no prediction is NaN or infinite.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::NotFinite`].
    pub fn check(&self, t: usize) -> Result<()> {
        let lengths = [("expected", self.expected.len()), ("status", self.status.len())];
        let mass = self.digit_mass.as_ref().map(|mass| ("digit_mass", mass.len()));
        let rows = self.distribution.as_ref().map(|distribution| ("distribution", distribution.nrows()));
        if let Some((what, got)) = lengths.into_iter().chain(mass).chain(rows).find(|&(_, got)| got != t) {
            return Err(Error::Shape { what, expected: Dims::new(&[t]), got: Dims::new(&[got]) });
        }
        match self.expected.iter().position(|value| value.is_some_and(|value| !value.is_finite())) {
            Some(index) => Err(Error::NotFinite { what: "expected", index }),
            None => Ok(()),
        }
    }

    /// The parts of a simulation that has probabilities.
    pub(super) fn with_digits(mut self, mass: Option<Vec<f64>>, distribution: &ArrayRef2<f64>) -> Self {
        self.digit_mass = mass;
        self.distribution = Some(distribution.to_owned());
        self
    }
}

/// Numbers of tokens by how their predictions came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Accounting {
    /// Predicted.
    pub ok: usize,
    /// Not known to the simulator.
    pub fallback: usize,
    /// Digits with too little probability.
    pub low_digit_mass: usize,
    /// Nothing said.
    pub missing: usize,
    /// Not a number.
    pub not_a_number: usize,
    /// Not on the scale.
    pub out_of_range: usize,
    /// Another token in the place.
    pub token_mismatch: usize,
}

impl Accounting {
    fn count(&mut self, status: TokenStatus) {
        *match status {
            TokenStatus::Ok => &mut self.ok,
            TokenStatus::Fallback => &mut self.fallback,
            TokenStatus::LowDigitMass => &mut self.low_digit_mass,
            TokenStatus::Missing => &mut self.missing,
            TokenStatus::NotANumber => &mut self.not_a_number,
            TokenStatus::OutOfRange => &mut self.out_of_range,
            TokenStatus::TokenMismatch => &mut self.token_mismatch,
        } += 1;
    }

    /// Takes up the tokens of another text.
    pub fn add(&mut self, other: &Self) {
        self.ok += other.ok;
        self.fallback += other.fallback;
        self.low_digit_mass += other.low_digit_mass;
        self.missing += other.missing;
        self.not_a_number += other.not_a_number;
        self.out_of_range += other.out_of_range;
        self.token_mismatch += other.token_mismatch;
    }

    /// Number of tokens at which the simulator failed.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.low_digit_mass + self.missing + self.not_a_number + self.out_of_range + self.token_mismatch
    }

    /// Number of all tokens.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.ok + self.fallback + self.failed()
    }

    /// Share of tokens at which the simulator failed; `None` without tokens.
    #[must_use]
    pub fn failed_fraction(&self) -> Option<f64> {
        (self.tokens() > 0).then(|| self.failed() as f64 / self.tokens() as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn every_token_is_accounted_for() {
        use TokenStatus::{Fallback, LowDigitMass, Missing, NotANumber, Ok, OutOfRange, TokenMismatch};
        let all = [Ok, Fallback, LowDigitMass, Missing, NotANumber, OutOfRange, TokenMismatch];
        let mut simulation = Simulation::of(vec![1.0_f32; 7], Scale::Digits);
        all.iter().enumerate().for_each(|(token, &status)| simulation.set(token, 2.0, status));
        let accounting = simulation.accounting();
        let failed = all.iter().filter(|status| status.failed()).count();
        assert_eq!((accounting.failed(), accounting.tokens(), failed), (5, 7, 5));
        let mut twice = accounting;
        twice.add(&accounting);
        assert_eq!((twice.tokens(), twice.failed_fraction()), (14, accounting.failed_fraction()));
        assert_eq!(Accounting::default().failed_fraction(), None);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let mut simulation = Simulation::of(vec![1.0, 2.0], Scale::Activation);
        assert_eq!(simulation.check(2), Ok(()));
        assert!(matches!(simulation.check(3), Err(Error::Shape { what: "expected", .. })));
        simulation.set(1, f64::NAN, TokenStatus::Ok);
        simulation.set(7, 1.0, TokenStatus::Ok);
        assert_eq!(simulation.check(2), Err(Error::NotFinite { what: "expected", index: 1 }));
        let short = Simulation::of(vec![1.0], Scale::Digits).with_digits(None, &array![[1.0], [1.0]]);
        assert!(matches!(short.check(1), Err(Error::Shape { what: "distribution", .. })));
        assert!(Simulation::<f64>::missing(2, Scale::Digits).expected.iter().all(Option::is_none));
    }
}
