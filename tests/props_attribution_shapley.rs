//! The axioms of Shapley values and their kin on random games, and what sampling promises.

use limpid::attribution::perturbation::{
    Absent, Banzhaf, Cached, Coalitions, ExactShapley, Game, GameAttribution, GameFunction, KernelShap, NeymanShapley,
    Owen, Partition, Removal, Sampling, Shapley, Summary, Table, UnbiasedKernelShap, Walks,
};
use limpid::attribution::target::Logit;
use limpid::attribution::{Baseline, Batch, Explainer, Network, Status};
use limpid::math::pointwise::Activation;
use limpid::{Scalar, Seed};
use ndarray::{Array1, Array2, ArrayRef2};
use proptest::prelude::*;

/// Worth of all coalitions of `players`.
fn worth(players: usize) -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(-10.0..10.0_f64, 1 << players)
}

fn table(worth: &[f64]) -> Table<f64> {
    Table::single(Array1::from(worth.to_vec())).unwrap()
}

fn exact(worth: &[f64]) -> Array1<f64> {
    ExactShapley::default().of(&mut table(worth)).unwrap().values.column(0).to_owned()
}

/// Shapley values, subset by subset.
fn naive(worth: &[f64]) -> Array1<f64> {
    let players = worth.len().trailing_zeros() as usize;
    let factorial = |k: usize| (1..=k).map(|i| i as f64).product::<f64>();
    let value = |player: usize| {
        let without = (0..worth.len()).filter(|mask| mask >> player & 1 == 0);
        without
            .map(|mask| {
                let k = mask.count_ones() as usize;
                let weight = factorial(k) * factorial(players - k - 1) / factorial(players);
                weight * (worth[mask | 1 << player] - worth[mask])
            })
            .sum()
    };
    (0..players).map(value).collect()
}

fn close(a: &Array1<f64>, b: &Array1<f64>, tolerance: f64) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= tolerance)
}

fn sampling(budget: u64, seed: u64) -> Sampling {
    Sampling { budget, exact: false, seed: Seed(seed), ..Sampling::default() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_gray_code_is_the_sum_over_subsets(worth in (1..7_usize).prop_flat_map(worth)) {
        prop_assert!(close(&exact(&worth), &naive(&worth), 1e-12));
    }

    #[test]
    fn values_add_up(worth in worth(5), seed in 0..1000_u64) {
        let gain = worth[31] - worth[0];
        let of = |found: GameAttribution<f64>| found.values.sum();
        let mut game = table(&worth);
        for walks in [Walks::Independent, Walks::Antithetic, Walks::LatinSquare, Walks::Orthogonal] {
            let found = Shapley { walks, sampling: sampling(60, seed) }.of(&mut game).unwrap();
            prop_assert!((of(found) - gain).abs() < 1e-11);
        }
        let kernel = KernelShap { budget: Some(28), seed: Seed(seed) };
        prop_assert!((of(kernel.of(&mut game).unwrap()) - gain).abs() < 1e-10);
        let unbiased = UnbiasedKernelShap { sampling: sampling(20, seed), ..UnbiasedKernelShap::default() };
        prop_assert!((of(unbiased.of(&mut game).unwrap()) - gain).abs() < 1e-10);
        let neyman = NeymanShapley { sampling: sampling(60, seed), ..NeymanShapley::default() };
        prop_assert!((of(neyman.of(&mut game).unwrap()) - gain).abs() < 1e-10);
        prop_assert!((of(Owen::new(vec![0, 1, 0, 2, 1]).of(&mut game).unwrap()) - gain).abs() < 1e-11);
        let tree = Partition { budget: 2 + seed % 30, ..Partition::default() };
        prop_assert!((of(tree.of(&mut game).unwrap()) - gain).abs() < 1e-11);
    }

    #[test]
    fn a_dummy_gets_what_it_brings(worth in worth(4), brings in -5.0..5.0_f64, seed in 0..1000_u64) {
        // player 4 adds the same to every coalition
        let with: Vec<f64> = worth.iter().copied().chain(worth.iter().map(|v| v + brings)).collect();
        prop_assert!((exact(&with)[4] - brings).abs() < 1e-12);
        let mut game = table(&with);
        let found = Shapley { sampling: sampling(60, seed), ..Shapley::default() }.of(&mut game).unwrap();
        prop_assert!((found.values[[4, 0]] - brings).abs() < 1e-12);
        let found = Banzhaf::default().of(&mut game).unwrap();
        prop_assert!((found.values[[4, 0]] - brings).abs() < 1e-12);
        let found = Owen::new(vec![0, 1, 1, 0, 1]).of(&mut game).unwrap();
        prop_assert!((found.values[[4, 0]] - brings).abs() < 1e-12);
        let found = Partition::default().of(&mut game).unwrap();
        prop_assert!((found.values[[4, 0]] - brings).abs() < 1e-12);
    }

    #[test]
    fn who_is_alike_gets_alike(worth in worth(4)) {
        // players 0 and 1 change places
        let swapped = |mask: usize| mask & !3 | (mask & 1) << 1 | mask >> 1 & 1;
        let symmetric: Vec<f64> = (0..16).map(|mask| worth[mask] + worth[swapped(mask)]).collect();
        let values = exact(&symmetric);
        prop_assert!((values[0] - values[1]).abs() < 1e-12);
        let banzhaf = Banzhaf::default().of(&mut table(&symmetric)).unwrap().values;
        prop_assert!((banzhaf[[0, 0]] - banzhaf[[1, 0]]).abs() < 1e-12);
    }

    #[test]
    fn sums_of_games_have_sums_of_values((first, second) in (worth(5), worth(5)), scale in -3.0..3.0_f64) {
        let sum: Vec<f64> = first.iter().zip(&second).map(|(a, b)| a + scale * b).collect();
        prop_assert!(close(&exact(&sum), &(exact(&first) + exact(&second) * scale), 1e-11));
    }

    #[test]
    fn the_regression_over_all_coalitions_is_exact(worth in (1..8_usize).prop_flat_map(worth)) {
        let found = KernelShap::default().of(&mut table(&worth)).unwrap();
        prop_assert_eq!(found.status, Status::Exact);
        prop_assert!(close(&found.values.column(0).to_owned(), &exact(&worth), 1e-10));
    }

    #[test]
    fn a_cache_changes_nothing(worth in worth(5), seed in 0..1000_u64, limit in 0..40_usize) {
        let method = UnbiasedKernelShap { sampling: sampling(200, seed), ..UnbiasedKernelShap::default() };
        let mut cached = Cached::new(table(&worth), limit);
        prop_assert_eq!(method.of(&mut cached).unwrap(), method.of(&mut table(&worth)).unwrap());
        prop_assert!(cached.evaluations() <= 200);
    }
}

fn network<T: Scalar>() -> Network<T> {
    let weight = |rows: usize, columns: usize, shift: f64| {
        Array2::from_shape_fn((rows, columns), |(i, j)| T::of((shift + 1.3 * i as f64 + 0.7 * (j * j) as f64).sin()))
    };
    let network = Network::new(8).linear(weight(6, 8, 0.0), None).unwrap();
    network.activation(Activation::Gelu).unwrap().linear(weight(2, 6, 1.0), None).unwrap()
}

fn input() -> Array2<f64> {
    Array2::from_shape_fn((3, 8), |(i, j)| (0.9 * i as f64 + 1.1 * j as f64).cos())
}

/// Every stochastic method, with a budget that leaves something to chance.
fn explained<S: Summary<f64> + std::fmt::Debug>(
    method: S,
    batch: Batch,
    k: usize,
) -> limpid::attribution::Attribution<f64> {
    let background = Array2::from_shape_fn((k, 8), |(i, j)| 0.1 * i as f64 - 0.05 * j as f64);
    let removal = Removal { absent: Absent::Background(background), batch, ..Removal::default() };
    let mut found = method.by_removal(removal).attribute(&mut network(), &input(), &Logit::of(1)).unwrap();
    found.options.clear();
    found
}

#[test]
fn the_batch_changes_no_bit() {
    let wide = sampling(100, 5);
    for batch in [Batch::Rows(1), Batch::Rows(3), Batch::Rows(7)] {
        for walks in [Walks::Independent, Walks::Antithetic, Walks::LatinSquare, Walks::Orthogonal] {
            let method = Shapley { walks, sampling: wide };
            assert_eq!(explained(method, batch, 3), explained(method, Batch::Auto, 3));
        }
        let stops =
            Shapley { sampling: Sampling { tolerance: Some(0.05), budget: 5000, ..wide }, ..Shapley::default() };
        assert_eq!(explained(stops, batch, 1), explained(stops, Batch::Auto, 1));
        let kernel = KernelShap { budget: Some(100), seed: Seed(5) };
        assert_eq!(explained(kernel, batch, 2), explained(kernel, Batch::Auto, 2));
        let unbiased = UnbiasedKernelShap { sampling: wide, ..UnbiasedKernelShap::default() };
        assert_eq!(explained(unbiased, batch, 2), explained(unbiased, Batch::Auto, 2));
        let neyman = NeymanShapley { sampling: wide, ..NeymanShapley::default() };
        assert_eq!(explained(neyman, batch, 2), explained(neyman, Batch::Auto, 2));
        let banzhaf = Banzhaf { sampling: wide, ..Banzhaf::default() };
        assert_eq!(explained(banzhaf, batch, 2), explained(banzhaf, Batch::Auto, 2));
        let tree = Partition { budget: 50, ..Partition::default() };
        assert_eq!(explained(tree.clone(), batch, 2), explained(tree, Batch::Auto, 2));
        assert_eq!(explained(ExactShapley::default(), batch, 2), explained(ExactShapley::default(), Batch::Auto, 2));
    }
}

#[test]
fn groups_are_players() {
    // a group of two features is the one player of the game in which they come together
    let groups = vec![0, 1, 1, 2, 3, 0, 2, 4];
    let removal =
        Removal { groups: Some(groups.clone()), absent: Baseline::from(Array1::zeros(8)).into(), ..Removal::default() };
    let found = ExactShapley::default().by_removal(removal).attribute(&mut network(), &input(), &Logit::of(0)).unwrap();
    for (row, x) in input().rows().into_iter().enumerate() {
        let of = |coalitions: &Coalitions, out: &mut ArrayRef2<f64>| {
            for (coalition, out) in coalitions.iter().zip(out.iter_mut()) {
                let masked =
                    Array2::from_shape_fn((1, 8), |(_, j)| if coalition.contains(groups[j]) { x[j] } else { 0.0 });
                let mut z = Array2::zeros((1, 2));
                limpid::attribution::Forward::forward(&mut network(), &masked, &mut z)?;
                *out = z[[0, 0]];
            }
            Ok::<(), limpid::Error>(())
        };
        let game = ExactShapley::default().of(&mut GameFunction::new((5, 1), of)).unwrap();
        for (feature, &group) in groups.iter().enumerate() {
            assert!((found.values[[row, feature]] - game.values[[group, 0]]).abs() < 1e-13);
        }
    }
    assert!(found.delta.unwrap().iter().all(|delta| delta.abs() < 1e-13));
    assert_eq!(found.evaluations.forward, 3 * 32);
}

/// How often intervals of 95 % hold the exact value, over all players of many runs.
fn coverage(players: usize, of: impl Fn(u64, &mut Table<f64>) -> GameAttribution<f64>) -> f64 {
    let worth: Vec<f64> = (0..1 << players)
        .map(|i: usize| (1.7 * (i * i) as f64 + 0.3).sin() + 0.3 * f64::from(i.count_ones()))
        .collect();
    let exact = exact(&worth);
    let (mut held, mut total) = (0, 0);
    for seed in 0..400 {
        let found = of(seed, &mut table(&worth));
        assert!(found.units >= 20, "{}", found.units);
        let (low, high) = found.interval(0.95).unwrap().unwrap();
        held += (0..players).filter(|&i| low[[i, 0]] <= exact[i] && exact[i] <= high[[i, 0]]).count();
        total += players;
    }
    f64::from(u32::try_from(held).unwrap()) / total as f64
}

#[test]
fn intervals_of_95_percent_hold_in_95_percent() {
    let mut shares = Vec::new();
    for walks in [Walks::Independent, Walks::Antithetic, Walks::LatinSquare, Walks::Orthogonal] {
        shares.push((
            format!("{walks:?}"),
            coverage(6, |seed, game| Shapley { walks, sampling: sampling(500, seed) }.of(game).unwrap()),
        ));
    }
    for paired in [false, true] {
        let method = |seed| UnbiasedKernelShap { paired, sampling: sampling(200, seed) };
        shares.push((format!("unbiased, paired {paired}"), coverage(6, |seed, game| method(seed).of(game).unwrap())));
    }
    for (name, share) in &shares {
        assert!((0.93..=0.975).contains(share), "{name}: {share}");
    }
}

#[test]
fn intervals_of_a_fit_hold_too() {
    // the fit and the two-stage allocation are unbiased in the limit only
    let kernel = coverage(9, |seed, game| KernelShap { budget: Some(300), seed: Seed(seed) }.of(game).unwrap());
    let neyman = coverage(6, |seed, game| {
        NeymanShapley { sampling: sampling(600, seed), ..NeymanShapley::default() }.of(game).unwrap()
    });
    assert!((0.90..=0.99).contains(&kernel) && (0.92..=0.98).contains(&neyman), "kernel {kernel}, neyman {neyman}");
}

#[test]
fn games_of_several_numbers_are_explained_together() {
    let values = Array2::from_shape_fn((16, 3), |(i, j)| ((i * i + j) as f64).sin());
    let together = ExactShapley::default().of(&mut Table::new(values.clone()).unwrap()).unwrap();
    assert_eq!(Game::<f64>::n_values(&Table::new(values.clone()).unwrap()), 3);
    for (j, column) in values.columns().into_iter().enumerate() {
        assert!(close(&exact(&column.to_vec()), &together.values.column(j).to_owned(), 1e-13));
    }
}
