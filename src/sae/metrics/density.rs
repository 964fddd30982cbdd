//! How often latents fire.
//!
//! ```text
//! density_i = samples with f_i ≠ 0 / samples        log10_density_i = log10(density_i + 1e-10)
//! per prompt: firings of a latent / prompts in which it fired
//! ```
//!
//! Source: Bricken et al., "Towards Monosemanticity" (2023), "feature density histograms",
//! <https://transformer-circuits.pub/2023/monosemantic-features>; the logarithm as `SAELens` takes it.

use alloc::collections::BTreeSet;
use alloc::vec;
use alloc::vec::Vec;

use ndarray::{Array1, ArrayRef1};

use super::evaluation::Metrics;
use crate::math::histogram::Histogram;
use crate::sae::codes::Codes;
use crate::{Dims, Error, Result, Scalar};

/// Added to a density before its logarithm is taken: latents that never fire are at -10.
pub const FLOOR: f64 = 1e-10;

/// `log10(density + 1e-10)`, `(m)`, of `density: (m)`.
#[must_use]
pub fn log10_density(density: &ArrayRef1<f64>) -> Array1<f64> {
    density.mapv(|density| libm::log10(density + FLOOR))
}

impl Metrics {
    /// Histogram of the logarithms of the densities.
    ///
    /// # Errors
    /// Those of [`Histogram::new`].
    ///
    /// # Example
    /// ```
    /// use limpid::sae::metrics::Evaluation;
    /// use ndarray::array;
    ///
    /// let mut evaluation = Evaluation::new(1, 3)?;
    /// evaluation.update(&array![[1.0], [2.0]], &array![[1.0], [2.0]], &array![[0.0, 1.0, 1.0], [0.0, 0.0, 1.0]])?;
    /// let metrics = evaluation.finish()?;
    /// assert_eq!(metrics.density_histogram(vec![-11.0, -4.0, -0.2, 0.1])?.counts(), [1, 1, 1]);
    /// assert_eq!(metrics.rarer_than(1e-5), 1);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn density_histogram(&self, edges: Vec<f64>) -> Result<Histogram> {
        let mut histogram = Histogram::new(edges)?;
        histogram.update(self.log10_density.iter().copied())?;
        Ok(histogram)
    }

    /// Number of latents with a density below `density`; 1e-5 and 1e-6 are the usual limits.
    #[must_use]
    pub fn rarer_than(&self, density: f64) -> usize {
        self.density.iter().filter(|&&of_latent| of_latent < density).count()
    }
}

/// Mean number of firings of each latent in the prompts in which it fires at all, `(m)`, from the features of tokens and
/// the prompt that each token belongs to, `prompts: (b)`; `None` for latents that never fire. A latent that fires on
/// most tokens of few prompts follows the topic, not the token.
///
/// # Errors
/// [`Error::Shape`].
///
/// # Example
/// ```
/// use limpid::sae::{Codes, metrics::density::firings_per_prompt};
/// use ndarray::array;
///
/// let codes = Codes::from_dense(&array![[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 0.0]])?;
/// assert_eq!(firings_per_prompt(&codes, &[0, 0, 1, 1])?, [Some(1.5), None]);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn firings_per_prompt<T: Scalar>(codes: &Codes<T>, prompts: &[usize]) -> Result<Vec<Option<f64>>> {
    if prompts.len() != codes.rows() {
        let (expected, got) = (Dims::new(&[codes.rows()]), Dims::new(&[prompts.len()]));
        return Err(Error::Shape { what: "prompts", expected, got });
    }
    let (mut firings, mut fired_in) = (vec![0_u64; codes.latents()], vec![0_u64; codes.latents()]);
    let mut seen = BTreeSet::new();
    for (row, &prompt) in prompts.iter().enumerate() {
        for (latent, _) in codes.row(row).filter(|(_, f)| *f != T::zero()) {
            firings[latent] += 1;
            fired_in[latent] += u64::from(seen.insert((latent, prompt)));
        }
    }
    let mean = |(&firings, &prompts): (&u64, &u64)| (prompts > 0).then(|| firings as f64 / prompts as f64);
    Ok(firings.iter().zip(&fired_in).map(mean).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn logarithms_have_a_floor() {
        let logs = log10_density(&array![0.0, 1e-5, 1.0]);
        assert!((logs - array![-10.0, -4.999_995_657, 4.34e-11]).iter().all(|e| e.abs() < 1e-9));
    }

    #[test]
    fn prompts_that_do_not_fit_are_named() {
        let codes = Codes::<f64>::new(2).unwrap();
        assert!(matches!(firings_per_prompt(&codes, &[0]), Err(Error::Shape { what: "prompts", .. })));
        assert_eq!(firings_per_prompt(&codes, &[]).unwrap(), [None, None]);
    }
}
