"""A small random timm MobileNetV2; see ../torch_golden.py.

Run from the repository root: python tests/golden/mobilenet_timm/make_mobilenet_timm.py
"""
import sys
from pathlib import Path

import torch.nn as nn
from timm.layers import BatchNormAct2d
from timm.models.efficientnet import _gen_mobilenet_v2

sys.path.append(str(Path(__file__).resolve().parents[1]))

from torch_golden import CLASSES, folder_of, make

SIZE, FEATURES = 48, 64


def build():
    """timm's, with 64 features in place of 1280."""
    net = _gen_mobilenet_v2("mobilenetv2_035", channel_multiplier=0.1, num_classes=CLASSES, drop_rate=0.0)
    net.conv_head = nn.Conv2d(net.conv_head.in_channels, FEATURES, 1, bias=False)
    net.bn2 = BatchNormAct2d(FEATURES, act_layer=nn.ReLU6)
    net.classifier = nn.Linear(FEATURES, CLASSES)
    return net


if __name__ == "__main__":
    config = {
        "architecture": "mobilenetv2_035",
        "num_classes": CLASSES,
        "pretrained_cfg": {"input_size": [3, SIZE, SIZE], "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
    }
    for seed in range(61, 90):
        try:
            make(folder_of(__file__), config, build, SIZE, ["timm"], seed=seed)
            break
        except AssertionError as error:
            print(error)
