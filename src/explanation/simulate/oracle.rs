//! Oracle digits: the truth itself, made as coarse as any simulator's answer is.
//!
//! ```text
//! prediction = quantise(true activations of this text)
//! ```
//!
//! No simulator that answers in digits can score higher, whatever the explanation: a score is best read as a share of this one.
//!
//! Source: ours; a ceiling that scores of simulations are compared with.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use ndarray::{Array1, ArrayRef1};

use super::simulation::{Scale, Simulation};
use super::simulator::Simulator;
use crate::error::check_shape;
use crate::explanation::ActivationRecord;
use crate::{Result, Scalar};

/// Texts with their digits.
///
/// # Example
/// ```
/// use limpid::explanation::ActivationRecord;
/// use limpid::explanation::simulate::{Oracle, Simulator};
/// use ndarray::array;
///
/// let record = ActivationRecord::new(["a", "b", "c"], array![0.0, 3.7, 7.4])?;
/// let records = [record];
/// let mut oracle = Oracle::new(&records, |x| x.mapv(|x| (10.0 * x / 7.4_f64).floor()))?;
/// assert_eq!(oracle.simulate("", &records[0].tokens)?.expected, [0.0, 5.0, 10.0].map(Some));
/// // it knows these texts only
/// assert_eq!(oracle.simulate("", &["a".to_string()])?.expected, [None]);
/// # Ok::<(), limpid::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Oracle<T> {
    digits: BTreeMap<Vec<String>, Array1<T>>,
}

impl<T: Scalar> Oracle<T> {
    /// Knows these records through `quantise`, which turns activations `(t)` into digits `(t)`. Of equal texts the last counts.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for a record that is not whole, or digits that are not one for each token.
    pub fn new(records: &[ActivationRecord<T>], mut quantise: impl FnMut(&ArrayRef1<T>) -> Array1<T>) -> Result<Self> {
        let mut digits = BTreeMap::new();
        for record in records {
            record.check()?;
            let of_record = quantise(&record.activations);
            check_shape("digits", &of_record, &[record.tokens.len()])?;
            digits.insert(record.tokens.clone(), of_record);
        }
        Ok(Self { digits })
    }
}

impl<T: Scalar> Simulator<T> for Oracle<T> {
    type Error = crate::Error;

    fn simulate(&mut self, _explanation: &str, tokens: &[String]) -> Result<Simulation<T>> {
        Ok(match self.digits.get(tokens) {
            Some(digits) => Simulation::of(digits.to_vec(), Scale::Digits),
            None => Simulation::missing(tokens.len(), Scale::Digits),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use ndarray::array;

    #[test]
    fn digits_must_fit_their_record() {
        let records = [ActivationRecord::new(["a", "b"], array![1.0, 2.0]).unwrap()];
        let short = Oracle::new(&records, |_| array![1.0]);
        assert!(matches!(short, Err(Error::Shape { what: "digits", .. })));
    }
}
