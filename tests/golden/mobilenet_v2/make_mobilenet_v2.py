"""A tiny random torchvision MobileNetV2; see ../torch_golden.py. Dropout is off.

The maps are 24, 12, 6, 3 and 2 pixels wide.
Run from the repository root: python tests/golden/mobilenet_v2/make_mobilenet_v2.py
"""
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

from small_mobilenet import mobilenet_v2
from torch_golden import folder_of, image_config, make

SIZE, SIZES = 48, {"width_mult": 0.1, "last_channel": 64}

if __name__ == "__main__":
    config = image_config(SIZE, architecture="mobilenet_v2", **SIZES, padding="torch")
    make(folder_of(__file__), config, lambda: mobilenet_v2(**SIZES), SIZE, ["torchvision"], seed=27)
