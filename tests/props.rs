//! Axioms and equivalences over random cases.

use limpid::Seed;
use limpid::math::assignment::assign;
use limpid::math::random::fill_normal;
use limpid::superposition::geometry::{
    align, canonical_2d, capacity, coherence, feature_dimensionality, feature_norms, rescale_neurons,
    superposition_per_feature,
};
use limpid::superposition::{Architecture, ExpectedLoss, FeatureDistribution, Reduction, ToyModel};
use ndarray::{Array1, Array2, Axis};
use proptest::prelude::*;

fn matrix(rows: usize, columns: usize, seed: u64) -> Array2<f64> {
    let mut w = Array2::zeros((rows, columns));
    fill_normal(&mut Seed(seed).stream(1, 0), 1.0, w.as_slice_mut().unwrap());
    w
}

/// A random rotation or reflection, by Gram-Schmidt.
fn orthogonal(m: usize, seed: u64) -> Array2<f64> {
    let mut q = matrix(m, m, seed ^ 0x5eed);
    for i in 0..m {
        for j in 0..i {
            let along = q.row(i).dot(&q.row(j));
            let other = q.row(j).to_owned();
            q.row_mut(i).scaled_add(-along, &other);
        }
        let norm = q.row(i).dot(&q.row(i)).sqrt();
        q.row_mut(i).mapv_inplace(|x| x / norm);
    }
    q
}

fn close(a: &Array1<f64>, b: &Array1<f64>) -> bool {
    a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-9 * (1.0 + b.abs()))
}

fn sizes() -> impl Strategy<Value = (usize, usize, u64)> {
    (1_usize..6, 1_usize..9, any::<u64>())
}

proptest! {
    #[test]
    fn dimensionalities_share_the_rank((m, n, seed) in sizes()) {
        let shares = feature_dimensionality(&matrix(m, n, seed)).unwrap();
        prop_assert!(shares.iter().all(|&d| (0.0..=1.0 + 1e-12).contains(&d)));
        prop_assert!(shares.sum() <= m.min(n) as f64 + 1e-9);
    }

    #[test]
    fn geometry_does_not_see_rotations((m, n, seed) in sizes()) {
        let w = matrix(m, n, seed);
        let turned = orthogonal(m, seed).dot(&w);
        prop_assert!(close(&feature_dimensionality(&turned).unwrap(), &feature_dimensionality(&w).unwrap()));
        prop_assert!(close(&feature_norms(&turned).unwrap(), &feature_norms(&w).unwrap()));
        prop_assert!((coherence(&turned).unwrap() - coherence(&w).unwrap()).abs() < 1e-9);
    }

    #[test]
    fn geometry_follows_permutations((m, n, seed) in sizes()) {
        let w = matrix(m, n, seed);
        let order: Vec<usize> = (0..n).rev().collect();
        let shares = feature_dimensionality(&w).unwrap().select(Axis(0), &order);
        prop_assert!(close(&feature_dimensionality(&w.select(Axis(1), &order)).unwrap(), &shares));
    }

    #[test]
    fn dimensionality_is_capacity_and_follows_from_superposition((m, n, seed) in sizes()) {
        let w = matrix(m, n, seed);
        let shares = feature_dimensionality(&w).unwrap();
        prop_assert_eq!(&capacity(&w).unwrap(), &shares);
        let squares = feature_norms(&w).unwrap().mapv(|x| x * x);
        let superposition = superposition_per_feature(&w, 0.0).unwrap();
        prop_assert!(close(&(&squares / (&squares + &superposition)), &shares));
    }

    #[test]
    fn alignment_undoes_rotations((m, extra, seed) in (1_usize..5, 0_usize..4, any::<u64>())) {
        let w = matrix(m, m + extra, seed);
        let back = align(&orthogonal(m, seed).dot(&w), &w).unwrap();
        prop_assert!((&back - &w).iter().all(|x| x.abs() < 1e-6));
    }

    #[test]
    fn canonical_orientation_does_not_see_rotations((n, seed) in (2_usize..8, any::<u64>())) {
        let w = matrix(2, n, seed);
        let (a, b) = (canonical_2d(&w).unwrap(), canonical_2d(&orthogonal(2, seed).dot(&w)).unwrap());
        prop_assert!((&a - &b).iter().all(|x| x.abs() < 1e-9));
    }

    #[test]
    fn rescaled_neurons_compute_the_same((m, n, seed) in sizes()) {
        let (encoder, decoder) = (matrix(m, n, seed), matrix(n, m, seed ^ 1));
        let x = matrix(4, n, seed ^ 2);
        let bias = Array1::zeros(n);
        let (e, d) = rescale_neurons(&encoder, &decoder).unwrap();
        let before = ToyModel::untied(encoder, decoder, bias.clone()).unwrap().forward(&x).unwrap().output;
        let after = ToyModel::untied(e, d, bias).unwrap().forward(&x).unwrap().output;
        prop_assert!((&before - &after).iter().all(|x| x.abs() < 1e-9));
    }

    #[test]
    fn an_assignment_is_one_to_one((rows, columns, seed) in sizes()) {
        let pairs = assign(&matrix(rows, columns, seed)).unwrap();
        let mut used: Vec<usize> = pairs.iter().flatten().copied().collect();
        prop_assert_eq!(used.len(), rows.min(columns));
        used.sort_unstable();
        used.dedup();
        prop_assert_eq!(used.len(), rows.min(columns));
    }

    #[test]
    fn the_fast_gradient_is_the_naive_one((m, n, seed) in sizes(), rows in 1_usize..600, which in 0_usize..4) {
        let (w, bias) = (matrix(m, n, seed), matrix(1, n, seed ^ 3).row(0).to_owned());
        let model = match which {
            0 => ToyModel::new(Architecture::Linear, w, bias),
            1 => ToyModel::new(Architecture::ReluOutput, w, bias),
            2 => ToyModel::new(Architecture::ReluHidden, w, bias),
            _ => ToyModel::untied(w, matrix(n, m, seed ^ 4), bias),
        }.unwrap();
        let x = matrix(rows, n, seed ^ 5);
        let importance = matrix(1, n, seed ^ 6).row(0).mapv(f64::abs);
        let (loss, gradient) = model.loss_and_gradient(&x, &importance, Reduction::FeatureSum).unwrap();
        // the textbook form, from whole matrices
        let forward = model.forward(&x).unwrap();
        let target = if which == 3 { x.mapv(f64::abs) } else { x.clone() };
        let error = (&forward.output - &target) * &importance / rows as f64;
        let naive_loss = ((&forward.output - &target) * &error).sum();
        let live = |v: &f64| f64::from(u8::from(*v > 0.0));
        let delta = if which == 0 { &error * 2.0 } else { &error * 2.0 * forward.output.map(live) };
        let decoder = model.decoder.clone().unwrap_or_else(|| model.weight.t().to_owned());
        let back = delta.dot(&decoder);
        let back = if which >= 2 { back * forward.hidden.map(live) } else { back };
        let by_encoder = back.t().dot(&x);
        let by_decoder = delta.t().dot(&forward.hidden);
        let agree = |a: &Array2<f64>, b: &Array2<f64>| (a - b).iter().all(|x| x.abs() < 1e-9);
        prop_assert!((loss - naive_loss).abs() < 1e-9 * (1.0 + naive_loss));
        if which == 3 {
            prop_assert!(agree(&gradient.weight, &by_encoder) && agree(&gradient.decoder.unwrap(), &by_decoder));
        } else {
            prop_assert!(agree(&gradient.weight, &(by_encoder + by_decoder.t())));
        }
        prop_assert!(close(&gradient.bias, &delta.sum_axis(Axis(0))));
    }

    #[test]
    fn the_expected_loss_is_the_mean_over_samples(seed in 0_u64..1000) {
        let model = ToyModel::new(Architecture::ReluOutput, matrix(2, 4, seed), matrix(1, 4, seed ^ 7).row(0).to_owned()).unwrap();
        let (p, importance) = (Array1::from_elem(4, 0.3), Array1::ones(4));
        let (exact, gradient) =
            ExpectedLoss::new(&p, &importance, Reduction::FeatureSum).unwrap().loss_and_gradient(&model).unwrap();
        let x = FeatureDistribution::uniform(4, 0.3).unwrap().sample(40_000, Seed(seed)).unwrap();
        let (sampled, by_samples) = model.loss_and_gradient(&x, &importance, Reduction::FeatureSum).unwrap();
        let squares = (&model.forward(&x).unwrap().output - &x).mapv(|e| e * e).sum_axis(Axis(1));
        let deviation = (squares.mapv(|s| s * s).mean().unwrap() - sampled * sampled).max(0.0).sqrt();
        prop_assert!((sampled - exact).abs() < 6.0 * deviation / 200.0 + 1e-12);
        let size = 1.0 + gradient.weight.iter().fold(0.0_f64, |m, g| m.max(g.abs()));
        prop_assert!((&gradient.weight - &by_samples.weight).iter().all(|x| x.abs() < 0.1 * size));
    }
}
