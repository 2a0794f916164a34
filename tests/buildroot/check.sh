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

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
packages=(python3-magic flake8 shellcheck file cpio unzip rsync bc patch wget graphviz)
dpkg-query -W "${packages[@]}" >/dev/null 2>&1 || {
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
}

# The tree as a release ships it: with the tarball, and the tarball's hash.
tree=$work/tree
out=$work/out
rm -rf "$tree" "$out"
mkdir -p "$tree"
git -C "$top" archive HEAD:buildroot | tar -x -C "$tree"
tarball=$("$top/packaging/dist.sh" "$tree/dist")
"$top/packaging/hash.sh" "$tarball" "$tree/package/tillstick/tillstick.hash"
rm -rf "$buildroot/dl/tillstick"

step() { echo "== $*"; "$@"; }
step make -s -C "$buildroot" BR2_EXTERNAL="$tree" O="$out" tillstick_posbox_defconfig
step make -s -C "$out" olddefconfig
grep -qx BR2_PACKAGE_TILLSTICK=y "$out/.config"
step make -s -C "$out" savedefconfig BR2_DEFCONFIG="$work/defconfig"
diff "$work/defconfig" "$tree/configs/tillstick_posbox_defconfig"
step make -s -C "$out" tillstick-show-info | python3 -c 'import json, sys; json.load(sys.stdin)' 2>/dev/null || make -s -C "$out" tillstick-show-info | tail -n1
step make -s -C "$out" tillstick-show-depends
step make -s -C "$out" tillstick-graph-depends >/dev/null
step make -s -C "$out" printvars VARS='TILLSTICK_VERSION TILLSTICK_SITE% TILLSTICK_DEPENDENCIES TILLSTICK_CARGO_%'
step make -s -C "$out" tillstick-legal-info
grep -q '^"tillstick","0.1.0"' "$out/legal-info/manifest.csv"
ls "$out"/legal-info/licenses/tillstick-*
mapfile -t files < <(cd "$tree" && find . -type f -not -path './dist/*')
cd "$tree" && step /usr/bin/python3 "$buildroot/utils/check-package" -b "${files[@]}"
echo 'the tree is sound'
