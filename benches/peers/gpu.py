"""PyTorch at the work of `examples/gpu_report.rs`, on the same device: forward passes and training steps.

    python benches/peers/gpu.py [--device cuda|mps|cpu] [--small] [--report FILE.json]

Needs torch and transformers, and no network: bases are made of random numbers. Encoders of MiniLM's sizes on sequences of
128 tokens, and of a small vision transformer's on images of 224 pixels. A training step changes four layers spread over the
network and a head of three classes: forward, cross entropy, backward, AdamW (fused where the device has it), without
dropout and with nothing else requiring gradients. In f32, and in bf16 the faster of two ways: all of the model in bf16, and
`autocast` over one in f32. Medians, after steps that are not counted. With `--report`, what `gpu_report --out` wrote is put
beside.
"""
import argparse
import json
import statistics
import time

import torch
import torch.nn as nn
import torch.nn.functional as F
from transformers import BertConfig, BertModel, ViTConfig, ViTModel

TOKENS, STEPS = 128, 12


class Text(nn.Module):
    def __init__(self, small):
        super().__init__()
        vocab, hidden, inner, layers, heads = (100, 64, 128, 4, 4) if small else (30522, 384, 1536, 6, 12)
        config = BertConfig(vocab_size=vocab, hidden_size=hidden, intermediate_size=inner, num_hidden_layers=layers,
                            num_attention_heads=heads, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
        self.body = BertModel(config, add_pooling_layer=False)
        self.head = nn.Linear(hidden, 3)

    def forward(self, x):
        return self.head(self.body(input_ids=x).last_hidden_state.mean(1))

    def input(self, batch):
        return torch.randint(0, 100, (batch, TOKENS))


class Images(nn.Module):
    def __init__(self, small):
        super().__init__()
        hidden, layers, heads, patch, self.side = (64, 4, 2, 8, 32) if small else (384, 12, 6, 16, 224)
        config = ViTConfig(hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads, patch_size=patch,
                           intermediate_size=4 * hidden, image_size=self.side, hidden_dropout_prob=0.0,
                           attention_probs_dropout_prob=0.0)
        self.body = ViTModel(config, add_pooling_layer=False)
        self.head = nn.Linear(hidden, 3)

    def forward(self, x):
        return self.head(self.body(pixel_values=x).last_hidden_state[:, 0])

    def input(self, batch):
        return torch.randn(batch, 3, self.side, self.side)


def wait(device):
    if device.type == "cuda":
        torch.cuda.synchronize()
    elif device.type == "mps":
        torch.mps.synchronize()


def median(device, count, run):
    times = []
    for number in range(count + 3):
        wait(device)
        start = time.perf_counter()
        run()
        wait(device)
        if number >= 3:
            times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)


def timed(make, device, way, most):
    """Milliseconds of a forward pass of one and of a batch, and of a training step."""
    model = make().eval().to(device)
    numbers = torch.bfloat16 if way == "bf16" else torch.float32
    model.to(numbers)
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=way == "autocast")

    def input(batch):
        x = model.input(batch).to(device)
        return x.to(numbers) if x.is_floating_point() else x

    times = []
    with torch.inference_mode(), autocast:
        for batch in [1, most]:
            x = model.input(batch)
            x = x.to(numbers) if x.is_floating_point() else x
            times.append(median(device, 9, lambda: model(x.to(device)).cpu()))
    linear = [module for module in model.body.modules() if isinstance(module, nn.Linear)]
    model.requires_grad_(False)
    for number in range(4):
        linear[(2 * number + 1) * len(linear) // 8].requires_grad_(True)
    model.head.requires_grad_(True)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4, fused=device.type != "mps")
    labels = torch.arange(most) % 3

    def step():
        with autocast:
            loss = F.cross_entropy(model(input(most)).float(), labels.to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return times + [median(device, STEPS, step)]


def rows(name, make, device, most):
    whats = ["forward, batch 1", f"forward, batch {most}", f"training step of four layers, batch {most}"]
    for what, time in zip(whats, timed(make, device, "f32", most)):
        yield f"{name}: {what}, f32", time
    for what, *times in zip(whats, timed(make, device, "bf16", most), timed(make, device, "autocast", most)):
        yield f"{name}: {what}, bf16", min(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--report")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    ours = {}
    if arguments.report:
        with open(arguments.report) as file:
            ours = {what: value for what, value, _ in json.load(file)["rows"]}
    torch.manual_seed(0)
    print(f"torch {torch.__version__} on {torch.cuda.get_device_name() if device.type == 'cuda' else device}")
    for name, network in [("MiniLM", Text), ("ViT-small", Images)]:
        for what, milliseconds in rows(name, lambda: network(arguments.small), device, 4 if arguments.small else 32):
            beside = f"{ours[what]:10.3f} ms here, {ours[what] / milliseconds:.2f}" if what in ours else ""
            print(f"{what:<60} {milliseconds:10.3f} ms {beside}")


if __name__ == "__main__":
    main()
