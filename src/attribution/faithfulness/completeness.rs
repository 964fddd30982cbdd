//! Completeness and non-sensitivity: two axioms, measured.
//!
//! ```text
//! completeness gap   Σ_i A_i - (f(x) - f(b))
//! non-sensitivity    |{i: |A_i| <= threshold} Δ {i: |f(x) - f(x with i at the baseline)| <= threshold}|
//! ```
//!
//! `Δ` is the symmetric difference: features that are said not to matter and do, and features that are said to matter and
//! do not.
//!
//! Source: Sundararajan, Taly and Yan, "Axiomatic Attribution for Deep Networks" (arXiv 1703.01365), for
//! completeness; Nguyen and Martínez, "On quantitative aspects of model interpretability" (arXiv 2007.07584), for
//! non-sensitivity.

use alloc::vec;
use alloc::vec::Vec;

use ndarray::{Array1, ArrayRef2};

use super::masking::{Masked, Masking};
use crate::Scalar;
use crate::attribution::{Explained, Forward, Target};
use crate::error::check_each;
use crate::math::reduce::sum;

/// Sum of each row of `attribution: (b, M)` less what it should be, `(b)`, in units of the target; `M = n` without groups.
/// Costs two rows for each row of `x: (b, n)`.
///
/// # Errors
/// As [`Erasure::judge`](super::Erasure::judge).
///
/// # Example
/// ```
/// use limpid::attribution::Network;
/// use limpid::attribution::faithfulness::{Masking, completeness_gap};
/// use limpid::attribution::target::Logit;
/// use ndarray::array;
///
/// let mut model = Network::new(2).linear(array![[3.0, 1.0]], Some(array![5.0]))?;
/// let (x, target) = (array![[1.0, 1.0]], Logit::of(0));
/// let gap = completeness_gap(&mut model, &x, &array![[3.0, 1.5]], &target, &Masking::default())?;
/// assert_eq!(gap, array![0.5]);
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
pub fn completeness_gap<T: Scalar, M: Forward<T> + ?Sized>(
    model: &mut M,
    x: &ArrayRef2<T>,
    attribution: &ArrayRef2<T>,
    target: &dyn Target<T>,
    masking: &Masking<T>,
) -> Explained<Array1<T>, M::Error> {
    let mut masked = Masked::new(model, x, target, masking)?;
    masked.check(attribution)?;
    let [full, empty] = masked.ends()?;
    Ok(gap(attribution, &full, &empty))
}

/// The gap once the values are known.
pub(super) fn gap<T: Scalar>(attribution: &ArrayRef2<T>, full: &Array1<T>, empty: &Array1<T>) -> Array1<T> {
    let ends = full.iter().zip(empty);
    attribution.rows().into_iter().zip(ends).map(|(row, (&full, &empty))| sum(&row) - (full - empty)).collect()
}

/// Features on which attribution and model disagree over whether they matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct NonSensitivity {
    /// Players without attribution whose absence changes the output.
    pub missed: usize,
    /// Players with attribution whose absence changes nothing.
    pub invented: usize,
}

impl NonSensitivity {
    /// The metric: both together.
    #[must_use]
    pub fn total(self) -> usize {
        self.missed + self.invented
    }
}

/// Counts, for each row of `attribution: (b, M)`, the players on which it and the model disagree; `M = n` without groups. A number
/// counts as zero up to `threshold`, whose unit is that of the target. Costs `M + 2` rows for each row of `x: (b, n)`.
///
/// # Errors
/// As [`Erasure::judge`](super::Erasure::judge), and [`Error::OutOfRange`](crate::Error::OutOfRange) for a threshold that is
/// negative or not finite.
///
/// # Example
/// ```
/// use limpid::attribution::Network;
/// use limpid::attribution::faithfulness::{Masking, NonSensitivity, non_sensitivity};
/// use limpid::attribution::target::Logit;
/// use ndarray::array;
///
/// let mut model = Network::new(3).linear(array![[3.0, 1.0, 0.0]], None)?;
/// let (x, target) = (array![[1.0, 1.0, 1.0]], Logit::of(0));
/// let found = non_sensitivity(&mut model, &x, &array![[3.0, 0.0, 0.1]], &target, &Masking::default(), 1e-5)?;
/// assert_eq!(found, [NonSensitivity { missed: 1, invented: 1 }]);
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
pub fn non_sensitivity<T: Scalar, M: Forward<T> + ?Sized>(
    model: &mut M,
    x: &ArrayRef2<T>,
    attribution: &ArrayRef2<T>,
    target: &dyn Target<T>,
    masking: &Masking<T>,
    threshold: f64,
) -> Explained<Vec<NonSensitivity>, M::Error> {
    check_each("threshold", &[threshold], ">= 0", |threshold: f64| threshold >= 0.0 && threshold.is_finite())?;
    let mut masked = Masked::new(model, x, target, masking)?;
    masked.check(attribution)?;
    let [full, _] = masked.ends()?;
    let drops = masked.single_drops(&full)?;
    let zero = |x: T| x.as_f64().abs() <= threshold;
    let mut found = vec![NonSensitivity::default(); x.nrows()];
    for ((row, player), &drop) in drops.indexed_iter() {
        match (zero(attribution[[row, player]]), zero(drop)) {
            (true, false) => found[row].missed += 1,
            (false, true) => found[row].invented += 1,
            _ => {}
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::attribution::target::Logit;
    use crate::attribution::{Failure, Network};
    use ndarray::{Array2, array};

    #[test]
    fn every_row_has_its_own() {
        let mut model = Network::new(2).linear(array![[3.0, 0.0]], Some(array![1.0])).unwrap();
        let (x, target, masking) = (array![[1.0, 1.0], [0.0, 2.0]], Logit::of(0), Masking::default());
        let attribution: Array2<f64> = array![[3.0, 0.0], [1.0, 0.0]];
        let gaps = completeness_gap(&mut model, &x, &attribution, &target, &masking).unwrap();
        assert_eq!(gaps, array![0.0, 1.0]);
        let found = non_sensitivity(&mut model, &x, &attribution, &target, &masking, 0.0).unwrap();
        assert_eq!(found.iter().map(|found| found.total()).collect::<Vec<_>>(), [0, 1]);
        let refused = non_sensitivity(&mut model, &x, &attribution, &target, &masking, f64::NAN);
        assert!(matches!(refused, Err(Failure::Input(Error::OutOfRange { what: "threshold", .. }))));
    }
}
