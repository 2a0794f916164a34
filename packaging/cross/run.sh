#!/usr/bin/env bash
# Runs cargo for another processor: run.sh TARGET CARGO-VERB [ARGUMENT...], with `--target TARGET` added.
# CROSS_CACHE names where what it needs is kept. With TILLSTICK_CROSS=cross it leaves all of that to `cross` and a container.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
target=$1
verb=$2
shift 2
cache=${CROSS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tillstick-cross}

if [ "${TILLSTICK_CROSS:-}" = cross ]; then
  export CROSS_CONFIG=$here/../../cross.toml
  exec cross "$verb" --target "$target" "$@"
fi
if [ "$target" != "$(rustc -vV | sed -n 's/^host: //p')" ]; then
  environment=$("$here/rust.sh" "$target" "$cache")
  environment+=$'\n'$("$here/sysroot.sh" "$target" "$cache")
  eval "$environment"
fi
exec "${CARGO:-cargo}" "$verb" --target "$target" "$@"
