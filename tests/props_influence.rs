//! Axioms of influence: parts merge to the whole, ways agree, and what must not matter does not.

use limpid::Seed;
use limpid::influence::{
    Bias, CovarianceAccumulator, Curvature, Damping, EigenBasis, EigenvalueAccumulator, Examples, LayerRows, LayerSpec,
    QuerySettings, Spectral, Strategy, fit_layer,
};
use limpid::math::merge::{Bytes, Merge, Shards};
use limpid::math::random::{below, fill_normal, shuffle};
use ndarray::{Array2, Axis, Slice};
use proptest::prelude::*;

/// Rows of a layer with ragged examples, some of them empty.
struct Data {
    a: Array2<f64>,
    g: Array2<f64>,
    offsets: Vec<usize>,
}

impl Data {
    fn new(seed: u64, item: u64, examples: usize, longest: usize, (d_in, d_out): (usize, usize)) -> Self {
        let mut stream = Seed(seed).stream(1, item);
        let mut offsets = vec![0];
        (0..examples).for_each(|_| offsets.push(offsets[offsets.len() - 1] + below(&mut stream, longest + 1)));
        let rows = offsets[examples];
        let mut noise = |columns: usize| {
            let mut x = Array2::zeros((rows, columns));
            fill_normal(&mut stream, 1.0, x.as_slice_mut().unwrap());
            x
        };
        Self { a: noise(d_in), g: noise(d_out), offsets }
    }

    fn rows(&self) -> LayerRows<'_, f64> {
        LayerRows::new(&self.a, &self.g, Examples::Offsets(&self.offsets)).unwrap().with_bias(Bias::Homogeneous)
    }

    /// Examples `from..to` on their own.
    fn part(&self, from: usize, to: usize) -> Self {
        let rows = Slice::from(self.offsets[from]..self.offsets[to]);
        let cut = |x: &Array2<f64>| x.slice_axis(Axis(0), rows).to_owned();
        let offsets = self.offsets[from..=to].iter().map(|offset| offset - self.offsets[from]).collect();
        Self { a: cut(&self.a), g: cut(&self.g), offsets }
    }
}

fn covariance(data: &Data) -> CovarianceAccumulator {
    let mut state = CovarianceAccumulator::new(LayerSpec::of(0, &data.rows())).unwrap();
    state.update(&data.rows()).unwrap();
    state
}

fn squares(basis: &EigenBasis, data: &Data) -> EigenvalueAccumulator {
    let mut state = EigenvalueAccumulator::new(basis);
    state.update(basis, &data.rows()).unwrap();
    state
}

fn fit(strategy: Strategy, data: &Data) -> Curvature {
    Curvature::fit(strategy, &[data.rows()]).unwrap()
}

fn scores(
    curvature: &Curvature,
    function: &Spectral,
    query: &Data,
    train: &Data,
    settings: &QuerySettings,
) -> Array2<f64> {
    let queries = curvature.queries(function, &[query.rows()], settings).unwrap();
    queries.scores(&[train.rows()]).unwrap()
}

fn close(a: &Array2<f64>, b: &Array2<f64>, tolerance: f64) -> bool {
    let size = b.iter().fold(1.0_f64, |m, x| m.max(x.abs()));
    a.dim() == b.dim() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= tolerance * size)
}

const STRATEGIES: [Strategy; 4] = [Strategy::Identity, Strategy::Diagonal, Strategy::Kfac, Strategy::Ekfac];

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_partition_in_any_order_merges_to_one_pass(seed in 0_u64..1 << 40, examples in 4_usize..30) {
        let data = Data::new(seed, 0, examples, 6, (3, 4));
        prop_assume!(data.a.nrows() > 8);
        let whole = covariance(&data);
        let basis = EigenBasis::new(&whole).unwrap();
        let mut order: Vec<usize> = (0..4).collect();
        shuffle(&mut Seed(seed).stream(2, 0), &mut order);
        let (mut shards, mut lambdas) = ([Shards::default(), Shards::default()], Shards::default());
        for (round, shards) in shards.iter_mut().enumerate() {
            for &shard in if round == 0 { &[0, 1, 2, 3][..] } else { &order } {
                let part = data.part(shard * examples / 4, (shard + 1) * examples / 4);
                let bytes = covariance(&part).to_bytes();
                shards.insert(shard as u64, CovarianceAccumulator::from_bytes(&bytes).unwrap()).unwrap();
                if round == 0 {
                    lambdas.insert(shard as u64, squares(&basis, &part)).unwrap();
                }
            }
        }
        let [ordered, shuffled] = shards.map(|shards| shards.total().unwrap().unwrap());
        prop_assert_eq!(&ordered, &shuffled);
        prop_assert!(close(&ordered.activation().unwrap(), &whole.activation().unwrap(), 1e-12));
        prop_assert!(close(&ordered.gradient().unwrap(), &whole.gradient().unwrap(), 1e-12));
        let lambda = lambdas.total().unwrap().unwrap().eigenvalues().unwrap();
        prop_assert!(close(&lambda, &squares(&basis, &data).eigenvalues().unwrap(), 1e-12));
        let mut doubled = ordered.clone();
        doubled.merge(&shuffled).unwrap();
        prop_assert!(close(&doubled.activation().unwrap(), &whole.activation().unwrap(), 1e-12));
    }

    #[test]
    fn the_correction_is_never_worse_than_a_multiple_of_kfac(seed in 0_u64..1 << 40, examples in 2_usize..20) {
        let data = Data::new(seed, 0, examples, 4, (2, 3));
        prop_assume!(data.a.nrows() > 3);
        let rows = data.rows();
        let mut fisher = Array2::<f64>::zeros((9, 9));
        for e in 0..examples {
            let v = rows.gradient(e).unwrap().into_shape_with_order((9, 1)).unwrap();
            fisher += &(v.dot(&v.t()) / examples as f64);
        }
        let dense = |strategy| fit_layer(LayerSpec::of(0, &rows), strategy, &rows).unwrap().dense().unwrap();
        let (kfac, ekfac) = (dense(Strategy::Kfac), dense(Strategy::Ekfac));
        let error = |c: &Array2<f64>| (&fisher - c).iter().map(|x| x * x).sum::<f64>().sqrt();
        let scale = (&fisher * &kfac).sum() / (&kfac * &kfac).sum();
        prop_assert!(error(&ekfac) <= error(&(kfac * scale)) * (1.0 + 1e-12) + 1e-12);
        // the trace is the mean squared gradient
        prop_assert!((ekfac.diag().sum() - fisher.diag().sum()).abs() <= 1e-10 * (1.0 + fisher.diag().sum()));
    }

    #[test]
    fn tokens_and_layers_sum_to_scores(seed in 0_u64..1 << 40, examples in 3_usize..12) {
        let (first, query) = (Data::new(seed, 0, examples, 5, (4, 3)), Data::new(seed, 1, 3, 5, (4, 3)));
        prop_assume!(first.a.nrows() > 4);
        for strategy in STRATEGIES {
            let curvature = fit(strategy, &first);
            let queries = curvature.queries(&Spectral::default(), &[query.rows()], &QuerySettings::default()).unwrap();
            let whole = queries.scores(&[first.rows()]).unwrap();
            let tokens = queries.token_scores(&[first.rows()]).unwrap();
            let sums = Array2::from_shape_fn(whole.raw_dim(), |(q, e)| {
                (first.offsets[e]..first.offsets[e + 1]).map(|row| tokens[[q, row]]).sum()
            });
            prop_assert!(close(&sums, &whole, 1e-10));
            let layers = queries.layer_scores(&[first.rows()]).unwrap();
            prop_assert!(close(&layers.sum_axis(Axis(0)), &whole, 1e-12));
        }
    }

    #[test]
    fn scores_are_symmetric_and_self_scores_are_not_negative(seed in 0_u64..1 << 40, examples in 3_usize..12) {
        let data = Data::new(seed, 0, examples, 4, (3, 3));
        prop_assume!(data.a.nrows() > 4);
        for strategy in STRATEGIES {
            let curvature = fit(strategy, &data);
            let found = scores(&curvature, &Spectral::default(), &data, &data, &QuerySettings::default());
            prop_assert!(close(&found, &found.t().to_owned(), 1e-9));
            let own = curvature.self_scores(&Spectral::default(), &[data.rows()]).unwrap();
            prop_assert!(own.iter().all(|s| *s >= 0.0));
            prop_assert!(close(&own.insert_axis(Axis(1)), &found.diag().to_owned().insert_axis(Axis(1)), 1e-9));
        }
    }

    #[test]
    fn large_damping_is_a_product_of_gradients(seed in 0_u64..1 << 40) {
        let (data, query) = (Data::new(seed, 0, 8, 4, (3, 2)), Data::new(seed, 1, 2, 4, (3, 2)));
        prop_assume!(data.a.nrows() > 4);
        let plain = scores(&fit(Strategy::Identity, &data), &Spectral::default(), &query, &data, &QuerySettings::default());
        for strategy in [Strategy::Diagonal, Strategy::Kfac, Strategy::Ekfac] {
            let function = Spectral::DampedInverse(Damping::Absolute(1e12));
            let damped = scores(&fit(strategy, &data), &function, &query, &data, &QuerySettings::default());
            prop_assert!(close(&(damped * 1e12), &plain, 1e-8));
        }
    }

    #[test]
    fn low_rank_stays_within_its_certificate(seed in 0_u64..1 << 40, rank in 0_usize..5, back in any::<bool>()) {
        let (data, query) = (Data::new(seed, 0, 10, 5, (3, 4)), Data::new(seed, 1, 3, 5, (3, 4)));
        prop_assume!(data.a.nrows() > 4);
        let curvature = fit(Strategy::Ekfac, &data);
        let full = scores(&curvature, &Spectral::default(), &query, &data, &QuerySettings::default());
        let settings = QuerySettings { rank: Some(rank), train_rows: back.then_some(u64::MAX) };
        let queries = curvature.queries(&Spectral::default(), &[query.rows()], &settings).unwrap();
        let (cut, bound) = (queries.scores(&[data.rows()]).unwrap(), queries.rank_error(&[data.rows()]).unwrap());
        let size = full.iter().fold(1.0_f64, |m, x| m.max(x.abs()));
        let within = cut.iter().zip(&full).zip(&bound).all(|((a, b), e)| (a - b).abs() <= e * (1.0 + 1e-9) + 1e-9 * size);
        prop_assert!(within);
        prop_assert!(rank < 4 || close(&cut, &full, 1e-9));
    }

    #[test]
    fn the_scale_of_a_loss_does_not_matter_under_relative_damping(seed in 0_u64..1 << 40, c in 0.01_f64..100.0) {
        let (data, query) = (Data::new(seed, 0, 8, 4, (3, 2)), Data::new(seed, 1, 2, 4, (3, 2)));
        prop_assume!(data.a.nrows() > 4);
        let scaled = |data: &Data| Data { a: data.a.clone(), g: &data.g * c, offsets: data.offsets.clone() };
        let (large, large_query) = (scaled(&data), scaled(&query));
        for strategy in [Strategy::Diagonal, Strategy::Kfac, Strategy::Ekfac] {
            let found = scores(&fit(strategy, &data), &Spectral::default(), &query, &data, &QuerySettings::default());
            let settings = QuerySettings::default();
            let other = scores(&fit(strategy, &large), &Spectral::default(), &large_query, &large, &settings);
            prop_assert!(close(&other, &found, 1e-8));
        }
    }

    #[test]
    fn padding_that_is_masked_changes_nothing(seed in 0_u64..1 << 40) {
        let data = Data::new(seed, 0, 6, 4, (3, 2));
        prop_assume!(data.a.nrows() > 4);
        let extra = Data::new(seed, 9, 1, 0, (3, 2));
        prop_assert_eq!(extra.a.nrows(), 0);
        let pad = |x: &Array2<f64>| {
            let mut padded = Array2::from_elem((2 * x.nrows(), x.ncols()), 7.0);
            x.rows().into_iter().enumerate().for_each(|(i, row)| padded.row_mut(2 * i).assign(&row));
            padded
        };
        let (a, g) = (pad(&data.a), pad(&data.g));
        let offsets: Vec<usize> = data.offsets.iter().map(|offset| 2 * offset).collect();
        let mask: Vec<bool> = (0..a.nrows()).map(|row| row % 2 == 0).collect();
        let padded = LayerRows::new(&a, &g, Examples::Offsets(&offsets)).unwrap().with_bias(Bias::Homogeneous);
        let padded = padded.with_mask(&mask).unwrap();
        let curvature = fit(Strategy::Ekfac, &data);
        prop_assert_eq!(&Curvature::fit(Strategy::Ekfac, std::slice::from_ref(&padded)).unwrap(), &curvature);
        let queries = curvature.queries(&Spectral::default(), &[data.rows()], &QuerySettings::default()).unwrap();
        prop_assert_eq!(queries.scores(&[padded]).unwrap(), queries.scores(&[data.rows()]).unwrap());
    }
}

#[test]
fn independent_factors_make_kfac_exact() {
    // every activation beside every gradient
    let (a, g) = (Data::new(5, 0, 1, 9, (2, 2)).a, Data::new(6, 0, 1, 9, (2, 2)).g);
    let (m, n) = (a.nrows().max(1), g.nrows().max(1));
    let all_a = Array2::from_shape_fn((m * n, 2), |(row, j)| a[[row / n, j]]);
    let all_g = Array2::from_shape_fn((m * n, 2), |(row, j)| g[[row % n, j]]);
    let rows = LayerRows::new(&all_a, &all_g, Examples::EachRow).unwrap();
    let mut fisher = Array2::<f64>::zeros((4, 4));
    for e in 0..m * n {
        let v = rows.gradient(e).unwrap().into_shape_with_order((4, 1)).unwrap();
        fisher += &(v.dot(&v.t()) / (m * n) as f64);
    }
    let kfac = fit_layer(LayerSpec::of(0, &rows), Strategy::Kfac, &rows).unwrap().dense().unwrap();
    assert!(close(&kfac, &fisher, 1e-12));
}
