"""Writes config.json, model.safetensors and golden.safetensors: a tiny random ViT, its logits and gradients.

Made with torch 2.15.0, transformers 5.23.0 and safetensors 0.8.0, float32 on a CPU, one thread.
Run from the repository root: python tests/golden/vit/make_vit.py

The model is a transformers ViTForImageClassification, dropout off, eager attention. Tensors have the names that
are found in published files; transformers 5 has others in memory, see `file_name`.
golden.safetensors:
    pixels [3, 1, 8, 8]
    logits [3, 5], labels [3]
    loss []                       cross entropy, mean over the batch
    grad.<name>                   d loss / d parameter, for every parameter
"""
import json
from pathlib import Path

import safetensors
import torch
import torch.nn.functional as F
import transformers
from safetensors.torch import save
from transformers import ViTConfig, ViTForImageClassification

HERE = Path(__file__).parent
RENAMED = [
    ("vit.layers.", "vit.encoder.layer."),
    (".attention.q_proj.", ".attention.attention.query."),
    (".attention.k_proj.", ".attention.attention.key."),
    (".attention.v_proj.", ".attention.attention.value."),
    (".attention.o_proj.", ".attention.output.dense."),
    (".mlp.fc1.", ".intermediate.dense."),
    (".mlp.fc2.", ".output.dense."),
]


def file_name(name):
    for new, old in RENAMED:
        name = name.replace(new, old)
    return name


def write(name, tensors, metadata):
    """Like `save_file`, with the metadata in a fixed order: the same tensors give the same bytes."""
    data = save(tensors, metadata)
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    header["__metadata__"] = dict(sorted(metadata.items()))
    header = json.dumps(header, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    (HERE / name).write_bytes(len(header).to_bytes(8, "little") + header + data[end:])


def main():
    torch.set_num_threads(1)
    rng = torch.Generator().manual_seed(13)

    def normal(*shape):
        return torch.randn(*shape, generator=rng) * 0.2

    config = ViTConfig(
        image_size=8, patch_size=2, num_channels=1, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=64, hidden_act="gelu", layer_norm_eps=1e-12, qkv_bias=True, hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0, num_labels=5, architectures=["ViTForImageClassification"], dtype="float32",
    )
    config._attn_implementation = "eager"
    model = ViTForImageClassification(config).eval()
    with torch.no_grad():
        for name, p in model.named_parameters():
            norm = name.endswith(".weight") and "layernorm" in name
            p.copy_(normal(*p.shape) + (1.0 if norm else 0.0))

    pixels = torch.randn(3, 1, 8, 8, generator=rng)
    labels = torch.tensor([4, 1, 2])
    logits = model(pixel_values=pixels).logits
    loss = F.cross_entropy(logits, labels)
    loss.backward()

    golden = {"pixels": pixels, "logits": logits, "labels": labels.to(torch.int32), "loss": loss}
    golden |= {f"grad.{file_name(k)}": p.grad for k, p in model.named_parameters()}
    golden = {k: v.detach().contiguous() for k, v in golden.items()}

    made_with = {
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "safetensors": safetensors.__version__,
    }
    weights = {file_name(k): p.detach() for k, p in model.named_parameters()}
    write("model.safetensors", weights, {"format": "pt"} | made_with)
    write("golden.safetensors", golden, made_with)
    config.to_json_file(HERE / "config.json")


if __name__ == "__main__":
    main()
