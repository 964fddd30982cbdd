//! Functions of a curvature, as functions of its eigenvalues.
//!
//! ```text
//! φ(C) V = Q_S [ (Q_Sᵀ V Q_A) ∘ φ(Λ) ] Q_Aᵀ
//!
//! damped inverse     1/(l + λ)                 pseudo-inverse   1/l where l > c·mean, else 0
//! factored damping   1/((l_S + √λ/π)(l_A + π√λ)),  π = √(mean l_A / mean l_S)
//! Tikhonov filter    l/(l² + α²), α = c·mean   inverse root     1/√(l + λ)
//! SOURCE             (1 - exp(-ηK l))/l        decay            exp(-ηK l)
//! ```
//!
//! `λ` relative to the mean eigenvalue of each layer, 0.1 of it, is the usual choice. SOURCE needs no damping: where `l`
//! goes to 0 it goes to `ηK`.
//!
//! Source: Grosse et al., "Studying large language model generalization with influence functions" (2023), equation 21 and
//! the damping there, <https://arxiv.org/abs/2308.03296>; Martens and Grosse (2015), section 6.3 (factored damping),
//! <https://arxiv.org/abs/1503.05671>; Bae et al., "Training data attribution via approximate unrolled differentiation"
//! (2024), <https://arxiv.org/abs/2405.12186> (SOURCE).

use ndarray::Array2;

use crate::{Error, Result};

/// What is added to the eigenvalues before they are inverted.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Damping {
    /// This number.
    Absolute(f64),
    /// This share of the mean eigenvalue of the layer.
    RelativeMean(f64),
    /// This number, split between the two factors in proportion to their means; only K-FAC has the factors for it.
    Factored(f64),
}

impl Default for Damping {
    fn default() -> Self {
        Self::RelativeMean(0.1)
    }
}

/// A function of the eigenvalues of a curvature.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Spectral {
    /// `1/(l + λ)`: influence functions.
    DampedInverse(Damping),
    /// `1/l` for eigenvalues above this share of their mean, 0 for the others.
    PseudoInverse {
        /// The share.
        relative: f64,
    },
    /// `l/(l² + α²)` with `α` this share of the mean.
    Tikhonov {
        /// The share.
        relative: f64,
    },
    /// `1/√(l + λ)`, for both sides of a cosine.
    InverseSqrt(Damping),
    /// `(1 - exp(-ηK l))/l`: one segment of training by gradient descent.
    Source {
        /// Learning rate `η`.
        rate: f64,
        /// Steps `K`.
        steps: u64,
    },
    /// `exp(-ηK l)`: what a segment of training leaves of what was there before.
    Decay {
        /// Learning rate `η`.
        rate: f64,
        /// Steps `K`.
        steps: u64,
    },
    /// `(l + λ)^p`.
    Power(f64, Damping),
}

impl Default for Spectral {
    fn default() -> Self {
        Self::DampedInverse(Damping::default())
    }
}

/// The eigenvalues of one layer, and those of its factors where they have a meaning.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spectrum<'a> {
    pub(super) eigenvalues: &'a Array2<f64>,
    /// `l_S` and `l_A`, whose products are the eigenvalues.
    pub(super) factors: Option<(&'a [f64], &'a [f64])>,
}

impl Spectral {
    /// `φ` of every eigenvalue, `(d_out, d)`.
    pub(super) fn of(&self, spectrum: Spectrum<'_>) -> Result<Array2<f64>> {
        let l = spectrum.eigenvalues;
        let mean = mean(l);
        let out = match *self {
            Self::DampedInverse(damping) => invert(&damped(damping, spectrum)?)?,
            Self::InverseSqrt(damping) => invert(&damped(damping, spectrum)?.mapv(libm::sqrt))?,
            Self::Power(power, damping) => {
                let damped = damped(damping, spectrum)?;
                check("power", power, f64::is_finite(power), "a finite number")?;
                if power < 0.0 {
                    invert(&damped.mapv(|l| libm::pow(l, -power)))?
                } else {
                    damped.mapv(|l| libm::pow(l, power))
                }
            }
            Self::PseudoInverse { relative } => {
                check("relative", relative, relative >= 0.0, "a number >= 0")?;
                l.mapv(|l| if l > relative * mean { 1.0 / l } else { 0.0 })
            }
            Self::Tikhonov { relative } => {
                check("relative", relative, relative > 0.0, "a number > 0")?;
                let alpha = relative * mean;
                l.mapv(|l| if l > 0.0 { 1.0 / (l + alpha * (alpha / l)) } else { 0.0 })
            }
            Self::Source { rate, steps } => {
                let time = time(rate, steps)?;
                l.mapv(|l| if l * time < 1e-300 { time } else { -libm::expm1(-time * l) / l })
            }
            Self::Decay { rate, steps } => {
                let time = time(rate, steps)?;
                l.mapv(|l| libm::exp(-time * l))
            }
        };
        if out.iter().all(|x| x.is_finite()) { Ok(out) } else { Err(Error::Singular { what: "curvature" }) }
    }

    /// The number `λ` that is added to every eigenvalue; `None` where there is none, or not one for all.
    pub(super) fn damping(&self, eigenvalues: &Array2<f64>) -> Option<f64> {
        match self {
            Self::DampedInverse(damping) | Self::InverseSqrt(damping) | Self::Power(_, damping) => match damping {
                Damping::Absolute(lambda) => Some(*lambda),
                Damping::RelativeMean(share) => Some(share * mean(eigenvalues)),
                Damping::Factored(_) => None,
            },
            _ => None,
        }
    }
}

fn mean(l: &Array2<f64>) -> f64 {
    if l.is_empty() { 0.0 } else { l.sum() / l.len() as f64 }
}

fn time(rate: f64, steps: u64) -> Result<f64> {
    check("rate", rate, rate >= 0.0 && rate.is_finite(), "a finite number >= 0")?;
    Ok(rate * steps as f64)
}

fn check(what: &'static str, value: f64, holds: bool, expected: &'static str) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::OutOfRange { what, index: 0, value, expected }) }
}

/// The damped eigenvalues.
fn damped(damping: Damping, spectrum: Spectrum<'_>) -> Result<Array2<f64>> {
    let (Damping::Absolute(value) | Damping::RelativeMean(value) | Damping::Factored(value)) = damping;
    check("damping", value, value >= 0.0 && value.is_finite(), "a finite number >= 0")?;
    let l = spectrum.eigenvalues;
    match damping {
        Damping::Absolute(lambda) => Ok(l.mapv(|l| l + lambda)),
        Damping::RelativeMean(share) => {
            let lambda = share * mean(l);
            Ok(l.mapv(|l| l + lambda))
        }
        Damping::Factored(lambda) => {
            let Some((s, a)) = spectrum.factors else {
                return Err(Error::Unsupported { what: "factored damping of a curvature that has no factors" });
            };
            let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len().max(1) as f64;
            let (mean_s, mean_a) = (mean(s), mean(a));
            if !(mean_s > 0.0 && mean_a > 0.0) {
                return Err(Error::Singular { what: "curvature" });
            }
            let (pi, root) = (libm::sqrt(mean_a / mean_s), libm::sqrt(lambda));
            Ok(Array2::from_shape_fn(l.raw_dim(), |(i, j)| (s[i] + root / pi) * (a[j] + pi * root)))
        }
    }
}

/// `1/x`; what is zero to working precision beside the largest has no inverse.
fn invert(x: &Array2<f64>) -> Result<Array2<f64>> {
    let largest = x.iter().fold(0.0_f64, |m, &x| m.max(x));
    if x.iter().any(|&x| x <= f64::EPSILON * largest) {
        return Err(Error::Singular { what: "damped curvature" });
    }
    Ok(x.mapv(|x| 1.0 / x))
}
