"""A tiny random torchvision MobileNetV2 with TensorFlow's SAME padding; see ../torch_golden.py. Dropout is off.

SAME padding depends on the size of the input: a convolution of stride s gives ceil(size / s) pixels, and where an odd
number of rows or columns has to be added, the greater part goes to the bottom and to the right.
The maps are 24, 12, 6, 3 and 2 pixels wide: the last step of stride 2 pads both sides, those before it only the end.
Run from the repository root: python tests/golden/mobilenet_v2_same/make_mobilenet_v2_same.py [FOLDER]
With the FOLDER of a published MobileNetV2 (config.json, model.safetensors and golden.safetensors with `input` and
`logits`) it only compares that network's logits.
"""
import json
import sys
from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import load_file
from torchvision.models import MobileNetV2

sys.path.append(str(Path(__file__).resolve().parents[1]))

from small_mobilenet import mobilenet_v2
from torch_golden import folder_of, image_config, make

SIZE, SIZES = 48, {"width_mult": 0.1, "last_channel": 64}


def pad_same(conv, inputs):
    """A hook that pads the input of a convolution."""
    padding = []
    for size, kernel, stride in zip(inputs[0].shape[:1:-1], conv.kernel_size[::-1], conv.stride[::-1]):
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        padding += [total // 2, total - total // 2]
    return (F.pad(inputs[0], padding),)


def same(net):
    for module in net.modules():
        if isinstance(module, nn.Conv2d) and module.stride != (1, 1):
            module.padding = (0, 0)
            module.register_forward_pre_hook(pad_same)
    return net


def compare(folder):
    config = json.loads((folder / "config.json").read_text())
    net = same(MobileNetV2(num_classes=config["num_classes"])).eval()
    net.load_state_dict(load_file(folder / "model.safetensors"))
    expected = load_file(folder / "golden.safetensors")
    with torch.no_grad():
        logits = net(expected["input"])
    error = (logits - expected["logits"]).abs().max() / expected["logits"].abs().max()
    print(f"{folder}: logits differ by {error:.1e} of the largest")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit(compare(Path(sys.argv[1])))
    config = image_config(SIZE, architecture="mobilenet_v2", **SIZES, padding="tf_same")
    make(folder_of(__file__), config, lambda: same(mobilenet_v2(**SIZES)), SIZE, ["torchvision"], seed=8)
