"""Multiplies two matrices in PyTorch and prints one JSON line.

The counterpart of `cargo run --release --example throughput -- gemm ...`: the same sizes in single precision.
"""

import argparse
import json
import time

import torch


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in [("m", 4096), ("k", 512), ("n", 4096), ("iterations", 10), ("threads", 0)]:
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    a, b = torch.rand(options.m, options.k) - 0.5, torch.rand(options.k, options.n) - 0.5
    out = torch.empty(options.m, options.n)
    torch.matmul(a, b, out=out)
    start = time.perf_counter()
    for _ in range(options.iterations):
        torch.matmul(a, b, out=out)
    seconds = time.perf_counter() - start
    operations = 2 * options.m * options.k * options.n * options.iterations
    exact = a[0].double() @ b.double()
    print(json.dumps({
        "workload": "gemm",
        "sizes": {"m": options.m, "k": options.k, "n": options.n, "iterations": options.iterations},
        "threads": torch.get_num_threads(),
        "seconds": seconds,
        "per_second": operations / seconds,
        "flops": operations,
        "checks": {"max_error_of_first_row": (out[0].double() - exact).abs().max().item(), "torch": torch.__version__},
    }))


if __name__ == "__main__":
    main()
