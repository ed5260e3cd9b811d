"""A tiny random transformers DeiTForImageClassificationWithTeacher, whose scores are the mean of two heads; see
../torch_golden.py.

Run from the repository root: python tests/golden/deit_teacher/make_deit_teacher.py
"""

import sys
from pathlib import Path

from transformers import DeiTConfig, DeiTForImageClassificationWithTeacher

sys.path.append(str(Path(__file__).resolve().parents[1]))

from torch_golden import CLASSES, folder_of, make, published

SIZE = 16


def build():
    config = DeiTConfig(
        image_size=SIZE,
        patch_size=4,
        num_channels=3,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        hidden_act="gelu",
        layer_norm_eps=1e-12,
        qkv_bias=True,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        num_labels=CLASSES,
        architectures=["DeiTForImageClassificationWithTeacher"],
        dtype="float32",
    )
    config._attn_implementation = "eager"
    return DeiTForImageClassificationWithTeacher(config)


if __name__ == "__main__":
    config = build().config.to_diff_dict()
    make(folder_of(__file__), config, build, SIZE, ["transformers"], seed=32, name_of=published)
