//! The public functions of `sae::metrics` and `sae::bench`: no panic, no hang, no unbounded allocation.

use crate::source::Source;
use arbitrary::Unstructured;
use limpid::Scalar;
use limpid::math::directions::{Cosine, cosines, nearest, nearest_other, row_norms, unit_rows};
use limpid::math::histogram::Histogram;
use limpid::math::logistic::LogisticRegression;
use limpid::math::merge::{Bytes, Merge, Shards};
use limpid::sae::bench::absorption::{AbsorptionLimits, absorption};
use limpid::sae::bench::edit::{Edit, edit};
use limpid::sae::bench::effects::{self, Effect};
use limpid::sae::bench::mdl::{self, Candidate};
use limpid::sae::bench::scr::{ScrAccuracy, scr};
use limpid::sae::bench::sparse_probing::{self, Labelled};
use limpid::sae::bench::tpp::tpp;
use limpid::sae::bench::unlearning::{self, Outcome};
use limpid::sae::metrics::density::firings_per_prompt;
use limpid::sae::metrics::dictionary::{match_dictionary, mmcs};
use limpid::sae::metrics::recovered::{Losses, MeanLosses, kl_recovered};
use limpid::sae::metrics::{Evaluation, Metrics, similarity};
use limpid::sae::{Activation, Codes, Sae};
use ndarray::{Array1, Array2, Array3};

/// Does what these bytes say.
pub fn fuzz(bytes: &[u8]) {
    let mut source = Source(Unstructured::new(bytes));
    if source.flag() { drive::<f32>(&mut source) } else { drive::<f64>(&mut source) }
}

fn drive<T: Scalar>(source: &mut Source<'_>) {
    match source.below(12) {
        0 => evaluate::<T>(source),
        1 => hostile_bytes(source),
        2 => recover(source),
        3 => compare::<T>(source),
        4 => count::<T>(source),
        5 => absorb::<T>(source),
        6 => perturb::<T>(source),
        7 => probe::<T>(source),
        8 => unlearn::<T>(source),
        9 => describe::<T>(source),
        10 => reconstruct::<T>(source),
        _ => regress::<T>(source),
    }
}

fn check(metrics: &Metrics) {
    let explained = metrics.explained_variance;
    let numbers = [
        explained.ratio_of_means,
        explained.mean_of_ratios,
        explained.of_residual,
        explained.peer_saebench,
        metrics.fraction_of_variance_unexplained,
        metrics.normalised_mse_uncentred,
        metrics.cosine,
        metrics.l2_ratio,
        metrics.relative_reconstruction_bias,
        Ok(metrics.l0),
        Ok(metrics.l1),
        Ok(metrics.mse_sum),
        Ok(metrics.dead_fraction),
    ];
    assert!(numbers.iter().flatten().all(|x| !x.is_nan()), "{metrics:?}");
    assert!(metrics.density.iter().all(|x| (0.0..=1.0).contains(x)));
}

fn evaluate<T: Scalar>(source: &mut Source<'_>) {
    let (d, m) = (source.length(), source.length());
    let mut shards = Shards::default();
    let centre = source.vector::<f64>(d);
    let with_centre = source.flag();
    for _ in 0..source.below(4) {
        let part = if with_centre { Evaluation::around(&centre, m) } else { Evaluation::new(d, m) };
        let Ok(mut part) = part else { return };
        let b = source.length();
        let (x, y, f) = (source.matrix::<T>(b, d), source.matrix::<T>(b, d), source.matrix::<T>(b, m));
        let before = part.clone();
        let taken = match Codes::from_dense(&f) {
            Ok(codes) if source.flag() => part.update_codes(&x, &y, &codes),
            _ => part.update(&x, &y, &f),
        };
        assert!(taken.is_ok() || part == before, "an update that failed changed something");
        if let Ok(metrics) = part.finish() {
            check(&metrics);
            let _ = (metrics.density_histogram(source.vector(3).to_vec()), metrics.rarer_than(source.number()));
        }
        let _ = shards.insert(source.below(3) as u64, part);
    }
    if let Ok(Some(total)) = shards.total() {
        assert_eq!(Evaluation::from_bytes(&total.to_bytes()), Ok(total));
    }
    let _ =
        (Evaluation::new(source.count(), source.count()).is_ok(), Histogram::equal(0.0, 1.0, source.count()).is_ok());
}

/// What a real autoencoder gives back can always be measured, up to the largest values.
fn reconstruct<T: Scalar>(source: &mut Source<'_>) {
    let (b, d, m) = (source.length(), source.length(), source.length());
    let Ok(sae) = Sae::<T>::initialise(d, m, Activation::Relu, source.seed()) else { return };
    let x = source.matrix::<T>(b, d);
    let Ok(run) = sae.with_error(&x) else { return };
    let Ok(mut evaluation) = Evaluation::new(d, m) else { return };
    let fits = x.iter().chain(&run.reconstruction).chain(&run.features).all(|x| x.as_f64().abs() <= 1e69);
    assert_eq!(evaluation.update(&x, &run.reconstruction, &run.features).is_ok(), fits);
    let _ = evaluation.finish().map(|metrics| check(&metrics));
    assert!(similarity::encoder_decoder(&sae.w_enc, &sae.w_dec).is_ok());
}

/// Bytes of an evaluation with some of them changed: what is accepted must stay usable.
fn hostile_bytes(source: &mut Source<'_>) {
    let (d, m) = (1 + source.below(3), 1 + source.below(3));
    let Ok(mut part) = Evaluation::around(&Array1::ones(d), m) else { return };
    let (x, f) = (Array2::from_elem((3, d), 0.5), Array2::ones((3, m)));
    let _ = part.update(&x, &(&x * 0.5), &f);
    let mut bytes = part.to_bytes();
    for _ in 0..source.below(20) {
        let at = (source.below(256) << 3 | source.below(8)) % bytes.len();
        bytes[at] = source.byte();
    }
    if let Ok(mut read) = Evaluation::from_bytes(&bytes) {
        assert_eq!(read.to_bytes(), bytes);
        let _ = read.finish().map(|metrics| check(&metrics));
        let _ = read.merge(&part);
        let _ = read.merge(&read.clone());
        let _ = read.finish().map(|metrics| check(&metrics));
        let _ = read.update(&x, &x, &f);
    }
    let noise: Vec<u8> = (0..source.length() * 8).map(|_| source.byte()).collect();
    let _ = (Evaluation::from_bytes(&noise), Histogram::from_bytes(&noise), MeanLosses::from_bytes(&noise));
}

fn recover(source: &mut Source<'_>) {
    let mut mean = MeanLosses::default();
    for _ in 0..source.below(5) {
        let losses = Losses { clean: source.number(), sae: source.number(), zero: source.number() };
        assert!(losses.recovered().ok().flatten().is_none_or(|x| !x.is_nan()), "{losses:?}");
        let before = mean;
        let tokens = source.count() as u64;
        assert!(mean.update(&losses, tokens).is_ok() || mean == before);
    }
    let _ = kl_recovered(source.number(), source.number());
    assert_eq!(MeanLosses::from_bytes(&mean.to_bytes()), Ok(mean));
    let mut histogram = match Histogram::new(source.vector(4).to_vec()) {
        Ok(histogram) => histogram,
        Err(_) => return,
    };
    let _ = histogram.update(source.vector::<f32>(9).to_vec());
    let _ = histogram.merge(&histogram.clone());
    assert!(histogram.entropy().is_none_or(|bits| bits >= 0.0));
    assert_eq!(Histogram::from_bytes(&histogram.to_bytes()), Ok(histogram));
}

fn compare<T: Scalar>(source: &mut Source<'_>) {
    let (n, m, d) = (source.length(), source.length(), source.length());
    let (truth, learned) = (source.matrix::<T>(n, d), source.matrix::<T>(m, d));
    let kind = source.pick(&[Cosine::Signed, Cosine::Absolute]);
    let _ = (row_norms(&truth), unit_rows(&truth));
    if let Ok(cosines) = cosines(&truth, &learned) {
        assert!(cosines.iter().all(|c| c.abs() <= T::of(1.001)), "{truth:?} {learned:?} {cosines:?}");
    }
    let _ = (nearest(&truth, &learned, kind), nearest_other(&learned, kind), mmcs(&truth, &learned, kind));
    let _ = similarity::encoder_decoder(&truth.t(), &learned);
    let _ = (similarity::nearest_decoder(&truth), similarity::nearest_encoder(&truth));
    // the matching takes cubic time
    if n.max(m) > 50 {
        return;
    }
    if let Ok(found) = match_dictionary(&truth, &learned) {
        let every_truth_is_matched = truth.nrows() <= learned.nrows();
        assert!(!every_truth_is_matched || found.mcc <= found.mmcs_absolute + T::of(1e-3), "{found:?}");
    }
}

fn count<T: Scalar>(source: &mut Source<'_>) {
    let (b, m) = (source.length(), source.length());
    let Ok(codes) = Codes::from_dense(&source.matrix::<T>(b, m)) else { return };
    let prompts: Vec<usize> = (0..source.near(b)).map(|_| source.count()).collect();
    let _ = firings_per_prompt(&codes, &prompts);
}

fn absorb<T: Scalar>(source: &mut Source<'_>) {
    let (b, d, m) = (source.length(), source.length(), source.length());
    let (x, f) = (source.matrix::<T>(b, d), source.matrix::<T>(b, m));
    let (w_dec, probe) = (source.matrix::<T>(m, d), source.vector::<T>(d));
    let main: Vec<usize> = (0..source.below(4)).map(|_| source.below(9)).collect();
    let limits = AbsorptionLimits {
        absorber_cosine: source.share(),
        proportion: source.share(),
        max_absorbers: source.count(),
        full_cosine: source.share(),
        fired: source.share(),
    };
    if let Ok(found) = absorption(&x, &f, &w_dec, &probe, &main, &limits) {
        assert!(found.fraction.iter().all(|share| (0.0..=1.0).contains(share)), "{found:?}");
    }
}

fn perturb<T: Scalar>(source: &mut Source<'_>) {
    let (b, d, m) = (source.length(), source.length(), source.length());
    let (positive, negative) = (source.matrix::<T>(b, m), source.matrix::<T>(b, m));
    let (probe, w_dec) = (source.vector::<T>(d), source.matrix::<T>(m, d));
    let kind = source.pick(&[Effect::EitherWay, Effect::Positive]);
    if let Ok(found) = effects::effects(&positive, &negative, &probe, &w_dec, kind) {
        assert!(effects::select(&found, source.count()).windows(2).all(|pair| pair[0] < pair[1]));
    }
    let _ = effects::select(&probe, source.count());
    let x = source.matrix::<T>(b, d);
    let latents: Vec<usize> = (0..source.below(4)).map(|_| source.below(9)).collect();
    let spared: Vec<bool> = (0..source.below(9)).map(|_| source.flag()).collect();
    let to = source.number();
    let _ = edit(&x, &positive, &w_dec, &latents, source.pick(&[Edit::Zero, Edit::Clamp(to)]), &spared);
    let mut accuracy = || ScrAccuracy { original: source.share(), clean: source.share(), changed: source.share() };
    let _ = scr(&accuracy(), &accuracy());
    let c = source.length();
    let (clean, ablated) = (source.shares(c), source.matrix(c, c));
    let _ = tpp(&clean, &ablated);
}

fn probe<T: Scalar>(source: &mut Source<'_>) {
    let (b, t, m) = (source.length().min(20), source.length().min(9), source.length().min(9));
    let features = Array3::from_shape_simple_fn((b, t, m), || source.number::<T>());
    let mask = Array2::from_shape_simple_fn((source.near(b), t), || source.flag());
    let pooled = sparse_probing::pool(&features, &mask).unwrap_or_else(|_| source.matrix(b, m));
    let labels: Vec<bool> = (0..source.near(b)).map(|_| source.flag()).collect();
    if let Ok(difference) = sparse_probing::mean_difference(&pooled, &labels) {
        assert_eq!(sparse_probing::ranking(&difference).len(), difference.len());
        let _ = sparse_probing::select(&difference, source.count());
    }
    let samples = Labelled { pooled: &pooled, labels: &labels };
    let regression = LogisticRegression { max_iterations: 50, ..LogisticRegression::default() };
    let _ = sparse_probing::sparse_probe(samples, samples, source.count(), &regression);
}

fn unlearn<T: Scalar>(source: &mut Source<'_>) {
    let m = source.length();
    let (forget, retain) = (source.shares::<T>(m), source.shares::<T>(m));
    let _ = unlearning::latents_to_clamp(&forget, &retain, source.share(), source.count());
    let outcomes: Vec<Outcome> = (0..source.below(5))
        .map(|_| Outcome { forget_accuracy: source.share(), retain_accuracy: source.share() })
        .collect();
    if let Ok(score) = unlearning::score(&outcomes, source.share()) {
        assert!((0.0..=1.0).contains(&score));
    }
}

fn describe<T: Scalar>(source: &mut Source<'_>) {
    let (b, m) = (source.length(), source.length());
    let (features, maximum, bins) = (source.matrix::<T>(b, m), source.vector::<T>(m), source.count());
    if let Ok(found) = mdl::description_length(&features, &maximum, bins) {
        assert!(found.bits >= 0.0 && mdl::quantise(&features, &maximum, bins).is_ok());
    }
    let _ = mdl::quantisation_error(&features, &source.matrix(b, m));
    let candidates: Vec<Candidate> =
        (0..source.below(5)).map(|_| Candidate { bits: source.number(), error: source.number() }).collect();
    let _ = mdl::shortest(&candidates, source.number());
}

fn regress<T: Scalar>(source: &mut Source<'_>) {
    let (b, n) = (source.length().min(40), source.length().min(9));
    let x = source.matrix::<T>(b, n);
    let labels: Vec<bool> = (0..source.near(x.nrows())).map(|_| source.flag()).collect();
    let settings =
        LogisticRegression { c: source.number(), max_iterations: source.below(60), tolerance: source.share() };
    if let Ok(found) = settings.fit(&x, &labels) {
        assert!(found.weights.iter().all(|w| w.is_finite()) && found.intercept.is_finite(), "{settings:?} {x:?}");
        let _ = (found.accuracy(&x, &labels), found.decision(&x));
    }
}
