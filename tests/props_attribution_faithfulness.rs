//! Axioms of what judges attributions with the model at hand.

use limpid::attribution::faithfulness::{
    AttributionUnit, Erasure, FaithfulnessCorrelation, Infidelity, Levels, Masking, NormalisedAopc, Perturbation,
    Subsets, completeness_gap, monotonicity,
};
use limpid::attribution::target::Logit;
use limpid::attribution::{Baseline, Batch, Forward, Network};
use limpid::math::pointwise::Activation;
use limpid::math::random::{below, fill_normal};
use limpid::math::rank::argsort_descending;
use limpid::{Result, Seed};
use ndarray::{Array1, Array2, array};
use proptest::prelude::*;

/// A network, inputs, a baseline and an attribution of `b` rows with `n` features.
struct Scene {
    model: Network<f64>,
    x: Array2<f64>,
    baseline: Array1<f64>,
    attribution: Array2<f64>,
}

fn normal(seed: u64, shape: (usize, usize)) -> Array2<f64> {
    let mut values = Array2::zeros(shape);
    fill_normal(&mut Seed(seed).stream(1, 0), 1.0, values.as_slice_mut().unwrap());
    values
}

fn scene(seed: u64, (b, n): (usize, usize)) -> Scene {
    let model = Network::new(n).linear(normal(seed, (4, n)), None).unwrap().activation(Activation::Tanh).unwrap();
    let model = model.linear(normal(seed + 1, (3, 4)), None).unwrap();
    // rounded, so that there are ties
    let attribution = normal(seed + 3, (b, n)).mapv(|a| (2.0 * a).round() / 2.0);
    Scene { model, x: normal(seed + 2, (b, n)), baseline: normal(seed + 4, (1, n)).row(0).to_owned(), attribution }
}

impl Scene {
    fn value(&mut self, row: usize, removed: impl Fn(usize) -> bool) -> (f64, usize) {
        let n = self.x.ncols();
        let of = |i: usize| if removed(i) { self.baseline[i] } else { self.x[[row, i]] };
        let (input, mut z) = (Array2::from_shape_fn((1, n), |(_, i)| of(i)), Array2::zeros((1, 3)));
        self.model.forward(&input, &mut z).unwrap();
        (z[[0, 1]], argsort_descending(&z.row(0))[0])
    }

    fn masking(&self, batch: Batch) -> Masking<f64> {
        Masking { baseline: Baseline::from(self.baseline.clone()), groups: None, batch }
    }
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-12 * (1.0 + a.abs())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn one_shared_run_is_one_row_at_a_time(seed in 0_u64..1 << 40, b in 1_usize..4, n in 1_usize..8, rows in 1_usize..9) {
        let mut scene = scene(seed, (b, n));
        let erasure = Erasure { masking: scene.masking(Batch::Rows(rows)), ..Erasure::default() };
        let found = erasure.judge(&mut scene.model.clone(), &scene.x, &scene.attribution, &Logit::of(1)).unwrap();
        prop_assert_eq!(found.evaluations.forward, (b * if n == 1 { 2 } else { 3 * n - 2 }) as u64);
        for row in 0..b {
            let order = argsort_descending(&scene.attribution.row(row));
            let (mut sum, mut flip) = ([0.0; 2], None);
            let (full, decision) = scene.value(row, |_| false);
            for k in 0..=n {
                let first = order[..k].to_vec();
                let (deleted, decided) = scene.value(row, |i| first.contains(&i));
                let (kept, _) = scene.value(row, |i| !first.contains(&i));
                prop_assert!(close(found.deletion_curve[[row, k]], deleted) && close(found.keep_curve[[row, k]], kept));
                sum = [sum[0] + full - deleted, sum[1] + full - kept];
                if decided != decision {
                    flip = flip.or(Some(k));
                }
            }
            let mean = sum.map(|sum| sum / (n + 1) as f64);
            prop_assert!(close(found.comprehensiveness[row], mean[0]) && close(found.sufficiency[row], mean[1]));
            prop_assert_eq!(found.decision_flip_fraction[row], Some(flip.map_or(1.0, |k| k as f64 / n as f64)));
            prop_assert_eq!(found.decision_flip_single[row], Some(flip == Some(1)));
            let drops = found.single_drops.as_ref().unwrap();
            for player in 0..n {
                let (without, _) = scene.value(row, |i| i == player);
                prop_assert!(close(drops[[row, player]], full - without));
            }
        }
    }

    #[test]
    fn contributions_to_a_sum_are_in_the_best_order(seed in 0_u64..1 << 40, n in 1_usize..6) {
        let (weight, x) = (normal(seed, (1, n)), normal(seed + 1, (1, n)));
        let mut model = Network::new(n).linear(weight.clone(), None).unwrap();
        let exact = &x * &weight;
        let method = NormalisedAopc::default();
        let best = method.judge(&mut model, &x, &exact, &Logit::of(0)).unwrap();
        prop_assert!(close(best.aopc[0], best.upper[0]));
        let worst = method.judge(&mut model, &x, &exact.mapv(|a| -a), &Logit::of(0)).unwrap();
        prop_assert!(close(worst.aopc[0], worst.lower[0]));
        let masking = Masking::default();
        prop_assert!(completeness_gap(&mut model, &x, &exact, &Logit::of(0), &masking).unwrap()[0].abs() < 1e-12);
        // what comes in from the least to the most never lets the sum fall below a step that is itself negative
        let curve = monotonicity(&mut model, &x, &exact, &Logit::of(0), &masking).unwrap();
        prop_assert_eq!(curve.monotonic[0], exact.iter().filter(|a| **a < 0.0).count() <= 1);
    }

    #[test]
    fn a_place_between_bounds_is_a_share(seed in 0_u64..1 << 40, n in 1_usize..8, exact_up_to in 0_usize..8, beam in 1_usize..4) {
        let scene = scene(seed, (2, n));
        let method = NormalisedAopc { masking: scene.masking(Batch::Auto), exact_up_to, beam };
        let found = method.judge(&mut scene.model.clone(), &scene.x, &scene.attribution, &Logit::of(1)).unwrap();
        prop_assert!(found.normalised.iter().flatten().all(|share| (0.0..=1.0).contains(share)));
        prop_assert_eq!(found.normalised[0].is_none(), n == 1 || found.upper[0] <= found.lower[0]);
        prop_assert_eq!(found.exact, n <= exact_up_to);
    }

    #[test]
    fn batches_never_show(seed in 0_u64..1 << 40, n in 1_usize..7, rows in 1_usize..9) {
        let scene = scene(seed, (3, n));
        let (x, attribution, target) = (&scene.x, &scene.attribution, Logit::of(1));
        let of = |batch| -> Result<_> {
            let (mut model, masking) = (scene.model.clone(), scene.masking(batch));
            let erasure = Erasure { masking: masking.clone(), levels: Levels::Counts(vec![0, n]), ..Erasure::default() };
            let subsets = Subsets::Random { sizes: vec![1, n], count: 7, seed: Seed(seed) };
            let correlation = FaithfulnessCorrelation { masking: masking.clone(), subsets };
            let infidelity = Infidelity { samples: 5, seed: Seed(seed), batch, ..Infidelity::default() };
            Ok((
                erasure.judge(&mut model, x, attribution, &target).unwrap(),
                correlation.judge(&mut model, x, attribution, &target).unwrap(),
                infidelity.judge(&mut model, x, attribution, &target).unwrap(),
                monotonicity(&mut model, x, attribution, &target, &masking).unwrap(),
            ))
        };
        prop_assert_eq!(of(Batch::Rows(rows)).unwrap(), of(Batch::Auto).unwrap());
    }

    #[test]
    fn removing_all_of_a_complete_attribution_is_no_infidelity(seed in 0_u64..1 << 40, n in 1_usize..7) {
        let mut scene = scene(seed, (1, n));
        let (full, _) = scene.value(0, |_| false);
        let (empty, _) = scene.value(0, |_| true);
        // spread in any way that adds up
        let mut complete = scene.attribution.clone();
        let last = below(&mut Seed(seed).stream(2, 0), n);
        complete[[0, last]] += full - empty - complete.sum();
        let baseline = Baseline::from(scene.baseline.clone());
        let method = Infidelity {
            unit: AttributionUnit::Contribution(baseline.clone()),
            perturbation: Perturbation::Removal { baseline, groups: None, chance: 1.0 },
            samples: 2,
            ..Infidelity::default()
        };
        let found = method.judge(&mut scene.model, &scene.x, &complete, &Logit::of(1)).unwrap();
        prop_assert!(found.infidelity[0] < 1e-20);
    }
}

#[test]
fn a_random_attribution_is_rarely_monotonic() {
    // a well-known implementation finds all of 50 monotonic; the baseline here is far below the input
    let mut scene = scene(5, (50, 6));
    scene.x.mapv_inplace(f64::abs);
    scene.model = Network::new(6).linear(array![[1.0, -1.0, 2.0, -2.0, 0.5, -0.5], [0.0; 6]], None).unwrap();
    let found = monotonicity(&mut scene.model, &scene.x, &normal(9, (50, 6)), &Logit::of(0), &Masking::default());
    assert!(found.unwrap().monotonic.iter().filter(|flag| **flag).count() < 10);
}
