//! Every hand-written gradient against central differences in double precision.

use limpid::Seed;
use limpid::math::random::{fill_normal, uniform};
use limpid::superposition::{Architecture, ExpectedLoss, Reduction, ToyModel};
use ndarray::{Array1, Array2};

fn noise(rows: usize, columns: usize, item: u64) -> Array2<f64> {
    let mut values = Array2::zeros((rows, columns));
    fill_normal(&mut Seed(21).stream(0, item), 0.6, values.as_slice_mut().unwrap());
    values
}

fn vector(len: usize, item: u64) -> Array1<f64> {
    noise(1, len, item).row(0).to_owned()
}

/// Compares `gradient` with central differences of `loss` in each entry of `parameters`.
fn check(what: &str, parameters: &Array2<f64>, gradient: &Array2<f64>, loss: impl Fn(&Array2<f64>) -> f64) {
    const STEP: f64 = 1e-6;
    for (index, &derivative) in gradient.indexed_iter() {
        let at = |shift: f64| {
            let mut moved = parameters.clone();
            moved[index] += shift;
            loss(&moved)
        };
        let numerical = (at(STEP) - at(-STEP)) / (2.0 * STEP);
        assert!(
            (numerical - derivative).abs() < 2e-8 * (1.0 + numerical.abs()),
            "{what} {index:?}: {derivative} {numerical}"
        );
    }
}

fn row(x: &Array1<f64>) -> Array2<f64> {
    x.clone().insert_axis(ndarray::Axis(0))
}

fn models() -> Vec<ToyModel<f64>> {
    let (m, n) = (3, 5);
    let tied = |architecture, item| ToyModel::new(architecture, noise(m, n, item), vector(n, item + 1)).unwrap();
    vec![
        tied(Architecture::Linear, 10),
        tied(Architecture::ReluOutput, 20),
        tied(Architecture::ReluHidden, 30),
        ToyModel::untied(noise(m, n, 40), noise(n, m, 41), vector(n, 42)).unwrap(),
    ]
}

#[test]
fn toy_models() {
    let importance = vector(5, 1).mapv(f64::abs);
    for model in models() {
        for (rows, reduction) in [(7, Reduction::Mean), (300, Reduction::FeatureSum), (2, Reduction::Sum)] {
            let x = noise(rows, 5, 2);
            let loss = |model: &ToyModel<f64>| model.loss_and_gradient(&x, &importance, reduction).unwrap().0;
            let (_, gradient) = model.loss_and_gradient(&x, &importance, reduction).unwrap();
            let what = format!("{:?} {reduction:?}", model.architecture);
            let with = |change: &dyn Fn(&mut ToyModel<f64>)| {
                let mut changed = model.clone();
                change(&mut changed);
                loss(&changed)
            };
            check(&what, &model.weight, &gradient.weight, |w| with(&|model| model.weight.assign(w)));
            check(&what, &row(&model.bias), &row(&gradient.bias), |b| with(&|model| model.bias.assign(&b.row(0))));
            if let (Some(decoder), Some(by_decoder)) = (&model.decoder, &gradient.decoder) {
                check(&what, decoder, by_decoder, |d| with(&|model| model.decoder = Some(d.clone())));
            }
        }
    }
}

#[test]
fn expected_losses() {
    let mut stream = Seed(22).stream(0, 0);
    let probability = Array1::from_shape_simple_fn(5, || uniform::<f64>(&mut stream));
    let importance = vector(5, 3).mapv(f64::abs);
    let mut expected = ExpectedLoss::new(&probability, &importance, Reduction::Mean).unwrap();
    for model in models().into_iter().take(2) {
        let (_, gradient) = expected.loss_and_gradient(&model).unwrap();
        let loss = |model: &ToyModel<f64>| expected.clone().loss_and_gradient(model).unwrap().0;
        let what = format!("expected {:?}", model.architecture);
        check(&what, &model.weight, &gradient.weight, |w| loss(&ToyModel { weight: w.clone(), ..model.clone() }));
        check(&what, &row(&model.bias), &row(&gradient.bias), |b| {
            loss(&ToyModel { bias: b.row(0).to_owned(), ..model.clone() })
        });
    }
}
