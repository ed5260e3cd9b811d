"""What the scripts of the image networks share: random weights, goldens and files.

The scripts were run with torch 2.15.0, torchvision 0.29.2, timm 1.0.31, transformers 5.23.0 and safetensors 0.8.0 on
a CPU, one thread. Each writes to its own folder:
    config.json                   as the Rust side reads it
    model.safetensors             every parameter and buffer, float32
    golden.safetensors            see `golden`; computed in float64 from these weights, stored in float32
Each file states the versions that made it. The same versions give the same bytes.
"""

import copy
import importlib.metadata
import json
from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import load_file, save

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
BATCH, CLASSES = 3, 5
RENAMED = [
    ("vit.layers.", "vit.encoder.layer."),
    ("deit.layers.", "deit.encoder.layer."),
    (".attention.q_proj.", ".attention.attention.query."),
    (".attention.k_proj.", ".attention.attention.key."),
    (".attention.v_proj.", ".attention.attention.value."),
    (".attention.o_proj.", ".attention.output.dense."),
    (".mlp.fc1.", ".intermediate.dense."),
    (".mlp.fc2.", ".output.dense."),
]


def published(name):
    """The name in published files of a tensor of transformers' ViT or DeiT, which have others in memory."""
    for new, old in RENAMED:
        name = name.replace(new, old)
    return name


def write(path, tensors, metadata):
    """Like `save_file`, with the metadata in a fixed order: the same tensors give the same bytes."""
    data = save(tensors, metadata)
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    header["__metadata__"] = dict(sorted(metadata.items()))
    header = json.dumps(header, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    path.write_bytes(len(header).to_bytes(8, "little") + header + data[end:])


def versions(*libraries):
    """Their versions, and those of torch and safetensors."""
    return {name: importlib.metadata.version(name).split("+")[0] for name in ["torch", "safetensors", *libraries]}


@torch.no_grad()
def randomize(model, rng):
    """Weights that keep activations near 1; norms near the identity, with running statistics that are not it."""

    def normal(tensor, deviation, mean=0.0):
        tensor.copy_(torch.randn(tensor.shape, generator=rng) * deviation + mean)

    for module in model.modules():
        norm = isinstance(module, (nn.BatchNorm2d, nn.LayerNorm))
        for name, p in module.named_parameters(recurse=False):
            if norm:
                normal(p, 0.2, 1.0 if name == "weight" else 0.0)
            elif isinstance(module, nn.Conv2d) and name == "weight":
                normal(p, p[0].numel() ** -0.5)
            else:
                normal(p, 0.2)
        if isinstance(module, nn.BatchNorm2d):
            normal(module.running_mean, 0.3)
            module.running_var.copy_(torch.rand(module.running_var.shape, generator=rng) + 0.5)


def logits_of(model, pixels, **options):
    out = model(pixels, **options)
    return out if isinstance(out, torch.Tensor) else out.logits


def losses(model, pixels, labels, prefix, name_of, **options):
    """Logits, mean cross entropy and the gradients of all parameters, whose names get `prefix`."""
    model.zero_grad()
    logits = logits_of(model, pixels, **options)
    loss = F.cross_entropy(logits, labels)
    loss.backward()
    found = {f"{prefix}logits": logits, f"{prefix}loss": loss}
    found |= {f"{prefix}grad.{name_of(k)}": p.grad for k, p in model.named_parameters()}
    return {k: v.detach().float().contiguous().clone() for k, v in found.items()}


def golden(model, pixels, labels, name_of=str, **options):
    """What the network does to this batch.

    pixels [3, channels, height, width], labels [3]
    logits [3, 5], loss []        the network in evaluation; loss is the mean cross entropy
    grad.<name>                   d loss / d parameter, for every parameter
    and for a network with batch normalization, in training (batch statistics, momentum 0.1) with the same batch:
    train.logits, train.loss, train.grad.<name>
    train.stat.<name>             every running_mean and running_var after this one pass
    """
    found = {"pixels": pixels, "labels": labels.to(torch.int32)}
    model = copy.deepcopy(model).eval()
    pixels = pixels.to(next(model.parameters()).dtype)
    found |= losses(model, pixels, labels, "", name_of, **options)
    if any(isinstance(module, nn.BatchNorm2d) for module in model.modules()):
        found |= losses(model.train(), pixels, labels, "train.", name_of, **options)
        stats = {k: v for k, v in model.named_buffers() if not k.endswith("num_batches_tracked")}
        found |= {f"train.stat.{name_of(k)}": v.detach().float().clone() for k, v in stats.items()}
    return found


def batch(rng, size, channels=3):
    """Pixels and labels."""
    pixels = torch.randn(BATCH, channels, size, size, generator=rng)
    return pixels, torch.randint(0, CLASSES, (BATCH,), generator=rng)


def check_float32(model, found, **arguments):
    """Float32 must come close, so that a test of float32 arithmetic can ask for little deviation.

    Deviation is relative to a tensor's largest value; of a gradient, to no less than 1/1000 of the pass's largest
    gradient, since some are exactly 0: that of a bias which a normalization by the batch takes off again.
    """
    check_float32_of(golden(model, **arguments), found)


def check_float32_of(again, found):
    """The same of what a pass in float32 gave."""

    def least(name):
        kind = name[: name.find("grad.") + 5] if "grad." in name else None
        return max(
            (v.abs().max().item() * 1e-3 for k, v in found.items() if kind and k.startswith(kind)), default=1e-3
        )

    for name, expected in found.items():
        size = max(expected.abs().max().item(), least(name))
        error = (again[name] - expected).abs().max().item() / size
        assert error < 1e-4, f"{name}: float32 is off by {error}: take another seed"


def make(folder, config, build, size, libraries, seed, name_of=str):
    """Writes the files of the network that `build` makes."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    rng = torch.Generator().manual_seed(seed)
    model = build().eval()
    randomize(model, rng)
    pixels, labels = batch(rng, size)
    found = golden(copy.deepcopy(model).double(), pixels, labels, name_of)
    check_float32(model, found, pixels=pixels, labels=labels, name_of=name_of)

    made_with = versions(*libraries)
    weights = {name_of(k): v.detach().contiguous() for k, v in model.state_dict().items()}
    write(folder / "model.safetensors", weights, {"format": "pt"} | made_with)
    write(folder / "golden.safetensors", found, made_with)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")

    read = load_file(folder / "model.safetensors")
    again = build().eval()
    again.load_state_dict({k: read[name_of(k)] for k in again.state_dict()})
    with torch.no_grad():
        logits = logits_of(again.double(), pixels.double()).float()
    assert torch.equal(logits, found["logits"]), "the written weights give other logits"
    report(folder, found)


def report(folder, found):
    size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    losses = ", ".join(f"{name} {found[name]:.3f}" for name in ("loss", "train.loss") if name in found)
    print(f"{folder.name}: {size / 1e3:.0f} kB, {losses}")


def image_config(size, **sizes):
    """A config.json of the networks that have no library's own."""
    end = {"num_classes": CLASSES, "image_size": size, "image_mean": MEAN, "image_std": STD, "batch_norm_eps": 1e-5}
    return sizes | end


def folder_of(script):
    return Path(script).resolve().parent
