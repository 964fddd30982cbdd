//! Numbers worked by hand, and what the parts of a curvature owe each other.

use ndarray::{Array2, array};

use super::*;
use crate::influence::testing::noise;
use crate::influence::{Bias, Examples, LayerRows};
use crate::math::merge::{Bytes, Merge, Shards};
use crate::{Error, Seed};

/// Two sequences of two tokens, a layer from 2 to 2 with a bias.
fn tokens() -> (Array2<f64>, Array2<f64>) {
    let a = array![[1.0, 2.0], [0.0, 1.0], [2.0, -1.0], [1.0, 1.0]];
    (a, array![[1.0, 0.0], [1.0, 1.0], [-1.0, 2.0], [0.0, 1.0]])
}

fn with_bias<'a>(a: &'a Array2<f64>, g: &'a Array2<f64>, offsets: &'a [usize]) -> LayerRows<'a, f64> {
    LayerRows::new(a, g, Examples::Offsets(offsets)).unwrap().with_bias(Bias::Homogeneous)
}

fn covariance(rows: &LayerRows<'_, f64>) -> CovarianceAccumulator {
    let mut covariance = CovarianceAccumulator::new(LayerSpec::of(0, rows)).unwrap();
    covariance.update(rows).unwrap();
    covariance
}

fn close(x: f64, y: f64, tolerance: f64) {
    assert!((x - y).abs() <= tolerance * (1.0 + y.abs()), "{x} {y}");
}

#[test]
fn a_small_layer_has_its_published_eigenvalues() {
    let (a, g) = tokens();
    let rows = with_bias(&a, &g, &[0, 2, 4]);
    let basis = EigenBasis::new(&covariance(&rows)).unwrap();
    for (x, y) in basis.activation().values().iter().zip([0.088562172234, 1.411437827766, 2.75]) {
        close(*x, y, 1e-11);
    }
    let curvature = fit_layer(LayerSpec::of(0, &rows), Strategy::Ekfac, &rows).unwrap();
    let lambda = [0.07061067652, 1.483312573805, 6.663712115726, 0.098484400575, 11.3475923491, 8.836287884274];
    curvature.eigenvalues().iter().zip(lambda).for_each(|(x, y)| close(*x, y, 1e-10));
    let preconditioner = curvature.preconditioner(&Spectral::default()).unwrap();
    close(preconditioner.damping().unwrap(), 0.475, 1e-12);
    let v = preconditioner.apply(&array![[1.0, 1.0, 1.0], [3.0, -1.0, 1.0]]).unwrap();
    let expected = [0.359926138857, -0.102447581573, 0.18172658264, 0.757972704611, 0.096841507378, -0.497195166169];
    v.iter().zip(expected).for_each(|(x, y)| close(*x, y, 1e-10));
    let token = LayerCurvature::kfac(basis.clone(), Unit::PerToken).unwrap();
    let sequence = LayerCurvature::kfac(basis, Unit::PerSequence).unwrap();
    close(token.eigenvalues().mean().unwrap(), 1.59375, 1e-12);
    assert_eq!(sequence.eigenvalues(), token.clone().in_unit(Unit::PerSequence, 2.0).unwrap().eigenvalues());
}

#[test]
fn the_correction_is_the_best_diagonal_in_its_basis() {
    let (a, g) = tokens();
    let rows = with_bias(&a, &g, &[0, 2, 4]);
    let mut fisher = Array2::<f64>::zeros((6, 6));
    for e in 0..2 {
        let v = rows.gradient(e).unwrap().into_shape_with_order((6, 1)).unwrap();
        fisher += &(v.dot(&v.t()) * 0.5);
    }
    let fit = |strategy| fit_layer(LayerSpec::of(0, &rows), strategy, &rows).unwrap().dense().unwrap();
    let error = |c: &Array2<f64>| libm::sqrt((&fisher - c).iter().map(|x| x * x).sum::<f64>());
    close(error(&fit(Strategy::Ekfac)), 15.207965, 1e-6);
    let kfac = fit(Strategy::Kfac);
    close(error(&kfac), 18.926564, 1e-6);
    let scale = (&fisher * &kfac).sum() / (&kfac * &kfac).sum();
    close(error(&(kfac * scale)), 16.491226, 1e-6);
}

#[test]
fn one_row_is_its_own_curvature() {
    let (a, g) = (array![[1.0, -2.0]], array![[0.5, 3.0, 1.0]]);
    let rows = with_bias(&a, &g, &[0, 1]);
    let v = rows.gradient(0).unwrap().into_shape_with_order((9, 1)).unwrap();
    for strategy in [Strategy::Kfac, Strategy::Ekfac] {
        let dense = fit_layer(LayerSpec::of(0, &rows), strategy, &rows).unwrap().dense().unwrap();
        assert!((dense - v.dot(&v.t())).iter().all(|x| x.abs() < 1e-12));
    }
}

#[test]
fn a_degenerate_factor_is_reported() {
    let (a, g) = (array![[1.0, 0.0], [0.0, 1.0]], array![[1.0], [1.0]]);
    let rows = LayerRows::new(&a, &g, Examples::EachRow).unwrap();
    let basis = EigenBasis::new(&covariance(&rows)).unwrap();
    assert_eq!((basis.activation().health().degenerate, basis.gradient().health().degenerate), (2, 0));
    assert_eq!(basis.activation().health().condition, Some(1.0));
    let thin = array![[1.0, 1.0]];
    let g = array![[1.0]];
    let rows = LayerRows::new(&thin, &g, Examples::EachRow).unwrap();
    let health = *EigenBasis::new(&covariance(&rows)).unwrap().activation().health();
    assert_eq!((health.null, health.degenerate), (1, 0));
    close(health.stable_rank.unwrap(), 1.0, 1e-12);
}

#[test]
fn masked_rows_change_nothing() {
    let (a, g) = tokens();
    let padded_a = ndarray::concatenate![ndarray::Axis(0), a, array![[9.0, 9.0]]];
    let padded_g = ndarray::concatenate![ndarray::Axis(0), g, array![[7.0, -7.0]]];
    let mask = [true, true, true, true, false];
    let padded = with_bias(&padded_a, &padded_g, &[0, 2, 5]).with_mask(&mask).unwrap();
    let (with, without) = (covariance(&padded), covariance(&with_bias(&a, &g, &[0, 2, 4])));
    assert_eq!((with.activation(), with.rows()), (without.activation(), 4));
    let forgotten = covariance(&with_bias(&padded_a, &padded_g, &[0, 2, 5]));
    close(forgotten.activation().unwrap()[[0, 0]], (6.0 + 81.0) / 5.0, 1e-14);
}

#[test]
fn shards_give_the_floats_of_one_pass() {
    let (a, g) = (noise(1000, 5, 0), noise(1000, 4, 1));
    let part = |shard: usize| {
        let rows = ndarray::Slice::from(shard * 250..(shard + 1) * 250);
        (a.slice_axis(ndarray::Axis(0), rows), g.slice_axis(ndarray::Axis(0), rows))
    };
    let offsets = [0, 1, 1, 40, 250];
    let parts: Vec<_> = (0..4).map(part).collect();
    let rows: Vec<_> = parts.iter().map(|(a, g)| LayerRows::new(a, g, Examples::Offsets(&offsets)).unwrap()).collect();
    let mut pass = CovarianceAccumulator::new(LayerSpec::of(3, &rows[0])).unwrap();
    let mut shards = Shards::default();
    rows.iter().for_each(|rows| pass.update(rows).unwrap());
    for shard in [2, 0, 3, 1] {
        let mut state = CovarianceAccumulator::new(LayerSpec::of(3, &rows[0])).unwrap();
        state.update(&rows[shard]).unwrap();
        shards.insert(shard as u64, CovarianceAccumulator::from_bytes(&state.to_bytes()).unwrap()).unwrap();
    }
    assert_eq!(shards.total().unwrap().unwrap(), pass);
    assert!(matches!(shards.insert(2, pass.clone()), Err(Error::DuplicateShard { shard: 2 })));
    let basis = EigenBasis::new(&pass).unwrap();
    let (mut whole, mut merged) = (EigenvalueAccumulator::new(&basis), EigenvalueAccumulator::new(&basis));
    for rows in &rows {
        whole.update(&basis, rows).unwrap();
        let mut state = EigenvalueAccumulator::new(&basis);
        state.update(&basis, rows).unwrap();
        merged.merge(&EigenvalueAccumulator::from_bytes(&state.to_bytes()).unwrap()).unwrap();
    }
    assert_eq!(merged, whole);
    assert_eq!(whole.examples(), 16);
}

#[test]
fn every_way_to_the_eigenvalues_agrees() {
    // many rows per example: gradients are formed and rotated; few: rows are rotated; one: no gradient at all
    let (a, g) = (noise(240, 6, 2), noise(240, 5, 3));
    for length in [120, 20, 2, 1] {
        let offsets: Vec<usize> = (0..=240 / length).map(|e| e * length).collect();
        let rows = with_bias(&a, &g, &offsets);
        let basis = EigenBasis::new(&covariance(&rows)).unwrap();
        let mut squares = EigenvalueAccumulator::new(&basis);
        squares.update(&basis, &rows).unwrap();
        let (qa, qs) = (basis.activation().vectors(), basis.gradient().vectors());
        let mut exact = Array2::<f64>::zeros((5, 7));
        let mut norms = 0.0;
        for e in 0..rows.n_examples() {
            let gradient = rows.gradient(e).unwrap();
            norms += gradient.iter().map(|x| x * x).sum::<f64>() / rows.n_examples() as f64;
            exact += &qs.t().dot(&gradient).dot(&qa).mapv(|x| x * x / rows.n_examples() as f64);
        }
        let found = squares.eigenvalues().unwrap();
        assert!((&found - &exact).iter().all(|x| x.abs() < 1e-11 * (1.0 + norms)), "{length}");
        close(found.sum(), norms, 1e-12);
    }
}

#[test]
fn parts_of_a_factor_join_to_the_whole() {
    let (a, g) = (noise(300, 9, 4), noise(300, 3, 5));
    let rows = LayerRows::new(&a, &g, Examples::EachRow).unwrap();
    let parts: Vec<_> = [0..2, 2..7, 7..9]
        .into_iter()
        .map(|range| {
            let settings = CovarianceSettings { activation_rows: Some(range), ..Default::default() };
            let mut part = CovarianceAccumulator::with_settings(LayerSpec::of(0, &rows), &settings).unwrap();
            part.update(&rows).unwrap();
            assert!(part.activation().is_err());
            part
        })
        .collect();
    let (joined, whole) = (CovarianceAccumulator::join(&parts).unwrap(), covariance(&rows));
    assert!((joined.activation().unwrap() - whole.activation().unwrap()).iter().all(|x| x.abs() < 1e-14));
    assert!(CovarianceAccumulator::join(&parts[1..]).unwrap().activation().is_err());
    assert!(CovarianceAccumulator::join(&[parts[0].clone(), parts[2].clone()]).is_err());
}

#[test]
fn blocks_and_diagonals_are_parts_of_the_whole() {
    let (a, g) = (noise(300, 7, 6), noise(300, 3, 7));
    let rows = LayerRows::new(&a, &g, Examples::EachRow).unwrap();
    let whole = covariance(&rows).activation().unwrap();
    for (structure, block) in [(Structure::Diagonal, 1), (Structure::Blocks(3), 3), (Structure::Blocks(100), 100)] {
        let settings = CovarianceSettings { activation: structure, ..Default::default() };
        let mut state = CovarianceAccumulator::with_settings(LayerSpec::of(0, &rows), &settings).unwrap();
        state.update(&rows).unwrap();
        let part = state.activation().unwrap();
        let kept = |i: usize, j: usize| if i / block == j / block { whole[[i, j]] } else { 0.0 };
        assert!(part.indexed_iter().all(|((i, j), x)| (x - kept(i, j)).abs() < 1e-13));
        let basis = EigenBasis::new(&state).unwrap();
        assert_eq!(EigenBasis::from_bytes(&basis.to_bytes()).unwrap(), basis);
        let q = basis.activation().vectors();
        let back = (&q * basis.activation().values()).dot(&q.t());
        assert!((back - part).iter().all(|x| x.abs() < 1e-12));
        let mut squares = EigenvalueAccumulator::new(&basis);
        squares.update(&basis, &rows).unwrap();
        let curvature = LayerCurvature::ekfac(basis, &squares).unwrap();
        let v = noise(3, 7, 8);
        let found = curvature.preconditioner(&Spectral::default()).unwrap().apply(&v).unwrap();
        let qs = curvature.basis().gradient().vectors();
        let damped = curvature.eigenvalues() + curvature.eigenvalues().mean().unwrap() * 0.1;
        let exact = qs.dot(&(qs.t().dot(&v).dot(&q) / damped)).dot(&q.t());
        assert!((found - exact).iter().all(|x| x.abs() < 1e-11));
        assert_eq!(CovarianceAccumulator::from_bytes(&state.to_bytes()).unwrap(), state);
    }
}

#[test]
fn a_norm_layer_is_a_layer_with_input_one() {
    // gradients by a scale are g ∘ x, which is an outer product with 1
    let (ones, g) = (Array2::ones((4, 1)), tokens().1);
    let rows = LayerRows::new(&ones, &g, Examples::EachRow).unwrap();
    let curvature = fit_layer(LayerSpec::of(0, &rows), Strategy::Diagonal, &rows).unwrap();
    assert_eq!(curvature.eigenvalues(), &array![[0.75], [1.5]]);
}

/// A function of an eigenvalue, written out.
type Naive = Box<dyn Fn(f64) -> f64>;

#[test]
fn spectral_functions_are_functions_of_the_eigenvalues() {
    let (a, g) = (noise(50, 3, 9), noise(50, 2, 10));
    let rows = LayerRows::new(&a, &g, Examples::EachRow).unwrap();
    let curvature = fit_layer(LayerSpec::of(0, &rows), Strategy::Kfac, &rows).unwrap();
    let l = curvature.eigenvalues();
    let mean = l.mean().unwrap();
    let filter = |function: Spectral| curvature.preconditioner(&function).unwrap().filter().clone();
    let damped = Damping::Absolute(0.3);
    let cases: [(Spectral, Naive); 8] = [
        (Spectral::DampedInverse(damped), Box::new(|l| 1.0 / (l + 0.3))),
        (Spectral::DampedInverse(Damping::RelativeMean(0.1)), Box::new(move |l| 1.0 / (l + 0.1 * mean))),
        (Spectral::InverseSqrt(damped), Box::new(|l| 1.0 / libm::sqrt(l + 0.3))),
        (Spectral::Power(2.0, damped), Box::new(|l| (l + 0.3) * (l + 0.3))),
        (Spectral::Power(-1.0, damped), Box::new(|l| 1.0 / (l + 0.3))),
        (Spectral::PseudoInverse { relative: 1.0 }, Box::new(move |x| if x > mean { 1.0 / x } else { 0.0 })),
        (Spectral::Source { rate: 0.1, steps: 20 }, Box::new(|l| (1.0 - libm::exp(-2.0 * l)) / l)),
        (Spectral::Tikhonov { relative: 0.5 }, Box::new(move |l| l / (l * l + 0.25 * mean * mean))),
    ];
    for (function, naive) in cases {
        filter(function).iter().zip(l).for_each(|(x, &l)| close(*x, naive(l), 1e-12));
    }
    let factored = filter(Spectral::DampedInverse(Damping::Factored(0.3)));
    let (s, a) = (curvature.basis().gradient().values(), curvature.basis().activation().values());
    let pi = libm::sqrt(a.mean().unwrap() / s.mean().unwrap());
    let root = libm::sqrt(0.3);
    close(factored[[1, 2]], 1.0 / (s[1] * a[2] + pi * root * s[1] + root / pi * a[2] + 0.3), 1e-13);
}

#[test]
fn what_has_no_inverse_is_singular() {
    let (a, g) = (array![[1.0, 1.0]], array![[1.0]]);
    let rows = LayerRows::new(&a, &g, Examples::EachRow).unwrap();
    let curvature = fit_layer(LayerSpec::of(0, &rows), Strategy::Ekfac, &rows).unwrap();
    let with = |function: Spectral| curvature.preconditioner(&function).map(|p| p.filter().clone());
    assert!(matches!(with(Spectral::DampedInverse(Damping::Absolute(0.0))), Err(Error::Singular { .. })));
    assert!(matches!(with(Spectral::DampedInverse(Damping::Factored(0.1))), Err(Error::Unsupported { .. })));
    assert!(matches!(with(Spectral::DampedInverse(Damping::Absolute(-1.0))), Err(Error::OutOfRange { .. })));
    let source = with(Spectral::Source { rate: 0.5, steps: 4 }).unwrap();
    close(source[[0, 0]], 2.0, 1e-12);
}

#[test]
fn segments_of_equal_curvature_are_one_long_segment() {
    let (a, g) = (noise(40, 3, 11), noise(40, 2, 12));
    let rows = LayerRows::new(&a, &g, Examples::EachRow).unwrap();
    let curvature = fit_layer(LayerSpec::of(0, &rows), Strategy::Ekfac, &rows).unwrap();
    let v = noise(2, 3, 13);
    let segment = |steps| Segment { curvature: &curvature, rate: 0.05, steps };
    let parts = source_queries(&[segment(3), segment(7)], &v).unwrap();
    let whole = source_queries(&[segment(10)], &v).unwrap();
    assert!((&parts[0] + &parts[1] - &whole[0]).iter().all(|x| x.abs() < 1e-12));
}

#[test]
fn bytes_that_are_not_right_are_refused() {
    let (a, g) = tokens();
    let rows = with_bias(&a, &g, &[0, 2, 4]);
    let state = covariance(&rows);
    let bytes = state.to_bytes();
    for end in 0..bytes.len() {
        assert!(matches!(CovarianceAccumulator::from_bytes(&bytes[..end]), Err(Error::Parse { .. })), "{end}");
    }
    for at in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad[at] ^= 1;
        assert!(matches!(CovarianceAccumulator::from_bytes(&bad), Err(Error::Parse { .. })), "{at}");
    }
    let basis = EigenBasis::new(&state).unwrap();
    let squares = EigenvalueAccumulator::new(&basis);
    assert!(CovarianceAccumulator::from_bytes(&squares.to_bytes()).is_err());
    let identity = EigenBasis::identity(*basis.spec());
    let bytes = basis.to_bytes();
    assert!((0..bytes.len()).all(|end| EigenBasis::from_bytes(&bytes[..end]).is_err()));
    assert_eq!(EigenBasis::from_bytes(&bytes), Ok(basis));
    assert_eq!(EigenBasis::from_bytes(&identity.to_bytes()).as_ref(), Ok(&identity));
    let other = EigenvalueAccumulator::new(&identity);
    assert!(squares.clone().merge(&other).is_err() && LayerCurvature::diagonal(&squares).is_err());
    assert!(matches!(squares.eigenvalues(), Err(Error::Empty { .. })));
}

#[test]
fn sampled_labels_have_their_probabilities_on_any_cut() {
    let logits = Array2::from_shape_fn((4000, 3), |(_, c)| libm::log([0.2, 0.5, 0.3][c]));
    let labels = sample_labels(&logits, Seed(1), 0).unwrap();
    for (class, p) in [0.2, 0.5, 0.3].into_iter().enumerate() {
        let share = labels.iter().filter(|&&label| label == class).count() as f64 / 4000.0;
        assert!((share - p).abs() < 0.04);
    }
    let tail = logits.slice_axis(ndarray::Axis(0), ndarray::Slice::from(1500..));
    assert_eq!(sample_labels(&tail, Seed(1), 1500).unwrap(), labels[1500..]);
    let gradients = label_gradients(&logits, &labels).unwrap();
    assert!(gradients.rows().into_iter().all(|row| row.sum().abs() < 1e-15));
    let whole: Array2<f64> = gaussian_gradients(6, 3, Seed(2), 0).unwrap();
    let part: Array2<f64> = gaussian_gradients(2, 3, Seed(2), 4).unwrap();
    assert_eq!(whole.slice_axis(ndarray::Axis(0), ndarray::Slice::from(4..)), part);
    assert!(sample_labels(&Array2::<f64>::zeros((1, 0)), Seed(0), 0).is_err());
}
