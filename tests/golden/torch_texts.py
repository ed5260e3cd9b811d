"""What the scripts of the encoders of texts share: random weights, a batch, and files; see also torch_golden.py."""

import torch
import torch.nn.functional as F

from torch_golden import check_float32_of, report, versions, write

SIZES = {
    "vocab_size": 100,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 24,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "dtype": "float32",
}
LENGTHS = [12, 5, 9, 2]


@torch.no_grad()
def randomize(model, rng):
    for name, p in model.named_parameters():
        one = 1.0 if name.endswith("LayerNorm.weight") else 0.0
        p.copy_(torch.randn(p.shape, generator=rng) * 0.2 + one)


def batch(rng, classes, lengths=LENGTHS):
    """Token ids [texts, longest] padded with 0 at the end, the lengths, the mask and labels."""
    lengths = torch.tensor(lengths)
    longest = int(lengths.max())
    mask = torch.arange(longest)[None] < lengths[:, None]
    ids = torch.randint(1, SIZES["vocab_size"], mask.shape, generator=rng) * mask
    return ids, lengths, mask.long(), torch.randint(0, classes, (len(lengths),), generator=rng)


def losses(logits, labels, parameters, prefix=""):
    """Logits, mean cross entropy and the gradients of these parameters, by name."""
    for _, p in parameters:
        p.grad = None
    loss = F.cross_entropy(logits, labels)
    loss.backward()
    found = {f"{prefix}logits": logits, f"{prefix}loss": loss}
    found |= {f"{prefix}grad.{name}": p.grad for name, p in parameters if p.grad is not None}
    return {name: value.detach().float().contiguous().clone() for name, value in found.items()}


def inputs(ids, lengths, labels):
    named = {"ids": ids, "lengths": lengths, "labels": labels}
    return {name: value.to(torch.int32) for name, value in named.items()}


__all__ = ["SIZES", "batch", "check_float32_of", "inputs", "losses", "randomize", "report", "versions", "write"]
