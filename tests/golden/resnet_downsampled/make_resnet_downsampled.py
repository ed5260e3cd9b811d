"""A tiny random transformers ResNetForImageClassification of three stages, which halves the image in its first stage too
and in the first convolution of a bottleneck; see ../torch_golden.py.

Run from the repository root: python tests/golden/resnet_downsampled/make_resnet_downsampled.py
"""

import sys
from pathlib import Path

from transformers import ResNetConfig, ResNetForImageClassification

sys.path.append(str(Path(__file__).resolve().parents[1]))

from torch_golden import CLASSES, folder_of, make

SIZE = 48


def build():
    config = ResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 16, 24],
        depths=[1, 2, 1],
        layer_type="bottleneck",
        num_labels=CLASSES,
        downsample_in_first_stage=True,
        downsample_in_bottleneck=True,
        architectures=["ResNetForImageClassification"],
        dtype="float32",
    )
    return ResNetForImageClassification(config)


if __name__ == "__main__":
    config = build().config.to_diff_dict() | {"image_size": SIZE}
    for seed in range(33, 60):
        try:
            make(folder_of(__file__), config, build, SIZE, ["transformers"], seed=seed)
            break
        except AssertionError as error:
            print(error)
