#!/usr/bin/env bash
# Packs the program for systems without packages; it needs only the C library and libudev there.
# Usage: tarball.sh TARGET PROGRAM NATIVE OUT, as deb.sh; prints the tarball's path.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$here/..
target=$1
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$top/Cargo.toml" | head -1)
name=tillstick-$version-$target
mkdir -p "$4"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
stage=$scratch/$name
mkdir -p "$stage/docs"
# shellcheck source=cross/names.sh
. "$here/cross/names.sh" "$target"
"${gnu}-strip" -o "$stage/tillstick" "$2" 2>/dev/null || cp "$2" "$stage/tillstick"
"$here/pages.sh" "$target" "$(realpath "$3")" "$stage"
cp "$top/README.md" "$top/CHANGELOG.md" "$top/LICENSE-MIT" "$top/LICENSE-APACHE" "$here"/systemd/* "$top"/udev-rules/* "$stage/"
cp "$top/buildroot/package/tillstick/S60tillstick" "$stage/"
cp "$top"/docs/*.md "$top"/docs/card.*.pdf "$stage/docs/"
tar --sort=name --format=gnu --owner=0 --group=0 --numeric-owner --mtime="@$(git -C "$top" log -1 --format=%ct)" -C "$scratch" -c "$name" |
  gzip -n -9 >"$4/$name.tar.gz"
echo "$4/$name.tar.gz"
