//! The truth: what queries lose when the model is trained again on other data.

use limpid::math::random::choose;
use limpid::{Result, Seed};
use ndarray::{Array1, Array2, Axis};

use super::model::{Data, Model, Objective, draw};
use crate::support::cli::Options;
use crate::support::progress::Bar;

const TRAIN: usize = 120;
const QUERIES: usize = 10;
const FEATURES: usize = 8;
const CLASSES: usize = 2;

/// A model, and what became of its queries after other trainings.
pub struct Task {
    pub name: &'static str,
    pub seed: Seed,
    pub ridge: f64,
    pub train: Data,
    pub query: Data,
    pub model: Model,
    /// Models at a quarter, a half and the whole of the training.
    pub checkpoints: Vec<Model>,
    /// Models that were trained on halves of the data.
    pub halves: Vec<Model>,
    /// Examples of every half, `(subsets, examples)`.
    pub masks: Array2<bool>,
    /// Losses of the queries after training on every half, `(subsets, queries)`.
    pub subset_losses: Array2<f64>,
    /// Changes of the losses without each example, `(queries, examples)`.
    pub changes: Array2<f64>,
}

impl Task {
    pub fn new(name: &'static str, hidden: &[usize], ridge: f64, options: &Options, subsets: usize) -> Result<Self> {
        let (seed, steps) = (Seed(options.seed), options.steps);
        let sizes: Vec<usize> = [FEATURES].into_iter().chain(hidden.iter().copied()).chain([CLASSES]).collect();
        let (train, query) = (draw(TRAIN, FEATURES, CLASSES, seed, 0), draw(QUERIES, FEATURES, CLASSES, seed, 1));
        let start = Model::new(&sizes, seed);
        let mut bar = Bar::new(name);
        let mut done = 0;
        let mut fit = |weight: &Array1<f64>, keep: &[usize]| {
            let mut model = start.clone();
            let kept = model.train(&Objective { data: &train, weight, ridge }, steps, keep)?;
            done += 1;
            bar.show(done, 1 + TRAIN + subsets);
            Ok::<_, limpid::Error>((model, kept))
        };
        let (model, checkpoints) = fit(&Array1::ones(TRAIN), &[steps / 4, steps / 2, steps])?;
        let before = model.losses(&query)?;
        let mut changes = Array2::zeros((QUERIES, TRAIN));
        for (example, mut column) in changes.columns_mut().into_iter().enumerate() {
            let mut weight = Array1::ones(TRAIN);
            weight[example] = 0.0;
            column.assign(&(fit(&weight, &[])?.0.losses(&query)? - &before));
        }
        let (mut masks, mut halves) = (Array2::from_elem((subsets, TRAIN), false), Vec::new());
        let mut subset_losses = Array2::zeros((subsets, QUERIES));
        for subset in 0..subsets {
            let (half, weight) = half(seed, subset);
            masks.index_axis_mut(Axis(0), subset).assign(&half);
            let (model, _) = fit(&weight, &[])?;
            subset_losses.index_axis_mut(Axis(0), subset).assign(&model.losses(&query)?);
            if halves.len() < 5 {
                halves.push(model);
            }
        }
        Ok(Self { name, seed, ridge, train, query, model, checkpoints, halves, masks, subset_losses, changes })
    }
}

/// Half of the examples, and the weights that make their mean of the mean over all.
fn half(seed: Seed, subset: usize) -> (Array1<bool>, Array1<f64>) {
    let mut examples: Vec<usize> = (0..TRAIN).collect();
    choose(&mut seed.stream(5, subset as u64), TRAIN / 2, &mut examples);
    let mut mask = Array1::from_elem(TRAIN, false);
    examples[..TRAIN / 2].iter().for_each(|&example| mask[example] = true);
    let weight = mask.mapv(|inside| if inside { 2.0 } else { 0.0 });
    (mask, weight)
}
