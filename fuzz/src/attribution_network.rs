//! Networks, and what walks back through them: gradient, layer and rule methods. No panic, no hang, no unbounded allocation.

use crate::model::Hostile;
use crate::source::Source;
use arbitrary::Unstructured;
use limpid::Scalar;
use limpid::attribution::gradient::{
    AdaptiveIntegratedGradients, AnchorStrategy, Deconvolution, Deviation, DiscretizedIntegratedGradients,
    GradientShap, GradientShapDraws, GuidedBackprop, InputXGradient, IntegratedGradients,
    MultiBaselineIntegratedGradients, NoiseKind, PathIntegral, Saliency, SequentialIntegratedGradients, SmoothGrad,
    WordPath, straight_path,
};
use limpid::attribution::layer::{
    Differences, GradCam, GuidedGradCam, InternalInfluence, LayerConductance, LayerGradientXActivation,
    LayerIntegratedGradients, Neuron, NeuronConductance, NeuronGradient, NeuronIntegratedGradients, UpTo,
    upsample_nearest,
};
use limpid::attribution::model::{Differentiable, Layers};
use limpid::attribution::numeric::{Numeric, check_gradient};
use limpid::attribution::rules::{
    AttnLrp, DeepLift, DeepLiftShap, Lrp, LrpRule, SoftmaxRule, epsilon_alpha2_beta1, epsilon_gamma_box, epsilon_plus,
    epsilon_plus_flat, secant,
};
use limpid::attribution::{Explainer, Network, Target};
use limpid::math::pointwise::Activation;
use ndarray::{Array2, ArrayRef2};

/// Does what these bytes say.
pub fn fuzz(bytes: &[u8]) {
    let mut source = Source(Unstructured::new(bytes));
    if source.flag() { explain::<f64>(&mut source) } else { explain::<f32>(&mut source) }
}

fn explain<T: Scalar>(source: &mut Source<'_>) {
    let n = if source.byte() > 252 { source.count() } else { source.below(9) };
    let (b, mut network) = (source.below(4), source.network::<T>(n));
    let x = source.values::<T>(b, n);
    let target = source.target::<T>(b, network.layer_width(network.n_layers().wrapping_sub(1)).unwrap_or(n));
    match source.below(4) {
        0 => rules(source, &mut network, &x, &*target),
        1 => layers(source, &mut network, &x, &*target),
        2 => {
            let mut hostile = Hostile::new(source, network);
            layers(source, &mut hostile, &x, &*target);
        }
        _ => {
            let mut numeric = Numeric::new(Hostile::new(source, network.clone()));
            gradients(source, &mut numeric, &x, &*target);
            words(source, &mut network, &*target);
        }
    }
}

fn noise_kind(source: &mut Source<'_>) -> NoiseKind {
    source.pick(&[
        NoiseKind::SmoothGrad,
        NoiseKind::SmoothGradSquared,
        NoiseKind::VarGrad,
        NoiseKind::VarGradPopulation,
    ])
}

fn smooth<E>(source: &mut Source<'_>, inner: E) -> SmoothGrad<E> {
    let deviation = if source.flag() { Deviation::Relative } else { Deviation::Absolute }(source.setting());
    let tolerance = source.flag().then(|| source.setting());
    let (samples, seed, batch) = (source.count(), source.seed(), source.batch());
    SmoothGrad { inner, kind: noise_kind(source), deviation, samples, tolerance, seed, batch }
}

fn draws<T: Scalar>(
    source: &mut Source<'_>,
    (b, n): (usize, usize),
    samples: usize,
    others: usize,
) -> GradientShapDraws<T> {
    GradientShapDraws {
        baseline_index: Array2::from_shape_simple_fn((source.near(b), samples), || source.index(others)),
        alpha: Array2::from_shape_simple_fn((b, samples), || source.share()),
        noise: source.flag().then(|| source.stack([b, samples, n])),
    }
}

/// The gradient methods of any model.
fn gradients<T: Scalar, M: Differentiable<T>>(
    source: &mut Source<'_>,
    model: &mut M,
    x: &Array2<T>,
    target: &dyn Target<T>,
) {
    let (b, n) = x.dim();
    let (baseline, rule, steps, batch) = (source.baseline(b, n), source.rule(), source.count(), source.batch());
    let (multiply_by_inputs, samples) = (source.flag(), source.below(4));
    let others = 1 + source.below(3);
    let baselines = source.values(others, n);
    let method: Box<dyn Explainer<T, M>> = match source.below(13) {
        0 => Box::new(Saliency { absolute: source.flag() }),
        1 => Box::new(InputXGradient),
        2 => Box::new(IntegratedGradients { baseline, rule, steps, multiply_by_inputs, batch }),
        3 => Box::new(AdaptiveIntegratedGradients {
            baseline,
            absolute_tolerance: source.setting(),
            relative_tolerance: source.setting(),
            max_evaluations: source.count(),
            batch,
        }),
        4 => Box::new(MultiBaselineIntegratedGradients { baselines, rule, steps, batch }),
        5 => Box::new(SequentialIntegratedGradients {
            width: source.count(),
            baseline,
            rule,
            steps,
            multiply_by_inputs,
            batch,
        }),
        6 => {
            let paths = source.stack([b, 4, n]);
            Box::new(DiscretizedIntegratedGradients { paths, multiply_by_inputs, batch })
        }
        7 => {
            let tolerance = source.flag().then(|| source.setting());
            let (deviation, samples, seed) = (source.setting(), source.count(), source.seed());
            Box::new(GradientShap { baselines, deviation, samples, tolerance, seed, batch })
        }
        8 => Box::new(smooth(source, Saliency::default())),
        9 => Box::new(smooth(source, IntegratedGradients { baseline, rule, steps, multiply_by_inputs, batch })),
        10 => {
            let Ok(path) = straight_path(x, &baseline) else { return };
            Box::new(PathIntegral { path, rule, steps, batch })
        }
        11 => {
            let noise = source.stack([b, samples, n]);
            let _ = smooth(source, Saliency::default()).attribute_with(model, x, target, &noise);
            let _ = check_gradient(model, x, target, source.below(6), source.seed());
            return;
        }
        _ => {
            let draws = draws(source, (b, n), samples, others);
            let _ = GradientShap::new(baselines).attribute_with(model, x, target, &draws);
            return;
        }
    };
    let _ = method.attribute(model, x, target);
}

fn neuron<T: Scalar>(source: &mut Source<'_>, units: usize) -> Neuron<T> {
    match source.below(3) {
        0 => Neuron::Unit(source.index(units)),
        1 => Neuron::Sum(source.indices(2, units)),
        _ => Neuron::Weights(source.row(units)),
    }
}

/// Layer and neuron methods of any model with layers, and the gradient methods.
fn layers<T: Scalar, M: Layers<T>>(source: &mut Source<'_>, model: &mut M, x: &Array2<T>, target: &dyn Target<T>) {
    let (b, n) = x.dim();
    let layer = source.index(model.n_layers());
    let units = model.layer_width(layer).unwrap_or(3).min(64);
    let (baseline, rule, steps, batch) = (source.baseline(b, n), source.rule(), source.count(), source.batch());
    let (multiply_by_inputs, neuron) = (source.flag(), neuron(source, units));
    let method: Box<dyn Explainer<T, M>> = match source.below(10) {
        0 => Box::new(LayerGradientXActivation { layer, multiply_by_inputs }),
        1 => Box::new(LayerIntegratedGradients { layer, steps, rule, baseline, multiply_by_inputs, batch }),
        2 => {
            let differences = source.pick(&[Differences::Cells, Differences::Nodes]);
            Box::new(LayerConductance { layer, steps, rule, differences, baseline, batch })
        }
        3 => Box::new(InternalInfluence { layer, steps, rule, baseline, batch }),
        4 => {
            let shape = source.image(units);
            let cam = GradCam { relu: source.flag(), sum_channels: source.flag(), ..GradCam::at(layer, shape) };
            let _ = cam.map_shape();
            Box::new(cam)
        }
        5 => Box::new(NeuronConductance { layer, neuron, steps, rule, baseline, multiply_by_inputs, batch }),
        6 => {
            let _ = NeuronGradient::of(layer, neuron).attribute(model, x);
            return;
        }
        7 => {
            let method = NeuronIntegratedGradients { layer, neuron, steps, rule, baseline, multiply_by_inputs, batch };
            let _ = method.attribute(model, x);
            return;
        }
        8 => {
            let Ok(mut up_to) = UpTo::new(model, layer) else { return };
            return gradients(source, &mut up_to, x, &neuron);
        }
        _ => return gradients(source, model, x, target),
    };
    let _ = method.attribute(model, x, target);
}

fn lrp_rule(source: &mut Source<'_>) -> LrpRule {
    let (epsilon, zero_bias) = (source.setting(), source.flag());
    match source.below(8) {
        0 => LrpRule::Gamma { gamma: source.setting(), epsilon, zero_bias },
        1 => LrpRule::Alpha1Beta0 { epsilon, zero_bias },
        2 => LrpRule::AlphaBeta { alpha: source.setting(), beta: source.setting(), epsilon },
        3 => LrpRule::Box { low: source.setting(), high: source.setting(), epsilon },
        4 => LrpRule::WSquare,
        5 => LrpRule::Flat,
        6 => LrpRule::Identity,
        _ => LrpRule::Epsilon { epsilon },
    }
}

fn lrp<T: Scalar>(source: &mut Source<'_>, network: &Network<T>) -> Lrp {
    let rules = match source.below(5) {
        0 => epsilon_plus(network),
        1 => epsilon_plus_flat(network),
        2 => epsilon_alpha2_beta1(network),
        3 => epsilon_gamma_box(network, source.setting(), source.setting()),
        _ => {
            let count = source.near(network.nodes().len());
            (0..count).map(|_| source.flag().then(|| lrp_rule(source))).collect()
        }
    };
    let softmax = source.pick(&[SoftmaxRule::Expansion, SoftmaxRule::Constant]);
    Lrp { rules, default: lrp_rule(source), softmax, batch: source.batch() }
}

/// Methods that need the tape itself.
fn rules<T: Scalar>(source: &mut Source<'_>, network: &mut Network<T>, x: &Array2<T>, target: &dyn Target<T>) {
    let ((b, n), batch, layers) = (x.dim(), source.batch(), network.n_layers());
    let layer = source.index(layers);
    match source.below(7) {
        0 => drop(GuidedBackprop.attribute(network, x, target)),
        1 => drop(Deconvolution.attribute(network, x, target)),
        2 => {
            let (layer_shape, input_shape) = (source.image(network.layer_width(layer).unwrap_or(1)), source.image(n));
            drop(GuidedGradCam { layer, layer_shape, input_shape }.attribute(network, x, target));
            let maps = source.stack([2, 2, 3]);
            drop(upsample_nearest::<T>(&maps, [source.count(), source.below(9)]));
        }
        3 => {
            let baseline = source.baseline(b, n);
            drop(DeepLift { baseline, layer: source.flag().then_some(layer), batch }.attribute(network, x, target));
        }
        4 => {
            let rows = source.below(4);
            let method = DeepLiftShap { batch, ..DeepLiftShap::new(source.values(rows, n)) };
            drop((method.attribute(network, x, target), method.attribute_with_deltas(network, x, target)));
        }
        5 => {
            let softmax = source.pick(&[SoftmaxRule::Expansion, SoftmaxRule::Constant]);
            drop(AttnLrp { epsilon: source.setting(), softmax, batch }.attribute(network, x, target));
        }
        _ => {
            let method = lrp(source, network);
            drop((method.attribute(network, x, target), method.audit(network, x, target)));
        }
    }
    let _ = secant(source.pick(&Activation::ALL), source.number::<T>(), source.number::<T>());
}

/// Paths through the words of a table.
fn words<T: Scalar>(source: &mut Source<'_>, network: &mut Network<T>, target: &dyn Target<T>) {
    let (words, d) = (source.length().min(12), source.below(4));
    let table = source.values::<T>(words, d);
    let path = WordPath {
        steps: source.count(),
        strategy: source.pick(&[AnchorStrategy::Greedy, AnchorStrategy::MaxCount]),
        neighbours: source.count(),
        special: source.indices(2, words),
    };
    let (baseline, word) = (source.index(words), source.index(words));
    let _ = path.between(&table, baseline, word);
    let sentences: Vec<Vec<usize>> = (0..source.below(3)).map(|_| source.indices(2, words)).collect();
    let Ok(paths) = path.of_sentences(&table, baseline, &sentences) else { return };
    let x: &ArrayRef2<T> = &table;
    let _ = DiscretizedIntegratedGradients::new(paths).attribute(network, x, target);
}
