//! Axioms of scoring: parts merge to the whole, one call is many, intervals cover, and what must not matter does not.

use limpid::explanation::calibrate::{Calibration, CalibrationSet, ScoredSet};
use limpid::explanation::score::{
    AblationDivergence, Batch, Bootstrap, Jackknife, MomentScores, PairStats, Permutation, Scores, Sequence, Statistic,
    fisher_interval, pooled, score, score_many,
};
use limpid::explanation::{Defined, Undefined};
use limpid::math::merge::{Bytes, Merge, Shards};
use limpid::math::random::{fill_normal, shuffle, uniform};
use limpid::{Scalar, Seed};
use ndarray::{Array1, Array2, Array3, Axis};
use proptest::prelude::*;

/// Activations as they are: most 0, some large; predictions that know something of them.
fn texts(seed: u64, count: usize, tokens: usize) -> Vec<Sequence<f64>> {
    let text = |i: usize| {
        let mut stream = Seed(seed).stream(0, i as u64);
        let truth: Array1<f64> = (0..tokens).map(|_| (uniform::<f64>(&mut stream) - 0.6).max(0.0) * 9.0).collect();
        let mut noise = Array1::zeros(tokens);
        fill_normal(&mut stream, 1.0, noise.as_slice_mut().unwrap());
        Sequence::new(truth.clone(), truth * 0.7 + noise).unwrap()
    };
    (0..count).map(text).collect()
}

fn stats(texts: &[Sequence<f64>]) -> Vec<PairStats> {
    texts.iter().map(Sequence::stats).collect()
}

fn same(a: Defined<f64>, b: Defined<f64>) -> bool {
    match (a, b) {
        (Ok(a), Ok(b)) => (a - b).abs() <= 1e-9 * (1.0 + b.abs()),
        (a, b) => a == b,
    }
}

fn same_scores(a: &MomentScores, b: &MomentScores) -> bool {
    a.tokens == b.tokens && Statistic::ALL.iter().all(|&statistic| same(a.get(statistic), b.get(statistic)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_partition_in_any_order_merges_to_one_pass(seed in 0_u64..1 << 40, count in 0_usize..9, tokens in 0_usize..40) {
        let texts = texts(seed, count, tokens);
        let whole = MomentScores::from(pooled(&texts));
        let mut parts = stats(&texts);
        shuffle(&mut Seed(seed).stream(1, 0), &mut parts);
        prop_assert!(same_scores(&MomentScores::of(&PairStats::pool(&parts)), &whole));
        let mut one_by_one = PairStats::default();
        parts.iter().for_each(|part| one_by_one.merge(part).unwrap());
        prop_assert!(same_scores(&MomentScores::of(&one_by_one), &whole));
        // shards give the same bits in any order, also through bytes
        let mut shards = [Shards::default(), Shards::default()];
        for (id, text) in texts.iter().enumerate() {
            shards[0].insert(id as u64, text.stats()).unwrap();
        }
        for (id, text) in texts.iter().enumerate().rev() {
            shards[1].insert(id as u64, PairStats::from_bytes(&text.stats().to_bytes()).unwrap()).unwrap();
        }
        prop_assert_eq!(shards[0].total(), shards[1].total());
    }

    #[test]
    fn one_call_is_neuron_by_neuron(seed in 0_u64..1 << 40, neurons in 1_usize..150, count in 1_usize..6, tokens in 1_usize..20) {
        let all: Vec<Vec<Sequence<f64>>> = (0..neurons as u64).map(|neuron| texts(seed ^ neuron, count, tokens)).collect();
        let table = |side: fn(&Sequence<f64>) -> &Array1<f64>| {
            Array3::from_shape_fn((neurons, count, tokens), |(n, i, t)| side(&all[n][i])[t])
        };
        let bootstrap = Bootstrap { resamples: 40, seed: Seed(seed), ..Bootstrap::default() };
        let batch = Batch { top: Some(1), ranks: true, bootstrap: Some(bootstrap.clone()), ..Batch::default() };
        let found = score_many(&table(Sequence::truth), &table(Sequence::prediction), &batch).unwrap();
        for (texts, found) in all.iter().zip(&found.neurons) {
            let whole = pooled(texts);
            prop_assert!(same_scores(&found.scores, &whole.into()));
            prop_assert_eq!(found.ranks.unwrap().spearman, whole.spearman);
            prop_assert_eq!(found.ranks.unwrap().d2_absolute_error, whole.d2_absolute_error);
            prop_assert!(same_scores(&found.parts[0], &pooled(&texts[..1]).into()));
            prop_assert!(same_scores(&found.parts[1], &pooled(&texts[1..]).into()));
            prop_assert_eq!(found.interval.unwrap(), bootstrap.interval(&stats(texts)).unwrap());
        }
    }

    #[test]
    fn what_does_not_matter_does_not(seed in 0_u64..1 << 40, tokens in 3_usize..80, scale in 0.01_f64..100.0, shift in -50.0_f64..50.0) {
        let text = texts(seed, 1, tokens).remove(0);
        let (truth, prediction) = (text.truth(), text.prediction());
        let plain = Scores::of(&text);
        // scale and offset of the prediction, for the correlations
        let moved = score(truth, &(prediction * scale + shift)).unwrap();
        prop_assert!(same(moved.pearson, plain.pearson) && same(moved.spearman, plain.spearman));
        // the order of the tokens, for all
        let mut order: Vec<usize> = (0..tokens).collect();
        shuffle(&mut Seed(seed).stream(2, 0), &mut order);
        let turned = score(&truth.select(Axis(0), &order), &prediction.select(Axis(0), &order)).unwrap();
        prop_assert!(same_scores(&turned.into(), &plain.into()));
        prop_assert!(same(turned.spearman, plain.spearman) && same(turned.d2_absolute_error, plain.d2_absolute_error));
        // a common scale, for all; a common offset, for those against mean and median
        let grown = score(&(truth * scale), &(prediction * scale)).unwrap();
        prop_assert!(same_scores(&grown.into(), &plain.into()));
        let lifted = score(&(truth + shift), &(prediction + shift)).unwrap();
        prop_assert!(same(lifted.r2, plain.r2) && same(lifted.d2_absolute_error, plain.d2_absolute_error));
        // which side is the truth, for the correlations
        let swapped = score(prediction, truth).unwrap();
        if plain.pearson.is_ok() {
            prop_assert!(same(swapped.pearson, plain.pearson) && same(swapped.spearman, plain.spearman));
        }
        // single precision
        let single = score(&truth.mapv(f32::of), &prediction.mapv(f32::of)).unwrap();
        prop_assert!(plain.pearson.is_err() || (single.pearson.unwrap() - plain.pearson.unwrap()).abs() < 1e-5);
    }

    #[test]
    fn a_line_never_explains_more_than_the_fitted_one(seed in 0_u64..1 << 40, tokens in 4_usize..60) {
        let text = texts(seed, 1, tokens);
        let set = CalibrationSet::new(text.clone());
        let scored = ScoredSet::new(text);
        let plain = scored.pooled();
        prop_assume!(plain.pearson.is_ok());
        let of = |method: Calibration| scored.calibrated(&method.fit(&set).unwrap()).pooled().r2.unwrap();
        let r = plain.pearson.unwrap();
        prop_assert!((of(Calibration::LeastSquares) - r * r).abs() < 1e-9);
        prop_assert!((of(Calibration::VarianceMatched) - (2.0 * r - 1.0)).abs() < 1e-9);
        let bars = [of(Calibration::VarianceMatched), plain.r2.unwrap(), of(Calibration::NonNegative)];
        prop_assert!(bars.iter().all(|r2| *r2 <= r * r + 1e-9));
        prop_assert!(of(Calibration::Isotonic) >= of(Calibration::NonNegative) - 1e-9);
    }

    #[test]
    fn leaving_out_is_scoring_the_others(seed in 0_u64..1 << 40, count in 0_usize..7, tokens in 1_usize..9) {
        let texts = texts(seed, count, tokens);
        for statistic in Statistic::ALL {
            let found = Jackknife::of(statistic, &stats(&texts));
            for (i, score) in found.leave_one_out.iter().enumerate() {
                let rest = texts.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, text)| text);
                prop_assert!(same(*score, MomentScores::from(pooled(rest)).get(statistic)), "{:?} {:?}", statistic, score);
            }
        }
    }

    #[test]
    fn divergences_add_up_over_positions(seed in 0_u64..1 << 40, positions in 1_usize..6, vocabulary in 1_usize..9) {
        let logits = |item| {
            let mut z = Array2::zeros((positions, vocabulary));
            fill_normal(&mut Seed(seed).stream(3, item), 3.0, z.as_slice_mut().unwrap());
            z
        };
        let (a, b, c): (Array2<f64>, Array2<f64>, Array2<f64>) = (logits(0), logits(1), logits(2));
        let mut whole = AblationDivergence::default();
        whole.update(&a, &b, &c).unwrap();
        let mut merged = AblationDivergence::default();
        for at in 0..positions {
            let row = |z: &Array2<f64>| z.row(at).to_owned().insert_axis(Axis(0)) + at as f64;
            let mut part = AblationDivergence::default();
            part.update(&row(&a), &row(&b), &row(&c)).unwrap();
            merged.merge(&part).unwrap();
        }
        prop_assert!(same(merged.score(), whole.score()) && same(merged.simulated(), whole.simulated()));
        prop_assert!((0.0..=core::f64::consts::LN_2).contains(&whole.ablated().unwrap()));
    }
}

/// A text of correlated tokens: `x_j = φ x_(j-1) + √(1 - φ²) e_j`, and a prediction that correlates with it by `r`.
fn chain(seed: u64, text: u64, tokens: usize, (phi, r): (f64, f64)) -> PairStats {
    let mut noise = vec![0.0; 2 * tokens];
    fill_normal(&mut Seed(seed).stream(4, text), 1.0, &mut noise);
    let walk = |noise: &[f64]| -> Array1<f64> {
        let mut x = noise[0];
        let mut walk = vec![x];
        for e in &noise[1..] {
            x = phi * x + (1.0 - phi * phi).sqrt() * e;
            walk.push(x);
        }
        walk.into()
    };
    let (truth, other) = (walk(&noise[..tokens]), walk(&noise[tokens..]));
    PairStats::of(&truth, &(&truth * r + other * (1.0 - r * r).sqrt())).unwrap()
}

/// Shares of data sets whose intervals hold the true correlation: of whole texts, and of tokens taken as independent.
fn coverage(sets: u64, count: u64, (phi, r): (f64, f64)) -> (f64, f64) {
    let bootstrap = Bootstrap { resamples: 600, ..Bootstrap::default() };
    let (mut by_text, mut by_token) = (0, 0);
    for set in 0..sets {
        let stats: Vec<PairStats> = (0..count).map(|text| chain(set, text, 40, (phi, r))).collect();
        let whole = Statistic::Pearson.of(&PairStats::pool(&stats));
        let interval = bootstrap.interval(&stats).unwrap().unwrap();
        by_text += u64::from(interval.low <= r && r <= interval.high);
        let (low, high) = fisher_interval(whole, count * 40, 0.95).unwrap().unwrap();
        by_token += u64::from(low <= r && r <= high);
    }
    (by_text as f64 / sets as f64, by_token as f64 / sets as f64)
}

#[test]
fn intervals_of_whole_texts_cover_and_those_of_tokens_do_not() {
    for (count, phi, r, tokens_at_most) in [(20, 0.5, 0.5, 0.91), (40, 0.5, 0.8, 0.91), (60, 0.9, 0.8, 0.7)] {
        let (by_text, by_token) = coverage(1000, count, (phi, r));
        assert!((0.93..=0.97).contains(&by_text), "{count} texts, {phi}, correlation {r}: {by_text}");
        assert!(by_token < tokens_at_most, "{count} texts, {phi}, correlation {r}: {by_token}");
    }
}

#[test]
fn chance_is_called_chance_and_knowledge_is_not() {
    let all: Vec<_> = (0..60).map(|neuron| texts(neuron, 12, 10)).collect();
    let table = |side: fn(&Sequence<f64>) -> &Array1<f64>, turn: usize| {
        Array3::from_shape_fn((60, 12, 10), |(n, i, t)| side(&all[n][(i + turn) % 12])[t])
    };
    let test = Permutation::default();
    let truth = table(Sequence::truth, 0);
    let known = test.many(&truth, &table(Sequence::prediction, 0)).unwrap();
    let chance = test.many(&truth, &table(Sequence::prediction, 1)).unwrap();
    let called = |found: &[Defined<limpid::explanation::score::PValue>]| {
        Permutation::adjusted(found).unwrap().iter().filter(|q| q.is_some_and(|q| q < 0.05)).count()
    };
    assert!(called(&known) == 60 && called(&chance) <= 3, "{} {}", called(&known), called(&chance));
    let silent = test.many(&Array3::<f64>::zeros((1, 12, 10)), &Array3::zeros((1, 12, 10))).unwrap();
    assert_eq!(silent, [Err(Undefined::ConstantTruth)]);
}
