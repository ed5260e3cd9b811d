"""Writes heads.json: of every vision transformer of timm by its name [width, heads, mean of the first channel, size].

The names have the tag of each pretrained checkpoint. Only networks are there whose tensors are those of the plain vision
transformer and whose activation is GELU: this crate refuses the others.
Made with timm 1.0.31. Run from the repository root: python tests/golden/keys/make_heads.py
"""

import json
import re
from pathlib import Path

import timm
import torch
from timm.models.deit import VisionTransformerDistilled
from timm.models.vision_transformer import VisionTransformer


PLAIN = r"(blocks\.\d+\.(norm[12]|attn\.(qkv|proj)|mlp\.fc[12])|patch_embed\.proj|norm|fc_norm|head|head_dist)\.(weight|bias)"
PLAIN = re.compile(rf"(cls_token|dist_token|pos_embed|{PLAIN})$")


def is_plain(model):
    names = set(model.state_dict())
    acts = {type(module).__name__ for module in model.modules() if "GELU" in type(module).__name__}
    return all(map(PLAIN.match, names)) and "cls_token" in names and acts == {"GELU"}


def main():
    found = {}
    for name in timm.list_models(["vit_*", "deit_*"], pretrained=False):
        with torch.device("meta"):
            model = timm.create_model(name)
        if type(model) not in (VisionTransformer, VisionTransformerDistilled) or not is_plain(model):
            continue
        attention = [module for block in model.blocks for module in block.modules() if hasattr(module, "num_heads")]
        (heads,) = {module.num_heads for module in attention}
        for tag in timm.list_pretrained(name) or [name]:
            cfg = timm.get_pretrained_cfg(tag)
            if cfg is None or cfg.input_size[1] != cfg.input_size[2]:
                continue
            found[tag] = [model.embed_dim, heads, round(cfg.mean[0], 3), cfg.input_size[1]]
    text = ",\n".join(f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in sorted(found.items()))
    Path(__file__).with_name("heads.json").write_text("{\n" + text + "\n}\n")
    print(len(found))


if __name__ == "__main__":
    main()
