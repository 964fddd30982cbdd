//! Golden cases of methods for inner layers.

use limpid::Scalar;
use limpid::attribution::circuits::{ActivationPatching, AttributionPatching};
use limpid::attribution::gradient::{Deconvolution, GuidedBackprop};
use limpid::attribution::layer::{
    Differences, GradCam, InternalInfluence, LayerConductance, LayerGradientXActivation, LayerIntegratedGradients,
    Neuron, NeuronGradient,
};
use limpid::attribution::{Attribution, Explainer, Network};
use ndarray::{Array2, ArrayD, IxDyn};

use super::circuits::direction;
use super::gradient::rule;
use super::network::{baseline, failed, model, network, sizes, target};
use crate::golden_runner::Answer;
use crate::golden_runner::case::{Given, Outcome};

/// Runs one primitive of the family; `None` where it is not of this family.
pub fn run<T: Scalar>(name: &str, given: &Given<'_>) -> Option<Answer> {
    Some(match name {
        "guided_backprop" => plain::<T>(given, |_| Ok(Box::new(GuidedBackprop))),
        "deconvolution" => plain::<T>(given, |_| Ok(Box::new(Deconvolution))),
        "layer_gradient_x_activation" => plain::<T>(given, |given| {
            let multiply_by_inputs = multiply_by_inputs(given)?;
            Ok(Box::new(LayerGradientXActivation { layer: given.count("layer")?, multiply_by_inputs }))
        }),
        "layer_integrated_gradients" => layer_integrated_gradients::<T>(given),
        "layer_conductance" => layer_conductance::<T>(given),
        "internal_influence" => internal_influence::<T>(given),
        "neuron_gradient" => neuron_gradient::<T>(given),
        "activation_patching" => activation_patching::<T>(given),
        "attribution_patching" if given.has("network") => attribution_patching::<T>(given),
        "grad_cam" => grad_cam::<T>(given),
        _ => return None,
    })
}

fn plain<T: Scalar>(
    given: &Given<'_>,
    method: impl Fn(&Given<'_>) -> Result<Box<dyn Explainer<T, Network<T>>>, String>,
) -> Answer {
    let (mut model, input) = model::<T>(given)?;
    let found = method(given)?.attribute(&mut model, &input, &target(given)?).map_err(failed)?;
    Ok(vec![("attribution", Outcome::tensor(&found.values))])
}

fn multiply_by_inputs(given: &Given<'_>) -> Result<bool, String> {
    if given.has("multiply_by_inputs") { given.flag("multiply_by_inputs") } else { Ok(true) }
}

/// The attribution, and its completeness where it promises that.
fn complete<T: Scalar>(found: &Attribution<T>) -> Answer {
    let mut answer = vec![("attribution", Outcome::tensor(&found.values))];
    answer.extend(found.delta.as_ref().map(|delta| ("delta", Outcome::tensor(delta))));
    Ok(answer)
}

fn layer_integrated_gradients<T: Scalar>(given: &Given<'_>) -> Answer {
    let (mut model, input) = model::<T>(given)?;
    let (rule, steps) = (rule(given)?, given.count("steps")?);
    let (baseline, multiply_by_inputs) = (baseline(given)?, multiply_by_inputs(given)?);
    let base = LayerIntegratedGradients::at(given.count("layer")?);
    let method = LayerIntegratedGradients { rule, steps, baseline, multiply_by_inputs, ..base };
    complete(&method.attribute(&mut model, &input, &target(given)?).map_err(failed)?)
}

fn layer_conductance<T: Scalar>(given: &Given<'_>) -> Answer {
    let (mut model, input) = model::<T>(given)?;
    let (rule, steps) = (rule(given)?, given.count("steps")?);
    let (baseline, differences) = (baseline(given)?, Differences::Nodes);
    let base = LayerConductance::at(given.count("layer")?);
    let method = LayerConductance { rule, steps, differences, baseline, ..base };
    complete(&method.attribute(&mut model, &input, &target(given)?).map_err(failed)?)
}

fn internal_influence<T: Scalar>(given: &Given<'_>) -> Answer {
    let (mut model, input) = model::<T>(given)?;
    let (rule, steps) = (rule(given)?, given.count("steps")?);
    let base = InternalInfluence::at(given.count("layer")?);
    let method = InternalInfluence { rule, steps, baseline: baseline(given)?, ..base };
    complete(&method.attribute(&mut model, &input, &target(given)?).map_err(failed)?)
}

fn neuron_gradient<T: Scalar>(given: &Given<'_>) -> Answer {
    let (mut model, input) = model::<T>(given)?;
    let method = NeuronGradient::of(given.count("layer")?, Neuron::Unit(given.count("neuron")?));
    let found = method.attribute(&mut model, &input).map_err(failed)?;
    Ok(vec![("attribution", Outcome::tensor(&found.values))])
}

/// A network, and two batches of its inputs.
type Runs<T> = (Network<T>, Array2<T>, Array2<T>);

/// `network`, `clean` and `corrupted`.
fn runs<T: Scalar>(given: &Given<'_>) -> Result<Runs<T>, String> {
    let (clean, corrupted): (Array2<T>, Array2<T>) = (given.array("clean")?, given.array("corrupted")?);
    Ok((network(given, clean.ncols())?, clean, corrupted))
}

fn activation_patching<T: Scalar>(given: &Given<'_>) -> Answer {
    let (mut model, clean, corrupted) = runs::<T>(given)?;
    let groups = if given.has("groups") { Some(given.counts("groups")?) } else { None };
    let method = ActivationPatching { groups, ..ActivationPatching::at(given.count("layer")?, direction(given)?) };
    let found = method.run(&mut model, &clean, &corrupted, &target(given)?).map_err(failed)?;
    Ok(vec![
        ("effect", Outcome::tensor(&found.effect)),
        ("base_metric", Outcome::tensor(&found.base_metric)),
        ("source_metric", Outcome::tensor(&found.source_metric)),
    ])
}

fn attribution_patching<T: Scalar>(given: &Given<'_>) -> Answer {
    let (mut model, clean, corrupted) = runs::<T>(given)?;
    let method = AttributionPatching { layer: given.count("layer")?, direction: direction(given)? };
    let found = method.run(&mut model, &clean, &corrupted, &target(given)?).map_err(failed)?;
    Ok(vec![
        ("score", Outcome::tensor(&found.scores.score)),
        ("unit_score", Outcome::tensor(&found.scores.units())),
        ("gradient", Outcome::tensor(&found.gradient)),
    ])
}

fn grad_cam<T: Scalar>(given: &Given<'_>) -> Answer {
    let (mut model, input) = model::<T>(given)?;
    let (layer, relu, sum_channels) = (given.count("layer")?, given.flag("relu")?, given.flag("sum_channels")?);
    let method = GradCam { layer, shape: image(given, layer)?, relu, sum_channels };
    let found = method.attribute(&mut model, &input, &target(given)?).map_err(failed)?;
    let [channels, height, width] = method.map_shape();
    let rows = input.nrows();
    let shape = if sum_channels { vec![rows, height, width] } else { vec![rows, channels, height, width] };
    let map: Result<ArrayD<T>, _> = found.values.into_shape_with_order(IxDyn(&shape));
    Ok(vec![("attribution", Outcome::tensor(&map.map_err(|error| error.to_string())?))])
}

/// Channels, height and width of the output of `layer`, from the convolutions and poolings up to it.
fn image(given: &Given<'_>, layer: usize) -> Result<[usize; 3], String> {
    let described = given.nested("network")?;
    let mut shape = None;
    for described in described.list("layers")?.iter().take(layer + 1) {
        let Some((kind, settings)) = described.as_object().and_then(|object| object.iter().next()) else { continue };
        let settings = Given::new(settings.as_object().ok_or(format!("{kind} without settings"))?);
        let [channels, height, width] = match kind.as_str() {
            "conv2d" | "maxpool2d" => sizes(&settings, "input")?,
            // a layer that is no image
            _ => {
                shape = None;
                continue;
            }
        };
        let stride: [usize; 2] = sizes(&settings, "stride")?;
        let (channels, kernel, padding) = if kind == "conv2d" {
            let weight: ndarray::Array4<f64> = settings.array("weight")?;
            let (out, _, tall, wide) = weight.dim();
            (out, [tall, wide], sizes(&settings, "padding")?)
        } else {
            (channels, sizes(&settings, "kernel")?, [0, 0])
        };
        let size = |axis: usize, size: usize| (size + 2 * padding[axis] - kernel[axis]) / stride[axis] + 1;
        shape = Some([channels, size(0, height), size(1, width)]);
    }
    shape.ok_or_else(|| format!("layer {layer} gives no image"))
}
