//! Rule methods: published numbers, completeness through every operation, conservation of relevance.

use std::sync::Arc;

use limpid::Scalar;
use limpid::attribution::network::{Conv2d, Linear, MaxPool2d, Mix, Norm, NormKind, Op, Scores, Softmax, Source};
use limpid::attribution::rules::{
    AttnLrp, DeepLift, DeepLiftShap, Lrp, LrpRule, SoftmaxRule, epsilon_alpha2_beta1, epsilon_gamma_box,
    epsilon_plus_flat,
};
use limpid::attribution::target::{LogProbability, Logit, Probability};
use limpid::attribution::{Attribution, Baseline, Batch, Explainer, Network, Target};
use limpid::math::pointwise::Activation;
use limpid::math::random::fill_normal;
use limpid::{Error, Seed};
use ndarray::{Array1, Array2, Array4, ArrayRef2, array};

fn random<T: Scalar>(item: u64, shape: (usize, usize)) -> Array2<T> {
    let mut x = Array2::zeros(shape);
    fill_normal(&mut Seed(7).stream(1, item), T::one(), x.as_slice_mut().unwrap());
    x
}

fn linear<T: Scalar>(item: u64, outputs: usize, inputs: usize) -> Op<T> {
    let weight = random::<T>(item, (outputs, inputs)) / T::of(inputs as f64).sqrt();
    Op::Linear(Linear::new(weight, Some(random(item + 100, (1, outputs)).row(0).to_owned())).unwrap())
}

/// A transformer block over 3 tokens of width 4 with two heads, a gated layer, and a softmax at the end.
fn transformer<T: Scalar>() -> Network<T> {
    let mut net = Network::new(12);
    let x = Source::Input;
    let norm = Norm::new(
        NormKind::Layer,
        Array1::from_elem(4, T::of(1.5)),
        Some(Array1::from_elem(4, T::of(0.1))),
        T::of(1e-5),
    );
    let normed = net.node(Op::Norm(norm.unwrap()), &[x]).unwrap();
    let [q, k, v] = [1, 2, 3].map(|item| net.node(linear(item, 4, 4), &[normed]).unwrap());
    let scores = net.node(Op::Scores(Scores::new(2, 3, T::of(0.7), true).unwrap()), &[q, k]).unwrap();
    let weights = net.node(Op::Softmax(Softmax { part: Some(3) }), &[scores]).unwrap();
    let mixed = net.node(Op::Mix(Mix::new(2, 3).unwrap()), &[weights, v]).unwrap();
    let out = net.node(linear(4, 4, 4), &[mixed]).unwrap();
    let after = net.node(Op::Add, &[x, out]).unwrap();
    let rms = Norm::new(NormKind::RootMeanSquare, Array1::from_elem(4, T::one()), None, T::of(1e-6)).unwrap();
    let normed = net.node(Op::Norm(rms), &[after]).unwrap();
    let [up, gate] = [5, 6].map(|item| net.node(linear(item, 6, 4), &[normed]).unwrap());
    let gate = net.node(Op::Activation(Activation::Silu), &[gate]).unwrap();
    let product = net.node(Op::Multiply, &[up, gate]).unwrap();
    let down = net.node(linear(7, 4, 6), &[product]).unwrap();
    let sum = net.node(Op::Add, &[after, down]).unwrap();
    let logits = net.node(linear(8, 5, 12), &[sum]).unwrap();
    net.node(Op::Softmax(Softmax::default()), &[logits]).unwrap();
    net
}

/// The convolution of ones over the image 0..15, and its linear head.
fn image_network() -> (Network<f64>, Array2<f64>) {
    let conv = Conv2d::new(Array4::ones((2, 1, 3, 3)), Some(array![-50.0, -75.0]), [1, 1], [0, 0], [1, 4, 4]).unwrap();
    let row = [1.0, 1.0, 1.0, 1.0, 1.0, -1.0, -1.0, -1.0];
    let head = Array2::from_shape_fn((4, 8), |(_, unit)| row[unit]);
    let net = Network::new(16).then(Op::Conv2d(conv)).unwrap().activation(Activation::Relu).unwrap();
    let net = net.linear(head, None).unwrap().activation(Activation::Relu).unwrap();
    (net, Array2::from_shape_fn((1, 16), |(_, i)| i as f64))
}

fn close(a: &Array2<f64>, b: &Array2<f64>, tolerance: f64) {
    assert!(a.dim() == b.dim() && (a - b).iter().all(|d| d.abs() <= tolerance), "\n{a}\n{b}");
}

fn explain<M: Explainer<f64, Network<f64>>>(method: &M, net: &mut Network<f64>, x: &Array2<f64>) -> Attribution<f64> {
    method.attribute(net, x, &Logit::of(0)).unwrap()
}

#[test]
fn deep_lift_of_published_examples() {
    // relu(w₁·x₁) + relu(w₂·x₂)
    let weight = array![[3.0, 1.0, 0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 2.0, 3.0, 0.0]];
    let net = Network::new(6).linear(weight, None).unwrap().activation(Activation::Relu).unwrap();
    let mut net = net.linear(array![[1.0, 1.0]], None).unwrap();
    let x = array![[-10.0, 1.0, -5.0, 3.0, 3.0, 1.0]];
    close(&explain(&DeepLift::default(), &mut net, &x).values, &array![[0.0, 0.0, 0.0, 6.0, 9.0, 0.0]], 1e-12);
    let layer = DeepLift { layer: Some(0), ..DeepLift::default() };
    close(&explain(&layer, &mut net, &x).values, &array![[0.0, 15.0]], 1e-12);

    let mut pool = Network::new(4).then(Op::MaxPool2d(MaxPool2d::new([1, 4], [1, 4], [1, 1, 4]).unwrap())).unwrap();
    let baseline = array![[1.0, 2.0, 3.0, 9.0], [4.0, 8.0, 6.0, 7.0]];
    let found =
        explain(&DeepLift { baseline: baseline.into(), ..DeepLift::default() }, &mut pool, &Array2::ones((2, 4)));
    close(&found.values, &array![[0.0, 0.0, 0.0, -8.0], [0.0, -7.0, 0.0, 0.0]], 0.0);
    assert_eq!(found.delta, Some(array![0.0, 0.0]));
}

#[test]
fn deep_lift_is_complete_through_overlapping_windows() {
    let mut net = Network::new(16).then(Op::MaxPool2d(MaxPool2d::new([2, 2], [1, 1], [1, 4, 4]).unwrap())).unwrap();
    net = net.then(linear(1, 2, 9)).unwrap().activation(Activation::Gelu).unwrap();
    let method = DeepLift { baseline: random(3, (1, 16)).row(0).to_owned().into(), ..DeepLift::default() };
    let found = explain(&method, &mut net, &random(2, (8, 16)));
    assert!(found.delta.unwrap().iter().all(|d| d.abs() < 1e-13));
}

/// The largest distance from completeness over four rows of the transformer.
fn worst_delta<T: Scalar>(target: &dyn Target<T>) -> T {
    let method = DeepLift { baseline: random(9, (1, 12)).row(0).to_owned().into(), ..DeepLift::default() };
    let found = method.attribute(&mut transformer::<T>(), &random(8, (4, 12)), target).unwrap();
    found.delta.unwrap().iter().fold(T::zero(), |worst, d| worst.max(d.abs()))
}

#[test]
fn deep_lift_is_complete_through_attention_norms_gates_and_targets() {
    assert!(worst_delta::<f64>(&Logit::of(2)) < 1e-12);
    assert!(worst_delta::<f64>(&LogProbability::of(1)) < 1e-12);
    assert!(worst_delta::<f64>(&Probability::of(vec![0, 1, 2, 3])) < 1e-12);
    assert!(worst_delta::<f32>(&LogProbability::of(1)) < 1e-5);
}

#[test]
fn deep_lift_keeps_its_digits_where_input_and_baseline_almost_agree() {
    let mut net = Network::<f32>::new(4).then(linear(1, 8, 4)).unwrap().activation(Activation::Tanh).unwrap();
    net = net.then(linear(2, 1, 8)).unwrap();
    let baseline: Array2<f32> = random(3, (1, 4));
    let x = baseline.mapv(|x| x + 1e-6);
    let method = DeepLift { baseline: baseline.row(0).to_owned().into(), ..DeepLift::default() };
    let found = method.attribute(&mut net, &x, &Logit::of(0)).unwrap().values;
    let mut exact = Network::<f64>::new(4).then(linear(1, 8, 4)).unwrap().activation(Activation::Tanh).unwrap();
    exact = exact.then(linear(2, 1, 8)).unwrap();
    let wide = |x: &Array2<f32>| x.mapv(f64::from);
    let method = DeepLift { baseline: Baseline::Rows(wide(&baseline)), ..DeepLift::default() };
    let expected = explain(&method, &mut exact, &wide(&x)).values;
    for (found, expected) in found.iter().zip(&expected) {
        assert!((f64::from(*found) - expected).abs() < 1e-5 * expected.abs(), "{found} {expected}");
    }
}

#[test]
fn deep_lift_depends_neither_on_batches_nor_on_neighbours() {
    let x = random(8, (5, 12));
    let run = |batch, x: &Array2<f64>| {
        let method = DeepLift { baseline: Baseline::Zeros, batch, ..DeepLift::default() };
        method.attribute(&mut transformer(), x, &LogProbability::of(1)).unwrap().values
    };
    let whole = run(Batch::Auto, &x);
    assert_eq!(run(Batch::Rows(1), &x), whole);
    assert_eq!(run(Batch::Rows(3), &x), whole);
    let per_row = DeepLift { baseline: Baseline::Rows(Array2::zeros((5, 12))), batch: Batch::Rows(2), layer: None };
    assert_eq!(per_row.attribute(&mut transformer(), &x, &LogProbability::of(1)).unwrap().values, whole);
}

#[test]
fn deep_lift_shap_is_the_mean_over_baselines() {
    let (x, baselines) = (random(8, (3, 12)), random(5, (4, 12)));
    let method = DeepLiftShap::new(baselines.clone());
    let (found, deltas) = method.attribute_with_deltas(&mut transformer(), &x, &Logit::of(0)).unwrap();
    let mut mean = Array2::<f64>::zeros((3, 12));
    for baseline in baselines.rows() {
        let single = DeepLift { baseline: baseline.to_owned().into(), ..DeepLift::default() };
        mean += &explain(&single, &mut transformer(), &x).values;
    }
    close(&found.values, &(mean / 4.0), 1e-13);
    assert!(deltas.iter().chain(&found.delta.unwrap()).all(|d| d.abs() < 1e-12));
    assert!(found.standard_error.unwrap().iter().all(|&error| error > 0.0));
    assert!(DeepLiftShap::new(Array2::<f64>::zeros((0, 12))).attribute(&mut transformer(), &x, &Logit::of(0)).is_err());
}

/// `W₂ relu(W₁ x)`, with a negative weight.
fn published(first: f64) -> Network<f64> {
    let mut weight = Array2::from_elem((3, 3), 2.0);
    weight[[0, 0]] = first;
    let net = Network::new(3).linear(weight, None).unwrap().activation(Activation::Relu).unwrap();
    net.linear(array![[3.0, 3.0, 3.0]], None).unwrap()
}

#[test]
fn lrp_of_published_examples() {
    let x = array![[1.0, 2.0, 3.0]];
    let with = |first, last, weight| {
        let lrp = Lrp { rules: vec![Some(first), None, Some(last)], ..Lrp::default() };
        explain(&lrp, &mut published(weight), &x).values
    };
    let epsilon = LrpRule::default();
    close(&with(epsilon, epsilon, 2.0), &array![[18.0, 36.0, 54.0]], 1e-6);
    let gamma = |gamma| LrpRule::Gamma { gamma, epsilon: 1e-9, zero_bias: false };
    close(&with(gamma(1.0), gamma(0.25), -2.0), &array![[28.0 / 3.0, 104.0 / 3.0, 52.0]], 1e-6);
    let alpha = LrpRule::Alpha1Beta0 { epsilon: 1e-9, zero_bias: false };
    close(&with(alpha, alpha, -2.0), &array![[12.0, 33.6, 50.4]], 1e-6);
    let general = LrpRule::AlphaBeta { alpha: 1.0, beta: 0.0, epsilon: 1e-9 };
    close(&with(general, general, -2.0), &array![[12.0, 33.6, 50.4]], 1e-6);
    close(&with(LrpRule::Identity, epsilon, -2.0), &array![[24.0, 36.0, 36.0]], 1e-6);

    let skip = {
        let mut net = Network::new(2);
        let map =
            net.node(Op::Linear(Linear::new(Array2::from_elem((2, 2), 5.0), None).unwrap()), &[Source::Input]).unwrap();
        net.node(Op::Add, &[map, Source::Input]).unwrap();
        net
    };
    let found = Lrp::default().attribute(&mut skip.clone(), &array![[2.0, 3.0]], &Logit::of(1)).unwrap();
    close(&found.values, &array![[10.0, 18.0]], 1e-6);
}

#[test]
fn lrp_of_a_rectifier_network_is_input_times_gradient() {
    let (mut net, x) = image_network();
    let found = explain(&Lrp::default(), &mut net, &x);
    let rows = [0.0, 1.0, 2.0, 3.0, 0.0, 5.0, 6.0, 7.0, 0.0, 9.0, 10.0, 11.0, 0.0, 0.0, 0.0, 0.0];
    close(&found.values, &Array2::from_shape_vec((1, 16), rows.to_vec()).unwrap(), 1e-6);
}

#[test]
fn rules_for_inputs_conserve_relevance() {
    let net = || published(-2.0);
    let x = array![[1.0, -2.0, 3.0], [0.5, -0.1, 0.9]];
    for first in [
        LrpRule::WSquare,
        LrpRule::Flat,
        LrpRule::Box { low: -3.0, high: 4.0, epsilon: 0.0 },
        LrpRule::AlphaBeta { alpha: 2.0, beta: 1.0, epsilon: 0.0 },
    ] {
        let lrp = Lrp { rules: vec![Some(first)], ..Lrp::default() };
        let (found, audits) = lrp.audit(&mut net(), &x, &Logit::of(0)).unwrap();
        assert!(found.delta.unwrap().iter().all(|d| d.abs() < 1e-6), "{first:?}");
        assert!(audits.iter().all(|audit| audit.absorbed().abs() < 1e-6) && audits.len() == 3);
    }
    let flat = Lrp { rules: vec![Some(LrpRule::Flat)], ..Lrp::default() };
    let values = explain(&flat, &mut net(), &x).values;
    assert!(values.rows().into_iter().all(|row| row.iter().all(|r| (r - row[0]).abs() < 1e-9)));
}

#[test]
fn composites_choose_by_kind_and_place() {
    let (net, x) = image_network();
    let plus = LrpRule::Alpha1Beta0 { epsilon: 1e-6, zero_bias: true };
    assert_eq!(epsilon_plus_flat(&net), [Some(LrpRule::Flat), None, Some(LrpRule::Epsilon { epsilon: 1e-6 }), None]);
    assert_eq!(limpid::attribution::rules::epsilon_plus(&net)[0], Some(plus));
    for rules in [epsilon_plus_flat(&net), epsilon_alpha2_beta1(&net), epsilon_gamma_box(&net, 0.0, 16.0)] {
        let found = explain(&Lrp { rules, ..Lrp::default() }, &mut net.clone(), &x);
        assert!((found.values.sum() - 54.0).abs() < 60.0 && found.values.iter().all(|r| r.is_finite()));
    }
}

#[test]
fn attention_conserves_relevance_but_for_biases_and_norms() {
    let mut net = transformer::<f64>();
    let lrp = Lrp { softmax: SoftmaxRule::Constant, ..Lrp::default() };
    let (found, audits) = lrp.audit(&mut net, &random(8, (4, 12)), &Logit::of(1)).unwrap();
    assert_eq!(audits.len(), net.nodes().len());
    for audit in audits.iter().filter(|audit| ["mix", "multiply", "add", "norm", "silu"].contains(&audit.op)) {
        assert!(audit.absorbed().abs() < 1e-5 * (1.0 + audit.received.abs()), "{audit:?}");
    }
    // the softmax at the end holds everything back: what is left is what its logits would have had
    assert!(found.values.iter().all(|r| r.is_finite()));
    let all = AttnLrp::default().attribute(&mut net, &random(8, (4, 12)), &Logit::of(1)).unwrap();
    assert!(all.values.iter().all(|r| r.is_finite()) && all.method == "attn_lrp");
}

#[test]
fn settings_out_of_range_are_refused() {
    let x = array![[1.0, 2.0, 3.0]];
    let refused = |rules: Vec<Option<LrpRule>>| {
        matches!(
            Lrp { rules, ..Lrp::default() }.attribute(&mut published(1.0), &x, &Logit::of(0)),
            Err(limpid::attribution::Failure::Input(Error::OutOfRange { .. } | Error::Shape { .. }))
        )
    };
    assert!(refused(vec![Some(LrpRule::Epsilon { epsilon: -1.0 })]));
    assert!(refused(vec![Some(LrpRule::AlphaBeta { alpha: 1.0, beta: 1.0, epsilon: 0.0 })]));
    assert!(refused(vec![None; 4]));
    assert!(refused(vec![None, None, Some(LrpRule::Identity)]));
    assert!(
        DeepLift { layer: Some(9), ..DeepLift::default() }.attribute(&mut published(1.0), &x, &Logit::of(0)).is_err()
    );
}

/// `x + 1` whose gradient comes back in whatever form is asked for.
#[derive(Debug)]
enum Hostile {
    ColumnMajor,
    WrongShape,
    TooMany,
}

impl limpid::attribution::network::Operation<f64> for Hostile {
    fn width(&self, inputs: &[usize]) -> limpid::Result<usize> {
        Ok(inputs[0])
    }

    fn forward(&self, inputs: &[&ArrayRef2<f64>], out: &mut ArrayRef2<f64>) -> limpid::Result<()> {
        out.assign(&(inputs[0] + 1.0));
        Ok(())
    }

    fn vjp(
        &self,
        _: &[&ArrayRef2<f64>],
        _: &ArrayRef2<f64>,
        by_output: &ArrayRef2<f64>,
    ) -> limpid::Result<Vec<Array2<f64>>> {
        Ok(match self {
            Self::ColumnMajor => vec![by_output.t().as_standard_layout().into_owned().reversed_axes()],
            Self::WrongShape => vec![Array2::zeros((1, 1))],
            Self::TooMany => vec![by_output.to_owned(), by_output.to_owned()],
        })
    }

    fn linear(&self) -> bool {
        true
    }
}

#[test]
fn gradients_of_foreign_operations_are_not_taken_on_trust() {
    let run = |op: Hostile| {
        let mut net = Network::new(4).then(linear(1, 4, 2)).unwrap().then(Op::Custom(Arc::new(op))).unwrap();
        net = net.then(linear(2, 2, 8)).unwrap();
        DeepLift::default().attribute(&mut net, &random(3, (3, 4)), &Logit::of(0))
    };
    assert!(run(Hostile::ColumnMajor).unwrap().delta.unwrap().iter().all(|d| d.abs() < 1e-12));
    for op in [Hostile::WrongShape, Hostile::TooMany] {
        assert!(matches!(run(op), Err(limpid::attribution::Failure::Input(Error::Shape { .. }))));
    }
}

#[test]
fn sizes_that_no_row_can_have_are_refused() {
    let refused = |op: Op<f64>, inputs: &[Source], n: usize| {
        matches!(Network::new(n).node(op, inputs), Err(Error::Shape { .. } | Error::TooLarge { .. }))
    };
    let conv = Conv2d::new(Array4::ones((1, 1, 1, 1)), None, [1, 1], [usize::MAX, usize::MAX], [1, 2, 2]).unwrap();
    assert!(refused(Op::Conv2d(conv), &[Source::Input], 4));
    let scores = Scores::new(usize::MAX, usize::MAX, 1.0, false).unwrap();
    assert!(refused(Op::Scores(scores), &[Source::Input, Source::Input], 12));
    assert!(refused(Op::Mix(Mix::new(usize::MAX, 3).unwrap()), &[Source::Input, Source::Input], 12));
    assert!(refused(linear(1, 4, 2), &[Source::Input], usize::MAX - 1));
    assert!(refused(Op::Activation(Activation::Relu), &[Source::Input], usize::MAX));
}
