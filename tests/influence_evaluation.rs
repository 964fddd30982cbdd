//! Influence against models that are really trained again: derivatives, subsets of the data, wrong labels.

use limpid::Seed;
use limpid::influence::evaluate::{
    LinearInfluence, LinearLoss, Measured, leave_one_out_agreement, linear_datamodeling_score, mislabel_detection,
};
use limpid::influence::{Damping, Examples, LayerRows, LayerSpec, Spectral, Strategy, TrueFisherRows, fit_layer};
use limpid::math::random::{choose, fill_normal, uniform};
use limpid::math::solve::Cholesky;
use ndarray::{Array1, Array2, Axis};

const SCALES: [f64; 5] = [4.0, 2.0, 1.0, 0.5, 0.25];

/// Features with columns of different size and labels of -1 and 1 that follow a random direction, with noise.
fn data(n: usize, seed: u64) -> (Array2<f64>, Array1<f64>) {
    let mut values = vec![0.0; n * SCALES.len()];
    let mut stream = Seed(seed).stream(1, 0);
    fill_normal(&mut stream, 1.0, &mut values);
    let x = Array2::from_shape_vec((n, SCALES.len()), values).unwrap() * &Array1::from(SCALES.to_vec());
    let mut truth = [0.0; SCALES.len()];
    fill_normal(&mut stream, 1.0, &mut truth);
    let label = |z: f64, u: f64| if u < 1.0 / (1.0 + (-z).exp()) { 1.0 } else { -1.0 };
    let y = x.dot(&Array1::from(truth.to_vec())).mapv(|z| label(z, uniform(&mut stream)));
    (x, y)
}

/// Minimum of `(1/n) Σ w_i log(1 + exp(-y_i x_i·θ)) + (ridge/2) ‖θ‖²` by Newton's method.
fn fit(x: &Array2<f64>, y: &Array1<f64>, weight: &Array1<f64>, ridge: f64) -> Array1<f64> {
    let n = x.nrows() as f64;
    let mut theta = Array1::zeros(x.ncols());
    for _ in 0..60 {
        let z = x.dot(&theta);
        let of = |f: fn(LinearLoss, f64, f64) -> f64| -> Array1<f64> {
            z.iter().zip(y).zip(weight).map(|((&z, &y), w)| w * f(LinearLoss::Logistic, z, y) / n).collect()
        };
        let gradient = x.t().dot(&of(LinearLoss::slope)) + &theta * ridge;
        let curvature = of(LinearLoss::curvature);
        let hessian = (x * &curvature.insert_axis(Axis(1))).t().dot(x) + Array2::<f64>::eye(x.ncols()) * ridge;
        let mut step = gradient.to_vec();
        Cholesky::new(&hessian, "hessian").unwrap().solve(&mut step).unwrap();
        theta -= &Array1::from(step);
    }
    theta
}

fn losses(x: &Array2<f64>, y: &Array1<f64>, theta: &Array1<f64>) -> Array1<f64> {
    x.dot(theta).iter().zip(y).map(|(&z, &y)| LinearLoss::Logistic.value(z, y)).collect()
}

#[test]
fn scores_are_derivatives_of_retraining() {
    let ((x, y), (query, label)) = (data(20, 3), data(2, 4));
    let theta = fit(&x, &y, &Array1::ones(20), 0.1);
    let scores =
        LinearInfluence::new(LinearLoss::Logistic, &x, &y, 0.1, &theta).unwrap().scores(&query, &label).unwrap();
    let worst = |step: f64| {
        let mut worst = 0.0_f64;
        for example in 0..20 {
            let at = |step: f64| {
                let mut weight = Array1::ones(20);
                // the objective gains step·loss, beside its mean over 20
                weight[example] += 20.0 * step;
                losses(&query, &label, &fit(&x, &y, &weight, 0.1))
            };
            let slope = (at(step) - at(-step)) / (2.0 * step);
            worst = worst.max(slope.iter().zip(scores.column(example)).fold(0.0, |w, (a, s)| w.max((a + s).abs())));
        }
        worst
    };
    let (coarse, fine) = (worst(1e-2), worst(1e-3));
    // the error is quadratic in the step
    assert!(coarse > 0.0 && fine < coarse / 50.0, "{coarse} {fine}");
    assert!(fine < 1e-3, "{fine}");
}

#[test]
fn one_step_without_an_example_is_closer_than_first_order() {
    let (x, y) = data(20, 3);
    let theta = fit(&x, &y, &Array1::ones(20), 0.1);
    let influence = LinearInfluence::new(LinearLoss::Logistic, &x, &y, 0.1, &theta).unwrap();
    let first = influence.first_order();
    let (mut of_first, mut of_one_step) = (0.0, 0.0);
    for example in 0..20 {
        let mut weight = Array1::ones(20);
        weight[example] = 0.0;
        let exact = fit(&x, &y, &weight, 0.1) - &theta;
        let error = |found: &Array1<f64>| (found - &exact).mapv(|e| e * e).sum();
        of_first += error(&first.index_axis(Axis(0), example).to_owned());
        of_one_step += error(&influence.one_step(example).unwrap());
    }
    assert!(of_one_step < 0.4 * of_first, "{of_one_step} {of_first}");
}

/// Scores by the K-FAC or EK-FAC of the exact Fisher matrix, whose head has the two classes as outputs.
fn factored(
    x: &Array2<f64>,
    y: &Array1<f64>,
    query: (&Array2<f64>, &Array1<f64>),
    theta: &Array1<f64>,
    strategy: Strategy,
) -> Array2<f64> {
    // logits 0 and z: the gradient by z is that of the second class
    let logits = |x: &Array2<f64>| {
        let z = x.dot(theta);
        Array2::from_shape_fn((z.len(), 2), |(i, c)| if c == 0 { 0.0 } else { z[i] })
    };
    let gradients = |x: &Array2<f64>, y: &Array1<f64>| {
        let z = x.dot(theta);
        let slope: Array1<f64> = z.iter().zip(y).map(|(&z, &y)| LinearLoss::Logistic.slope(z, y)).collect();
        Array2::from_shape_fn((x.nrows(), 2), |(i, c)| if c == 0 { -slope[i] } else { slope[i] })
    };
    let fisher = TrueFisherRows::new(x, &logits(x)).unwrap();
    let fit_rows = fisher.rows().unwrap();
    let curvature = fit_layer(LayerSpec::of(0, &fit_rows), strategy, &fit_rows).unwrap();
    let inverse = curvature.preconditioner(&Spectral::DampedInverse(Damping::Absolute(1e-2))).unwrap();
    let (g, query_g) = (gradients(x, y), gradients(query.0, query.1));
    let train = LayerRows::new(x, &g, Examples::EachRow).unwrap();
    let queries = LayerRows::new(query.0, &query_g, Examples::EachRow).unwrap();
    let mut scores = Array2::zeros((query.0.nrows(), x.nrows()));
    for (example, mut row) in scores.rows_mut().into_iter().enumerate() {
        let v = inverse.apply(&queries.gradient(example).unwrap()).unwrap();
        row.assign(&train.inner(&v).unwrap());
    }
    scores
}

#[test]
fn exact_influence_ranks_models_trained_on_half_of_the_data() {
    let ((x, y), (query, label)) = (data(60, 42), data(8, 43));
    let (n, subsets, ridge) = (60, 100, 0.02);
    let mut masks = Array2::from_elem((subsets, n), false);
    let mut actual = Array2::zeros((subsets, 8));
    for subset in 0..subsets {
        let mut examples: Vec<usize> = (0..n).collect();
        choose(&mut Seed(7).stream(2, subset as u64), n / 2, &mut examples);
        let mut weight = Array1::zeros(n);
        for &example in &examples[..n / 2] {
            masks[[subset, example]] = true;
            weight[example] = 2.0;
        }
        actual.index_axis_mut(Axis(0), subset).assign(&losses(&query, &label, &fit(&x, &y, &weight, ridge)));
    }
    let theta = fit(&x, &y, &Array1::ones(n), ridge);
    let influence = LinearInfluence::new(LinearLoss::Logistic, &x, &y, ridge, &theta).unwrap();
    let lds = |scores: &Array2<f64>| linear_datamodeling_score(scores, &masks, &actual, Measured::Loss).unwrap();
    let exact = lds(&influence.scores(&query, &label).unwrap());
    let slope = |x: &Array2<f64>, y: &Array1<f64>| -> Array1<f64> {
        x.dot(&theta).iter().zip(y).map(|(&z, &y)| LinearLoss::Logistic.slope(z, y)).collect()
    };
    let (of_query, of_train) = (slope(&query, &label), slope(&x, &y));
    let identity = lds(&(query.dot(&x.t()) * &of_query.insert_axis(Axis(1)) * &of_train.insert_axis(Axis(0))));
    let ekfac = lds(&factored(&x, &y, (&query, &label), &theta, Strategy::Ekfac));
    let [exact_mean, identity, ekfac] = [&exact, &identity, &ekfac].map(|score| score.mean.unwrap());
    assert!(exact_mean > 0.94 && exact_mean > identity + 0.05, "{exact_mean} {identity}");
    assert!(ekfac > 0.85 && ekfac > identity, "{ekfac} {identity}");
    let (low, high) = exact.interval(0.95, 499, Seed(0)).unwrap().unwrap();
    assert!(low <= exact_mean && exact_mean <= high);
}

#[test]
fn wrong_labels_influence_themselves() {
    let n = 200;
    let (x, mut y) = data(n, 7);
    let mut order: Vec<usize> = (0..n).collect();
    choose(&mut Seed(7).stream(3, 0), 32, &mut order);
    // the labels of a sure model, some of them flipped
    let sure = fit(&x, &y, &Array1::ones(n), 1e-3);
    y = x.dot(&sure).mapv(f64::signum);
    let mut flipped = vec![false; n];
    for &example in &order[..32] {
        flipped[example] = true;
        y[example] = -y[example];
    }
    let theta = fit(&x, &y, &Array1::ones(n), 0.01);
    let influence = LinearInfluence::new(LinearLoss::Logistic, &x, &y, 0.01, &theta).unwrap();
    let found = mislabel_detection(&influence.self_scores(), &flipped, &[20, 40, n]).unwrap();
    assert!(found.auc.unwrap() > 0.88 && found.found[2] == 32, "{found:?}");
}

#[test]
fn leave_one_out_of_a_convex_model_is_predicted() {
    let ((x, y), (query, label)) = (data(40, 11), data(3, 12));
    let theta = fit(&x, &y, &Array1::ones(40), 0.05);
    let influence = LinearInfluence::new(LinearLoss::Logistic, &x, &y, 0.05, &theta).unwrap();
    let before = losses(&query, &label, &theta);
    let mut actual = Array2::zeros((3, 40));
    for (example, mut column) in actual.columns_mut().into_iter().enumerate() {
        let mut weight = Array1::ones(40);
        weight[example] = 0.0;
        column.assign(&(losses(&query, &label, &fit(&x, &y, &weight, 0.05)) - &before));
    }
    let scores = influence.scores(&query, &label).unwrap();
    let agreement = leave_one_out_agreement(&scores, &actual).unwrap();
    assert!(agreement.iter().all(|found| found.pearson.unwrap() > 0.97), "{agreement:?}");
    let stepped = influence.loss_change(&query, &label).unwrap();
    let error = |found: &Array2<f64>| (found - &actual).mapv(|e| e * e).sum();
    assert!(error(&stepped) < error(&(scores / 40.0)));
}
