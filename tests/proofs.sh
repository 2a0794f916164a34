#!/usr/bin/env bash
# Runs every test file that has a full mode (it says `mod proof;`) in that mode, and prints the seconds of each.
# Names of test files as arguments: only these.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo=${CARGO:-cargo}
if [ $# -gt 0 ]; then
  proofs=("$@")
else
  mapfile -t proofs < <(grep -l '^mod proof;' tests/*.rs tests/*/main.rs | sed -E 's#^tests/##; s#(/main)?\.rs$##' | sort)
fi

export TILLSTICK_PROOF=full
"$cargo" test --locked --no-run "${proofs[@]/#/--test=}"
times=('seconds  proof')
for proof in "${proofs[@]}"; do
  begin=$SECONDS
  "$cargo" test --locked --quiet --test "$proof"
  times+=("$(printf '%7d  %s' $((SECONDS - begin)) "$proof")")
done
printf '%s\n' "${times[@]}"
