//! Rows for the tests of all estimators.

use alloc::vec::Vec;

use ndarray::{Array2, Axis};

use crate::influence::testing::noise;
use crate::influence::{Bias, Examples, LayerRows};

/// Inputs, gradients, and the example of each row.
pub(crate) type Data = (Array2<f64>, Array2<f64>, Vec<usize>, usize);

/// Rows of two layers, 3 to 2 and 2 to 3, with 1 to 3 rows for each of `n` examples.
pub(crate) fn noise_layers(n: usize, seed: u64) -> Vec<Data> {
    noise_layers_of([(3, 2), (2, 3)], n, seed)
}

/// Rows of two layers of these inputs and outputs.
pub(crate) fn noise_layers_of(sizes: [(usize, usize); 2], n: usize, seed: u64) -> Vec<Data> {
    let examples: Vec<usize> =
        (0..n).flat_map(|e| core::iter::repeat_n(e, 1 + (e + usize::from(seed.is_multiple_of(2))) % 3)).collect();
    let rows = examples.len();
    sizes
        .into_iter()
        .enumerate()
        .map(|(layer, (d_in, d_out))| {
            let item = seed * 16 + layer as u64 * 2;
            (noise(rows, d_in, item), noise(rows, d_out, item + 1), examples.clone(), n)
        })
        .collect()
}

/// The examples `from..to`.
pub(crate) fn part(data: &[Data], from: usize, to: usize) -> Vec<Data> {
    let of = |(a, g, examples, _): &Data| {
        let rows: Vec<usize> = (0..examples.len()).filter(|&row| (from..to).contains(&examples[row])).collect();
        let examples = rows.iter().map(|&row| examples[row] - from).collect();
        (a.select(Axis(0), &rows), g.select(Axis(0), &rows), examples, to - from)
    };
    data.iter().map(of).collect()
}

/// The rows with a bias.
pub(crate) fn layers(data: &[Data]) -> Vec<LayerRows<'_, f64>> {
    data.iter().map(rows).collect()
}

fn rows((a, g, example, n): &Data) -> LayerRows<'_, f64> {
    LayerRows::new(a, g, Examples::Index { example, n: *n }).unwrap().with_bias(Bias::Homogeneous)
}
