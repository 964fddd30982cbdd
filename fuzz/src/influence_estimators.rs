//! Estimators of influence on any rows, hostile operators, any settings and documents: no panic, no hang, no unbounded
//! allocation.

use crate::source::Source;
use arbitrary::Unstructured;
use limpid::Error;
use limpid::influence::estimators::{
    Checkpoint, Complement, ConjugateGradient, Damped, DualFisher, Entries, FisherOperator, GramAccumulator, GramSpec,
    Lanczos, Lissa, LissaDamping, LissaScale, LoGra, LoGraInit, LoGraProjection, Margins, OperatorFn, Projection,
    ProjectionId, Similarity, TrackStar, Trak, TrakQueries, datainf, gradients, most_similar, similarity, tracin,
    tracin_embeddings, tracin_self,
};
use limpid::influence::evaluate::{
    LinearInfluence, LinearLoss, Measured, RemovalCurve, fact_tracing, leave_one_out_agreement,
    linear_datamodeling_score, mislabel_detection, removal_curve,
};
use limpid::influence::prefilter::{DocumentCounts, Prefilter, Weighting};
use limpid::influence::{Bias, CovarianceAccumulator, Damping, EigenBasis, Examples, LayerRows, LayerSpec};
use limpid::math::merge::{Bytes, Merge};
use ndarray::{Array2, ArrayRef1};

/// Does what these bytes say.
pub fn fuzz(bytes: &[u8]) {
    let Some((&kind, rest)) = bytes.split_first() else { return };
    let mut source = Source(Unstructured::new(rest));
    match kind % 6 {
        0 => document_counts(rest),
        1 => operators(&mut source),
        2 => evaluation(&mut source),
        3 => prefilter(&mut source),
        4 => features(&mut source),
        _ => rows(&mut source),
    }
}

fn document_counts(bytes: &[u8]) {
    let Ok(read) = DocumentCounts::from_bytes(bytes) else { return };
    assert_eq!(read.to_bytes(), bytes);
    let mut twice = read.clone();
    let _ = twice.merge(&read);
    assert!(DocumentCounts::from_bytes(&twice.to_bytes()).is_ok());
}

fn damping(source: &mut Source<'_>) -> Damping {
    let value = source.number();
    source.pick(&[Damping::Absolute(value), Damping::RelativeMean(value), Damping::Factored(value)])
}

fn projection(source: &mut Source<'_>) -> Projection {
    let entries = source.pick(&[Entries::Rademacher, Entries::Normal]);
    Projection { seed: source.seed(), entries, k: source.count() }
}

fn lissa(source: &mut Source<'_>) -> Lissa {
    let (damping, scale): (f64, f64) = (source.number(), source.number());
    Lissa {
        damping: source.pick(&[LissaDamping::Added(damping), LissaDamping::Shrinking(damping)]),
        scale: source.pick(&[LissaScale::Auto, LissaScale::Fixed(scale)]),
        steps: source.below(30),
        batch: source.below(4),
        repeats: source.below(3),
        seed: source.seed(),
    }
}

/// Matrices of any numbers, not symmetric, and operators that fail or write what they like.
fn operators(source: &mut Source<'_>) {
    let n = source.length();
    let (matrix, b) = (source.matrix::<f64>(n, n), source.vector::<f64>(n));
    let cg = ConjugateGradient { tolerance: source.number(), max_iterations: source.below(40) };
    let _ = cg.solve(matrix.clone(), &b);
    let _ = cg.solve_preconditioned(matrix.clone(), source.matrix(n, n), &b);
    let _ = lissa(source).solve(matrix.clone(), &b);
    let lanczos = Lanczos { steps: source.count(), keep: source.count(), seed: source.seed() };
    let _ = lanczos.run_from(matrix.clone(), &b);
    if let Ok(found) = lanczos.run(matrix) {
        let complement = source.pick(&[Complement::Kept, Complement::Dropped]);
        let _ = found.solve(&source.matrix(2, n), source.number(), complement);
    }
    let mut left = source.below(6);
    let hostile = |x: &ArrayRef1<f64>, out: &mut ArrayRef1<f64>| -> Result<(), Error> {
        left = left.checked_sub(1).ok_or(Error::Unsupported { what: "more products" })?;
        out.iter_mut().zip(x).for_each(|(out, x)| *out = source.number::<f64>() * x);
        Ok(())
    };
    let mut hostile = OperatorFn::new(n, hostile);
    let _ = cg.solve(&mut hostile, &b);
    let _ = lanczos.run(&mut hostile);
}

fn evaluation(source: &mut Source<'_>) {
    let (q, n, m) = (source.length(), source.length(), source.length());
    let scores = source.matrix::<f64>(q, n);
    let masks = source.matrix::<f64>(m, n).mapv(|x| x > 0.0);
    let measured = source.pick(&[Measured::Loss, Measured::Output]);
    if let Ok(found) = linear_datamodeling_score(&scores, &masks, &source.matrix(m, q), measured) {
        let _ = found.interval(source.share(), source.count().min(100), source.seed());
    }
    let _ = leave_one_out_agreement(&scores, &source.matrix(q, n));
    let _ = fact_tracing(&scores, &source.matrix::<f64>(q, n).mapv(|x| x > 0.0), &[source.count(), source.count()]);
    let suspicion = source.vector::<f64>(n);
    let flipped: Vec<bool> = source.vector::<f64>(n).iter().map(|x| *x > 0.0).collect();
    let _ = mislabel_detection(&suspicion, &flipped, &[source.count()]).map(|found| found.recall());
    let curve =
        RemovalCurve { counts: vec![source.count(), source.below(4)], random: source.below(3), seed: source.seed() };
    let _ = removal_curve(&suspicion, &curve, |_| Ok::<_, Error>(source.number()));
    let loss = source.pick(&[LinearLoss::Squared, LinearLoss::Logistic]);
    let (x, y, theta) = (source.matrix::<f32>(n, m), source.vector(n), source.vector(m));
    if let Ok(found) = LinearInfluence::new(loss, &x, &y, source.number(), &theta) {
        let (query, targets) = (source.matrix::<f32>(q, m), source.vector(q));
        let _ = (found.scores(&query, &targets), found.loss_change(&query, &targets));
        let _ = (found.self_scores(), found.first_order(), found.one_step(source.count()));
    }
}

fn prefilter(source: &mut Source<'_>) {
    let mut documents = || -> Vec<Vec<u64>> {
        (0..source.length()).map(|_| (0..source.below(6)).map(|_| source.count() as u64).collect()).collect()
    };
    let (counted, scored, queries) = (documents(), documents(), documents());
    let mut counts = DocumentCounts::default();
    counts.update(&counted);
    let weighting =
        Weighting::TfIdf { smooth_idf: source.flag(), sublinear_tf: source.flag(), normalise: source.flag() };
    let filter = Prefilter::new(&counts, source.pick(&[Weighting::Bm25Presence, weighting]));
    let scores = filter.scores(&queries, &scored).expect("few");
    assert!(scores.iter().all(|score| score.is_finite()));
    let _ = filter.top(&queries, &scored, source.count());
}

fn features(source: &mut Source<'_>) {
    let (q, n, k) = (source.length(), source.length(), source.length());
    if let Ok(mut trak) = Trak::new(q, n, source.number()) {
        let _ = trak.add(&source.matrix::<f64>(n, k), &source.matrix(q, k), &source.vector(n));
        let _ = trak.scores();
        let _ = shard(source, &mut trak, (q, n, k));
    }
    let labels: Vec<usize> = (0..n).map(|_| source.count()).collect();
    let _ = Margins::of(&source.matrix::<f32>(n, k), &labels);
    let kind = source.pick(&[Similarity::Cosine, Similarity::Dot, Similarity::Euclidean]);
    let (query, train) = (source.matrix::<f64>(q, k), source.matrix(n, k));
    let _ = (similarity(&query, &train, kind), most_similar(&query, &train, kind, source.count()));
}

/// Moments of two shards with weights, and examples of the second beside queries.
fn shard(source: &mut Source<'_>, trak: &mut Trak, (q, n, k): (usize, usize, usize)) -> Result<(), Error> {
    let random = projection(source);
    let identity = source.pick(&[ProjectionId::Digest(3), ProjectionId::Whole(random)]);
    let spec = GramSpec { projection: identity, checkpoint: source.count() as u64, dimensions: vec![k] };
    let mut moments = GramAccumulator::new(spec.clone())?;
    let rows = source.near(n);
    let _ = moments.update(&[source.matrix::<f64>(rows, k)], None);
    let before = moments.clone();
    if moments
        .update(&[source.matrix::<f32>(n, k)], Some(source.vector::<f64>(rows).as_slice().unwrap_or_default()))
        .is_err()
    {
        assert_eq!(moments, before);
    }
    let _ = moments.merge(&before);
    assert_eq!(GramAccumulator::from_bytes(&moments.to_bytes()).as_ref(), Ok(&moments));
    let dimensions = source.near(k);
    let queries = TrakQueries::new(&moments, &spec, &source.matrix::<f64>(q, dimensions), source.number())?;
    trak.add_shard(&queries, &source.matrix::<f64>(n, k), &source.vector(n))
}

/// LoGra and TrackStar of a corpus in two shards.
fn shards(source: &mut Source<'_>, first: &[LayerRows<'_, f64>], second: &[LayerRows<'_, f64>]) -> Result<(), Error> {
    let (mut random, rank) = (projection(source), source.count());
    // few dimensions, of which the work takes the sixth power, or absurdly many
    random.k = if random.k < 64 { random.k % 6 } else { random.k };
    let widths: Vec<(usize, usize)> = first.iter().map(|rows| (rows.d_in(), rows.d_out())).collect();
    let basis = |(number, rows): (usize, &LayerRows<'_, f64>)| {
        let mut covariance = CovarianceAccumulator::new(LayerSpec::of(number as u64, rows))?;
        covariance.update(rows).and_then(|()| EigenBasis::new(&covariance))
    };
    let projection = if source.flag() {
        LoGraProjection::random(random, &widths)?
    } else {
        LoGraProjection::principal(&first.iter().enumerate().map(basis).collect::<Result<Vec<_>, _>>()?, rank)?
    };
    let mut moments = GramAccumulator::new(projection.spec())?;
    let _ = (projection.accumulate(first, &mut moments), projection.accumulate(second, &mut moments));
    let _ = LoGra::of_moments(projection, &moments, damping(source)).map(|logra| logra.scores(second, first));
    let settings = TrackStar { query_share: source.share(), damping: damping(source), ..TrackStar::new(random) };
    let mut moments = GramAccumulator::new(settings.spec(first.len(), None)?)?;
    settings.accumulate(first, None, &mut moments)?;
    let whitening = settings.whitening(&moments, source.flag().then_some(&moments), None)?;
    whitening.embed(&settings.features(second, None)?).map(|_| ())
}

/// Arrays that one layer is made of.
type Arrays = (Array2<f64>, Array2<f64>, Vec<usize>, usize);

fn arrays(source: &mut Source<'_>, (d_in, d_out): (usize, usize)) -> Arrays {
    let (n, rows) = (source.below(6), source.below(9));
    let example = (0..rows).map(|_| source.below(n)).collect();
    (source.matrix(rows, d_in), source.matrix(rows, d_out), example, n)
}

fn layers(arrays: &[Arrays], bias: Bias) -> Result<Vec<LayerRows<'_, f64>>, Error> {
    arrays.iter().map(|arrays| layer(arrays).map(|rows| rows.with_bias(bias))).collect()
}

fn layer((a, g, example, n): &Arrays) -> Result<LayerRows<'_, f64>, Error> {
    LayerRows::new(a, g, Examples::Index { example, n: *n })
}

fn rows(source: &mut Source<'_>) {
    let shapes = [(source.below(4), source.below(4)), (source.below(4), source.below(4))];
    let count = 1 + source.below(2);
    let train: Vec<Arrays> = shapes[..count].iter().map(|&shape| arrays(source, shape)).collect();
    let query: Vec<Arrays> = shapes[..count].iter().map(|&shape| arrays(source, shape)).collect();
    let bias = source.pick(&[Bias::None, Bias::Homogeneous]);
    let (Ok(train), Ok(query)) = (layers(&train, bias), layers(&query, bias)) else { return };
    let value = source.number();
    let _ = DualFisher::new(&train, value).map(|dual| dual.scores(&query, &train));
    let _ = datainf(&train, &query, damping(source));
    let checkpoint = Checkpoint { learning_rate: source.number(), train: &train, query: &query };
    let _ = (tracin(&[checkpoint; 2]), tracin_self(&[checkpoint]));
    let projection = projection(source);
    let _ = (tracin_embeddings(&[checkpoint], &projection), projection.gradients(&train));
    let rank = source.count();
    let init = source.pick(&[LoGraInit::Random(projection), LoGraInit::PrincipalComponents { rank }]);
    let _ = LoGra::fit(&train, init, damping(source)).map(|logra| logra.scores(&query, &train));
    let settings = TrackStar { query_share: source.share(), damping: damping(source), ..TrackStar::new(projection) };
    let _ = settings.embed(&train, &query, None).map(|found| found.scores());
    let _ = shards(source, &train, &query);
    let (Ok(fisher), Ok(right)) = (FisherOperator::new(&train), gradients(&query)) else { return };
    let lanczos = Lanczos { steps: source.count(), keep: source.count(), seed: source.seed() };
    if let Ok(found) = lanczos.run(fisher.clone()) {
        let complement = source.pick(&[Complement::Kept, Complement::Dropped]);
        let _ = found.scores(&query, &train, value, complement);
    }
    if let Some(b) = right.rows().into_iter().next() {
        let settings = lissa(source);
        let _ = settings.solve_stochastic(fisher.clone(), &b);
        let _ = settings.solve_batches(fisher.clone(), &b, &[vec![source.count()], vec![], vec![0]]);
        let _ = Damped::new(fisher, value).map(|damped| ConjugateGradient::default().solve(damped, &b));
    }
}
