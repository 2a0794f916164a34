#!/usr/bin/env bash
# Makes the release tarball of what is committed, with the crates in VENDOR/, so that a build of it downloads nothing; the same
# commit gives the same bytes. It goes to dist/ of the Buildroot tree, under the name that Buildroot 2026.02 gives to tarballs with
# crates, and its hash into the tree; `buildroot/` is not in it, because that tree holds the hash. Usage: dist.sh TREE
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
tree=$(cd "$1" && pwd)
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
tarball=$tree/dist/$name-cargo4.tar.gz
mkdir -p "$tree/dist"
tar --sort=name --format=gnu --owner=0 --group=0 --numeric-owner --mode=go=rX,u+rw,a-s --mtime=@0 -C "$scratch" -c "$name" |
  gzip -n -9 >"$tarball.part"
mv "$tarball.part" "$tarball"

line() { printf 'sha256  %s  %s\n' "$(sha256sum "$1" | cut -d' ' -f1)" "$(basename "$1")"; }
{
  echo '# Locally calculated'
  line "$tarball"
  line "$top/LICENSE-MIT"
  line "$top/LICENSE-APACHE"
} >"$tree/package/tillstick/tillstick.hash"
echo "$tarball"
