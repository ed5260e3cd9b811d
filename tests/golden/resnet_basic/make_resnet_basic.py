"""A tiny random timm ResNet of BasicBlocks; see ../torch_golden.py.

The first stage has no downsample, as in ResNet-18.
Run from the repository root: python tests/golden/resnet_basic/make_resnet_basic.py
"""
import sys
from pathlib import Path

from timm.models.resnet import BasicBlock

sys.path.append(str(Path(__file__).resolve().parents[1]))

from small_resnet import resnet
from torch_golden import CLASSES, folder_of, image_config, make

SIZE, LAYERS, CHANNELS, STEM = 32, [1, 2, 1, 1], (8, 12, 16, 24), 8


def build():
    return resnet(BasicBlock, LAYERS, CHANNELS, STEM, CLASSES)


if __name__ == "__main__":
    config = image_config(SIZE, architecture="resnet", block="basic", layers=LAYERS)
    make(folder_of(__file__), config, build, SIZE, ["timm"], seed=21)
