//! Every gradient of targets and of network operations against central differences in double precision.

use limpid::Seed;
use limpid::attribution::network::{
    Conv2d, Embedding, Linear, MaxPool2d, Mix, Norm, NormKind, Op, Scores, Softmax, Source,
};
use limpid::attribution::numeric::check_gradient;
use limpid::attribution::target::{
    Class, ContextInformation, ContrastLogit, ContrastLogitDifference, ContrastProbability,
    ContrastProbabilityDifference, CrossEntropy, Custom, DropoutDeviation, Entropy, InContextPvi, KlDivergence,
    LogProbability, Logit, Perplexity, Probability, SequenceLogProbability,
};
use limpid::attribution::{Differentiable, Forward, Layers, Network, Target};
use limpid::math::pointwise::Activation;
use limpid::math::random::fill_normal;
use ndarray::{Array1, Array2, Array3, Array4, array};

fn noise(rows: usize, columns: usize, item: u64) -> Array2<f64> {
    let mut values = Array2::zeros((rows, columns));
    fill_normal(&mut Seed(31).stream(0, item), 0.8, values.as_slice_mut().unwrap());
    values
}

fn vector(len: usize, item: u64) -> Array1<f64> {
    noise(1, len, item).row(0).to_owned()
}

/// Rows of logits: ordinary ones, and some in the hundreds.
fn logits() -> Array2<f64> {
    array![
        [0.3, -1.2, 2.0, 0.7, -0.4, 1.1],
        [300.0, 298.7, -250.0, 299.1, 120.0, 297.3],
        [-400.2, -399.0, -401.3, -398.6, -700.0, -399.9],
    ]
}

fn check_target(what: &str, target: &dyn Target<f64>, z: &Array2<f64>) {
    const STEP: f64 = 1e-5;
    target.check(z.nrows(), z.ncols()).unwrap();
    for row in 0..z.nrows() {
        let here = z.row(row).to_vec();
        // a gradient that is added to, rather than written, would show
        let mut gradient = vec![7.0; here.len()];
        target.cotangent(row, &here, &mut gradient);
        for (i, &derivative) in gradient.iter().enumerate() {
            let at = |shift: f64| {
                let mut moved = here.clone();
                moved[i] += shift;
                target.value(row, &moved)
            };
            let numeric = (at(STEP) - at(-STEP)) / (2.0 * STEP);
            let bound = 2e-8 * (1.0 + derivative.abs());
            assert!((numeric - derivative).abs() < bound, "{what} row {row} output {i}: {derivative} {numeric}");
        }
    }
}

#[test]
fn targets_of_one_class() {
    let (z, class) = (logits(), || Class::PerRow(vec![3, 1, 5]));
    check_target("logit", &Logit(class()), &z);
    check_target("probability", &Probability(class()), &z);
    check_target("log_probability", &LogProbability(class()), &z);
    check_target("cross_entropy", &CrossEntropy(class()), &z);
    check_target("perplexity", &Perplexity(class()), &z);
    check_target("contrast_logit", &ContrastLogit(class()), &z);
    check_target("contrast_probability", &ContrastProbability(class()), &z);
    check_target("entropy", &Entropy, &z);
    let quadratic = Custom::new(
        |_row, z: &[f64]| z[0] * z[1] - z[2],
        |_row, z: &[f64], gradient: &mut [f64]| {
            gradient.fill(0.0);
            gradient[..3].copy_from_slice(&[z[1], z[0], -1.0]);
        },
    );
    check_target("custom", &quadratic, &noise(3, 6, 1));
}

#[test]
fn targets_that_compare() {
    let (z, target, contrast) = (logits(), Class::PerRow(vec![3, 1, 5]), Class::PerRow(vec![2, 0, 5]));
    let reference = &z + &noise(3, 6, 2);
    for reference in [None, Some(reference.clone())] {
        let (target, contrast) = (target.clone(), contrast.clone());
        let logit = ContrastLogitDifference {
            target: target.clone(),
            contrast: contrast.clone(),
            reference: reference.clone(),
        };
        check_target("contrast_logit_difference", &logit, &z);
        let probability = ContrastProbabilityDifference { target, contrast, reference };
        check_target("contrast_probability_difference", &probability, &z);
    }
    check_target(
        "context_information",
        &ContextInformation { target: target.clone(), reference: reference.clone() },
        &z,
    );
    check_target("in_context_pvi", &InContextPvi { target: target.clone(), reference: reference.clone() }, &z);
    let mut noisy = Array3::zeros((5, 3, 6));
    noisy.outer_iter_mut().enumerate().for_each(|(pass, mut to)| to.assign(&(&z + &noise(3, 6, 40 + pass as u64))));
    check_target("dropout_deviation", &DropoutDeviation::new(target, &noisy).unwrap(), &z);
    for (top_k, top_p, min_kept) in [(0, 1.0, 1), (3, 1.0, 1), (0, 0.8, 1), (2, 0.9, 1), (0, 0.1, 3)] {
        let target = KlDivergence { reference: reference.clone(), top_k, top_p, min_kept };
        check_target("kl_divergence", &target, &z);
    }
}

#[test]
fn sequences() {
    for exponential in [false, true] {
        check_target(
            "sequence",
            &SequenceLogProbability { tokens: vec![1, 0, 1], exponential },
            &array![[0.3, -1.2, 2.0, 0.7, -0.4, 1.1], [300.0, 301.0, -250.0, -250.5, 120.0, 121.3]],
        );
    }
}

/// `Σ w z + z²/2`, whose cotangent differs from output to output.
fn bowl() -> impl Target<f64> {
    let weight = |i: usize| 0.3 + 0.7 * (1.0 + i as f64).sin();
    Custom::new(
        move |_row, z: &[f64]| z.iter().enumerate().map(|(i, z)| weight(i) * z + 0.5 * z * z).sum(),
        move |_row, z: &[f64], gradient: &mut [f64]| {
            gradient.iter_mut().zip(z).enumerate().for_each(|(i, (g, z))| *g = weight(i) + z);
        },
    )
}

fn check_network(what: &str, mut model: Network<f64>, item: u64) {
    let x = noise(3, model.n_inputs(), item);
    let found = check_gradient(&mut model, &x, &bowl(), 12, Seed(5)).unwrap();
    assert!(found.worst < 1e-8, "{what}: {found:?}");
}

fn one(op: Op<f64>, n: usize) -> Network<f64> {
    Network::new(n).then(op).unwrap()
}

fn kernel(shape: (usize, usize, usize, usize), item: u64) -> Array4<f64> {
    let (o, i, h, w) = shape;
    noise(o, i * h * w, item).into_shape_with_order(shape).unwrap()
}

#[test]
fn operations_of_one_input() {
    let linear = |bias| Op::Linear(Linear::new(noise(4, 3, 50), bias).unwrap());
    check_network("linear", one(linear(Some(vector(4, 51))), 3), 1);
    check_network("linear, token by token", one(linear(None), 12), 2);
    for (stride, padding) in [([1, 1], [0, 0]), ([2, 1], [1, 2]), ([3, 2], [2, 1])] {
        let op = Conv2d::new(kernel((3, 2, 3, 2), 52), Some(vector(3, 53)), stride, padding, [2, 5, 4]).unwrap();
        check_network("conv2d", one(Op::Conv2d(op), 40), 3);
    }
    for (kernel, stride) in [([2, 2], [2, 2]), ([3, 2], [1, 1]), ([2, 3], [2, 1])] {
        let op = MaxPool2d::new(kernel, stride, [2, 5, 4]).unwrap();
        check_network("max_pool2d", one(Op::MaxPool2d(op), 40), 4);
    }
    for activation in Activation::ALL {
        check_network(&format!("{activation:?}"), one(Op::Activation(activation), 7), 5);
    }
    for kind in [NormKind::Layer, NormKind::RootMeanSquare] {
        for beta in [None, Some(vector(4, 55))] {
            let op = Norm::new(kind, vector(4, 54), beta, 1e-5).unwrap();
            check_network(&format!("{kind:?}"), one(Op::Norm(op.clone()), 4), 6);
            check_network(&format!("{kind:?}, token by token"), one(Op::Norm(op), 12), 7);
        }
    }
    check_network("softmax", one(Op::Softmax(Softmax { part: None }), 6), 8);
    check_network("softmax in parts", one(Op::Softmax(Softmax { part: Some(3) }), 12), 9);
    check_network("shift", one(Op::Shift(vector(5, 56)), 5), 10);
}

/// Two or three linear maps of the input into one operation.
fn joined(op: Op<f64>, n: usize, widths: &[usize]) -> Network<f64> {
    let mut model = Network::new(n);
    let inputs: Vec<Source> = (60..)
        .zip(widths)
        .map(|(item, &width)| {
            let map = Linear::new(noise(width, n, item), Some(vector(width, item + 10))).unwrap();
            model.node(Op::Linear(map), &[Source::Input]).unwrap()
        })
        .collect();
    model.node(op, &inputs).unwrap();
    model
}

#[test]
fn operations_of_several_inputs() {
    let (heads, tokens) = (2, 3);
    let width = heads * tokens * 2;
    for causal in [false, true] {
        let scores = Op::Scores(Scores::new(heads, tokens, 0.7, causal).unwrap());
        let mut model = joined(scores, 4, &[width, width]);
        // masked scores are huge: look at them through a softmax
        model = model.then(Op::Softmax(Softmax { part: Some(tokens) })).unwrap();
        check_network(&format!("scores, causal: {causal}"), model, 11);
    }
    let square = heads * tokens * tokens;
    check_network("mix", joined(Op::Mix(Mix::new(heads, tokens).unwrap()), 4, &[square, width]), 12);
    check_network("add", joined(Op::Add, 4, &[5, 5, 5]), 13);
    check_network("multiply", joined(Op::Multiply, 4, &[5, 5]), 14);
    let mut square = Network::new(3);
    square.node(Op::Multiply, &[Source::Input, Source::Input]).unwrap();
    check_network("an input used twice", square, 15);
}

/// A block of attention and of a network with residual connections, over `t` tokens of `d` values with `h` heads.
fn block(tokens: usize, d: usize, heads: usize) -> Network<f64> {
    let mut model = Network::new(tokens * d);
    let map = |outputs, inputs, item| {
        Op::Linear(Linear::new(noise(outputs, inputs, item), Some(vector(outputs, item + 1))).unwrap())
    };
    let norm = |kind, item| Op::Norm(Norm::new(kind, vector(d, item), Some(vector(d, item + 1)), 1e-5).unwrap());
    let x = model.node(Op::Shift(vector(tokens * d, 80)), &[Source::Input]).unwrap();
    let normed = model.node(norm(NormKind::Layer, 81), &[x]).unwrap();
    let [query, key, value] = [83, 85, 87].map(|item| model.node(map(d, d, item), &[normed]).unwrap());
    let scores = model.node(Op::Scores(Scores::new(heads, tokens, 0.6, true).unwrap()), &[query, key]).unwrap();
    let weights = model.node(Op::Softmax(Softmax { part: Some(tokens) }), &[scores]).unwrap();
    let mixed = model.node(Op::Mix(Mix::new(heads, tokens).unwrap()), &[weights, value]).unwrap();
    let out = model.node(map(d, d, 89), &[mixed]).unwrap();
    let middle = model.node(Op::Add, &[x, out]).unwrap();
    let normed = model.node(norm(NormKind::RootMeanSquare, 91), &[middle]).unwrap();
    let hidden = model.node(map(2 * d, d, 93), &[normed]).unwrap();
    let active = model.node(Op::Activation(Activation::Gelu), &[hidden]).unwrap();
    let down = model.node(map(d, 2 * d, 95), &[active]).unwrap();
    model.node(Op::Add, &[middle, down]).unwrap();
    model
}

/// A network cut in two, as a model of its own, so that its gradients can be compared.
enum Half<'a> {
    /// From the activation of a layer to the outputs; `x` is held.
    From(&'a mut Network<f64>, usize, &'a Array2<f64>),
    /// From the input to the activation of a layer.
    To(&'a mut Network<f64>, usize),
}

impl Forward<f64> for Half<'_> {
    type Error = limpid::Error;

    fn n_inputs(&self) -> usize {
        match self {
            Self::From(model, layer, _) => model.layer_width(*layer).unwrap(),
            Self::To(model, _) => model.n_inputs(),
        }
    }

    fn n_outputs(&self) -> usize {
        match self {
            Self::From(model, ..) => model.n_outputs(),
            Self::To(model, layer) => model.layer_width(*layer).unwrap(),
        }
    }

    fn forward(&mut self, x: &ndarray::ArrayRef2<f64>, out: &mut ndarray::ArrayRef2<f64>) -> limpid::Result<()> {
        match self {
            Self::From(model, layer, input) => model.forward_with(*layer, input, x, out),
            Self::To(model, layer) => model.layer(*layer, x, out),
        }
    }
}

impl Differentiable<f64> for Half<'_> {
    fn vjp(
        &mut self,
        x: &ndarray::ArrayRef2<f64>,
        cotangent: limpid::attribution::Cotangent<'_, f64>,
        out: &mut ndarray::ArrayRef2<f64>,
        gradient: &mut ndarray::ArrayRef2<f64>,
    ) -> limpid::Result<()> {
        match self {
            Self::From(model, layer, input) => model.vjp_with(*layer, input, x, cotangent, out, gradient),
            Self::To(model, layer) => model.vjp_to(*layer, x, cotangent, out, gradient),
        }
    }
}

fn check_layers(what: &str, mut model: Network<f64>, x: &Array2<f64>, reach_input: bool) {
    for layer in 0..model.n_layers() {
        let mut h = Array2::zeros((x.nrows(), model.layer_width(layer).unwrap()));
        model.layer(layer, x, &mut h).unwrap();
        // masked scores cannot be moved by differences
        if h.iter().all(|h| h.abs() < 1e6) {
            let found = check_gradient(&mut Half::From(&mut model, layer, x), &h, &bowl(), 6, Seed(6)).unwrap();
            assert!(found.worst < 1e-7, "{what}, from layer {layer}: {found:?}");
            if reach_input {
                let found = check_gradient(&mut Half::To(&mut model, layer), x, &bowl(), 6, Seed(7)).unwrap();
                assert!(found.worst < 1e-7, "{what}, to layer {layer}: {found:?}");
            }
        }
    }
}

#[test]
fn from_and_to_every_layer() {
    let x = noise(1, 12, 16);
    check_network("block", block(3, 4, 2), 16);
    check_layers("block", block(3, 4, 2), &x, true);
    let image = Network::new(40)
        .then(Op::Conv2d(Conv2d::new(kernel((3, 2, 3, 2), 52), None, [1, 1], [1, 0], [2, 5, 4]).unwrap()))
        .and_then(|model| model.activation(Activation::Silu))
        .and_then(|model| model.then(Op::MaxPool2d(MaxPool2d::new([2, 2], [1, 1], [3, 5, 3])?)))
        .and_then(|model| model.linear(noise(3, 24, 57), None))
        .unwrap();
    check_layers("image", image, &noise(1, 40, 17), true);
    let words = one(Op::Embedding(Embedding::new(noise(5, 3, 58)).unwrap()), 4)
        .linear(noise(2, 12, 59), None)
        .and_then(|model| model.activation(Activation::Tanh))
        .unwrap();
    check_layers("words", words, &array![[0.0, 3.0, 4.0, 3.0]], false);
}
