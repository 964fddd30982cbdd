"""Trains toy models of superposition in PyTorch, the way the published notebook does, and prints one JSON line.

The counterpart of `cargo run --release --example throughput -- superposition ...`: the same instances, sizes, densities
(20^-linspace(0, 1, instances)), batch, optimiser (AdamW, 1e-3) and loss (importance-weighted mean).
"""

import argparse
import json
import time

import torch


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in [("instances", 10), ("features", 5), ("hidden", 2), ("batch", 1024), ("steps", 500), ("threads", 0)]:
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    k, n, m = options.instances, options.features, options.hidden
    weight = torch.empty(k, n, m)
    torch.nn.init.xavier_normal_(weight)
    weight.requires_grad_()
    bias = torch.zeros(k, n, requires_grad=True)
    probability = 20 ** -torch.linspace(0, 1, k)[:, None]
    importance = torch.ones(n)
    optimizer = torch.optim.AdamW([weight, bias], lr=1e-3)

    def step():
        optimizer.zero_grad(set_to_none=True)
        value = torch.rand((options.batch, k, n))
        x = torch.where(torch.rand((options.batch, k, n)) <= probability, value, torch.zeros(()))
        hidden = torch.einsum("...if,ifh->...ih", x, weight)
        output = torch.relu(torch.einsum("...ih,ifh->...if", hidden, weight) + bias)
        error = importance * (x.abs() - output) ** 2
        loss = error.mean(dim=(0, 2)).sum()
        loss.backward()
        optimizer.step()
        return loss.item()

    for _ in range(min(20, options.steps)):
        step()
    start = time.perf_counter()
    for _ in range(options.steps):
        loss = step()
    seconds = time.perf_counter() - start
    print(json.dumps({
        "workload": "superposition",
        "sizes": {"instances": k, "features": n, "hidden": m, "batch": options.batch, "steps": options.steps},
        "threads": torch.get_num_threads(),
        "seconds": seconds,
        "per_second": options.steps / seconds,
        "checks": {"loss": loss / k, "torch": torch.__version__},
    }))


if __name__ == "__main__":
    main()
