"""Writes adapter_config.json, adapter_model.safetensors and golden.safetensors: a LoRA of ../bert, as PEFT saves it.

Made with torch 2.15.0, transformers 5.23.0, peft and safetensors 0.8.0, float32 on a CPU, one thread.
Run from the repository root: python tests/golden/lora/make_lora.py

The model is ../bert under the name `bert`, with a classifier of 7 classes on the mean over the tokens, which is saved
whole. The factors and the classifier are random. golden.safetensors:
    ids [4, 12], lengths [4]      those of ../bert
    logits [4, 7]                 with the LoRA, computed in float64
"""
import json
from pathlib import Path

import torch
import torch.nn as nn
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertModel

HERE = Path(__file__).parent
BERT = HERE.parent / "bert"


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        config = BertConfig.from_pretrained(BERT, attn_implementation="eager")
        self.bert = BertModel.from_pretrained(BERT, config=config, add_pooling_layer=False)
        self.classifier = nn.Linear(config.hidden_size, 7)

    def forward(self, ids, lengths):
        mask = torch.arange(ids.shape[1])[None] < lengths[:, None]
        hidden = self.bert(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        return self.classifier((hidden * mask[..., None]).sum(1) / lengths[:, None])


def main():
    torch.set_num_threads(1)
    rng = torch.Generator().manual_seed(29)
    golden = load_file(BERT / "golden.safetensors")
    config = LoraConfig(
        r=3, lora_alpha=7, target_modules=["query", "value", "output.dense"], modules_to_save=["classifier"],
        rank_pattern={"encoder.layer.1.attention.self.value": 2}, alpha_pattern={"layer.2.output.dense": 5},
    )
    model = get_peft_model(Classifier(), config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                parameter.copy_(torch.randn(*parameter.shape, generator=rng) * 0.2)
    model.save_pretrained(HERE)
    (HERE / "README.md").unlink(missing_ok=True)
    said = json.loads((HERE / "adapter_config.json").read_text())
    said["base_model_name_or_path"] = None
    said["target_modules"] = sorted(said["target_modules"])
    (HERE / "adapter_config.json").write_text(json.dumps(said, indent=2, sort_keys=True) + "\n")
    with torch.no_grad():
        logits = model.double()(golden["ids"].long(), golden["lengths"].long()).float()
    kept = {"ids": golden["ids"], "lengths": golden["lengths"], "logits": logits.contiguous()}
    save_file(kept, HERE / "golden.safetensors")


if __name__ == "__main__":
    main()
