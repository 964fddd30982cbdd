//! Resampling: dead latents start again at inputs that are reconstructed badly.
//!
//! ```text
//! bricken_2023          p(x) ∝ (‖x - x'‖²)²    w_dec_i = x/‖x‖    w_enc_i = 0.2 mean_alive ‖w_enc_j‖ · x/‖x‖    b_enc_i = 0
//! dictionary_learning   p(x) ∝ ‖x - x'‖        the same, but w_enc_i takes x itself instead of x/‖x‖
//! ```
//!
//! The moments of all changed entries become 0, the step count of the optimiser stays.
//!
//! Source: Bricken et al. (2023), appendix "Neuron Resampling".

use alloc::vec::Vec;

use ndarray::{Array1, ArrayRef2};

use super::adam::Moments;
use crate::error::check_shape;
use crate::math::random::uniform;
use crate::math::reduce::norm;
use crate::sae::Sae;
use crate::{Dims, Error, Result, Scalar, Seed};

const PURPOSE: u64 = 0x5245_5341;

/// Which recipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum ResampleRule {
    /// The published one.
    #[default]
    Bricken2023,
    /// That of the library dictionary_learning.
    DictionaryLearning,
}

/// Chances `(b)` that each input of `x: (b, d)` is drawn, given its `reconstruction: (b, d)`; equal ones where every error
/// is 0.
///
/// # Errors
/// [`Error::Shape`]; [`Error::Empty`] without inputs.
pub fn resample_probabilities<T: Scalar>(
    rule: ResampleRule,
    x: &ArrayRef2<T>,
    reconstruction: &ArrayRef2<T>,
) -> Result<Array1<f64>> {
    check_shape("reconstruction", reconstruction, x.shape())?;
    if x.nrows() == 0 {
        return Err(Error::Empty { what: "x" });
    }
    let error = &x.view() - &reconstruction.view();
    let chance = |row: ndarray::ArrayView1<'_, T>| {
        let length = norm(&row).as_f64();
        if rule == ResampleRule::Bricken2023 { length * length * (length * length) } else { length }
    };
    let mut chances: Array1<f64> = error.rows().into_iter().map(chance).collect();
    let total = chances.sum();
    if total > 0.0 && total.is_finite() {
        chances /= total;
    } else {
        chances.fill(1.0 / x.nrows() as f64);
    }
    Ok(chances)
}

/// `count` rows drawn with replacement by their `probabilities`, a function of seed and step.
#[must_use]
pub fn draw_inputs(probabilities: &Array1<f64>, count: usize, seed: Seed, step: u64) -> Vec<usize> {
    let mut stream = seed.stream(PURPOSE, step);
    let mut total = 0.0;
    let up_to: Vec<f64> = probabilities.iter().map(|p| (total += p, total).1).collect();
    let last = probabilities.len().saturating_sub(1);
    let mut draw = || {
        let u = uniform::<f64>(&mut stream) * total;
        up_to.partition_point(|&sum| sum <= u).min(last)
    };
    (0..count).map(|_| draw()).collect()
}

/// Gives the dead latents, in ascending order, the inputs `x[chosen]`; latents beyond the chosen ones stay as they are.
/// Returns the latents that were changed. `moments` are those of the optimiser, if it has any.
///
/// # Errors
/// Those of [`Sae::check`]; [`Error::Shape`], [`Error::OutOfRange`] for an input that does not exist. Inputs of length 0 are
/// passed over.
pub fn resample<T: Scalar>(
    sae: &mut Sae<T>,
    moments: Option<&mut Moments<T>>,
    rule: ResampleRule,
    dead: &[bool],
    x: &ArrayRef2<T>,
    chosen: &[usize],
) -> Result<Vec<usize>> {
    sae.check()?;
    check_shape("x", x, &[x.nrows(), sae.d_out()])?;
    if dead.len() != sae.latents() {
        return Err(Error::Shape {
            what: "dead",
            expected: Dims::new(&[sae.latents()]),
            got: Dims::new(&[dead.len()]),
        });
    }
    for (index, &row) in chosen.iter().enumerate() {
        if row >= x.nrows() {
            return Err(Error::OutOfRange { what: "chosen", index, value: row as f64, expected: "a row of x" });
        }
    }
    if sae.d_in() != sae.d_out() {
        return Err(Error::Unsupported { what: "resampling of a transcoder" });
    }
    let size = T::of(0.2) * mean_alive(sae, dead);
    let mut changed = Vec::new();
    for (latent, &row) in (0..dead.len()).filter(|&i| dead[i]).zip(chosen) {
        let input = x.row(row);
        let length = norm(&input);
        if length > T::zero() {
            let direction = input.mapv(|v| v / length);
            let encoder =
                if rule == ResampleRule::Bricken2023 { direction.mapv(|v| v * size) } else { input.mapv(|v| v * size) };
            sae.w_enc.column_mut(latent).assign(&encoder);
            sae.w_dec.row_mut(latent).assign(&direction);
            sae.b_enc[latent] = T::zero();
            changed.push(latent);
        }
    }
    if let Some(moments) = moments {
        moments.forget_latents(&changed);
    }
    Ok(changed)
}

/// Mean norm of the encoder vectors that are alive; 1 where none is, for an encoder of length 0 would stay dead.
fn mean_alive<T: Scalar>(sae: &Sae<T>, dead: &[bool]) -> T {
    let alive: Vec<T> = (0..dead.len()).filter(|&i| !dead[i]).map(|i| norm(&sae.w_enc.column(i))).collect();
    if alive.is_empty() { T::one() } else { alive.iter().copied().sum::<T>() / T::of(alive.len() as f64) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sae::Activation;
    use ndarray::array;

    #[test]
    fn chances_follow_the_squared_loss() {
        let (x, y) = (array![[1.0, 0.0], [2.0, 0.0]], array![[0.0, 0.0], [0.0, 0.0]]);
        let p = resample_probabilities(ResampleRule::Bricken2023, &x, &y).unwrap();
        assert!((p[1] - 16.0 / 17.0).abs() < 1e-15);
        let same = resample_probabilities(ResampleRule::DictionaryLearning, &x, &x).unwrap();
        assert_eq!(same, array![0.5, 0.5]);
        let drawn = draw_inputs(&p, 2000, Seed(1), 0);
        let share = drawn.iter().filter(|&&row| row == 1).count() as f64 / 2000.0;
        assert!((share - 16.0 / 17.0).abs() < 0.03);
    }

    #[test]
    fn only_dead_latents_move() {
        let mut sae = Sae::<f64>::initialise(2, 3, Activation::Relu, Seed(0)).unwrap();
        let before = sae.clone();
        let changed =
            resample(&mut sae, None, ResampleRule::Bricken2023, &[false, true, true], &array![[0.0, 2.0]], &[0]);
        assert_eq!(changed.unwrap(), [1]);
        assert_eq!((sae.w_dec.row(1).to_owned(), sae.w_dec.row(2)), (array![0.0, 1.0], before.w_dec.row(2)));
        assert!((sae.w_enc[[1, 1]] - 0.2).abs() < 1e-15);
        assert!(resample(&mut sae, None, ResampleRule::Bricken2023, &[true; 3], &array![[0.0, 2.0]], &[1]).is_err());
    }
}
