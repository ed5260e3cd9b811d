"""A tiny random timm vision transformer that classifies by its class token; see ../torch_golden.py.

Run from the repository root: python tests/golden/vit_timm/make_vit_timm.py
"""
import sys
from pathlib import Path

import timm

sys.path.append(str(Path(__file__).resolve().parents[1]))

from torch_golden import CLASSES, folder_of, make

NAME, SIZE = "vit_tiny_patch16_224", 16
ARGS = {"img_size": SIZE, "patch_size": 4, "embed_dim": 16, "depth": 2, "num_heads": 2}
HALF = [0.5, 0.5, 0.5]


def build():
    return timm.create_model(NAME, **ARGS, num_classes=CLASSES, in_chans=3)


if __name__ == "__main__":
    config = {
        "architecture": NAME,
        "num_classes": CLASSES,
        "num_features": ARGS["embed_dim"],
        "global_pool": "token",
        "model_args": ARGS,
        "pretrained_cfg": {
            "custom_load": False,
            "input_size": [3, SIZE, SIZE],
            "fixed_input_size": True,
            "interpolation": "bicubic",
            "crop_pct": 0.9,
            "crop_mode": "center",
            "mean": HALF,
            "std": HALF,
            "num_classes": CLASSES,
            "pool_size": None,
            "first_conv": "patch_embed.proj",
            "classifier": "head",
        },
    }
    make(folder_of(__file__), config, build, SIZE, ["timm"], seed=27)
