"""How soon a fine-tune is of use: seconds to 95 % of the final accuracy, beside PyTorch's full fine-tuning and PEFT's LoRA.

    cargo build --release --example useful
    python benches/peers/useful.py --base FOLDER [--data FOLDER] [--rounds N]

FOLDER of --base holds a BERT encoder in Hugging Face layout, as all-MiniLM-L6-v2; that of --data train.csv and test.csv
of banking77. PyTorch comes with transformers, peft and safetensors. Two threads on each side.

- Ten examples of each class are trained on, drawn by a seed; ten others of each class choose each side's learning rate,
  by the accuracy after the last epoch, out of the three it states. The test examples are measured on.
- All sides: batches of 32, AdamW, warm-up and cosine, the head at 1e-3, no dropout, ten epochs. PyTorch pads each batch
  to its longest sequence. LoRA has rank 8 on all linear layers of the encoder. This project has its defaults and a cap
  of 4 layers.
- The clock of a side starts before it opens the base and reads the examples, and after its libraries are loaded; it
  stands still while accuracy is measured, which is after the head was fitted (this project) and after every epoch.
- Sides take turns. A row has medians over the rounds: accuracy at the end, seconds to the first measurement with 95 % of
  that, and seconds to the first with 95 % of the highest accuracy of any side at its end.
"""
import csv
import json
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import ROOT, parser

import torch
import torch.nn as nn
import torch.nn.functional as F
from transformers import AutoTokenizer, BertConfig, BertModel

EACH, BATCH, EPOCHS, HEAD_RATE, WARMUP = 10, 32, 10, 1e-3, 0.1
RATES = {"ours": [2.5e-4, 5e-4, 1e-3], "PyTorch, full": [5e-5, 1e-4, 2e-4], "PEFT, LoRA 8": [5e-4, 1e-3, 2e-3]}


def read(path):
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    return [tuple(row) for row in rows[1:]]


def write(path, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *rows])


def draw(rows):
    """Ten examples of each class, and ten others."""
    classes = {}
    for row in rows:
        classes.setdefault(row[1], []).append(row)
    train, validation = [], []
    for name in sorted(classes):
        chosen = random.Random(name).sample(classes[name], 2 * EACH)
        train, validation = train + chosen[:EACH], validation + chosen[EACH:]
    return train, validation


class Classifier(nn.Module):
    def __init__(self, base, classes, lora):
        super().__init__()
        config = BertConfig.from_pretrained(base, attn_implementation="sdpa")
        config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
        self.encoder = BertModel.from_pretrained(base, config=config, add_pooling_layer=False)
        if lora:
            from peft import LoraConfig, get_peft_model

            targets = ["query", "key", "value", "dense"]
            self.encoder = get_peft_model(self.encoder, LoraConfig(r=8, lora_alpha=16, target_modules=targets))
        self.head = nn.Linear(config.hidden_size, classes)

    def forward(self, batch):
        hidden = self.encoder(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
        mask = batch["attention_mask"].unsqueeze(-1).float()
        return self.head((hidden * mask).sum(1) / mask.sum(1))


def in_torch(base, train_file, test_file, rate, seed, lora):
    """Points of seconds and accuracy, one after every epoch."""
    torch.manual_seed(seed)
    began, stood = time.perf_counter(), 0.0
    tokenizer = AutoTokenizer.from_pretrained(base)
    train = read(train_file)
    names = sorted({label for _, label in train})
    model = Classifier(base, len(names), lora)

    def batch(rows):
        found = tokenizer([text for text, _ in rows], padding=True, truncation=True, max_length=128, return_tensors="pt")
        return found, torch.tensor([names.index(label) for _, label in rows])

    body = [p for p in model.encoder.parameters() if p.requires_grad]
    groups = [{"params": body, "lr": rate}, {"params": model.head.parameters(), "lr": HEAD_RATE}]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.01, fused=True)
    steps = EPOCHS * -(-len(train) // BATCH)
    warm = max(1, int(WARMUP * steps))
    fall = lambda step: 0.5 * (1 + math.cos(math.pi * (step - warm) / (steps - warm)))
    scale = lambda step: (step + 1) / warm if step < warm else fall(step)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, scale)
    test = sorted(read(test_file), key=lambda row: len(row[0]))
    order, points = random.Random(seed), []
    for epoch in range(1, EPOCHS + 1):
        rows = train[:]
        order.shuffle(rows)
        for first in range(0, len(rows), BATCH):
            inputs, labels = batch(rows[first:first + BATCH])
            optimizer.zero_grad(set_to_none=True)
            F.cross_entropy(model(inputs), labels).backward()
            nn.utils.clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], 1.0)
            optimizer.step()
            schedule.step()
        now = time.perf_counter()
        with torch.inference_mode():
            right = 0
            for first in range(0, len(test), 64):
                inputs, labels = batch(test[first:first + 64])
                right += (model(inputs).argmax(1) == labels).sum().item()
        points.append({"epoch": epoch, "seconds": now - began - stood, "accuracy": right / len(test)})
        stood += time.perf_counter() - now
    return points


def in_process(arguments, side, train, test, rate, seed):
    """A run in a process of its own."""
    if side == "ours":
        command = [arguments.useful, arguments.base, train, test, "4", str(EPOCHS), str(rate), str(seed)]
    else:
        command = [sys.executable, __file__, "--base", arguments.base, "--run", side, train, test, str(rate), str(seed)]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{side}: {done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def reaching(points, accuracy):
    return next((point["seconds"] for point in points if point["accuracy"] >= accuracy), float("nan"))


def main():
    options = parser()
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    options.add_argument("--base", type=Path, required=True)
    options.add_argument("--data", type=Path, default=ROOT.parent / "shared/data/banking77")
    options.add_argument("--useful", type=Path, default=target / "release/examples/useful")
    options.add_argument("--run", nargs=5, metavar=("SIDE", "TRAIN", "TEST", "RATE", "SEED"), help="one run of PyTorch")
    arguments = options.parse_args()
    if arguments.run:
        side, train, test, rate, seed = arguments.run
        for point in in_torch(arguments.base, train, test, float(rate), int(seed), "LoRA" in side):
            print(json.dumps(point))
        return
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder) / f"{name}.csv" for name in ("train", "validation")}
        for file, rows in zip(files.values(), draw(read(arguments.data / "train.csv"))):
            write(file, rows)
        rates, runs = {}, {side: [] for side in RATES}
        for side, choices in RATES.items():
            last = lambda rate: in_process(arguments, side, files["train"], files["validation"], rate, 0)[-1]["accuracy"]
            rates[side] = max(choices, key=last)
        for seed in range(arguments.rounds):
            for side in RATES:
                test = arguments.data / "test.csv"
                runs[side].append(in_process(arguments, side, files["train"], test, rates[side], seed))
    final = {side: statistics.median(run[-1]["accuracy"] for run in each) for side, each in runs.items()}
    best = max(final.values())
    print(f"# torch {torch.__version__}, 2 threads, {arguments.rounds} rounds; medians")
    print("| side | rate | final accuracy | seconds to 95 % of it | seconds to 95 % of the highest | seconds in all |")
    print("|---|---|---|---|---|---|")
    for side, each in runs.items():
        own = statistics.median(reaching(run, 0.95 * run[-1]["accuracy"]) for run in each)
        common = statistics.median(reaching(run, 0.95 * best) for run in each)
        whole = statistics.median(run[-1]["seconds"] for run in each)
        print(f"| {side} | {rates[side]} | {100 * final[side]:.1f} % | {own:.1f} | {common:.1f} | {whole:.1f} |")


if __name__ == "__main__":
    main()
