//! Attribution that samples: a fixed seed gives fixed numbers, the same for any batch and on one thread and two.

use limpid::Seed;
use limpid::attribution::faithfulness::{
    FaithfulnessCorrelation, Infidelity, Masking, MonotonicityCorrelation, Neighbourhood, Perturbation,
    ReferenceOrders, Replacement, Road, Sensitivity, Stability, Subsets,
};
use limpid::attribution::gradient::{GradientShap, InputXGradient, NoiseKind, Saliency, SmoothGrad};
use limpid::attribution::model::{Cotangent, Differentiable, Function};
use limpid::attribution::perturbation::{
    Banzhaf, BanzhafSamples, KernelShap, Lime, MaskSampling, NeymanShapley, PermutationImportance, Regression, Removal,
    Sampling, Shapley, Summary, UnbiasedKernelShap, Walks,
};
use limpid::attribution::target::Logit;
use limpid::attribution::{Attribution, Batch, Explainer, Network};
use limpid::math::pointwise::Activation;
use ndarray::{Array2, ArrayRef2};

/// Inputs of a row, laid out as an image for the measure that wants one.
const SHAPE: [usize; 3] = [1, 4, 4];
const INPUTS: usize = 16;

fn table(rows: usize, columns: usize, start: usize) -> Array2<f64> {
    Array2::from_shape_fn((rows, columns), |(i, j)| ((7 * i + 5 * j + 3 * i * j + start) % 13) as f64 / 8.0 - 0.7)
}

/// `z = Σ_i w_i x_i + ½ (Σ_i v_i x_i)²`, twice: only sums and products in a fixed order, so that its floats are the same on
/// every machine.
fn quadratic() -> impl Differentiable<f64, Error = limpid::Error> {
    let (w, v) = (table(2, INPUTS, 1), table(2, INPUTS, 6));
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).fold(0.0, |sum, (a, b)| sum + a * b);
    let row = |m: &Array2<f64>, k: usize| m.row(k).to_vec();
    let (weights, others) = ([row(&w, 0), row(&w, 1)], [row(&v, 0), row(&v, 1)]);
    let run = move |x: &ArrayRef2<f64>, z: &mut ArrayRef2<f64>| {
        for (x, mut z) in x.rows().into_iter().zip(z.rows_mut()) {
            let x = x.to_vec();
            for k in 0..2 {
                let inner = dot(&others[k], &x);
                z[k] = dot(&weights[k], &x) + 0.5 * inner * inner;
            }
        }
        Ok(())
    };
    let forward = run.clone();
    let vjp =
        move |x: &ArrayRef2<f64>, cotangent: Cotangent<'_, f64>, z: &mut ArrayRef2<f64>, g: &mut ArrayRef2<f64>| {
            run(x, z)?;
            let mut by_output = Array2::zeros(z.raw_dim());
            cotangent(z, &mut by_output);
            for (row, x) in x.rows().into_iter().enumerate() {
                let inner = [0, 1].map(|k| dot(&v.row(k).to_vec(), &x.to_vec()));
                for i in 0..INPUTS {
                    g[[row, i]] = (0..2).map(|k| by_output[[row, k]] * (w[[k, i]] + inner[k] * v[[k, i]])).sum();
                }
            }
            Ok(())
        };
    Function::new((INPUTS, 2), forward).with_vjp(vjp)
}

/// A network whose products are large enough to be shared out among threads.
fn network() -> Network<f64> {
    let layer = Network::new(INPUTS).linear(table(300, INPUTS, 2), None).unwrap().activation(Activation::Relu).unwrap();
    let layer = layer.linear(table(200, 300, 5) * 0.1, None).unwrap().activation(Activation::Relu).unwrap();
    layer.linear(table(2, 200, 8) * 0.1, None).unwrap()
}

type Named<V> = Vec<(&'static str, V)>;

/// Every method that samples.
fn methods<M: Differentiable<f64>>(batch: Batch) -> Named<Box<dyn Explainer<f64, M>>> {
    let sampling = Sampling { budget: 150, exact: false, seed: Seed(3), ..Sampling::default() };
    let removal = || Removal { batch, ..Removal::default() };
    let noisy =
        |kind| SmoothGrad { kind, samples: 9, seed: Seed(1), batch, ..SmoothGrad::of(Saliency { absolute: false }) };
    let walk =
        |walks, budget| Box::new(Shapley { walks, sampling: Sampling { budget, ..sampling } }.by_removal(removal()));
    let paired = |paired| Box::new(UnbiasedKernelShap { paired, sampling }.by_removal(removal()));
    let banzhaf = |samples| Box::new(Banzhaf { samples, sampling }.by_removal(removal()));
    let kernel = KernelShap { budget: Some(200), seed: Seed(4) };
    let lime = Lime { removal: removal(), samples: 60, seed: Seed(5), ..Lime::default() };
    let importance = PermutationImportance { repeats: 3, seed: Seed(6), batch, ..PermutationImportance::default() };
    let lasso =
        Lime { regression: Regression::Lasso { alpha: 0.01 }, sampling: MaskSampling::UniformSize, ..lime.clone() };
    let expected =
        GradientShap { deviation: 0.2, samples: 9, seed: Seed(2), batch, ..GradientShap::new(table(3, INPUTS, 4)) };
    vec![
        ("SmoothGrad", Box::new(noisy(NoiseKind::SmoothGrad))),
        ("VarGrad", Box::new(noisy(NoiseKind::VarGrad))),
        ("GradientShap", Box::new(expected)),
        ("independent walks", walk(Walks::Independent, 150)),
        ("antithetic walks", walk(Walks::Antithetic, 150)),
        ("walks of Latin squares", walk(Walks::LatinSquare, 600)),
        ("orthogonal walks", walk(Walks::Orthogonal, 1200)),
        ("NeymanShapley", Box::new(NeymanShapley { sampling, ..NeymanShapley::default() }.by_removal(removal()))),
        ("KernelShap", Box::new(kernel.by_removal(removal()))),
        ("UnbiasedKernelShap", paired(true)),
        ("UnbiasedKernelShap, single", paired(false)),
        ("Banzhaf, pairs", banzhaf(BanzhafSamples::Pairs)),
        ("Banzhaf, flips", banzhaf(BanzhafSamples::Flips)),
        ("Lime", Box::new(lime)),
        ("Lime, lasso", Box::new(lasso)),
        ("PermutationImportance", Box::new(importance)),
    ]
}

fn explained<M: Differentiable<f64>>(model: &mut M, batch: Batch) -> Named<Vec<f64>>
where
    M::Error: core::fmt::Debug,
{
    let (x, target) = (table(5, INPUTS, 9), Logit::of(1));
    let run = |(name, method): (&'static str, Box<dyn Explainer<f64, M>>)| {
        let found = method.attribute(model, &x, &target).unwrap();
        let mut numbers: Vec<f64> = found.values.iter().copied().collect();
        numbers.extend(found.standard_error.iter().flatten());
        (name, numbers)
    };
    methods::<M>(batch).into_iter().map(run).collect()
}

/// Every measure that samples.
fn judged<M: Differentiable<f64>>(model: &mut M, batch: Batch) -> Named<Vec<f64>>
where
    M::Error: core::fmt::Debug,
{
    let (x, target, explainer) = (table(5, INPUTS, 9), Logit::of(1), InputXGradient);
    let found: Attribution<f64> = explainer.attribute(model, &x, &target).unwrap();
    let (values, masking) = (&found.values, Masking { batch, ..Masking::default() });
    let flat = |values: &[Option<f64>]| values.iter().map(|value| value.unwrap_or(-1.0)).collect::<Vec<f64>>();
    let infidelity = Infidelity { samples: 30, seed: Seed(1), batch, ..Infidelity::default() };
    let removal = Perturbation::Removal { baseline: Default::default(), groups: None, chance: 0.4 };
    let removal = Infidelity { perturbation: removal, ..infidelity.clone() };
    let ball = Neighbourhood::Uniform { radius: 0.1, samples: 5, seed: Seed(2) };
    let cloud = Neighbourhood::Normal { deviation: 0.1, samples: 5, seed: Seed(3) };
    let subsets = Subsets::Random { sizes: vec![2, 5], count: 12, seed: Seed(4) };
    let orders = ReferenceOrders { masking: masking.clone(), orders: 4, seed: Seed(5), ..ReferenceOrders::default() };
    let noise = Replacement::Noise { deviation: 0.3, samples: 4, seed: Seed(6) };
    let monotonicity = MonotonicityCorrelation { batch, ..MonotonicityCorrelation::new(noise) };
    let road = Road { noise: 0.1, seed: Seed(7), batch, ..Road::new(SHAPE) };
    let stability = Stability { neighbourhood: cloud.clone(), batch, ..Stability::default() };
    let max = |neighbourhood, model: &mut M| {
        let found = Sensitivity { neighbourhood }.judge(&explainer, model, &x, &target).unwrap();
        found.maximum.iter().chain(&found.average).copied().collect::<Vec<f64>>()
    };
    let infidelities = |measure: &Infidelity<f64>, model: &mut M| {
        let found = measure.judge(model, &x, values, &target).unwrap();
        let mut numbers = found.infidelity.to_vec();
        numbers.extend(flat(&found.standard_error));
        numbers
    };
    let correlation = FaithfulnessCorrelation { masking, subsets }.judge(model, &x, values, &target).unwrap();
    let road = road.judge(model, &x, values, &target).unwrap();
    vec![
        ("infidelity", infidelities(&infidelity, model)),
        ("infidelity by removal", infidelities(&removal, model)),
        ("max-sensitivity", max(ball, model)),
        ("max-sensitivity, normal", max(cloud, model)),
        ("faithfulness correlation", flat(&correlation.correlation.iter().copied().collect::<Vec<_>>())),
        ("random orders", orders.judge(model, &x, &target).unwrap().random_curve.iter().copied().collect()),
        ("monotonicity correlation", flat(&monotonicity.judge(model, &x, values, &target).unwrap())),
        ("ROAD", road.most_relevant_first.iter().chain(&road.least_relevant_first).copied().collect()),
        ("stability", flat(&stability.judge(&explainer, model, &x, &target).unwrap().local_lipschitz)),
    ]
}

fn all<M: Differentiable<f64>>(model: &mut M, batch: Batch) -> Named<Vec<u64>>
where
    M::Error: core::fmt::Debug,
{
    let mut found = explained(model, batch);
    found.extend(judged(model, batch));
    found.into_iter().map(|(name, numbers)| (name, numbers.into_iter().map(f64::to_bits).collect())).collect()
}

fn hash(bits: &[u64]) -> u64 {
    bits.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, bits| (hash ^ bits).wrapping_mul(0x0100_0000_01b3))
}

#[test]
fn results_are_pinned() {
    let found: Vec<(&str, u64)> =
        all(&mut quadratic(), Batch::Auto).iter().map(|(name, bits)| (*name, hash(bits))).collect();
    assert_eq!(found, PINNED, "a numerical result changed: say so in the changelog");
}

#[test]
fn any_batch_gives_the_same_bits() {
    let (whole, layered) = (all(&mut quadratic(), Batch::Auto), all(&mut network(), Batch::Auto));
    for rows in [1, 3, 64] {
        assert_eq!(all(&mut quadratic(), Batch::Rows(rows)), whole, "{rows} rows");
    }
    assert_eq!(all(&mut network(), Batch::Rows(7)), layered);
}

#[cfg(feature = "rayon")]
#[test]
fn one_thread_and_many_give_the_same_bits() {
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| all(&mut network(), Batch::Auto))
    };
    assert_eq!(on(2), on(1));
}

/// The hash of all numbers of every method and measure.
const PINNED: [(&str, u64); 25] = [
    ("SmoothGrad", 0x12ef_5efb_9086_273e),
    ("VarGrad", 0x1baa_75b3_f285_07e3),
    ("GradientShap", 0x069d_9533_2ef5_4abf),
    ("independent walks", 0x5a0a_0155_817e_a6c0),
    ("antithetic walks", 0x0b8c_a016_cfc0_61d7),
    ("walks of Latin squares", 0x0b38_f3e3_d5b9_6d14),
    ("orthogonal walks", 0x0698_da50_a1d0_ba98),
    ("NeymanShapley", 0x563a_1f72_3d55_66ff),
    ("KernelShap", 0xe918_a0d4_54c9_91f8),
    ("UnbiasedKernelShap", 0x989c_97a7_f723_9873),
    ("UnbiasedKernelShap, single", 0xc66d_cb65_802f_060f),
    ("Banzhaf, pairs", 0x4360_2398_2a8a_3c8d),
    ("Banzhaf, flips", 0x9bbe_bf9e_8ce4_9355),
    ("Lime", 0xe734_816d_d547_0725),
    ("Lime, lasso", 0x4732_ea5d_ddfd_a8bf),
    ("PermutationImportance", 0x300d_7f7c_c964_8d03),
    ("infidelity", 0x653c_e86a_8f18_3978),
    ("infidelity by removal", 0x6420_1564_b1e2_24cf),
    ("max-sensitivity", 0x68b7_73fd_7158_fb38),
    ("max-sensitivity, normal", 0x7417_9581_c238_7bf6),
    ("faithfulness correlation", 0x173d_33b1_0b63_ce90),
    ("random orders", 0xf89e_0dd1_46d0_dc9d),
    ("monotonicity correlation", 0x2093_bfd4_be9a_1071),
    ("ROAD", 0x0437_eeaf_a16c_91b8),
    ("stability", 0xcda0_8501_30b1_f37d),
];
