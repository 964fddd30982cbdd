//! Attention, residual streams and edges: no panic, no hang, no unbounded allocation.

use crate::model::Hostile;
use crate::source::Source;
use arbitrary::Unstructured;
use limpid::attribution::circuits::{
    ActivationPatching, AttentionBlock, AttributionPatching, Distance, Edge, EdgeAttribution, EdgeGradients, Fusion,
    Keep, LayerEdges, Mixing, PatchDirection, PathPatching, Pruning, RawAttention, Readout, ResidualNorm, Search,
    SourceDifferences, ValueZeroing, alti, attention_edges, attention_flow, attention_flow_of, attention_rollout,
    attribution_patching, direct_logit, direct_logit_neurons, flow, information_flow_routes, interpolate, logit_lens,
    mlp_edges, normalised_flow, project_heads, rollout,
};
use limpid::attribution::model::Layers;
use limpid::attribution::network::NormKind;
use limpid::math::merge::{Bytes, Merge};
use limpid::{Error, Scalar};
use ndarray::{Array2, Array4, ArrayRef2};

/// Does what these bytes say.
pub fn fuzz(bytes: &[u8]) {
    let mut source = Source(Unstructured::new(bytes));
    if source.flag() { run::<f64>(&mut source) } else { run::<f32>(&mut source) }
}

fn run<T: Scalar>(source: &mut Source<'_>) {
    match source.below(8) {
        0 => attention::<T>(source),
        1 => block::<T>(source),
        2 => streams::<T>(source),
        3 => edges::<T>(source),
        4 => prune(source),
        5 => zeroing::<T>(source),
        6 => arrays::<T>(source),
        _ => patch::<T>(source),
    }
}

fn direction(source: &mut Source<'_>) -> PatchDirection {
    source.pick(&[PatchDirection::Noising, PatchDirection::Denoising])
}

fn fusion(source: &mut Source<'_>) -> Fusion {
    match source.below(4) {
        0 => Fusion::Mean,
        1 => Fusion::Max,
        2 => Fusion::Min,
        _ => Fusion::One(source.index(3)),
    }
}

fn attention<T: Scalar>(source: &mut Source<'_>) {
    let (layers, heads, tokens) = (source.below(4), source.below(4), source.below(7));
    let odd = source.byte() > 230;
    let shape = (layers, source.near(heads).min(12), source.near(tokens).min(12), tokens);
    // attention weights are not negative, so most runs get past that check
    let all = Array4::from_shape_simple_fn(shape, || if odd { source.number::<T>() } else { source.share::<T>() });
    let mixing = Mixing { residual: source.flag(), causal: source.flag() };
    let raw =
        RawAttention { heads: fusion(source), layers: fusion(source), causal: source.flag(), normalise: source.flag() };
    let _ = raw.table(&all);
    let Ok(fused) = fusion(source).heads(&all) else { return };
    let _ = (fusion(source).layers(&fused), mixing.matrices(&fused));
    let _ = (attention_rollout(&fused, mixing), rollout(&fused));
    let outputs = source.indices(2, tokens);
    let _ = (attention_flow(&fused, mixing), attention_flow_of(&fused, mixing, &outputs));
    if let Ok(found) = flow(&fused, &outputs) {
        let _ = normalised_flow(&found);
    }
    let _ = normalised_flow(&source.values::<T>(tokens, tokens));
}

fn norm<T: Scalar>(source: &mut Source<'_>, d: usize) -> ResidualNorm<T> {
    ResidualNorm {
        kind: source.pick(&[None, Some(NormKind::Layer), Some(NormKind::RootMeanSquare)]),
        gamma: source.flag().then(|| source.row(d)),
        beta: source.flag().then(|| source.row(d)),
        epsilon: source.setting(),
    }
}

fn block<T: Scalar>(source: &mut Source<'_>) {
    let (heads, tokens, d) = (source.below(4), source.below(6), source.below(6));
    let (attention, values) = (source.stack::<T>([heads, tokens, tokens]), source.stack::<T>([heads, tokens, d]));
    let (residual, bias) = (source.values::<T>(tokens, d), source.flag().then(|| source.row::<T>(d)));
    let block = AttentionBlock {
        attention: attention.view(),
        values: values.view(),
        residual: residual.view(),
        bias: bias.as_ref().map(|bias| bias.view()),
        norm: norm(source, d),
    };
    let _ = (block.contributions(), block.transformed(source.index(tokens)), block.output());
    let _ = alti(&values, &residual);
    let mlp = source.flag().then(|| mlp_edges(&residual, &source.values(tokens, d)).ok()).flatten();
    let Ok(attention) = attention_edges(&block) else { return };
    let mut layers = vec![LayerEdges { attention, mlp }];
    layers.extend(source.flag().then(|| layers[0].clone()));
    if source.byte() > 230 {
        layers[0].attention.residual = source.vector(tokens);
        layers[0].attention.heads = source.stack([tokens, heads, tokens]);
    }
    let _ = information_flow_routes(&layers, &source.indices(2, tokens), source.setting());
}

/// Direct logit attribution and the logit lens.
fn streams<T: Scalar>(source: &mut Source<'_>) {
    let (parts, tokens, d, classes) = (source.below(5), source.below(6), source.below(6), source.below(6));
    let (components, residual) = (source.stack::<T>([parts, tokens, d]), source.values::<T>(tokens, d));
    let (unembed, bias) = (source.values::<T>(d, classes), source.flag().then(|| source.row::<T>(classes)));
    let readout =
        Readout { norm: norm(source, d), unembed: unembed.view(), bias: bias.as_ref().map(|bias| bias.view()) };
    let asked = if source.flag() { 1 } else { tokens };
    let (target, contrast) = (source.indices(asked, classes), source.flag().then(|| source.indices(asked, classes)));
    let stream = source.flag().then_some(&*residual);
    if let Ok(found) = direct_logit(&components, stream, &readout, &target, contrast.as_deref()) {
        let _ = found.accumulated();
    }
    let neurons = source.below(6);
    let (activation, output) = (source.values::<T>(tokens, neurons), source.values::<T>(neurons, d));
    let _ = direct_logit_neurons(&activation, &output, &residual, &readout, &target, contrast.as_deref());
    let _ = readout.logits(&residual);
    if let Ok(lens) = logit_lens(&components, &readout) {
        let _ =
            (lens.rank(source.index(classes)), lens.best(source.index(parts), source.index(tokens), source.count()));
    }
}

fn edges<T: Scalar>(source: &mut Source<'_>) {
    if source.byte() > 200 {
        let bytes: Vec<u8> = (0..source.length()).map(|_| source.byte()).collect();
        let _ = EdgeAttribution::from_bytes(&bytes);
    }
    let (sources, destinations) = (source.below(5), source.below(5));
    let upstream = source.indices(destinations, sources + 1);
    let Ok(mut scores) = EdgeAttribution::new(source.near(sources), &upstream) else { return };
    let shape = [source.below(4), source.below(4), source.below(4)];
    for _ in 0..source.below(3) {
        let mut differences = SourceDifferences::new();
        for _ in 0..source.near(sources).min(9) {
            let _ = differences.push(&source.stack::<T>(shape), &source.stack(shape));
        }
        let Ok(mut batch) = scores.batch(differences) else { continue };
        for _ in 0..source.below(4) {
            let destination = source.index(destinations);
            let _ = batch.add_gradient(destination, &source.stack(shape), source.setting());
        }
    }
    let mut bytes = scores.to_bytes();
    let again = EdgeAttribution::from_bytes(&bytes).expect("what was written is read");
    assert_eq!(again.to_bytes(), bytes);
    let _ = (scores.merge(&again), scores.score(source.count(), source.count()), scores.scores(), scores.examples());
    let nodes = source.indices(destinations, 9);
    if let Ok(Some(found)) = scores.edges(&nodes) {
        let keep = if source.flag() { Keep::Edges(source.count()) } else { Keep::AtLeast(source.setting()) };
        let _ = Pruning { keep, ..Pruning::default() }.prune(source.below(12), &found, &[0], source.index(9));
    }
    for _ in 0..source.below(4) {
        let at = source.below(bytes.len());
        bytes[at] = source.byte();
    }
    if let Ok(mut read) = EdgeAttribution::from_bytes(&bytes) {
        let _ = (read.merge(&scores), read.scores(), read.edges(&nodes));
    }
}

fn prune(source: &mut Source<'_>) {
    let nodes = if source.byte() > 240 { source.count() } else { source.below(20) };
    let edges: Vec<Edge> = (0..source.length())
        .map(|_| Edge { from: source.index(nodes.min(256)), to: source.index(nodes.min(256)), score: source.number() })
        .collect();
    let pruning = Pruning {
        search: source.pick(&[Search::Greedy, Search::Top]),
        keep: if source.flag() { Keep::Edges(source.count()) } else { Keep::AtLeast(source.setting()) },
        signed: source.flag(),
        connected: source.flag(),
    };
    let _ = pruning.prune(nodes, &edges, &source.indices(2, nodes.min(256)), source.index(nodes.min(256)));
}

fn zeroing<T: Scalar>(source: &mut Source<'_>) {
    let (layers, tokens, d) = (source.below(4), source.below(6), source.below(5));
    let zeroing = ValueZeroing {
        distance: source.pick(&[Distance::Cosine, Distance::Euclidean]),
        threshold: source.setting(),
        causal: source.flag(),
        normalise: source.flag(),
    };
    let fails = source.below(9);
    let hidden = source.stack::<T>([layers, tokens, d]);
    let _ = zeroing.layers(&hidden, |token, out| {
        out.iter_mut().for_each(|out| *out = source.number());
        if token == fails { Err(Error::Unsupported { what: "this token" }) } else { Ok(()) }
    });
    let _ = zeroing.layer(&source.values::<T>(tokens, d), |_, out: &mut ArrayRef2<T>| {
        out.fill(T::one());
        Ok::<(), Error>(())
    });
}

/// Scores from gradients that the caller took.
fn arrays<T: Scalar>(source: &mut Source<'_>) {
    let shape = [source.below(4), source.below(4), source.below(7)];
    let [clean, corrupted, gradient] = [0; 3].map(|_| source.stack::<T>(shape));
    let _ = interpolate(&clean, &corrupted, source.setting());
    let _ = project_heads(&clean, &source.stack([shape[0], shape[2], 3]));
    let (rule, steps) = (source.rule(), source.count());
    let gradients = [
        EdgeGradients::Clean,
        EdgeGradients::CleanCorrupted,
        EdgeGradients::Inputs { rule, steps },
        EdgeGradients::Activations { rule, steps },
    ];
    let _ = source.pick(&gradients).passes(source.count());
    let Ok(scores) = attribution_patching(&clean, &corrupted, &gradient, direction(source)) else { return };
    let (heads, group) = (source.count(), source.indices(shape[2], 3));
    let _ = (scores.units(), scores.groups(&group), scores.heads(heads));
    let _ = (scores.positions(), scores.positions_and_heads(heads));
}

/// Patching of a model that is run.
fn patch<T: Scalar>(source: &mut Source<'_>) {
    let (b, n) = (source.below(4), source.below(9));
    let mut network = source.network::<T>(n);
    let [clean, corrupted]: [Array2<T>; 2] = [0; 2].map(|_| source.values(b, n));
    let target = source.target::<T>(b, network.width(network.output()).unwrap_or(n));
    let (layer, direction) = (source.index(network.n_layers()), direction(source));
    if source.flag() {
        let mut patching = PathPatching::edges(&network, direction);
        for _ in 0..source.below(3) {
            let nodes = network.nodes().len();
            patching.paths.push((0..source.below(4)).map(|_| source.from(nodes)).collect());
        }
        if let Ok(found) = patching.run(&mut network, &clean, &corrupted, &*target) {
            let _ = found.shares();
        }
        return;
    }
    let groups = source.groups(network.layer_width(layer).unwrap_or(3).min(64));
    let mut model = Hostile::new(source, network);
    let patching = ActivationPatching { groups, batch: source.batch(), ..ActivationPatching::at(layer, direction) };
    if let Ok(found) = patching.run(&mut model, &clean, &corrupted, &*target) {
        let _ = found.shares();
    }
    let _ = AttributionPatching { layer, direction }.run(&mut model, &clean, &corrupted, &*target);
}
