"""A tiny random timm vision transformer that averages its patches (fc_norm, no norm); see ../torch_golden.py.

config.json is as timm 1.0.31 writes it, in which `img_size` is a pair.
Run from the repository root: python tests/golden/vit_timm_avg/make_vit_timm_avg.py
"""
import json
import sys
import tempfile
from pathlib import Path

import timm
from timm.models._hub import save_config_for_hf

sys.path.append(str(Path(__file__).resolve().parents[1]))

from torch_golden import CLASSES, folder_of, make

NAME, SIZE = "vit_tiny_patch16_224", 16
ARGS = {"img_size": SIZE, "patch_size": 4, "embed_dim": 16, "depth": 2, "num_heads": 2, "global_pool": "avg"}


def build():
    return timm.create_model(NAME, **ARGS, num_classes=CLASSES, in_chans=3)


def hub_config():
    with tempfile.NamedTemporaryFile() as file:
        save_config_for_hf(build(), file.name, model_args=ARGS)
        config = json.loads(Path(file.name).read_text())
    # These are of the published weights that the name stands for.
    for key in ("tag", "license"):
        config["pretrained_cfg"].pop(key, None)
    return config


if __name__ == "__main__":
    make(folder_of(__file__), hub_config(), build, SIZE, ["timm"], seed=28)
