//! Faithfulness estimate: do features with more attribution change the output more when they go?
//!
//! ```text
//! corr_i( A_i, f(x) - f(x with i at the baseline) )      Pearson's correlation over the players
//! ```
//!
//! Source: Alvarez-Melis and Jaakkola, "Towards Robust Interpretability with Self-Explaining Neural Networks" (arXiv
//! 1806.07538). The same with ranks is the rank deletion of [`Erasure`](super::Erasure).

use alloc::vec::Vec;

use ndarray::ArrayRef2;

use super::masking::{Masked, Masking};
use crate::Scalar;
use crate::attribution::{Explained, Forward, Target};
use crate::math::correlation::pearson;

/// Pearson's correlation of each row of `attribution: (b, M)` with the drops of single players; `M = n` without groups. `None`
/// where one side does not vary by more than rounding. Costs `M + 2` rows for each row of `x: (b, n)`.
///
/// # Errors
/// As [`Erasure::judge`](super::Erasure::judge).
///
/// # Example
/// ```
/// use limpid::attribution::Network;
/// use limpid::attribution::faithfulness::{Masking, faithfulness_estimate};
/// use limpid::attribution::target::Logit;
/// use ndarray::array;
///
/// let mut model = Network::new(3).linear(array![[3.0, 1.0, 2.0]], None)?;
/// let (x, target) = (array![[1.0, 1.0, 1.0]], Logit::of(0));
/// let found = faithfulness_estimate(&mut model, &x, &array![[3.5, 1.5, 2.5]], &target, &Masking::default())?;
/// assert!(found[0].unwrap() > 1.0 - 1e-12);
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
pub fn faithfulness_estimate<T: Scalar, M: Forward<T> + ?Sized>(
    model: &mut M,
    x: &ArrayRef2<T>,
    attribution: &ArrayRef2<T>,
    target: &dyn Target<T>,
    masking: &Masking<T>,
) -> Explained<Vec<Option<f64>>, M::Error> {
    let mut masked = Masked::new(model, x, target, masking)?;
    masked.check(attribution)?;
    let [full, _] = masked.ends()?;
    let drops = masked.single_drops(&full)?;
    let of_row = |row: usize| {
        let a: Vec<f64> = attribution.row(row).iter().map(|a| a.as_f64()).collect();
        let drops: Vec<f64> = drops.row(row).iter().map(|drop| drop.as_f64()).collect();
        let full = full[row].as_f64();
        let largest = drops.iter().map(|drop| (full - drop).abs()).fold(full.abs(), f64::max);
        pearson((&a, 0.0), (&drops, largest * T::epsilon().as_f64()))
    };
    Ok((0..x.nrows()).map(of_row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::target::Logit;
    use crate::attribution::{Batch, Network};
    use ndarray::array;

    #[test]
    fn a_linear_model_by_hand() {
        let mut model = Network::new(3).linear(array![[1.0, 2.0, 0.0]], None).unwrap();
        let (x, attribution) = (array![[1.0, 1.0, 1.0], [0.0, 0.0, 5.0]], array![[0.0, 1.0, 2.0], [0.0, 1.0, 2.0]]);
        for batch in [Batch::Auto, Batch::Rows(1)] {
            let masking = Masking { batch, ..Masking::default() };
            let found = faithfulness_estimate(&mut model, &x, &attribution, &Logit::of(0), &masking).unwrap();
            // drops (1, 2, 0): covariance -1, variances 2 and 2; the second row has no drops
            assert!((found[0].unwrap() + 0.5).abs() < 1e-15);
            assert_eq!(found[1], None);
        }
    }
}
