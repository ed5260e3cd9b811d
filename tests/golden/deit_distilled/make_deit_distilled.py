"""A tiny random timm vision transformer with a distillation token, which classifies by the mean of two heads; see
../torch_golden.py.

golden.safetensors also has the one head that gives the same scores: head.weight [5, 32] over the features of the class
token and of the distillation token side by side, head.bias [5], and grad.head.weight, grad.head.bias are its gradients.
Run from the repository root: python tests/golden/deit_distilled/make_deit_distilled.py
"""

import copy
import sys
from pathlib import Path

import timm
import torch
import torch.nn as nn
import torch.nn.functional as F

sys.path.append(str(Path(__file__).resolve().parents[1]))

from torch_golden import CLASSES, MEAN, STD, folder_of, golden, make, write, versions
from safetensors.torch import load_file

NAME, SIZE = "deit_tiny_distilled_patch16_224", 16
ARGS = {"img_size": SIZE, "patch_size": 4, "embed_dim": 16, "depth": 2, "num_heads": 2}
HERE = folder_of(__file__)


def build():
    return timm.create_model(NAME, **ARGS, num_classes=CLASSES, in_chans=3)


class OneHead(nn.Module):
    """The same network with one head."""

    def __init__(self, net):
        super().__init__()
        self.net = net
        self.head = nn.Linear(2 * ARGS["embed_dim"], CLASSES)
        with torch.no_grad():
            self.head.weight.copy_(torch.cat([net.head.weight, net.head_dist.weight], 1) / 2)
            self.head.bias.copy_((net.head.bias + net.head_dist.bias) / 2)
        net.head, net.head_dist = nn.Identity(), nn.Identity()

    def forward(self, pixels):
        tokens = self.net.forward_features(pixels)
        return self.head(torch.cat([tokens[:, 0], tokens[:, 1]], 1))


def main():
    config = {
        "architecture": NAME,
        "num_classes": CLASSES,
        "num_features": ARGS["embed_dim"],
        "global_pool": "token",
        "model_args": ARGS,
        "pretrained_cfg": {
            "input_size": [3, SIZE, SIZE],
            "fixed_input_size": True,
            "interpolation": "bicubic",
            "crop_pct": 0.9,
            "crop_mode": "center",
            "mean": MEAN,
            "std": STD,
            "num_classes": CLASSES,
            "first_conv": "patch_embed.proj",
            "classifier": ["head", "head_dist"],
        },
    }
    make(HERE, config, build, SIZE, ["timm"], seed=28)
    net = build().eval()
    net.load_state_dict(load_file(HERE / "model.safetensors"))
    made = load_file(HERE / "golden.safetensors")
    one = OneHead(copy.deepcopy(net)).double()
    found = golden(one, made["pixels"], made["labels"].long(), lambda name: name.removeprefix("net."))
    assert torch.allclose(found["logits"], made["logits"], atol=1e-6)
    head = {"head.weight": one.head.weight, "head.bias": one.head.bias}
    found |= {name: value.detach().float() for name, value in head.items()}
    write(HERE / "golden.safetensors", found, versions("timm"))


if __name__ == "__main__":
    main()
