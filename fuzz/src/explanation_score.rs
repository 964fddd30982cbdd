//! Scores, calibration and texts of explanations: no panic, no hang, no unbounded allocation, nothing that is not finite.

use crate::source::Source;
use arbitrary::Unstructured;
use limpid::Scalar;
use limpid::explanation::calibrate::{Calibration, CalibrationSet, ScoredSet, split};
use limpid::explanation::score::{
    AblationDivergence, Answer, Batch, Bootstrap, Classification, EmbeddingScore, Firings, Highlight, InformationGain,
    Jackknife, MarkRule, PairStats, Permutation, Pool, Scores, Sequence, SplitScores, Statistic, Unit, by_group,
    fisher_interval, inverse_probability, neighbours_by_cosine, probability_of_yes, read_binary_list, score_many,
    token_losses,
};
use limpid::explanation::{ActivationRecord, Defined};
use limpid::math::merge::{Bytes, Merge, Shards};
use limpid::math::multiple_testing::benjamini_hochberg;
use ndarray::Array3;

/// Does what these bytes say.
pub fn fuzz(bytes: &[u8]) {
    let mut source = Source(Unstructured::new(bytes));
    if source.flag() { drive::<f32>(&mut source) } else { drive::<f64>(&mut source) }
}

fn drive<T: Scalar>(source: &mut Source<'_>) {
    match source.below(8) {
        0 => sequences::<T>(source),
        1 => batch::<T>(source),
        2 => permutations::<T>(source),
        3 => calibration::<T>(source),
        4 => ablation::<T>(source),
        5 => answers(source),
        6 => texts::<T>(source),
        _ => neighbours::<T>(source),
    }
}

/// A defined number is a number.
fn finite(found: Defined<f64>) {
    assert!(found.is_err() || found.is_ok_and(f64::is_finite), "{found:?}");
}

fn all_finite(found: &Scores) {
    let all = [found.pearson, found.spearman, found.r2, found.r2_about_zero];
    all.into_iter().chain([found.absolute_deviation, found.d2_absolute_error]).for_each(finite);
    assert!(found.pearson.unwrap_or(0.0).abs() <= 1.0 && found.spearman.unwrap_or(0.0).abs() <= 1.0);
}

fn drawn<T: Scalar>(source: &mut Source<'_>) -> Vec<Sequence<T>> {
    let count = source.length().min(12);
    let tokens = source.length();
    let one = |source: &mut Source<'_>| {
        let n = source.near(tokens);
        Sequence::new(source.vector(n), source.vector(n))
    };
    (0..count).filter_map(|_| one(source).ok()).collect()
}

fn bootstrap(source: &mut Source<'_>) -> Bootstrap {
    let statistic = source.pick(&Statistic::ALL);
    let strata = (0..source.below(3)).map(|_| source.count()).collect();
    Bootstrap { statistic, resamples: source.count().min(1 << 46), level: source.share(), strata, seed: source.seed() }
}

fn sequences<T: Scalar>(source: &mut Source<'_>) {
    let drawn = drawn::<T>(source);
    let stats: Vec<PairStats> = drawn.iter().map(Sequence::stats).collect();
    if let Ok(split) = SplitScores::of(&drawn, source.count()) {
        [&split.top_and_random, &split.top, &split.random].into_iter().chain(&split.per_sequence).for_each(all_finite);
        finite(split.mean_pearson.mean);
    }
    let groups: Vec<usize> = drawn.iter().map(|_| source.below(3)).collect();
    by_group(&drawn, &groups).unwrap().values().for_each(all_finite);
    let mut shards = Shards::default();
    stats.iter().for_each(|part| {
        let _ = shards.insert(source.below(4) as u64, *part);
    });
    let _ = shards.total();
    for part in &stats {
        let back = PairStats::from_bytes(&part.to_bytes());
        // overflow leaves NaN in the sums, which equals nothing
        assert!(back.is_ok_and(|back| back.to_bytes() == part.to_bytes()) || part.m2_true < 0.0);
    }
    let jackknife = Jackknife::of(source.pick(&Statistic::ALL), &stats);
    jackknife.leave_one_out.into_iter().for_each(finite);
    let settings = bootstrap(source);
    if let Ok(Ok(interval)) = settings.interval(&stats) {
        assert!(interval.low <= interval.high && interval.low.is_finite() && interval.high.is_finite(), "{interval:?}");
    }
    let _ = settings.difference(&stats, &stats);
    let chances: Vec<f64> = stats.iter().map(|_| source.share()).collect();
    if let Ok(found) = inverse_probability(&stats, &chances) {
        Statistic::ALL.iter().for_each(|statistic| finite(found.get(*statistic)));
    }
    let _ = fisher_interval(Ok(source.number()), source.count() as u64, source.share());
}

fn table<T: Scalar>(source: &mut Source<'_>, shape: (usize, usize, usize)) -> Array3<T> {
    Array3::from_shape_simple_fn(shape, || source.number())
}

fn batch<T: Scalar>(source: &mut Source<'_>) {
    let shape = (source.below(5), source.below(6), source.below(20));
    let (truth, prediction) = (table::<T>(source, shape), table(source, shape));
    let chances = (0..source.near(shape.1)).map(|_| source.share()).collect();
    let pool = source.pick(&[Pool::Tokens, Pool::SequencesMean, Pool::InverseProbability(chances)]);
    let top = source.flag().then(|| source.count());
    let groups = (0..source.below(3)).map(|_| (0..source.below(3)).map(|_| source.count()).collect()).collect();
    let bootstrap = source.flag().then(|| bootstrap(source));
    let batch = Batch { pool, top, groups, ranks: source.flag(), bootstrap };
    let Ok(found) = score_many(&truth, &prediction, &batch) else { return };
    assert_eq!(found.neurons.len(), shape.0);
    for neuron in &found.neurons {
        for scores in neuron.parts.iter().chain([&neuron.scores]) {
            Statistic::ALL.iter().for_each(|statistic| finite(scores.get(*statistic)));
        }
        neuron.ranks.iter().flat_map(|ranks| [ranks.spearman, ranks.d2_absolute_error]).for_each(finite);
    }
}

fn permutations<T: Scalar>(source: &mut Source<'_>) {
    let unit = source.pick(&[Unit::Sequence, Unit::Token]);
    let test = Permutation { unit, permutations: source.count(), seed: source.seed() };
    let _ = test.test(&drawn::<T>(source));
    let shape = (source.below(4), source.below(5), source.below(9));
    if let Ok(found) = test.many(&table::<T>(source, shape), &table(source, shape)) {
        assert!(found.iter().flatten().all(|found| found.p > 0.0 && found.p <= 1.0));
        assert!(Permutation::adjusted(&found).is_ok());
    }
    let n = source.length();
    let _ = benjamini_hochberg(&source.shares::<f64>(n).to_vec());
}

fn calibration<T: Scalar>(source: &mut Source<'_>) {
    let method = source.pick(&[
        Calibration::LeastSquares,
        Calibration::NonNegative,
        Calibration::VarianceMatched,
        Calibration::Percentile,
        Calibration::Isotonic,
    ]);
    let half = source.below(4);
    let (set, scored): (CalibrationSet<T>, ScoredSet<T>) = split(drawn(source), |index| index % 4 < half);
    let _ = method.fit_stats(&set.stats());
    let Ok(map) = method.fit(&set) else { return };
    all_finite(&scored.calibrated(&map).pooled());
    let n = source.length();
    let _ = map.distribution(&source.vector::<T>(n), &source.shares(n));
    assert!(!map.at(0.5).is_nan() && map.at(f64::NAN).is_nan());
}

fn ablation<T: Scalar>(source: &mut Source<'_>) {
    let mut found = AblationDivergence::default();
    for _ in 0..2 {
        let shape = (source.length(), source.length());
        let [a, b, c] = [(); 3].map(|()| source.matrix::<T>(shape.0, shape.1));
        let mut more = AblationDivergence::default();
        let _ = (more.update(&a, &b, &c), found.merge(&more));
        [found.simulated(), found.ablated(), found.score()].into_iter().for_each(finite);
        let tokens: Vec<usize> = (0..source.near(shape.0)).map(|_| source.below(9)).collect();
        if let Ok(losses) = token_losses(&a, &tokens) {
            assert!(losses.iter().all(|loss| loss.is_finite()));
        }
    }
    let n = source.length();
    let (gains, firing) =
        (source.vector::<f64>(n).to_vec(), (0..source.near(n)).map(|_| source.flag()).collect::<Vec<_>>());
    let _ = InformationGain::compare(&gains, &firing);
    let d = source.length();
    let _ = EmbeddingScore::of(&source.vector::<T>(d), &source.matrix(n, d), &firing);
}

fn answers(source: &mut Source<'_>) {
    let one = |source: &mut Source<'_>| Answer {
        label: source.flag(),
        prediction: source.flag().then(|| source.flag()),
        probability: source.flag().then(|| source.share()),
    };
    let answers: Vec<Answer> = (0..source.length()).map(|_| one(source)).collect();
    if let Ok(found) = Classification::of(&answers) {
        let rates =
            [found.accuracy, found.precision, found.recall, found.specificity, found.f1, found.balanced_accuracy];
        assert!(rates.iter().flatten().all(|rate| (0.0..=1.0).contains(rate)));
        assert!((0.0..=1.0).contains(&found.confusion.delphi().balanced_accuracy));
    }
    let bytes: Vec<u8> = (0..source.length()).map(|_| source.byte()).collect();
    let text = String::from_utf8_lossy(&bytes);
    let _ = read_binary_list(&text, source.below(4));
    let _ = probability_of_yes([(&*text, source.number()), ("0", source.number()), ("1", source.number())]);
}

fn texts<T: Scalar>(source: &mut Source<'_>) {
    let n = source.length();
    let tokens: Vec<String> = (0..source.near(n)).map(|_| char::from(source.byte()).to_string()).collect();
    let record = ActivationRecord { tokens, activations: source.vector::<T>(n) };
    let rule = source.pick(&[MarkRule::AtLeast, MarkRule::AtLeastCompat, MarkRule::AboveCompat]);
    let highlight = Highlight { threshold: source.number(), rule, ..Highlight::default() };
    if let Ok(text) = highlight.text(&record) {
        assert!(text.len() >= record.tokens.concat().len());
    }
}

fn neighbours<T: Scalar>(source: &mut Source<'_>) {
    let (texts, latents, d) = (source.length(), source.length(), source.length());
    let Ok(firings) = Firings::from_largest(&source.matrix::<T>(texts, latents)) else { return };
    let (latent, count) = (source.count(), source.count());
    if let Ok(near) = firings.neighbours_by_co_occurrence(latent, count) {
        let hard = firings.hard(latent, &near, source.count()).unwrap();
        assert!(hard.iter().all(|found| found.text < firings.texts()));
    }
    let random = firings.random(latent, count, source.seed());
    assert!(random.is_err() || random.is_ok_and(|random| random.len() <= firings.texts()));
    let _ = neighbours_by_cosine(&source.matrix::<T>(latents, d), latent, count);
}
