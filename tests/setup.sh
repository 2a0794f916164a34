#!/usr/bin/env bash
# Installs the Debian packages that building, the tests and the demo need; does nothing when all are there.
set -euo pipefail

packages=(acl age attr build-essential pkg-config libudev-dev sqlite3 dosfstools mtools exfatprogs ntfs-3g fdisk e2fsprogs gzip pigz 7zip python3 shellcheck faketime openssl strace)

"$(dirname "$0")/../packaging/install.sh" "${packages[@]}"
