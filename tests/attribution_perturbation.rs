//! Perturbation methods: numbers that the tests of Captum and SHAP publish.

use limpid::attribution::model::Function;
use limpid::attribution::network::{Conv2d, Op};
use limpid::attribution::perturbation::{
    Absent, FeatureAblation, KernelShap, Masked, Occlusion, Removal, Summary, linear_shap,
};
use limpid::attribution::target::Logit;
use limpid::attribution::{Explainer, Forward, Network};
use limpid::math::pointwise::Activation;
use limpid::math::random::fill_normal;
use limpid::{Error, Seed};
use ndarray::{Array1, Array2, Array4, ArrayRef2, array};

/// `s = x₀ + x₁ + x₂`, hidden units `relu(s - 10)` and three of `relu(s + 1)`, outputs their sum less and plus 1. More inputs
/// are parts of three that are added first.
fn multi_layer(parts: usize) -> Network<f64> {
    let sum = Network::new(3 * parts).linear(Array2::ones((4, 3 * parts)), Some(array![-10.0, 1.0, 1.0, 1.0])).unwrap();
    sum.activation(Activation::Relu).unwrap().linear(Array2::ones((2, 4)), Some(array![-1.0, 1.0])).unwrap()
}

/// KernelSHAP of the only row of `x`.
fn kernel_shap(model: &mut impl Forward<f64, Error = Error>, x: &Array2<f64>, removal: &Removal<f64>) -> Array1<f64> {
    let target = Logit::of(0);
    let mut game = Masked::new(model, x, &target, removal).unwrap();
    KernelShap::default().of(&mut game).unwrap().values.column(0).to_owned()
}

fn near(found: &Array1<f64>, expected: &Array1<f64>, tolerance: f64) {
    let far = found.iter().zip(expected).any(|(found, expected)| (found - expected).abs() > tolerance);
    assert!(!far && found.len() == expected.len(), "{found} is not {expected}");
}

#[test]
fn ablation_of_three_inputs_that_are_summed() {
    // of 2, 3 and 1 features: one row each of inputs of two rows; integers against baselines that are none
    let mut model = Network::new(6).linear(Array2::ones((1, 6)), None).unwrap();
    let x = array![[0.0, 1.0, 0.0, 1.0, 2.0, 0.0], [3.0, 4.0, 1.0, 2.0, 3.0, 1.0]];
    let baseline = array![0.2, 0.2, 3.1, 3.1, 3.1, 0.4];
    let method = FeatureAblation { baseline: baseline.clone().into(), ..FeatureAblation::default() };
    let found = method.attribute(&mut model, &x, &Logit::of(0)).unwrap().values;
    let expected = &x - &baseline;
    assert!((&found - &expected).iter().all(|error: &f64| error.abs() < 1e-12));
    let [first, third] = [[[-0.2, 0.8], [2.8, 3.8]], [[-0.4, 0.0], [0.6, 0.0]]];
    for row in 0..2 {
        near(&found.row(row).iter().take(2).copied().collect(), &array![first[row][0], first[row][1]], 1e-4);
        near(&found.row(row).iter().skip(5).copied().collect(), &array![third[row][0]], 1e-4);
    }
}

#[test]
fn occlusion_of_the_second_of_two_images() {
    let conv = Conv2d::new(Array4::ones((2, 1, 3, 3)), Some(array![-50.0, -75.0]), [1, 1], [0, 0], [1, 4, 4]).unwrap();
    let net = Network::new(16).then(Op::Conv2d(conv)).unwrap().activation(Activation::Relu).unwrap();
    let signs = Array2::from_shape_fn((4, 8), |(_, i)| if i < 5 { 1.0 } else { -1.0 });
    let mut net = net.linear(signs, None).unwrap().activation(Activation::Relu).unwrap();
    // the first image, 0 to 15, is added to the one that is explained
    let image = Array2::from_shape_fn((1, 16), |(_, i)| i as f64);
    let mut model =
        Function::new((16, 4), |x: &ArrayRef2<f64>, z: &mut ArrayRef2<f64>| net.forward(&(x.to_owned() + &image), z));
    let method =
        Occlusion { input_shape: vec![1, 4, 4], window: vec![1, 1, 2], stride: vec![1, 1, 2], ..Occlusion::default() };
    let found = method.attribute(&mut model, &Array2::ones((1, 16)), &Logit::of(0)).unwrap();
    let expected = Array1::from_iter((0..16).map(|pixel| if pixel < 12 { 3.0 } else { 0.0 }));
    near(&found.values.row(0).to_owned(), &expected, 1e-12);
    assert_eq!(found.output_value, array![67.0]);
}

#[test]
fn kernel_shap_of_three_features() {
    let x = array![[20.0, 50.0, 30.0]];
    let run = |baseline: Array1<f64>, groups| {
        let removal = Removal { absent: Absent::Baseline(baseline.into()), groups, ..Removal::default() };
        kernel_shap(&mut multi_layer(1), &x, &removal)
    };
    near(&run(array![10.0, 20.0, 10.0], None), &array![40.0, 120.0, 80.0], 1e-9);
    let thirds = array![230.0, 590.0, 350.0] / 3.0;
    near(&run(array![0.0, 0.0, 0.0], None), &thirds, 1e-9);
    near(&run(array![4.0, 4.0, 4.0], Some(vec![0, 0, 1])), &array![248.0, 104.0], 1e-9);
}

#[test]
fn kernel_shap_of_three_inputs_of_three_features() {
    let x = array![[23.0, 0.0, 0.0, 20.0, 0.0, 50.0, 0.0, 100.0, 10.0]];
    let found = kernel_shap(&mut multi_layer(3), &x, &Removal::default());
    near(&found, &array![90.0, 0.0, 0.0, 78.0, 0.0, 198.0, 0.0, 398.0, 38.0], 1.0);
}

#[test]
fn kernel_shap_of_a_linear_model_against_a_background() {
    let weights = array![1.0, 2.0, 0.0];
    let mut model = Network::new(3).linear(weights.clone().insert_axis(ndarray::Axis(0)), None).unwrap();
    let mut rows = Array2::zeros((201, 3));
    fill_normal(&mut Seed(3).stream(1, 0), 1.0, rows.as_slice_mut().unwrap());
    let (x, background) = rows.view().split_at(ndarray::Axis(0), 1);
    let (x, background) = (x.to_owned(), background.to_owned());
    let mean = background.mean_axis(ndarray::Axis(0)).unwrap();
    let removal = Removal { absent: Absent::Background(background), ..Removal::default() };
    let found = kernel_shap(&mut model, &x, &removal);
    near(&found, &((&x.row(0) - &mean) * &weights), 1e-12);
    near(&found, &linear_shap(&weights, &x, &mean).unwrap().row(0).to_owned(), 1e-12);
}
