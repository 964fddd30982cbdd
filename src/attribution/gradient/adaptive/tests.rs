//! Tests of the adaptive integral.

use super::*;
use crate::attribution::gradient::IntegratedGradients;
use crate::attribution::model::{Cotangent, Function};
use crate::attribution::network::{Linear, Op, Source};
use crate::attribution::target::{LogProbability, Logit};
use crate::attribution::{Failure, Network};
use crate::math::pointwise::Activation;
use crate::math::quadrature::Rule;
use crate::math::random::fill_normal;
use crate::{Error, Seed};
use ndarray::array;

fn to(tolerance: f64) -> AdaptiveIntegratedGradients<f64> {
    AdaptiveIntegratedGradients { absolute_tolerance: tolerance, relative_tolerance: 0.0, ..Default::default() }
}

fn noise(rows: usize, columns: usize, item: u64) -> Array2<f64> {
    let mut values = Array2::zeros((rows, columns));
    fill_normal(&mut Seed(7).stream(0, item), 1.0, values.as_slice_mut().unwrap());
    values
}

fn mlp(widths: &[usize], activation: Activation) -> Network<f64> {
    let mut net = Network::new(widths[0]);
    for (layer, pair) in widths.windows(2).enumerate() {
        let item = layer as u64;
        net = net
            .linear(
                noise(pair[1], pair[0], 10 + item) / (pair[0] as f64).sqrt(),
                Some(noise(1, pair[1], 20 + item).row(0).to_owned() * 0.5),
            )
            .unwrap();
        if layer + 2 < widths.len() {
            net = net.activation(activation).unwrap();
        }
    }
    net
}

/// Many midpoints.
fn dense(model: &mut Network<f64>, x: &Array2<f64>, target: &dyn Target<f64>) -> Array2<f64> {
    let mut mean = Array2::zeros(x.raw_dim());
    let parts = 40;
    for part in 0..parts {
        // pieces of the way, each with a rule of its own
        let [from, till] = [part, part + 1].map(|end| x * (f64::from(end) / f64::from(parts)));
        let method =
            IntegratedGradients { baseline: from.into(), rule: Rule::Middle, steps: 5000, ..Default::default() };
        mean += &method.attribute(model, &till, target).unwrap().values;
    }
    mean
}

fn distance(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
    (a - b).iter().fold(0.0, |most: f64, error| most.max(error.abs()))
}

#[test]
fn a_smooth_function_takes_fifteen_points_and_two_ends() {
    let mut model = Network::<f64>::new(2).linear(array![[1.0, 1.0]], None).unwrap();
    model = model.activation(Activation::Sigmoid).unwrap();
    let found = to(1e-3).attribute(&mut model, &array![[8.0, 4.0]], &Logit::of(0)).unwrap();
    let sum = 0.499_993_855_825_397_8;
    assert_eq!((found.evaluations.gradient, found.evaluations.forward, found.status), (17, 0, Status::Converged));
    assert!((found.values[[0, 0]] - sum * 2.0 / 3.0).abs() < 1e-7 && (found.values[[0, 1]] - sum / 3.0).abs() < 1e-7);
    let estimate = found.error.unwrap()[0];
    assert!((5e-5..2e-4).contains(&estimate) && found.delta.unwrap()[0].abs() < 1e-7, "{estimate}");
    let tight = to(1e-12).attribute(&mut model, &array![[8.0, 4.0]], &Logit::of(0)).unwrap();
    assert!(
        tight.status == Status::Converged && tight.evaluations.gradient < 600,
        "{:?} {:?}",
        tight.evaluations,
        tight.error
    );
    assert!((tight.values[[0, 0]] - sum * 2.0 / 3.0).abs() < 1e-13);
}

#[test]
fn a_cubic_is_exact() {
    let mut model = Network::<f64>::new(2);
    let pick = |row: Array2<f64>| Op::Linear(Linear::new(row, None).unwrap());
    let x = model.node(pick(array![[1.0, 0.0]]), &[Source::Input]).unwrap();
    let y = model.node(pick(array![[0.0, 1.0]]), &[Source::Input]).unwrap();
    let square = model.node(Op::Multiply, &[x, x]).unwrap();
    model.node(Op::Multiply, &[square, y]).unwrap();
    let found = to(1e-10).attribute(&mut model, &array![[2.0, 3.0]], &Logit::of(0)).unwrap();
    assert!(distance(&found.values, &array![[8.0, 4.0]]) < 1e-13 && found.evaluations.gradient == 17);
}

#[test]
fn a_relu_network_is_solved_exactly_and_cheaply() {
    let mut model = mlp(&[6, 16, 8, 3], Activation::Relu);
    let x = noise(4, 6, 1) * 2.0;
    let found = to(1e-9).attribute(&mut model, &x, &Logit::of(1)).unwrap();
    assert_eq!(found.status, Status::Converged);
    assert!(found.delta.unwrap().iter().all(|delta| delta.abs() < 1e-9));
    let exact = dense(&mut model, &x, &Logit::of(1));
    assert!(distance(&found.values, &exact) < 1e-4, "{} {exact}", found.values);
    // all fixed rules with ten times as many evaluations are far less precise
    let each = found.evaluations.gradient / 4;
    assert!(each < 200, "{each}");
    for rule in [Rule::GaussLegendre, Rule::Left, Rule::Right, Rule::Middle, Rule::Trapezoid, Rule::CaptumTrapezoid] {
        let method = IntegratedGradients { rule, steps: 10 * each as usize, ..Default::default() };
        let fixed = method.attribute(&mut model, &x, &Logit::of(1)).unwrap();
        assert!(distance(&fixed.values, &found.values) > 1e-6, "{rule:?}");
    }
}

#[test]
fn curved_pieces_between_kinks() {
    let mut model = mlp(&[6, 12, 3], Activation::Relu);
    let x = noise(3, 6, 2) * 2.0;
    let target = LogProbability::of(2);
    let found = to(1e-7).attribute(&mut model, &x, &target).unwrap();
    assert_eq!(found.status, Status::Converged, "{:?} {:?}", found.error, found.evaluations);
    assert!(distance(&found.values, &dense(&mut model, &x, &target)) < 1e-4);
    let tighter = to(1e-10).attribute(&mut model, &x, &target).unwrap();
    assert!(distance(&found.values, &tighter.values) < 1e-7);
}

#[test]
fn kinks_that_cancel_in_the_value_are_seen_in_the_gradient() {
    // relu(x) - relu(y) along x = y: the value never moves, the gradient does
    let mut model =
        Network::<f64>::new(2).activation(Activation::Relu).unwrap().linear(array![[1.0, -1.0]], None).unwrap();
    let method = AdaptiveIntegratedGradients { baseline: array![-1.0, -1.0].into(), ..to(1e-6) };
    let found = method.attribute(&mut model, &array![[2.0, 2.0]], &Logit::of(0)).unwrap();
    assert!(distance(&found.values, &array![[2.0, -2.0]]) < 1e-6, "{:?}", found.values);
}

#[test]
fn results_depend_neither_on_calls_nor_on_other_rows() {
    let mut model = mlp(&[6, 16, 3], Activation::Relu);
    let x = noise(5, 6, 3);
    let mut explain = |x: &Array2<f64>, batch| {
        let found = AdaptiveIntegratedGradients { batch, ..to(1e-6) }.attribute(&mut model, x, &LogProbability::of(0));
        found.unwrap()
    };
    let whole = explain(&x, Batch::Auto);
    for batch in [Batch::Rows(1), Batch::Rows(3), Batch::Rows(40)] {
        let found = explain(&x, batch);
        assert_eq!((&found.values, &found.error), (&whole.values, &whole.error));
        assert_eq!(found.evaluations, whole.evaluations);
    }
    let alone = explain(&x.select(ndarray::Axis(0), &[3]), Batch::Auto);
    assert_eq!((alone.values.row(0), alone.error.unwrap()[0]), (whole.values.row(3), whole.error.unwrap()[3]));
}

#[test]
fn a_budget_is_kept_and_the_rest_is_named() {
    let mut model = mlp(&[6, 40, 40, 3], Activation::Relu);
    let x = noise(2, 6, 4) * 3.0;
    for max_evaluations in [17, 18, 33, 50, 100, 333] {
        let method = AdaptiveIntegratedGradients { max_evaluations, ..to(1e-12) };
        let found = method.attribute(&mut model, &x, &LogProbability::of(1)).unwrap();
        assert!(found.evaluations.gradient <= 2 * max_evaluations as u64, "{max_evaluations} {:?}", found.evaluations);
        assert!(found.status == Status::Partial && found.error.unwrap().iter().all(|error| *error > 1e-12));
        assert!(found.delta.unwrap().iter().all(|delta| delta.abs() < 0.5));
    }
}

#[test]
fn a_jump_does_not_converge() {
    let step = |x: &ArrayRef2<f64>, z: &mut ArrayRef2<f64>| {
        z.zip_mut_with(x, |z, &x| *z = f64::from(u8::from(x > 0.3)) + x);
        Ok::<(), Error>(())
    };
    let mut model = Function::new((1, 1), step).with_vjp(
        move |x: &ArrayRef2<f64>, cotangent: Cotangent<'_, f64>, z: &mut ArrayRef2<f64>, g: &mut ArrayRef2<f64>| {
            step(x, z)?;
            cotangent(z, g);
            Ok(())
        },
    );
    let found = to(1e-3).attribute(&mut model, &array![[1.0]], &Logit::of(0)).unwrap();
    assert!(found.status == Status::Partial && found.error.unwrap()[0] >= 0.999 && found.evaluations.gradient <= 2000);
}

#[test]
fn no_way_is_no_attribution() {
    let x = array![[1.0, -2.0]];
    let mut model = Network::<f64>::new(2).linear(array![[1.0, 1.0]], None).unwrap();
    let method = AdaptiveIntegratedGradients { baseline: x.clone().into(), ..to(0.0) };
    let found = method.attribute(&mut model, &x, &Logit::of(0)).unwrap();
    assert_eq!((found.values, found.error.unwrap(), found.evaluations.gradient), (array![[0.0, 0.0]], array![0.0], 2));
}

#[test]
fn bad_settings_are_named() {
    let mut model = Network::<f64>::new(1).linear(array![[1.0]], None).unwrap();
    let mut explain =
        |method: AdaptiveIntegratedGradients<f64>| method.attribute(&mut model, &array![[1.0]], &Logit::of(0));
    let negative = explain(to(-1.0));
    assert!(matches!(negative, Err(Failure::Input(Error::OutOfRange { what: "tolerance", .. }))));
    let few = explain(AdaptiveIntegratedGradients { max_evaluations: 16, ..to(1.0) });
    assert!(matches!(few, Err(Failure::Input(Error::OutOfRange { what: "max_evaluations", .. }))));
}
