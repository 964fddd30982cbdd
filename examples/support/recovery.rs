//! Autoencoders on the hidden activations of a toy model whose features are known.

use core::ops::ControlFlow;

use limpid::math::random::fill_normal;
use limpid::sae::metrics::Evaluation;
use limpid::sae::metrics::dictionary::match_dictionary;
use limpid::sae::train::{LearningRate, ResampleRule, Resampling, SaeTraining, Trainer, train_sae};
use limpid::sae::{Activation, Loss, Sae, Sparsity};
use limpid::superposition::FeatureDistribution;
use limpid::superposition::recovery::{DictionaryMatch, match_dictionaries};
use limpid::{Result, Seed};
use ndarray::{Array2, Axis, concatenate};

use super::progress::Bar;
use super::report::number;

const BATCH: usize = 512;

/// Hidden activations `x Wᵀ` of a toy model with weight `W`.
#[derive(Clone)]
pub struct Hidden {
    pub weight: Array2<f32>,
    pub density: f32,
    /// Features that are always present, with the mean and the variance of the sparse ones: the activations have the same
    /// mean and covariance, and are nearly normal.
    pub dense: bool,
}

impl Hidden {
    pub fn sample(&self, rows: usize, seed: Seed) -> Result<Array2<f32>> {
        let (n, p) = (self.weight.ncols(), self.density);
        let x = FeatureDistribution::uniform(n, if self.dense { 1.0 } else { p })?.sample(rows, seed)?;
        let spread = (12.0 * (p / 3.0 - p * p / 4.0)).sqrt();
        let x = if self.dense { x.mapv(|x| p / 2.0 + spread * (x - 0.5)) } else { x };
        Ok(x.dot(&self.weight.t()))
    }
}

/// A trained autoencoder and how its dictionary matches the truth.
pub struct Learned {
    pub l1: f64,
    pub sae: Sae<f32>,
    pub found: DictionaryMatch<f32>,
    pub explained: f64,
    pub l0: f64,
    pub dead: f64,
}

impl Learned {
    /// Names of the columns of [`Learned::row`].
    pub const HEAD: [&str; 9] =
        ["dictionary", "L1", "MMCS", "reverse MMCS", "one to one", "cosine > 0.95", "explained variance", "L0", "dead"];

    /// A line of the table of dictionaries.
    pub fn row(&self, what: &str) -> Vec<String> {
        let DictionaryMatch { mmcs, reverse_mmcs, matched_cosine, fraction_recovered, .. } = self.found;
        let shares = [mmcs, reverse_mmcs, matched_cosine, fraction_recovered].map(|x| number(x.into()));
        let rest = [self.explained, self.l0, self.dead].map(number);
        [&[what.to_owned(), number(self.l1)][..], &shares, &rest].concat()
    }
}

/// Trains an autoencoder with unit dictionary vectors, an L1 penalty and resampling of dead latents.
pub fn learn(
    data: &Hidden,
    truth: &Array2<f32>,
    latents: usize,
    (l1, steps, seed): (f64, usize, Seed),
) -> Result<Learned> {
    let fifth = (steps / 5).max(1);
    let settings = SaeTraining {
        steps,
        learning_rate: LearningRate { decay_steps: fifth, ..LearningRate::constant(1e-2) },
        loss: Loss { sparsity: Sparsity::l1(l1), ..Loss::default() },
        resampling: Some(Resampling {
            rule: ResampleRule::Bricken2023,
            at: vec![fifth, 2 * fifth, 3 * fifth],
            window: fifth.div_ceil(2),
            inputs: 16 * BATCH,
        }),
        seed,
        ..SaeTraining::default()
    };
    let sae = Sae::initialise(truth.ncols(), latents, Activation::Relu, seed.child(2, latents as u64))?;
    let mut trainer = Trainer::new(sae, settings)?;
    let (mut item, mut bar) = (0, Bar::new(&format!("L1 {l1}")));
    let next = || {
        item += 1;
        data.sample(BATCH, seed.child(3, item)).map(Some)
    };
    train_sae(&mut trainer, next, |_, step| {
        bar.show(step.step, steps);
        ControlFlow::Continue(())
    })?;
    let (sae, x) = (trainer.sae(), data.sample(20_000, seed.child(4, 0))?);
    let run = sae.with_error(&x)?;
    let mut evaluation = Evaluation::new(x.ncols(), latents)?;
    evaluation.update(&x, &run.reconstruction, &run.features)?;
    let metrics = evaluation.finish()?;
    let explained = metrics.explained_variance.ratio_of_means.unwrap_or(f64::NAN);
    let found = match_dictionaries(truth, &sae.w_dec, 0.95)?;
    Ok(Learned { l1, found, sae, explained, l0: metrics.l0, dead: metrics.dead_fraction })
}

/// Cosines of true directions with learned ones, each learned one in the column of the true one that it is matched with.
pub fn by_match(truth: &Array2<f32>, learned: &Array2<f32>) -> Result<Array2<f64>> {
    let found = match_dictionary(truth, learned)?;
    let order: Vec<usize> = found.assignment.into_iter().flatten().collect();
    Ok(found.cosines.select(Axis(1), &order).mapv(f64::from))
}

/// Random unit directions as rows.
pub fn random_directions(count: usize, width: usize, seed: Seed) -> Array2<f32> {
    let mut x = Array2::zeros((count, width));
    x.as_slice_mut().into_iter().for_each(|x| fill_normal(&mut seed.stream(5, 0), 1.0, x));
    x
}

/// Principal components of the activations with both signs, as rows, by power iteration.
pub fn principal_directions(data: &Hidden, seed: Seed) -> Result<Array2<f32>> {
    let x = data.sample(20_000, seed.child(4, 0))?;
    let centred = &x - &x.mean_axis(Axis(0)).unwrap_or_default();
    let mut covariance = centred.t().dot(&centred) / x.nrows() as f32;
    let mut directions = random_directions(x.ncols(), x.ncols(), seed);
    for mut direction in directions.rows_mut() {
        for _ in 0..500 {
            let next = covariance.dot(&direction);
            direction.assign(&(&next / next.dot(&next).sqrt().max(f32::MIN_POSITIVE)));
        }
        let variance = direction.dot(&covariance.dot(&direction));
        let (column, row) = (direction.view().insert_axis(Axis(1)), direction.view().insert_axis(Axis(0)));
        covariance = &covariance - column.dot(&row) * variance;
    }
    Ok(concatenate![Axis(0), directions, -&directions])
}
