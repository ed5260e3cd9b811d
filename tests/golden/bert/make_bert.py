"""Writes config.json, model.safetensors and golden.safetensors: a tiny random BERT, its outputs and gradients.

Made with torch 2.15.0, transformers 5.23.0 and safetensors 0.8.0, float32 on a CPU, one thread.
Run from the repository root: python tests/golden/bert/make_bert.py

The model is a transformers BertModel without pooler, dropout off, eager attention.
golden.safetensors:
    ids [4, 12], lengths [4]      token ids, padded with 0 at the end; token types are all 0
    hidden [4, 12, 32]            last_hidden_state; padding is masked as a key, its own rows are still computed
    pooled [4, 32]                mean of `hidden` over the real tokens
    classifier.weight, .bias      linear 32 -> 7
    logits [4, 7], labels [4]     classifier(pooled)
    loss []                       cross entropy, mean over the batch
    grad.<name>                   d loss / d parameter, for every parameter and the classifier
"""
import json
from pathlib import Path

import safetensors
import torch
import torch.nn.functional as F
import transformers
from safetensors.torch import save
from transformers import BertConfig, BertModel

HERE = Path(__file__).parent


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
    rng = torch.Generator().manual_seed(11)

    def normal(*shape):
        return torch.randn(*shape, generator=rng) * 0.2

    config = BertConfig(
        vocab_size=100, hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=64,
        max_position_embeddings=40, hidden_act="gelu", layer_norm_eps=1e-12, hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0, architectures=["BertModel"], dtype="float32",
    )
    config._attn_implementation = "eager"
    model = BertModel(config, add_pooling_layer=False).eval()
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(normal(*p.shape) + (1.0 if name.endswith("LayerNorm.weight") else 0.0))

    lengths = torch.tensor([12, 5, 9, 2])
    mask = torch.arange(12)[None] < lengths[:, None]
    ids = torch.randint(1, config.vocab_size, (4, 12), generator=rng) * mask
    labels = torch.tensor([3, 0, 6, 1])
    classifier = {
        "classifier.weight": normal(7, 32).requires_grad_(),
        "classifier.bias": normal(7).requires_grad_(),
    }

    hidden = model(input_ids=ids, attention_mask=mask.long(), token_type_ids=torch.zeros_like(ids)).last_hidden_state
    pooled = (hidden * mask[..., None]).sum(1) / lengths[:, None]
    logits = F.linear(pooled, classifier["classifier.weight"], classifier["classifier.bias"])
    loss = F.cross_entropy(logits, labels)
    loss.backward()

    golden = {"ids": ids, "lengths": lengths, "labels": labels}
    golden = {k: v.to(torch.int32) for k, v in golden.items()}
    golden |= {"hidden": hidden, "pooled": pooled, "logits": logits, "loss": loss} | classifier
    golden |= {f"grad.{k}": p.grad for k, p in [*model.named_parameters(), *classifier.items()]}
    golden = {k: v.detach().contiguous() for k, v in golden.items()}

    made_with = {
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "safetensors": safetensors.__version__,
    }
    weights = {k: p.detach() for k, p in model.named_parameters()}
    write("model.safetensors", weights, {"format": "pt"} | made_with)
    write("golden.safetensors", golden, made_with)
    config.to_json_file(HERE / "config.json")


if __name__ == "__main__":
    main()
