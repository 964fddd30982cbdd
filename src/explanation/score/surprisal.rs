//! What an explanation tells a model about a text: how much less the text surprises it.
//!
//! ```text
//! loss_j = log Σ_v e^(z_jv) - z_j,token(j+1)          nats, for each token but the first
//! gain   = mean_j loss_j without the explanation - mean_j loss_j with it
//! ```
//!
//! A good explanation gains more on texts on which the neuron fires than on others: the AUC of the gain. With losses of the
//! explanation itself, after outputs that were steered and that were not, the gain is the intervention score.
//!
//! Source: Paulo et al., "Automatically Interpreting Millions of Features in Large Language Models" (arXiv 2410.13928),
//! on surprisal and intervention scoring.

use alloc::vec::Vec;

use ndarray::{Array1, ArrayRef1, ArrayRef2};

use crate::error::{check_each, check_finite};
use crate::explanation::{Defined, Undefined};
use crate::math::rank::auc;
use crate::{Dims, Error, Result, Scalar};

/// Loss of each token but the first, `(t - 1)` in nats, from next-token logits `(t, vocabulary)` and the tokens `(t)`.
///
/// # Errors
/// [`Error::Shape`], [`Error::OutOfRange`] for a token outside the vocabulary, NaN, `∞`, and a token of probability 0.
///
/// # Example
/// ```
/// use limpid::explanation::score::token_losses;
/// use ndarray::array;
///
/// let losses = token_losses(&array![[0.0, 0.0], [5.0, 0.0]], &[0, 1])?;
/// assert!((losses[0] - core::f64::consts::LN_2).abs() < 1e-15 && losses.len() == 1);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn token_losses<T: Scalar>(logits: &ArrayRef2<T>, tokens: &[usize]) -> Result<Array1<f64>> {
    if logits.nrows() != tokens.len() {
        let (expected, got) = (Dims::new(&[tokens.len()]), Dims::new(&[logits.nrows()]));
        return Err(Error::Shape { what: "logits", expected, got });
    }
    check_each("logits", logits, "a number below infinity", |z| z < T::infinity())?;
    let as_numbers: Vec<f64> = tokens.iter().map(|&token| token as f64).collect();
    check_each("tokens", &as_numbers, "a token of the vocabulary", |token: f64| token < logits.ncols() as f64)?;
    let losses: Array1<f64> = logits
        .rows()
        .into_iter()
        .zip(tokens.iter().skip(1))
        .map(|(z, &token)| {
            let largest = z.iter().fold(f64::NEG_INFINITY, |largest, z| largest.max(z.as_f64()));
            let total: f64 = z.iter().map(|z| libm::exp(z.as_f64() - largest)).sum();
            libm::log(total) + (largest - z[token].as_f64())
        })
        .collect();
    check_each("logits", &losses, "a probability above 0", |loss: f64| loss.is_finite())?;
    Ok(losses)
}

/// How much explanations told about each of many texts.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct InformationGain {
    /// Gain on each text, nats per token.
    pub gain: Vec<f64>,
    /// Mean gain on the texts on which the neuron fires.
    pub activating: Defined<f64>,
    /// Mean gain on the others.
    pub others: Defined<f64>,
    /// Chance that a text of the first kind gains more than one of the second, ties counting a half.
    pub auc: Defined<f64>,
}

impl InformationGain {
    /// Gain of one text from its losses without and with the explanation.
    ///
    /// # Errors
    /// [`Error::Shape`] if the lengths differ, [`Error::NotFinite`]. Undefined without tokens.
    ///
    /// # Example
    /// ```
    /// use limpid::explanation::score::InformationGain;
    /// use ndarray::array;
    ///
    /// let gain = InformationGain::of_text(&array![3.0, 2.5, 4.0], &array![2.4, 2.6, 3.1])?.unwrap();
    /// assert!((gain - 1.4 / 3.0).abs() < 1e-12);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn of_text<T: Scalar>(without: &ArrayRef1<T>, with: &ArrayRef1<T>) -> Result<Defined<f64>> {
        crate::error::check_shape("with", with, &[without.len()])?;
        check_finite("without", without)?;
        check_finite("with", with)?;
        let sum: f64 = without.iter().zip(with).map(|(without, with)| without.as_f64() - with.as_f64()).sum();
        Ok(if without.is_empty() { Err(Undefined::Empty) } else { Ok(sum / without.len() as f64) })
    }

    /// Compares the gains of texts on which the neuron fires (`activating`) with those of others.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::OutOfRange`] for a gain that is not finite.
    pub fn compare(gain: &[f64], activating: &[bool]) -> Result<Self> {
        check_each("gain", gain, "finite", |gain: f64| gain.is_finite())?;
        let auc = auc_of(gain, activating)?;
        let mean = |kind: bool| {
            let of_kind: Vec<f64> = gain.iter().zip(activating).filter(|(_, a)| **a == kind).map(|(g, _)| *g).collect();
            let count = of_kind.len() as f64;
            if of_kind.is_empty() { Err(Undefined::Empty) } else { Ok(of_kind.iter().map(|g| g / count).sum()) }
        };
        Ok(Self { gain: gain.to_vec(), activating: mean(true), others: mean(false), auc })
    }
}

/// Area under the ROC curve, or that only one class occurs.
pub(super) fn auc_of(score: &[f64], positive: &[bool]) -> Result<Defined<f64>> {
    let positive: Array1<bool> = positive.iter().copied().collect();
    let score: Array1<f64> = score.iter().copied().collect();
    let reason = if score.is_empty() { Undefined::Empty } else { Undefined::OneClass };
    Ok(auc(&score, &positive)?.ok_or(reason))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};

    #[test]
    fn losses_are_of_the_next_token() {
        let logits = array![[1e4, 0.0, 0.0], [0.0, 0.0, f64::NEG_INFINITY], [9.0, 9.0, 9.0]];
        let losses = token_losses(&logits, &[2, 1, 0]).unwrap();
        assert_eq!(losses.len(), 2);
        assert!((losses[0] - 1e4).abs() < 1e-9 && (losses[1] - core::f64::consts::LN_2).abs() < 1e-15);
        assert!(token_losses(&logits, &[2, 1, 2]).is_err() && token_losses(&logits, &[0, 1, 3]).is_err());
        assert!(token_losses(&logits, &[0]).is_err());
        assert_eq!(token_losses(&Array2::<f64>::zeros((0, 0)), &[]).unwrap().len(), 0);
    }

    #[test]
    fn gains_are_compared_by_kind() {
        let found = InformationGain::compare(&[1.0, 3.0, 0.0, 1.0], &[true, true, false, false]).unwrap();
        assert_eq!((found.activating, found.others, found.auc), (Ok(2.0), Ok(0.5), Ok(3.5 / 4.0)));
        let one = InformationGain::compare(&[1.0], &[true]).unwrap();
        assert_eq!((one.others, one.auc), (Err(Undefined::Empty), Err(Undefined::OneClass)));
        assert!(InformationGain::compare(&[f64::NAN], &[true]).is_err());
        assert!(InformationGain::compare(&[1.0], &[]).is_err());
        let none: Array1<f64> = array![];
        assert_eq!(InformationGain::of_text(&none, &none), Ok(Err(Undefined::Empty)));
    }
}
