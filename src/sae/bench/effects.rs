//! Which latents matter to a linear probe.
//!
//! ```text
//! δ = mean f over positive samples - mean f over negative ones
//! either_way     |δ_i (d_i·probe)|                      spurious correlation removal
//! positive       max(δ_i, 0) (d_i·probe), signed        targeted probe perturbation
//! ```
//!
//! Source: `SAEBench` (arXiv 2503.09532), "SCR and TPP", after Marks et al., "Sparse feature circuits" (arXiv 2403.19647).

use alloc::vec::Vec;

use ndarray::{Array1, ArrayRef1, ArrayRef2, Axis};

use crate::error::{check_finite, check_not_empty, check_shape};
use crate::math::gemm::product;
use crate::math::reduce::column_sums;
use crate::math::select::top_k;
use crate::{Result, Scalar};

/// What a latent must do to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Effect {
    /// Differ between the classes, either way.
    EitherWay,
    /// Be more active on the positive samples.
    Positive,
}

/// Effects `(m)` of latents on a `probe: (d)`, from features `positive: (b, m)` and `negative: (b', m)` of the two classes
/// (averaged over tokens) and `w_dec: (m, d)`.
///
/// # Errors
/// [`Error::Empty`](crate::Error::Empty), [`Error::Shape`](crate::Error::Shape),
/// [`Error::NotFinite`](crate::Error::NotFinite), also where a product leaves the range of the precision.
///
/// # Example
/// ```
/// use limpid::sae::bench::effects::{Effect, effects, select};
/// use ndarray::array;
///
/// let (positive, negative) = (array![[2.0, 0.0, 1.0]], array![[0.0, 3.0, 1.0]]);
/// let (probe, w_dec) = (array![1.0], array![[0.5], [2.0], [9.0]]);
/// let found = effects(&positive, &negative, &probe, &w_dec, Effect::EitherWay)?;
/// assert_eq!((found.clone(), select(&found, 5)), (array![1.0, 6.0, 0.0], vec![0, 1]));
/// assert_eq!(effects(&positive, &negative, &probe, &w_dec, Effect::Positive)?, array![1.0, 0.0, 0.0]);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn effects<T: Scalar>(
    positive: &ArrayRef2<T>,
    negative: &ArrayRef2<T>,
    probe: &ArrayRef1<T>,
    w_dec: &ArrayRef2<T>,
    kind: Effect,
) -> Result<Array1<T>> {
    check_not_empty("w_dec", w_dec)?;
    check_shape("probe", probe, &[w_dec.ncols()])?;
    check_finite("w_dec", w_dec)?;
    check_finite("probe", probe)?;
    let means = [class_mean("positive", positive, w_dec.nrows())?, class_mean("negative", negative, w_dec.nrows())?];
    let [positive, negative] = means;
    let double = |x: &ArrayRef2<T>| x.mapv(Scalar::as_f64);
    let along = product(&double(w_dec), &double(&probe.view().insert_axis(Axis(1))))?.remove_axis(Axis(1));
    let of_latent = |(difference, along): (f64, &f64)| {
        T::of(match kind {
            Effect::EitherWay => (difference * along).abs(),
            Effect::Positive if difference > 0.0 => difference * along,
            Effect::Positive => 0.0,
        })
    };
    let effects: Array1<T> = (positive - negative).into_iter().zip(&along).map(of_latent).collect();
    check_finite("effects", &effects)?;
    Ok(effects)
}

fn class_mean<T: Scalar>(what: &'static str, features: &ArrayRef2<T>, m: usize) -> Result<Array1<f64>> {
    check_not_empty(what, features)?;
    check_shape(what, features, &[features.nrows(), m])?;
    check_finite(what, features)?;
    Ok(column_sums(&features.mapv(Scalar::as_f64)) / features.nrows() as f64)
}

/// The `top` latents with the largest effects, ascending; those without an effect are never among them, so there may be
/// fewer. Of equal effects the lower index comes first.
#[must_use]
pub fn select<T: Scalar>(effects: &ArrayRef1<T>, top: usize) -> Vec<usize> {
    let with_effect: Vec<usize> = (0..effects.len()).filter(|&i| effects[i] != T::zero()).collect();
    let values: Vec<T> = with_effect.iter().map(|&i| effects[i]).collect();
    top_k(&values, top).into_iter().map(|at| with_effect[at]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use ndarray::{Array2, array};

    #[test]
    fn signs_are_kept_where_they_count() {
        let (positive, negative) = (array![[1.0, 0.0], [3.0, 0.0]], array![[1.0, 1.0]]);
        let (probe, w_dec) = (array![2.0, -1.0], array![[0.0, 3.0], [1.0, 0.0]]);
        let of = |kind| effects(&positive, &negative, &probe, &w_dec, kind).unwrap();
        assert_eq!(of(Effect::EitherWay), array![3.0, 2.0]);
        assert_eq!(of(Effect::Positive), array![-3.0, 0.0]);
    }

    #[test]
    fn the_largest_come_first_and_none_without_an_effect() {
        assert_eq!(select(&array![0.0, 2.0, 0.0, 2.0, -1.0, 3.0], 2), [1, 5]);
        assert_eq!(select(&array![0.0, 2.0, 0.0, 2.0, -1.0], usize::MAX), [1, 3, 4]);
        assert!(select(&Array1::<f32>::zeros(3), 2).is_empty());
    }

    #[test]
    fn bad_input_is_named() {
        let (x, probe, w_dec) = (array![[1.0]], array![1.0], array![[1.0]]);
        let none = Array2::<f64>::zeros((0, 1));
        let run = |a: &Array2<f64>, b: &Array2<f64>, w: &Array2<f64>| effects(a, b, &probe, w, Effect::Positive);
        assert!(matches!(run(&none, &x, &w_dec), Err(Error::Empty { what: "positive" })));
        assert!(matches!(run(&x, &array![[1.0, 2.0]], &w_dec), Err(Error::Shape { what: "negative", .. })));
        assert!(matches!(run(&x, &none, &w_dec), Err(Error::Empty { what: "negative" })));
        assert!(matches!(run(&array![[1e300]], &x, &array![[1e300]]), Err(Error::NotFinite { what: "effects", .. })));
    }
}
