#!/usr/bin/env bash
# Prepares what a build for another processor needs besides Rust, and prints the environment of that build, to be sourced:
# Debian's cross compiler (installed), libudev of that architecture (unpacked into CACHE), the linker, the runner.
# Usage: sysroot.sh TARGET CACHE
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
target=$1
mkdir -p "$2"
cache=$(cd "$2" && pwd)
# shellcheck source=names.sh
. "$here/names.sh" "$target"

"$here/../install.sh" "gcc-$gnu" "libc6-dev-$arch-cross" qemu-user-static pkg-config >&2

sysroot=$cache/sysroot/$arch
if [ ! -e "$sysroot/unpacked" ]; then
  rm -rf "$sysroot"
  mkdir -p "$sysroot/debs"
  # shellcheck source=apt.sh
  . "$here/apt.sh" "$cache"
  (cd "$sysroot/debs" && apt-get "${apt[@]}" download {libudev-dev,libudev1,libcap2}:"$arch" >&2)
  for deb in "$sysroot"/debs/*.deb; do dpkg -x "$deb" "$sysroot"; done
  rm -rf "$sysroot/debs"
  touch "$sysroot/unpacked"
fi

lower=${target//-/_}
upper=${lower^^}
flags="-L native=$sysroot/usr/lib/$gnu -C link-arg=-Wl,-rpath-link,$sysroot/lib/$gnu"
# The short instructions, which every ARMv7-A has and Debian's C compiler uses too: Rust's target would use the long ones.
if [ "$arch" = armhf ]; then flags+=' -C target-feature=+thumb-mode'; fi
cat <<ENV
export PKG_CONFIG_ALLOW_CROSS=1
export CC_$lower=$gnu-gcc AR_$lower=$gnu-ar CARGO_TARGET_${upper}_LINKER=$gnu-gcc
export PKG_CONFIG_LIBDIR_$lower=$sysroot/usr/lib/$gnu/pkgconfig PKG_CONFIG_SYSROOT_DIR_$lower=$sysroot
export CARGO_TARGET_${upper}_RUSTFLAGS='$flags'
export CARGO_TARGET_${upper}_RUNNER='qemu-${gnu%%-*}-static -L /usr/$gnu -E LD_LIBRARY_PATH=$sysroot/usr/lib/$gnu:$sysroot/lib/$gnu:/usr/$gnu/lib'
ENV
