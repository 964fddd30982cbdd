//! A small classifier and its data, both functions of the seed: every process makes the same, and keeps only its rows.

use limpid::influence::label_gradients;
use limpid::math::gemm::product;
use limpid::math::random::fill_normal;
use limpid::{Result, Scalar, Seed};
use ndarray::{Array1, Array2, Axis};

const INPUTS: usize = 16;
const HIDDEN: usize = 32;
pub(crate) const CLASSES: usize = 4;
const STEPS: usize = 300;
const LEARNING_RATE: f64 = 0.5;
/// Examples that the classifier is trained on.
const TRAINED_ON: usize = 2048;
/// One label of so many is wrong.
const WRONG: u64 = 10;

const INPUT: u64 = 1;
const LABEL: u64 = 2;
const CENTRES: u64 = 3;
const WEIGHTS: u64 = 4;

/// Softmax of a layer on top of a layer of rectifiers.
pub(crate) struct Classifier {
    seed: Seed,
    first: (Array2<f64>, Array1<f64>),
    second: (Array2<f64>, Array1<f64>),
}

/// What entered the two layers, and the gradients of the loss by their outputs.
pub(crate) struct Rows {
    pub(crate) a: [Array2<f64>; 2],
    pub(crate) g: [Array2<f64>; 2],
    pub(crate) labels: Vec<usize>,
}

impl Classifier {
    /// Trained by gradient descent on the first examples.
    pub(crate) fn trained(seed: Seed) -> Result<Self> {
        let layer = |item, from: usize, to: usize| {
            (noise(seed.child(WEIGHTS, item), to, from, (2.0 / from as f64).sqrt()), Array1::zeros(to))
        };
        let mut model = Self { seed, first: layer(0, INPUTS, HIDDEN), second: layer(1, HIDDEN, CLASSES) };
        for _ in 0..STEPS {
            let Rows { a, g, .. } = model.rows(0..TRAINED_ON)?;
            for (layer, (a, g)) in [&mut model.first, &mut model.second].into_iter().zip(a.iter().zip(&g)) {
                let step = -LEARNING_RATE / TRAINED_ON as f64;
                layer.0.scaled_add(step, &product(&g.t(), a)?);
                layer.1.scaled_add(step, &g.sum_axis(Axis(0)));
            }
        }
        Ok(model)
    }

    /// Forward and backward for some examples of the endless data set.
    pub(crate) fn rows(&self, examples: std::ops::Range<usize>) -> Result<Rows> {
        let (x, labels) = self.examples(examples);
        let hidden = (product(&x, &self.first.0.t())? + &self.first.1).mapv(|h| h.max(0.0));
        let g = label_gradients(&(product(&hidden, &self.second.0.t())? + &self.second.1), &labels)?;
        let mut back = product(&g, &self.second.0)?;
        back.zip_mut_with(&hidden, |g, &h| *g = if h > 0.0 { *g } else { 0.0 });
        Ok(Rows { a: [x, hidden], g: [back, g], labels })
    }

    /// Points around the centres of the classes, and labels of which some are wrong.
    fn examples(&self, examples: std::ops::Range<usize>) -> (Array2<f64>, Vec<usize>) {
        let centres = noise(self.seed.child(CENTRES, 0), CLASSES, INPUTS, 0.6);
        let mut x = Array2::zeros((examples.len(), INPUTS));
        let mut labels = Vec::new();
        for (mut row, example) in x.rows_mut().into_iter().zip(examples) {
            let word = self.seed.child(LABEL, example as u64).0;
            let class = (word % CLASSES as u64) as usize;
            let wrong = usize::from((word >> 32).is_multiple_of(WRONG));
            row.assign(&(&noise(self.seed.child(INPUT, example as u64), 1, INPUTS, 1.0).row(0) + &centres.row(class)));
            labels.push((class + wrong) % CLASSES);
        }
        (x, labels)
    }
}

fn noise(seed: Seed, rows: usize, columns: usize, deviation: f64) -> Array2<f64> {
    let mut values = vec![0.0; rows * columns];
    fill_normal(&mut seed.stream(0, 0), f64::of(deviation), &mut values);
    Array2::from_shape_fn((rows, columns), |(row, column)| values[row * columns + column])
}
