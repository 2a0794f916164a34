#!/usr/bin/env bash
# Makes the Debian package of a program that was built: deb.sh TARGET PROGRAM NATIVE OUT
#   TARGET   Rust's name of the machine that it is for
#   PROGRAM  the program for that machine
#   NATIVE   the same program for this machine, which writes the manual page, the completions and the example
#   OUT      the folder of the package, whose path is printed
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$here/..
target=$1
program=$(realpath "$2")
native=$(realpath "$3")
mkdir -p "$4"
out=$(cd "$4" && pwd)
# shellcheck source=cross/names.sh
. "$here/cross/names.sh" "$target"

"$here/install.sh" debhelper dpkg-dev

version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$top/Cargo.toml" | head -1)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
stage=$scratch/tillstick-$version
mkdir -p "$stage"
cp -r "$here/debian" "$stage/debian"
cp "$here/systemd/tillstick.service" "$stage/debian/tillstick.service"
cp "$here/systemd/tillstick.sysusers" "$stage/debian/tillstick.sysusers"
cp "$top/udev-rules/70-tillstick.rules" "$stage/debian/tillstick.udev"
mkdir "$stage/docs"
cp "$top/README.md" "$stage/"
cp "$top"/docs/*.md "$stage/docs/"
"${gnu}-strip" -o "$stage/tillstick" "$program" 2>/dev/null || cp "$program" "$stage/tillstick"
"$here/pages.sh" "$target" "$native" "$stage"
# The date of the commit, so that the same commit gives the same package.
SOURCE_DATE_EPOCH=$(git -C "$top" log -1 --format=%ct)
export SOURCE_DATE_EPOCH
printf 'tillstick (%s) stable; urgency=medium\n\n  * See CHANGELOG.md.\n\n -- The tillstick authors <tillstick@invalid>  %s\n' \
  "$version" "$(date -R -u -d "@$SOURCE_DATE_EPOCH")" >"$stage/debian/changelog"
(cd "$stage" && dpkg-buildpackage --build=binary --no-sign --host-arch "$arch" -d >"$out/build-$arch.log" 2>&1) || {
  tail -30 "$out/build-$arch.log" >&2
  exit 1
}
mv "$scratch/tillstick_${version}_$arch.deb" "$out/"
echo "$out/tillstick_${version}_$arch.deb"
