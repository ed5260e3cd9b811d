"""Times image networks against PyTorch and ONNX Runtime: forward passes, and training steps of four layers and the head.

    cargo build --release --example peer
    python benches/peers/images.py [--models FOLDER] [--peer BINARY] [--rounds N] [--only TEXT]

FOLDER holds `mobilenet_v2` and `cifar10-resnet56`, each with config.json, model.safetensors and golden.safetensors
(`input`, `logits`). PyTorch comes with torchvision, onnx, onnxruntime and safetensors. Linux, two threads on each side.

- Both sides' logits are compared with the folder's golden, and with each other on every input that is timed; the losses
  of both sides' training are compared too. What differs by more than 1e-3 ends the run.
- ONNX Runtime: what PyTorch exports for inputs of the shape, with all its optimizations; forward passes alone.
- Sides take turns: this project, PyTorch, PyTorch with `channels_last`, ONNX Runtime, and again. In each turn a side does one pass
  untimed and then a few, and reports their mean; between turns the threads of the last one come to rest.
- A row gives each side's median over the rounds; the fastest other side is the peer. `ratio` is our median over the
  peer's, `paired` the median of the rounds' own ratios; under 1 this project is faster.
- Forward passes: eval() and inference_mode() for PyTorch. Training steps: forward, cross entropy, backward and update by
  AdamW (fused in PyTorch), with the running statistics of normalizations frozen and nothing else requiring gradients;
  `+ norms`: scale and bias of every normalization too.
"""
import copy
import json
import sys
from pathlib import Path

from common import ROOT, Onnx, Peer, heading, in_turns, near, parser, row, time_passes, time_steps

import torch
import torch.nn as nn
import torchvision
from safetensors.torch import load_file

sys.path += [str(ROOT / "tests/golden" / name) for name in ("resnet_cifar", "mobilenet_v2_same")]

from make_mobilenet_v2_same import same
from make_resnet_cifar import CifarResNet

FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


class Net:
    """A network of the comparison: how PyTorch builds it, at which sizes it runs, which layers are trained."""

    def __init__(self, folder, build, head, sizes, layers):
        self.folder, self.build, self.head, self.sizes, self.layers = folder, build, head, sizes, layers


NETS = [
    Net(
        "mobilenet_v2",
        lambda config: same(torchvision.models.MobileNetV2(num_classes=config["num_classes"], dropout=0.0)),
        "classifier.1",
        [96, 224],
        ["features.5.conv.0.0", "features.9.conv.2", "features.13.conv.1.0", "features.17.conv.2"],
    ),
    Net(
        "cifar10-resnet56",
        lambda config: CifarResNet(config["depth"], (16, 32, 64), config["num_classes"]),
        "linear",
        [32],
        ["layer1.4.conv1", "layer2.0.conv1", "layer2.8.conv2", "layer3.8.conv2"],
    ),
]


class Torch:
    """PyTorch with one network in one memory format."""

    def __init__(self, net, base, memory_format):
        self.config = json.loads((base / "config.json").read_text())
        self.model = net.build(self.config).eval()
        self.model.load_state_dict(load_file(base / "model.safetensors"))
        eps = self.config["batch_norm_eps"]
        assert all(module.eps == eps for module in self.model.modules() if isinstance(module, nn.BatchNorm2d))
        self.model.requires_grad_(False)
        self.format = memory_format
        self.model.to(memory_format=memory_format)
        self.net = net

    def input(self, pixels):
        self.pixels = pixels.contiguous(memory_format=self.format)

    @torch.inference_mode()
    def logits(self):
        return self.model(self.pixels).contiguous()

    def forward(self, repeat):
        return time_passes(lambda: self.model(self.pixels), repeat)

    def train(self, norms, steps):
        """Mean seconds of the steps after the first, and the last one's loss, from the published weights on."""
        model = copy.deepcopy(self.model)
        trained = {f"{name}.{part}" for name in [*self.net.layers, self.net.head] for part in ("weight", "bias")}
        if norms:
            batch_norms = [name for name, module in model.named_modules() if isinstance(module, nn.BatchNorm2d)]
            trained |= {f"{name}.{part}" for name in batch_norms for part in ("weight", "bias")}
        parameters = [p.requires_grad_() for name, p in model.named_parameters() if name in trained]
        labels = torch.arange(len(self.pixels)) % self.config["num_classes"]
        return time_steps(lambda: model(self.pixels), parameters, labels, steps)


def check_golden(net, base, peer, sides):
    golden = load_file(base / "golden.safetensors")
    pixels, expected = golden["input"], golden["logits"]
    peer.open(base, size=pixels.shape[-1])
    peer.input("input", pixels)
    errors = [near(f"{net.folder}: this project", peer.logits(len(pixels)), expected)]
    for name, side in sides.items():
        side.input(pixels)
        errors.append(near(f"{net.folder}: PyTorch {name}", side.logits(), expected))
    print(f"# {net.folder}: golden logits differ by " + ", ".join(f"{error:.1e}" for error in errors))


def compare(net, base, peer, arguments):
    wanted = arguments.only or ""
    sides = {name: Torch(net, base, memory_format) for name, memory_format in FORMATS.items()}
    check_golden(net, base, peer, sides)
    random = torch.Generator().manual_seed(1)
    for size in net.sizes:
        peer.open(base, size=size)
        for batch in (1, 32):
            pixels = torch.randn(batch, 3, size, size, generator=random)
            peer.input("input", pixels)
            ours = peer.logits(batch)
            for name, side in sides.items():
                side.input(pixels)
                near(f"{net.folder} {size} px x {batch}: this project and PyTorch {name}", ours, side.logits())
            at = f"{net.folder} {size} px x {batch}"
            label = f"{at} forward"
            if wanted in label:
                repeat = 10 if batch == 1 else 2
                runs = {"ours": lambda: peer.ask("forward", repeat=repeat)["seconds"]}
                runs |= {name: lambda side=side: side.forward(repeat) for name, side in sides.items()}
                onnx = Onnx(sides["contiguous"].model, pixels)
                near(f"{label}: logits of ONNX Runtime", onnx.logits(), ours)
                runs["ONNX Runtime"] = lambda: onnx.forward(repeat)
                row(label, in_turns(arguments.rounds, runs))
            for norms in (False, True):
                label = f"{at} step" + (" + norms" if norms else "")
                if batch > 1 and wanted in label:
                    steps_row(label, net, peer, sides, norms, arguments.rounds)


def steps_row(label, net, peer, sides, norms, rounds, steps=2):
    def ours():
        return peer.ask("train", layers=net.layers, norms=norms, steps=steps)

    loss = torch.tensor(ours()["loss"])
    for name, side in sides.items():
        near(f"{label}: loss of this project and of PyTorch {name}", loss, torch.tensor(side.train(norms, steps)[1]))
    runs = {"ours": lambda: ours()["seconds"]}
    runs |= {name: lambda side=side: side.train(norms, steps)[0] for name, side in sides.items()}
    row(label, in_turns(rounds, runs))


def main():
    options = parser()
    options.add_argument("--models", type=Path, default=ROOT.parent / "shared/models")
    arguments = options.parse_args()
    peer = Peer(arguments.peer)
    heading(arguments.rounds, [*FORMATS, "ONNX Runtime"])
    for net in NETS:
        names = [
            f"{net.folder} {size} px x {batch} {kind}"
            for size in net.sizes for batch in (1, 32) for kind in ("forward", "step", "step + norms")
        ]
        if any((arguments.only or "") in name for name in names):
            compare(net, arguments.models / net.folder, peer, arguments)


if __name__ == "__main__":
    main()
