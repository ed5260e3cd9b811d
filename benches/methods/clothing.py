"""Compares methods of adaptation on clothing96 and prints one table a base, mean and spread over seeds.

    cargo build --release
    python benches/methods/clothing.py mobilenet_v2 --out DIR [--seeds 3] [--epochs 5]
    python benches/methods/clothing.py cifar10-resnet56 --out DIR

Each run is `taps train … --record` followed by `taps eval … --record`, and leaves an adapter and its record in DIR, so
that an interrupted comparison goes on where it was, and `taps report DIR --base BASE` draws it.

- Learning rates are chosen on the validation images with seed 0, out of those in RATES; the test images are looked at
  once for each run, after it.
- `last-k` and `random-k` may spend as many bytes on layers as TAPS with 8 layers spent with the same seed.
- `taps-40%` may spend on layers what makes its adapter 40 % of that of all layers.
- All methods but the head alone own the norms' scale and bias where METHODS says so; running statistics are frozen.
- Seconds are those the processor spent on training, of one thread.
"""
import argparse
import json
import os
import resource
import statistics
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SIZES = {"mobilenet_v2": 96, "cifar10-resnet56": 32}
CROPS = {"mobilenet_v2": 6, "cifar10-resnet56": 2}
# Name, options, whose rate is used.
METHODS = [
    ("head", ["--method", "head"], None),
    ("scale-bias", ["--method", "patch"], "scale-bias"),
    ("depthwise", ["--method", "patch", "--patch", "depthwise"], "depthwise"),
    ("taps-8", ["--max-active-layers", "8"], "taps-8"),
    ("taps-4", ["--max-active-layers", "4"], "taps-8"),
    ("last-k", ["--method", "last-k"], "taps-8"),
    ("random-k", ["--method", "random-k"], "taps-8"),
    ("taps-lambda-0.1", ["--max-active-layers", "all", "--lambda", "0.1"], "taps-8"),
    ("taps-lambda-1", ["--max-active-layers", "all", "--lambda", "1"], "taps-8"),
    ("full", ["--method", "full"], "full"),
    ("taps-40%", [], "taps-8"),
]
RATES = {"scale-bias": [3e-3, 1e-2], "depthwise": [1e-3, 3e-3], "taps-8": [5e-4, 1e-3], "full": [2e-4, 5e-4]}


class Comparison:
    def __init__(self, base, args):
        self.base, self.args = base, args
        self.folder = args.out / base
        self.folder.mkdir(parents=True, exist_ok=True)
        self.where = ["--base", str(args.models / base), "--image-size", str(SIZES[base])]

    def taps(self, *words):
        command = [str(self.args.taps), "--json", *words]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
        return json.loads(done.stdout.splitlines()[-1])

    def run(self, name, options, rate, seed):
        """The record of one run, made now or before."""
        adapter = self.folder / f"{name}-{rate or 0:g}-{seed}.taps"
        record = adapter.with_suffix(".run.json")
        if not record.exists() or "processor_seconds" not in json.loads(record.read_text()):
            options = list(options)
            if name in ("last-k", "random-k"):
                options += ["--max-layer-bytes", str(self.layer_bytes(rate, seed))]
            if name == "taps-40%":
                options += ["--max-layer-bytes", str(int(0.4 * self.bytes("full")) - self.bytes("scale-bias"))]
            if rate:
                options += ["--rate", str(rate)]
            data = self.args.data
            before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
            self.taps("train", *self.where, "--data", str(data / "train"), "--validation-data", str(data / "validation"),
                      "--task", name, "--out", str(adapter), "--record", "--seed", str(seed), "--threads", "1",
                      "--epochs", str(self.args.epochs), "--flip", "--crop", str(CROPS[self.base]), *options)
            seconds = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
            self.taps("eval", *self.where, "--data", str(data / "test"), "--adapter", str(adapter), "--record", str(record))
            found = json.loads(record.read_text())
            record.write_text(json.dumps({**found, "processor_seconds": seconds}))
        return json.loads(record.read_text())

    def bytes(self, method):
        """Bytes of the adapter of a method that was run before."""
        record = next(self.folder.glob(f"{method}-*-0.run.json"))
        return json.loads(record.read_text())["bytes"]

    def layer_bytes(self, rate, seed):
        """Bytes of the layers that TAPS with 8 layers chose."""
        adapter = self.folder / f"taps-8-{rate:g}-{seed}.taps"
        active = json.loads(adapter.with_suffix(".run.json").read_text())["active_layers"]
        entries = self.taps("inspect", str(adapter))["entries"]
        return sum(entry["bytes"] for entry in entries if entry["tensor"].rpartition(".")[0] in active)

    def rate(self, name, options):
        """The rate that does best on the validation images; of equal ones the lower loss decides."""
        def score(rate):
            run = self.run(name, options, rate, 0)
            best = min(run["curves"]["epochs"], key=lambda epoch: (-epoch["validation_accuracy"], epoch["validation_loss"]))
            return -best["validation_accuracy"], best["validation_loss"]
        return min(RATES[name], key=score)

    def table(self):
        chosen, rows = {}, []
        options_of = {name: options for name, options, _ in METHODS}
        for name, options, rate_of in METHODS:
            if name == "depthwise" and self.base != "mobilenet_v2":
                continue
            if rate_of and rate_of not in chosen:
                chosen[rate_of] = self.rate(rate_of, options_of[rate_of])
            rate = chosen.get(rate_of)
            rows.append((name, rate, [self.run(name, options, rate, seed) for seed in range(self.args.seeds)]))
        print(f"\n{self.base}, {SIZES[self.base]} px, {self.args.epochs} epochs, {self.args.seeds} seeds\n")
        print("| method | rate | test accuracy | spread | active layers | adapter | processor time |")
        print("|---|---|---|---|---|---|---|")
        for name, rate, runs in rows:
            accuracy = [100 * run["test_accuracy"] for run in runs]
            layers = sorted({len(run["active_layers"]) for run in runs})
            layers = str(layers[0]) if len(layers) == 1 else f"{layers[0]} to {layers[-1]}"
            size = statistics.mean(run["bytes"] for run in runs) / 1e6
            seconds = statistics.mean(run["processor_seconds"] for run in runs)
            print(f"| {name} | {rate or '':} | {statistics.mean(accuracy):.1f} % "
                  f"| {min(accuracy):.1f} to {max(accuracy):.1f} | {layers} | {size:.2f} MB | {seconds:.0f} s |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bases", nargs="+", choices=SIZES)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=5)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    parser.add_argument("--taps", type=Path, default=target / "release/taps")
    parser.add_argument("--models", type=Path, default=ROOT.parent / "shared/models")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/data/clothing96")
    args = parser.parse_args()
    for base in args.bases:
        Comparison(base, args).table()
