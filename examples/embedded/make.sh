#!/bin/sh
# Makes inverted.taps and images.bin, from the repository root: sh examples/embedded/make.sh
# Needs the taps command (cargo build --release) and Python 3. One thread and one seed: the same bytes every time.
# digits.taps stays as a release that wrote version 1 of the format made it, by the same command as below: the firmware reads
# both versions. Where it is missing it is made anew.
set -eu
taps=${TAPS:-target/release/taps}
here=examples/embedded
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 - "$work" "$here" <<'PYTHON'
import sys
from pathlib import Path

work, here = map(Path, sys.argv[1:])
data = Path("adapters/digits/data")
images = (data / "digits-images-idx3-ubyte").read_bytes()
labels = (data / "digits-labels-idx1-ubyte").read_bytes()
inverted = images[:16] + bytes(255 - pixel for pixel in images[16:])
(work / "inverted-images-idx3-ubyte").write_bytes(inverted)
(work / "inverted-labels-idx1-ubyte").write_bytes(labels)
# The last twelve digits, which are trained on no more than the others: what is shown is agreement, not accuracy.
(here / "images.bin").write_bytes(images[-12 * 64:] + inverted[-12 * 64:])
PYTHON
train() { "$taps" train --base adapters/digits/base --threads 1 --epochs 3 --rate 3e-3 --validation 0 "$@"; }
[ -f "$here/digits.taps" ] ||
  train --data adapters/digits/data/digits-images-idx3-ubyte --task digits --max-active-layers 2 \
    --encoding int8 --out "$here/digits.taps"
train --data "$work/inverted-images-idx3-ubyte" --task inverted --max-active-layers 6 \
  --encoding one-bit --out "$here/inverted.taps"
