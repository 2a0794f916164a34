#!/usr/bin/env bash
# Writes what Buildroot is to find in the release tarball. Usage: hash.sh TARBALL HASH-FILE
set -euo pipefail
tarball=$1
top=$(cd "$(dirname "$0")/.." && pwd)
line() { printf 'sha256  %s  %s\n' "$(sha256sum "$1" | cut -d' ' -f1)" "$(basename "$1")"; }
{
  echo '# Locally calculated'
  line "$tarball"
  line "$top/LICENSE-MIT"
  line "$top/LICENSE-APACHE"
} >"$2"
