//! Collection over a corpus, and any bytes as the state of each accumulator: no panic, no hang, no unbounded allocation.

use crate::source::Source;
use arbitrary::Unstructured;
use limpid::explanation::collect::{
    Batch, CollectSettings, Collector, HashSample, LogHistogram, NeuronMoments, QuantileSketch, SparseActivation,
    TokenCounts, TokenTable, TopActivations,
};
use limpid::explanation::discretize::{Rounding, discretize};
use limpid::explanation::quantiles::{RankTable, TailQuantiles, linear, value_intervals};
use limpid::explanation::slices::{interleaved, random_parts, rank_groups, value_groups};
use limpid::math::merge::{Bytes, Merge};
use ndarray::Array3;

/// Does what these bytes say.
pub fn fuzz(bytes: &[u8]) {
    let Some((&kind, rest)) = bytes.split_first() else { return };
    match kind % 10 {
        0 => state::<Collector>(rest),
        1 => state::<TopActivations>(rest),
        2 => state::<HashSample>(rest),
        3 => state::<LogHistogram>(rest),
        4 => state::<QuantileSketch>(rest),
        5 => state::<TokenTable>(rest),
        6 => state::<TokenCounts>(rest),
        7 => state::<NeuronMoments>(rest),
        8 => collect(&mut Source(Unstructured::new(rest))),
        _ => conventions(&mut Source(Unstructured::new(rest))),
    }
}

/// What can be read is written to the same bytes, and merges with itself.
fn state<A: Bytes + Merge + Clone>(bytes: &[u8]) {
    let Ok(read) = A::from_bytes(bytes) else { return };
    assert_eq!(read.to_bytes(), bytes);
    let mut twice = read.clone();
    let _ = twice.merge(&read);
    assert!(A::from_bytes(&twice.to_bytes()).is_ok());
}

fn settings(source: &mut Source<'_>) -> CollectSettings {
    CollectSettings {
        positive: source.below(4),
        negative: source.below(3),
        magnitude: source.below(3),
        random: source.below(3),
        active: source.below(3),
        moments: source.flag(),
        lowest: -(source.below(20) as i32),
        octaves: source.below(40),
        quantile_bits: source.flag().then(|| source.below(12) as u32),
        vocabulary: source.flag().then(|| source.count().min(1 << 20)),
        seed: source.seed(),
    }
}

fn collect(source: &mut Source<'_>) {
    let settings = settings(source);
    let (b, t, n) = (source.below(4), source.below(5), source.below(9));
    let (Ok(mut dense), Ok(mut sparse)) = (Collector::new(n, settings, 0), Collector::new(n, settings, 1)) else {
        return;
    };
    let x: Array3<f64> = Array3::from_shape_simple_fn((b, t, n), || source.number());
    let documents: Vec<u64> = (0..source.near(b) as u64).collect();
    let tokens = source.matrix::<f64>(b, t).mapv(|x| x.abs() as u32);
    let mask = source.matrix::<f64>(b, t).mapv(|x| x > 0.0);
    let batch =
        Batch { documents: &documents, mask: Some(mask.view()), tokens: Some(tokens.view()), ..Batch::default() };
    let entries: Vec<SparseActivation<f64>> = x
        .indexed_iter()
        .filter(|(_, value)| **value != 0.0)
        .map(|((row, at, neuron), &value)| SparseActivation {
            row: row as u32,
            at: at as u32,
            neuron: neuron as u32,
            value,
        })
        .collect();
    let (first, second) = (dense.update(&x, &batch), sparse.update_sparse(&entries, (b, t), &batch));
    assert_eq!(first, second);
    assert_eq!(dense.neurons(), sparse.neurons());
    for neuron in dense.neurons() {
        let _ = (neuron.moments().skewness(), neuron.moments().excess_kurtosis(), neuron.density());
        let _ = neuron.quantiles().map(|quantiles| quantiles.quantile(source.share()));
    }
    assert_eq!(Collector::from_bytes(&dense.to_bytes()).as_ref(), Ok(&dense));
    dense.merge(&sparse).expect("they belong together");
}

fn conventions(source: &mut Source<'_>) {
    let n = source.length();
    let x = source.vector::<f64>(n);
    let m = source.length();
    let query = source.shares::<f64>(m);
    let rounding = source.pick(&[Rounding::Floor, Rounding::FloorCompat, Rounding::CeilCompat, Rounding::Nearest]);
    let levels = source.count() as u32;
    if let Ok(digits) = discretize(&x, source.number(), levels, rounding) {
        assert!(digits.iter().all(|digit| *digit <= levels));
    }
    let _ = (linear(&x, &query), value_intervals(&x, source.count()), value_groups(&x, source.count().min(1000)));
    let _ = TailQuantiles::new(source.count() as u64, &x, &query).map(|tails| tails.quantile(source.share()));
    let _ = RankTable::new(&x).map(|table| table.rank(source.number()));
    let (top, random) = (source.count().min(1 << 30), source.count().min(1 << 30));
    let _ = interleaved(top, random, source.flag().then(|| source.count()));
    let _ = random_parts(source.length(), &[source.count(), source.count()], source.seed());
    let _ = rank_groups(source.length(), source.count().min(1 << 30));
}
