//! Scores worked by hand, and every way to a score against the definition.

use alloc::vec::Vec;

use ndarray::{Array1, Array2, array};

use super::*;
use crate::Error;
use crate::influence::testing::noise;
use crate::influence::{Bias, Damping, Examples, LayerRows, Spectral, Strategy};
use crate::math::merge::{Bytes, Merge};

fn close(found: impl IntoIterator<Item = f64>, expected: &[f64], tolerance: f64) {
    let found: Vec<f64> = found.into_iter().collect();
    assert_eq!(found.len(), expected.len());
    for (x, y) in found.iter().zip(expected) {
        assert!((x - y).abs() <= tolerance * (1.0 + y.abs()), "{found:?} {expected:?}");
    }
}

/// Two training sequences and one query of two tokens each, a layer from 2 to 2 with a bias.
fn tokens() -> [Array2<f64>; 4] {
    [
        array![[1.0, 2.0], [0.0, 1.0], [2.0, -1.0], [1.0, 1.0]],
        array![[1.0, 0.0], [1.0, 1.0], [-1.0, 2.0], [0.0, 1.0]],
        array![[1.0, 1.0], [2.0, 0.0]],
        array![[1.0, -1.0], [0.0, 2.0]],
    ]
}

fn rows<'a>(a: &'a Array2<f64>, g: &'a Array2<f64>, offsets: &'a [usize]) -> LayerRows<'a, f64> {
    LayerRows::new(a, g, Examples::Offsets(offsets)).unwrap().with_bias(Bias::Homogeneous)
}

#[test]
fn small_scores_are_the_published_ones() {
    let [a, g, query_a, query_g] = tokens();
    let (train, query) = ([rows(&a, &g, &[0, 2, 4])], [rows(&query_a, &query_g, &[0, 2])]);
    let table = [
        (Strategy::Identity, [6.0, 17.0], [16.0, 41.0]),
        (Strategy::Diagonal, [1.061030866956, 1.556225711818], [4.185122388867, 6.111904662470]),
        (Strategy::Kfac, [1.736051550925, 5.734691150017], [9.967004003773, 14.080850009812]),
        (Strategy::Ekfac, [0.015682900627, 1.197410075243], [3.626188523681, 4.175532858297]),
    ];
    for (strategy, pairwise, own) in table {
        let curvature = Curvature::fit(strategy, &train).unwrap();
        let queries = curvature.queries(&Spectral::default(), &query, &QuerySettings::default()).unwrap();
        close(queries.scores(&train).unwrap(), &pairwise, 1e-11);
        close(curvature.self_scores(&Spectral::default(), &train).unwrap(), &own, 1e-11);
        close(curvature.measurement_self_scores(&Spectral::default(), &train, &train).unwrap(), &own, 1e-11);
    }
    let undamped = Spectral::DampedInverse(Damping::Absolute(0.0));
    let kfac = Curvature::fit(Strategy::Kfac, &train).unwrap();
    let queries = kfac.queries(&undamped, &query, &QuerySettings::default()).unwrap();
    close(queries.scores(&train).unwrap(), &[0.513368983957, 5.903743315508], 1e-11);
}

#[test]
fn tokens_ranks_and_relative_scores_are_the_published_ones() {
    let [a, g, query_a, query_g] = tokens();
    let (train, query) = ([rows(&a, &g, &[0, 2, 4])], [rows(&query_a, &query_g, &[0, 2])]);
    let curvature = Curvature::fit(Strategy::Ekfac, &train).unwrap();
    let function = Spectral::default();
    let full = curvature.queries(&function, &query, &QuerySettings::default()).unwrap();
    let by_token = [0.336757558351, -0.321074657724, 0.839791029422, 0.357619045820];
    close(full.token_scores(&train).unwrap(), &by_token, 1e-11);
    for train_rows in [None, Some(1_000_000)] {
        let settings = QuerySettings { rank: Some(1), train_rows };
        let low = curvature.queries(&function, &query, &settings).unwrap();
        close(low.scores(&train).unwrap(), &[-0.322688258768, 2.372309420422], 1e-11);
        close(low.layers()[0].tail().to_owned(), &[0.361345926869], 1e-11);
        let bound = low.rank_error(&train).unwrap();
        let error = low.scores(&train).unwrap() - full.scores(&train).unwrap();
        assert!(error.iter().zip(&bound).all(|(e, b)| e.abs() <= *b));
    }
    let scores = full.scores(&train).unwrap();
    let own = curvature.self_scores(&function, &train).unwrap();
    let sizes = curvature.squared_norms(&function, &train).unwrap();
    let of = |x: Array2<Option<f64>>| x.into_iter().map(Option::unwrap).collect::<Vec<_>>();
    close(of(relative_scores(&scores, &sizes).unwrap()), &[0.011388261948, 1.574789769793], 1e-10);
    close(of(relative_scores(&scores, &own).unwrap()), &[0.008235712947, 0.585985615459], 1e-10);
    let of_query = curvature.self_scores(&function, &query).unwrap();
    close(of(cosine_scores(&scores, &of_query, &own).unwrap()), &[0.005657529803, 0.402543301949], 1e-10);
}

#[test]
fn linear_regression_is_exact() {
    let (x, residual) = (array![[0.0], [1.0], [2.0], [3.0]], array![-0.1, 0.8, -1.3, 0.6]);
    let g = residual.mapv(|r: f64| -r).insert_axis(ndarray::Axis(1));
    let train = [LayerRows::new(&x, &g, Examples::EachRow).unwrap().with_bias(Bias::Homogeneous)];
    let ones = Array2::ones((4, 1));
    let unit = [LayerRows::new(&x, &ones, Examples::EachRow).unwrap().with_bias(Bias::Homogeneous)];
    let (query_x, query_g) = (array![[4.0]], array![[-0.5]]);
    let query = [LayerRows::new(&query_x, &query_g, Examples::EachRow).unwrap().with_bias(Bias::Homogeneous)];
    let function = Spectral::DampedInverse(Damping::Absolute(0.0));
    for strategy in [Strategy::Kfac, Strategy::Ekfac] {
        // the exact Fisher matrix of a Gaussian head has unit gradients
        let curvature = Curvature::fit(strategy, &unit).unwrap();
        let queries = curvature.queries(&function, &query, &QuerySettings::default()).unwrap();
        let scores = queries.scores(&train).unwrap();
        close(scores.clone(), &[0.1, 0.0, -1.3, 1.2], 1e-12);
        close(Scale::PerExample(4).apply(&scores).unwrap(), &[0.025, 0.0, -0.325, 0.3], 1e-12);
        close(curvature.self_scores(&function, &train).unwrap(), &[0.028, 0.768, 2.028, 1.008], 1e-12);
        let h = leverage(&curvature.self_scores(&function, &unit).unwrap(), 4).unwrap();
        close(h.clone(), &[0.7, 0.3, 0.3, 0.7], 1e-12);
        let corrected = leverage_corrected(&scores, &h).unwrap();
        close(corrected.into_iter().map(Option::unwrap), &[1.0 / 3.0, 0.0, -13.0 / 7.0, 4.0], 1e-11);
    }
    let none = leverage_corrected(&array![[1.0]], &array![1.0]).unwrap();
    assert_eq!(none, array![[None]]);
}

#[test]
fn two_layers_of_a_network() {
    let x = array![[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [2.0, -1.0], [1.0, 2.0]];
    let y = [1.0, 0.0, 2.0, -1.0, 1.0];
    let (w1, b1, w2) = (array![[1.0, -1.0], [0.5, 1.0]], array![0.25, 0.5], array![1.0, 2.0]);
    let z = x.dot(&w1.t()) + &b1;
    let h = z.mapv(|z: f64| z.max(0.0));
    let out: Array1<f64> = h.dot(&w2) - 1.0;
    let g2 = Array2::from_shape_fn((5, 1), |(i, _)| out[i] - y[i]);
    let g1 = Array2::from_shape_fn((5, 2), |(i, j)| if z[[i, j]] > 0.0 { g2[[i, 0]] * w2[j] } else { 0.0 });
    let cut = |x: &Array2<f64>, from: usize, to: usize| {
        x.slice_axis(ndarray::Axis(0), ndarray::Slice::from(from..to)).to_owned()
    };
    let [a1, d1, a2, d2] = [&x, &g1, &h, &g2].map(|x| cut(x, 0, 4));
    let [qa1, qd1, qa2, qd2] = [&x, &g1, &h, &g2].map(|x| cut(x, 4, 5));
    let each = [0, 1, 2, 3, 4];
    let train = [rows(&a1, &d1, &each), rows(&a2, &d2, &each)];
    let query = [rows(&qa1, &qd1, &each[..2]), rows(&qa2, &qd2, &each[..2])];
    let curvature = Curvature::fit(Strategy::Ekfac, &train).unwrap();
    let queries = curvature.queries(&Spectral::default(), &query, &QuerySettings::default()).unwrap();
    let layers = queries.layer_scores(&train).unwrap();
    close(
        layers.index_axis(ndarray::Axis(0), 0).to_owned(),
        &[-0.58051885344, 4.617856900583, 2.431070166438, -3.551405479151],
        1e-9,
    );
    close(
        layers.index_axis(ndarray::Axis(0), 1).to_owned(),
        &[0.354187456564, 1.936480179609, 1.895243806462, -1.99753291156],
        1e-9,
    );
    let total = queries.scores(&train).unwrap();
    assert!((layers.sum_axis(ndarray::Axis(0)) - total).iter().all(|x| x.abs() < 1e-12));
}

/// `⟨φ(C) G_q, G_i⟩` one by one.
fn naive(curvature: &Curvature, query: &LayerRows<'_, f64>, train: &LayerRows<'_, f64>) -> Array2<f64> {
    let inverse = curvature.layers()[0].preconditioner(&Spectral::default()).unwrap();
    Array2::from_shape_fn((query.n_examples(), train.n_examples()), |(q, i)| {
        (inverse.apply(&query.gradient(q).unwrap()).unwrap() * train.gradient(i).unwrap()).sum()
    })
}

#[test]
fn every_way_to_a_score_agrees() {
    let (a, g) = (noise(600, 4, 0), noise(600, 7, 1));
    let (query_a, query_g) = (noise(9, 4, 2), noise(9, 7, 3));
    let (long, each) = ([0, 100, 100, 300, 600], (0..=600).collect::<Vec<_>>());
    let (several, one): (_, Vec<_>) = ([0, 4, 5, 9], (0..=9).collect());
    for train in [rows(&a, &g, &long), rows(&a, &g, &each)] {
        for query in [rows(&query_a, &query_g, &several), rows(&query_a, &query_g, &one)] {
            let curvature = Curvature::fit(Strategy::Ekfac, core::slice::from_ref(&train)).unwrap();
            let exact = naive(&curvature, &query, &train);
            for train_rows in [None, Some(1_000_000_000)] {
                for rank in [None, Some(5), Some(9)] {
                    let settings = QuerySettings { rank, train_rows };
                    let query = core::slice::from_ref(&query);
                    let queries = curvature.queries(&Spectral::default(), query, &settings).unwrap();
                    let (train, all) = ([train.clone()], Array1::ones(train.n_examples()));
                    close(queries.scores(&train).unwrap(), exact.as_slice().unwrap(), 1e-9);
                    let tokens = queries.token_scores(&train).unwrap();
                    assert!(
                        (tokens.sum_axis(ndarray::Axis(1)) - exact.sum_axis(ndarray::Axis(1)))
                            .iter()
                            .all(|x| x.abs() < 1e-8)
                    );
                    let sums = exact.sum_axis(ndarray::Axis(1)).to_vec();
                    close(queries.scores_of_sum(&train, &all).unwrap(), &sums, 1e-9);
                    let summed = curvature.summed_query(
                        &Spectral::default(),
                        query,
                        &Array1::ones(query[0].n_examples()),
                        &settings,
                    );
                    close(summed.unwrap().scores(&train).unwrap(), &exact.sum_axis(ndarray::Axis(0)).to_vec(), 1e-9);
                }
            }
        }
    }
}

#[test]
fn separable_functions_score_by_products_of_two_numbers() {
    let (a, g) = (noise(300, 4, 0), noise(300, 7, 1));
    let (query_a, query_g) = (noise(9, 4, 2), noise(9, 7, 3));
    let (long, each) = ([0, 100, 100, 300], (0..=300).collect::<Vec<_>>());
    let one: Vec<_> = (0..=9).collect();
    let query = rows(&query_a, &query_g, &one);
    for (strategy, function) in [
        (Strategy::Kfac, Spectral::DampedInverse(Damping::Factored(0.3))),
        (Strategy::Identity, Spectral::default()),
        (Strategy::Kfac, Spectral::default()),
    ] {
        for train in [rows(&a, &g, &long), rows(&a, &g, &each)] {
            let curvature = Curvature::fit(strategy, core::slice::from_ref(&train)).unwrap();
            let inverse = curvature.layers()[0].preconditioner(&function).unwrap();
            let separable = strategy == Strategy::Identity || function != Spectral::default();
            assert_eq!(inverse.separate().is_some(), separable);
            let exact = Array2::from_shape_fn((9, train.n_examples()), |(q, i)| {
                (inverse.apply(&query.gradient(q).unwrap()).unwrap() * train.gradient(i).unwrap()).sum()
            });
            let settings = QuerySettings::default();
            let queries = curvature.queries(&function, core::slice::from_ref(&query), &settings).unwrap();
            let layer = &queries.layers()[0];
            assert_eq!(layer.bytes() == 9 * (5 + 7) * size_of::<f64>(), separable);
            for (&bound, q) in layer.bound().iter().zip(0..) {
                let norm = inverse.apply(&query.gradient(q).unwrap()).unwrap().iter().map(|x| x * x).sum::<f64>();
                assert!(bound * bound > norm * (1.0 - 1e-9));
            }
            close(queries.scores(&[train]).unwrap(), exact.as_slice().unwrap(), 1e-10);
        }
    }
}

#[test]
fn a_scan_keeps_what_scoring_all_would_keep() {
    let mut a = noise(2000, 3, 4);
    // a long tail of small examples, which can be skipped
    a.rows_mut().into_iter().enumerate().for_each(|(i, mut row)| row.mapv_inplace(|x| x / (1.0 + i as f64)));
    let g = noise(2000, 2, 5);
    let train = [LayerRows::new(&a, &g, Examples::EachRow).unwrap()];
    let (query_a, query_g) = (noise(5, 3, 6), noise(5, 2, 7));
    let query = [LayerRows::new(&query_a, &query_g, Examples::EachRow).unwrap()];
    let curvature = Curvature::fit(Strategy::Ekfac, &train).unwrap();
    let queries = curvature.queries(&Spectral::default(), &query, &QuerySettings::default()).unwrap();
    let scores = queries.scores(&train).unwrap();
    for end in [End::Largest, End::Smallest, End::Magnitude] {
        let (mut scanned, mut all) = (TopK::new(5, 4, end).unwrap(), TopK::new(5, 4, end).unwrap());
        let report = queries.scan(&train, 10, &mut scanned).unwrap();
        assert!(report.skipped > 500 && report.skipped + report.scored == 2000, "{report:?}");
        scores.indexed_iter().for_each(|((q, i), &s)| all.push(q, 10 + i as u64, s).unwrap());
        let ids = |top: &TopK| (0..5).map(|q| top.of(q).iter().map(|s| s.id).collect()).collect::<Vec<Vec<u64>>>();
        assert_eq!(ids(&scanned), ids(&all));
        let again =
            scanned.rescore::<Error>(|query, id| Ok(-scores[[query, usize::try_from(id - 10).unwrap()]])).unwrap();
        assert_eq!(again.of(0).len(), 4);
    }
}

#[test]
fn top_examples_merge_in_any_order() {
    let scores: Vec<f64> = (0..60).map(|i| f64::from((i * 7919) % 13) - 6.0).collect();
    let shard = |part: usize| {
        let mut top = TopK::new(2, 5, End::Largest).unwrap();
        for i in (part..60).step_by(3) {
            top.push(i % 2, i as u64, scores[i]).unwrap();
        }
        TopK::from_bytes(&top.to_bytes()).unwrap()
    };
    let merged = |order: [usize; 3]| {
        let mut top = shard(order[0]);
        order[1..].iter().for_each(|&part| top.merge(&shard(part)).unwrap());
        top
    };
    assert_eq!(merged([0, 1, 2]), merged([2, 0, 1]));
    let mut sorted: Vec<_> = (0..60).step_by(2).collect();
    sorted.sort_by(|&i, &j| scores[j].total_cmp(&scores[i]).then(i.cmp(&j)));
    assert_eq!(
        merged([1, 2, 0]).of(0).iter().map(|s| s.id).collect::<Vec<_>>(),
        sorted[..5].iter().map(|&i| i as u64).collect::<Vec<_>>()
    );
    let bytes = shard(0).to_bytes();
    assert!((0..bytes.len()).all(|end| TopK::from_bytes(&bytes[..end]).is_err()));
    assert!(
        TopK::new(usize::MAX, 1, End::Largest).is_err()
            && shard(0).merge(&TopK::new(2, 4, End::Largest).unwrap()).is_err()
    );
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let [a, g, query_a, query_g] = tokens();
    let (train, query) = ([rows(&a, &g, &[0, 2, 4])], [rows(&query_a, &query_g, &[0, 2])]);
    let curvature = Curvature::fit(Strategy::Ekfac, &train).unwrap();
    let queries = curvature.queries(&Spectral::default(), &query, &QuerySettings::default()).unwrap();
    assert!(queries.scores(&[]).is_err());
    let without = [LayerRows::new(&a, &g, Examples::EachRow).unwrap()];
    assert!(queries.scores(&without).is_err() && curvature.self_scores(&Spectral::default(), &without).is_err());
    assert!(queries.scan(&train, u64::MAX, &mut TopK::new(1, 1, End::Largest).unwrap()).is_err());
    assert!(queries.scan(&train, 0, &mut TopK::new(2, 1, End::Largest).unwrap()).is_err());
    assert!(Scale::PerExample(0).apply(&array![[1.0]]).is_err());
}
