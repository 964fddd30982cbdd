//! Texts in which the tokens that a neuron fires on are marked.
//!
//! ```text
//! token i is marked  ⇔  a_i >= threshold · M  and  a_i > 0,   M = largest activation of the text
//! ```
//!
//! Every run of marked tokens stands between one pair of delimiters, as large as it is.

use alloc::string::String;
use alloc::vec::Vec;

use crate::error::{check_each, check_finite};
use crate::explanation::{ActivationRecord, Defined, Undefined};
use crate::{Dims, Error, Result, Scalar};

/// Which tokens are marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum MarkRule {
    /// `a >= threshold · M` and `a > 0`: a silent text has no mark.
    #[default]
    AtLeast,
    /// `a >= threshold · M`, as delphi's fuzzing has it: a silent text is marked as a whole.
    AtLeastCompat,
    /// `a > threshold · M`, as delphi's explainer has it.
    AboveCompat,
}

/// How tokens are marked. The default marks from 0.3 of the largest activation on, as `<<token>>`.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Highlight {
    /// Share of the largest activation of the text.
    pub threshold: f64,
    /// Which tokens.
    pub rule: MarkRule,
    /// What stands before a run of marked tokens.
    pub open: String,
    /// What stands after it.
    pub close: String,
}

impl Default for Highlight {
    fn default() -> Self {
        Self { threshold: 0.3, rule: MarkRule::AtLeast, open: "<<".into(), close: ">>".into() }
    }
}

impl Highlight {
    /// Which tokens of a text are marked.
    ///
    /// # Errors
    /// [`Error::Shape`] where tokens and activations differ in number, [`Error::NotFinite`], [`Error::OutOfRange`] for a
    /// threshold that is not finite.
    pub fn mask<T: Scalar>(&self, record: &ActivationRecord<T>) -> Result<Vec<bool>> {
        record.check()?;
        check_finite("activations", &record.activations)?;
        check_each("threshold", &[self.threshold], "finite", |threshold: f64| threshold.is_finite())?;
        let activations = record.activations.iter().map(|a| a.as_f64());
        let bar = self.threshold * activations.clone().fold(f64::NEG_INFINITY, f64::max);
        let marked = |a: f64| match self.rule {
            MarkRule::AtLeast => a >= bar && a > 0.0,
            MarkRule::AtLeastCompat => a >= bar,
            MarkRule::AboveCompat => a > bar,
        };
        Ok(activations.map(marked).collect())
    }

    /// The text with its marks.
    ///
    /// # Errors
    /// As [`Highlight::mask`].
    ///
    /// # Example
    /// ```
    /// use limpid::explanation::ActivationRecord;
    /// use limpid::explanation::score::Highlight;
    /// use ndarray::array;
    ///
    /// let record = ActivationRecord::new(["a", " b", " c", " d"], array![0.0, 3.0, 10.0, 0.5])?;
    /// assert_eq!(Highlight::default().text(&record)?, "a<< b c>> d");
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn text<T: Scalar>(&self, record: &ActivationRecord<T>) -> Result<String> {
        self.mark(&record.tokens, &self.mask(record)?)
    }

    /// The text of `tokens` with marks where `mask` says so.
    ///
    /// # Errors
    /// [`Error::Shape`] if the lengths differ.
    pub fn mark(&self, tokens: &[String], mask: &[bool]) -> Result<String> {
        if tokens.len() != mask.len() {
            let (expected, got) = (Dims::new(&[tokens.len()]), Dims::new(&[mask.len()]));
            return Err(Error::Shape { what: "mask", expected, got });
        }
        let (mut text, mut inside) = (String::new(), false);
        for (token, &marked) in tokens.iter().zip(mask) {
            match (inside, marked) {
                (false, true) => text.push_str(&self.open),
                (true, false) => text.push_str(&self.close),
                _ => {}
            }
            inside = marked;
            text.push_str(token);
        }
        if inside {
            text.push_str(&self.close);
        }
        Ok(text)
    }
}

/// Mean number of activations that are not 0, rounded up: how many tokens to mark where there is nothing to mark.
///
/// # Errors
/// [`Undefined::Empty`] without texts.
pub fn mean_nonzero_ceil<'a, T: Scalar>(records: impl IntoIterator<Item = &'a ActivationRecord<T>>) -> Defined<usize> {
    let (mut records, mut nonzero) = (records.into_iter().peekable(), 0_usize);
    if records.peek().is_none() {
        return Err(Undefined::Empty);
    }
    let mut count = 0_usize;
    for record in records {
        count += 1;
        nonzero += record.activations.iter().filter(|a| **a != T::zero()).count();
    }
    Ok(nonzero.div_ceil(count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array1, array};

    fn record(tokens: &[&str], activations: Array1<f64>) -> ActivationRecord<f64> {
        ActivationRecord::new(tokens.iter().copied(), activations).unwrap()
    }

    #[test]
    fn rules_differ_at_the_threshold_and_in_silence() {
        let text = |rule, activations| {
            let highlight = Highlight { rule, ..Highlight::default() };
            highlight.text(&record(&["a", " b", " c"], activations)).unwrap()
        };
        let at = || array![3.0, 2.0, 10.0];
        assert_eq!(text(MarkRule::AtLeast, at()), "<<a>> b<< c>>");
        assert_eq!(text(MarkRule::AboveCompat, at()), "a b<< c>>");
        let silent = || array![0.0, 0.0, 0.0];
        assert_eq!(text(MarkRule::AtLeast, silent()), "a b c");
        assert_eq!(text(MarkRule::AtLeastCompat, silent()), "<<a b c>>");
        assert_eq!(text(MarkRule::AtLeast, array![-2.0, -1.0, -3.0]), "a b c");
    }

    #[test]
    fn counts_are_rounded_up() {
        let records = [
            record(&["a", "b", "c"], array![1.0, -2.0, 3.0]),
            record(&["a"], array![1.0]),
            record(&["a"], array![1.0]),
        ];
        assert_eq!(mean_nonzero_ceil(&records), Ok(2));
        assert_eq!(mean_nonzero_ceil::<f64>([]), Err(Undefined::Empty));
    }

    #[test]
    fn bad_texts_are_refused() {
        let highlight = Highlight::default();
        assert_eq!(highlight.text(&record(&[], array![])).unwrap(), "");
        assert!(highlight.text(&record(&["a"], array![f64::NAN])).is_err());
        assert!(highlight.mark(&["a".into()], &[]).is_err());
        let uneven = ActivationRecord { tokens: alloc::vec!["a".into()], activations: array![1.0, 2.0] };
        assert!(highlight.mask(&uneven).is_err());
        assert!(Highlight { threshold: f64::NAN, ..highlight }.mask(&record(&["a"], array![1.0])).is_err());
    }
}
