//! Superposition while it happens: a toy model whose data can change under its training.

use limpid::math::optim::{Optimizer, OptimizerState};
use limpid::math::random::fill_normal;
use limpid::superposition::geometry::feature_dimensionality;
use limpid::superposition::{Architecture, FeatureDistribution, Reduction, ToyModel};
use limpid::{Error, Result, Seed};
use ndarray::{Array1, Array2};

/// Samples of one step.
const BATCH: usize = 256;
const LEARNING_RATE: f64 = 4e-3;
const START: u64 = 0;
const STEP: u64 = 1;
const SHAKE: u64 = 2;
/// Deviation of what a shake adds.
const SHAKEN: f32 = 0.3;
/// Most features and dimensions that the page can show.
const MOST: usize = 64;

/// A model in training.
#[derive(Debug)]
pub struct Toy {
    model: ToyModel<f32>,
    importance: Array1<f32>,
    law: FeatureDistribution<f32>,
    states: [OptimizerState<f32>; 2],
    seed: Seed,
    step: usize,
}

impl Toy {
    /// `(features, hidden)`; feature `i` has the importance `decay^i`, and is present in the share `density` of samples.
    ///
    /// # Errors
    /// For sizes that cannot be shown, and those of the crate.
    pub fn new((n, m): (usize, usize), decay: f32, density: f32, seed: u64) -> Result<Self> {
        for (what, size) in [("features", n), ("hidden dimensions", m)] {
            if !(1..=MOST).contains(&size) {
                return Err(Error::OutOfRange { what, index: 0, value: size as f64, expected: "1 to 64" });
            }
        }
        let (seed, mut weight) = (Seed(seed), vec![0.0; n * m]);
        fill_normal(&mut seed.stream(START, 0), (2.0 / (n + m) as f32).sqrt(), &mut weight);
        let weight = Array2::from_shape_fn((m, n), |(j, i)| weight[j * n + i]);
        let adam = Optimizer::adam();
        Ok(Self {
            model: ToyModel::new(Architecture::ReluOutput, weight, Array1::zeros(n))?,
            importance: (0..n).map(|i| decay.powi(i32::try_from(i).unwrap_or(i32::MAX))).collect(),
            law: FeatureDistribution::uniform(n, density)?,
            states: [OptimizerState::new(adam, n * m), OptimizerState::new(adam, n)],
            seed,
            step: 0,
        })
    }

    /// Changes the data; the model goes on from where it is.
    ///
    /// # Errors
    /// For a density outside of `[0, 1]`.
    pub fn set_density(&mut self, density: f32) -> Result<()> {
        self.law = FeatureDistribution::uniform(self.model.n_features(), density)?;
        Ok(())
    }

    /// Moves every vector a little at random: one that was given up has no gradient, and would not come back by itself.
    pub fn shake(&mut self) {
        let mut noise = vec![0.0; self.model.weight.len()];
        fill_normal(&mut self.seed.stream(SHAKE, self.step as u64), SHAKEN, &mut noise);
        self.model.weight.iter_mut().zip(noise).for_each(|(weight, noise)| *weight += noise);
    }

    /// Trains, and gives the mean loss of these steps over the loss of a model without weights.
    ///
    /// # Errors
    /// Those of the model, whose weights may have become infinite.
    pub fn advance(&mut self, steps: usize) -> Result<f64> {
        let mut sum = 0.0;
        for _ in 0..steps {
            let x = self.law.sample(BATCH, self.seed.child(STEP, self.step as u64))?;
            let (loss, gradient) = self.model.loss_and_gradient(&x, &self.importance, Reduction::FeatureSum)?;
            let parts = [
                (self.model.weight.as_slice_mut(), gradient.weight.as_slice()),
                (self.model.bias.as_slice_mut(), gradient.bias.as_slice()),
            ];
            for (state, (parameters, gradient)) in self.states.iter_mut().zip(parts) {
                state.step(parameters.unwrap_or_default(), gradient.unwrap_or_default(), LEARNING_RATE)?;
            }
            self.step += 1;
            sum += f64::from(loss);
        }
        // E x² of a feature that is present is 1/3
        let nothing = f64::from(self.importance.sum()) * f64::from(self.law.probability()[0]) / 3.0;
        Ok(if nothing > 0.0 && steps > 0 { sum / steps as f64 / nothing } else { 0.0 })
    }

    /// Steps done.
    #[must_use]
    pub fn step(&self) -> usize {
        self.step
    }

    /// Feature after feature.
    #[must_use]
    pub fn vectors(&self) -> Vec<f32> {
        self.model.weight.t().iter().copied().collect()
    }

    /// Share of a dimension that each feature has.
    ///
    /// # Errors
    /// For weights that are not finite.
    pub fn dimensionality(&self) -> Result<Vec<f32>> {
        Ok(feature_dimensionality(&self.model.weight)?.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(toy: &Toy) -> usize {
        toy.vectors().chunks(2).filter(|v| v[0].hypot(v[1]) > 0.5).count()
    }

    #[test]
    fn sparse_features_share_two_dimensions_and_dense_ones_do_not() {
        let mut toy = Toy::new((5, 2), 0.9, 0.9, 0).unwrap();
        toy.advance(2000).unwrap();
        assert_eq!(kept(&toy), 2);
        // the same model, while its data become sparse
        toy.set_density(0.02).unwrap();
        toy.shake();
        let loss = (0..40).map(|_| toy.advance(100).unwrap()).last().unwrap();
        assert!(kept(&toy) > 2, "{}", kept(&toy));
        assert!(loss < 0.6 && toy.step() == 6000, "{loss}");
        assert!(toy.dimensionality().unwrap().iter().sum::<f32>() <= 2.001);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        assert!(Toy::new((0, 2), 0.9, 0.1, 0).is_err() && Toy::new((5, 65), 0.9, 0.1, 0).is_err());
        assert!(
            Toy::new((5, 2), 0.9, 1.5, 0).is_err() && Toy::new((5, 2), f32::NAN, 0.5, 0).unwrap().advance(1).is_err()
        );
    }
}
