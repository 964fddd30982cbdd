//! A model during its training: dimensionalities and loss, step by step.

use limpid::math::schedule::Schedule;
use limpid::superposition::geometry::feature_dimensionality;
use limpid::superposition::{FeatureDistribution, Problem, Reduction, Start, ToyModel, Training};
use limpid::{Result, Seed};
use ndarray::{Array1, Array2};

use super::cli::Options;
use super::figure::{Axis, curves};
use super::report::Report;
use super::training::{settings, train};

/// What a training went through, from the start to the end.
#[derive(Default)]
pub struct History {
    pub steps: Vec<f64>,
    /// Dimensionality of every feature.
    pub shares: Vec<Vec<f64>>,
    /// Loss on samples that are the same for every step.
    pub losses: Vec<f64>,
    pub weights: Vec<Array2<f64>>,
}

impl History {
    /// The best of several starts near 0, where every feature still has to find its place.
    pub fn of(options: &Options, (m, steps): (usize, usize), law: &FeatureDistribution<f32>) -> Result<Self> {
        let importance = Array1::ones(law.n_features());
        let problem = Problem { start: Start::Normal(0.02), ..Problem::new(m, importance, law.clone()) };
        // a rate that falls too early leaves features stuck between two levels
        let schedule = Schedule::LinearDecay { decay: steps.div_ceil(4) };
        let settings = Training { steps, batch: 512, schedule, ..settings(options, 6e-3) };
        let settings = Training { snapshot_every: steps.div_ceil(200), ..settings };
        let best = train(&[problem], &settings, "training")?.remove(0);
        let held_out = law.sample(8192, Seed(options.seed).child(1, 0))?;
        let mut history = Self::default();
        for snapshot in &best.snapshots {
            history.add(snapshot.step, &snapshot.model, &held_out)?;
        }
        history.add(best.steps, &best.model, &held_out)?;
        Ok(history)
    }

    fn add(&mut self, step: usize, model: &ToyModel<f32>, samples: &Array2<f32>) -> Result<()> {
        let w = model.weight.mapv(f64::from);
        let (loss, _) = model.loss_and_gradient(samples, &Array1::ones(w.ncols()), Reduction::FeatureSum)?;
        self.steps.push(step as f64);
        self.shares.push(feature_dimensionality(&w)?.to_vec());
        self.losses.push(loss.into());
        self.weights.push(w);
        Ok(())
    }

    /// Index of the last moment.
    pub fn end(&self) -> usize {
        self.losses.len() - 1
    }

    /// `count` moments from first to last, between which the loss falls by equal factors.
    pub fn stages(&self, count: usize) -> Vec<usize> {
        let (first, last) = (self.losses[0], self.losses[self.end()]);
        let bar = |k: usize| first * (last / first).powf(k as f64 / (count - 1) as f64);
        let reached = |k: usize| self.losses.iter().position(|&loss| loss <= bar(k)).unwrap_or(self.end());
        (0..count).map(reached).collect()
    }

    /// Adds both curves to the report; `what` names the figure of the paper.
    pub fn draw(&self, report: &mut Report, what: &str) {
        let curve = |i: usize| self.steps.iter().zip(&self.shares).map(|(&step, shares)| (step, shares[i])).collect();
        let shares = (0..self.shares[0].len()).map(|i| ("", curve(i))).collect();
        let losses = self.steps.iter().copied().zip(self.losses.iter().copied()).collect();
        let time = Axis::linear("step", 0.0, self.steps[self.end()]);
        let levels = [("2/3", 2.0 / 3.0), ("1/2", 0.5), ("2/5", 0.4)];
        report.figure(
            curves(&time, &Axis::linear("D_i", 0.0, 1.05), shares, &levels),
            &format!("{what}: the dimensionality of every feature rests on levels and jumps between them."),
        );
        let loss = Axis::fitted("loss on held-out samples", self.losses.iter().copied());
        report.figure(
            curves(&time, &loss, vec![("", losses)], &[]),
            &format!("{what}: the loss falls when features jump."),
        );
    }
}
