//! From pre-activations to features.
//!
//! ```text
//! relu           f = max(z, 0)
//! top_k          f = max(z, 0) on the k largest scores of each sample
//! batch_top_k    f = max(z, 0) on the ⌊k b⌋ largest of the whole batch; at inference where max(z, 0) > threshold
//! jump_relu      f = z [z > θ]
//! gated          f = [z > 0] max(m, 0),  m = u exp(r_mag) + b_mag,  u = z - b_enc before the bias was added
//! group_max      latents in k runs of equal length; f = max(z, 0) on the largest of each run
//! ```
//!
//! The score is `z`, or `z ‖w_dec_i‖` with `by_decoder_norm`. Equal scores: the lower index wins. Whether the choice comes
//! before or after the rectification makes no difference.
//!
//! Source: Gao et al. (arXiv 2406.04093) for top-k; Bussmann et al. (arXiv 2412.06410) for batch top-k; Rajamanoharan et
//! al. (arXiv 2407.14435) for JumpReLU and (arXiv 2404.16014) for gated; group-max is that of EleutherAI's sparsify.

use alloc::vec::Vec;

use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2};

use crate::error::{check_each, check_finite, check_shape};
use crate::math::select::top_k;
use crate::{Error, Result, Scalar};

/// The activation function of an autoencoder, with its parameters.
#[derive(Debug, Clone, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Activation<T> {
    /// `max(z, 0)`.
    #[default]
    Relu,
    /// The `k` largest of each sample.
    TopK {
        /// Latents that may be active in a sample.
        k: usize,
        /// Whether the choice goes by `z ‖w_dec_i‖`; the features stay plain.
        by_decoder_norm: bool,
    },
    /// The `⌊k b⌋` largest of a batch.
    BatchTopK {
        /// Mean number of active latents per sample.
        k: f64,
        /// Whether the choice goes by `z ‖w_dec_i‖`; the features stay plain.
        by_decoder_norm: bool,
        /// What a score must exceed at inference, where the rest of the batch must not matter; `None` uses the batch.
        threshold: Option<T>,
    },
    /// `z` above a threshold per latent.
    JumpRelu {
        /// Thresholds `(m)`.
        threshold: Array1<T>,
    },
    /// A gate decides, another scaling of the same projection gives the size.
    Gated {
        /// Bias `(m)` of the size.
        b_mag: Array1<T>,
        /// Logarithm `(m)` of the scaling of the size.
        r_mag: Array1<T>,
    },
    /// The largest of each of `k` runs of latents.
    GroupMax {
        /// Number of runs; divides the number of latents.
        k: usize,
    },
    /// Greedy residual fitting with the decoder; Costa et al. (2025), arXiv:2506.03093.
    MatchingPursuit {
        /// Length of the residual at which a sample is done; 0 for never.
        residual_threshold: T,
        /// Most latents that are added; `None` for `d_in`.
        max_iterations: Option<usize>,
        /// Whether to stop as soon as a latent comes again.
        stop_on_duplicate_support: bool,
    },
}

impl<T: Scalar> Activation<T> {
    /// Checks the parameters for `m` latents.
    pub(super) fn check(&self, m: usize) -> Result<()> {
        let at_most_m =
            |k: usize| check_each("k", &[k as f64], "1 <= k <= latents", |k: f64| k >= 1.0 && k <= m as f64);
        match self {
            Self::Relu => Ok(()),
            Self::TopK { k, .. } => at_most_m(*k),
            Self::BatchTopK { k, threshold, .. } => {
                check_each("k", &[*k], "0 < k <= latents", |k: f64| k > 0.0 && k <= m as f64)?;
                threshold.map_or(Ok(()), |t| check_each("threshold", &[t], "finite", |t: T| t.is_finite()))
            }
            Self::JumpRelu { threshold } => {
                check_shape("threshold", threshold, &[m])?;
                check_finite("threshold", threshold)
            }
            Self::Gated { b_mag, r_mag } => {
                check_shape("b_mag", b_mag, &[m])?;
                check_shape("r_mag", r_mag, &[m])?;
                check_finite("b_mag", b_mag)?;
                check_finite("r_mag", r_mag)
            }
            Self::GroupMax { k } => {
                at_most_m(*k)?;
                if m.is_multiple_of(*k) { Ok(()) } else { Err(Error::Unsupported { what: "groups of different size" }) }
            }
            Self::MatchingPursuit { residual_threshold, .. } => {
                check_each("residual_threshold", &[*residual_threshold], "finite and >= 0", |r: T| {
                    r >= T::zero() && r.is_finite()
                })
            }
        }
    }

    /// Whether the choice of active latents needs the norms of the decoder.
    pub(super) fn needs_norms(&self) -> bool {
        matches!(self, Self::TopK { by_decoder_norm: true, .. } | Self::BatchTopK { by_decoder_norm: true, .. })
    }

    /// Features `(b, m)` from pre-activations `z: (b, m)`; `b_enc` is the bias that they contain, `norms: (m)` those of the
    /// decoder. `training` lets batch top-k ignore its threshold.
    pub(super) fn features(
        &self,
        z: &ArrayRef2<T>,
        b_enc: &ArrayRef1<T>,
        norms: Option<&Array1<T>>,
        training: bool,
    ) -> Array2<T> {
        let relu = z.mapv(rectify);
        match self {
            Self::Relu | Self::MatchingPursuit { .. } => relu,
            Self::TopK { k, .. } => keep_rows(relu, &scores(z, norms), *k),
            Self::BatchTopK { threshold: Some(threshold), .. } if !training => {
                let mut features = relu;
                let scores = scores(z, norms);
                features.zip_mut_with(&scores, |f, &score| {
                    if rectify(score) <= *threshold || score.is_nan() {
                        *f = T::zero();
                    }
                });
                features
            }
            Self::BatchTopK { k, .. } => keep_batch(relu, &scores(z, norms), *k),
            Self::JumpRelu { threshold } => {
                let mut features = z.to_owned();
                for mut row in features.rows_mut() {
                    row.zip_mut_with(threshold, |z, &t| *z = if *z > t { *z } else { T::zero() });
                }
                features
            }
            Self::Gated { b_mag, r_mag } => {
                let mut features = magnitude(z, b_enc, b_mag, r_mag);
                features.zip_mut_with(z, |m, &gate| *m = if gate > T::zero() { rectify(*m) } else { T::zero() });
                features
            }
            Self::GroupMax { k } => keep_largest_of_runs(relu, z, *k),
        }
    }
}

/// `max(x, 0)`, NaN kept.
#[inline(always)]
pub(super) fn rectify<T: Scalar>(x: T) -> T {
    if x <= T::zero() { T::zero() } else { x }
}

/// `m = (z - b_enc) exp(r_mag) + b_mag` of the gated activation, `(b, m)`.
pub(super) fn magnitude<T: Scalar>(
    z: &ArrayRef2<T>,
    b_enc: &ArrayRef1<T>,
    b_mag: &Array1<T>,
    r_mag: &Array1<T>,
) -> Array2<T> {
    let mut size = z.to_owned();
    let scale = r_mag.mapv(T::exp);
    for mut row in size.rows_mut() {
        for ((z, &b), (&scale, &shift)) in row.iter_mut().zip(b_enc).zip(scale.iter().zip(b_mag)) {
            *z = (*z - b) * scale + shift;
        }
    }
    size
}

/// What latents are chosen by.
pub(super) fn scores<T: Scalar>(z: &ArrayRef2<T>, norms: Option<&Array1<T>>) -> Array2<T> {
    norms.map_or_else(|| z.to_owned(), |norms| &z.view() * norms)
}

fn keep_rows<T: Scalar>(mut features: Array2<T>, scores: &Array2<T>, k: usize) -> Array2<T> {
    for (mut features, scores) in features.rows_mut().into_iter().zip(scores.rows()) {
        let chosen = top_k(&scores.to_vec(), k);
        keep(features.iter_mut(), &chosen);
    }
    features
}

fn keep_batch<T: Scalar>(mut features: Array2<T>, scores: &Array2<T>, k: f64) -> Array2<T> {
    let budget = budget(k, features.nrows());
    let flat: Vec<T> = scores.iter().map(|&score| rectify(score)).collect();
    let chosen = top_k(&flat, budget);
    keep(features.iter_mut(), &chosen);
    features
}

/// `⌊k rows⌋`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "k was checked to be at most the latents")]
pub(super) fn budget(k: f64, rows: usize) -> usize {
    (k * rows as f64) as usize
}

/// Sets all but the chosen entries to 0; `chosen` is ascending.
fn keep<'a, T: Scalar + 'a>(features: impl Iterator<Item = &'a mut T>, chosen: &[usize]) {
    let mut next = chosen.iter().peekable();
    for (i, f) in features.enumerate() {
        if next.next_if(|&&kept| kept == i).is_none() {
            *f = T::zero();
        }
    }
}

fn keep_largest_of_runs<T: Scalar>(mut features: Array2<T>, z: &ArrayRef2<T>, k: usize) -> Array2<T> {
    let run = features.ncols() / k.max(1);
    for (mut features, z) in features.rows_mut().into_iter().zip(z.rows()) {
        let values = z.to_vec();
        let chosen: Vec<usize> = (values.chunks(run.max(1)).enumerate())
            .flat_map(|(index, values)| top_k(values, 1).into_iter().map(move |i| index * run + i))
            .collect();
        keep(features.iter_mut(), &chosen);
    }
    features
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn batch_top_k(z: &Array2<f64>, k: f64) -> Array2<f64> {
        let activation = Activation::BatchTopK { k, by_decoder_norm: false, threshold: None };
        activation.features(z, &Array1::zeros(z.ncols()), None, true)
    }

    #[test]
    fn batch_top_k_shares_its_budget_over_the_batch() {
        let z = array![[1.0, -2.0, 3.0, -4.0], [-5.0, 6.0, -7.0, 8.0]];
        assert_eq!(batch_top_k(&z, 2.0), array![[1.0, 0.0, 3.0, 0.0], [0.0, 6.0, 0.0, 8.0]]);
        assert_eq!(batch_top_k(&z, 1.5), array![[0.0, 0.0, 3.0, 0.0], [0.0, 6.0, 0.0, 8.0]]);
        let uneven = array![[1.0, 2.0, 3.0, 4.0], [-5.0, -6.0, 0.5, -8.0]];
        assert_eq!(batch_top_k(&uneven, 2.0), array![[1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 0.0, 0.0]]);
    }

    #[test]
    fn a_threshold_replaces_the_batch_at_inference() {
        let activation = Activation::BatchTopK { k: 1.0, by_decoder_norm: false, threshold: Some(0.5) };
        let (z, bias) = (array![[0.4, 0.5, 0.6]], Array1::zeros(3));
        assert_eq!(activation.features(&z, &bias, None, false), array![[0.0, 0.0, 0.6]]);
    }

    #[test]
    fn ties_go_to_the_lower_index_and_runs_keep_one_each() {
        let (z, bias) = (array![[1.0, 1.0, 1.0, -1.0]], Array1::zeros(4));
        let top = Activation::TopK { k: 2, by_decoder_norm: false };
        assert_eq!(top.features(&z, &bias, None, true), array![[1.0, 1.0, 0.0, 0.0]]);
        let scored = Activation::TopK { k: 1, by_decoder_norm: true };
        assert_eq!(scored.features(&z, &bias, Some(&array![1.0, 1.0, 2.0, 9.0]), true), array![[0.0, 0.0, 1.0, 0.0]]);
        let runs = Activation::GroupMax { k: 2 };
        assert_eq!(runs.features(&z, &bias, None, true), array![[1.0, 0.0, 1.0, 0.0]]);
    }

    #[test]
    fn settings_that_do_not_fit_are_named() {
        assert!(Activation::<f32>::TopK { k: 5, by_decoder_norm: false }.check(4).is_err());
        assert!(Activation::<f32>::GroupMax { k: 3 }.check(4).is_err());
        assert!(Activation::JumpRelu { threshold: array![f64::INFINITY] }.check(1).is_err());
        assert!(Activation::JumpRelu { threshold: array![0.1] }.check(2).is_err());
    }
}
