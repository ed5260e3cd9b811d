#!/bin/sh
# Builds the firmware, runs it under QEMU and compares what it prints with expected.txt; from the repository root:
# sh examples/embedded/run.sh. Needs a toolchain for thumbv7em-none-eabihf and qemu-system-arm; CARGO_FLAGS are for cargo
# build.
set -eu
here=examples/embedded
target=thumbv7em-none-eabihf
out=${CARGO_TARGET_DIR:-$here/target}
cargo build --release --manifest-path $here/Cargo.toml --target $target ${CARGO_FLAGS:-}
qemu-system-arm -M mps2-an386 -nographic -semihosting-config enable=on,target=native \
  -kernel "$out/$target/release/taps-embedded" > "$out/printed.txt"
grep '^#' "$out/printed.txt"
grep -v '^#' "$out/printed.txt" | diff - $here/expected.txt
echo "the firmware agrees with expected.txt"
