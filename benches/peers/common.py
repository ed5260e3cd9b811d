"""What the comparisons with other runtimes share: this project's side in a process of its own, turns, checks, rows."""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = os.environ["RAYON_NUM_THREADS"] = "2"

import torch
import torch.nn.functional as F

ROOT = Path(__file__).resolve().parents[2]
THREADS = 2
RATE = 1e-4
TOLERANCE = 1e-3
SETTLE = 0.03

torch.set_num_threads(THREADS)


class Peer:
    """This project, in a process of its own that `examples/peer.rs` describes."""

    def __init__(self, binary):
        self.process = subprocess.Popen([binary], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.file = tempfile.NamedTemporaryFile(suffix=".input")

    def ask(self, cmd, **values):
        self.process.stdin.write(json.dumps({"cmd": cmd} | values) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        answer = json.loads(line) if line else {"error": "it ended"}
        if "error" in answer:
            sys.exit(f"peer: {cmd} {values}: {answer['error']}")
        return answer

    def open(self, base, **settings):
        self.ask("open", base=str(base), threads=THREADS, **settings)

    def input(self, cmd, values):
        Path(self.file.name).write_bytes(values.contiguous().numpy().tobytes())
        self.ask(cmd, path=self.file.name, shape=list(values.shape))

    def logits(self, batch):
        return torch.tensor(self.ask("logits")["values"]).view(batch, -1)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Onnx:
    """ONNX Runtime, with what PyTorch exports of a network for inputs of one shape; forward passes alone."""

    def __init__(self, model, example):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = THREADS, 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            path = str(Path(folder) / "model.onnx")
            torch.onnx.export(model, (example,), path, input_names=["input"], opset_version=17, dynamo=False)
            self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.feed = {"input": example.contiguous().numpy()}

    def run(self):
        return self.session.run(None, self.feed)[0]

    def logits(self):
        return torch.from_numpy(self.run())

    def forward(self, repeat):
        return time_passes(self.run, repeat)


@torch.inference_mode()
def time_passes(forward, repeat):
    """Mean seconds of a forward pass, after one untimed."""
    forward()
    start = time.perf_counter()
    for _ in range(repeat):
        forward()
    return (time.perf_counter() - start) / repeat


def time_steps(forward, parameters, labels, steps):
    """Mean seconds of PyTorch's training steps after the first, and the last one's loss."""
    optimizer = torch.optim.AdamW(parameters, lr=RATE, weight_decay=0.0, fused=True)

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(forward(), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    step()
    start = time.perf_counter()
    for _ in range(steps):
        loss = step()
    return (time.perf_counter() - start) / steps, loss


def near(what, found, expected):
    error = ((found - expected).abs().max() / expected.abs().max()).item()
    if not error < TOLERANCE:
        sys.exit(f"{what}: off by {error:.1e} of the largest value")
    return error


def in_turns(rounds, sides):
    """The seconds of each side in each round."""
    times = {name: [] for name in sides}
    for _ in range(rounds):
        for name, run in sides.items():
            time.sleep(SETTLE)
            times[name].append(run())
    return times


def heading(rounds, names):
    import onnxruntime

    versions = f"torch {torch.__version__}, ONNX Runtime {onnxruntime.__version__}"
    print(f"# {versions}, {THREADS} threads, {rounds} rounds; medians in ms")
    cells = " ".join(f"{name:>13}" for name in ["ours", *names])
    print(f"{'':<44} {cells} {'ratio':>7} {'paired':>7}")


def row(label, times):
    """Prints the medians of our side and the others', the fastest of which is the peer."""
    medians = {name: statistics.median(each) for name, each in times.items()}
    best = min((name for name in times if name != "ours"), key=medians.get)
    paired = statistics.median(ours / theirs for ours, theirs in zip(times["ours"], times[best]))
    cells = " ".join(f"{median * 1e3:>13.2f}" for median in medians.values())
    print(f"{label:<44} {cells} {medians['ours'] / medians[best]:>7.3f} {paired:>7.3f}", flush=True)


def parser():
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    parser = argparse.ArgumentParser()
    parser.add_argument("--peer", type=Path, default=target / "release/examples/peer")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", help="only rows whose name contains this")
    return parser
