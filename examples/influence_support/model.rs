//! A softmax classifier with any hidden layers of `tanh`, trained on all of its data at once.

use limpid::influence::{Bias, Examples, LayerRows};
use limpid::math::gemm::product;
use limpid::math::pointwise::softmax;
use limpid::math::random::fill_normal;
use limpid::{Result, Seed};
use ndarray::{Array1, Array2, ArrayRef1, Axis, Slice};

/// Momentum and learning rate of training.
const MOMENTUM: f64 = 0.9;
pub const RATE: f64 = 0.3;

/// Weights of each layer, `(outputs, inputs + 1)`; the bias stands last.
#[derive(Clone)]
pub struct Model {
    pub weights: Vec<Array2<f64>>,
}

/// Inputs of every layer, and the logits.
pub struct Trace {
    pub inputs: Vec<Array2<f64>>,
    pub logits: Array2<f64>,
}

/// Labelled examples.
pub struct Data {
    pub x: Array2<f64>,
    pub labels: Vec<usize>,
}

/// What weighs the examples and the parameters in the objective `(1/N) Σ w_i L_i + (ridge/2) ‖θ‖²`.
pub struct Objective<'a> {
    pub data: &'a Data,
    pub weight: &'a Array1<f64>,
    pub ridge: f64,
}

impl Model {
    pub fn new(sizes: &[usize], seed: Seed) -> Self {
        let layer = |(number, pair): (usize, &[usize])| {
            let (inputs, outputs) = (pair[0], pair[1]);
            let mut values = vec![0.0; inputs * outputs];
            fill_normal(&mut seed.stream(1, number as u64), (1.0 / inputs as f64).sqrt(), &mut values);
            let at = |(o, i)| if i < inputs { values[o * inputs + i] } else { 0.0 };
            Array2::from_shape_fn((outputs, inputs + 1), at)
        };
        Self { weights: sizes.windows(2).enumerate().map(layer).collect() }
    }

    pub fn trace(&self, x: &Array2<f64>) -> Result<Trace> {
        let (mut inputs, mut at) = (Vec::new(), x.clone());
        for (number, weight) in self.weights.iter().enumerate() {
            let width = weight.ncols() - 1;
            let z = product(&at, &weight.slice_axis(Axis(1), Slice::from(..width)).t())? + weight.column(width);
            let last = number + 1 == self.weights.len();
            inputs.push(std::mem::replace(&mut at, if last { z } else { z.mapv(f64::tanh) }));
        }
        Ok(Trace { inputs, logits: at })
    }

    /// Gradients at the output of every layer from those by the logits.
    pub fn backward(&self, trace: &Trace, by_logits: Array2<f64>) -> Result<Vec<Array2<f64>>> {
        let (mut all, mut g) = (Vec::new(), by_logits);
        for (number, weight) in self.weights.iter().enumerate().rev() {
            let width = weight.ncols() - 1;
            let by_input = product(&g, &weight.slice_axis(Axis(1), Slice::from(..width)))?;
            let slope = trace.inputs[number].mapv(|h| 1.0 - h * h);
            all.push(std::mem::replace(&mut g, by_input * slope));
        }
        all.reverse();
        Ok(all)
    }

    /// Losses of all examples.
    pub fn losses(&self, data: &Data) -> Result<Array1<f64>> {
        let p = softmax(&self.trace(&data.x)?.logits)?;
        Ok(data.labels.iter().enumerate().map(|(row, &label)| -p[[row, label]].max(1e-300).ln()).collect())
    }

    /// Trains for `steps` steps; returns the models at these steps.
    pub fn train(&mut self, objective: &Objective<'_>, steps: usize, keep: &[usize]) -> Result<Vec<Self>> {
        let n = objective.data.x.nrows() as f64;
        let mut speed: Vec<Array2<f64>> = self.weights.iter().map(|w| Array2::zeros(w.dim())).collect();
        let mut kept = Vec::new();
        for step in 0..steps {
            let trace = self.trace(&objective.data.x)?;
            let by_logits = residual(&trace.logits, &objective.data.labels)?;
            let g = self.backward(&trace, by_logits)?;
            let scale = (objective.weight / n).insert_axis(Axis(1));
            for (((weight, speed), input), g) in self.weights.iter_mut().zip(&mut speed).zip(&trace.inputs).zip(g) {
                let g = g * &scale;
                let mut gradient = &*weight * objective.ridge;
                let width = input.ncols();
                let mut by_input = gradient.slice_axis_mut(Axis(1), Slice::from(..width));
                by_input += &product(&g.t(), input)?;
                let mut by_bias = gradient.column_mut(width);
                by_bias += &g.sum_axis(Axis(0));
                *speed = &*speed * MOMENTUM - &gradient * RATE;
                *weight += &*speed;
            }
            if keep.contains(&(step + 1)) {
                kept.push(self.clone());
            }
        }
        Ok(kept)
    }
}

/// Gradient of the loss by the logits.
pub fn residual(logits: &Array2<f64>, labels: &[usize]) -> Result<Array2<f64>> {
    let mut p = softmax(logits)?;
    p.rows_mut().into_iter().zip(labels).for_each(|(mut row, &label)| row[label] -= 1.0);
    Ok(p)
}

/// Rows of all layers, as the library wants them.
pub struct Rows {
    inputs: Vec<Array2<f64>>,
    gradients: Vec<Array2<f64>>,
    weight: Option<Vec<f64>>,
}

impl Rows {
    pub fn new(trace: &Trace, gradients: Vec<Array2<f64>>) -> Self {
        Self { inputs: trace.inputs.clone(), gradients, weight: None }
    }

    /// Rows of the losses of examples with their own labels.
    pub fn of_losses(model: &Model, data: &Data) -> Result<Self> {
        let trace = model.trace(&data.x)?;
        let gradients = model.backward(&trace, residual(&trace.logits, &data.labels)?)?;
        Ok(Self::new(&trace, gradients))
    }

    /// The exact Fisher matrix: every example once with each label, weighted by its probability.
    pub fn of_fisher(model: &Model, x: &Array2<f64>) -> Result<Self> {
        let trace = model.trace(x)?;
        let p = softmax(&trace.logits)?;
        let (mut inputs, mut gradients) = (vec![Vec::new(); trace.inputs.len()], vec![Vec::new(); trace.inputs.len()]);
        let mut weight = Vec::new();
        for class in 0..p.ncols() {
            let g = model.backward(&trace, residual(&trace.logits, &vec![class; x.nrows()])?)?;
            for (layer, g) in g.into_iter().enumerate() {
                inputs[layer].push(trace.inputs[layer].clone());
                gradients[layer].push(g);
            }
            weight.extend(p.column(class));
        }
        let stack = |parts: &Vec<Array2<f64>>| {
            let rows = parts.iter().flat_map(|part| part.rows()).collect::<Vec<_>>();
            Array2::from_shape_fn((rows.len(), parts[0].ncols()), |(row, column)| rows[row][column])
        };
        let (inputs, gradients) = (inputs.iter().map(stack).collect(), gradients.iter().map(stack).collect());
        Ok(Self { inputs, gradients, weight: Some(weight) })
    }

    pub fn layers(&self) -> Result<Vec<LayerRows<'_, f64>>> {
        let both = self.inputs.iter().zip(&self.gradients);
        both.map(|(a, g)| {
            let rows = LayerRows::new(a, g, Examples::EachRow)?.with_bias(Bias::Homogeneous);
            match &self.weight {
                Some(weight) => rows.with_weight(weight),
                None => Ok(rows),
            }
        })
        .collect()
    }
}

/// Classes by the largest of some random directions, with noise.
pub fn draw(n: usize, features: usize, classes: usize, seed: Seed, item: u64) -> Data {
    let normal = |rows: usize, columns: usize, purpose: u64, item: u64| {
        let mut values = vec![0.0; rows * columns];
        fill_normal(&mut seed.stream(purpose, item), 1.0, &mut values);
        Array2::from_shape_fn((rows, columns), |(i, j)| values[i * columns + j])
    };
    let scales: Array1<f64> = std::iter::successors(Some(1.5), |scale| Some(scale * 0.75)).take(features).collect();
    let (x, truth) = (normal(n, features, 2, item) * &scales, normal(classes, features, 3, 0));
    let z = x.dot(&truth.t()) + normal(n, classes, 4, item) * 0.7;
    let largest = |row: &ArrayRef1<f64>| (0..classes).fold(0, |best, c| if row[c] > row[best] { c } else { best });
    Data { labels: z.rows().into_iter().map(|row| largest(&row)).collect(), x }
}
