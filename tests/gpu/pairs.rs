//! Statistics of pairs within their bounds, histograms exactly.

use limpid::Error;
use limpid::gpu::pairs::{histograms_blocking, stats_blocking};
use limpid::math::histogram::Histogram;
use limpid::math::pairs::PairStats;
use ndarray::{Array2, array};

use crate::support::{U, devices, noise};

fn close(got: &PairStats, expected: &PairStats, terms: f64) {
    assert_eq!((got.count, got.not_finite, got.weight), (expected.count, expected.not_finite, expected.weight));
    let slack = (terms / 256.0 + 16.0) * U;
    let size =
        expected.sum_square_true().max(expected.m2_predicted + expected.weight * expected.mean_predicted.powi(2));
    let pairs = [
        (got.mean_true, expected.mean_true, size.sqrt()),
        (got.mean_predicted, expected.mean_predicted, size.sqrt()),
        (got.m2_true, expected.m2_true, expected.m2_true),
        (got.m2_predicted, expected.m2_predicted, expected.m2_predicted),
        (got.cross_moment, expected.cross_moment, (expected.m2_true * expected.m2_predicted).sqrt()),
        (got.sum_absolute_true, expected.sum_absolute_true, expected.sum_absolute_true),
        (got.sum_absolute_error, expected.sum_absolute_error, expected.sum_absolute_error),
        (got.sum_square_error, expected.sum_square_error, expected.sum_square_error),
    ];
    for (got, expected, size) in pairs {
        assert!((got - expected).abs() <= slack * size * 2.0 + 1e-12, "{got} for {expected}");
    }
}

fn agrees(truth: &Array2<f32>, prediction: &Array2<f32>) {
    for gpu in devices() {
        let [t, s] = [truth, prediction].map(|x| gpu.upload(x).unwrap());
        let got = stats_blocking(&gpu, &t, &s).unwrap();
        assert_eq!(got.len(), truth.nrows());
        for (got, (t, s)) in got.iter().zip(truth.rows().into_iter().zip(prediction.rows())) {
            close(got, &PairStats::of(&t, &s).unwrap(), t.len() as f64);
        }
    }
}

#[test]
pub(crate) fn statistics_agree() {
    for (rows, columns) in [(1, 1), (3, 257), (90, 33), (2, 1000), (0, 4), (3, 0)] {
        let truth = noise(rows, columns, 1);
        agrees(&truth, &(&truth * 0.5 + &noise(rows, columns, 2)));
    }
}

#[test]
pub(crate) fn pairs_that_are_not_finite_are_left_out() {
    let (mut truth, mut prediction) = (noise(4, 300, 3), noise(4, 300, 4));
    truth[[0, 0]] = f32::NAN;
    prediction[[0, 7]] = f32::INFINITY;
    truth.row_mut(2).fill(f32::NEG_INFINITY);
    agrees(&truth, &prediction);
}

#[test]
pub(crate) fn equal_values_have_no_spread_and_means_may_be_large() {
    agrees(&Array2::from_elem((2, 500), 0.1), &Array2::from_elem((2, 500), 3.7));
    for gpu in devices() {
        let [t, s] = [1e6_f32, 0.1].map(|x| gpu.upload(&Array2::from_elem((1, 700), x)).unwrap());
        let stats = stats_blocking(&gpu, &t, &s).unwrap();
        assert_eq!((stats[0].m2_true, stats[0].m2_predicted, stats[0].mean_true), (0.0, 0.0, 1e6));
    }
    agrees(&(noise(2, 400, 1) + 1000.0), &noise(2, 400, 2));
}

#[test]
pub(crate) fn histograms_are_exact() {
    let edges = [-1.0, -0.1, 0.0, 1.0 / 3.0, 0.5, 2.0];
    let special =
        array![[-0.0_f32, 0.0, 1e-40, -1e-40, f32::INFINITY, f32::NEG_INFINITY, 2.0, 1.0 / 3.0, -1.0, 2.000_000_2]];
    for gpu in devices() {
        for x in [noise(5, 700, 1), noise(100, 3, 2), special.clone(), Array2::zeros((2, 0))] {
            let got = histograms_blocking(&gpu, &gpu.upload(&x).unwrap(), &edges).unwrap();
            assert_eq!(got.len(), x.nrows());
            for (got, row) in got.iter().zip(x.rows()) {
                let mut expected = Histogram::new(edges.to_vec()).unwrap();
                expected.update(row.iter().copied()).unwrap();
                assert_eq!(*got, expected, "{row}");
            }
        }
        let bad = gpu.upload(&array![[0.0], [f32::NAN]]).unwrap();
        let error = histograms_blocking(&gpu, &bad, &edges).unwrap_err();
        assert_eq!(error, Error::NotFinite { what: "a row of values", index: 1 });
        assert!(matches!(histograms_blocking(&gpu, &bad, &[1.0]), Err(Error::Empty { .. })));
    }
}
