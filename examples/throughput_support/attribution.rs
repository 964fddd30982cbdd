//! Attribution on a multilayer perceptron given by closures, beside the bare passes that the method cannot do without.

use std::time::Instant;

use limpid::attribution::gradient::{IntegratedGradients, Saliency};
use limpid::attribution::perturbation::{FeatureAblation, KernelShap, Removal, Sampling, Shapley, Summary, Walks};
use limpid::attribution::rules::DeepLift;
use limpid::attribution::target::Logit;
use limpid::attribution::{Attribution, Differentiable, Explainer, Network};
use ndarray::Array2;
use serde_json::json;

use super::Measured;
use super::bare::Recorder;
use super::mlp::{Mlp, pattern};
use super::options::Options;

pub fn run(options: &Options) -> Result<String, String> {
    let [rows, d, width, depth, steps, iterations] = options.sizes([
        ("rows", 256, 4),
        ("d", 64, 8),
        ("width", 256, 16),
        ("depth", 2, 2),
        ("steps", 50, 20),
        ("iterations", 5, 1),
    ])?;
    let (mlp, x) = (Mlp::new(d, width, depth), pattern(rows, d, 1.0, 99));
    let method = options.method.as_deref().unwrap_or("integrated_gradients");
    let (mut recorder, mut network) = (Recorder::new(mlp.model()), mlp.network()?);
    let found = explain(method, &mut recorder, &mut network, &x, steps)?;
    if method == "deep_lift" {
        // it walks the tape: the closures' gradient at the same rows is what it cannot do without
        explain("saliency", &mut recorder, &mut network, &x, steps)?;
    }
    let start = Instant::now();
    for _ in 0..iterations {
        explain(method, &mut recorder.model, &mut network, &x, steps)?;
    }
    let seconds = start.elapsed().as_secs_f64();
    let bare = recorder.bare_seconds(iterations).map_err(|e| e.to_string())?;
    let per_second = (rows * iterations) as f64 / seconds;
    let evaluations = found.evaluations.total() as f64 / rows as f64;
    let sizes = json!({"method": method, "rows": rows, "d": d, "width": width, "depth": depth, "steps": steps});
    let passes = (2 * found.evaluations.forward + 4 * found.evaluations.gradient) as f64 / rows as f64;
    Ok(Measured {
        workload: "attribution",
        sizes,
        seconds,
        per_second,
        flops: per_second * passes * mlp.weights() as f64,
        checks: json!({
            "sum_of_magnitudes": found.values.iter().map(|x| f64::from(x.abs())).sum::<f64>(),
            "largest_delta": found.delta.map(|delta| delta.iter().fold(0.0_f32, |worst, d| worst.max(d.abs()))),
            "evaluations_per_row": evaluations,
            "over_bare_passes": seconds / bare - 1.0,
        }),
    }
    .line())
}

fn explain(
    method: &str,
    model: &mut impl Differentiable<f32, Error = limpid::Error>,
    network: &mut Network<f32>,
    x: &Array2<f32>,
    steps: usize,
) -> Result<Attribution<f32>, String> {
    let target = Logit::of(0);
    let found = match method {
        "saliency" => Saliency::default().attribute(model, x, &target),
        "integrated_gradients" => {
            IntegratedGradients { steps, ..IntegratedGradients::default() }.attribute(model, x, &target)
        }
        "deep_lift" => DeepLift::default().attribute(network, x, &target),
        "feature_ablation" => FeatureAblation::default().attribute(model, x, &target),
        "shapley_sampling" => {
            // as many permutations as steps, the two ends shared
            let budget = (steps * (x.ncols() - 1) + 2) as u64;
            let sampling = Sampling { budget, exact: false, ..Sampling::default() };
            let method = Shapley { walks: Walks::Independent, sampling };
            method.by_removal(Removal::default()).attribute(model, x, &target)
        }
        "kernel_shap" => {
            let method = KernelShap { budget: Some(steps as u64), ..KernelShap::default() };
            method.by_removal(Removal::default()).attribute(model, x, &target)
        }
        other => return Err(format!("unknown method {other}; --help lists them")),
    };
    found.map_err(|failure| failure.to_string())
}
