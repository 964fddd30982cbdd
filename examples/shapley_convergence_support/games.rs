//! Games small enough to be known completely.

use limpid::attribution::perturbation::{ExactShapley, Summary, Table};
use limpid::attribution::{Forward, Network};
use limpid::math::pointwise::Activation;
use limpid::math::random::{below, fill_normal, uniform};
use limpid::{Result, Seed};
use ndarray::{Array1, Array2};

use super::Outcome;

/// A game, its name, and its Shapley values.
pub struct Known {
    pub name: &'static str,
    pub table: Table<f64>,
    pub values: Array1<f64>,
}

impl Known {
    fn new(name: &'static str, worths: Array1<f64>) -> Outcome<Self> {
        let mut table = Table::single(worths)?;
        let values = ExactShapley::default().of(&mut table)?.values.column(0).to_owned();
        Ok(Self { name, table, values })
    }

    /// Number of players.
    pub fn players(&self) -> usize {
        self.values.len()
    }
}

/// Random weights of a layer, `(outputs, inputs)`.
pub fn weights(outputs: usize, inputs: usize, scale: f64, seed: Seed) -> Array2<f64> {
    let mut values = vec![0.0; outputs * inputs];
    fill_normal(&mut seed.stream(0x6c61_7965, inputs as u64), scale / (inputs as f64).sqrt(), &mut values);
    Array2::from_shape_fn((outputs, inputs), |(o, i)| values[o * inputs + i])
}

/// A perceptron with one output and biases that put kinks on the way from zero.
pub fn perceptron(inputs: usize, hidden: &[usize], activation: Activation, seed: Seed) -> Result<Network<f64>> {
    let (mut network, mut width) = (Network::new(inputs), inputs);
    for (index, &next) in hidden.iter().enumerate() {
        let seed = seed.child(1, index as u64);
        let bias = weights(1, next, 0.5, seed.child(2, 0)).row(0).mapv(|b| b * (next as f64).sqrt());
        network = network.linear(weights(next, width, 2.0, seed), Some(bias))?.activation(activation)?;
        width = next;
    }
    network.linear(weights(1, width, 2.0, seed.child(3, 0)), None)
}

/// A network of 12 inputs that are there or not.
pub fn network(seed: Seed) -> Outcome<Known> {
    const PLAYERS: usize = 12;
    let mut model = perceptron(PLAYERS, &[32, 32], Activation::Tanh, seed)?;
    let masks = Array2::from_shape_fn((1 << PLAYERS, PLAYERS), |(mask, i)| (mask >> i & 1) as f64);
    let mut worths = Array2::zeros((1 << PLAYERS, 1));
    model.forward(&masks, &mut worths)?;
    Known::new("network", worths.column(0).to_owned())
}

/// 13 voters of unequal weight: a coalition is worth 1 where it has the majority.
pub fn vote(seed: Seed) -> Outcome<Known> {
    const PLAYERS: usize = 13;
    let stream = &mut seed.stream(0x766f_7465, 0);
    let votes: Vec<f64> = (0..PLAYERS).map(|_| 0.2 + uniform::<f64>(stream)).collect();
    let half = votes.iter().sum::<f64>() / 2.0;
    let worth = |mask: usize| {
        let cast: f64 = votes.iter().enumerate().filter(|(i, _)| mask >> i & 1 == 1).map(|(_, votes)| votes).sum();
        f64::from(u8::from(cast > half))
    };
    Known::new("vote", (0..1 << PLAYERS).map(worth).collect())
}

/// 14 players: what they are worth alone, and 30 sets of two to four that are worth more or less together.
pub fn synergies(seed: Seed) -> Outcome<Known> {
    const PLAYERS: usize = 14;
    let stream = &mut seed.stream(0x7379_6e65, 0);
    let mut terms: Vec<(usize, f64)> = (0..PLAYERS).map(|i| (1 << i, 2.0 * uniform::<f64>(stream))).collect();
    for _ in 0..30 {
        let size = 2 + below(stream, 3);
        let set = (0..size).fold(0, |set, _| set | 1 << below(stream, PLAYERS));
        terms.push((set, 2.0 * uniform::<f64>(stream) - 1.0));
    }
    let worth = |mask: usize| terms.iter().filter(|(set, _)| mask & set == *set).map(|(_, worth)| worth).sum();
    Known::new("synergies", (0..1 << PLAYERS).map(worth).collect())
}
