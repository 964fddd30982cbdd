//! Networks that the tests of the family share.

use ndarray::{Array1, Array2, array};

use crate::attribution::network::{Conv2d, Op};
use crate::attribution::target::Logit;
use crate::attribution::{Attribution, Batch, Explainer, Network};
use crate::math::pointwise::Activation;

/// `s = Σ x`, `h = relu(s - 10), relu(s + 1)` three times, outputs `Σ h ∓ 1`; layers: identity, linear, relu, linear.
pub(in crate::attribution) fn c1() -> Network<f64> {
    let model = Network::new(3).linear(Array2::eye(3), None).unwrap();
    let model = model.linear(Array2::ones((4, 3)), Some(array![-10.0, 1.0, 1.0, 1.0])).unwrap();
    let model = model.activation(Activation::Relu).unwrap();
    model.linear(Array2::ones((2, 4)), Some(array![-1.0, 1.0])).unwrap()
}

/// A `4 x 4` image, two channels of `3 x 3` windows of ones, relu, four equal sums of the first channel less most of the
/// second, relu; and the image `0, 1, .., 15`.
pub(in crate::attribution) fn c6() -> (Network<f64>, Array2<f64>) {
    let conv = Conv2d::new(ndarray::Array4::ones((2, 1, 3, 3)), Some(array![-50.0, -75.0]), [1, 1], [0, 0], [1, 4, 4])
        .unwrap();
    let model = Network::new(16).then(Op::Conv2d(conv)).unwrap().activation(Activation::Relu).unwrap();
    let row = array![1.0, 1.0, 1.0, 1.0, 1.0, -1.0, -1.0, -1.0];
    let model = model.linear(Array2::from_shape_fn((4, 8), |(_, i)| row[i]), None).unwrap();
    let image = Array1::from_iter((0..16).map(f64::from)).into_shape_with_order((1, 16)).unwrap();
    (model.activation(Activation::Relu).unwrap(), image)
}

/// A smooth network with three inputs and two outputs, and five inputs; layers: linear 5, tanh, linear 4, gelu, linear 2.
pub(in crate::attribution) fn smooth() -> (Network<f64>, Array2<f64>) {
    let weight = |rows, columns, seed: usize| {
        Array2::from_shape_fn((rows, columns), |(i, j)| ((7 * i + 3 * j + seed) % 11) as f64 / 8.0 - 0.6)
    };
    let bias = |n| Some(Array1::from_shape_fn(n, |i| 0.1 * i as f64 - 0.2));
    let model = Network::new(3).linear(weight(5, 3, 1), bias(5)).unwrap().activation(Activation::Tanh).unwrap();
    let model = model.linear(weight(4, 5, 4), bias(4)).unwrap().activation(Activation::Gelu).unwrap();
    (model.linear(weight(2, 4, 9), bias(2)).unwrap(), weight(5, 3, 5))
}

/// Checks that a method gives the same bits whatever the batch.
pub(in crate::attribution) fn unchanged_by_batches<E: Explainer<f64, Network<f64>>>(method: impl Fn(Batch) -> E) {
    let (mut model, x) = smooth();
    let mut run = |batch| -> Attribution<f64> {
        let found = method(batch).attribute(&mut model, &x, &Logit::of(1)).unwrap();
        Attribution { options: Default::default(), ..found }
    };
    let whole = run(Batch::Auto);
    for rows in [1, 3, 7] {
        assert_eq!(run(Batch::Rows(rows)), whole, "{rows} rows");
    }
}
