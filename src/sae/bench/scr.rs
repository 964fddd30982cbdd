//! Spurious correlation removal: a probe was trained where the wanted and the spurious attribute go together; removing the
//! latents of the spurious one should make it as good as a probe trained without the correlation.
//!
//! ```text
//! score = (changed - original)/(clean - original),    0 where clean - original < 0.001
//! ```
//!
//! The latents come from [`effects`](super::effects) with [`Effect::EitherWay`](super::effects::Effect), the change of the
//! activations from [`edit`](super::edit) with [`Edit::Zero`](super::edit::Edit).
//!
//! Source: `SAEBench` (arXiv 2503.09532), "spurious correlation removal", after the SHIFT of Marks et al.
//! (arXiv 2403.19647).

use crate::Result;
use crate::error::check_each;

/// Accuracies on data without the correlation.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ScrAccuracy {
    /// Of the probe trained with the correlation.
    pub original: f64,
    /// Of a probe trained without it.
    pub clean: f64,
    /// Of the first probe after latents were removed.
    pub changed: f64,
}

/// Smallest difference between the probes that leaves something to be removed.
const LEAST: f64 = 0.001;

impl ScrAccuracy {
    /// The score: 1 where all of the correlation was removed, below 0 where things got worse.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for accuracies outside `[0, 1]`.
    ///
    /// # Example
    /// ```
    /// use limpid::sae::bench::scr::ScrAccuracy;
    ///
    /// let accuracy = ScrAccuracy { original: 0.6, clean: 0.95, changed: 0.8 };
    /// assert!((accuracy.score()? - 4.0 / 7.0).abs() < 1e-15);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn score(&self) -> Result<f64> {
        let accuracies = [self.original, self.clean, self.changed];
        check_each("accuracy", &accuracies, "0 <= accuracy <= 1", |x: f64| (0.0..=1.0).contains(&x))?;
        let room = self.clean - self.original;
        Ok(if room < LEAST { 0.0 } else { (self.changed - self.original) / room })
    }
}

/// Score of the direction that leaves more to be removed: either attribute can be the spurious one, and the one with the
/// lower original accuracy counts; of equals the first.
///
/// # Errors
/// As [`ScrAccuracy::score`].
///
/// # Example
/// ```
/// use limpid::sae::bench::scr::{ScrAccuracy, scr};
///
/// let first = ScrAccuracy { original: 0.75, clean: 0.9, changed: 0.9 };
/// let second = ScrAccuracy { original: 0.5, clean: 1.0, changed: 0.625 };
/// assert_eq!(scr(&first, &second)?, 0.25);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn scr(first: &ScrAccuracy, second: &ScrAccuracy) -> Result<f64> {
    let (of_first, of_second) = (first.score()?, second.score()?);
    Ok(if first.original <= second.original { of_first } else { of_second })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    #[test]
    fn without_room_there_is_no_score() {
        let accuracy = ScrAccuracy { original: 0.672, clean: 0.6725, changed: 0.795 };
        assert_eq!(accuracy.score(), Ok(0.0));
        assert_eq!(ScrAccuracy { clean: 0.5, ..accuracy }.score(), Ok(0.0));
        let worse = ScrAccuracy { original: 0.5, clean: 1.0, changed: 0.25 };
        assert_eq!((worse.score(), scr(&worse, &accuracy)), (Ok(-0.5), Ok(-0.5)));
    }

    #[test]
    fn accuracies_are_shares() {
        let accuracy = ScrAccuracy { original: 0.5, clean: f64::NAN, changed: 0.5 };
        assert!(matches!(accuracy.score(), Err(Error::OutOfRange { what: "accuracy", index: 1, .. })));
    }
}
