//! `LiSSA`: `(H + λ)⁻¹ v` as a truncated Neumann series, with a fresh batch of examples in every term.
//!
//! ```text
//! added       h₀ = v,  h_t = v + h_{t-1} - (H_t h_{t-1} + λ h_{t-1})/σ           h_T/σ -> (H + λ)⁻¹ v
//! shrinking   h₀ = v,  h_t = v + (1 - δ) h_{t-1} - H_t h_{t-1}/σ                 h_T/σ -> (H + σ δ)⁻¹ v
//! ```
//!
//! Both are the same recursion with `λ = σ δ`; implementations differ in which of the two they call damping, and their
//! numbers cannot be compared before that is known. It converges where `0 < l + λ < 2σ` for every eigenvalue `l`, fastest
//! for a small `σ`. After `T` steps a direction with `(l + λ) T/σ ≪ 1` has received about `T/σ` instead of `1/(l + λ)`: the
//! truncation damps by about `σ/T` on top.
//!
//! Divergence is detected, not returned: a step of a convergent recursion never lengthens what it adds.
//!
//! Source: Agarwal, Bullins and Hazan, "Second-Order Stochastic Optimization for Machine Learning in Linear Time" (arXiv
//! 1602.03943); Koh and Liang (arXiv 1703.04730), section 3, for the shrinking form.

use alloc::vec;
use alloc::vec::Vec;

use ndarray::{Array1, ArrayRef1};

use super::operator::{BatchOperator, LinearOperator};
use crate::error::{check_each, check_finite, check_length};
use crate::math::random::{below, fill_normal};
use crate::math::reduce::{dot, norm};
use crate::{Error, Result, Seed};

/// Purposes of the random streams.
const POWER: u64 = 0x70_6f77_6572;
const BATCHES: u64 = 0x6c_6973_7361;

/// Products that estimate the largest eigenvalue.
const POWER_STEPS: usize = 30;

/// How often a scale that diverged is doubled.
const DOUBLINGS: usize = 16;

/// What damps the inverse.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum LissaDamping {
    /// `λ` itself: the result tends to `(H + λ)⁻¹ v`.
    Added(f64),
    /// The share `δ` by which every step shrinks: the result tends to `(H + σ δ)⁻¹ v`.
    Shrinking(f64),
}

impl LissaDamping {
    /// What is added to the eigenvalues under the scale `σ`.
    #[must_use]
    pub fn effective(self, scale: f64) -> f64 {
        match self {
            Self::Added(damping) => damping,
            Self::Shrinking(share) => scale * share,
        }
    }
}

/// The scale `σ`.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum LissaScale {
    /// This one; where it diverges, an error.
    Fixed(f64),
    /// A tenth above the largest eigenvalue by power iteration, doubled as long as the recursion diverges.
    Auto,
}

/// Settings of `LiSSA`.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Lissa {
    /// Damping, named by its effect.
    pub damping: LissaDamping,
    /// Scale.
    pub scale: LissaScale,
    /// Steps `T` of one recursion.
    pub steps: usize,
    /// Examples of a batch, drawn with replacement.
    pub batch: usize,
    /// Recursions with batches of their own, whose results are averaged.
    pub repeats: usize,
    /// Seed of the batches and of the power iteration.
    pub seed: Seed,
}

impl Default for Lissa {
    fn default() -> Self {
        let (damping, scale) = (LissaDamping::Added(0.01), LissaScale::Auto);
        Self { damping, scale, steps: 1000, batch: 1, repeats: 1, seed: Seed(0) }
    }
}

/// What `LiSSA` found.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LissaSolution {
    /// Approximation of `(H + λ)⁻¹ v`, `(D)`.
    pub x: Array1<f64>,
    /// Scale `σ` that was used.
    pub scale: f64,
    /// What was added to the eigenvalues.
    pub damping: f64,
    /// Length of the last step as a share of that of `v`: the residual, where every step saw all examples.
    pub last_step: f64,
    /// Standard error of the length of `x` over repeats, `√(Σ_j var_j / repeats)`; `None` for one.
    pub standard_error: Option<f64>,
}

impl Lissa {
    /// Approximates `(H + λ)⁻¹ v` with all examples in every step; `v: (D)`.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::NotFinite`], [`Error::OutOfRange`] for bad settings, [`Error::NoConvergence`] where the
    /// recursion diverges, and whatever the operator reports.
    ///
    /// # Example
    /// ```
    /// use limpid::influence::estimators::{Lissa, LissaDamping, LissaScale};
    /// use ndarray::array;
    ///
    /// let (damping, scale) = (LissaDamping::Added(0.5), LissaScale::Fixed(5.0));
    /// let found = Lissa { damping, scale, steps: 10, ..Lissa::default() }.solve(array![[2.0]], &array![1.0])?;
    /// // (1 - 0.5^11)/2.5
    /// assert!((found.x[0] - 0.3998046875).abs() < 1e-15);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn solve<A: LinearOperator>(&self, mut operator: A, v: &ArrayRef1<f64>) -> Result<LissaSolution, A::Error> {
        self.check(operator.dim(), v)?;
        let largest = self.largest_eigenvalue(&mut operator)?;
        self.with_scale(largest, |scale| self.recursion(scale, true, self.steps, v, |_, x, out| operator.apply(x, out)))
    }

    /// As [`Lissa::solve`] with these batches of examples, one per step; [`Lissa::steps`] is not used.
    ///
    /// # Errors
    /// As [`Lissa::solve`].
    pub fn solve_batches<A: BatchOperator>(
        &self,
        mut operator: A,
        v: &ArrayRef1<f64>,
        batches: &[Vec<usize>],
    ) -> Result<LissaSolution, A::Error> {
        self.check(operator.dim(), v)?;
        let largest = self.largest_eigenvalue(&mut operator)?;
        self.with_scale(largest, |scale| {
            let apply = |step: usize, x: &ArrayRef1<f64>, out: &mut ArrayRef1<f64>| {
                operator.apply_batch(&batches[step], x, out)
            };
            self.recursion(scale, false, batches.len(), v, apply)
        })
    }

    /// As [`Lissa::solve`] with random batches, averaged over [`Lissa::repeats`].
    ///
    /// # Errors
    /// As [`Lissa::solve`].
    pub fn solve_stochastic<A: BatchOperator>(
        &self,
        mut operator: A,
        v: &ArrayRef1<f64>,
    ) -> Result<LissaSolution, A::Error> {
        check_each("batch", &[self.batch as f64], ">= 1", |x: f64| x >= 1.0)?;
        check_each("repeats", &[self.repeats as f64], ">= 1", |x: f64| x >= 1.0)?;
        check_each("examples", &[operator.n_examples() as f64], ">= 1", |x: f64| x >= 1.0)?;
        self.check(operator.dim(), v)?;
        let largest = self.largest_eigenvalue(&mut operator)?;
        self.with_scale(largest, |scale| {
            let mut runs = Vec::with_capacity(self.repeats.min(1 << 10));
            for repeat in 0..self.repeats {
                let mut stream = self.seed.stream(BATCHES, repeat as u64);
                let n = operator.n_examples();
                let apply = |_: usize, x: &ArrayRef1<f64>, out: &mut ArrayRef1<f64>| {
                    let batch: Vec<usize> = (0..self.batch).map(|_| below(&mut stream, n)).collect();
                    operator.apply_batch(&batch, x, out)
                };
                runs.push(self.recursion(scale, false, self.steps, v, apply)?);
            }
            Ok(average(runs))
        })
    }

    /// Runs under the fixed scale, or under larger and larger ones until the recursion does not diverge.
    fn with_scale<E: From<Error>>(
        &self,
        largest: f64,
        mut run: impl FnMut(f64) -> Result<LissaSolution, Run<E>>,
    ) -> Result<LissaSolution, E> {
        let (mut scale, doublings) = match self.scale {
            LissaScale::Fixed(scale) => (scale, 0),
            LissaScale::Auto => (self.first_scale(largest), DOUBLINGS),
        };
        for _ in 0..doublings {
            match run(scale) {
                Ok(found) => return Ok(found),
                Err(Run::Diverged { .. }) => scale *= 2.0,
                Err(Run::Failed(error)) => return Err(error),
            }
        }
        run(scale).map_err(|error| match error {
            Run::Diverged { step, residual } => Error::NoConvergence { iterations: step, residual }.into(),
            Run::Failed(error) => error,
        })
    }

    /// A tenth above `l_max + λ`.
    fn first_scale(&self, largest: f64) -> f64 {
        let scale = match self.damping {
            LissaDamping::Added(damping) => 1.1 * largest + damping,
            LissaDamping::Shrinking(share) => 1.1 * largest / (1.0 - share.min(0.5)),
        };
        if scale > 0.0 { scale } else { 1.0 }
    }

    fn largest_eigenvalue<A: LinearOperator>(&self, operator: &mut A) -> Result<f64, A::Error> {
        match self.scale {
            LissaScale::Fixed(_) => Ok(0.0),
            LissaScale::Auto => largest_eigenvalue(operator, POWER_STEPS, self.seed),
        }
    }

    fn recursion<E: From<Error>>(
        &self,
        scale: f64,
        same_every_step: bool,
        steps: usize,
        v: &ArrayRef1<f64>,
        mut apply: impl FnMut(usize, &ArrayRef1<f64>, &mut ArrayRef1<f64>) -> Result<(), E>,
    ) -> Result<LissaSolution, Run<E>> {
        let damping = self.damping.effective(scale);
        let length = norm(v);
        let (mut h, mut image, mut last_step) = (v.to_owned(), Array1::zeros(v.len()), 1.0);
        for step in 0..steps {
            apply(step, &h, &mut image).map_err(Run::Failed)?;
            // what this step adds: v - (H h + λ h)/σ
            image.zip_mut_with(&h, |image, h| *image = -(*image + damping * h) / scale);
            image.zip_mut_with(v, |image, v| *image += v);
            h += &image;
            let added = norm(&image);
            // no matrix I - (H + λ)/σ of a convergent recursion lengthens a vector
            let (size, most) = if same_every_step { (added, 1.0) } else { (norm(&h), (step + 2) as f64) };
            if size.is_nan() || size > most * length * (1.0 + 1e-9) {
                return Err(Run::Diverged { step: step + 1, residual: size / length });
            }
            last_step = if length > 0.0 { added / length } else { 0.0 };
        }
        Ok(LissaSolution { x: h / scale, scale, damping, last_step, standard_error: None })
    }

    fn check(&self, dim: usize, v: &ArrayRef1<f64>) -> Result<()> {
        let (LissaDamping::Added(damping) | LissaDamping::Shrinking(damping)) = self.damping;
        check_each("damping", &[damping], "finite and >= 0", |x: f64| x >= 0.0 && x.is_finite())?;
        if let LissaScale::Fixed(scale) = self.scale {
            check_each("scale", &[scale], "finite and > 0", |x: f64| x > 0.0 && x.is_finite())?;
        }
        check_length("v", v.len(), dim)?;
        check_finite("v", v)
    }
}

/// Why a recursion ended early.
enum Run<E> {
    Diverged { step: usize, residual: f64 },
    Failed(E),
}

fn average(runs: Vec<LissaSolution>) -> LissaSolution {
    let count = runs.len() as f64;
    let mut mean = LissaSolution { x: Array1::zeros(runs[0].x.len()), ..runs[0].clone() };
    runs.iter().for_each(|run| mean.x.scaled_add(1.0 / count, &run.x));
    mean.last_step = runs.iter().map(|run| run.last_step / count).sum();
    let spread: f64 = runs.iter().map(|run| (&run.x - &mean.x).mapv(|x| x * x).sum()).sum();
    mean.standard_error = (runs.len() > 1).then(|| libm::sqrt(spread / (count * (count - 1.0))));
    mean
}

/// Largest magnitude of an eigenvalue by power iteration from a random start: a little below the truth, never above.
///
/// # Errors
/// [`Error::NotFinite`], and whatever the operator reports.
pub fn largest_eigenvalue<A: LinearOperator>(operator: &mut A, steps: usize, seed: Seed) -> Result<f64, A::Error> {
    let mut start = vec![0.0; operator.dim()];
    fill_normal(&mut seed.stream(POWER, 0), 1.0, &mut start);
    let (mut x, mut image, mut found) = (Array1::from(start), Array1::zeros(operator.dim()), 0.0);
    for _ in 0..steps {
        let length = norm(&x);
        if length <= f64::MIN_POSITIVE {
            return Ok(found);
        }
        x /= length;
        operator.apply(&x, &mut image)?;
        check_finite("the operator times a vector", &image)?;
        found = libm::sqrt(dot(&image, &image)?);
        core::mem::swap(&mut x, &mut image);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};

    fn fixed(scale: f64, damping: LissaDamping, steps: usize) -> Lissa {
        Lissa { damping, scale: LissaScale::Fixed(scale), steps, ..Lissa::default() }
    }

    #[test]
    fn both_dampings_are_named_by_their_limit() {
        let (h, v) = (array![[2.0]], array![1.0]);
        let short = fixed(5.0, LissaDamping::Added(0.5), 10).solve(h.clone(), &v).unwrap();
        assert!((short.x[0] - 0.399_804_687_5).abs() < 1e-15);
        let shrinking = fixed(5.0, LissaDamping::Shrinking(0.1), 400).solve(h.clone(), &v).unwrap();
        assert!((shrinking.x[0] - 1.0 / 2.5).abs() < 1e-12 && shrinking.damping == 0.5);
        let added = fixed(5.0, LissaDamping::Added(0.1), 400).solve(h, &v).unwrap();
        assert!((added.x[0] - 1.0 / 2.1).abs() < 1e-12 && added.last_step < 1e-12);
    }

    #[test]
    fn divergence_is_an_error_and_the_automatic_scale_avoids_it() {
        let diverging = fixed(1.2, LissaDamping::Added(0.5), 60).solve(array![[2.0]], &array![1.0]);
        assert!(matches!(diverging, Err(Error::NoConvergence { iterations: 1, .. })));
        let h = Array2::from_diag(&array![900.0, 3.0, 0.5]);
        let automatic = Lissa { damping: LissaDamping::Added(0.5), steps: 30_000, ..Lissa::default() };
        let found = automatic.solve(h, &array![1.0, 1.0, 1.0]).unwrap();
        let expected = array![1.0 / 900.5, 1.0 / 3.5, 1.0];
        assert!((&found.x - &expected).iter().all(|e| e.abs() < 1e-9), "{found:?}");
        assert!(found.scale > 900.0 && found.scale < 1000.0);
        // no scale helps where an eigenvalue is negative
        let indefinite = Lissa { damping: LissaDamping::Added(0.0), steps: 200, ..automatic };
        assert!(matches!(indefinite.solve(array![[-1.0]], &array![1.0]), Err(Error::NoConvergence { .. })));
    }

    #[test]
    fn the_largest_eigenvalue_is_approached_from_below() {
        let mut h = Array2::from_diag(&array![5.0, 4.0, -1.0]);
        let found = largest_eigenvalue(&mut h, 60, Seed(3)).unwrap();
        assert!(found <= 5.0 + 1e-12 && found > 4.999, "{found}");
        assert_eq!(largest_eigenvalue(&mut Array2::zeros((2, 2)), 9, Seed(0)).unwrap(), 0.0);
    }

    #[test]
    fn nothing_comes_of_nothing_and_bad_settings_are_named() {
        let found = Lissa::default().solve(Array2::eye(2), &array![0.0, 0.0]).unwrap();
        assert_eq!((found.x, found.last_step), (array![0.0, 0.0], 0.0));
        let solve = |lissa: Lissa, v: &Array1<f64>| lissa.solve(array![[1.0]], v);
        assert!(solve(fixed(0.0, LissaDamping::Added(0.1), 1), &array![1.0]).is_err());
        assert!(solve(fixed(1.0, LissaDamping::Added(-0.1), 1), &array![1.0]).is_err());
        assert!(
            solve(Lissa::default(), &array![1.0, 2.0]).is_err() && solve(Lissa::default(), &array![f64::NAN]).is_err()
        );
    }
}
