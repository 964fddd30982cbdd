//! Token table: the mean activation of each token in training, whatever stands around it.
//!
//! ```text
//! prediction(token) = mean of the activations at this token       never seen: 0, or the mean of all
//! ```
//!
//! An explanation that scores no better has explained nothing but the token itself.
//!
//! Source: Bills et al., "Language models can explain neurons in language models" (2023), the token lookup table baseline.

use alloc::collections::BTreeMap;
use alloc::string::String;

use super::simulation::{Scale, Simulation, TokenStatus};
use super::simulator::Simulator;
use super::training::{Mean, Unseen, check_records};
use crate::explanation::ActivationRecord;
use crate::{Result, Scalar};

/// A table of tokens.
///
/// # Example
/// ```
/// use limpid::explanation::ActivationRecord;
/// use limpid::explanation::simulate::{Simulator, TokenTable, Unseen};
/// use ndarray::array;
///
/// let train = [
///     ActivationRecord::new(["the", "cat", "sat"], array![0.0, 4.0, 0.0])?,
///     ActivationRecord::new(["a", "cat", "ran"], array![0.0, 6.0, 1.0])?,
/// ];
/// let mut table = TokenTable::fit(&train, Unseen::Zero)?;
/// let tokens = ["the", "cat", "ran", "dog"].map(String::from);
/// let found = table.simulate("", &tokens)?;
/// assert_eq!(found.expected, [0.0, 5.0, 1.0, 0.0].map(Some));
/// assert_eq!(found.accounting().fallback, 1);
/// # Ok::<(), limpid::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TokenTable {
    means: BTreeMap<String, Mean>,
    all: Mean,
    unseen: Unseen,
}

impl TokenTable {
    /// The table of these records.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for a record that is not whole, [`Error::OutOfRange`](crate::Error::OutOfRange) for
    /// activations that are NaN or beyond `±1e70`.
    pub fn fit<T: Scalar>(records: &[ActivationRecord<T>], unseen: Unseen) -> Result<Self> {
        check_records(records)?;
        let mut table = Self { unseen, ..Self::default() };
        for (token, activation) in records.iter().flat_map(|record| record.tokens.iter().zip(&record.activations)) {
            let value = activation.as_f64();
            table.all.add(value);
            match table.means.get_mut(token) {
                Some(mean) => mean.add(value),
                None => table.means.entry(token.clone()).or_default().add(value),
            }
        }
        Ok(table)
    }

    /// Tokens with their means, in the order of their bytes.
    pub fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        self.means.iter().filter_map(|(token, mean)| Some((token.as_str(), mean.value()?)))
    }

    /// Mean of a token; `None` where it was never seen.
    #[must_use]
    pub fn get(&self, token: &str) -> Option<f64> {
        self.means.get(token).and_then(Mean::value)
    }

    /// Mean over all tokens; `None` without any.
    #[must_use]
    pub fn global_mean(&self) -> Option<f64> {
        self.all.value()
    }
}

impl<T: Scalar> Simulator<T> for TokenTable {
    type Error = crate::Error;

    fn simulate(&mut self, _explanation: &str, tokens: &[String]) -> Result<Simulation<T>> {
        let mut simulation = Simulation::missing(tokens.len(), Scale::Activation);
        for (at, token) in tokens.iter().enumerate() {
            let (value, status) = match self.get(token) {
                Some(mean) => (mean, TokenStatus::Ok),
                None => (self.unseen.value(&self.all), TokenStatus::Fallback),
            };
            simulation.set(at, T::of(value), status);
        }
        Ok(simulation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use alloc::vec::Vec;
    use ndarray::array;

    #[test]
    fn a_table_is_what_was_seen() {
        let train = [ActivationRecord::new(["b", "a", "b"], array![1.0_f32, 4.0, 2.0]).unwrap()];
        let table = TokenTable::fit(&train, Unseen::GlobalMean).unwrap();
        assert_eq!(table.iter().collect::<Vec<_>>(), [("a", 4.0), ("b", 1.5)]);
        assert_eq!((table.get("c"), table.global_mean()), (None, Some(7.0 / 3.0)));
        let tokens = ["a", "A"].map(String::from);
        let found: Simulation<f64> = table.clone().simulate("", &tokens).unwrap();
        assert_eq!(found.expected, [Some(4.0), Some(7.0 / 3.0)]);
        assert_eq!(found.status, [TokenStatus::Ok, TokenStatus::Fallback]);
        let empty: Simulation<f32> = TokenTable::default().simulate("", &tokens).unwrap();
        assert_eq!((empty.expected[0], TokenTable::default().global_mean()), (Some(0.0), None));
    }

    #[test]
    fn bad_records_are_named() {
        let nan = [ActivationRecord::new(["b"], array![f64::NAN]).unwrap()];
        assert!(matches!(TokenTable::fit(&nan, Unseen::Zero), Err(Error::OutOfRange { what: "activations", .. })));
        let short = [ActivationRecord { tokens: Vec::new(), activations: array![1.0] }];
        assert!(matches!(TokenTable::fit(&short, Unseen::Zero), Err(Error::Shape { .. })));
    }
}
