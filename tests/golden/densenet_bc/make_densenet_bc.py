"""A tiny random DenseNet-BC for small images (Huang et al. 2016); see ../torch_golden.py.

A 3x3 convolution of stride 1 as stem, without norm or pooling, and transitions that halve the channels. Layers and
names as in gpleiss/efficient_densenet_pytorch for small inputs.
Run from the repository root: python tests/golden/densenet_bc/make_densenet_bc.py
"""
import sys
from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F

sys.path.append(str(Path(__file__).resolve().parents[1]))

from torch_golden import CLASSES, folder_of, image_config, make

SIZE = 16
SIZES = {"growth_rate": 4, "block_config": [2, 2, 2], "bn_size": 4, "num_init_features": 8}


class DenseLayer(nn.Module):
    def __init__(self, inputs, growth, bn_size):
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, bn_size * growth, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(bn_size * growth)
        self.conv2 = nn.Conv2d(bn_size * growth, growth, 3, 1, 1, bias=False)

    def forward(self, x):
        new = self.conv1(F.relu(self.norm1(x)))
        new = self.conv2(F.relu(self.norm2(new)))
        return torch.cat([x, new], 1)


class Transition(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.norm = nn.BatchNorm2d(inputs)
        self.conv = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x):
        return F.avg_pool2d(self.conv(F.relu(self.norm(x))), 2)


class DenseNetBC(nn.Module):
    def __init__(self, growth_rate, block_config, bn_size, num_init_features, classes):
        super().__init__()
        self.features = nn.Sequential()
        self.features.add_module("conv0", nn.Conv2d(3, num_init_features, 3, 1, 1, bias=False))
        channels = num_init_features
        for number, layers in enumerate(block_config, 1):
            block = nn.Sequential()
            for layer in range(1, layers + 1):
                block.add_module(f"denselayer{layer}", DenseLayer(channels, growth_rate, bn_size))
                channels += growth_rate
            self.features.add_module(f"denseblock{number}", block)
            if number < len(block_config):
                self.features.add_module(f"transition{number}", Transition(channels, channels // 2))
                channels //= 2
        self.features.add_module("norm_final", nn.BatchNorm2d(channels))
        self.classifier = nn.Linear(channels, classes)

    def forward(self, x):
        return self.classifier(F.relu(self.features(x)).mean((2, 3)))


if __name__ == "__main__":
    config = image_config(SIZE, architecture="densenet_bc", **SIZES)
    make(folder_of(__file__), config, lambda: DenseNetBC(**SIZES, classes=CLASSES), SIZE, [], seed=24)
