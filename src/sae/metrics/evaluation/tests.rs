//! Numbers by hand, and what happens to bad ones.

use super::*;
use crate::Seed;
use crate::math::merge::{Bytes, Shards};
use crate::math::random::fill_normal;
use ndarray::array;

fn noise(rows: usize, columns: usize, item: u64) -> Array2<f64> {
    let mut x = Array2::zeros((rows, columns));
    fill_normal(&mut Seed(11).stream(0, item), 1.0, x.as_slice_mut().unwrap());
    x
}

fn of(x: &Array2<f64>, y: &Array2<f64>, f: &Array2<f64>) -> Metrics {
    let mut first = Moments::new(x.ncols()).unwrap();
    first.update(x).unwrap();
    let mut evaluation = Evaluation::around(&first.mean().unwrap(), f.ncols()).unwrap();
    evaluation.update(x, y, f).unwrap();
    evaluation.finish().unwrap()
}

#[test]
fn every_number_by_hand() {
    let (x, y) = (array![[3.0, 4.0], [0.0, -4.0]], array![[3.0, 0.0], [0.0, -2.0]]);
    let metrics = of(&x, &y, &array![[1.0, 0.0, -2.0], [0.5, 0.0, 0.0]]);
    // residuals (0, 4) and (0, -2), mean (1.5, 0), distances to it √18.25 both, residual mean (0, 1) and variance 9
    assert_eq!((metrics.samples, metrics.l0, metrics.l1), (2, 1.5, 1.75));
    assert_eq!((metrics.mse_sum, metrics.mse_mean), (10.0, 5.0));
    let close = |got: Defined, expected: f64| assert!((got.unwrap() - expected).abs() < 1e-15, "{got:?} {expected}");
    close(metrics.explained_variance.ratio_of_means, 1.0 - 20.0 / 36.5);
    close(metrics.explained_variance.mean_of_ratios, 1.0 - 20.0 / 36.5);
    close(metrics.explained_variance.of_residual, 1.0 - 18.0 / 36.5);
    close(metrics.explained_variance.peer_saebench, 1.0 - 10.0 / (20.5 - 10.25 * 10.25));
    close(metrics.fraction_of_variance_unexplained, 20.0 / 36.5);
    close(metrics.normalised_mse_uncentred, 0.5 * (16.0 / 25.0 + 0.25));
    close(metrics.cosine, 0.5 * (0.6 + 1.0));
    close(metrics.l2_ratio, 0.5 * (0.6 + 0.5));
    close(metrics.relative_reconstruction_bias, 13.0 / 17.0);
    assert_eq!((metrics.dead_fraction, &metrics.firing_count[..]), (1.0 / 3.0, &[2, 0, 1][..]));
    assert_eq!((metrics.density, metrics.log10_density[1]), (array![1.0, 0.0, 0.5], -10.0));
}

#[test]
fn a_mean_far_from_zero_costs_no_digits() {
    let (x, y, f) = (noise(600, 3, 1), noise(600, 3, 2) * 0.1, noise(600, 2, 3));
    let near = of(&x, &(&x + &y), &f);
    // a power of two moves the numbers without rounding most of their digits away
    let far = of(&(&x + 1_048_576.0), &(&x + 1_048_576.0 + &y), &f);
    let (near, far) = (near.explained_variance, far.explained_variance);
    for (near, far) in [
        (near.ratio_of_means, far.ratio_of_means),
        (near.mean_of_ratios, far.mean_of_ratios),
        (near.of_residual, far.of_residual),
    ] {
        assert!((near.unwrap() - far.unwrap()).abs() < 1e-8, "{near:?} {far:?}");
    }
}

#[test]
fn tiny_samples_have_a_direction() {
    for scale in [1e-200, 1e-100, 1.0, 1e60] {
        let (x, y) = (array![[3.0, 4.0]] * scale, array![[4.0, 3.0]] * scale);
        let metrics = of(&x, &y, &array![[0.0]]);
        assert!((metrics.cosine.unwrap() - 0.96).abs() < 1e-15, "{scale}");
        assert!((metrics.l2_ratio.unwrap() - 1.0).abs() < 1e-15 && metrics.normalised_mse_uncentred.is_ok());
    }
}

#[test]
fn what_is_undefined_says_why() {
    let still = of(&array![[1.0, 2.0]], &array![[1.0, 1.0]], &array![[0.0]]);
    assert_eq!(still.explained_variance.ratio_of_means, Err(Undefined::NoVariance));
    assert_eq!(still.explained_variance.mean_of_ratios, Err(Undefined::NoVariance));
    assert_eq!(still.explained_variance.of_residual, Err(Undefined::NoVariance));
    let zero = of(&array![[0.0], [2.0], [4.0]], &array![[0.0], [1.0], [0.0]], &Array2::zeros((3, 1)));
    assert_eq!(zero.l2_ratio, Err(Undefined::ZeroNorm { samples: 1, mean_of_others: Some(0.25) }));
    assert_eq!(zero.cosine, Err(Undefined::ZeroNorm { samples: 2, mean_of_others: Some(1.0) }));
    // the mean is 2: squared errors 0, 1 and 16 over squared distances 4, 0 and 4
    let at_mean = Undefined::ZeroNorm { samples: 1, mean_of_others: Some(1.0 - (0.0 + 4.0) / 2.0) };
    assert_eq!(zero.explained_variance.mean_of_ratios, Err(at_mean));
    let none = of(&array![[1.0], [2.0]], &array![[0.0], [0.0]], &array![[1.0], [0.0]]);
    assert_eq!(none.relative_reconstruction_bias, Err(Undefined::ZeroProduct));
    assert_eq!(Evaluation::new(1, 1).unwrap().finish(), Err(Error::Empty { what: "samples" }));
}

#[test]
fn sparse_and_dense_features_are_counted_alike() {
    let (x, y) = (noise(9, 2, 4), noise(9, 2, 5));
    let f = noise(9, 6, 6).mapv(|f: f64| if f > 0.5 { f } else { 0.0 });
    let (mut dense, mut sparse) = (Evaluation::new(2, 6).unwrap(), Evaluation::new(2, 6).unwrap());
    dense.update(&x, &y, &f).unwrap();
    sparse.update_codes(&x, &y, &Codes::from_dense(&f).unwrap()).unwrap();
    assert_eq!(dense, sparse);
    assert!(matches!(sparse.update_codes(&x, &y, &Codes::new(6).unwrap()), Err(Error::Shape { what: "codes", .. })));
}

#[test]
fn shards_come_in_any_order_but_once() {
    let (x, y, f) = (noise(20, 2, 7), noise(20, 2, 8), noise(20, 3, 9));
    let part = |range: core::ops::Range<usize>| {
        let rows = Slice::from(range);
        let mut evaluation = Evaluation::new(2, 3).unwrap();
        let cut = |x: &Array2<f64>| x.slice_axis(Axis(0), rows).to_owned();
        evaluation.update(&cut(&x), &cut(&y), &cut(&f)).unwrap();
        evaluation
    };
    let (mut a, mut b) = (Shards::default(), Shards::default());
    a.insert(0, part(0..7)).unwrap();
    a.insert(1, part(7..20)).unwrap();
    b.insert(1, part(7..20)).unwrap();
    b.insert(0, part(0..7)).unwrap();
    assert_eq!(a.total().unwrap(), b.total().unwrap());
    assert_eq!(a.insert(1, part(0..1)), Err(Error::DuplicateShard { shard: 1 }));
    let (whole, merged) = (part(0..20).finish().unwrap(), a.total().unwrap().unwrap().finish().unwrap());
    assert_eq!((whole.samples, &whole.firing_count), (merged.samples, &merged.firing_count));
    let close = |a: Defined, b: Defined| assert!((a.unwrap() - b.unwrap()).abs() < 1e-14);
    close(whole.explained_variance.of_residual, merged.explained_variance.of_residual);
    close(whole.cosine, merged.cosine);
}

#[test]
fn bytes_come_back_and_bad_ones_are_refused() {
    let mut evaluation = Evaluation::around(&array![1.0, -1.0], 3).unwrap();
    evaluation.update(&noise(5, 2, 1), &noise(5, 2, 2), &noise(5, 3, 3)).unwrap();
    let bytes = evaluation.to_bytes();
    assert_eq!(Evaluation::from_bytes(&bytes).unwrap(), evaluation);
    assert!((0..bytes.len()).all(|end| Evaluation::from_bytes(&bytes[..end]).is_err()));
    // more firings of the last latent than there are samples
    let mut lie = bytes.clone();
    let last = lie.len() - 8;
    lie[last] = 6;
    assert!(Evaluation::from_bytes(&lie).is_err());
}

#[test]
fn bad_input_changes_nothing() {
    let mut evaluation = Evaluation::new(2, 3).unwrap();
    evaluation.update(&noise(5, 2, 1), &noise(5, 2, 2), &noise(5, 3, 3)).unwrap();
    let before = evaluation.clone();
    let (x, f) = (noise(1, 2, 4), noise(1, 3, 5));
    let nan = array![[0.0, f64::NAN]];
    assert!(matches!(evaluation.update(&x, &nan, &f), Err(Error::OutOfRange { what: "reconstruction", index: 1, .. })));
    assert!(matches!(evaluation.update(&nan, &x, &f), Err(Error::OutOfRange { what: "x", .. })));
    assert!(matches!(evaluation.update(&x, &x, &x), Err(Error::Shape { what: "features", .. })));
    assert!(matches!(evaluation.update(&x, &f, &f), Err(Error::Shape { what: "reconstruction", .. })));
    assert!(evaluation.merge(&Evaluation::new(3, 3).unwrap()).is_err());
    assert!(evaluation.merge(&Evaluation::new(2, 4).unwrap()).is_err());
    assert!(evaluation.merge(&Evaluation::around(&array![0.0, 0.0], 3).unwrap()).is_err());
    assert_eq!(evaluation, before);
    assert!(
        Evaluation::new(0, 1).is_err() && Evaluation::new(1, 0).is_err() && Evaluation::new(usize::MAX, 1).is_err()
    );
}
