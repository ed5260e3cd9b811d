"""A tiny random timm ResNet of Bottlenecks; see ../torch_golden.py.

Every stage has a downsample, and its stride in a 3x3 convolution, as in ResNet-50.
Run from the repository root: python tests/golden/resnet_bottleneck/make_resnet_bottleneck.py
"""
import sys
from pathlib import Path

from timm.models.resnet import Bottleneck

sys.path.append(str(Path(__file__).resolve().parents[1]))

from small_resnet import resnet
from torch_golden import CLASSES, folder_of, image_config, make

SIZE, LAYERS, CHANNELS, STEM = 32, [1, 1, 2, 1], (4, 6, 8, 10), 8


def build():
    return resnet(Bottleneck, LAYERS, CHANNELS, STEM, CLASSES)


if __name__ == "__main__":
    config = image_config(SIZE, architecture="resnet", block="bottleneck", layers=LAYERS)
    make(folder_of(__file__), config, build, SIZE, ["timm"], seed=21)
