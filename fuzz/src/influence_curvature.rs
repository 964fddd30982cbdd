//! Curvature and scores of any rows, and any bytes as the state of each accumulator: no panic, no hang, no unbounded allocation.

use crate::source::Source;
use arbitrary::Unstructured;
use limpid::influence::estimators::GramAccumulator;
use limpid::influence::{
    Bias, CovarianceAccumulator, CovarianceSettings, Curvature, Damping, EigenBasis, EigenvalueAccumulator, End,
    Examples, LayerCurvature, LayerRows, LayerSpec, QuerySettings, Spectral, Strategy, Structure, TopK, TrueFisherRows,
};
use limpid::math::eigen::{symmetric_eigen, tridiagonal_eigen};
use limpid::math::merge::{Bytes, Merge};

/// Does what these bytes say.
pub fn fuzz(bytes: &[u8]) {
    let Some((&kind, rest)) = bytes.split_first() else { return };
    match kind % 8 {
        0 => state::<CovarianceAccumulator>(rest),
        1 => state::<EigenvalueAccumulator>(rest),
        2 => state::<TopK>(rest),
        3 => eigen(&mut Source(Unstructured::new(rest))),
        4 => fisher(&mut Source(Unstructured::new(rest))),
        5 => {
            if let Ok(basis) = EigenBasis::from_bytes(rest) {
                assert_eq!(basis.to_bytes(), rest);
            }
        }
        6 => state::<GramAccumulator>(rest),
        _ => influence(&mut Source(Unstructured::new(rest))),
    }
}

/// What can be read is written to the same bytes, and merges with itself.
fn state<A: Bytes + Merge + Clone>(bytes: &[u8]) {
    let Ok(read) = A::from_bytes(bytes) else { return };
    assert_eq!(read.to_bytes(), bytes);
    let mut twice = read.clone();
    let _ = twice.merge(&read);
}

fn eigen(source: &mut Source<'_>) {
    let n = source.below(12);
    let columns = source.near(n);
    let a = source.matrix::<f64>(n, columns);
    if let Ok(eigen) = symmetric_eigen(&a) {
        assert!(eigen.values.len() == a.nrows() && eigen.vectors.iter().all(|x| x.is_finite()));
    }
    let (d, e) = (source.vector::<f64>(n), n.saturating_sub(1));
    let e = source.near(e);
    let _ = tridiagonal_eigen(&d, &source.vector::<f64>(e));
}

fn fisher(source: &mut Source<'_>) {
    let (n, d, c) = (source.below(5), source.below(4), source.below(5));
    let rows = source.near(n);
    let (a, logits) = (source.matrix::<f64>(n, d), source.matrix::<f64>(rows, c));
    if let Ok(fisher) = TrueFisherRows::new(&a, &logits) {
        let _ = fisher.rows().map(|rows| Curvature::fit(Strategy::Ekfac, &[rows]));
    }
    let seed = source.seed();
    let _ = limpid::influence::sample_labels(&logits, seed, source.count() as u64);
}

fn function(source: &mut Source<'_>) -> Spectral {
    let value = source.number();
    let damping = source.pick(&[Damping::Absolute(value), Damping::RelativeMean(value), Damping::Factored(value)]);
    let steps = source.count() as u64;
    source.pick(&[
        Spectral::DampedInverse(damping),
        Spectral::InverseSqrt(damping),
        Spectral::Power(source_power(value), damping),
        Spectral::PseudoInverse { relative: value },
        Spectral::Tikhonov { relative: value },
        Spectral::Source { rate: value, steps },
        Spectral::Decay { rate: value, steps },
    ])
}

fn source_power(value: f64) -> f64 {
    if value.is_finite() { value % 4.0 } else { value }
}

fn influence(source: &mut Source<'_>) {
    let (n, d_in, d_out, examples) = (source.below(9), source.below(5), source.below(5), source.below(5));
    let g_rows = source.near(n);
    let (a, g) = (source.matrix::<f64>(n, d_in), source.matrix::<f64>(g_rows, d_out));
    let length = source.near(n);
    let example: Vec<usize> = (0..length).map(|_| source.below(examples + 1)).collect();
    let mut offsets: Vec<usize> = (0..=examples).map(|_| source.below(n + 2)).collect();
    if source.flag() {
        offsets.sort_unstable();
    }
    let examples = source.pick(&[
        Examples::EachRow,
        Examples::Offsets(&offsets),
        Examples::Index { example: &example, n: examples },
    ]);
    let length = source.near(n);
    let mask: Vec<bool> = (0..length).map(|_| source.flag()).collect();
    let weight = source.vector::<f64>(n).to_vec();
    let Ok(mut rows) = LayerRows::new(&a, &g, examples) else { return };
    rows = rows.with_bias(source.pick(&[Bias::None, Bias::Homogeneous]));
    if source.flag() {
        let Ok(masked) = rows.with_mask(&mask) else { return };
        rows = masked;
    }
    if source.flag() {
        let Ok(weighted) = rows.with_weight(&weight) else { return };
        rows = weighted;
    }
    let (gram, norms) = (rows.gram(&rows), rows.squared_norms());
    assert!(gram.is_ok() && norms.is_ok());
    parts(source, &rows);
    scores(source, &rows);
}

fn parts(source: &mut Source<'_>, rows: &LayerRows<'_, f64>) {
    let structure = source.pick(&[Structure::Full, Structure::Diagonal, Structure::Blocks(source_block(rows.d_in()))]);
    let settings = CovarianceSettings { activation: structure, gradient: structure, ..CovarianceSettings::default() };
    let Ok(mut covariance) = CovarianceAccumulator::with_settings(LayerSpec::of(1, rows), &settings) else { return };
    if covariance.update(rows).is_err() {
        return;
    }
    assert_eq!(CovarianceAccumulator::from_bytes(&covariance.to_bytes()).as_ref(), Ok(&covariance));
    let Ok(basis) = EigenBasis::new(&covariance) else { return };
    let mut squares = EigenvalueAccumulator::new(&basis);
    if squares.update(&basis, rows).is_ok() {
        assert_eq!(EigenvalueAccumulator::from_bytes(&squares.to_bytes()).as_ref(), Ok(&squares));
        let function = function(source);
        let _ = LayerCurvature::ekfac(basis, &squares).map(|c| c.preconditioner(&function).map(|p| p.quad(rows)));
    }
}

fn source_block(d: usize) -> usize {
    d / 2
}

fn scores(source: &mut Source<'_>, rows: &LayerRows<'_, f64>) {
    let strategy = source.pick(&[Strategy::Identity, Strategy::Diagonal, Strategy::Kfac, Strategy::Ekfac]);
    let Ok(curvature) = Curvature::fit(strategy, std::slice::from_ref(rows)) else { return };
    let rank = source.flag().then(|| source.below(5));
    let settings = QuerySettings { rank, train_rows: source.flag().then(|| source.count() as u64) };
    let Ok(queries) = curvature.queries(&function(source), std::slice::from_ref(rows), &settings) else { return };
    let train = std::slice::from_ref(rows);
    assert!(queries.scores(train).is_ok() && queries.token_scores(train).is_ok());
    let (k, end) = (source.below(4), source.pick(&[End::Largest, End::Smallest, End::Magnitude]));
    if let Ok(mut top) = TopK::new(queries.len(), k, end) {
        let _ = queries.scan(train, source.count() as u64, &mut top);
        assert_eq!(TopK::from_bytes(&top.to_bytes()).as_ref(), Ok(&top));
    }
}
