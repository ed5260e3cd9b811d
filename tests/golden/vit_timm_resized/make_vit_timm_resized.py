"""Writes golden.safetensors: the model of ../vit_timm at other sizes than its own 16x16; see ../torch_golden.py.

timm interpolates the position embeddings of the patches, bicubic and antialiased; that of the class token stays.
    pixels [3, 3, 24, 24], logits [3, 5]
    small.pixels [3, 3, 12, 12], small.logits [3, 5]
Run from the repository root: python tests/golden/vit_timm_resized/make_vit_timm_resized.py
"""

import sys
from pathlib import Path

import timm
import torch
from safetensors.torch import load_file
from timm.models.vision_transformer import checkpoint_filter_fn

sys.path += [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[1] / "vit_timm")]

from make_vit_timm import ARGS, NAME
from torch_golden import CLASSES, batch, folder_of, logits_of, report, versions, write

HERE = folder_of(__file__)
MODEL = HERE.parent / "vit_timm"


def at(size):
    """The model made for this size, whose weights timm resamples as it does where it loads a published checkpoint."""
    model = timm.create_model(NAME, **ARGS | {"img_size": size}, num_classes=CLASSES, in_chans=3)
    model.load_state_dict(checkpoint_filter_fn(load_file(MODEL / "model.safetensors"), model))
    return model.double().eval()


def main():
    torch.set_num_threads(1)
    rng = torch.Generator().manual_seed(34)
    found = {}
    for prefix, size in [("", 24), ("small.", 12)]:
        pixels, _ = batch(rng, size)
        with torch.no_grad():
            logits = logits_of(at(size), pixels.double()).float()
        found |= {f"{prefix}pixels": pixels, f"{prefix}logits": logits}
    expected = load_file(MODEL / "golden.safetensors")
    with torch.no_grad():
        assert torch.allclose(logits_of(at(16), expected["pixels"].double()).float(), expected["logits"])
    write(HERE / "golden.safetensors", found, versions("timm"))
    report(HERE, found | {"loss": torch.tensor(0.0)})


if __name__ == "__main__":
    main()
