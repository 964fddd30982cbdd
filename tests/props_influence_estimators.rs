//! Properties that every estimator of influence must have, on random rows of random layers.

use limpid::influence::estimators::{
    ConjugateGradient, Damped, DualFisher, Entries, Factored, FisherOperator, Lanczos, LinearOperator, Lissa,
    LissaDamping, LissaScale, Projection, Side, datainf, gradients, solution_scores,
};
use limpid::influence::prefilter::{DocumentCounts, Prefilter, Weighting};
use limpid::influence::{Bias, Damping, Examples, LayerRows, LayerSpec, Spectral, Strategy as Curvature, fit_layer};
use limpid::math::eigen::symmetric_eigen;
use limpid::math::merge::{Bytes, Merge};
use limpid::math::random::fill_normal;
use limpid::{Seed, math};
use ndarray::{Array1, Array2, Axis, Slice};
use proptest::prelude::*;

/// Inputs, gradients and the example of each row of one layer.
#[derive(Debug, Clone)]
struct Layer {
    a: Array2<f64>,
    g: Array2<f64>,
    example: Vec<usize>,
    n: usize,
}

impl Layer {
    fn rows(&self) -> LayerRows<'_, f64> {
        let examples = Examples::Index { example: &self.example, n: self.n };
        LayerRows::new(&self.a, &self.g, examples).unwrap().with_bias(Bias::Homogeneous)
    }
}

fn normal(rows: usize, columns: usize, seed: u64, item: u64) -> Array2<f64> {
    let mut values = vec![0.0; rows * columns];
    fill_normal(&mut Seed(seed).stream(7, item), 1.0, &mut values);
    Array2::from_shape_vec((rows, columns), values).unwrap()
}

/// Two layers with the same examples, 1 to 3 rows each.
fn layers(n: usize, seed: u64) -> Vec<Layer> {
    let kind = usize::try_from(seed % 12).unwrap();
    let example: Vec<usize> = (0..n).flat_map(|e| vec![e; 1 + (e * 7 + kind) % 3]).collect();
    let shape = |layer: usize| (1 + (kind + layer) % 4, 1 + (kind / 3 + layer) % 3);
    (0..2)
        .map(|layer| {
            let (d_in, d_out) = shape(usize::try_from(layer).unwrap());
            let (a, g) =
                (normal(example.len(), d_in, seed, 2 * layer), normal(example.len(), d_out, seed, 2 * layer + 1));
            Layer { a, g, example: example.clone(), n }
        })
        .collect()
}

fn views(layers: &[Layer]) -> Vec<LayerRows<'_, f64>> {
    layers.iter().map(Layer::rows).collect()
}

fn close(x: &Array2<f64>, y: &Array2<f64>, tolerance: f64) -> bool {
    x.iter().zip(y).all(|(x, y)| (x - y).abs() <= tolerance * (1.0 + y.abs()))
}

/// The matrix of an operator, column by column.
fn dense(operator: &mut impl LinearOperator<Error = limpid::Error>) -> Array2<f64> {
    let d = operator.dim();
    let mut matrix = Array2::zeros((d, d));
    for column in 0..d {
        let mut unit = Array1::zeros(d);
        unit[column] = 1.0;
        let mut out = Array1::zeros(d);
        operator.apply(&unit, &mut out).unwrap();
        matrix.index_axis_mut(Axis(1), column).assign(&out);
    }
    matrix
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn the_operator_is_the_mean_outer_product(n in 1_usize..9, seed in 0_u64..1000) {
        let data = layers(n, seed);
        let rows = views(&data);
        let mut fisher = FisherOperator::new(&rows).unwrap();
        let v = gradients(&rows).unwrap();
        let expected = v.t().dot(&v) / n as f64;
        prop_assert!(close(&dense(&mut fisher), &expected, 1e-11));
        let trace = expected.diag().sum() / expected.nrows() as f64;
        prop_assert!((fisher.mean_eigenvalue().unwrap() - trace).abs() < 1e-11 * (1.0 + trace));
    }

    #[test]
    fn dual_primal_and_preconditioned_agree(n in 2_usize..12, seed in 0_u64..1000, log_damping in -3_i32..1) {
        let (data, other) = (layers(n, seed), layers(3, seed));
        let (train, query) = (views(&data), views(&other));
        let damping = 10.0_f64.powi(log_damping);
        let exact = DualFisher::new(&train, damping).unwrap().scores(&query, &train).unwrap();
        let right = gradients(&query).unwrap();
        let cg = ConjugateGradient { tolerance: 1e-12, ..ConjugateGradient::default() };
        let fits: Vec<_> =
            train.iter().map(|rows| fit_layer(LayerSpec::of(0, rows), Curvature::Ekfac, rows).unwrap()).collect();
        let inverse = Spectral::DampedInverse(Damping::Absolute(damping));
        let ekfac = Factored::new(fits.iter().map(|fit| fit.preconditioner(&inverse).unwrap()));
        let fisher = Damped::new(FisherOperator::new(&train).unwrap(), damping).unwrap();
        let solved = cg.solve_rows(fisher, ekfac, &right).unwrap();
        prop_assert!(close(&solution_scores(&solved, &train).unwrap(), &exact, 1e-7));
    }

    #[test]
    fn the_error_falls_in_every_step_in_the_energy_norm(n in 2_usize..10, seed in 0_u64..1000) {
        let data = layers(n, seed);
        let rows = views(&data);
        let mut fisher = Damped::new(FisherOperator::new(&rows).unwrap(), 0.05).unwrap();
        let matrix = dense(&mut fisher);
        let b = gradients(&rows).unwrap().row(0).to_owned();
        let all = ConjugateGradient { tolerance: 1e-13, max_iterations: 500 }.solve(&mut fisher, &b).unwrap();
        let residual = &b - &matrix.dot(&all.x);
        prop_assert!(residual.dot(&residual).sqrt() <= 1e-8 * b.dot(&b).sqrt());
        let mut last = f64::INFINITY;
        for steps in 0..all.iterations() {
            let x = ConjugateGradient { tolerance: 0.0, max_iterations: steps }.solve(&mut fisher, &b).unwrap().x;
            let error = &x - &all.x;
            let energy = error.dot(&matrix.dot(&error));
            prop_assert!(energy <= last * (1.0 + 1e-9) + 1e-20);
            last = energy;
        }
    }

    #[test]
    fn datainf_is_never_below_the_exact_inverse(n in 1_usize..8, seed in 0_u64..1000) {
        let data = layers(n, seed);
        let rows = views(&data);
        // the unit vectors as queries: rows of the operator itself
        let found = datainf(&rows[..1], &rows[..1], Damping::Absolute(0.5)).unwrap();
        let exact = DualFisher::new(&rows[..1], 0.5).unwrap().scores(&rows[..1], &rows[..1]).unwrap();
        // V (D - E) Vᵀ of a positive semidefinite difference is one too
        let difference = &found.scores() - &exact;
        let least = symmetric_eigen(&difference).unwrap().values[0];
        prop_assert!(least >= -1e-9 * (1.0 + exact.iter().fold(0.0, |m: f64, x| m.max(x.abs()))), "{}", least);
        if n == 1 {
            prop_assert!(close(&found.scores(), &exact, 1e-10));
        }
    }

    #[test]
    fn a_long_series_is_the_inverse(n in 2_usize..7, seed in 0_u64..1000, share in 0.3_f64..0.9) {
        let data = layers(n, seed);
        let rows = views(&data);
        let fisher = FisherOperator::new(&rows).unwrap();
        let matrix = dense(&mut fisher.clone());
        let v = gradients(&rows).unwrap().row(0).to_owned();
        let damping = share * (1.0 + fisher.mean_eigenvalue().unwrap());
        for kind in [LissaDamping::Added(damping), LissaDamping::Shrinking(share)] {
            let lissa = Lissa { damping: kind, scale: LissaScale::Auto, steps: 1500, ..Lissa::default() };
            let found = lissa.solve(&mut matrix.clone(), &v).unwrap();
            let exact = ConjugateGradient { tolerance: 1e-12, ..ConjugateGradient::default() }
                .solve(Damped::new(matrix.clone(), found.damping).unwrap(), &v)
                .unwrap();
            prop_assert!((&found.x - &exact.x).iter().all(|e| e.abs() < 1e-7), "{:?}", found.last_step);
        }
    }

    #[test]
    fn eigenvalues_are_those_of_the_dense_matrix(n in 1_usize..8, seed in 0_u64..1000) {
        let data = layers(n, seed);
        let rows = views(&data);
        let mut fisher = FisherOperator::new(&rows).unwrap();
        let exact = symmetric_eigen(&dense(&mut fisher)).unwrap().values;
        let found = Lanczos { steps: 64, keep: 64, seed: Seed(seed) }.run(&mut fisher).unwrap();
        let largest = exact[exact.len() - 1];
        prop_assert!((found.values[0] - largest).abs() < 1e-9 * (1.0 + largest));
        let gram = found.vectors.dot(&found.vectors.t());
        prop_assert!(close(&gram, &Array2::eye(gram.nrows()), 1e-10));
    }

    #[test]
    fn projections_do_not_depend_on_the_shard(k in 1_usize..80, first in 0_usize..40, seed: u64, normal: bool) {
        let entries = if normal { Entries::Normal } else { Entries::Rademacher };
        let projection = Projection { seed: Seed(seed), entries, k };
        let all = projection.rows(1, Side::Whole, 0, 45).unwrap();
        let part = projection.rows(1, Side::Whole, first, 5).unwrap();
        prop_assert_eq!(&part, &all.slice_axis(Axis(0), Slice::from(first..first + 5)));
    }

    #[test]
    fn projected_examples_do_not_depend_on_their_batch(n in 2_usize..9, seed in 0_u64..1000) {
        let data = layers(n, seed);
        let rows = views(&data);
        let projection = Projection::new(33, Seed(seed));
        let all = projection.gradients(&rows).unwrap();
        let last: Vec<Layer> = data
            .iter()
            .map(|layer| {
                let from = layer.example.iter().position(|&e| e == n - 1).unwrap();
                let tail = |x: &Array2<f64>| x.slice_axis(Axis(0), Slice::from(from..)).to_owned();
                Layer { a: tail(&layer.a), g: tail(&layer.g), example: vec![0; layer.example.len() - from], n: 1 }
            })
            .collect();
        let alone = projection.gradients(&views(&last)).unwrap();
        prop_assert!(alone.row(0).iter().zip(all.row(n - 1)).all(|(a, b)| (a - b).abs() < 1e-12 * (1.0 + b.abs())));
    }

    #[test]
    fn counts_of_documents_merge(documents in prop::collection::vec(prop::collection::vec(0_u64..20, 0..9), 0..20), cut in 0_usize..20) {
        let count = |documents: &[Vec<u64>]| {
            let mut counts = DocumentCounts::default();
            counts.update(documents);
            counts
        };
        let cut = cut.min(documents.len());
        let (mut left, right, all) = (count(&documents[..cut]), count(&documents[cut..]), count(&documents));
        left.merge(&right).unwrap();
        prop_assert_eq!(&left, &all);
        prop_assert_eq!(&DocumentCounts::from_bytes(&all.to_bytes()).unwrap(), &all);
        let filter = Prefilter::new(&all, Weighting::Bm25Presence);
        let scores = filter.scores(&documents, &documents).unwrap();
        // nothing shares more with a document than it does itself
        prop_assert!(scores.rows().into_iter().enumerate().all(|(i, row)| row.iter().all(|s| *s <= row[i] + 1e-12)));
        let top = filter.top(&documents, &documents, 3);
        let expected: Vec<_> = scores.rows().into_iter().map(|row| math::rank::largest_first(&row, 3)).collect();
        prop_assert_eq!(top, expected);
    }
}
