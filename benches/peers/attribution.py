"""Attribution with Captum on a multilayer perceptron: the same network and inputs as the workload of the throughput example."""

import argparse
import json
import resource
import time

import numpy as np
import torch
from captum.attr import DeepLift, FeatureAblation, IntegratedGradients, KernelShap, Saliency, ShapleyValueSampling

OUTPUTS = 10


def pattern(rows, columns, scale, seed):
    """Numbers that a program in any language can make as well."""
    index = np.arange(rows * columns, dtype=np.float64) + 1
    return torch.tensor((scale * np.sin(12.9898 * index + seed)).astype(np.float32).reshape(rows, columns))


def network(d, width, depth):
    sizes = [d] + [width] * depth + [OUTPUTS]
    layers = []
    for index, (inputs, outputs) in enumerate(zip(sizes, sizes[1:])):
        linear = torch.nn.Linear(inputs, outputs, bias=False)
        linear.weight.data = pattern(inputs, outputs, 2 / inputs**0.5, index).T.contiguous()
        layers += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def explainer(options, model):
    """The method as it is fastest: perturbations go through the model together."""
    steps, together = options.steps, options.together
    methods = {
        "saliency": lambda x: Saliency(model).attribute(x, target=0),
        "integrated_gradients": lambda x: IntegratedGradients(model).attribute(
            x, target=0, n_steps=steps, internal_batch_size=options.internal or None),
        "deep_lift": lambda x: DeepLift(model).attribute(x, target=0),
        "feature_ablation": lambda x: FeatureAblation(model).attribute(x, target=0, perturbations_per_eval=together),
        "shapley_sampling": lambda x: ShapleyValueSampling(model).attribute(
            x, target=0, n_samples=steps, perturbations_per_eval=together),
        "kernel_shap": lambda x: torch.cat([
            KernelShap(model).attribute(row[None], target=0, n_samples=steps, perturbations_per_eval=together) for row in x]),
    }
    return methods[options.method]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in dict(rows=256, d=64, width=256, depth=2, steps=50, iterations=5, threads=0).items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--method", default="integrated_gradients")
    parser.add_argument("--together", type=int, default=16, help="perturbations of a row in one pass")
    parser.add_argument("--internal", type=int, default=0, help="internal_batch_size of integrated gradients, 0 for none")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model = network(options.d, options.width, options.depth).eval()
    explain, x = explainer(options, model), pattern(options.rows, options.d, 1.0, 99)
    with torch.set_grad_enabled(options.method in ("saliency", "integrated_gradients", "deep_lift")):
        found = explain(x)
        start = time.perf_counter()
        for _ in range(options.iterations):
            found = explain(x)
        seconds = time.perf_counter() - start
    print(json.dumps({
        "workload": "attribution",
        "sizes": {name: getattr(options, name) for name in ("method", "rows", "d", "width", "depth", "steps")},
        "threads": torch.get_num_threads(),
        "seconds": seconds,
        "per_second": options.rows * options.iterations / seconds,
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "checks": {"sum_of_magnitudes": found.abs().sum().item()},
    }))


if __name__ == "__main__":
    main()
