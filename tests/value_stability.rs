//! A fixed seed gives fixed numbers, and the same numbers on one thread and on two.

use core::ops::ControlFlow;

use limpid::Seed;
use limpid::explanation::score::{Batch, Bootstrap, NeuronScores, Statistic, score_many};
use limpid::influence::estimators::{LoGra, LoGraInit, Projection, TrackStar, Trak};
use limpid::influence::{Bias, Curvature, Damping, Examples, LayerRows, QuerySettings, Spectral, Strategy};
use limpid::math::random::{fill_normal, uniform};
use limpid::superposition::{
    Architecture, Data, FeatureDistribution, FixedDataset, Joint, Problem, Start, ToyModel, Training, Value, train,
};
use ndarray::{Array1, Array2, Array3};

#[test]
fn streams_are_pinned() {
    let mut stream = Seed(42).stream(7, 3);
    let uniforms: [f64; 3] = core::array::from_fn(|_| uniform(&mut stream));
    assert_eq!(uniforms.map(f64::to_bits), PINNED_UNIFORM);
    let mut normals = [0.0_f64; 3];
    fill_normal(&mut Seed(42).stream(7, 4), 1.0, &mut normals);
    assert_eq!(normals.map(f64::to_bits), PINNED_NORMAL);
}

#[test]
fn samples_are_pinned() {
    let sum = |p: f32| FeatureDistribution::uniform(3, p).unwrap().sample(500, Seed(1)).unwrap().sum().to_bits();
    assert_eq!([sum(0.0005), sum(0.05), sum(0.6)], PINNED_SAMPLES);
}

fn problems() -> Vec<Problem<f32>> {
    let law = |p| FeatureDistribution::<f32>::uniform(6, p).unwrap();
    let importance = Array1::from_iter((0..6).map(|i| 0.9_f32.powi(i)));
    let base = |p| Problem::new(2, importance.clone(), law(p));
    let sets = FeatureDistribution::new(Array1::from_elem(6, 0.2), Value::Symmetric, Joint::Correlated { size: 3 });
    let points = FixedDataset::on_unit_sphere(&law(0.3), 300, Seed(5)).unwrap();
    vec![
        base(0.02),
        base(0.7),
        Problem { architecture: Architecture::AbsoluteValue, data: Data::Sampled(sets.unwrap()), ..base(0.1) },
        Problem { data: Data::Fixed(points.into()), hidden_l1: 0.01, ..base(0.1) },
        Problem { architecture: Architecture::ReluHidden, start: Start::KaimingUniform, ..base(0.3) },
    ]
}

/// Bits of all weights and of the loss of all models.
fn fingerprint(models: &[(ToyModel<f32>, f64)]) -> Vec<u64> {
    let bits = |(model, loss): &(ToyModel<f32>, f64)| {
        let weights = model.weight.iter().chain(&model.bias).chain(model.decoder.iter().flatten());
        let mut bits: Vec<u64> = weights.map(|w| u64::from(w.to_bits())).collect();
        bits.push(loss.to_bits());
        bits
    };
    models.iter().flat_map(bits).collect()
}

fn trained(problems: &[Problem<f32>]) -> Vec<u64> {
    let settings = Training { steps: 30, batch: 700, restarts: 2, learning_rate: 0.01, ..Training::default() };
    let best = train(problems, &settings, |_| ControlFlow::Continue(())).unwrap();
    fingerprint(&best.into_iter().map(|trained| (trained.model, trained.evaluation.loss)).collect::<Vec<_>>())
}

/// Whether products are fused with the sums they go into, as on every machine with AVX2 or NEON.
fn fuses() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma");
    #[cfg(not(target_arch = "x86_64"))]
    return cfg!(target_arch = "aarch64");
}

fn hash(bits: &[u64]) -> u64 {
    bits.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, bits| (hash ^ bits).wrapping_mul(0x0100_0000_01b3))
}

#[test]
fn training_is_pinned() {
    let bits = trained(&problems());
    let pinned = if fuses() { PINNED_TRAINING } else { PINNED_TRAINING_UNFUSED };
    assert_eq!(hash(&bits), pinned, "a numerical result changed: say so in the changelog");
}

/// Bits of the scores and intervals of 200 neurons.
fn scored() -> Vec<u64> {
    let mut values = vec![0.0_f32; 2 * 200 * 6 * 21];
    fill_normal(&mut Seed(3).stream(0, 0), 1.0, &mut values);
    let prediction = Array3::from_shape_vec((200, 6, 21), values.split_off(200 * 6 * 21)).unwrap();
    let truth = Array3::from_shape_vec((200, 6, 21), values).unwrap();
    let bootstrap = Some(Bootstrap { resamples: 100, seed: Seed(9), ..Bootstrap::default() });
    let table = score_many(&truth, &(&truth + &prediction), &Batch { bootstrap, ..Batch::default() }).unwrap();
    let bits = |neuron: &NeuronScores| {
        let interval = neuron.interval.unwrap().unwrap();
        let scores = Statistic::ALL.map(|statistic| neuron.scores.get(statistic).unwrap());
        [scores[0], scores[1], scores[2], scores[3], interval.low, interval.high].map(f64::to_bits)
    };
    table.neurons.iter().flat_map(bits).collect()
}

#[test]
fn scores_are_pinned() {
    assert_eq!(hash(&scored()), PINNED_SCORES, "a numerical result changed: say so in the changelog");
}

/// Bits of EK-FAC scores of pairs and of projected gradients: ragged examples of two layers, the second behind a rectifier.
fn influenced() -> Vec<u64> {
    let noise = |item: u64, rows: usize, columns: usize| {
        let mut x = Array2::<f64>::zeros((rows, columns));
        fill_normal(&mut Seed(4).stream(0, item), 1.0, x.as_slice_mut().unwrap());
        x
    };
    let (rows, offsets): (usize, Vec<usize>) = (900, (0..=300).map(|e| 3 * e).collect());
    let sides =
        [(noise(0, rows, 40), noise(1, rows, 33)), (noise(2, rows, 33).mapv(|x| x.max(0.0)), noise(3, rows, 5))];
    let layers = |examples| -> Vec<LayerRows<'_, f64>> {
        let layer = |(a, g)| LayerRows::new(a, g, examples).unwrap().with_bias(Bias::Homogeneous);
        sides.iter().map(|(a, g)| layer((a, g))).collect()
    };
    let mut bits = Vec::new();
    for examples in [Examples::Offsets(&offsets), Examples::EachRow] {
        let layers = layers(examples);
        let curvature = Curvature::fit(Strategy::Ekfac, &layers).unwrap();
        let queries = curvature.queries(&Spectral::default(), &layers, &QuerySettings::default()).unwrap();
        bits.extend(queries.scores(&layers).unwrap().iter().map(|x| x.to_bits()));
        let own = curvature.self_scores(&Spectral::default(), &layers).unwrap();
        let projected = Projection::new(20, Seed(8)).gradients(&layers).unwrap();
        bits.extend(own.iter().chain(&projected).map(|x| x.to_bits()));
    }
    bits
}

#[test]
fn influence_is_pinned() {
    let pinned = if fuses() { PINNED_INFLUENCE } else { PINNED_INFLUENCE_UNFUSED };
    assert_eq!(hash(&influenced()), pinned, "a numerical result changed: say so in the changelog");
}

/// Bits of LoGra, TRAK and TrackStar: two layers, examples of different weights, one of which is 0.
fn projected() -> Vec<u64> {
    let noise = |item: u64, rows: usize, columns: usize| {
        let mut x = Array2::<f64>::zeros((rows, columns));
        fill_normal(&mut Seed(6).stream(0, item), 1.0, x.as_slice_mut().unwrap());
        x
    };
    let n = 700;
    let sides = [(noise(0, n, 20), noise(1, n, 13)), (noise(2, n, 13), noise(3, n, 5))];
    let weights: Vec<f64> = (0..n).map(|e| (e % 7) as f64).collect();
    let rows = |(a, g)| LayerRows::new(a, g, Examples::EachRow).unwrap();
    let layers: Vec<_> = sides.iter().map(|(a, g)| rows((a, g)).with_weight(&weights).unwrap()).collect();
    let query: Vec<_> = sides.iter().map(|(a, g)| rows((a, g))).collect();
    let projection = Projection::new(6, Seed(8));
    let mut bits = Vec::new();
    for init in [LoGraInit::Random(projection), LoGraInit::PrincipalComponents { rank: 1 }] {
        let logra = LoGra::fit(&layers, init, Damping::default()).unwrap();
        bits.extend(logra.scores(&query, &layers).unwrap().iter().chain(&logra.damping()).map(|x| x.to_bits()));
    }
    let settings = TrackStar { query_share: 0.3, ..TrackStar::new(projection) };
    let moments: Vec<_> = [(13, 20), (5, 13)].map(|(o, d)| noise(4, o, d).mapv(|x| x * x)).to_vec();
    for (settings, moments) in [(settings, Some(&moments[..])), (TrackStar::new(projection), None)] {
        let found = settings.embed(&layers, &query, moments).unwrap();
        bits.extend(found.train.iter().chain(&found.query).map(|x| x.to_bits()));
    }
    let mut trak = Trak::new(n, n, 0.1).unwrap();
    let features = projection.gradients(&layers).unwrap();
    trak.add(&features, &features, &Array1::from(weights)).unwrap();
    bits.extend(trak.scores().unwrap().iter().map(|x| x.to_bits()));
    bits
}

#[test]
fn projected_estimators_are_pinned() {
    let pinned = if fuses() { PINNED_PROJECTED } else { PINNED_PROJECTED_UNFUSED };
    assert_eq!(hash(&projected()), pinned, "a numerical result changed: say so in the changelog");
}

#[cfg(feature = "rayon")]
#[test]
fn one_thread_and_many_give_the_same_bits() {
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        // alone, a run shares out the blocks of its batch; among many, it stays on its thread
        pool.install(|| (trained(&problems()), trained(&problems()[..1]), scored(), influenced(), projected()))
    };
    let single = on(1);
    for threads in [2, 3, 8, 16] {
        assert_eq!(on(threads), single, "{threads} threads");
    }
}

const PINNED_UNIFORM: [u64; 3] = [4606521967826267138, 4604133395992226457, 4593896436695528276];
const PINNED_NORMAL: [u64; 3] = [13832119855098920533, 13831841425452158374, 4604980674396749681];
const PINNED_SAMPLES: [u32; 3] = [1064829733, 1111264454, 1138343032];
const PINNED_INFLUENCE: u64 = 8226142425841006154;
const PINNED_INFLUENCE_UNFUSED: u64 = 7572621069186602220;
const PINNED_PROJECTED: u64 = 4244369873472437875;
const PINNED_PROJECTED_UNFUSED: u64 = 16946281640746359598;
const PINNED_SCORES: u64 = 4203334184425021191;
const PINNED_TRAINING: u64 = 15511143844655318606;
const PINNED_TRAINING_UNFUSED: u64 = 5419957254580398760;
