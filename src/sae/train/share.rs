//! A step in two halves, so that several workers can make one together, each on its part of the batch.
//!
//! ```text
//! share of worker w   loss, gradient and active latents over its rows_w samples
//! step                Adam on Σ_w rows_w gradient_w / Σ_w rows_w
//! ```
//!
//! Every worker applies the same mean, so all keep the same parameters: to rounding those of one worker with the whole
//! batch. Terms that look at a batch as a whole (batch top-k, unexplained variance, a target for the mean L0) see the part
//! of each worker instead.

use alloc::vec::Vec;

use ndarray::{Array, Array1, Array2, ArrayRef2, Dimension};

use super::adam::{gradient_norm, scale_gradient};
use super::trainer::{SaeStep, Trainer};
use crate::error::{check_length, check_shape};
use crate::math::merge::Merge;
use crate::math::optim::AdamStep;
use crate::sae::decoder_norm::{normalise_rows, project_gradient};
use crate::sae::{Activation, Loss, LossTerms, SaeGradient, fused, loss_and_gradient};
use crate::{Error, Result, Scalar};

/// What one worker found on its part of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct SaeShare<T> {
    /// Samples of the part.
    pub rows: usize,
    /// Terms of the loss, means over the samples.
    pub terms: LossTerms<T>,
    /// Gradient of their sum.
    pub gradient: SaeGradient<T>,
    /// Mean number of active latents.
    pub l0: f64,
    /// Which latents were active, `(m)`.
    pub fired: Vec<bool>,
    /// Smallest positive feature; `None` where nothing is positive or where it is not needed.
    pub min_positive: Option<f64>,
}

impl<T: Scalar> SaeShare<T> {
    /// Calls `visit` with every array of numbers that are means over the samples, always in the same order: for a sum over
    /// workers that have no common memory.
    pub fn for_each_mean(&mut self, mut visit: impl FnMut(&mut [T])) {
        let SaeGradient { w_enc, b_enc, w_dec, b_dec, w_skip, threshold, magnitude } = &mut self.gradient;
        for matrix in [Some(w_enc), Some(w_dec), w_skip.as_mut()].into_iter().flatten() {
            in_order(matrix, &mut visit);
        }
        let (by_bias, by_scale) = magnitude.as_mut().map_or((None, None), |(bias, scale)| (Some(bias), Some(scale)));
        for vector in [Some(b_enc), Some(b_dec), threshold.as_mut(), by_bias, by_scale].into_iter().flatten() {
            in_order(vector, &mut visit);
        }
        let LossTerms { reconstruction, sparsity, auxiliary, pre_activation } = self.terms;
        let mut rest = [reconstruction, sparsity, auxiliary, pre_activation, T::of(self.l0)];
        visit(&mut rest);
        let [reconstruction, sparsity, auxiliary, pre_activation, l0] = rest;
        self.terms = LossTerms { reconstruction, sparsity, auxiliary, pre_activation };
        self.l0 = l0.as_f64();
    }
}

/// Calls `visit` with the elements row by row, wherever they lie in memory.
fn in_order<T: Scalar, D: Dimension>(array: &mut Array<T, D>, visit: &mut impl FnMut(&mut [T])) {
    if let Some(values) = array.as_slice_mut() {
        return visit(values);
    }
    let mut values: Vec<T> = array.iter().copied().collect();
    visit(&mut values);
    array.iter_mut().zip(values).for_each(|(to, from)| *to = from);
}

impl<T: Scalar> Merge for SaeShare<T> {
    /// Takes up the samples of `other`: means by number of samples.
    ///
    /// # Errors
    /// [`Error::Shape`] for another autoencoder's share.
    fn merge(&mut self, other: &Self) -> Result<()> {
        let mut other = other.clone();
        let (mut lengths, mut arrays) = (Vec::new(), Vec::new());
        self.for_each_mean(|values| lengths.push(values.len()));
        other.for_each_mean(|values| arrays.push(values.to_vec()));
        check_length("arrays of the share", arrays.len(), lengths.len())?;
        lengths.iter().zip(&arrays).try_for_each(|(&length, array)| check_length("share", array.len(), length))?;
        check_length("fired", other.fired.len(), self.fired.len())?;
        let rows = self.rows + other.rows;
        let part = |rows_of: usize| T::of(if rows == 0 { 0.0 } else { rows_of as f64 / rows as f64 });
        let (own, theirs) = (part(self.rows), part(other.rows));
        let mut arrays = arrays.iter();
        self.for_each_mean(|values| {
            let array = arrays.next().map_or(&[][..], Vec::as_slice);
            values.iter_mut().zip(array).for_each(|(to, &from)| *to = *to * own + from * theirs);
        });
        self.fired.iter_mut().zip(&other.fired).for_each(|(to, &from)| *to |= from);
        self.min_positive = match (self.min_positive, other.min_positive) {
            (Some(own), Some(theirs)) => Some(own.min(theirs)),
            (own, theirs) => own.or(theirs),
        };
        self.rows = rows;
        Ok(())
    }
}

impl<T: Scalar> Trainer<T> {
    /// The first half of a step: loss and gradient on a part `x: (b, d_in)` of the batch, in raw units. Nothing changes.
    ///
    /// # Errors
    /// As [`Trainer::step`]; [`Error::Unsupported`] with an annealed power, whose penalties belong to whole batches.
    ///
    /// # Example
    /// ```
    /// use limpid::Seed;
    /// use limpid::math::merge::Merge;
    /// use limpid::sae::train::{SaeTraining, Trainer};
    /// use limpid::sae::{Activation, Sae};
    /// use ndarray::{Array2, Axis};
    ///
    /// let sae = Sae::<f32>::initialise(4, 16, Activation::TopK { k: 2, by_decoder_norm: false }, Seed(0))?;
    /// let mut workers = vec![Trainer::new(sae, SaeTraining { steps: 100, ..SaeTraining::default() })?; 2];
    /// let x = Array2::from_shape_fn((8, 4), |(i, j)| (i * 3 + j) as f32 % 5.0);
    /// let (first, second) = x.view().split_at(Axis(0), 3);
    /// let mut whole = workers[0].share(&first, None)?;
    /// whole.merge(&workers[1].share(&second, None)?)?;
    /// for worker in &mut workers {
    ///     worker.apply(whole.clone())?;
    /// }
    /// assert_eq!(workers[0].sae(), workers[1].sae());
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn share(&mut self, x: &ArrayRef2<T>, target: Option<&ArrayRef2<T>>) -> Result<SaeShare<T>> {
        if self.settings.p_annealing.is_some() {
            return Err(Error::Unsupported { what: "a shared step with an annealed power" });
        }
        let loss = self.settings.loss_at(self.step, self.coefficient);
        let dead = (self.tokens > 0).then(|| self.dead());
        self.on_normalised(x, |trainer, x| trainer.share_normalised(&loss, dead.as_deref(), x, target))
    }

    /// The second half of a step: moves the parameters by the share of the whole batch.
    ///
    /// # Errors
    /// [`Error::Shape`] for another autoencoder's share, [`Error::Diverged`] as [`Trainer::step`].
    pub fn apply(&mut self, share: SaeShare<T>) -> Result<SaeStep<T>> {
        check_length("fired", share.fired.len(), self.sae.latents())?;
        self.check_gradient(&share.gradient)?;
        if !share.terms.total().is_finite() {
            return Err(Error::Diverged { step: self.step, instance: 0 });
        }
        let (rows, (learning_rate, adam)) = (share.rows, self.settings.adam_at(self.step));
        let outcome = self.apply_share(share, &adam)?;
        let report = self.follow(rows, outcome, (learning_rate, false));
        self.follow_average();
        Ok(report)
    }

    fn check_gradient(&self, gradient: &SaeGradient<T>) -> Result<()> {
        let sae = &self.sae;
        check_shape("gradient by w_enc", &gradient.w_enc, sae.w_enc.shape())?;
        check_shape("gradient by w_dec", &gradient.w_dec, sae.w_dec.shape())?;
        check_shape("gradient by b_enc", &gradient.b_enc, sae.b_enc.shape())?;
        check_shape("gradient by b_dec", &gradient.b_dec, sae.b_dec.shape())?;
        let lengths = [
            ("gradient by w_skip", gradient.w_skip.as_ref().map(Array2::len), sae.w_skip.as_ref().map(Array2::len)),
            (
                "gradient by thresholds",
                gradient.threshold.as_ref().map(Array1::len),
                match &sae.activation {
                    Activation::JumpRelu { threshold } => Some(threshold.len()),
                    _ => None,
                },
            ),
            ("gradient by sizes", gradient.magnitude.as_ref().map(|(bias, scale)| bias.len().min(scale.len())), {
                matches!(sae.activation, Activation::Gated { .. }).then(|| sae.latents())
            }),
        ];
        lengths
            .iter()
            .try_for_each(|&(what, got, expected)| check_length(what, got.unwrap_or(0), expected.unwrap_or(0)))
    }

    /// Loss and gradient on normalised inputs.
    pub(super) fn share_normalised(
        &mut self,
        loss: &Loss,
        dead: Option<&[bool]>,
        x: &ArrayRef2<T>,
        target: Option<&ArrayRef2<T>>,
    ) -> Result<SaeShare<T>> {
        let diverged = Error::Diverged { step: self.step, instance: 0 };
        let of_weights = |error| match error {
            Error::NotFinite { what: "w_enc" | "b_enc" | "w_dec" | "b_dec" | "threshold", .. } => diverged,
            other => other,
        };
        let lean = self.settings.fused && self.settings.p_annealing.is_none();
        let rows = x.nrows();
        let share = if lean && fused::dense::covers(&self.sae, loss, target.is_some()) {
            let pass = fused::dense_pass(&self.sae, loss, x, &mut self.scratch).map_err(of_weights)?;
            let (terms, gradient, l0, fired) = (pass.terms, pass.gradient, pass.l0, pass.fired);
            SaeShare { rows, terms, gradient, l0, fired, min_positive: None }
        } else {
            let pass = loss_and_gradient(&self.sae, loss, x, target, dead).map_err(of_weights)?;
            if pass.terms.total().is_finite() {
                self.anneal_p(&pass.features);
            }
            let fired = pass.features.columns().into_iter().map(|f| f.iter().any(|&f| f != T::zero())).collect();
            let (l0, min_positive) = (pass.l0.as_f64(), pass.min_positive.map(Scalar::as_f64));
            SaeShare { rows, terms: pass.terms, gradient: pass.gradient, l0, fired, min_positive }
        };
        if share.terms.total().is_finite() { Ok(share) } else { Err(diverged) }
    }

    /// Moves the parameters by a gradient.
    pub(super) fn apply_share(&mut self, share: SaeShare<T>, adam: &AdamStep<T>) -> Result<fused::Outcome<T>> {
        let SaeShare { terms, mut gradient, l0, fired, min_positive, .. } = share;
        if self.settings.unit_norm_decoder {
            project_gradient(&self.sae.w_dec, &mut gradient.w_dec)?;
        }
        if let Some(clip) = self.settings.clip_norm {
            let factor = (clip / (gradient_norm(&gradient) + 1e-6)).min(1.0);
            scale_gradient(&mut gradient, T::of(factor));
        }
        self.moments.step(&mut self.sae, &gradient, adam, self.settings.log_threshold);
        if self.settings.unit_norm_decoder {
            normalise_rows(&mut self.sae.w_dec);
        }
        // what an infinite weight would spoil is found before anyone saves it
        self.sae.check().map_err(|_| Error::Diverged { step: self.step, instance: 0 })?;
        Ok(fused::Outcome { terms, l0, fired, min_positive })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use crate::sae::train::SaeTraining;
    use crate::sae::{Sae, Sparsity};
    use ndarray::Axis;

    fn batch(step: usize) -> Array2<f64> {
        Array2::from_shape_fn((10, 5), |(i, j)| libm::sin((31 * step + 7 * i + 3 * j * j) as f64))
    }

    fn trainers(activation: Activation<f64>, loss: Loss) -> Vec<Trainer<f64>> {
        let sae = Sae::initialise(5, 12, activation, Seed(3)).unwrap();
        let settings = SaeTraining { steps: 30, loss, clip_norm: Some(0.5), ema: Some(0.9), ..SaeTraining::default() };
        alloc::vec![Trainer::new(sae, settings).unwrap(); 3]
    }

    #[test]
    fn workers_make_the_step_of_one() {
        let l1 = Loss { sparsity: Sparsity::l1(0.05), ..Loss::default() };
        let jump = Activation::JumpRelu { threshold: Array1::from_elem(12, 0.05) };
        let l0 = Loss { sparsity: Sparsity::L0 { coefficient: 0.01 }, ..Loss::default() };
        for (activation, loss) in
            [(Activation::TopK { k: 3, by_decoder_norm: false }, Loss::default()), (Activation::Relu, l1), (jump, l0)]
        {
            let mut all = trainers(activation, loss);
            for step in 0..30 {
                let x = batch(step);
                let (first, second) = x.view().split_at(Axis(0), 4);
                let mut whole = all[0].share(&first, None).unwrap();
                whole.merge(&all[1].share(&second, None).unwrap()).unwrap();
                let reports = [all[0].apply(whole.clone()).unwrap(), all[1].apply(whole).unwrap()];
                let alone = all[2].step(&x, None).unwrap();
                assert_eq!(reports[0], reports[1]);
                assert!((reports[0].terms.total() - alone.terms.total()).abs() < 1e-9);
                assert!((reports[0].l0 - alone.l0).abs() < 1e-12);
            }
            assert_eq!(all[0], all[1]);
            let (shared, alone) = (all[0].sae(), all[2].sae());
            assert!((&shared.w_dec - &alone.w_dec).iter().all(|difference| difference.abs() < 1e-7));
            assert_eq!((all[0].dead(), all[0].tokens()), (all[2].dead(), all[2].tokens()));
        }
    }

    #[test]
    fn shares_that_do_not_fit_are_refused() {
        let mut all = trainers(Activation::Relu, Loss::default());
        let mut share = all[0].share(&batch(0), None).unwrap();
        let other = Sae::initialise(5, 8, Activation::Relu, Seed(3)).unwrap();
        let mut other = Trainer::new(other, SaeTraining::default()).unwrap();
        let foreign = other.share(&batch(0), None).unwrap();
        let before = share.clone();
        assert!(matches!(share.merge(&foreign), Err(Error::Shape { .. })));
        assert_eq!(share, before);
        assert!(matches!(other.apply(share.clone()), Err(Error::Shape { .. })));
        share.terms.sparsity = f64::NAN;
        assert_eq!(all[0].apply(share), Err(Error::Diverged { step: 0, instance: 0 }));
        assert_eq!(all[0], all[1]);
    }
}
