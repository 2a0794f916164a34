#!/usr/bin/env bash
# Brings the servers that `make test-stores` tries the stores on into the cache folder $1; does nothing when they are there.
set -euo pipefail
cache=${1:?the cache folder}
mkdir -p "$cache"

need=()
for package in python3-venv curl; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || need+=("$package")
done
if [ ${#need[@]} -gt 0 ]; then
  as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends "${need[@]}" >/dev/null
fi

if [ ! -x "$cache/moto/bin/moto_server" ]; then
  rm -rf "$cache/moto"
  python3 -m venv "$cache/moto"
  "$cache/moto/bin/pip" install -q 'moto[server]==5.*'
fi
