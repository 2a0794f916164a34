#!/usr/bin/env bash
# The stripped size of the program for a machine, bare, with each feature, and with all. Usage: sizes.sh [TARGET [PROFILE]]
set -euo pipefail
cd "$(dirname "$0")/.."
target=${1:-armv7-unknown-linux-gnueabihf}
profile=${2:-release}
program=${CARGO_TARGET_DIR:-target}/$target/$profile/tillstick
all=$(cargo metadata --no-deps --format-version 1 |
  python3 -c 'import json, sys; print(*sorted(set(json.load(sys.stdin)["packages"][0]["features"]) - {"default"}))')

size_with() {
  packaging/cross/run.sh "$target" build --quiet --profile "$profile" --locked --bin tillstick --no-default-features --features "$1"
  printf '| %s | %s |\n' "${1:-none}" "$(stat -c %s "$program" | awk '{ printf "%.2f MiB", $1 / 1048576 }')"
}

size_with ''
for feature in $all; do size_with "$feature"; done
size_with "$all"
