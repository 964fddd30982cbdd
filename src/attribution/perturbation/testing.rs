//! What the tests of the family share.

use alloc::vec::Vec;

use ndarray::{Array2, ArrayRef2, array};

use super::causal::CausalModel;
use super::game::Table;
use crate::attribution::target::Logit;
use crate::attribution::{Attribution, Batch, Explainer, Failure, Network};
use crate::math::pointwise::Activation;
use crate::math::random::fill_normal;
use crate::{Error, Seed};

/// A worth that no summary of few numbers tells.
fn worth(coalition: usize) -> f64 {
    libm::sin(1.7 * (coalition * coalition) as f64 + 0.3) * 3.0
}

/// A game of such worths.
pub(super) fn noise(players: usize) -> Table<f64> {
    Table::single((0..1 << players).map(worth).collect()).unwrap()
}

/// The same with two values.
pub(super) fn noises(players: usize) -> Table<f64> {
    Table::new(Array2::from_shape_fn((1 << players, 2), |(i, value)| worth(i + value))).unwrap()
}

/// The same, and every member is worth one more.
pub(super) fn growing(players: usize) -> Table<f64> {
    let worth = |i: usize| worth(i) + f64::from(i.count_ones());
    Table::new(Array2::from_shape_fn((1 << players, 2), |(i, value)| worth(i + value))).unwrap()
}

/// `h = [relu(s - 10), relu(s + 1) three times]` with `s` the sum of three features; outputs `Σh - 1` and `Σh + 1`.
pub(super) fn c1() -> Network<f64> {
    let hidden = Network::new(3).linear(Array2::ones((4, 3)), Some(array![-10.0, 1.0, 1.0, 1.0])).unwrap();
    let active = hidden.activation(Activation::Relu).unwrap();
    active.linear(Array2::ones((2, 4)), Some(array![-1.0, 1.0])).unwrap()
}

/// A smooth network of six features and three outputs.
pub(super) fn smooth() -> Network<f64> {
    let weight = |item: u64, rows: usize, columns: usize| {
        let mut values = alloc::vec![0.0; rows * columns];
        fill_normal(&mut Seed(5).stream(1, item), 0.7, &mut values);
        Array2::from_shape_vec((rows, columns), values).unwrap()
    };
    let hidden = Network::new(6).linear(weight(0, 9, 6), None).unwrap().activation(Activation::Tanh).unwrap();
    hidden.linear(weight(1, 3, 9), None).unwrap()
}

/// Five inputs for [`smooth`].
pub(super) fn inputs() -> Array2<f64> {
    let mut values = alloc::vec![0.0; 30];
    fill_normal(&mut Seed(6).stream(1, 0), 1.0, &mut values);
    Array2::from_shape_vec((5, 6), values).unwrap()
}

/// A small recurrent network whose state is kept after every token, `(t, 4)`.
pub(super) struct Recurrent {
    width: usize,
    outputs: usize,
    states: Vec<[f64; 4]>,
    /// Tokens read so far.
    pub(super) read: u64,
    /// Number of the run that fails, from 1.
    pub(super) fail_at: Option<u64>,
    runs: u64,
}

impl Recurrent {
    pub(super) fn new(width: usize, outputs: usize) -> Self {
        Self { width, outputs, states: Vec::new(), read: 0, fail_at: None, runs: 0 }
    }
}

impl CausalModel<f64> for Recurrent {
    type Error = &'static str;

    fn width(&self) -> usize {
        self.width
    }

    fn n_outputs(&self) -> usize {
        self.outputs
    }

    fn truncate(&mut self, tokens: usize) -> Result<(), &'static str> {
        self.states.truncate(tokens);
        Ok(())
    }

    fn extend(&mut self, tokens: &ArrayRef2<f64>, out: &mut ArrayRef2<f64>) -> Result<(), &'static str> {
        self.runs += 1;
        if self.fail_at == Some(self.runs) {
            return Err("no memory");
        }
        for token in tokens.rows() {
            let last = self.states.last().copied().unwrap_or_default();
            self.read += 1;
            self.states.push(core::array::from_fn(|i| {
                let from_token: f64 = token.iter().enumerate().map(|(j, x)| libm::cos((3 * i + j) as f64) * x).sum();
                libm::tanh(from_token + 0.7 * last[(i + 1) % 4] - 0.4 * last[i])
            }));
        }
        let first = self.states.len() - out.nrows();
        for (mut row, state) in out.rows_mut().into_iter().zip(&self.states[first..]) {
            row.iter_mut()
                .enumerate()
                .for_each(|(k, z)| *z = (0..4).map(|i| libm::sin((k + 2 * i) as f64) * state[i]).sum());
        }
        Ok(())
    }
}

/// Checks that a method gives the same bits for any batch size.
pub(super) fn is_batch_invariant<E: Explainer<f64, Network<f64>>>(method: impl Fn(Batch) -> E) {
    let run = |batch| method(batch).attribute(&mut smooth(), &inputs(), &Logit::of(1)).unwrap();
    let parts = |found: &Attribution<f64>| {
        let bits = |values: &Array2<f64>| values.mapv(f64::to_bits);
        (bits(&found.values), found.standard_error.as_ref().map(bits), found.evaluations, found.status)
    };
    let auto = run(Batch::Auto);
    for rows in [1, 3, 7] {
        assert_eq!(parts(&run(Batch::Rows(rows))), parts(&auto), "batches of {rows}");
    }
}

/// The error of a method on one input of three ones for [`c1`].
pub(super) fn failed_input(method: &impl Explainer<f64, Network<f64>>) -> Error {
    match method.attribute(&mut c1(), &array![[1.0, 1.0, 1.0]], &Logit::of(0)) {
        Err(Failure::Input(error)) => error,
        other => panic!("an error of the input was expected, got {other:?}"),
    }
}
