//! What must hold of every autoencoder's metrics, over random cases.

use limpid::Seed;
use limpid::math::directions::{Cosine, nearest_other};
use limpid::math::logistic::LogisticRegression;
use limpid::math::merge::{Bytes, Merge, Shards};
use limpid::math::random::fill_normal;
use limpid::math::stats::Moments;
use limpid::sae::bench::edit::{Edit, edit};
use limpid::sae::bench::effects::{Effect, effects, select};
use limpid::sae::bench::mdl::{description_length, quantise};
use limpid::sae::metrics::dictionary::{match_dictionary, mmcs};
use limpid::sae::metrics::{Defined, Evaluation, Metrics};
use limpid::sae::{Activation, Codes, Sae};
use ndarray::{Array1, Array2, Axis, Slice};
use proptest::prelude::*;

fn matrix(rows: usize, columns: usize, seed: u64) -> Array2<f64> {
    let mut w = Array2::zeros((rows, columns));
    fill_normal(&mut Seed(seed).stream(1, 0), 1.0, w.as_slice_mut().unwrap());
    w
}

/// Features of which about a third are active.
fn sparse(rows: usize, columns: usize, seed: u64) -> Array2<f64> {
    matrix(rows, columns, seed).mapv(|f| if f > 0.4 { f } else { 0.0 })
}

fn mean(x: &Array2<f64>) -> Array1<f64> {
    let mut moments = Moments::new(x.ncols()).unwrap();
    moments.update(x).unwrap();
    moments.mean().unwrap()
}

fn evaluation(x: &Array2<f64>, y: &Array2<f64>, f: &Array2<f64>, centre: &Array1<f64>) -> Evaluation {
    let mut evaluation = Evaluation::around(centre, f.ncols()).unwrap();
    evaluation.update(x, y, f).unwrap();
    evaluation
}

/// All that may be undefined.
fn conditional(metrics: &Metrics) -> [Defined; 9] {
    let explained = metrics.explained_variance;
    [
        explained.ratio_of_means,
        explained.mean_of_ratios,
        explained.of_residual,
        explained.peer_saebench,
        metrics.fraction_of_variance_unexplained,
        metrics.normalised_mse_uncentred,
        metrics.cosine,
        metrics.l2_ratio,
        metrics.relative_reconstruction_bias,
    ]
}

fn same(a: &Metrics, b: &Metrics) -> bool {
    let close = |a: f64, b: f64| (a - b).abs() <= 1e-9 * (1.0 + a.abs());
    let plain = |m: &Metrics| [m.l0, m.l1, m.mse_sum, m.mse_mean, m.dead_fraction];
    a.samples == b.samples
        && a.firing_count == b.firing_count
        && a.density == b.density
        && plain(a).into_iter().zip(plain(b)).all(|(a, b)| close(a, b))
        && conditional(a).iter().zip(conditional(b)).all(|pair| match pair {
            (Ok(a), Ok(b)) => close(*a, b),
            (a, b) => a.is_err() && b.is_err(),
        })
}

/// A number below `m`.
fn turn(seed: u64, m: usize) -> usize {
    usize::try_from(seed % m as u64).unwrap()
}

fn sizes() -> impl Strategy<Value = (usize, usize, usize, u64)> {
    (2_usize..40, 1_usize..6, 1_usize..8, any::<u64>())
}

proptest! {
    #[test]
    fn parts_merge_to_the_whole((b, d, m, seed) in sizes(), cut in any::<prop::sample::Index>(), offset in -1e3..1e3) {
        let (x, y) = (matrix(b, d, seed) + offset, matrix(b, d, seed ^ 1) + offset);
        let (f, centre) = (sparse(b, m, seed ^ 2), mean(&x));
        let part = |rows: Slice| {
            let cut = |x: &Array2<f64>| x.slice_axis(Axis(0), rows).to_owned();
            evaluation(&cut(&x), &cut(&y), &cut(&f), &centre)
        };
        let cut = cut.index(b + 1);
        let (first, second) = (part(Slice::from(..cut)), part(Slice::from(cut..)));
        let mut merged = second.clone();
        merged.merge(&first).unwrap();
        let whole = evaluation(&x, &y, &f, &centre).finish().unwrap();
        prop_assert!(same(&whole, &merged.finish().unwrap()));
        let mut shards = Shards::default();
        shards.insert(1, Evaluation::from_bytes(&second.to_bytes()).unwrap()).unwrap();
        shards.insert(0, first.clone()).unwrap();
        prop_assert!(shards.insert(1, second).is_err());
        let total = shards.total().unwrap().unwrap();
        prop_assert!(same(&whole, &total.finish().unwrap()));
        prop_assert_eq!(Shards::<Evaluation>::from_bytes(&shards.to_bytes()).unwrap().total().unwrap().unwrap(), total);
    }

    #[test]
    fn latents_may_be_renamed((b, d, m, seed) in sizes()) {
        let (x, y, f) = (matrix(b, d, seed), matrix(b, d, seed ^ 1), sparse(b, m, seed ^ 2));
        let order: Vec<usize> = (0..m).map(|i| (i + 1 + turn(seed, m)) % m).rev().collect();
        let centre = mean(&x);
        let before = evaluation(&x, &y, &f, &centre).finish().unwrap();
        let after = evaluation(&x, &y, &f.select(Axis(1), &order), &centre).finish().unwrap();
        prop_assert_eq!(&before.density.select(Axis(0), &order), &after.density);
        prop_assert_eq!(conditional(&before), conditional(&after));
        prop_assert!((before.l1 - after.l1).abs() < 1e-12 && before.l0 == after.l0);
        let mut codes = Evaluation::around(&centre, m).unwrap();
        codes.update_codes(&x, &y, &Codes::from_dense(&f).unwrap()).unwrap();
        prop_assert_eq!(codes.finish().unwrap(), before);
    }

    #[test]
    fn a_perfect_reconstruction_explains_everything((b, d, _m, seed) in sizes()) {
        // x = relu(x) - relu(-x)
        let eye = Array2::<f64>::eye(d);
        let w_enc = ndarray::concatenate(Axis(1), &[eye.view(), (-&eye).view()]).unwrap();
        let (w_dec, zeros) = (w_enc.t().to_owned(), Array1::zeros(2 * d));
        let sae = Sae::new(w_enc, zeros, w_dec, Array1::zeros(d), Activation::Relu).unwrap();
        let x = matrix(b, d, seed);
        let run = sae.with_error(&x).unwrap();
        let metrics = evaluation(&x, &run.reconstruction, &run.features, &mean(&x)).finish().unwrap();
        let [ratio, mean, residual, _, unexplained, uncentred, cosine, length, bias] =
            conditional(&metrics).map(Result::unwrap);
        prop_assert_eq!([ratio, mean, residual, unexplained, uncentred, metrics.mse_sum], [1.0, 1.0, 1.0, 0.0, 0.0, 0.0]);
        prop_assert!([cosine, length, bias].iter().all(|x| (x - 1.0).abs() < 1e-12));
        prop_assert_eq!(metrics.l0, d as f64);
    }

    #[test]
    fn the_mean_explains_nothing((b, d, m, seed) in sizes(), offset in -1e4..1e4) {
        let x = matrix(b, d, seed) + offset;
        let centre = mean(&x);
        let y = Array2::zeros((b, d)) + &centre;
        let metrics = evaluation(&x, &y, &sparse(b, m, seed), &centre).finish().unwrap();
        let explained = metrics.explained_variance;
        prop_assert!(explained.ratio_of_means.unwrap().abs() < 1e-9);
        prop_assert_eq!(explained.mean_of_ratios.unwrap(), 0.0);
        prop_assert!(explained.of_residual.unwrap().abs() < 1e-9);
    }

    #[test]
    fn a_dictionary_finds_itself((_, d, m, seed) in sizes()) {
        let (truth, turn) = (matrix(m, d + 1, seed), turn(seed, m));
        let order: Vec<usize> = (0..m).map(|i| (i + turn) % m).collect();
        let learned = truth.select(Axis(0), &order).mapv(|x| -2.5 * x);
        let found = match_dictionary(&truth, &learned).unwrap();
        prop_assert!((found.mcc - 1.0).abs() < 1e-12 && (found.mmcs_absolute - 1.0).abs() < 1e-12);
        let expected: Vec<_> = (0..m).map(|i| Some((i + m - turn) % m)).collect();
        prop_assert_eq!(found.assignment, expected);
        prop_assert_eq!(found.uniqueness, 1.0);
        prop_assert!((mmcs(&truth, &learned, Cosine::Signed).unwrap() - found.mmcs).abs() < 1e-12);
        prop_assert!(nearest_other(&truth, Cosine::Signed).unwrap().iter().all(|n| n.is_some() == (m > 1)));
    }

    #[test]
    fn matching_is_at_most_sharing((n, d, m, seed) in sizes()) {
        let found = match_dictionary(&matrix(n.min(m), d, seed), &matrix(m, d, seed ^ 1)).unwrap();
        prop_assert!(found.mcc <= found.mmcs_absolute + 1e-12 && found.mmcs <= found.mmcs_absolute + 1e-12);
    }

    #[test]
    fn edits_add_up((b, d, m, seed) in sizes()) {
        let (x, f, w_dec) = (matrix(b, d, seed), sparse(b, m, seed ^ 1), matrix(m, d, seed ^ 2));
        let all: Vec<usize> = (0..m).collect();
        let (first, rest) = all.split_at(m / 2);
        let once = edit(&x, &f, &w_dec, &all, Edit::Zero, &[]).unwrap();
        let twice = edit(&edit(&x, &f, &w_dec, first, Edit::Zero, &[]).unwrap(), &f, &w_dec, rest, Edit::Zero, &[]).unwrap();
        prop_assert!((&once - &twice).iter().all(|e| e.abs() < 1e-12));
        prop_assert!((once + f.dot(&w_dec) - x).iter().all(|e| e.abs() < 1e-12));
    }

    #[test]
    fn effects_follow_the_classes((b, d, m, seed) in sizes(), top in 0_usize..10) {
        let (one, other) = (sparse(b, m, seed), sparse(b, m, seed ^ 1));
        let (w_dec, probe) = (matrix(m, d, seed ^ 2), matrix(1, d, seed ^ 3).remove_axis(Axis(0)));
        let of = |a: &Array2<f64>, b: &Array2<f64>, kind| effects(a, b, &probe, &w_dec, kind).unwrap();
        let either = of(&one, &other, Effect::EitherWay);
        prop_assert_eq!(&either, &of(&other, &one, Effect::EitherWay));
        let sides = of(&one, &other, Effect::Positive).mapv(f64::abs) + of(&other, &one, Effect::Positive).mapv(f64::abs);
        prop_assert_eq!(&sides, &either);
        let chosen = select(&either, top);
        let active = either.iter().filter(|e| **e != 0.0).count();
        prop_assert_eq!(chosen.len(), top.min(active));
        let least = chosen.iter().map(|&i| either[i]).fold(f64::INFINITY, f64::min);
        prop_assert!((0..m).all(|i| chosen.contains(&i) || either[i] <= least || chosen.is_empty()));
    }

    #[test]
    fn quantised_features_stay_in_their_bin((b, _, m, seed) in sizes(), bins in 1_usize..20) {
        let f = sparse(b, m, seed);
        let maximum = f.fold_axis(Axis(0), 0.0_f64, |a, &b| a.max(b));
        let quantised = quantise(&f, &maximum, bins).unwrap();
        let half = maximum.mapv(|max| 0.5 * max / bins as f64);
        prop_assert!((&quantised - &f).rows().into_iter().all(|row| row.iter().zip(&half).all(|(e, h)| e.abs() <= h + 1e-12)));
        let found = description_length(&f, &maximum, bins).unwrap();
        let most = 1.0 + (bins as f64).log2();
        prop_assert!(found.per_latent.iter().all(|&bits| (0.0..=most).contains(&bits)));
        prop_assert!(found.outside.iter().all(|&n| n == 0));
        prop_assert_eq!(quantise(&quantised, &maximum, bins).unwrap(), quantised);
    }

    #[test]
    fn a_probe_is_where_the_gradient_vanishes((b, n, _, seed) in sizes(), c in 0.01..10.0_f64, offset in -5.0..5.0_f64) {
        let x = matrix(b, n, seed) + offset;
        let labels: Vec<bool> = (0..b).map(|i| i == 0 || (i > 1 && x[[i, 0]] > offset)).collect();
        let probe = LogisticRegression { c, ..Default::default() }.fit(&x, &labels).unwrap();
        let z = probe.decision(&x).unwrap();
        let slope: Array1<f64> =
            z.iter().zip(&labels).map(|(z, &label)| 1.0 / (1.0 + (-z).exp()) - f64::from(u8::from(label))).collect();
        let by_weights = x.t().dot(&slope) * c + &probe.weights;
        prop_assert!(by_weights.iter().all(|g| g.abs() < 1e-7) && (c * slope.sum()).abs() < 1e-7, "{probe:?} {by_weights}");
    }
}
