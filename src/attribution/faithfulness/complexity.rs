//! Complexity: on how many features an attribution is spread.
//!
//! ```text
//! a = |attribution| + offset, ascending
//! sparseness            Σ_i (2i - n - 1) a_i / (n Σ_i a_i),  i = 1..n      Gini index: 0 all equal, 1 - 1/n one feature
//! complexity            -Σ_i p_i ln p_i,  p = |attribution|/Σ|attribution|   entropy in nats: 0 one feature, ln n all equal
//! effective complexity  |{i: |attribution_i| > threshold}|
//! ```
//!
//! Source: Chalasani et al., "Concise Explanations of Neural Networks using Adversarial Training" (arXiv 1810.06583),
//! on the Gini index, for sparseness; Bhatt et al., "Evaluating and Aggregating Feature-based Model Explanations" (arXiv
//! 2005.00631), for complexity; Nguyen and Martínez, "On quantitative aspects of model interpretability" (arXiv 2007.07584),
//! for effective complexity. A well-known implementation of the first adds 1e-7 to the magnitudes, and writes the sum back
//! into its input; give `offset` 1e-7 for its numbers.

use alloc::vec::Vec;

use ndarray::{ArrayRef2, ArrayView1};

use crate::error::{check_each, check_finite, check_not_empty};
use crate::{Result, Scalar};

/// Gini index of the magnitudes of each row of `attribution: (b, n)`; `None` for a row of zeros without offset.
///
/// # Errors
/// [`Error::Empty`](crate::Error::Empty), [`Error::NotFinite`](crate::Error::NotFinite),
/// [`Error::OutOfRange`](crate::Error::OutOfRange) for an offset that is negative or not finite.
///
/// # Example
/// ```
/// use limpid::attribution::faithfulness::sparseness;
/// use ndarray::array;
///
/// let attribution = array![[0.0, 0.0, 0.0, -2.0], [1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]];
/// assert_eq!(sparseness(&attribution, 0.0)?, [Some(0.75), Some(0.0), None]);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn sparseness<T: Scalar>(attribution: &ArrayRef2<T>, offset: T) -> Result<Vec<Option<f64>>> {
    check_each("offset", &[offset], "a finite offset >= 0", |x| x >= T::zero() && x.is_finite())?;
    check_rows(attribution)?;
    Ok(attribution.rows().into_iter().map(|row| gini(row, offset.as_f64())).collect())
}

fn gini<T: Scalar>(row: ArrayView1<'_, T>, offset: f64) -> Option<f64> {
    let (magnitudes, largest) = magnitudes(row);
    // the ratio does not change with the scale, and sums of raw magnitudes could overflow
    let scale = largest.max(offset);
    let mut a: Vec<f64> = magnitudes.into_iter().map(|a| a / scale + offset / scale).collect();
    a.sort_unstable_by(f64::total_cmp);
    let n = a.len() as f64;
    let total: f64 = a.iter().sum();
    let weighted = a.iter().enumerate().map(|(i, a)| (2.0 * (i + 1) as f64 - n - 1.0) * a).sum::<f64>();
    (scale > 0.0).then(|| weighted / (n * total))
}

/// Entropy, in nats, of the shares of each row of `attribution: (b, n)`; `None` for a row of zeros.
///
/// # Errors
/// [`Error::Empty`](crate::Error::Empty), [`Error::NotFinite`](crate::Error::NotFinite).
///
/// # Example
/// ```
/// use limpid::attribution::faithfulness::complexity;
/// use ndarray::array;
///
/// let found = complexity(&array![[1.0, -1.0], [3.0, 0.0], [0.0, 0.0]])?;
/// assert!((found[0].unwrap() - 2.0_f64.ln()).abs() < 1e-15);
/// assert_eq!(found[1..], [Some(0.0), None]);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn complexity<T: Scalar>(attribution: &ArrayRef2<T>) -> Result<Vec<Option<f64>>> {
    check_rows(attribution)?;
    Ok(attribution.rows().into_iter().map(entropy).collect())
}

fn entropy<T: Scalar>(row: ArrayView1<'_, T>) -> Option<f64> {
    let (magnitudes, largest) = magnitudes(row);
    let total: f64 = magnitudes.iter().map(|a| a / largest).sum();
    let shares = magnitudes.iter().map(|a| a / largest / total).filter(|&p| p > 0.0);
    // a share of 1 has the logarithm 0, whose negative is not wanted
    (largest > 0.0).then(|| shares.map(|p| -p * libm::log(p)).sum::<f64>() + 0.0)
}

/// Number of features of each row of `attribution: (b, n)` whose magnitude is above `threshold`.
///
/// The magnitudes count as they are: bring rows to one scale first where they have different ones.
///
/// # Errors
/// [`Error::Empty`](crate::Error::Empty), [`Error::NotFinite`](crate::Error::NotFinite),
/// [`Error::OutOfRange`](crate::Error::OutOfRange) for a threshold that is negative or not finite.
///
/// # Example
/// ```
/// use limpid::attribution::faithfulness::effective_complexity;
/// use ndarray::array;
///
/// assert_eq!(effective_complexity(&array![[0.5, -0.25, 1e-6]], 1e-5)?, [2]);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn effective_complexity<T: Scalar>(attribution: &ArrayRef2<T>, threshold: T) -> Result<Vec<usize>> {
    check_each("threshold", &[threshold], "a finite threshold >= 0", |x| x >= T::zero() && x.is_finite())?;
    check_rows(attribution)?;
    let count = |row: ArrayView1<'_, T>| row.iter().filter(|a| a.abs() > threshold).count();
    Ok(attribution.rows().into_iter().map(count).collect())
}

fn check_rows<T: Scalar>(attribution: &ArrayRef2<T>) -> Result<()> {
    check_not_empty("attribution", attribution)?;
    check_finite("attribution", attribution)
}

/// Magnitudes in double precision, and the largest.
fn magnitudes<T: Scalar>(row: ArrayView1<'_, T>) -> (Vec<f64>, f64) {
    let magnitudes: Vec<f64> = row.iter().map(|a| a.as_f64().abs()).collect();
    let largest = magnitudes.iter().copied().fold(0.0, f64::max);
    (magnitudes, largest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use approx::assert_relative_eq;
    use ndarray::{Array2, array};

    #[test]
    fn the_numbers_are_those_of_a_hand_calculation() {
        // a = 1, 2, 5: (-2*1 + 0*2 + 2*5)/(3*8)
        let attribution = array![[2.0, -5.0, 1.0]];
        assert_relative_eq!(sparseness(&attribution, 0.0).unwrap()[0].unwrap(), 1.0 / 3.0, epsilon = 1e-15);
        // with the offset 1: (-2*2 + 2*6)/(3*11), and the input is as it was
        assert_relative_eq!(sparseness(&attribution, 1.0).unwrap()[0].unwrap(), 8.0 / 33.0, epsilon = 1e-15);
        assert_eq!(attribution, array![[2.0, -5.0, 1.0]]);
        let halves = complexity(&array![[2.0, -1.0, 1.0]]).unwrap()[0].unwrap();
        assert_relative_eq!(halves, 1.5 * core::f64::consts::LN_2, epsilon = 1e-15);
    }

    #[test]
    fn scale_and_sign_do_not_count() {
        let attribution = array![[0.3, -0.1, 0.0, 2.0]];
        for scale in [-1.0, 1e-300, 1e307] {
            let scaled = attribution.mapv(|a: f64| a * scale);
            for (of, other) in [
                (sparseness(&attribution, 0.0).unwrap()[0], sparseness(&scaled, 0.0).unwrap()[0]),
                (complexity(&attribution).unwrap()[0], complexity(&scaled).unwrap()[0]),
            ] {
                assert_relative_eq!(of.unwrap(), other.unwrap(), epsilon = 1e-12);
            }
        }
    }

    #[test]
    fn rows_of_zeros_have_neither() {
        let zeros = Array2::<f32>::zeros((1, 3));
        assert_eq!((sparseness(&zeros, 0.0), complexity(&zeros)), (Ok(alloc::vec![None]), Ok(alloc::vec![None])));
        assert_eq!(sparseness(&zeros, 1e-7), Ok(alloc::vec![Some(0.0)]));
        assert_eq!(effective_complexity(&zeros, 0.0), Ok(alloc::vec![0]));
    }

    #[test]
    fn bad_input_is_named() {
        let attribution = array![[1.0, 2.0]];
        assert!(matches!(sparseness(&attribution, -1.0), Err(Error::OutOfRange { what: "offset", .. })));
        assert!(matches!(sparseness(&attribution, f64::INFINITY), Err(Error::OutOfRange { what: "offset", .. })));
        assert!(matches!(effective_complexity(&attribution, f64::NAN), Err(Error::OutOfRange { .. })));
        assert!(matches!(complexity(&array![[1.0, f64::NAN]]), Err(Error::NotFinite { index: 1, .. })));
        assert_eq!(complexity(&Array2::<f64>::zeros((2, 0))), Err(Error::Empty { what: "attribution" }));
    }
}
