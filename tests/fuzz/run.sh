#!/bin/sh
# Fuzzes every target for some seconds each, from the repository root: sh tests/fuzz/run.sh [SECONDS]
# Needs a nightly compiler and cargo-fuzz. What is found goes to tests/fuzz/artifacts.
set -eu
seconds=${1:-60}
cd tests/fuzz
for target in adapter encodings base data; do
  mkdir -p "corpus/$target"
  # What is found goes to a folder that is not committed; the committed one is where it begins.
  mkdir -p "target/found/$target"
  cargo +nightly fuzz run --fuzz-dir . "$target" "target/found/$target" "corpus/$target" -- \
    -max_total_time="$seconds" -max_len=8192 -print_final_stats=1 2>&1 | grep -E "Done|stat::number_of_executed|SUMMARY|panicked|artifact" || true
  if [ -n "$(ls -A artifacts/"$target" 2>/dev/null)" ]; then
    echo "$target: see tests/fuzz/artifacts/$target"
    exit 1
  fi
done
