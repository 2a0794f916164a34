#!/usr/bin/env bash
# Writes what belongs to the program and depends on no machine: manual page, completions, the example of the configuration, and the
# crates with their licences. Usage: pages.sh TARGET NATIVE FOLDER, where NATIVE is the program for this machine.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
target=$1
native=$2
out=$3
mkdir -p "$out/completions"
"$native" man >"$out/tillstick.1"
"$native" completions bash >"$out/completions/tillstick.bash"
"$native" completions zsh >"$out/completions/_tillstick"
"$native" completions fish >"$out/completions/tillstick.fish"
"$native" config example >"$out/tillstick.toml"
"$here/crates.py" sbom "$target" >"$out/tillstick.cdx.json"
"$here/crates.py" licences "$target" >"$out/LICENSES.txt"
