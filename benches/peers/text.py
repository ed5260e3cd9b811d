"""Times a sentence encoder against PyTorch and ONNX Runtime: forward passes, and training steps of four layers and the
head; and the memory of the steps.

    cargo build --release --example peer
    python benches/peers/text.py --base FOLDER [--peer BINARY] [--rounds N] [--only TEXT]

FOLDER holds a BERT encoder in Hugging Face layout, as all-MiniLM-L6-v2. PyTorch comes with transformers, onnx,
onnxruntime and safetensors. Linux, two threads on each side.

- A head of 77 classes with random weights is put beside the published weights, for both sides. Sequences are random
  tokens of one length, so that neither side pads.
- PyTorch: transformers' `BertModel` with `attn_implementation="sdpa"`, mean of the tokens, a linear head.
- Both sides' logits are compared on every input, and the losses of their training. What differs by more than 1e-3 ends
  the run.
- ONNX Runtime: what PyTorch exports for inputs of the shape, with all its optimizations; forward passes alone.
- Sides take turns: this project, PyTorch, ONNX Runtime, and again. In each turn a side does one pass untimed and then a few, and
  reports their mean; between turns the threads of the last one come to rest.
- A row gives each side's median over the rounds; the fastest other side is the peer. `ratio` is our median over the
  peer's, `paired` the median of the rounds' own ratios; under 1 this project is faster.
- Forward passes: eval() and inference_mode() for PyTorch. Training steps: forward, cross entropy, backward and update by
  AdamW (fused in PyTorch), without dropout and with nothing else requiring gradients.
- Memory: each side in a fresh process that has its weights and has done a step of one sequence of two tokens, so that
  what a first step loads is there. A row is how far the peak of the process' anonymous memory over some steps lies above
  its anonymous memory then: for PyTorch what comes beyond its loaded weights, for this project beyond the mapped base,
  which is not anonymous.
"""
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from common import Onnx, Peer, heading, in_turns, near, parser, row, time_passes, time_steps

import torch
import torch.nn as nn
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertModel

CLASSES = 77
LAYERS = [
    "encoder.layer.0.attention.output.dense",
    "encoder.layer.2.intermediate.dense",
    "encoder.layer.3.attention.self.value",
    "encoder.layer.5.output.dense",
]
FORWARD = [(1, 16, 20), (1, 128, 10), (32, 64, 1)]
STEPS = [(32, 64, 1), (8, 128, 2)]


class Whole(nn.Module):
    """An encoder and its head as one module, to be exported."""

    def __init__(self, side):
        super().__init__()
        self.encoder, self.head = side.encoder, side.head

    def forward(self, tokens):
        return self.head(self.encoder(input_ids=tokens).last_hidden_state.mean(1))


class Torch:
    """PyTorch with the encoder and a head."""

    def __init__(self, base):
        weights = load_file(base / "model.safetensors")
        self.head = nn.Linear(*reversed(weights["classifier.weight"].shape))
        self.head.load_state_dict({part: weights.pop(f"classifier.{part}") for part in ("weight", "bias")})
        config = BertConfig.from_pretrained(base, attn_implementation="sdpa")
        config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
        self.encoder = BertModel(config, add_pooling_layer=False).eval()
        known = set(self.encoder.state_dict())
        self.encoder.load_state_dict({name: value for name, value in weights.items() if name in known})
        self.start = {name: value.detach().clone() for name, value in self.trained()}

    def trained(self):
        names = {f"{layer}.{part}" for layer in LAYERS for part in ("weight", "bias")}
        return [*((name, p) for name, p in self.encoder.named_parameters() if name in names), *self.head.named_parameters()]

    def input(self, tokens):
        self.tokens = tokens.long()

    def run(self):
        return self.head(self.encoder(input_ids=self.tokens).last_hidden_state.mean(1))

    @torch.inference_mode()
    def logits(self):
        return self.run()

    def forward(self, repeat):
        return time_passes(self.run, repeat)

    def train(self, steps):
        """Mean seconds of the steps after the first, and the last one's loss, from the published weights on."""
        for parameters in (self.encoder.parameters(), self.head.parameters()):
            for parameter in parameters:
                parameter.requires_grad_(False)
        parameters = [parameter.requires_grad_() for _, parameter in self.trained()]
        labels = torch.arange(len(self.tokens)) % self.head.out_features
        found = time_steps(self.run, parameters, labels, steps)
        with torch.no_grad():
            for name, parameter in self.trained():
                parameter.copy_(self.start[name])
                parameter.grad = None
        return found


def make_base(published, folder):
    """The published encoder with a head of random weights."""
    random = torch.Generator().manual_seed(1)
    config = json.loads((published / "config.json").read_text())
    config.pop("id2label", None), config.pop("label2id", None)
    (folder / "config.json").write_text(json.dumps(config))
    weights = load_file(published / "model.safetensors")
    weights["classifier.weight"] = torch.randn(CLASSES, config["hidden_size"], generator=random) * 0.1
    weights["classifier.bias"] = torch.randn(CLASSES, generator=random) * 0.1
    save_file(weights, folder / "model.safetensors")
    return config["vocab_size"]


def anonymous():
    """Anonymous memory of this process at its peak since the last call and now, as `memory` of `examples/peer.rs`."""
    status = Path("/proc/self/status").read_text().splitlines()
    found = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in status if line.endswith("kB")}
    Path("/proc/self/clear_refs").write_text("5")
    return {"peak": found["VmHWM"] - found["RssFile"] - found["RssShmem"], "now": found["RssAnon"]}


def measure(train, memory, tokens):
    """Peak of anonymous memory over some steps beyond that after a very small one."""
    train(tokens[:1, :2])
    before = memory()["now"]
    train(tokens)
    return memory()["peak"] - before


def memory_of_torch(base, tokens):
    side = Torch(base)

    def train(tokens):
        side.input(tokens)
        side.train(3)

    return measure(train, anonymous, tokens)


def memory_of_ours(binary, base, tokens):
    peer = Peer(binary)
    peer.open(base)

    def train(tokens):
        peer.input("tokens", tokens)
        peer.ask("train", layers=LAYERS, steps=3)

    found = measure(train, lambda: peer.ask("memory"), tokens)
    peer.close()
    return found


def draw(batch, length, vocabulary):
    random = torch.Generator().manual_seed(batch * length)
    return torch.randint(vocabulary, (batch, length), generator=random, dtype=torch.int32)


def compare(base, vocabulary, arguments):
    wanted = arguments.only or ""
    peer, side = Peer(arguments.peer), Torch(base)
    peer.open(base)

    def take(batch, length):
        tokens = draw(batch, length, vocabulary)
        peer.input("tokens", tokens)
        side.input(tokens)
        near(f"{batch} x {length}: logits", peer.logits(batch), side.logits())

    for batch, length, repeat in FORWARD:
        label = f"{batch} x {length} forward"
        if wanted in label:
            take(batch, length)
            onnx = Onnx(Whole(side).eval(), side.tokens)
            near(f"{label}: logits of ONNX Runtime", onnx.logits(), side.logits())
            runs = {"ours": lambda: peer.ask("forward", repeat=repeat)["seconds"]}
            runs |= {"PyTorch": lambda: side.forward(repeat), "ONNX Runtime": lambda: onnx.forward(repeat)}
            row(label, in_turns(arguments.rounds, runs))
    for batch, length, steps in STEPS:
        label = f"{batch} x {length} step"
        if wanted in label:
            take(batch, length)
            ours = lambda: peer.ask("train", layers=LAYERS, steps=steps)
            near(f"{label}: loss", torch.tensor(ours()["loss"]), torch.tensor(side.train(steps)[1]))
            row(label, in_turns(arguments.rounds, {"ours": lambda: ours()["seconds"], "PyTorch": lambda: side.train(steps)[0]}))
    peer.close()


def compare_memory(base, vocabulary, arguments):
    for batch, length, _ in STEPS:
        label = f"{batch} x {length} step memory, MB"
        if (arguments.only or "") in label:
            ours = memory_of_ours(arguments.peer, base, draw(batch, length, vocabulary))
            command = [sys.executable, __file__, "--base", base, "--memory-of-torch", str(batch), str(length)]
            theirs = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])
            print(f"{label:<44} {ours / 1e6:>13.1f} {theirs / 1e6:>13.1f} {ours / theirs:>7.3f}", flush=True)


def main():
    options = parser()
    options.add_argument("--base", type=Path, required=True)
    options.add_argument("--memory-of-torch", type=int, nargs=2, metavar=("BATCH", "TOKENS"))
    arguments = options.parse_args()
    if arguments.memory_of_torch:
        vocabulary = json.loads((arguments.base / "config.json").read_text())["vocab_size"]
        print(memory_of_torch(arguments.base, draw(*arguments.memory_of_torch, vocabulary)))
        return
    heading(arguments.rounds, ["PyTorch", "ONNX Runtime"])
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        vocabulary = make_base(arguments.base, base)
        compare(base, vocabulary, arguments)
        compare_memory(base, vocabulary, arguments)


if __name__ == "__main__":
    main()
