//! What must hold of ranks, agreements, aggregations and of what judges attributions alone, over random cases.

use limpid::attribution::aggregate::{
    Aggregation, Marker, Subwords, difference, joint_shares, over_groups, over_last_axis, over_spans, rescale, shares,
    top_features,
};
use limpid::attribution::faithfulness::{
    attribution_localisation, complexity, mask_auc, relevance_mass_accuracy, relevance_rank_accuracy, sparseness,
};
use limpid::math::agreement::{By, agreement};
use limpid::math::rank::{PairCounts, argsort_descending, average_ranks, kendall_tau_b, largest_first, spearman};
use ndarray::{Array1, Array2, Array3, ArrayRef1, Axis};
use proptest::prelude::*;

const ALL: [Aggregation; 7] = [
    Aggregation::Sum,
    Aggregation::Mean,
    Aggregation::Min,
    Aggregation::Max,
    Aggregation::AbsMax,
    Aggregation::Norm,
    Aggregation::Product,
];

/// Values from a small set, so that there are ties, or from all of an interval.
fn values(length: usize) -> impl Strategy<Value = Array1<f64>> {
    let value = prop_oneof![(-3_i8..=3).prop_map(f64::from), -2.0..2.0_f64];
    prop::collection::vec(value, length).prop_map(Array1::from)
}

fn pair() -> impl Strategy<Value = (Array1<f64>, Array1<f64>)> {
    (0..40_usize).prop_flat_map(|n| (values(n), values(n)))
}

fn matrix() -> impl Strategy<Value = Array2<f64>> {
    let of = |(rows, columns): (usize, usize)| {
        values(rows * columns).prop_map(move |values| values.into_shape_with_order((rows, columns)).unwrap())
    };
    (1..5_usize, 1..9_usize).prop_flat_map(of)
}

/// `τ_b` by its definition, pair by pair.
fn naive_tau(x: &ArrayRef1<f64>, y: &ArrayRef1<f64>) -> Option<f64> {
    let sign = |a: f64, b: f64| f64::from(i8::from(a > b) - i8::from(a < b));
    let (mut both, mut of_x, mut of_y) = (0.0, 0.0, 0.0);
    for i in 0..x.len() {
        for j in 0..i {
            let (a, b) = (sign(x[i], x[j]), sign(y[i], y[j]));
            both += a * b;
            of_x += a * a;
            of_y += b * b;
        }
    }
    (of_x > 0.0 && of_y > 0.0).then(|| both / f64::sqrt(of_x * of_y))
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * (1.0 + b.abs())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 128 }))]

    #[test]
    fn the_fast_tau_is_the_naive_one((x, y) in pair()) {
        let (fast, naive) = (kendall_tau_b(&x, &y).unwrap(), naive_tau(&x, &y));
        prop_assert_eq!(fast.is_some(), naive.is_some());
        prop_assert!(fast.zip(naive).is_none_or(|(a, b)| close(a, b)));
        let counts = PairCounts::of(&x, &y).unwrap();
        let ordered = counts.concordant + counts.discordant;
        prop_assert_eq!(counts.pairs + counts.tied_both, ordered + counts.tied_x + counts.tied_y);
    }

    #[test]
    fn ranks_are_a_permutation_up_to_ties((x, y) in pair()) {
        let (ranks, n) = (average_ranks(&x).unwrap(), x.len() as f64);
        prop_assert!(close(ranks.sum(), n * (n + 1.0) / 2.0));
        let order = argsort_descending(&x);
        let in_order = |i: usize, j: usize| x[i] > x[j] || x[i] == x[j] && i < j;
        prop_assert!(order.windows(2).all(|pair| in_order(pair[0], pair[1])));
        prop_assert_eq!(largest_first(&x, 3), &order[..x.len().min(3)]);
        // only the order counts
        let stretched = x.mapv(|x| x + x * x * x);
        prop_assert_eq!(spearman(&x, &y).unwrap(), spearman(&stretched, &y).unwrap());
    }

    #[test]
    fn agreement_is_one_with_itself_and_symmetric((a, b) in pair(), k in 1..8_usize, value in any::<bool>()) {
        let by = if value { By::Value } else { By::Magnitude };
        let own = agreement(&a, &a, k, by).unwrap();
        let shares = [own.feature, own.rank, own.sign, own.signed_rank, own.iou, own.spearman, own.pairwise_rank];
        prop_assert!(shares.into_iter().flatten().all(|share| share == 1.0));
        prop_assert_eq!(agreement(&a, &b, k, by), agreement(&b, &a, k, by));
    }

    #[test]
    fn aggregation_does_not_depend_on_where_a_group_lies(x in matrix(), shift in 0..9_usize, halves in any::<u8>()) {
        let n = x.ncols();
        // the first column is in group 0, so that every group up to the largest has a member
        let groups: Vec<usize> = (0..n).map(|i| usize::from(i > 0 && halves >> (i % 8) & 1 == 1)).collect();
        let order: Vec<usize> = (0..n).map(|i| (i + shift) % n).collect();
        let turned = x.select(Axis(1), &order);
        let turned_groups: Vec<usize> = order.iter().map(|&i| groups[i]).collect();
        for how in ALL.into_iter().filter(|how| *how != Aggregation::AbsMax) {
            let (a, b) = (over_groups(&x, &groups, how).unwrap(), over_groups(&turned, &turned_groups, how).unwrap());
            prop_assert!(a.iter().zip(&b).all(|(&a, &b)| close(a, b)), "{:?}", how);
        }
        // equal magnitudes with both signs: the sign may change, the magnitude may not
        let magnitude = |x: &Array2<f64>, groups: &[usize]| {
            over_groups(x, groups, Aggregation::AbsMax).unwrap().mapv(f64::abs)
        };
        prop_assert_eq!(magnitude(&x, &groups), magnitude(&turned, &turned_groups));
    }

    #[test]
    fn rows_are_aggregated_one_by_one(x in matrix(), turn in 0..5_usize) {
        let order: Vec<usize> = (0..x.nrows()).map(|i| (i + turn) % x.nrows()).collect();
        let wide: Array3<f64> = x.clone().insert_axis(Axis(1));
        for how in ALL {
            let merged = over_last_axis(&wide, how).unwrap();
            let turned = over_last_axis(&wide.select(Axis(0), &order), how).unwrap();
            prop_assert_eq!(merged.select(Axis(0), &order), turned);
            let one_span = 0..x.ncols();
            prop_assert_eq!(merged, over_spans(&x, &[one_span], how).unwrap());
        }
    }

    #[test]
    fn shares_sum_to_one_and_keep_order(x in matrix()) {
        let scaled = shares(&x).unwrap();
        for (row, divisor) in scaled.values.rows().into_iter().zip(&scaled.divisors) {
            let total: f64 = row.iter().map(|x| x.abs()).sum();
            prop_assert!(close(total, f64::from(*divisor > 0.0)));
        }
        for (from, to) in x.rows().into_iter().zip(rescale(&x).unwrap().values.rows()) {
            prop_assert_eq!(argsort_descending(&from), argsort_descending(&to));
            prop_assert!(to.iter().all(|x| x.abs() <= 1.0));
        }
        let joint = joint_shares(&[&x, &x]).unwrap();
        prop_assert!(joint[0].values.iter().zip(&scaled.values).all(|(&half, &whole)| close(2.0 * half, whole)));
        prop_assert!(difference(&joint[0].values, &joint[1].values).unwrap().iter().all(|x| *x == 0.0));
    }

    #[test]
    fn words_are_all_of_the_tokens(tokens in prop::collection::vec("[▁Ġ#@a-c<>/s\n]{0,4}", 0..12)) {
        for marker in
            [Marker::SentencePiece, Marker::ByteLevel, Marker::WordPiece, Marker::EndOfWord, Marker::Joiner]
        {
            let subwords = Subwords::of(marker);
            let spans = subwords.spans(&tokens);
            prop_assert_eq!(spans.iter().flat_map(Clone::clone).collect::<Vec<_>>(), (0..tokens.len()).collect::<Vec<_>>());
            prop_assert_eq!(subwords.words(&tokens).len(), spans.len());
        }
    }

    #[test]
    fn the_total_survives_the_choice_of_features(x in matrix(), k in 0..10_usize) {
        let names: Vec<String> = (0..x.ncols()).map(|i| i.to_string()).collect();
        for row in x.rows() {
            let top = top_features(&row, &names, k, By::Magnitude).unwrap();
            let chosen: f64 = top.features.iter().map(|feature| feature.value).sum();
            prop_assert!(close(chosen + top.others_sum, row.sum()));
            prop_assert_eq!(top.features.len() + top.others, row.len());
        }
    }

    #[test]
    fn judgements_stay_in_their_ranges_and_follow_permutations(x in matrix(), bits in any::<u64>(), turn in 0..9_usize) {
        let n = x.ncols();
        let mask = Array2::from_shape_fn(x.dim(), |(i, j)| bits >> ((i * n + j) % 64) & 1 == 1);
        let order: Vec<usize> = (0..n).map(|i| (i + turn) % n).collect();
        let (turned, turned_mask) = (x.select(Axis(1), &order), mask.select(Axis(1), &order));
        let limit = (n as f64).ln() + 1e-12;
        prop_assert!(complexity(&x).unwrap().into_iter().flatten().all(|h| (0.0..=limit).contains(&h)));
        for (a, b) in [
            (sparseness(&x, 0.0), sparseness(&turned, 0.0)),
            (relevance_mass_accuracy(&x, &mask, By::Value), relevance_mass_accuracy(&turned, &turned_mask, By::Value)),
            (mask_auc(&x, &mask, By::Magnitude), mask_auc(&turned, &turned_mask, By::Magnitude)),
            (attribution_localisation(&x, &mask, false), attribution_localisation(&turned, &turned_mask, false)),
        ] {
            for (a, b) in a.unwrap().into_iter().zip(b.unwrap()) {
                prop_assert_eq!(a.is_some(), b.is_some());
                prop_assert!(a.zip(b).is_none_or(|(a, b)| close(a, b) && (-1e-12..=1.0 + 1e-12).contains(&a)));
            }
        }
        let ranked = relevance_rank_accuracy(&x, &mask, By::Magnitude).unwrap();
        prop_assert!(ranked.into_iter().flatten().all(|share| (0.0..=1.0).contains(&share)));
    }
}
