"""A tiny random torchvision DenseNet; see ../torch_golden.py.

The maps are 24, 12, 6, 3 and 1 pixels wide: the last transition drops a row and a column.
Run from the repository root: python tests/golden/densenet/make_densenet.py
"""
import sys
from pathlib import Path

from torchvision.models import DenseNet

sys.path.append(str(Path(__file__).resolve().parents[1]))

from torch_golden import CLASSES, folder_of, image_config, make

SIZE = 48
SIZES = {"growth_rate": 4, "block_config": [2, 3, 2, 2], "bn_size": 2, "num_init_features": 8}

if __name__ == "__main__":
    config = image_config(SIZE, architecture="densenet", **SIZES)
    make(folder_of(__file__), config, lambda: DenseNet(**SIZES, num_classes=CLASSES), SIZE, ["torchvision"], seed=23)
