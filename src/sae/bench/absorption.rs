//! Absorption: latents of special cases that take over from the main latents of a concept.
//!
//! ```text
//! p = probe/‖probe‖       a = x·p              what the sample holds of the concept
//! c_i = cos(p, d_i)       q_i = f_i c_i        what latent i says of it
//! M = Σ_main q            T = Σ of the largest q of others with c_i >= absorber_cosine and q_i > 0
//! fraction = 0                                 where M >= a or T/a < proportion
//!            1                                 else where M <= 0
//!            t/(t + M),  t = min(T, a - M)     else
//! full     = every main latent is silent, the latent with the largest q has c >= full_cosine, a >= 0 and q/a >= proportion
//! ```
//!
//! Source: Chanin et al., "A is for absorption" (arXiv 2409.14507), section 4, for full absorption; `SAEBench`
//! (arXiv 2503.09532) for the fraction.

use alloc::vec;
use alloc::vec::Vec;

use ndarray::{Array1, ArrayRef1, ArrayRef2, ArrayView1};

use crate::error::{check_each, check_finite, check_not_empty, check_shape};
use crate::math::directions::{cosines, largest, unit_rows};
use crate::math::gemm::product;
use crate::math::select::top_k;
use crate::{Error, Result, Scalar};

/// What counts as absorption. The default is that of `SAEBench`.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct AbsorptionLimits {
    /// Smallest cosine of an absorbing latent with the probe.
    pub absorber_cosine: f64,
    /// Smallest share of the sample's projection that must have been absorbed.
    pub proportion: f64,
    /// Most latents that absorb together.
    pub max_absorbers: usize,
    /// Smallest cosine of the one latent of a full absorption.
    pub full_cosine: f64,
    /// Magnitude from which a latent counts as active.
    pub fired: f64,
}

impl Default for AbsorptionLimits {
    fn default() -> Self {
        Self { absorber_cosine: 0.1, proportion: 0.4, max_absorbers: 3, full_cosine: 0.025, fired: 1e-8 }
    }
}

/// Absorption in every sample, and on average.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Absorption {
    /// Share of the concept that others have absorbed, `(b)`, from 0 to 1.
    pub fraction: Array1<f64>,
    /// Whether a single other latent has absorbed it, `(b)`.
    pub full: Vec<bool>,
    /// Mean of `fraction`.
    pub mean_fraction: f64,
    /// Share of the samples with full absorption.
    pub full_rate: f64,
}

/// Absorption in samples that hold a concept: `activations: (b, d)`, `features: (b, m)`, `w_dec: (m, d)`, the `probe: (d)`
/// of the concept, and its `main` latents.
///
/// # Errors
/// [`Error::Empty`], [`Error::Shape`], [`Error::NotFinite`]; [`Error::OutOfRange`] for a zero probe, for a latent that
/// does not exist, and for limits that are not finite or a negative proportion.
///
/// # Example
/// ```
/// use limpid::sae::bench::absorption::{AbsorptionLimits, absorption};
/// use ndarray::array;
///
/// // latent 0 stands for the concept along the first axis; in sample 1 latent 1 does its work
/// let (w_dec, probe) = (array![[1.0, 0.0], [0.6, 0.8]], array![1.0, 0.0]);
/// let (x, f) = (array![[2.0, 0.0], [3.0, 4.0]], array![[2.0, 0.0], [0.0, 5.0]]);
/// let found = absorption(&x, &f, &w_dec, &probe, &[0], &AbsorptionLimits::default())?;
/// assert_eq!((found.fraction, found.full), (array![0.0, 1.0], vec![false, true]));
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn absorption<T: Scalar>(
    activations: &ArrayRef2<T>,
    features: &ArrayRef2<T>,
    w_dec: &ArrayRef2<T>,
    probe: &ArrayRef1<T>,
    main: &[usize],
    limits: &AbsorptionLimits,
) -> Result<Absorption> {
    let ((b, d), m) = (activations.dim(), w_dec.nrows());
    check_not_empty("activations", activations)?;
    check_not_empty("w_dec", w_dec)?;
    check_shape("features", features, &[b, m])?;
    check_shape("w_dec", w_dec, &[m, d])?;
    check_shape("probe", probe, &[d])?;
    check_finite("activations", activations)?;
    check_finite("features", features)?;
    let main = check_settings(main, m, limits)?;
    let probe = probe.view().insert_axis(ndarray::Axis(0)).mapv(Scalar::as_f64);
    let alignment = cosines(&probe, &w_dec.mapv(Scalar::as_f64))?.remove_axis(ndarray::Axis(0));
    let unit = unit_rows(&probe);
    if unit.iter().all(|x| *x == 0.0) {
        return Err(Error::OutOfRange { what: "probe", index: 0, value: 0.0, expected: "a direction" });
    }
    let projections = product(&activations.mapv(Scalar::as_f64), &unit.t())?;
    let concept = Concept { alignment, main, limits };
    let of_rows = features.rows().into_iter().zip(&projections);
    let (fraction, full): (Vec<f64>, Vec<bool>) = of_rows.map(|(f, &a)| concept.judge(f, a)).unzip();
    let share = |sum: f64| sum / b as f64;
    Ok(Absorption {
        mean_fraction: share(fraction.iter().sum()),
        full_rate: share(full.iter().filter(|&&full| full).count() as f64),
        fraction: fraction.into(),
        full,
    })
}

/// Which latents are main ones, `(m)`.
fn check_settings(main: &[usize], m: usize, limits: &AbsorptionLimits) -> Result<Vec<bool>> {
    let mut is_main = vec![false; m];
    for (index, &latent) in main.iter().enumerate() {
        let expected = "below the number of latents";
        let error = Error::OutOfRange { what: "main", index, value: latent as f64, expected };
        *is_main.get_mut(latent).ok_or(error)? = true;
    }
    let numbers = [limits.absorber_cosine, limits.full_cosine, limits.fired];
    check_each("limits", &numbers, "finite", f64::is_finite)?;
    check_each("proportion", &[limits.proportion], "finite and >= 0", |x: f64| x >= 0.0 && x.is_finite())?;
    Ok(is_main)
}

/// What samples are judged by.
struct Concept<'a> {
    alignment: Array1<f64>,
    main: Vec<bool>,
    limits: &'a AbsorptionLimits,
}

impl Concept<'_> {
    /// Fraction and full absorption of a sample with features `f` whose projection is `a`.
    fn judge<T: Scalar>(&self, f: ArrayView1<'_, T>, a: f64) -> (f64, bool) {
        let q: Array1<f64> = f.iter().zip(&self.alignment).map(|(f, c)| f.as_f64() * c).collect();
        let main_silent = f.iter().zip(&self.main).all(|(f, &main)| !main || f.as_f64().abs() < self.limits.fired);
        let (top, most) = largest(q.view());
        let aligned = self.alignment[top] >= self.limits.full_cosine;
        let full = main_silent && aligned && a >= 0.0 && most / a >= self.limits.proportion;
        (self.fraction(&q, a), full)
    }

    fn fraction(&self, q: &Array1<f64>, a: f64) -> f64 {
        let of_main: f64 = q.iter().zip(&self.main).filter(|&(_, &main)| main).map(|(q, _)| q).sum();
        let absorbs = |i: usize| !self.main[i] && self.alignment[i] >= self.limits.absorber_cosine && q[i] > 0.0;
        let candidates: Vec<f64> = (0..q.len()).filter(|&i| absorbs(i)).map(|i| q[i]).collect();
        let absorbed: f64 = top_k(&candidates, self.limits.max_absorbers).into_iter().map(|i| candidates[i]).sum();
        // a projection of 0 gives NaN here at worst, which is no share
        let enough = absorbed / a >= self.limits.proportion;
        if of_main >= a || !enough {
            0.0
        } else if of_main <= 0.0 {
            1.0
        } else {
            let taken = absorbed.min(a - of_main);
            taken / (taken + of_main)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn of(f: [f64; 3], a: f64) -> (f64, bool) {
        let w_dec = array![[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]];
        let (x, f) = (array![[a, 0.0]], array![f]);
        let found = absorption(&x, &f, &w_dec, &array![5.0, 0.0], &[0], &AbsorptionLimits::default()).unwrap();
        (found.mean_fraction, found.full[0])
    }

    #[test]
    fn each_branch_by_hand() {
        // latent 1 says 0.8 f, latent 2 nothing
        assert_eq!(of([2.0, 1.0, 0.0], 2.0), (0.0, false));
        assert_eq!(of([0.0, 0.4, 0.0], 2.0), (0.0, false));
        assert_eq!(of([0.0, 2.0, 9.0], 2.0), (1.0, true));
        let (fraction, full) = of([0.5, 2.0, 0.0], 2.0);
        assert!((fraction - 0.75).abs() < 1e-15 && !full);
        let (fraction, _) = of([0.5, 1.25, 0.0], 2.0);
        assert!((fraction - 1.0 / 1.5).abs() < 1e-15);
        // nothing of the concept is there
        assert_eq!(of([0.0, 2.0, 0.0], -1.0), (0.0, false));
        assert_eq!(of([0.0, 0.0, 0.0], 0.0), (0.0, false));
    }

    #[test]
    fn bad_input_is_named() {
        let (x, f, w_dec) = (array![[1.0, 0.0]], array![[1.0]], array![[1.0, 0.0]]);
        let run = |probe: Array1<f64>, main: &[usize], limits| absorption(&x, &f, &w_dec, &probe, main, &limits);
        let limits = AbsorptionLimits::default();
        assert!(matches!(run(array![0.0, 0.0], &[0], limits), Err(Error::OutOfRange { what: "probe", .. })));
        assert!(matches!(run(array![1.0], &[0], limits), Err(Error::Shape { what: "probe", .. })));
        assert!(matches!(run(array![1.0, 0.0], &[1], limits), Err(Error::OutOfRange { what: "main", .. })));
        let bad = AbsorptionLimits { proportion: -1.0, ..limits };
        assert!(matches!(run(array![1.0, 0.0], &[0], bad), Err(Error::OutOfRange { what: "proportion", .. })));
    }
}
