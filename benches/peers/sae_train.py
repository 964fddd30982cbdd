"""Trains a sparse autoencoder in PyTorch and prints one JSON line.

The counterpart of `cargo run --release --example throughput -- sae-train ...`: the same sizes, the same kind of data (sums of
16 random rows of a unit-norm dictionary with U(0, 1) coefficients), unit-norm decoder rows, Adam, the same losses.
`--method dense` is what autograd makes of the textbook code; `--method embedding_bag` decodes the active latents only;
`--method saelens` takes the training step of SAELens (`pip install sae-lens`, top_k only) with its own defaults.
"""

import argparse
import json
import resource
import time

import torch


def samples(dictionary, rows):
    index = torch.randint(dictionary.shape[0], (rows, 16))
    return torch.einsum("bk,bkd->bd", torch.rand(rows, 16), dictionary[index])


class JumpReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx, z, threshold, bandwidth):
        ctx.save_for_backward(z, threshold)
        ctx.bandwidth = bandwidth
        return z * (z > threshold)

    @staticmethod
    def backward(ctx, grad):
        z, threshold = ctx.saved_tensors
        window = ((z - threshold) / ctx.bandwidth).abs() < 0.5
        by_threshold = -(threshold / ctx.bandwidth) * (window * grad).sum(0)
        return grad * (z > threshold), by_threshold, None


class Step(torch.autograd.Function):
    @staticmethod
    def forward(ctx, z, threshold, bandwidth):
        ctx.save_for_backward(z, threshold)
        ctx.bandwidth = bandwidth
        return (z > threshold).to(z.dtype)

    @staticmethod
    def backward(ctx, grad):
        z, threshold = ctx.saved_tensors
        window = ((z - threshold) / ctx.bandwidth).abs() < 0.5
        return None, -(window * grad).sum(0) / ctx.bandwidth, None


def saelens_step(options, w_dec):
    """The step of SAELens, without its bookkeeping around it."""
    from sae_lens.saes.sae import TrainStepInput
    from sae_lens.saes.topk_sae import TopKTrainingSAE, TopKTrainingSAEConfig

    config = TopKTrainingSAEConfig(d_in=options.d, d_sae=options.m, k=options.k, device="cpu", dtype="float32")
    sae = TopKTrainingSAE(config)
    with torch.no_grad():
        sae.W_dec.copy_(w_dec)
        sae.W_enc.copy_(w_dec.t())
    optimizer = torch.optim.Adam(sae.parameters(), lr=3e-4)

    def step(x):
        optimizer.zero_grad(set_to_none=True)
        out = sae.training_forward_pass(TrainStepInput(
            sae_in=x, coefficients={}, dead_neuron_mask=None, n_training_steps=0, is_logging_step=False))
        out.loss.backward()
        optimizer.step()
        active = out.feature_acts
        count = active.values().count_nonzero() if active.is_sparse else active.count_nonzero()
        return out.loss.item(), count.item() / x.shape[0]

    return step


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in [("d", 512), ("m", 4096), ("batch", 4096), ("k", 32), ("steps", 5), ("threads", 0)]:
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--architecture", choices=["top_k", "batch_top_k", "relu", "jump_relu"], default="top_k")
    parser.add_argument("--method", choices=["dense", "embedding_bag", "saelens"], default="dense")
    options = parser.parse_args()
    if options.method != "dense" and options.architecture != "top_k":
        parser.error(f"--method {options.method} is for --architecture top_k")
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    d, m, k = options.d, options.m, options.k
    dictionary = torch.nn.functional.normalize(torch.randn(m, d), dim=1)
    batches = [samples(dictionary, options.batch) for _ in range(2)]
    w_dec = torch.nn.functional.normalize(torch.randn(m, d), dim=1)
    w_enc = torch.nn.Parameter(w_dec.t().clone().contiguous())
    w_dec = torch.nn.Parameter(w_dec)
    b_enc, b_dec = torch.nn.Parameter(torch.zeros(m)), torch.nn.Parameter(torch.zeros(d))
    threshold = torch.nn.Parameter(torch.full((m,), 0.01))
    parameters = [w_enc, w_dec, b_enc, b_dec] + ([threshold] if options.architecture == "jump_relu" else [])
    optimizer = torch.optim.Adam(parameters, lr=3e-4)

    def forward(x):
        z = (x - b_dec) @ w_enc + b_enc
        if options.architecture == "jump_relu":
            features = JumpReLU.apply(z, threshold, 0.01)
            penalty = 0.001 * Step.apply(z, threshold, 0.01).sum(1).mean()
            return features @ w_dec + b_dec, penalty, features
        z = torch.relu(z)
        if options.architecture == "relu":
            return z @ w_dec + b_dec, 0.05 * z.sum(1).mean(), z
        if options.architecture == "batch_top_k":
            values, index = z.flatten().topk(k * z.shape[0])
            features = torch.zeros_like(z).flatten().scatter(0, index, values).view_as(z)
            return features @ w_dec + b_dec, 0.0, features
        values, index = z.topk(k, dim=1, sorted=False)
        if options.method == "embedding_bag":
            out = torch.nn.functional.embedding_bag(index, w_dec, per_sample_weights=values, mode="sum")
            return out + b_dec, 0.0, values
        features = torch.zeros_like(z).scatter(1, index, values)
        return features @ w_dec + b_dec, 0.0, features

    def step(x):
        optimizer.zero_grad(set_to_none=True)
        out, penalty, features = forward(x)
        loss = (out - x).pow(2).sum(1).mean() + penalty
        loss.backward()
        with torch.no_grad():
            w_dec.grad -= (w_dec.grad * w_dec).sum(1, keepdim=True) * w_dec
        optimizer.step()
        with torch.no_grad():
            w_dec.data = torch.nn.functional.normalize(w_dec.data, dim=1)
        return loss.item(), (features != 0).sum().item() / x.shape[0]

    if options.method == "saelens":
        step = saelens_step(options, w_dec.detach())
    for x in batches:
        step(x)
    start = time.perf_counter()
    for index in range(options.steps):
        loss, l0 = step(batches[index % 2])
    seconds = time.perf_counter() - start
    print(json.dumps({
        "workload": "sae-train",
        "sizes": {name: getattr(options, name) for name in ["d", "m", "batch", "k", "steps", "architecture", "method"]},
        "threads": torch.get_num_threads(),
        "seconds": seconds,
        "per_second": options.steps * options.batch / seconds,
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "checks": {"loss": loss, "l0": l0, "torch": torch.__version__},
    }))


if __name__ == "__main__":
    main()
