#!/bin/sh
# Fuzzes every target, or those named, for some seconds each, from the repository root: sh tests/fuzz/run.sh [SECONDS [TARGET..]]
# Needs a nightly compiler and cargo-fuzz. What is found goes to tests/fuzz/artifacts.
set -eu
seconds=${1:-60}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- adapter encodings base data config lora tokenizer index ranking records
cd tests/fuzz
for target; do
  mkdir -p "corpus/$target"
  # What is found goes to a folder that is not committed; the committed one is where it begins.
  mkdir -p "target/found/$target"
  # The command that draws reports prints.
  quiet=$([ "$target" = records ] && echo 3 || echo 0)
  cargo +nightly fuzz run --fuzz-dir . "$target" "target/found/$target" "corpus/$target" -- \
    -max_total_time="$seconds" -max_len=16384 -timeout=20 -close_fd_mask="$quiet" -print_final_stats=1 2>&1 |
    grep -E "Done|stat::number_of_executed|SUMMARY|panicked|artifact|^error" || true
  if [ -n "$(ls -A artifacts/"$target" 2>/dev/null)" ]; then
    echo "$target: see tests/fuzz/artifacts/$target"
    exit 1
  fi
done
