//! Targets that read the whole distribution: entropy, divergence from a second context, and the size of its head.

use alloc::vec::Vec;

use ndarray::Array2;

use super::contrast::{check_reference, with_row};
use super::{Target, log_sum_exp};
use crate::error::{check_each, check_finite, check_not_empty};
use crate::math::select::order;
use crate::{Result, Scalar};

/// `H = -Σ p ln p` in nats, with `0 ln 0 = 0`.
///
/// # Example
/// ```
/// use limpid::attribution::target::{Entropy, Target};
/// assert_eq!(Entropy.value(0, &[0.0, 0.0]), core::f64::consts::LN_2);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Entropy;

/// `KL(p ‖ p') = Σ p (ln p - ln p')` in nats, `p'` that of a second context, held constant.
///
/// With a filter, both distributions are cut to the classes that either context keeps, and renormalised: first the smallest
/// set of most probable classes with a mass of at least `top_p`, of that the `top_k` most probable.
#[derive(Debug, Clone, PartialEq)]
pub struct KlDivergence<T> {
    /// Logits `z': (b, c)` of the second context.
    pub reference: Array2<T>,
    /// Keep at most this many classes of each context, 0 for all.
    pub top_k: usize,
    /// Keep the most probable classes of each context up to this mass, 1 for all.
    pub top_p: f64,
    /// Keep at least this many classes of each context, whatever `top_p` says.
    pub min_kept: usize,
}

impl<T> KlDivergence<T> {
    /// From the logits `z': (b, c)` of a second context, over all classes.
    pub fn from(reference: Array2<T>) -> Self {
        Self { reference, top_k: 0, top_p: 1.0, min_kept: 1 }
    }
}

/// Number of most probable classes whose probabilities sum to at least `mass`.
///
/// A count has no gradient, so this is a score and no [`Target`].
///
/// # Errors
/// [`Error::Empty`](crate::Error::Empty), [`Error::NotFinite`](crate::Error::NotFinite),
/// [`Error::OutOfRange`](crate::Error::OutOfRange) for a mass outside `(0, 1]`.
///
/// # Example
/// ```
/// use limpid::attribution::target::top_p_size;
/// use ndarray::array;
/// assert_eq!(top_p_size(&array![10.0, 10.0, -10.0], 0.9)?, 2);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn top_p_size<T: Scalar>(z: &ndarray::ArrayRef1<T>, mass: f64) -> Result<usize> {
    check_not_empty("z", z)?;
    check_finite("z", z)?;
    check_mass(mass)?;
    Ok(head(&z.to_vec(), mass, 1).len())
}

fn check_mass(mass: f64) -> Result<()> {
    check_each("mass", &[mass], "0 < mass <= 1", |mass: f64| mass > 0.0 && mass <= 1.0)
}

/// The most probable classes up to a mass, most probable first; at least `least` of them where there are so many.
fn head<T: Scalar>(z: &[T], mass: f64, least: usize) -> Vec<usize> {
    let mut classes: Vec<usize> = (0..z.len()).collect();
    classes.sort_unstable_by(|&i, &j| order((z[i], i), (z[j], j)));
    if mass >= 1.0 {
        return classes;
    }
    let (total, mut sum, mut kept) = (log_sum_exp(z), 0.0, 0);
    while kept < classes.len() && (sum < mass || kept < least) {
        sum += libm::exp(z[classes[kept]].as_f64() - total);
        kept += 1;
    }
    classes.truncate(kept);
    classes
}

impl<T: Scalar> Target<T> for Entropy {
    fn check(&self, _rows: usize, outputs: usize) -> Result<()> {
        check_each("outputs", &[outputs as f64], ">= 1", |outputs: f64| outputs >= 1.0)
    }

    fn value(&self, _row: usize, z: &[T]) -> T {
        T::of(entropy(z))
    }

    fn cotangent(&self, _row: usize, z: &[T], gradient: &mut [T]) {
        let (total, entropy) = (log_sum_exp(z), entropy(z));
        for (slot, z) in gradient.iter_mut().zip(z) {
            let log = z.as_f64() - total;
            *slot = T::of(-libm::exp(log) * (log + entropy));
        }
    }
}

fn entropy<T: Scalar>(z: &[T]) -> f64 {
    let total = log_sum_exp(z);
    // `0 · -∞` cannot arise: logits are finite, and so are their logarithms
    -z.iter().map(|z| z.as_f64() - total).map(|log| libm::exp(log) * log).sum::<f64>()
}

impl<T: Scalar> KlDivergence<T> {
    /// The classes that count, ascending.
    fn kept(&self, row: usize, z: &[T]) -> Vec<usize> {
        if self.top_p >= 1.0 && (self.top_k == 0 || self.top_k >= z.len()) {
            return (0..z.len()).collect();
        }
        let cut = |z: &[T]| {
            let mut classes = head(z, self.top_p, self.min_kept);
            if self.top_k > 0 {
                classes.truncate(self.top_k);
            }
            classes
        };
        let mut kept = cut(z);
        kept.extend(with_row(&self.reference, row, cut));
        kept.sort_unstable();
        kept.dedup();
        kept
    }

    /// The classes that count with `ln p - ln p'` and `p` over them, and the divergence.
    fn terms(&self, row: usize, z: &[T]) -> (Vec<(usize, f64, f64)>, f64) {
        let kept = self.kept(row, z);
        let pick = |z: &[T]| kept.iter().map(|&class| z[class]).collect::<Vec<T>>();
        let (own, other) = (pick(z), with_row(&self.reference, row, pick));
        let (own_total, other_total) = (log_sum_exp(&own), log_sum_exp(&other));
        let logs = own.iter().zip(&other).map(|(z, other)| {
            let log = z.as_f64() - own_total;
            (log - (other.as_f64() - other_total), libm::exp(log))
        });
        let terms: Vec<_> = kept.iter().zip(logs).map(|(&class, (ratio, p))| (class, ratio, p)).collect();
        let divergence = terms.iter().map(|(_, ratio, p)| ratio * p).sum();
        (terms, divergence)
    }
}

impl<T: Scalar> Target<T> for KlDivergence<T> {
    fn check(&self, rows: usize, outputs: usize) -> Result<()> {
        check_each("outputs", &[outputs as f64], ">= 1", |outputs: f64| outputs >= 1.0)?;
        check_mass(self.top_p)?;
        check_reference(&self.reference, rows, outputs)
    }

    fn value(&self, row: usize, z: &[T]) -> T {
        T::of(self.terms(row, z).1)
    }

    fn cotangent(&self, row: usize, z: &[T], gradient: &mut [T]) {
        let (terms, divergence) = self.terms(row, z);
        gradient.fill(T::zero());
        for (class, ratio, p) in terms {
            gradient[class] = T::of(p * (ratio - divergence));
        }
    }
}
