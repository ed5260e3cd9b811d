"""Writes taps.safetensors: what TAPS (arXiv 2203.16708) does to a small network, step by step.

Made with torch 2.15.0 and safetensors 0.8.0, float32 on a CPU, one thread.
Run from the repository root: python tests/golden/taps/make_taps.py

Network: x [N, 12], fc0 12 -> 16, gelu, fc1 16 -> 16, gelu, fc2 16 -> 16, gelu, head 16 -> 5.
gelu is the one with erf. Weights are [out, in], y = x W^T + b.

fc0, fc1 and fc2 are tapped: their base is frozen, weight and bias have a delta, one score gates both.
    W = base + gate * delta     gate = 1 if score >= tau else 0
    loss = cross entropy (mean over the batch) + lam / L * sum |score|,  L = 3
    d loss / d score = <d loss / d W, delta> + lam / L * sign(score)     whether the gate is on or off
    d loss / d delta = gate * d loss / d W                               zero, not absent, when it is off
So a layer that is off keeps its optimiser state: momentum and weight decay still move its delta.
The head is trained and has no gate.

Runs `sgd`, `adamw` and `cap` start from the same base and head and see the same batches.
    sgd     SGD with momentum: v = momentum * v + g, the first v is g; p -= lr * v. No weight decay.
    adamw   AdamW, p *= 1 - lr * weight_decay, then Adam with both bias corrections; eps is added
            after the square root. Weight decay on the weights (delta.*.weight and head.weight),
            none on scores and biases (score.*, delta.*.bias, head.bias).
    cap     SGD as above; after each step only the `cap` highest scores at or above tau stay, the
            others at or above tau are set to tau - cap_margin. Among equal scores the earlier layer
            stays: it decides after the first step, when all scores are still equal.

Per run and step t: `loss` and `penalty` are those of the forward pass before the update; `scores`,
`gates` and `delta.*` are those after it, in `cap` after the cap too, where `scores_before` has the
scores between the two. `head.*` is the head after the last step.
"""
import json
from pathlib import Path

import safetensors
import torch
import torch.nn.functional as F
from safetensors.torch import save

HERE = Path(__file__).parent
SEED, STEPS, BATCH = 9, 12, 8
TAU, SCORE_INIT, CAP_MARGIN = 0.1, 0.15, 1e-3
LAYERS = {"fc0": (16, 12), "fc1": (16, 16), "fc2": (16, 16)}
RUNS = {
    "sgd": dict(optimizer="sgd", steps=12, lr=0.2, score_lr=0.1, lam=0.5, momentum=0.9),
    "adamw": dict(optimizer="adamw", steps=12, lr=0.02, score_lr=0.02, lam=1.0, beta1=0.9, beta2=0.999, eps=1e-8,
                  weight_decay=0.01),
    "cap": dict(optimizer="sgd", steps=8, lr=0.2, score_lr=0.1, lam=0.1, momentum=0.9, cap=2),
}


class Gate(torch.autograd.Function):
    """A step forward, the identity backward."""

    @staticmethod
    def forward(ctx, score):
        return (score >= TAU).to(score.dtype)

    @staticmethod
    def backward(ctx, grad):
        return grad


def start():
    """Base, head and batches. The labels come from another network, so there is something to learn."""
    rng = torch.Generator().manual_seed(SEED)

    def normal(*shape, std=1.0):
        return torch.randn(*shape, generator=rng) * std

    def network():
        shapes = LAYERS | {"head": (5, 16)}
        return {
            f"{name}.{part}": normal(*shape, std=std)
            for name, (out, inp) in shapes.items()
            for part, shape, std in (("weight", (out, inp), 1.5 * inp**-0.5), ("bias", (out,), 0.2))
        }

    student, teacher = network(), network()
    x = normal(STEPS, BATCH, 12)
    with torch.no_grad():
        y = logits(x, teacher).argmax(-1)
    return student, x, y


def logits(x, p):
    for name in LAYERS:
        x = F.gelu(F.linear(x, p[f"{name}.weight"], p[f"{name}.bias"]))
    return F.linear(x, p["head.weight"], p["head.bias"])


def optimizer(run, score, delta, head):
    weights = [p for k, p in (delta | head).items() if k.endswith("weight")]
    biases = [p for k, p in (delta | head).items() if k.endswith("bias")]
    groups = [dict(params=weights), dict(params=biases), dict(params=list(score.values()), lr=run["score_lr"])]
    if run["optimizer"] == "sgd":
        return torch.optim.SGD(groups, lr=run["lr"], momentum=run["momentum"])
    for group, decay in zip(groups, (run["weight_decay"], 0.0, 0.0)):
        group["weight_decay"] = decay
    return torch.optim.AdamW(groups, lr=run["lr"], betas=(run["beta1"], run["beta2"]), eps=run["eps"])


def cap(score, count):
    ranked = sorted(score.values(), key=lambda s: -s.item())
    with torch.no_grad():
        for s in ranked[count:]:
            if s >= TAU:
                s.fill_(TAU - CAP_MARGIN)


def train(run, network, x, y):
    base = {k: v for k, v in network.items() if k.startswith("fc")}
    head = {k: v.clone().requires_grad_() for k, v in network.items() if k.startswith("head")}
    delta = {k: torch.zeros_like(v).requires_grad_() for k, v in base.items()}
    score = {name: torch.tensor(SCORE_INIT, dtype=x.dtype).requires_grad_() for name in LAYERS}
    opt = optimizer(run, score, delta, head)
    log = {}

    def note(name, value):
        log.setdefault(name, []).append(value.detach().clone())

    def scores():
        return torch.stack([s.detach() for s in score.values()])

    for t in range(run["steps"]):
        tapped = {k: w + Gate.apply(score[k[:3]]) * delta[k] for k, w in base.items()}
        loss = F.cross_entropy(logits(x[t], tapped | head), y[t])
        penalty = run["lam"] / len(LAYERS) * sum(s.abs() for s in score.values())
        opt.zero_grad()
        (loss + penalty).backward()
        opt.step()
        if "cap" in run:
            note("scores_before", scores())
            cap(score, run["cap"])
        note("loss", loss)
        note("penalty", penalty)
        note("scores", scores())
        note("gates", (scores() >= TAU).to(x.dtype))
        for k, d in delta.items():
            note(f"delta.{k}", d)
    return {k: torch.stack(v) for k, v in log.items()} | {k: p.detach() for k, p in head.items()}


def write(name, tensors, metadata):
    """Like `save_file`, with the metadata in a fixed order: the same tensors give the same bytes."""
    data = save(tensors, metadata)
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    header["__metadata__"] = dict(sorted(metadata.items()))
    header = json.dumps(header, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    (HERE / name).write_bytes(len(header).to_bytes(8, "little") + header + data[end:])


def main():
    torch.set_num_threads(1)
    network, x, y = start()
    out = {f"base.{k}" if k.startswith("fc") else f"initial.{k}": v for k, v in network.items()}
    out |= {"inputs": x, "labels": y.to(torch.int32)}
    meta = dict(torch=torch.__version__, safetensors=safetensors.__version__, seed=SEED, batch=BATCH)
    meta |= dict(tau=TAU, score_init=SCORE_INIT, cap_margin=CAP_MARGIN, layers=" ".join(LAYERS))
    for name, run in RUNS.items():
        result = train(run, network, x, y)
        turned = result["gates"].diff(dim=0)
        assert (turned < 0).any() and (turned > 0).any(), f"{name}: no gate closed and came back"
        # Far enough from tau for another order of summation not to flip a gate.
        assert (result.get("scores_before", result["scores"]) - TAU).abs().min() > 5e-4, f"{name}: too near tau"
        out |= {f"{name}.{k}": v.contiguous() for k, v in result.items()}
        meta |= {f"{name}.{k}": v for k, v in run.items()}
    write("taps.safetensors", out, {k: str(v) for k, v in meta.items()})


if __name__ == "__main__":
    main()
