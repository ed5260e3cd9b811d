"""A tiny random transformers BertForSequenceClassification: tanh of the pooler, then the head; see ../torch_texts.py.

config.json and model.safetensors are as `save_pretrained` writes them. golden.safetensors, computed in float64 and stored
in float32:
    ids [4, 12], lengths [4], labels [4]
    logits [4, 3], loss []        dropout off; token types are all 0
    grad.<name>                   d loss / d parameter, for every parameter
Run from the repository root: python tests/golden/bert_classifier/make_bert_classifier.py
"""

import copy
import sys
from pathlib import Path

import torch
from transformers import BertConfig, BertForSequenceClassification

sys.path.append(str(Path(__file__).resolve().parents[1]))

from torch_golden import folder_of
from torch_texts import SIZES, batch, check_float32_of, inputs, losses, randomize, report, versions, write

HERE = folder_of(__file__)
LABELS = ["bad", "good", "mixed"]


def passed(model, ids, mask, labels):
    logits = model(input_ids=ids, attention_mask=mask, token_type_ids=torch.zeros_like(ids)).logits
    return losses(logits, labels, list(model.named_parameters()))


def main():
    torch.set_num_threads(1)
    rng = torch.Generator().manual_seed(12)
    config = BertConfig(**SIZES, id2label=dict(enumerate(LABELS)), architectures=["BertForSequenceClassification"])
    config._attn_implementation = "eager"
    model = BertForSequenceClassification(config).eval()
    randomize(model, rng)
    ids, lengths, mask, labels = batch(rng, len(LABELS))
    found = passed(copy.deepcopy(model).double(), ids, mask, labels)
    check_float32_of(passed(model, ids, mask, labels), found)
    made_with = versions("transformers")
    weights = {name: p.detach() for name, p in model.named_parameters()}
    write(HERE / "model.safetensors", weights, {"format": "pt"} | made_with)
    write(HERE / "golden.safetensors", inputs(ids, lengths, labels) | found, made_with)
    config.to_json_file(HERE / "config.json")
    report(HERE, found)


if __name__ == "__main__":
    main()
