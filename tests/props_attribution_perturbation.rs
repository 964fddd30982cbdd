//! What perturbation methods promise, on random models, games and texts: surrogates against a dense twin, axioms, and
//! methods that must agree.

use std::convert::Infallible;

use limpid::Seed;
use limpid::attribution::layer::{AbsentUnits, LayerAblation, LayerGame, LayerRemoval, LayerShapley};
use limpid::attribution::perturbation::{
    AblationInteractions, Absent, Banzhaf, CausalGame, CausalModel, CausalOcclusion, Coalitions, ExactShapley,
    FeatureAblation, Game, Groups, InteractionIndex, Interactions, KaddShap, KernelShap, LeaveOneOut, Lime,
    MaskSampling, Masked, Occlusion, Reagent, Regression, Removal, Shapley, Similarity, Summary, SvarmIq, Table,
    UniformTokens,
};
use limpid::attribution::target::{LogProbability, Logit};
use limpid::attribution::{Baseline, Batch, Explainer, Forward, Function, Network, Target};
use limpid::math::pointwise::Activation;
use ndarray::{Array1, Array2, ArrayRef2, Axis};
use proptest::prelude::*;

fn numbers(count: usize) -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(-2.0..2.0_f64, count)
}

/// A smooth network of five features, six inner units and two outputs, from 42 weights.
fn network(weights: &[f64]) -> Network<f64> {
    let first = Array2::from_shape_fn((6, 5), |(i, j)| weights[5 * i + j]);
    let second = Array2::from_shape_fn((2, 6), |(i, j)| weights[30 + 6 * i + j]);
    let hidden = Network::new(5).linear(first, None).unwrap().activation(Activation::Tanh).unwrap();
    hidden.linear(second, None).unwrap()
}

/// The same without feature 3.
fn blind(weights: &[f64]) -> Network<f64> {
    let mut weights = weights.to_vec();
    (0..6).for_each(|unit| weights[5 * unit + 3] = 0.0);
    network(&weights)
}

fn matrix(rows: usize, values: &[f64]) -> Array2<f64> {
    Array2::from_shape_vec((rows, values.len() / rows), values.to_vec()).unwrap()
}

fn table(worth: &[f64]) -> Table<f64> {
    Table::single(Array1::from(worth.to_vec())).unwrap()
}

fn close(a: &Array2<f64>, b: &Array2<f64>, tolerance: f64) -> bool {
    a.dim() == b.dim() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= tolerance)
}

/// Solves a dense system by elimination with pivots.
fn solved(mut a: Vec<Vec<f64>>, mut b: Vec<f64>) -> Vec<f64> {
    let n = b.len();
    for column in 0..n {
        let pivot = (column..n).max_by(|&i, &j| a[i][column].abs().total_cmp(&a[j][column].abs())).unwrap();
        a.swap(column, pivot);
        b.swap(column, pivot);
        let (above, below) = a.split_at_mut(column + 1);
        let (pivot_row, of_b) = (&above[column], b[column]);
        for (row, value) in below.iter_mut().zip(&mut b[column + 1..]) {
            let factor = row[column] / pivot_row[column];
            row.iter_mut().zip(pivot_row).for_each(|(entry, pivot)| *entry -= factor * pivot);
            *value -= factor * of_b;
        }
    }
    for row in (0..n).rev() {
        let known: f64 = (row + 1..n).map(|column| a[row][column] * b[column]).sum();
        b[row] = (b[row] - known) / a[row][row];
    }
    b
}

/// Ridge with a free intercept, which comes last, by the normal equations of the whole design.
fn ridge(masks: &Coalitions, values: &[f64], weights: &[f64], alpha: f64) -> Vec<f64> {
    let n = masks.n_players();
    let (mut a, mut b) = (vec![vec![0.0; n + 1]; n + 1], vec![0.0; n + 1]);
    for ((mask, value), weight) in masks.iter().zip(values).zip(weights) {
        let row: Vec<f64> = (0..=n).map(|i| f64::from(u8::from(i == n || mask.contains(i)))).collect();
        for i in 0..=n {
            (0..=n).for_each(|j| a[i][j] += weight * row[i] * row[j]);
            b[i] += weight * row[i] * value;
        }
    }
    (0..n).for_each(|i| a[i][i] += alpha);
    solved(a, b)
}

/// Masks of `players` players from their indices.
fn masks(players: usize, indices: &[usize]) -> Coalitions {
    let mut found = Coalitions::new(players);
    indices.iter().for_each(|index| found.push((0..players).filter(|i| index >> i & 1 == 1)).unwrap());
    found
}

/// A recurrent model that keeps its state after every token.
struct Recurrent {
    weights: Vec<f64>,
    states: Vec<[f64; 3]>,
    read: u64,
}

impl Recurrent {
    fn new(weights: &[f64]) -> Self {
        Self { weights: weights.to_vec(), states: Vec::new(), read: 0 }
    }
}

impl CausalModel<f64> for Recurrent {
    type Error = Infallible;

    fn n_outputs(&self) -> usize {
        2
    }

    fn truncate(&mut self, tokens: usize) -> Result<(), Infallible> {
        self.states.truncate(tokens);
        Ok(())
    }

    fn extend(&mut self, tokens: &ArrayRef2<f64>, out: &mut ArrayRef2<f64>) -> Result<(), Infallible> {
        for token in tokens {
            let (last, w) = (self.states.last().copied().unwrap_or_default(), &self.weights);
            let sum = |i: usize| w[i] * token + (0..3).map(|j| w[3 + 3 * i + j] * last[j]).sum::<f64>();
            self.states.push(std::array::from_fn(|i| sum(i).tanh()));
            self.read += 1;
        }
        let first = self.states.len() - out.nrows();
        for (mut row, state) in out.rows_mut().into_iter().zip(&self.states[first..]) {
            row[0] = state[0] + state[1];
            row[1] = state[2] - state[0];
        }
        Ok(())
    }
}

/// Texts of `t` tokens through the recurrent model, from their start.
fn plain(t: usize, weights: &[f64]) -> impl Forward<f64, Error = Infallible> + use<> {
    let weights = weights.to_vec();
    Function::new((t, 2), move |x: &ArrayRef2<f64>, z: &mut ArrayRef2<f64>| {
        for (x, z) in x.rows().into_iter().zip(z.axis_chunks_iter_mut(Axis(0), 1)) {
            let mut z = z;
            Recurrent::new(&weights).extend(&x.insert_axis(Axis(1)), &mut z)?;
        }
        Ok(())
    })
}

/// The pairs of exact interactions, in full.
fn pairs(index: InteractionIndex, worth: &[f64]) -> Vec<f64> {
    let found = Interactions { index, ..Interactions::default() }.of(&mut table(worth)).unwrap().values;
    let n = found.dim().0;
    (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j))).map(|(i, j)| 2.0 * found[[i, j, 0]]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn ridge_surrogates_are_those_of_a_dense_twin(
        (weights, x) in (numbers(42), numbers(5)),
        indices in prop::collection::vec(0..32_usize, 8..40),
        (counts, alpha) in (prop::collection::vec(0.1..3.0_f64, 40), 0.1..5.0_f64),
    ) {
        let (masks, counts) = (masks(5, &indices), Array1::from(counts[..indices.len()].to_vec()));
        let mut values = Vec::new();
        for mask in masks.iter() {
            let row = Array2::from_shape_fn((1, 5), |(_, i)| if mask.contains(i) { x[i] } else { 0.0 });
            let mut z = Array2::zeros((1, 2));
            network(&weights).forward(&row, &mut z).unwrap();
            values.push(z[[0, 1]]);
        }
        let expected = ridge(&masks, &values, &counts.to_vec(), alpha);
        let method = Lime { regression: Regression::Ridge { alpha }, ..Lime::default() };
        let found = method.explain_samples(&mut network(&weights), &matrix(1, &x), &Logit::of(1), &masks, Some(&counts));
        let found = found.unwrap();
        for (i, expected) in expected.iter().enumerate() {
            let got = if i == 5 { found.intercept[0] } else { found.attribution.values[[0, i]] };
            prop_assert!((got - expected).abs() < 1e-9, "{i}: {got} {expected}");
        }
    }

    #[test]
    fn a_lasso_meets_the_conditions_of_its_minimum(
        indices in prop::collection::vec(0..64_usize, 12..60),
        (values, counts) in (prop::collection::vec(-3.0..3.0_f64, 60), prop::collection::vec(0.1..3.0_f64, 60)),
        alpha in 0.001..0.5_f64,
    ) {
        let (masks, k) = (masks(6, &indices), indices.len());
        let found = Regression::Lasso { alpha }.fit(&masks, &values[..k], &counts[..k]).unwrap();
        let total: f64 = counts[..k].iter().sum();
        let (mut slope, mut of_intercept) = (vec![0.0; 6], 0.0);
        for ((mask, value), count) in masks.iter().zip(&values).zip(&counts) {
            let told: f64 = mask.members().map(|i| found.coefficients[i]).sum();
            let rest = count * (value - found.intercept - told) / total;
            of_intercept += rest;
            mask.members().for_each(|i| slope[i] += rest);
        }
        prop_assert!(of_intercept.abs() < 1e-8);
        for (slope, beta) in slope.iter().zip(&found.coefficients) {
            prop_assert!(slope.abs() <= alpha + 1e-6, "{slope} {beta}");
            prop_assert!(*beta == 0.0 || (slope - alpha * beta.signum()).abs() < 1e-6, "{slope} {beta}");
        }
    }

    #[test]
    fn a_feature_that_is_not_read_gets_nothing((weights, x, base) in (numbers(42), numbers(10), numbers(5))) {
        let (x, baseline) = (matrix(2, &x), Baseline::Row(Array1::from(base)));
        let (mut model, target) = (blind(&weights), LogProbability::of(1));
        let removal = Removal { absent: baseline.clone().into(), ..Removal::default() };
        let zero = |found: limpid::attribution::Attribution<f64>| found.values.column(3).iter().all(|v| v.abs() < 1e-10);
        let ablation = FeatureAblation { baseline: baseline.clone(), ..FeatureAblation::default() };
        prop_assert!(zero(ablation.attribute(&mut model, &x, &target).unwrap()));
        let left_out = LeaveOneOut { baseline: baseline.clone(), ..LeaveOneOut::default() };
        prop_assert!(zero(left_out.attribute(&mut model, &x, &target).unwrap()));
        let occlusion = Occlusion { baseline, ..Occlusion::default() };
        prop_assert!(zero(occlusion.attribute(&mut model, &x, &target).unwrap()));
        prop_assert!(zero(ExactShapley::default().by_removal(removal.clone()).attribute(&mut model, &x, &target).unwrap()));
        prop_assert!(zero(Banzhaf::default().by_removal(removal.clone()).attribute(&mut model, &x, &target).unwrap()));
        prop_assert!(zero(KernelShap::default().by_removal(removal.clone()).attribute(&mut model, &x, &target).unwrap()));
        let lime = Lime {
            removal: removal.clone(),
            similarity: Similarity::Uniform,
            regression: Regression::Ridge { alpha: 0.0 },
            sampling: MaskSampling::All,
            ..Lime::default()
        };
        prop_assert!(zero(lime.attribute(&mut model, &x, &target).unwrap()));
        let mut game = Masked::new(&mut model, &x, &target, &removal).unwrap();
        let found = AblationInteractions::default().of(&mut game).unwrap();
        prop_assert!([0, 1, 2, 4].iter().all(|&i| found.interactions.of(i, 3).unwrap()[0].abs() < 1e-12));
        for index in InteractionIndex::ALL {
            let found = Interactions { index, ..Interactions::default() }.of(&mut game).unwrap().values;
            prop_assert!((0..5).all(|i| found[[i, 3, 0]].abs() < 1e-10), "{index:?}");
        }
        let found = KaddShap::default().of(&mut game).unwrap().values;
        prop_assert!((0..5).all(|i| found[[i, 3, 0]].abs() < 1e-9));
    }

    #[test]
    fn single_windows_tokens_and_groups_are_one_method((weights, x) in (numbers(42), numbers(15)), base in numbers(5)) {
        let (x, baseline, target) = (matrix(3, &x), Baseline::Row(Array1::from(base)), LogProbability::of(0));
        let mut model = network(&weights);
        let ablation = FeatureAblation { baseline: baseline.clone(), ..FeatureAblation::default() };
        let expected = ablation.attribute(&mut model, &x, &target).unwrap();
        let windows = Occlusion { baseline: baseline.clone(), window: vec![1], stride: vec![1], ..Occlusion::default() };
        let found = windows.attribute(&mut model, &x, &target).unwrap();
        prop_assert_eq!((&found.values, found.evaluations), (&expected.values, expected.evaluations));
        let tokens = LeaveOneOut { baseline: baseline.clone(), ..LeaveOneOut::default() };
        prop_assert_eq!(&tokens.attribute(&mut model, &x, &target).unwrap().values, &expected.values);
        let removal = Removal { absent: baseline.into(), ..Removal::default() };
        let mut game = Masked::new(&mut model, &x, &target, &removal).unwrap();
        let found = AblationInteractions::default().of(&mut game).unwrap().losses;
        prop_assert!(close(&found, &expected.values.slice_axis(Axis(0), ndarray::Slice::from(..1)).t().to_owned(), 1e-14));
    }

    #[test]
    fn whoever_shares_shares_all(worth in numbers(64), (weights, x, other) in (numbers(42), numbers(10), numbers(10))) {
        let gain = worth[63] - worth[0];
        for index in [InteractionIndex::ShapleyTaylor, InteractionIndex::Shapley, InteractionIndex::FaithShapley] {
            let found = Interactions { index, ..Interactions::default() }.of(&mut table(&worth)).unwrap();
            prop_assert!((found.values.sum() - gain).abs() < 1e-10, "{index:?}");
        }
        let found = KaddShap { budget: Some(50), ..KaddShap::default() }.of(&mut table(&worth)).unwrap();
        prop_assert!((found.shapley().sum() - gain).abs() < 1e-9);
        let absent = AbsentUnits::Inputs(Absent::Baseline(Baseline::Rows(matrix(2, &other))));
        let removal = LayerRemoval { absent, ..LayerRemoval::at(1) };
        let (mut model, target, x) = (network(&weights), LogProbability::of(0), matrix(2, &x));
        let layer = LayerShapley { removal: removal.clone(), summary: ExactShapley::default() };
        let found = layer.attribute(&mut model, &x, &target).unwrap();
        prop_assert!(found.delta.unwrap().iter().all(|delta| delta.abs() < 1e-12));
        let layer = LayerShapley { removal, summary: Shapley::default() };
        let found = layer.attribute(&mut model, &x, &target).unwrap();
        prop_assert!(found.delta.unwrap().iter().all(|delta| delta.abs() < 1e-12));
    }

    #[test]
    fn units_of_a_layer_are_features_of_the_rest((weights, x) in (numbers(42), numbers(10))) {
        let (mut model, x, target) = (network(&weights), matrix(2, &x), Logit::of(1));
        let second = Array2::from_shape_fn((2, 6), |(i, j)| weights[30 + 6 * i + j]);
        let mut rest = Network::new(6).linear(second, None).unwrap();
        let h = Array2::from_shape_fn((2, 6), |(row, unit)| (0..5).map(|j| weights[5 * unit + j] * x[[row, j]]).sum::<f64>().tanh());
        for groups in [None, Some(vec![0, 1, 1, 2, 0, 2])] {
            let removal = LayerRemoval { groups: groups.clone(), ..LayerRemoval::at(1) };
            let found = LayerAblation { removal: removal.clone() }.attribute(&mut model, &x, &target).unwrap();
            let groups_of = groups.clone().map_or(Groups::Single, Groups::All);
            let outer = FeatureAblation { groups: groups_of, ..FeatureAblation::default() };
            prop_assert!(close(&found.values, &outer.attribute(&mut rest, &h, &target).unwrap().values, 1e-12));
            let mut game = LayerGame::new(&mut model, &x, &target, &removal).unwrap();
            let inner = Interactions::default().of(&mut game).unwrap();
            let removal = Removal { groups, ..Removal::default() };
            let outer = Interactions::default().of(&mut Masked::new(&mut rest, &h, &target, &removal).unwrap()).unwrap();
            prop_assert!((inner.values - outer.values).iter().all(|e| e.abs() < 1e-12));
        }
    }

    #[test]
    fn remembering_beginnings_changes_nothing(
        (weights, base) in (numbers(12), -1.0..1.0_f64),
        text in (1..9_usize).prop_flat_map(numbers),
    ) {
        let (t, x, target) = (text.len(), matrix(1, &text), LogProbability::of(1));
        let baseline = Baseline::Row(Array1::from_elem(t, base));
        let mut model = Recurrent::new(&weights);
        let method = CausalOcclusion { baseline: baseline.clone(), ..CausalOcclusion::default() };
        let found = method.run(&mut model, &x, &target).unwrap();
        let left_out = LeaveOneOut { baseline: baseline.clone(), ..LeaveOneOut::default() };
        let expected = left_out.attribute(&mut plain(t, &weights), &x, &target).unwrap();
        prop_assert_eq!(&found.attribution.values, &expected.values);
        prop_assert_eq!((found.token_forwards, model.read), ((t + t * (t + 1) / 2) as u64, found.token_forwards));
        let removal = Removal { absent: baseline.clone().into(), ..Removal::default() };
        let expected = ExactShapley::default().by_removal(removal).attribute(&mut plain(t, &weights), &x, &target).unwrap();
        let mut game = CausalGame::new(&mut model, &x, &target, &baseline).unwrap();
        let found = ExactShapley::default().of(&mut game).unwrap();
        prop_assert_eq!(found.values.t(), expected.values);
        prop_assert!(game.token_forwards() <= (2 << t) - 2);
    }

    #[test]
    fn strata_of_small_games_are_exact(worth in numbers(32)) {
        for index in InteractionIndex::ALL {
            let method = SvarmIq { index, budget: 32, exact: false, seed: Seed(1) };
            let found = method.of(&mut table(&worth)).unwrap();
            prop_assert_eq!((found.evaluations, found.standard_error.is_none()), (32, true));
            prop_assert!(found.values.iter().zip(pairs(index, &worth)).all(|(found, exact)| (found - exact).abs() < 1e-12));
        }
    }

    #[test]
    fn probes_share_one_out(weights in numbers(12), text in prop::collection::vec(0..9_usize, 4..9), seed in 0..1000_u64) {
        let (t, x) = (text.len(), Array2::from_shape_fn((1, text.len()), |(_, i)| text[i] as f64 / 4.0 - 1.0));
        let run = |batch| {
            let method = Reagent { probes: 4, max_steps: 20, kept: 2, top_k: 1, batch, seed: Seed(seed), ..Reagent::default() };
            let mut found = method.run(&mut plain(t, &weights), &x, 0, &mut UniformTokens { vocabulary: 9 }).unwrap();
            found.options.clear();
            found
        };
        let found = run(Batch::Auto);
        prop_assert_eq!(&run(Batch::Rows(3)), &found);
        prop_assert_eq!(found.values[0].is_some(), found.converged[0] > 0);
        prop_assert_eq!(found.standard_error[0].is_some(), found.converged[0] > 1);
        if let Some(values) = &found.values[0] {
            prop_assert!((values.sum() - 1.0).abs() < 1e-12 && values.iter().all(|value| *value >= 0.0));
        }
    }
}

#[test]
fn texts_with_groups_and_several_positions_are_games_like_others() {
    let (weights, x) =
        ((0..12).map(|i| (i as f64).sin()).collect::<Vec<_>>(), matrix(1, &[0.4, -0.2, 0.9, 0.1, -0.7, 0.3]));
    let (mut model, target, baseline) = (Recurrent::new(&weights), Logit::of(3), Baseline::Zeros);
    Target::<f64>::check(&target, 1, 4).unwrap();
    let groups = [0, 0, 1, 2, 1, 3];
    let mut game = CausalGame::with(&mut model, &x, (&target, 2), (&baseline, Some(&groups))).unwrap();
    let kernel = KernelShap::default().of(&mut game).unwrap();
    let exact = ExactShapley::default().of(&mut game).unwrap();
    assert!(close(&kernel.values, &exact.values, 1e-12));
    assert_eq!(Game::<f64>::n_players(&game), 4);
}
