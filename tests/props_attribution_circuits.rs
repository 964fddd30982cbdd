//! What must hold of attention and circuit scores, over random cases.

use limpid::Seed;
use limpid::attribution::circuits::{
    AttentionBlock, Edge, EdgeAttribution, EdgeGradients, Keep, Mixing, Pruning, Readout, ResidualNorm, Search,
    SourceDifferences, attention_flow, attention_rollout, direct_logit, logit_lens,
};
use limpid::attribution::network::NormKind;
use limpid::math::merge::Merge;
use limpid::math::random::fill_normal;
use ndarray::{Array1, Array2, Array3, Axis, Slice};
use proptest::prelude::*;

fn noise(shape: (usize, usize, usize), seed: u64, purpose: u64) -> Array3<f64> {
    let mut x = Array3::zeros(shape);
    fill_normal(&mut Seed(seed).stream(purpose, 0), 1.0, x.as_slice_mut().unwrap());
    x
}

/// Rows of a softmax, causal or not.
fn attention(layers: usize, tokens: usize, seed: u64, causal: bool) -> Array3<f64> {
    let mut weights = noise((layers, tokens, tokens), seed, 1).mapv(|x| (2.0 * x).exp());
    for ((_, i, j), weight) in weights.indexed_iter_mut() {
        *weight *= if causal && j > i { 0.0 } else { 1.0 };
    }
    for mut row in weights.rows_mut() {
        let sum = row.sum();
        row /= sum;
    }
    weights
}

/// Token `i` of the result is token `order[i]`.
fn permuted(x: &Array3<f64>, order: &[usize]) -> Array3<f64> {
    x.select(Axis(1), order).select(Axis(2), order)
}

fn norm(kind: usize, width: usize, seed: u64) -> ResidualNorm<f64> {
    let vector = |purpose| noise((1, 1, width), seed, purpose).into_shape_with_order(width).unwrap();
    let kind = [Some(NormKind::Layer), Some(NormKind::RootMeanSquare), None][kind];
    ResidualNorm { kind, gamma: Some(vector(10)), beta: Some(vector(11)), epsilon: 1e-5 }
}

fn random_graph(nodes: usize, seed: u64) -> Vec<Edge> {
    let scores = noise((1, nodes, nodes), seed, 2);
    let pairs = scores.indexed_iter().filter(|((_, from, to), score)| from < to && **score > -1.0);
    pairs.map(|((_, from, to), &score)| Edge { from, to, score: (4.0 * score).round() / 4.0 }).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn rollout_rows_sum_to_one_and_follow_the_tokens(
        (layers, tokens, seed) in (1_usize..5, 1_usize..7, any::<u64>()), causal in any::<bool>()
    ) {
        let weights = attention(layers, tokens, seed, causal);
        let rollout = attention_rollout(&weights, Mixing::default()).unwrap();
        prop_assert!(rollout.sum_axis(Axis(2)).iter().all(|sum| (sum - 1.0).abs() < 1e-12));
        prop_assert!(!causal || rollout.indexed_iter().all(|((_, i, j), &share)| j <= i || share == 0.0));
        let order: Vec<usize> = (0..tokens).rev().collect();
        let again = attention_rollout(&permuted(&weights, &order), Mixing::default()).unwrap();
        prop_assert!((again - permuted(&rollout, &order)).iter().all(|gap| gap.abs() < 1e-12));
    }

    #[test]
    fn flow_lies_between_the_best_path_and_the_narrowest_cut(
        (layers, tokens, seed) in (1_usize..5, 1_usize..6, any::<u64>()), causal in any::<bool>()
    ) {
        let weights = attention(layers, tokens, seed, causal);
        let mixing = Mixing::default();
        let flow = attention_flow(&weights, mixing).unwrap();
        let capacity = mixing.matrices(&weights).unwrap();
        let mut widest = Array2::from_shape_fn((tokens, tokens), |(i, j)| if i == j { 1.0 } else { 0.0 });
        for layer in capacity.outer_iter() {
            widest = Array2::from_shape_fn((tokens, tokens), |(i, j)| {
                (0..tokens).map(|k| layer[[i, k]].min(widest[[k, j]])).fold(0.0, f64::max)
            });
        }
        let into = capacity.index_axis(Axis(0), 0).sum_axis(Axis(0));
        for ((i, j), &flow) in flow.indexed_iter() {
            prop_assert!(flow <= 1.0_f64.min(into[j]) + 1e-12, "{i} {j}: {flow}");
            prop_assert!(flow >= widest[[i, j]] - 1e-12, "{i} {j}: {flow}");
        }
        // through one layer there is one path per pair
        let fewer = capacity.slice_axis(Axis(0), Slice::from(..1));
        let one = limpid::attribution::circuits::flow(&fewer, &(0..tokens).collect::<Vec<_>>()).unwrap();
        prop_assert!((one - fewer.index_axis(Axis(0), 0)).iter().all(|gap| gap.abs() < 1e-12));
    }

    #[test]
    fn direct_logits_are_complete_and_agree_with_the_lens(
        (parts, positions, width, kind, seed) in (1_usize..5, 1_usize..4, 2_usize..6, 0_usize..3, any::<u64>())
    ) {
        let components = noise((parts, positions, width), seed, 3);
        let unembed = noise((1, width, 4), seed, 4).index_axis_move(Axis(0), 0);
        let bias = noise((1, 1, 4), seed, 5).into_shape_with_order(4).unwrap();
        let readout = Readout { norm: norm(kind, width, seed), unembed: unembed.view(), bias: Some(bias.view()) };
        let residual = components.sum_axis(Axis(0));
        let lens = logit_lens(&residual.view().insert_axis(Axis(0)), &readout).unwrap();
        for (target, contrast) in [(1, None), (0, Some(3))] {
            let split = direct_logit(&components, None, &readout, &[target], contrast.as_ref().map(core::slice::from_ref)).unwrap();
            let logits = |class: usize| lens.logits.index_axis(Axis(0), 0).column(class).to_owned();
            let expected = logits(target) - contrast.map_or(Array1::zeros(positions), logits);
            let size = 1.0 + split.attribution.iter().fold(0.0_f64, |largest, x| largest.max(x.abs()));
            let sums = split.attribution.sum_axis(Axis(0)) + &split.bias;
            prop_assert!((&sums - &expected).iter().all(|gap| gap.abs() < 1e-11 * size));
            prop_assert!((&split.total - &expected).iter().all(|gap| gap.abs() < 1e-11 * size));
            let last = split.accumulated().index_axis_move(Axis(0), parts - 1) + &split.bias;
            prop_assert!((last - sums).iter().all(|gap| gap.abs() < 1e-11 * size));
        }
    }

    #[test]
    fn contributions_are_shares(
        (heads, tokens, width, kind, seed) in (1_usize..4, 1_usize..5, 2_usize..5, 0_usize..3, any::<u64>())
    ) {
        let weights = attention(heads, tokens, seed, true);
        let (values, residual) = (noise((heads, tokens, width), seed, 6), noise((1, tokens, width), seed, 7));
        let block = AttentionBlock {
            attention: weights.view(),
            values: values.view(),
            residual: residual.index_axis(Axis(0), 0),
            bias: None,
            norm: norm(kind, width, seed),
        };
        let contributions = block.contributions().unwrap();
        prop_assert!(contributions.iter().all(|&share| (0.0..=1.0 + 1e-12).contains(&share)));
        let sums = contributions.sum_axis(Axis(1));
        prop_assert!(sums.iter().all(|&sum| sum == 0.0 || (sum - 1.0).abs() < 1e-12));
        prop_assert!(contributions.indexed_iter().all(|((i, j), &share)| j <= i || share == 0.0));
    }

    #[test]
    fn edge_scores_equal_the_plain_sum_however_they_are_fed(
        (b, t, d, seed) in (1_usize..4, 1_usize..4, 1_usize..5, any::<u64>())
    ) {
        let upstream = [1, 2, 3];
        let tensor = |purpose| noise((b, t, d), seed, purpose);
        let passes = EdgeGradients::default().passes(1).unwrap();
        let gradient = |v: usize, pass: usize| tensor(40 + 10 * v as u64 + pass as u64);
        let feed = |rows: Slice| {
            let mut scores = EdgeAttribution::new(3, &upstream).unwrap();
            let of = |x: Array3<f64>| x.slice_axis(Axis(0), rows).to_owned();
            let mut differences = SourceDifferences::new();
            (0..3).for_each(|u| differences.push(&of(tensor(20 + u)), &of(tensor(30 + u))).unwrap());
            let mut batch = scores.batch(differences).unwrap();
            for (at, pass) in passes.iter().enumerate() {
                (0..3).for_each(|v| batch.add_gradient(v, &of(gradient(v, at)), pass.weight).unwrap());
            }
            scores
        };
        let scores = feed(Slice::from(..));
        for (v, &upstream) in upstream.iter().enumerate() {
            let mut mean = Array3::zeros((b, t, d));
            passes.iter().enumerate().for_each(|(at, pass)| mean.scaled_add(pass.weight, &gradient(v, at)));
            for u in 0..3_u64 {
                let plain = ((tensor(30 + u) - tensor(20 + u)) * &mean).sum() / b as f64;
                let score = scores.score(usize::try_from(u).unwrap(), v);
                prop_assert_eq!(score.is_some(), u < upstream as u64);
                prop_assert!(score.is_none_or(|score| (score - plain).abs() < 1e-12));
            }
        }
        if b > 1 {
            let mut halves = feed(Slice::from(..1));
            halves.merge(&feed(Slice::from(1..))).unwrap();
            let gap = halves.scores().unwrap() - scores.scores().unwrap();
            prop_assert!(gap.iter().all(|gap| gap.abs() < 1e-12));
        }
    }

    #[test]
    fn a_circuit_is_connected_and_no_larger_than_asked(
        (nodes, keep, seed) in (2_usize..8, 0_usize..12, any::<u64>()), signed in any::<bool>()
    ) {
        let edges = random_graph(nodes, seed);
        for search in [Search::Greedy, Search::Top] {
            let pruning = Pruning { search, keep: Keep::Edges(keep), signed, connected: true };
            let circuit = pruning.prune(nodes, &edges, &[0], nodes - 1).unwrap();
            prop_assert!(circuit.edges.len() <= keep);
            let kept = || circuit.edges.iter().map(|&edge| edges[edge]);
            for node in &circuit.nodes {
                prop_assert!(*node == 0 || kept().any(|edge| edge.to == *node));
                prop_assert!(*node == nodes - 1 || kept().any(|edge| edge.from == *node));
            }
            let all = Pruning { keep: Keep::Edges(usize::MAX), ..pruning };
            let all = all.prune(nodes, &edges, &[0], nodes - 1).unwrap().edges;
            prop_assert!(circuit.edges.iter().all(|edge| all.contains(edge)));
        }
        // both searches keep all that can be connected when everything may stay
        let everything = |search| {
            let pruning = Pruning { search, keep: Keep::Edges(usize::MAX), signed, connected: true };
            pruning.prune(nodes, &edges, &[0], nodes - 1).unwrap()
        };
        prop_assert_eq!(everything(Search::Greedy), everything(Search::Top));
    }
}
