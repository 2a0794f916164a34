#!/usr/bin/env bash
# Installs the Debian packages that building, the tests and the demo need; does nothing when all are there.
set -euo pipefail

packages=(acl attr build-essential pkg-config libudev-dev sqlite3 dosfstools mtools exfatprogs ntfs-3g fdisk e2fsprogs gzip pigz 7zip python3 shellcheck faketime strace)

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
echo "installing: ${missing[*]}"
as_root apt-get update -qq
as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
