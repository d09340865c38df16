#!/bin/bash
# usage: tests/fuzz.sh SECONDS [TARGET...]   Runs each fuzz target (all, unless named) for so long, one after the other.
# Ends with an error if one of them crashed; the input that did it is left in target/fuzz/crashes. What is learnt is kept in target/fuzz/corpus.
# libFuzzer is built from the crate libfuzzer-sys and needs a C++ compiler; the counters are the stable compiler's.
set -euo pipefail
seconds=${1:?usage: tests/fuzz.sh SECONDS [TARGET...]}; shift
[ $# -gt 0 ] || set -- codec engine kernel ring xlcfg
cd "$(dirname "$0")/fuzz"
work=$PWD/../../target/fuzz; mkdir -p "$work/crashes"
host=x86_64-unknown-linux-gnu
flags="-Cpasses=sancov-module --cfg fuzzing"
for flag in level=4 inline-8bit-counters pc-table trace-compares; do flags+=" -Cllvm-args=-sanitizer-coverage-$flag"; done
export CARGO_TARGET_DIR=${FUZZ_TARGET_DIR:-$work/build}
RUSTFLAGS=$flags cargo build --release --target $host
failed=()
for target in "$@"; do
    echo "== $target, $seconds s"
    mkdir -p "$work/corpus/$target"
    nice -n 19 "$CARGO_TARGET_DIR/$host/release/$target" -max_total_time="$seconds" -max_len=8192 -len_control=0 -timeout=10 -rss_limit_mb=2048 \
        -print_final_stats=1 -artifact_prefix="$work/crashes/$target-" "$work/corpus/$target" || failed+=("$target")
done
[ ${#failed[@]} = 0 ] || { echo "crashed: ${failed[*]}"; exit 1; }
