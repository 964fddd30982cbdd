//! The public functions of `math` and of the crate's root: no panic, no hang, no unbounded allocation.

use crate::source::Source;
use arbitrary::Unstructured;
use limpid::math::assignment::assign;
use limpid::math::gemm::{Workspace, add_product_into, product, product_into};
use limpid::math::merge::{Bytes, Shards};
use limpid::math::optim::{Optimizer, OptimizerState};
use limpid::math::pointwise::{Activation, softmax, softmax_backward};
use limpid::math::quadrature::Rule;
use limpid::math::random::{Skips, below, fill_normal, uniform};
use limpid::math::reduce;
use limpid::math::schedule::Schedule;
use limpid::math::stats::Moments;
use limpid::{Dims, Scalar};

/// Does what these bytes say.
pub fn fuzz(bytes: &[u8]) {
    let mut source = Source(Unstructured::new(bytes));
    if source.flag() { drive::<f32>(&mut source) } else { drive::<f64>(&mut source) }
}

fn drive<T: Scalar>(source: &mut Source<'_>) {
    match source.below(9) {
        0 => assignment::<T>(source),
        1 => optimiser::<T>(source),
        2 => random::<T>(source),
        3 => schedule::<T>(source),
        4 => products::<T>(source),
        5 => sums::<T>(source),
        6 => pointwise::<T>(source),
        7 => moments::<T>(source),
        _ => shapes(source),
    }
}

fn assignment<T: Scalar>(source: &mut Source<'_>) {
    let (rows, columns) = (source.length(), source.length());
    let score = source.matrix::<T>(rows, columns);
    let Ok(pairs) = assign(&score) else { return };
    let mut taken: Vec<usize> = pairs.iter().flatten().copied().collect();
    taken.sort_unstable();
    assert!(taken.windows(2).all(|pair| pair[0] < pair[1]), "a column was given away twice");
    assert_eq!(taken.len(), score.nrows().min(score.ncols()));
}

fn optimiser<T: Scalar>(source: &mut Source<'_>) {
    let rates = (source.share(), source.share());
    let (epsilon, weight_decay, momentum) = (source.share(), source.share(), source.share());
    let optimizer = source.pick(&[
        Optimizer::Sgd { momentum, weight_decay },
        Optimizer::Adam { betas: rates, epsilon, weight_decay },
        Optimizer::AdamW { betas: rates, epsilon, weight_decay },
    ]);
    let sound = optimizer.check().is_ok();
    let n = source.length();
    let (mut parameter, gradient) = (source.vector::<T>(n).to_vec(), source.vector::<T>(n).to_vec());
    let mut state = OptimizerState::new(optimizer, n);
    for _ in 0..3 {
        let stepped = state.step(&mut parameter, &gradient, source.number());
        assert!(sound || stepped.is_err() || gradient.is_empty(), "{optimizer:?} was refused and then used");
    }
    assert!(state.steps() <= 3 && state.moments().0.len() <= n);
}

fn random<T: Scalar>(source: &mut Source<'_>) {
    let (seed, purpose, item) = (source.seed(), source.seed().0, source.seed().0);
    let mut stream = seed.child(purpose, item).stream(item, purpose);
    let value = uniform::<T>(&mut stream);
    assert!(value >= T::zero() && value <= T::one());
    let n = source.count();
    assert!(below(&mut stream, n) < n.max(1));
    let mut noise = vec![T::zero(); source.length()];
    fill_normal(&mut stream, source.number(), &mut noise);
    let skips = Skips::new(source.share());
    (0..10).for_each(|_| {
        let _ = skips.next(&mut stream);
    });
}

fn schedule<T: Scalar>(source: &mut Source<'_>) {
    let length = source.count();
    let schedule = source.pick(&[
        Schedule::Constant,
        Schedule::Linear,
        Schedule::QuarterCosine,
        Schedule::WarmupCosine { warmup: length },
        Schedule::LinearDecay { decay: length },
    ]);
    let (step, steps) = (source.count(), source.count());
    let factor = schedule.factor::<T>(step, steps);
    assert!(factor >= T::of(-1e-6) && factor <= T::one() + T::of(1e-6), "{schedule:?} {step} of {steps}: {factor}");
}

fn products<T: Scalar>(source: &mut Source<'_>) {
    let (m, k, n) = (source.length(), source.length(), source.length());
    let (a, b) = (source.matrix::<T>(m, k), source.matrix::<T>(k, n));
    let mut out = source.matrix::<T>(m, n);
    let fits = a.ncols() == b.nrows() && out.dim() == (a.nrows(), b.ncols());
    assert_eq!(product_into(&a, &b, &mut out).is_ok(), fits);
    let mut workspace = Workspace::new();
    assert_eq!(workspace.add_product_into(&a, &b, &mut out).is_ok(), fits);
    assert_eq!(add_product_into(&a, &b, &mut out).is_ok(), fits);
    let Ok(plain) = product(&a, &b) else { return };
    // infinities and NaN come out as in the plain sum; finite entries are close
    for ((i, j), &c) in plain.indexed_iter() {
        let size: T = (0..a.ncols()).map(|l| (a[[i, l]] * b[[l, j]]).abs()).sum();
        let sum: T = (0..a.ncols()).map(|l| a[[i, l]] * b[[l, j]]).sum();
        let close = (c - sum).abs() <= size * T::epsilon() * T::of(1e3) + T::min_positive_value() * T::of(1e3);
        assert!(!size.is_finite() || close, "({i}, {j}): {c:e} for {sum:e}");
    }
}

fn sums<T: Scalar>(source: &mut Source<'_>) {
    let (m, n) = (source.length(), source.length());
    let x = source.matrix::<T>(m, n);
    assert_eq!(reduce::column_sums(&x).len(), x.ncols());
    for (row, column) in x.rows().into_iter().zip(x.columns()) {
        let _ = (reduce::sum(&row), reduce::sum(&column));
        let finite = row.iter().all(|v| v.is_finite());
        assert!(!finite || reduce::norm(&row) >= T::zero());
        assert_eq!(reduce::dot(&row, &column).is_ok(), row.len() == column.len());
    }
    let rule = source.pick(&[Rule::GaussLegendre, Rule::Left, Rule::Right, Rule::Middle, Rule::Trapezoid]);
    if let Ok(nodes) = rule.nodes::<T>(source.count()) {
        assert!(nodes.points.iter().all(|x| *x >= T::zero() && *x <= T::one()));
    }
}

fn pointwise<T: Scalar>(source: &mut Source<'_>) {
    let (m, n) = (source.length(), source.length());
    let x = source.matrix::<T>(m, n);
    let f = source.pick(&Activation::ALL);
    let (y, slope) = (f.forward(&x), f.backward(&x, &x));
    assert!(slope.is_ok() && x.iter().zip(&y).all(|(x, y)| !x.is_finite() || !y.is_nan()), "{f:?} {x:?}");
    if let Ok(y) = softmax(&x) {
        let _ = softmax_backward(&y, &x);
    }
}

fn moments<T: Scalar>(source: &mut Source<'_>) {
    let mut shards = Shards::default();
    for _ in 0..source.below(4) {
        let (rows, columns) = (source.length(), source.length());
        let Ok(mut moments) = Moments::new(columns) else { return };
        let _ = moments.update(&source.matrix::<T>(rows, columns));
        let _ = (moments.mean(), moments.variance(), moments.sample_variance(), moments.skewness(), moments.kurtosis());
        let _ = shards.insert(source.below(3) as u64, moments);
    }
    let _ = shards.total();
    assert_eq!(Shards::<Moments>::from_bytes(&shards.to_bytes()).as_ref(), Ok(&shards));
    let bytes: Vec<u8> = (0..source.length() * 8).map(|_| u8::try_from(source.below(256)).unwrap_or(0)).collect();
    let _ = (Shards::<Moments>::from_bytes(&bytes), Moments::from_bytes(&bytes));
}

fn shapes(source: &mut Source<'_>) {
    let axes: Vec<usize> = (0..source.length().min(8)).map(|_| source.count()).collect();
    assert!(!Dims::new(&axes).to_string().is_empty());
}
