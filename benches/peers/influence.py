"""EK-FAC influence with kronfluence on a multilayer perceptron: the work of the workload `influence` of the throughput example.

The package is not in requirements.txt: `pip install kronfluence==1.0.1`. Its fit runs the model as well; so does the workload's.
"""

import argparse
import json
import resource
import tempfile
import time

import torch
from kronfluence.analyzer import Analyzer, prepare_model
from kronfluence.arguments import FactorArguments, ScoreArguments
from kronfluence.task import Task
from torch.utils.data import TensorDataset

OUTPUTS = 10


class Classification(Task):
    """Sum of cross-entropies; the measurement is the loss."""

    def compute_train_loss(self, batch, model, sample=False):
        x, y = batch
        logits = model(x)
        if sample:
            y = torch.multinomial(torch.softmax(logits.detach(), dim=-1), 1).flatten()
        return torch.nn.functional.cross_entropy(logits, y, reduction="sum")

    def compute_measurement(self, batch, model):
        return self.compute_train_loss(batch, model)


def network(d, width):
    sizes = [d, width, width, OUTPUTS]
    layers = []
    for inputs, outputs in zip(sizes, sizes[1:]):
        layers += [torch.nn.Linear(inputs, outputs), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def data(rows, d):
    return TensorDataset(torch.randn(rows, d), torch.arange(rows) % OUTPUTS)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in dict(train=4096, query=256, d=512, width=512, iterations=1, threads=0).items():
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    train, query = data(options.train, options.d), data(options.query, options.d)
    task = Classification()
    model = prepare_model(network(options.d, options.width), task)
    with tempfile.TemporaryDirectory() as folder:
        analyzer = Analyzer("influence", model, task, cpu=True, output_dir=folder, disable_tqdm=True)
        start = time.perf_counter()
        analyzer.fit_all_factors(
            "ekfac", train, per_device_batch_size=512, factor_args=FactorArguments(strategy="ekfac", use_empirical_fisher=True))
        fit_seconds = time.perf_counter() - start
        start = time.perf_counter()
        for _ in range(options.iterations):
            analyzer.compute_pairwise_scores(
                "pairwise", "ekfac", query, train, per_device_query_batch_size=options.query, per_device_train_batch_size=512,
                score_args=ScoreArguments(damping_factor=None), overwrite_output_dir=True)
        score_seconds = (time.perf_counter() - start) / options.iterations
        scores = analyzer.load_pairwise_scores("pairwise")["all_modules"]
    print(json.dumps({
        "workload": "influence",
        "sizes": {"train": options.train, "query": options.query, "d": options.d, "width": options.width},
        "threads": torch.get_num_threads(),
        "seconds": fit_seconds + score_seconds,
        "per_second": options.train * options.query / score_seconds,
        "flops": 0,
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "checks": {"fit_seconds": fit_seconds, "score_seconds": score_seconds,
                   "root_mean_square": float(scores.double().square().mean().sqrt()), "torch": torch.__version__},
    }))


if __name__ == "__main__":
    main()
