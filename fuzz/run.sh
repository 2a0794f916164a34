#!/usr/bin/env bash
# Fuzzes each target with libFuzzer, from real inputs that the tests make, and prints what came of it.
#   fuzz/run.sh [TARGET...]      FUZZ_SECONDS: how long each (60)      FUZZ_SANITIZER: address (default) or none
# Works with stable Rust: RUSTC_BOOTSTRAP lets cargo-fuzz use the compiler's sanitizer and coverage options.
set -euo pipefail
cd "$(dirname "$0")"

cargo=${CARGO:-cargo}
seconds=${FUZZ_SECONDS:-60}
sanitizer=${FUZZ_SANITIZER:-address}
targets=("$@")
[ $# -gt 0 ] || mapfile -t targets < <(sed -nE 's/^name = "([a-z]+)"$/\1/p' Cargo.toml)

"$cargo" fuzz --version >/dev/null 2>&1 || "$cargo" install --locked cargo-fuzz
TILLSTICK_SEEDS="$PWD/corpus" "$cargo" test --locked --quiet --manifest-path ../Cargo.toml --test fuzz_seeded >/dev/null

# No leaks: a thread that is just ending counts as one.
export RUSTC_BOOTSTRAP=1
log=$(mktemp)
trap 'rm -f "$log"' EXIT
for target in "${targets[@]}"; do
  "$cargo" fuzz run --sanitizer "$sanitizer" "$target" -- \
    -max_total_time="$seconds" -max_len=65536 -timeout=20 -rss_limit_mb=2048 -detect_leaks=0 -print_final_stats=1 >"$log" 2>&1 || {
    cat "$log"
    exit 1
  }
  printf '%-10s %9s runs, %s edges and features, %s inputs kept\n' "$target" \
    "$(sed -nE 's/^stat::number_of_executed_units: *//p' "$log")" \
    "$(sed -nE 's/.* cov: ([0-9]+) ft: ([0-9]+) .*/\1, \2/p' "$log" | tail -1)" \
    "$(sed -nE 's#.* corp: ([0-9]+)/.*#\1#p' "$log" | tail -1)"
done
