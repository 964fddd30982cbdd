//! What the golden cases of the area have in common: networks, targets, baselines, methods, quadrature rules.

use limpid::Scalar;
use limpid::attribution::network::{Conv2d, MaxPool2d, Norm, NormKind, Op, Softmax};
use limpid::attribution::target::{Class, Logit};
use limpid::attribution::{Baseline, Failure, Network};
use limpid::math::pointwise::Activation;
use ndarray::Array2;
use serde_json::{Map, Value};

use crate::golden_runner::case::Given;

/// The network at `network`, applied to rows of `n_inputs` values.
pub fn network<T: Scalar>(given: &Given<'_>, n_inputs: usize) -> Result<Network<T>, String> {
    let described = given.nested("network")?;
    let mut network = Network::new(n_inputs);
    for layer in described.list("layers")? {
        network = network.then(op(layer)?).map_err(|error| format!("{layer}: {error}"))?;
    }
    described.done()?;
    Ok(network)
}

fn op<T: Scalar>(layer: &Value) -> Result<Op<T>, String> {
    if let Some(name) = layer.as_str() {
        return Ok(match name {
            "identity" => Op::Activation(Activation::Identity),
            "relu" => Op::Activation(Activation::Relu),
            "tanh" => Op::Activation(Activation::Tanh),
            "sigmoid" => Op::Activation(Activation::Sigmoid),
            "gelu" => Op::Activation(Activation::Gelu),
            "gelu_tanh" => Op::Activation(Activation::GeluTanh),
            "silu" => Op::Activation(Activation::Silu),
            "softmax" => Op::Softmax(Softmax::default()),
            _ => return Err(format!("unknown layer {name}")),
        });
    }
    let object = layer.as_object().filter(|object| object.len() == 1).ok_or("a layer of no known form")?;
    let (kind, settings) = object.iter().next().ok_or("a layer without a kind")?;
    let settings: &Map<String, Value> = settings.as_object().ok_or(format!("{kind} without settings"))?;
    let settings = Given::new(settings);
    let op = parametric(kind, &settings)?;
    settings.done()?;
    Ok(op)
}

fn parametric<T: Scalar>(kind: &str, given: &Given<'_>) -> Result<Op<T>, String> {
    let bias = |given: &Given<'_>| if given.is_null("bias") { Ok(None) } else { given.array("bias").map(Some) };
    let built = match kind {
        "linear" => limpid::attribution::network::Linear::new(given.array("weight")?, bias(given)?).map(Op::Linear),
        "conv2d" => {
            let (stride, padding, input) = (sizes(given, "stride")?, sizes(given, "padding")?, sizes(given, "input")?);
            Conv2d::new(given.array("weight")?, bias(given)?, stride, padding, input).map(Op::Conv2d)
        }
        "maxpool2d" => {
            MaxPool2d::new(sizes(given, "kernel")?, sizes(given, "stride")?, sizes(given, "input")?).map(Op::MaxPool2d)
        }
        "layernorm" => {
            let (gamma, beta) = (given.array("gamma")?, given.array("beta")?);
            Norm::new(NormKind::Layer, gamma, Some(beta), given.scalar("epsilon")?).map(Op::Norm)
        }
        _ => return Err(format!("unknown layer {kind}")),
    };
    built.map_err(text)
}

/// A list of exactly `N` sizes.
pub fn sizes<const N: usize>(given: &Given<'_>, key: &str) -> Result<[usize; N], String> {
    given.counts(key)?.try_into().map_err(|_| format!("{key} is not a list of {N} sizes"))
}

/// `input` and `network`.
pub fn model<T: Scalar>(given: &Given<'_>) -> Result<(Network<T>, Array2<T>), String> {
    let input: Array2<T> = given.array("input")?;
    Ok((network(given, input.ncols())?, input))
}

/// `target`: one column, or one per row.
pub fn target(given: &Given<'_>) -> Result<Logit, String> {
    class(given, "target").map(Logit)
}

/// A class at `key`.
pub fn class(given: &Given<'_>, key: &str) -> Result<Class, String> {
    given.count(key).map(Class::All).or_else(|_| given.counts(key).map(Class::PerRow))
}

/// `baseline`: one row, one per row of the input, or zeros where there is none.
pub fn baseline<T: Scalar>(given: &Given<'_>) -> Result<Baseline<T>, String> {
    if !given.has("baseline") {
        return Ok(Baseline::Zeros);
    }
    let rows: Array2<T> = given.array("baseline")?;
    Ok(if rows.nrows() == 1 { Baseline::Row(rows.row(0).to_owned()) } else { Baseline::Rows(rows) })
}

/// The words of an error.
pub fn text(error: impl ToString) -> String {
    error.to_string()
}

/// The words of a failed explanation.
pub fn failed(failure: Failure<limpid::Error>) -> String {
    failure.to_string()
}
