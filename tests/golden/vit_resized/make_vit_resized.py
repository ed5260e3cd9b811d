"""Writes golden.safetensors: the model of ../vit at other sizes than its own 8x8; see ../torch_golden.py.

transformers interpolates the position embeddings of the patches, bicubic with a = -0.75, without antialiasing, pixel
centres at halves; that of the class token stays.
    pixels [3, 1, 12, 12], and the other tensors of `torch_golden.golden`
    small.pixels [3, 1, 4, 4], small.logits [3, 5]
Run from the repository root: python tests/golden/vit_resized/make_vit_resized.py
"""
import copy
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import ViTConfig, ViTForImageClassification

sys.path.append(str(Path(__file__).resolve().parents[1]))

from torch_golden import batch, check_float32, folder_of, golden, logits_of, published, report
from torch_golden import versions, write

HERE = folder_of(__file__)
MODEL = HERE.parent / "vit"


def main():
    torch.set_num_threads(1)
    rng = torch.Generator().manual_seed(30)
    config = ViTConfig.from_pretrained(MODEL)
    config._attn_implementation = "eager"
    model = ViTForImageClassification(config).eval()
    read = load_file(MODEL / "model.safetensors")
    model.load_state_dict({k: read[published(k)] for k in model.state_dict()})
    expected = load_file(MODEL / "golden.safetensors")
    with torch.no_grad():
        assert torch.allclose(logits_of(model, expected["pixels"]), expected["logits"], rtol=1e-5, atol=1e-5)

    pixels, labels = batch(rng, 12, channels=1)
    exact = copy.deepcopy(model).double()
    found = golden(exact, pixels, labels, published, interpolate_pos_encoding=True)
    check_float32(model, found, pixels=pixels, labels=labels, name_of=published, interpolate_pos_encoding=True)
    small, _ = batch(rng, 4, channels=1)
    with torch.no_grad():
        logits = logits_of(exact, small.double(), interpolate_pos_encoding=True)
    found |= {"small.pixels": small, "small.logits": logits.float()}
    write(HERE / "golden.safetensors", found, versions("transformers"))
    report(HERE, found)


if __name__ == "__main__":
    main()
