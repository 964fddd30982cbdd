"""Correlates true and predicted activations of every neuron in a loop over numpy.corrcoef, and prints one JSON line.

The counterpart of `cargo run --release --example throughput -- score ...`. There is nothing to set for --resamples: with or
without them this is the bare loop.
"""

import argparse
import json
import os
import time

import numpy as np


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    defaults = [("neurons", 307_200), ("sequences", 10), ("tokens", 64), ("resamples", 0), ("iterations", 1), ("threads", 0)]
    for name, default in defaults:
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    shape = (options.neurons, options.sequences * options.tokens)
    random = np.random.default_rng(0)
    truth, prediction = (np.maximum(random.random(shape, dtype=np.float32) - 0.75, 0) * 20 for _ in range(2))
    prediction = np.float32(0.6) * truth + np.float32(0.4) * prediction
    found = np.empty(options.neurons)
    np.corrcoef(truth[0], prediction[0])
    start = time.perf_counter()
    for _ in range(options.iterations):
        for neuron in range(options.neurons):
            found[neuron] = np.corrcoef(truth[neuron], prediction[neuron])[0, 1]
    seconds = time.perf_counter() - start
    print(json.dumps({
        "workload": "score",
        "sizes": {"neurons": options.neurons, "sequences": options.sequences, "tokens": options.tokens},
        # the loop runs in one thread; it is given the cores that the other side has
        "threads": options.threads or len(os.sched_getaffinity(0)),
        "seconds": seconds,
        "per_second": options.neurons * options.iterations / seconds,
        "flops": 0,
        "checks": {"mean_pearson": float(np.nanmean(found)), "numpy": np.__version__},
    }))


if __name__ == "__main__":
    main()
