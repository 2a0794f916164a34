#!/usr/bin/env bash
# What can be checked of the Buildroot tree without building an image: it is read by the Buildroot that BUILDROOT names (2026.02), its
# options resolve, its defconfig is as `savedefconfig` writes it, the release tarball has the hash that it says, and
# check-package finds nothing. Usage: check.sh FOLDER (for what it makes)
set -euo pipefail
top=$(cd "$(dirname "$0")/../.." && pwd)
buildroot=${BUILDROOT:?set it to the folder of a Buildroot 2026.02}
mkdir -p "$1"
work=$(cd "$1" && pwd)
export PATH=/usr/bin:$PATH

"$top/packaging/install.sh" python3-magic flake8 shellcheck file cpio unzip rsync bc patch wget graphviz

# The tree as a release ships it: with the tarball, and the tarball's hash.
tree=$work/tree
out=$work/out
rm -rf "$tree" "$out"
mkdir -p "$tree"
git -C "$top" archive HEAD:buildroot | tar -x -C "$tree"
"$top/packaging/dist.sh" "$tree"
rm -rf "$buildroot/dl/tillstick"

step() { echo "== $*"; "$@"; }
step make -s -C "$buildroot" BR2_EXTERNAL="$tree" O="$out" tillstick_posbox_defconfig
step make -s -C "$out" olddefconfig
grep -qx BR2_PACKAGE_TILLSTICK=y "$out/.config"
step make -s -C "$out" savedefconfig BR2_DEFCONFIG="$work/defconfig"
diff "$work/defconfig" "$tree/configs/tillstick_posbox_defconfig"
make -s --no-print-directory -C "$out" tillstick-show-info | python3 -c 'import json, sys; print(json.load(sys.stdin)["tillstick"]["version"])'
step make -s -C "$out" tillstick-show-depends
step make -s -C "$out" tillstick-graph-depends >/dev/null
step make -s -C "$out" printvars VARS='TILLSTICK_VERSION TILLSTICK_SITE% TILLSTICK_DEPENDENCIES TILLSTICK_CARGO_%'
# Each feature of the crate is an option that is on at first; each is built when it is on, and only then.
features=$(cargo metadata --manifest-path "$top/Cargo.toml" --no-deps --format-version 1 |
  python3 -c 'import json, sys; print(*sorted(set(json.load(sys.stdin)["packages"][0]["features"]) - {"default"}))')
built_with() {
  local opts expected="--bin tillstick --no-default-features --features \"$1\""
  opts=$(make -s --no-print-directory -C "$out" printvars VARS='TILLSTICK_CARGO_BUILD_OPTS TILLSTICK_CARGO_INSTALL_OPTS')
  [ "$opts" = "TILLSTICK_CARGO_BUILD_OPTS=$expected"$'\n'"TILLSTICK_CARGO_INSTALL_OPTS=$expected" ] || { echo "not with the features \"$1\", but: $opts" >&2; exit 1; }
}
switch() { sed -i "/BR2_PACKAGE_TILLSTICK_${1^^}[= ]/d" "$out/.config" && echo "BR2_PACKAGE_TILLSTICK_${1^^}=$2" >>"$out/.config"; }
cp "$out/.config" "$work/config"
built_with "$features"
for feature in $features; do switch "$feature" n; done
make -s -C "$out" olddefconfig
built_with ''
for feature in $features; do
  switch "$feature" y && make -s -C "$out" olddefconfig
  built_with "$feature"
  switch "$feature" n
done
cp "$work/config" "$out/.config"
make -s -C "$out" olddefconfig
# Downloading and unpacking a cargo package waits for Buildroot's own Rust and tar, although a tarball with VENDOR/ needs no
# Rust. Stand-ins, so that nothing is downloaded.
mkdir -p "$out/host/bin"
ln -sf "$(command -v tar)" "$out/host/bin/tar"
for package in host-rust-bin host-rustc host-tar; do
  folder=$(make -s --no-print-directory -C "$out" "$package-show-info" | sed -n 's/.*"stamp_dir": "\([^"]*\)".*/\1/p')
  mkdir -p "$out/$folder"
  for stamp in downloaded extracted patched configured built host_installed installed; do touch "$out/$folder/.stamp_$stamp"; done
done
step make -s -C "$out" tillstick-legal-info
grep -q '^"tillstick","0.1.0"' "$out/legal-info/manifest.csv"
ls "$out"/legal-info/licenses/tillstick-*
mapfile -t files < <(cd "$tree" && find . -type f -not -path './dist/*')
cd "$tree" && step /usr/bin/python3 "$buildroot/utils/check-package" -b "${files[@]}"
echo 'the tree is sound'
