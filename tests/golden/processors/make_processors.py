"""What transformers' image processors and timm's transforms make of a few pictures.

pictures/*.png                    pictures of several shapes, with edges and waves, which the script draws
cases.json                        {name: {"base": a folder of tests/golden, "files": {file: what is put beside its weights
                                  or, of config.json, in place of its keys}, "picture": name}}
golden.safetensors                <name> [channels, height, width], what the library makes of the picture
Run from the repository root: python tests/golden/processors/make_processors.py
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from timm.data import create_transform, resolve_data_config
from transformers import AutoImageProcessor

sys.path.append(str(Path(__file__).resolve().parents[1]))

from torch_golden import folder_of, versions, write

HERE = folder_of(__file__)
SHAPES = {"wide": (61, 40), "tall": (37, 90), "small": (11, 9), "square": (64, 64)}
HALF, IMAGENET = [[0.5] * 3] * 2, [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]


def draw(name, width, height):
    y, x = np.mgrid[:height, :width]
    wave = [np.sin(x / (2 + c)) * np.cos(y / (3 - c)) for c in range(3)]
    edge = ((x // 5 + y // 7) % 2) * 2 - 1
    picture = np.stack([127 + 90 * w + 30 * edge for w in wave], -1).clip(0, 255).astype(np.uint8)
    path = HERE / "pictures" / f"{name}.png"
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(picture).save(path)


def square(side):
    return {"height": side, "width": side}


# Of each class what its models are published with, or what they were when their files had other keys.
HUGGING_FACE = {
    "vit": {
        "image_processor_type": "ViTImageProcessor",
        "do_resize": True,
        "size": square(16),
        "resample": 2,
        "do_normalize": True,
        "image_mean": HALF[0],
        "image_std": HALF[1],
    },
    "vit_old": {
        "feature_extractor_type": "ViTFeatureExtractor",
        "size": 16,
        "image_mean": HALF[0],
        "image_std": HALF[1],
    },
    "vit_plain": {"image_processor_type": "ViTImageProcessorFast", "size": square(16), "do_normalize": False},
    "vit_signed": {
        "image_processor_type": "ViTImageProcessor",
        "size": square(16),
        "rescale_factor": 0.00784313725490196,
        "image_mean": [1.0] * 3,
        "image_std": [0.5] * 3,
        "resample": 3,
    },
    "deit": {
        "image_processor_type": "DeiTImageProcessor",
        "size": square(20),
        "crop_size": square(16),
        "do_center_crop": True,
        "resample": 3,
        "image_mean": IMAGENET[0],
        "image_std": IMAGENET[1],
    },
    "deit_lanczos": {
        "image_processor_type": "DeiTImageProcessor",
        "size": square(21),
        "crop_size": square(16),
        "resample": 1,
        "image_mean": IMAGENET[0],
        "image_std": IMAGENET[1],
    },
    "clip": {
        "image_processor_type": "CLIPImageProcessor",
        "size": {"shortest_edge": 18},
        "crop_size": square(16),
        "resample": 3,
    },
    "convnext": {
        "image_processor_type": "ConvNextImageProcessor",
        "size": {"shortest_edge": 32},
        "crop_pct": 0.875,
        "resample": 3,
        "image_mean": IMAGENET[0],
        "image_std": IMAGENET[1],
    },
    "convnext_old": {
        "feature_extractor_type": "ConvNextFeatureExtractor",
        "size": 32,
        "crop_pct": 0.95,
        "resample": 2,
        "image_mean": IMAGENET[0],
        "image_std": IMAGENET[1],
    },
    "mobilenet": {
        "image_processor_type": "MobileNetV2ImageProcessor",
        "size": {"shortest_edge": 40},
        "crop_size": square(32),
        "do_center_crop": True,
        "resample": 2,
        "image_mean": HALF[0],
        "image_std": HALF[1],
    },
}
TIMM = {
    "bicubic": {"interpolation": "bicubic", "crop_pct": 0.9, "crop_mode": "center"},
    "bilinear": {"interpolation": "bilinear", "crop_pct": 0.875},
    "whole": {"interpolation": "bicubic", "crop_pct": 1.0, "crop_mode": "center"},
    "squash": {"interpolation": "bilinear", "crop_pct": 0.8, "crop_mode": "squash"},
}


def hugging_face(config, picture):
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "preprocessor_config.json").write_text(json.dumps(config))
        # The one by Pillow: the other one, by torchvision, differs by a unit here and there.
        processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    return torch.from_numpy(np.asarray(processor(picture)["pixel_values"][0])).float()


def main():
    for name, shape in SHAPES.items():
        draw(name, *shape)
    cases, found = {}, {}

    def add(name, base, files, picture, made):
        cases[name] = {"base": base, "files": files, "picture": picture}
        found[name] = made.contiguous()

    for picture in SHAPES:
        image = Image.open(HERE / "pictures" / f"{picture}.png")
        for kind, config in HUGGING_FACE.items():
            base = (
                "deit"
                if config.get("size") in (16, square(16), square(20), square(21)) or kind == "clip"
                else "resnet_basic"
            )
            files = {"preprocessor_config.json": config}
            add(f"{kind}.{picture}", base, files, picture, hugging_face(config, image))
        for kind, config in TIMM.items():
            whole = config | {"input_size": [3, 16, 16], "mean": IMAGENET[0], "std": IMAGENET[1]}
            made = create_transform(**resolve_data_config(pretrained_cfg=whole), is_training=False)(image)
            add(f"timm_{kind}.{picture}", "vit_timm", {"config.json": {"pretrained_cfg": whole}}, picture, made)
    # What transformers does where a file does not say: no file of ViT, DeiT and MobileNetV2 has all keys.
    (HERE / "cases.json").write_text(json.dumps(cases, indent=1) + "\n")
    write(HERE / "golden.safetensors", found, versions("transformers", "timm", "pillow", "torchvision"))
    print(len(found), "cases,", sum(t.numel() for t in found.values()) * 4 // 1000, "kB")


if __name__ == "__main__":
    main()
