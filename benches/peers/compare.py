"""Runs each workload with limpid and with its peer in turn, and prints how many times faster limpid is.

Both do the same work in the same number of threads. The runs alternate, so that a busy moment hits both; the rate is the
median of the rounds. The last line is the same as JSON. Needs the packages of requirements.txt; --python names another
interpreter that has them.
"""

import argparse
import importlib.util
import json
import pathlib
import statistics
import subprocess
import sys

FOLDER = pathlib.Path(__file__).resolve().parent
ROOT = FOLDER.parent.parent

def sae(architecture, m, method, steps, faster):
    """A training step of an autoencoder; the peer is told the method."""
    return "sae_train", dict(architecture=architecture, d=512, m=m, batch=4096, k=32), steps, faster, dict(method=method)


# steps (permutations, coalitions), rows
ATTRIBUTION = {"saliency": (1, 4096), "integrated_gradients": (50, 256), "deep_lift": (1, 4096), "feature_ablation": (1, 256),
               "shapley_sampling": (25, 32), "kernel_shap": (2000, 8)}

# script, sizes, amount of the peer's work, how many times more limpid gets, what only the peer is told
WORKLOADS = {
    "superposition 10 x (5, 2)": ("superposition", dict(instances=10, features=5, hidden=2, batch=1024), 500, 20, {}),
    "superposition 20 x (200, 20)": ("superposition", dict(instances=20, features=200, hidden=20, batch=1024), 20, 5, {}),
    "gemm 4096 x 512 x 4096": ("gemm", dict(m=4096, k=512, n=4096), 20, 1, {}),
    "sae top_k 4096, dense": sae("top_k", 4096, "dense", 4, 5),
    "sae top_k 4096, embedding_bag": sae("top_k", 4096, "embedding_bag", 6, 4),
    "sae top_k 16384, dense": sae("top_k", 16384, "dense", 2, 4),
    "sae top_k 16384, embedding_bag": sae("top_k", 16384, "embedding_bag", 2, 4),
    "sae relu 4096, dense": sae("relu", 4096, "dense", 4, 2),
    "sae jump_relu 4096, dense": sae("jump_relu", 4096, "dense", 4, 2),
}
SCORED = dict(neurons=307_200, sequences=10, tokens=64)
WORKLOADS["score 307200"] = ("score", SCORED, 1, 20, {})
# numpy scores without intervals: the peer of a bootstrap is the bare loop
WORKLOADS["score 307200, 200 resamples"] = ("score", dict(SCORED, resamples=200), 1, 4, {})
for label, sizes in {"64-256-256-10": dict(d=64, width=256), "512-2048-2048-10": dict(d=512, width=2048)}.items():
    large = sizes["d"] == 512
    for method, (steps, rows) in ATTRIBUTION.items():
        rows = max(2, rows // 16) if large else rows
        WORKLOADS[f"{method} {label}"] = ("attribution", dict(method=method, rows=rows, depth=2, steps=steps, **sizes), 2, 1 if large else 5, {})
if importlib.util.find_spec("sae_lens"):
    WORKLOADS["sae top_k 4096, SAELens"] = sae("top_k", 4096, "saelens", 4, 5)
if importlib.util.find_spec("kronfluence"):
    # one pass each: the checks hold the seconds of the fit
    WORKLOADS["influence 4096 x 256"] = ("influence", dict(train=4096, query=256, d=512, width=512), 1, 1, {})
AMOUNT = {"superposition": "steps", "gemm": "iterations", "sae_train": "steps", "attribution": "iterations", "score": "iterations", "influence": "iterations"}


def run(command):
    """The JSON line that a workload prints last."""
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stderr.strip()}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def arguments(sizes, amount_name, amount, threads):
    pairs = dict(sizes, **{amount_name: amount})
    if threads:
        pairs["threads"] = threads
    return [text for name, value in pairs.items() for text in (f"--{name}", str(value))]


def compare(name, options):
    workload, sizes, amount, faster, peer_only = WORKLOADS[name]
    # limpid gets more steps where it is much faster, so that both are timed for long enough
    tail = [arguments(sizes, AMOUNT[workload], max(1, n // options.divide), options.threads) for n in (amount * faster, amount)]
    ours = [str(ROOT / "target/release/examples/throughput"), workload.replace("_", "-"), *tail[0]]
    extra = [text for key, value in peer_only.items() for text in (f"--{key}", str(value))]
    peer = [options.python, str(FOLDER / f"{workload}.py"), *tail[1], *extra]
    rates = [(run(ours), run(peer)) for _ in range(options.rounds)]
    threads = {side["threads"] for pair in rates for side in pair}
    if len(threads) != 1:
        sys.exit(f"{name}: the two ran with different numbers of threads: {sorted(threads)}")
    ours_rate, peer_rate = (statistics.median(pair[side]["per_second"] for pair in rates) for side in (0, 1))
    ratios = sorted(a["per_second"] / b["per_second"] for a, b in rates)
    memory = [max(pair[side].get("peak_rss_bytes", 0) for pair in rates) for side in (0, 1)]
    checks = [rates[-1][side]["checks"] for side in (0, 1)]
    return {"workload": name, "threads": threads.pop(), "peak_rss_bytes": memory, "checks": checks, "limpid": ours_rate, "peer": peer_rate,
            "ratio": ours_rate / peer_rate, "ratio_range": [ratios[0], ratios[-1]]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="runs of each side (default 5)")
    parser.add_argument("--threads", type=int, default=0, help="threads of both sides (default: all cores)")
    parser.add_argument("--python", default=sys.executable, help="interpreter with PyTorch (default: this one)")
    parser.add_argument("--divide", type=int, default=1, help="do this many times less work, to see that it runs")
    parser.add_argument("--match", default="", help="only workloads whose name contains this")
    parser.add_argument("--only", choices=sorted({w for w, *_ in WORKLOADS.values()}), help="one kind of workload")
    options = parser.parse_args()
    if options.rounds < 1 or options.divide < 1 or options.threads < 0:
        parser.error("--rounds and --divide must be at least 1, --threads at least 0")
    build = ["cargo", "build", "--quiet", "--release", "--example", "throughput"]
    if subprocess.run(build, cwd=ROOT, stdin=subprocess.DEVNULL).returncode != 0:
        sys.exit("the throughput example does not build")
    names = [name for name, (workload, *_) in WORKLOADS.items() if options.only in (None, workload) and options.match in name]
    print(f"{'workload':<32} {'threads':>7} {'limpid/s':>12} {'PyTorch/s':>12} {'ratio':>8}   MB  range")
    results = []
    for name in names:
        row = compare(name, options)
        results.append(row)
        low, high = row["ratio_range"]
        print(f"{name:<32} {row['threads']:>7} {row['limpid']:>12.4g} {row['peer']:>12.4g} {row['ratio']:>7.1f}x  "
              f"{row['peak_rss_bytes'][0] >> 20:>4}/{row['peak_rss_bytes'][1] >> 20:<5} {low:.1f}-{high:.1f}", flush=True)
    print(json.dumps({"results": results}))


if __name__ == "__main__":
    main()
