//! Digit log-probabilities to an expected activation.
//!
//! ```text
//! p_v = e^(l_v), v in the digits that are there      mass P = Σ_v p_v      q_v = p_v/P      E = Σ_v v q_v
//! ```
//!
//! A model that is asked for a level from 0 to 10 gives probabilities of its next token; the expectation over those that are
//! levels tells more than the likeliest of them. The largest `l` is taken off first, so that ratios survive where every `p` is
//! too small to be a number. The mass says how much of the model's answer was a level at all.
//!
//! Source: Bills et al., "Language models can explain neurons in language models" (2023), section on simulation,
//! <https://openaipublic.blob.core.windows.net/neuron-explainer/paper/index.html>.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use ndarray::{Array1, Array2, ArrayRef2};

use super::simulation::{Scale, Simulation, TokenStatus};
use crate::error::{check_each, check_not_empty, check_shape};
use crate::math::pointwise::softmax;
use crate::{Error, Result, Scalar};

/// Largest digit.
const TOP: usize = 10;

/// Largest log-probability, whose exponential is still a number. Those above 0 are the rounding of the model.
const MAX_LOGPROB: f64 = 700.0;

/// Which tokens are digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum DigitPolicy {
    /// Those that are exactly `0`, `1`, .. `10`.
    Strict,
    /// Those that are so without the white space around them; tokens of the same digit are added.
    #[default]
    Merged,
}

impl DigitPolicy {
    fn digit(self, token: &str) -> Option<usize> {
        let token = if self == Self::Merged { token.trim() } else { token };
        match token.as_bytes() {
            [digit @ b'0'..=b'9'] => Some(usize::from(digit - b'0')),
            b"10" => Some(TOP),
            _ => None,
        }
    }
}

/// What a model says of one position.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct DigitDistribution {
    /// The digits that are there, ascending.
    pub values: Vec<u8>,
    /// Their probabilities, with the sum 1.
    pub probabilities: Array1<f64>,
    /// Probability of all of them together, among all tokens.
    pub digit_mass: f64,
    /// Expected digit; `None` where there is none.
    pub expected: Option<f64>,
}

/// The distribution over digits of one position, from its likeliest tokens with their natural log-probabilities.
///
/// A log-probability of `-inf` never counts.
///
/// # Errors
/// [`Error::OutOfRange`](crate::Error::OutOfRange) for a log-probability that is NaN or above 700.
///
/// # Example
/// ```
/// use limpid::explanation::simulate::{DigitPolicy, expected_value};
///
/// let top = [("unknown", 0.7), ("0", 0.12), (" 1", 0.06), ("5", 0.03), ("10", 0.09)];
/// let found = expected_value(top.map(|(token, p): (_, f64)| (token, p.ln())), DigitPolicy::Merged)?;
/// assert_eq!(found.values, [0, 1, 5, 10]);
/// assert!((found.digit_mass - 0.3).abs() < 1e-15 && (found.expected.unwrap() - 3.7).abs() < 1e-12);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn expected_value<'a>(
    top: impl IntoIterator<Item = (&'a str, f64)>,
    policy: DigitPolicy,
) -> Result<DigitDistribution> {
    let mut found: Vec<(usize, f64)> = Vec::new();
    for (index, (token, logprob)) in top.into_iter().enumerate() {
        if logprob.is_nan() || logprob > MAX_LOGPROB {
            return Err(Error::OutOfRange { what: "logprob", index, value: logprob, expected: "a number up to 700" });
        }
        let digit = policy.digit(token).filter(|_| logprob > f64::NEG_INFINITY);
        found.extend(digit.map(|digit| (digit, logprob)));
    }
    let largest = found.iter().fold(f64::NEG_INFINITY, |largest, &(_, logprob)| largest.max(logprob));
    let mut shares = [None; TOP + 1];
    for (digit, logprob) in found {
        *shares[digit].get_or_insert(0.0) += libm::exp(logprob - largest);
    }
    Ok(DigitDistribution::new(&shares, libm::exp(largest)))
}

impl DigitDistribution {
    /// `shares` times `unit` are the probabilities of the digits that are there.
    fn new(shares: &[Option<f64>; TOP + 1], unit: f64) -> Self {
        let there = || shares.iter().enumerate().filter_map(|(digit, share)| Some((digit, (*share)?)));
        let sum: f64 = there().map(|(_, share)| share).sum();
        let expected = there().map(|(digit, share)| digit as f64 * (share / sum)).sum();
        Self {
            values: (0_u8..).zip(shares).filter(|(_, share)| share.is_some()).map(|(digit, _)| digit).collect(),
            probabilities: there().map(|(_, share)| share / sum).collect(),
            digit_mass: if sum > 0.0 { sum * unit } else { 0.0 },
            expected: (sum > 0.0).then_some(expected),
        }
    }

    /// Bounds on the expectation, where each digit that is not there may have any probability up to `unseen`, as after a list
    /// of likeliest tokens that was cut off at it; `None` where nothing is known at all.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) unless `0 <= unseen <= 1`.
    ///
    /// # Example
    /// ```
    /// use limpid::explanation::simulate::{DigitPolicy, expected_value};
    ///
    /// let found = expected_value([("3", 0.5_f64.ln())], DigitPolicy::Strict)?;
    /// // least when 0, 1 and 2 have as much as they may, most when 6 to 10 have
    /// assert_eq!(found.expected_bounds(0.0)?, Some((3.0, 3.0)));
    /// let (low, high) = found.expected_bounds(0.1)?.unwrap();
    /// assert!((low - 2.25).abs() < 1e-12 && (high - 5.5).abs() < 1e-12);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn expected_bounds(&self, unseen: f64) -> Result<Option<(f64, f64)>> {
        check_each("unseen", &[unseen], "0 <= unseen <= 1", |p: f64| (0.0..=1.0).contains(&p))?;
        let Some(expected) = self.expected else { return Ok(None) };
        let absent = |digit: &u8| !self.values.contains(digit);
        let bound = |digits: &mut dyn Iterator<Item = u8>, helps: fn(f64, f64) -> bool| {
            let (mut mean, mut mass) = (expected, self.digit_mass);
            for digit in digits {
                if helps(f64::from(digit), mean) && unseen > 0.0 {
                    mass += unseen;
                    mean += (f64::from(digit) - mean) * (unseen / mass);
                }
            }
            mean
        };
        let low = bound(&mut (0..=10).filter(absent), |digit, mean| digit < mean);
        let high = bound(&mut (0..=10).rev().filter(absent), |digit, mean| digit > mean);
        Ok(Some((low, high)))
    }
}

/// Reading of log-probabilities, one position for each token.
///
/// # Example
/// ```
/// use limpid::explanation::simulate::{Digits, TokenStatus};
///
/// let digits = Digits { min_mass: 0.5, ..Digits::default() };
/// let sure = vec![("7".to_string(), -0.01)];
/// let unsure = vec![("7".to_string(), -3.0), ("unknown".to_string(), -0.1)];
/// let found = digits.simulate::<f64>(&[Some(sure), Some(unsure), None])?;
/// assert_eq!(found.expected, [Some(7.0), Some(7.0), None]);
/// assert_eq!(found.status, [TokenStatus::Ok, TokenStatus::LowDigitMass, TokenStatus::Missing]);
/// # Ok::<(), limpid::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Digits {
    /// Which tokens are digits.
    pub policy: DigitPolicy,
    /// Least mass of the digits below which a token counts as failed, in `[0, 1]`.
    pub min_mass: f64,
}

impl Default for Digits {
    fn default() -> Self {
        Self { policy: DigitPolicy::Merged, min_mass: 0.1 }
    }
}

impl Digits {
    /// Expected digits from the likeliest tokens with their log-probabilities at each of `t` positions, `None` where a position
    /// was not found in the answer.
    ///
    /// # Errors
    /// As [`expected_value`], and [`Error::OutOfRange`](crate::Error::OutOfRange) for a mass outside `[0, 1]`.
    pub fn simulate<T: Scalar>(&self, top: &[Option<Vec<(String, f64)>>]) -> Result<Simulation<T>> {
        check_each("min_mass", &[self.min_mass], "0 <= min_mass <= 1", |mass: f64| (0.0..=1.0).contains(&mass))?;
        let mut simulation = Simulation::missing(top.len(), Scale::Digits);
        let (mut masses, mut distribution) = (vec![0.0; top.len()], Array2::zeros((top.len(), TOP + 1)));
        for (token, top) in top.iter().enumerate() {
            let Some(top) = top else { continue };
            let found = expected_value(top.iter().map(|(token, l)| (token.as_str(), *l)), self.policy)?;
            masses[token] = found.digit_mass;
            for (&digit, &probability) in found.values.iter().zip(&found.probabilities) {
                distribution[[token, usize::from(digit)]] = probability;
            }
            let low = found.digit_mass < self.min_mass;
            match found.expected {
                Some(expected) => {
                    let status = if low { TokenStatus::LowDigitMass } else { TokenStatus::Ok };
                    simulation.set(token, T::of(expected), status);
                }
                None => simulation.fail(token, TokenStatus::NotANumber),
            }
        }
        Ok(simulation.with_digits(Some(masses), &distribution))
    }
}

/// Expected digits from the logits `(t, 11)` of the eleven digits alone, as a model with a head for them gives.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape), [`Error::Empty`](crate::Error::Empty) for no tokens,
/// [`Error::OutOfRange`](crate::Error::OutOfRange) for logits that are NaN or infinite.
///
/// # Example
/// ```
/// use limpid::explanation::simulate::simulate_from_logits;
/// use ndarray::Array2;
///
/// let mut logits = Array2::from_elem((1, 11), -1000.0);
/// logits[[0, 2]] = 800.0;
/// logits[[0, 4]] = 800.0;
/// assert_eq!(simulate_from_logits(&logits)?.expected, [Some(3.0)]);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn simulate_from_logits<T: Scalar>(logits: &ArrayRef2<T>) -> Result<Simulation<T>> {
    check_shape("logits", logits, &[logits.nrows(), TOP + 1])?;
    check_not_empty("logits", logits)?;
    check_each("logits", logits, "a finite number", |l: T| l.is_finite())?;
    let distribution = softmax(&logits.mapv(Scalar::as_f64))?;
    let digits: Array1<f64> = (0_u8..11).map(f64::from).collect();
    let expected = distribution.dot(&digits).iter().map(|&expected| T::of(expected)).collect();
    Ok(Simulation::of(expected, Scale::Digits).with_digits(None, &distribution))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn ratios_survive_where_probabilities_do_not() {
        let found = expected_value([("0", -1000.0), ("10", -1001.0)], DigitPolicy::Strict).unwrap();
        assert_eq!(found.digit_mass, 0.0);
        assert!((found.expected.unwrap() - 2.689_414_213_699_951_3).abs() < 1e-12);
    }

    #[test]
    fn what_names_no_digit_does_not_count() {
        let odd = ["05", "+5", "11", "-1", "5.0", "1_0", "", " ", "100", "٣", "1 0"];
        let found = expected_value(odd.map(|token| (token, -1.0)), DigitPolicy::Merged).unwrap();
        assert_eq!((found.values.len(), found.expected, found.digit_mass), (0, None, 0.0));
        assert_eq!(found.expected_bounds(0.5), Ok(None));
        let spaced = expected_value([("\n10 ", -1.0), ("3", f64::NEG_INFINITY)], DigitPolicy::Merged).unwrap();
        assert_eq!((spaced.values, spaced.expected), (vec![10], Some(10.0)));
        let nan = expected_value([("x", -1.0), ("1", f64::NAN)], DigitPolicy::Strict);
        assert!(matches!(nan, Err(Error::OutOfRange { what: "logprob", index: 1, .. })));
    }

    #[test]
    fn bounds_hold_for_everything_that_was_cut_off() {
        let found = expected_value([("2", -1.0), ("9", -1.5)], DigitPolicy::Strict).unwrap();
        let (low, high) = found.expected_bounds(0.05).unwrap().unwrap();
        // every choice of 0 or the most for each of the nine others
        for chosen in 0_u32..512 {
            let others = (0..=10).filter(|digit| ![2, 9].contains(digit)).enumerate();
            let (mut mass, mut sum) = (found.digit_mass, found.expected.unwrap() * found.digit_mass);
            for (_, digit) in others.filter(|(place, _)| chosen >> place & 1 == 1) {
                mass += 0.05;
                sum += 0.05 * f64::from(digit);
            }
            assert!(low <= sum / mass + 1e-12 && sum / mass <= high + 1e-12, "{chosen:b}");
        }
        assert!(found.expected_bounds(f64::NAN).is_err());
    }

    #[test]
    fn logits_are_shifted_before_they_grow() {
        let found = simulate_from_logits(&Array2::from_elem((2, 11), 1e30_f32)).unwrap();
        assert_eq!(found.filled(0.0), array![5.0, 5.0]);
        assert!(matches!(simulate_from_logits(&Array2::<f64>::zeros((2, 10))), Err(Error::Shape { .. })));
        assert!(matches!(simulate_from_logits(&Array2::<f64>::zeros((0, 11))), Err(Error::Empty { .. })));
        let nan = Array2::from_elem((1, 11), f64::NAN);
        assert!(matches!(simulate_from_logits(&nan), Err(Error::OutOfRange { what: "logits", .. })));
    }

    #[test]
    fn a_mass_has_its_range() {
        let digits = Digits { min_mass: 2.0, ..Digits::default() };
        assert!(matches!(digits.simulate::<f64>(&[]), Err(Error::OutOfRange { what: "min_mass", .. })));
    }
}
