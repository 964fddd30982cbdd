//! Axioms of gradient attributions over random cases.

use limpid::Seed;
use limpid::attribution::gradient::{
    AdaptiveIntegratedGradients, DiscretizedIntegratedGradients, GradientShap, InputXGradient, IntegratedGradients,
    MultiBaselineIntegratedGradients, PathIntegral, Saliency, SequentialIntegratedGradients, SmoothGrad, straight_path,
};
use limpid::attribution::network::{Linear, Op, Source};
use limpid::attribution::target::{ContrastLogitDifference, LogProbability, Logit};
use limpid::attribution::{Attribution, Baseline, Batch, Explainer, Network, Target};
use limpid::math::pointwise::Activation;
use limpid::math::random::fill_normal;
use ndarray::{Array1, Array2, Array3, Axis};
use proptest::prelude::*;

fn noise(rows: usize, columns: usize, seed: u64, item: u64) -> Array2<f64> {
    let mut values = Array2::zeros((rows, columns));
    fill_normal(&mut Seed(seed).stream(2, item), 1.0, values.as_slice_mut().unwrap());
    values
}

fn layer(outputs: usize, inputs: usize, seed: u64, item: u64) -> (Array2<f64>, Option<Array1<f64>>) {
    let weight = noise(outputs, inputs, seed, item) / (inputs as f64).sqrt();
    (weight, Some(noise(1, outputs, seed, item + 1).row(0).to_owned()))
}

/// `n -> 7 -> 3`.
fn mlp(n: usize, activation: Activation, seed: u64) -> Network<f64> {
    let ((first, a), (second, b)) = (layer(7, n, seed, 10), layer(3, 7, seed, 20));
    Network::new(n).linear(first, a).unwrap().activation(activation).unwrap().linear(second, b).unwrap()
}

fn activation() -> impl Strategy<Value = Activation> {
    prop_oneof![
        Just(Activation::Relu),
        Just(Activation::Tanh),
        Just(Activation::Gelu),
        Just(Activation::Silu),
        Just(Activation::Sigmoid)
    ]
}

type Case = (usize, usize, Activation, u64);

fn cases() -> impl Strategy<Value = Case> {
    (1_usize..5, 1_usize..6, activation(), any::<u64>())
}

type Method = Box<dyn Explainer<f64, Network<f64>>>;

/// All methods, with calls of this size, for inputs `x`.
fn methods(x: &Array2<f64>, baseline: &Array1<f64>, batch: Batch, seed: Seed) -> Vec<Method> {
    let n = x.ncols();
    let from = Baseline::from(baseline.clone());
    let baselines = ndarray::stack![Axis(0), *baseline, baseline.mapv(|b| b + 0.5)];
    let paths = Array3::from_shape_fn((x.nrows(), 5, n), |(row, step, i)| {
        baseline[i] + (x[[row, i]] - baseline[i]) * (step as f64 / 4.0)
    });
    let integrated = IntegratedGradients { baseline: from.clone(), batch, steps: 6, ..Default::default() };
    vec![
        Box::new(Saliency { absolute: false }),
        Box::new(InputXGradient),
        Box::new(AdaptiveIntegratedGradients { baseline: from.clone(), batch, ..Default::default() }),
        Box::new(MultiBaselineIntegratedGradients {
            batch,
            ..MultiBaselineIntegratedGradients::new(baselines.clone())
        }),
        Box::new(PathIntegral { batch, steps: 6, ..PathIntegral::new(straight_path(x, &from).unwrap()) }),
        Box::new(SequentialIntegratedGradients { baseline: from, batch, ..SequentialIntegratedGradients::new(1) }),
        Box::new(DiscretizedIntegratedGradients { batch, ..DiscretizedIntegratedGradients::new(paths) }),
        Box::new(GradientShap { batch, seed, samples: 40, tolerance: Some(0.3), ..GradientShap::new(baselines) }),
        Box::new(SmoothGrad { batch, seed, samples: 40, tolerance: Some(0.3), ..SmoothGrad::of(integrated.clone()) }),
        Box::new(integrated),
    ]
}

fn explain(method: &Method, model: &mut Network<f64>, x: &Array2<f64>, target: &dyn Target<f64>) -> Attribution<f64> {
    method.attribute(model, x, target).unwrap()
}

fn close(a: &Array2<f64>, b: &Array2<f64>, tolerance: f64) -> bool {
    a.dim() == b.dim() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= tolerance * (1.0 + b.abs()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn calls_of_any_size_give_the_same_bits((b, n, activation, seed) in cases()) {
        let (x, baseline) = (noise(b, n, seed, 1), noise(1, n, seed, 2).row(0).to_owned());
        let mut model = mlp(n, activation, seed);
        let target = LogProbability::of(1);
        let whole = methods(&x, &baseline, Batch::Auto, Seed(seed));
        for rows in [1, 3] {
            for (method, whole) in methods(&x, &baseline, Batch::Rows(rows), Seed(seed)).iter().zip(&whole) {
                let whole = explain(whole, &mut model, &x, &target);
                let found = explain(method, &mut model, &x, &target);
                let same = found.values == whole.values && found.delta == whole.delta && found.error == whole.error;
                prop_assert!(same && found.standard_error == whole.standard_error, "{}", found.method);
                prop_assert_eq!((found.evaluations, found.status), (whole.evaluations, whole.status));
            }
        }
    }

    #[test]
    fn the_adaptive_integral_is_complete((b, n, activation, seed) in cases()) {
        let (x, baseline) = (noise(b, n, seed, 1), noise(b, n, seed, 2));
        let mut model = mlp(n, activation, seed);
        let method = AdaptiveIntegratedGradients {
            baseline: baseline.into(),
            absolute_tolerance: 1e-8,
            relative_tolerance: 0.0,
            ..Default::default()
        };
        let found = method.attribute(&mut model, &x, &Logit::of(2)).unwrap();
        prop_assert!(found.status.converged(), "{:?} {:?}", found.error, found.evaluations);
        prop_assert!(found.delta.unwrap().iter().all(|delta| delta.abs() <= 1e-8));
    }

    #[test]
    fn an_input_that_is_not_used_gets_nothing((b, n, activation, seed) in cases()) {
        let (x, baseline) = (noise(b, n + 1, seed, 1), noise(1, n + 1, seed, 2).row(0).to_owned());
        let ((mut first, a), (second, c)) = (layer(7, n + 1, seed, 10), layer(3, 7, seed, 20));
        first.column_mut(n).fill(0.0);
        let mut model = Network::new(n + 1).linear(first, a).unwrap().activation(activation).unwrap();
        model = model.linear(second, c).unwrap();
        for method in methods(&x, &baseline, Batch::Auto, Seed(seed)) {
            let found = explain(&method, &mut model, &x, &Logit::of(0));
            prop_assert!(found.values.column(n).iter().all(|value| *value == 0.0), "{}", found.method);
        }
    }

    #[test]
    fn an_input_at_its_baseline_gets_nothing((b, n, activation, seed) in cases()) {
        let x = noise(1, n, seed, 1).broadcast((b, n)).unwrap().to_owned();
        let baseline = x.row(0).to_owned();
        let mut model = mlp(n, activation, seed);
        for method in methods(&x, &baseline, Batch::Auto, Seed(seed)) {
            let found = explain(&method, &mut model, &x, &Logit::of(0));
            let at_baseline = !matches!(
                &*found.method,
                "saliency" | "input_x_gradient" | "smooth_grad" | "gradient_shap" | "multi_baseline_integrated_gradients"
            );
            prop_assert!(!at_baseline || found.values.iter().all(|value| *value == 0.0), "{}", found.method);
        }
    }

    #[test]
    fn attributions_are_linear_in_the_target((b, n, activation, seed) in cases()) {
        let (x, baseline) = (noise(b, n, seed, 1), noise(1, n, seed, 2).row(0).to_owned());
        let mut model = mlp(n, activation, seed);
        for method in methods(&x, &baseline, Batch::Auto, Seed(seed)) {
            let mut of = |target: &dyn Target<f64>| explain(&method, &mut model, &x, target);
            let (difference, one, other) = (of(&ContrastLogitDifference::of(0, 1)), of(&Logit::of(0)), of(&Logit::of(1)));
            // stopping rules look at the values
            let tolerance = match &*difference.method {
                "smooth_grad" | "gradient_shap" => continue,
                "adaptive_integrated_gradients" => 1e-3,
                _ => 1e-12,
            };
            prop_assert!(close(&difference.values, &(one.values - other.values), tolerance), "{}", difference.method);
        }
    }

    #[test]
    fn two_networks_of_one_function_are_explained_alike((b, n, activation, seed) in cases()) {
        let (x, baseline) = (noise(b, n, seed, 1), noise(1, n, seed, 2).row(0).to_owned());
        let mut model = mlp(n, activation, seed);
        // hidden units twice with half of their weight, the output in two sums
        let ((first, a), (second, c)) = (layer(7, n, seed, 10), layer(3, 7, seed, 20));
        let mut other = Network::new(n);
        let [left, right] = [0, 1].map(|_| {
            let map = Linear::new(first.clone(), a.clone()).unwrap();
            let hidden = other.node(Op::Linear(map), &[Source::Input]).unwrap();
            let active = other.node(Op::Activation(activation), &[hidden]).unwrap();
            let half = Linear::new(&second * 0.5, c.clone().map(|c| c * 0.5)).unwrap();
            other.node(Op::Linear(half), &[active]).unwrap()
        });
        other.node(Op::Add, &[left, right]).unwrap();
        for method in methods(&x, &baseline, Batch::Auto, Seed(seed)) {
            let found = explain(&method, &mut model, &x, &Logit::of(1));
            let again = explain(&method, &mut other, &x, &Logit::of(1));
            let tolerance = if found.error.is_some() { 1e-3 } else { 1e-12 };
            prop_assert!(close(&found.values, &again.values, tolerance), "{}", found.method);
        }
    }
}
