//! First-order optimisers on flat parameters: SGD with momentum, Adam and AdamW.
//!
//! ```text
//! sgd    u ← μ u + g + λ θ                       θ ← θ - s u
//! adam   g ← g + λ θ (Adam)  or  θ ← (1 - s λ) θ (AdamW)
//!        m ← β₁ m + (1 - β₁) g                   v ← β₂ v + (1 - β₂) g²
//!        θ ← θ - s/(1 - β₁ᵗ) · m / (√v / √(1 - β₂ᵗ) + ε)
//! ```
//!
//! `s` is the scheduled learning rate, `λ` the weight decay, `t` counts steps from 1. The gradient is taken before the
//! decay.
//!
//! Source: Kingma and Ba (arXiv 1412.6980); Loshchilov and Hutter (arXiv 1711.05101), with the placement of `ε` and of
//! the decay that PyTorch uses.

use alloc::vec;
use alloc::vec::Vec;

use super::simd::{Simd, dispatch, level};
use crate::error::check_each;
use crate::{Dims, Error, Result, Scalar};

/// An optimiser and its settings. The default is AdamW as in the notebook to Elhage et al. (2022).
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Optimizer {
    /// Stochastic gradient descent with heavy-ball momentum.
    Sgd {
        /// Momentum `μ`; 0 switches it off.
        momentum: f64,
        /// Decay `λ`, added to the gradient.
        weight_decay: f64,
    },
    /// Adam; the decay is added to the gradient.
    Adam {
        /// Decay rates `(β₁, β₂)` of the two moments.
        betas: (f64, f64),
        /// Added to the root of the second moment.
        epsilon: f64,
        /// Decay `λ`.
        weight_decay: f64,
    },
    /// Adam with the decay applied to the parameters before the step.
    AdamW {
        /// Decay rates `(β₁, β₂)` of the two moments.
        betas: (f64, f64),
        /// Added to the root of the second moment.
        epsilon: f64,
        /// Decay `λ`.
        weight_decay: f64,
    },
}

impl Default for Optimizer {
    fn default() -> Self {
        Self::AdamW { betas: (0.9, 0.999), epsilon: 1e-8, weight_decay: 0.01 }
    }
}

impl Optimizer {
    /// Adam with the usual rates and no weight decay.
    #[must_use]
    pub fn adam() -> Self {
        Self::Adam { betas: (0.9, 0.999), epsilon: 1e-8, weight_decay: 0.0 }
    }

    /// Checks that every setting is in its range.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] names the setting.
    pub fn check(&self) -> Result<()> {
        let below_one = |what, x| check_each(what, &[x], "0 <= x < 1", |x: f64| (0.0..1.0).contains(&x));
        let not_negative = |what, x| check_each(what, &[x], "finite and >= 0", |x: f64| x >= 0.0 && x.is_finite());
        match *self {
            Self::Sgd { momentum, weight_decay } => {
                below_one("momentum", momentum)?;
                not_negative("weight_decay", weight_decay)
            }
            Self::Adam { betas, epsilon, weight_decay } | Self::AdamW { betas, epsilon, weight_decay } => {
                below_one("beta1", betas.0)?;
                below_one("beta2", betas.1)?;
                not_negative("epsilon", epsilon)?;
                not_negative("weight_decay", weight_decay)
            }
        }
    }
}

/// What an optimiser remembers of one flat parameter.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct OptimizerState<T> {
    optimizer: Optimizer,
    steps: usize,
    first: Vec<T>,
    second: Vec<T>,
}

impl<T: Scalar> OptimizerState<T> {
    /// State before the first step, for a parameter of `len` elements.
    #[must_use]
    pub fn new(optimizer: Optimizer, len: usize) -> Self {
        let second = if matches!(optimizer, Optimizer::Sgd { .. }) { 0 } else { len };
        Self { optimizer, steps: 0, first: vec![T::zero(); len], second: vec![T::zero(); second] }
    }

    /// Steps taken so far.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// The moments: momentum (SGD) or first moment, and second moment (empty for SGD).
    #[must_use]
    pub fn moments(&self) -> (&[T], &[T]) {
        (&self.first, &self.second)
    }

    /// One step of `parameter` against `gradient` with the scheduled `learning_rate`.
    ///
    /// # Errors
    /// [`Error::Shape`] where the lengths differ from that of the state, [`Error::OutOfRange`] for bad settings of the
    /// optimiser or a learning rate that is not finite; nothing is changed then.
    pub fn step(&mut self, parameter: &mut [T], gradient: &[T], learning_rate: f64) -> Result<()> {
        let len = self.first.len();
        let second = if matches!(self.optimizer, Optimizer::Sgd { .. }) { len } else { self.second.len() };
        for (what, got) in
            [("parameter", parameter.len()), ("gradient", gradient.len()), ("second moment of the state", second)]
        {
            if got != len {
                return Err(Error::Shape { what, expected: Dims::new(&[len]), got: Dims::new(&[got]) });
            }
        }
        self.optimizer.check()?;
        check_each("learning_rate", &[learning_rate], "finite", f64::is_finite)?;
        self.steps += 1;
        if let Optimizer::Sgd { momentum, weight_decay } = self.optimizer {
            self.sgd(parameter, gradient, learning_rate, momentum, weight_decay);
        }
        if let Some(step) = AdamStep::of(&self.optimizer, learning_rate, self.steps) {
            step.apply(parameter, gradient, &mut self.first, &mut self.second);
        }
        Ok(())
    }

    /// Sets the moments of these elements back to 0, for parameters that were replaced; indices past the end are ignored.
    pub fn forget(&mut self, elements: impl IntoIterator<Item = usize>) {
        for element in elements {
            for moments in [&mut self.first, &mut self.second] {
                if let Some(moment) = moments.get_mut(element) {
                    *moment = T::zero();
                }
            }
        }
    }

    fn sgd(&mut self, parameter: &mut [T], gradient: &[T], rate: f64, momentum: f64, decay: f64) {
        let (rate, momentum, decay) = (T::of(rate), T::of(momentum), T::of(decay));
        for ((theta, &g), u) in parameter.iter_mut().zip(gradient).zip(&mut self.first) {
            *u = momentum * *u + (g + decay * *theta);
            *theta -= rate * *u;
        }
    }
}

/// The factors of one Adam step, the same for all elements.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AdamStep<T> {
    rate: T,
    root: T,
    betas: (T, T),
    rests: (T, T),
    epsilon: T,
    coupled: T,
    keep: T,
}

impl<T: Scalar> AdamStep<T> {
    /// Step number `t`, from 1; `decay.0` is added to the gradient, `decay.1` is the share that the parameter loses
    /// beforehand.
    pub(crate) fn new(rate: f64, betas: (f64, f64), epsilon: f64, decay: (f64, f64), t: usize) -> Self {
        let power = |beta: f64| 1.0 - libm::pow(beta, t as f64);
        Self {
            rate: T::of(rate / power(betas.0)),
            root: T::of(1.0 / num_traits::Float::sqrt(power(betas.1))),
            betas: (T::of(betas.0), T::of(betas.1)),
            rests: (T::of(1.0 - betas.0), T::of(1.0 - betas.1)),
            epsilon: T::of(epsilon),
            coupled: T::of(decay.0),
            keep: T::of(1.0 - decay.1),
        }
    }

    /// Step number `t`, from 1, of an optimiser; `None` for one without a second moment.
    pub(crate) fn of(optimizer: &Optimizer, rate: f64, t: usize) -> Option<Self> {
        match *optimizer {
            Optimizer::Sgd { .. } => None,
            Optimizer::Adam { betas, epsilon, weight_decay } => {
                Some(Self::new(rate, betas, epsilon, (weight_decay, 0.0), t))
            }
            Optimizer::AdamW { betas, epsilon, weight_decay } => {
                Some(Self::new(rate, betas, epsilon, (0.0, rate * weight_decay), t))
            }
        }
    }

    /// Learning rate and root of the bias corrections, decay rates and rests of the moments, epsilon, coupled decay, and what
    /// the parameter keeps: the factors in the order of the device's kernel.
    #[cfg(feature = "gpu")]
    pub(crate) fn factors(&self) -> [T; 9] {
        let Self { rate, root, betas, rests, epsilon, coupled, keep } = *self;
        [rate, root, betas.0, betas.1, rests.0, rests.1, epsilon, coupled, keep]
    }

    /// The step of these [`AdamStep::factors`].
    #[cfg(feature = "gpu")]
    pub(crate) fn from_factors([rate, root, beta1, beta2, rest1, rest2, epsilon, coupled, keep]: [T; 9]) -> Self {
        Self { rate, root, betas: (beta1, beta2), rests: (rest1, rest2), epsilon, coupled, keep }
    }

    /// Moves `parameter` against `gradient`; all slices have one length.
    pub(crate) fn apply(&self, parameter: &mut [T], gradient: &[T], first: &mut [T], second: &mut [T]) {
        dispatch!(level(), simd => self.elements(simd, parameter, gradient, first, second));
    }

    #[inline(always)]
    fn elements<S: Simd>(&self, _: S, parameter: &mut [T], gradient: &[T], first: &mut [T], second: &mut [T]) {
        let len = parameter.len();
        let (gradient, first, second) = (&gradient[..len], &mut first[..len], &mut second[..len]);
        // no iterator over all four: what it calls may be compiled apart, and then not as vectors
        for (i, theta) in parameter.iter_mut().enumerate() {
            let (first, second) = (&mut first[i], &mut second[i]);
            let g = gradient[i] + self.coupled * *theta;
            *first = self.betas.0 * *first + self.rests.0 * g;
            *second = self.betas.1 * *second + self.rests.1 * (g * g);
            *theta = self.keep * *theta - self.rate * *first / (second.sqrt() * self.root + self.epsilon);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_adam_step_has_the_size_of_the_learning_rate() {
        let mut state = OptimizerState::new(Optimizer::adam(), 2);
        let mut theta = [1.0_f64, -1.0];
        state.step(&mut theta, &[0.5, -3.0], 0.1).unwrap();
        assert!((theta[0] - 0.9).abs() < 1e-8 && (theta[1] + 0.9).abs() < 1e-8, "{theta:?}");
    }

    #[test]
    fn adamw_decays_before_the_step_and_adam_through_the_gradient() {
        let decay = Optimizer::AdamW { betas: (0.9, 0.999), epsilon: 1e-8, weight_decay: 0.5 };
        let mut theta = [2.0_f64];
        OptimizerState::new(decay, 1).step(&mut theta, &[0.0], 0.1).unwrap();
        assert!((theta[0] - 2.0 * 0.95).abs() < 1e-15);
        let coupled = Optimizer::Adam { betas: (0.9, 0.999), epsilon: 1e-8, weight_decay: 0.5 };
        let mut theta = [2.0_f64];
        OptimizerState::new(coupled, 1).step(&mut theta, &[0.0], 0.1).unwrap();
        assert!((theta[0] - 1.9).abs() < 1e-8);
    }

    #[test]
    fn momentum_accumulates() {
        let mut state = OptimizerState::new(Optimizer::Sgd { momentum: 0.5, weight_decay: 0.0 }, 1);
        let mut theta = [0.0_f64];
        for expected in [-1.0, -2.5, -4.25] {
            state.step(&mut theta, &[1.0], 1.0).unwrap();
            assert_eq!(theta[0], expected);
        }
    }

    #[test]
    fn a_wrong_length_changes_nothing() {
        let mut state = OptimizerState::new(Optimizer::adam(), 2);
        let mut theta = [1.0_f32; 2];
        assert!(matches!(state.step(&mut theta, &[0.0], 0.1), Err(Error::Shape { what: "gradient", .. })));
        assert_eq!((theta, state.steps()), ([1.0; 2], 0));
        let bad = Optimizer::Sgd { momentum: f64::NAN, weight_decay: 0.0 };
        assert!(matches!(bad.check(), Err(Error::OutOfRange { what: "momentum", .. })));
    }

    #[test]
    fn bad_settings_are_refused_before_anything_changes() {
        let bad = Optimizer::Adam { betas: (1.0, 0.999), epsilon: 1e-8, weight_decay: 0.0 };
        let (mut theta, gradient) = ([1.0_f64], [1.0]);
        let mut state = OptimizerState::new(bad, 1);
        assert!(matches!(state.step(&mut theta, &gradient, 0.1), Err(Error::OutOfRange { .. })));
        let mut state = OptimizerState::new(Optimizer::adam(), 1);
        let error = state.step(&mut theta, &gradient, f64::NAN).unwrap_err();
        assert!(matches!(error, Error::OutOfRange { what: "learning_rate", .. }));
        assert_eq!((theta[0], state.steps()), (1.0, 0));
    }
}
