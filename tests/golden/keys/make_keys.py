"""Writes keys.json: the configuration keys that the reference implementations read, by the class that reads them.

transformers: the fields of a configuration class, with those of its base, that it declares. timm: the fields of
`PretrainedCfg`, and the arguments of a network's constructor, which `model_args` of a config.json may hold.
Run from the repository root: python tests/golden/keys/make_keys.py
"""

import dataclasses
import inspect
import json
from pathlib import Path

import timm
import timm.models as models
import transformers

HERE = Path(__file__).resolve().parent
# Fields of the classes themselves, which no file has; and the arguments that timm's factory keeps to itself.
OURS = {
    "self",
    "kwargs",
    "args",
    "attribute_map",
    "base_model_tp_plan",
    "base_model_pp_plan",
    "base_config_key",
    "sub_configs",
    "keys_to_ignore_at_inference",
    "has_no_defaults_at_init",
    "is_composition",
    "base_model_ep_plan",
    "return_unused_kwargs",
    "default_theta",
    "ignore_keys_at_rope_validation",
    "allow_layer_type_validation",
    "base_model_fsdp_plan",
}


def fields(kind):
    return {field.name for field in dataclasses.fields(kind)}


def arguments(*functions):
    return {name for function in functions for name in inspect.signature(function).parameters}


def main():
    found = {}
    for name in ["BertConfig", "ViTConfig", "DeiTConfig", "ResNetConfig"]:
        kind = getattr(transformers, name)
        found[f"transformers.{name}"] = fields(kind) | set(kind().to_dict())
    found["timm.PretrainedCfg"] = fields(models.PretrainedCfg)
    vit = models.vision_transformer.VisionTransformer
    found["timm.VisionTransformer"] = arguments(vit.__init__)
    found["timm.ResNet"] = arguments(models.resnet.ResNet.__init__)
    found["timm.DenseNet"] = arguments(models.densenet.DenseNet.__init__)
    found["timm.EfficientNet"] = arguments(
        models.efficientnet.EfficientNet.__init__, models.efficientnet._gen_mobilenet_v2
    ) - {"variant", "pretrained"}
    sorted_keys = {name: sorted(keys - OURS) for name, keys in found.items()}
    (HERE / "keys.json").write_text(json.dumps(sorted_keys, indent=1) + "\n")
    print("transformers", transformers.__version__, "timm", timm.__version__)


if __name__ == "__main__":
    main()
