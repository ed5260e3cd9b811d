"""A tiny random ResNet for CIFAR (He et al. 2015, section 4.2) of depth 8; see ../torch_golden.py.

The shortcut of a block that changes shape takes every second pixel and pads channels with zeros, half of them before
and half after: option A. Names as in akamaster/pytorch_resnet_cifar10.
Run from the repository root: python tests/golden/resnet_cifar/make_resnet_cifar.py
"""
import sys
from pathlib import Path

import torch.nn as nn
import torch.nn.functional as F

sys.path.append(str(Path(__file__).resolve().parents[1]))

from torch_golden import CLASSES, folder_of, image_config, make

SIZE, DEPTH = 32, 8
WIDTHS = (4, 8, 16)


class BasicBlock(nn.Module):
    def __init__(self, inputs, planes, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, planes, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.pad = planes // 4 if stride != 1 or inputs != planes else None

    def forward(self, x):
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        shortcut = x if self.pad is None else F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.pad, self.pad))
        return F.relu(out + shortcut)


class CifarResNet(nn.Module):
    def __init__(self, depth, widths, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(3, widths[0], 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        inputs = widths[0]
        for stage, planes in enumerate(widths):
            blocks = []
            for block in range((depth - 2) // 6):
                blocks.append(BasicBlock(inputs, planes, 2 if stage > 0 and block == 0 else 1))
                inputs = planes
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.linear = nn.Linear(inputs, classes)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean((2, 3)))


if __name__ == "__main__":
    config = image_config(SIZE, architecture="resnet_cifar", depth=DEPTH, shortcut="A")
    make(folder_of(__file__), config, lambda: CifarResNet(DEPTH, WIDTHS, CLASSES), SIZE, [], seed=22)
