#!/usr/bin/env bash
# Makes the release tarball of what is committed, with the crates in VENDOR/, so that a build of it downloads nothing; the same
# commit gives the same bytes. `buildroot/` is not in it, because that tree holds the tarball's hash.
# Usage: dist.sh FOLDER     prints the tarball's path
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$top/Cargo.toml" | head -1)
name=tillstick-$version
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

mkdir "$scratch/$name"
git -C "$top" archive HEAD -- . ':(exclude)buildroot' | tar -x -C "$scratch/$name"
cd "$scratch/$name"
cargo vendor --quiet --locked --versioned-dirs VENDOR >/dev/null
cat >>.cargo/config.toml <<'END'

[source.crates-io]
replace-with = "vendored-sources"

[source.vendored-sources]
directory = "VENDOR"
END
tar --sort=name --format=gnu --owner=0 --group=0 --numeric-owner --mode=go=rX,u+rw,a-s --mtime=@0 -C "$scratch" -c "$name" |
  gzip -n -9 >"$out/$name.tar.gz.part"
mv "$out/$name.tar.gz.part" "$out/$name.tar.gz"
echo "$out/$name.tar.gz"
