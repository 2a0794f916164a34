#!/usr/bin/env bash
# The packages as somebody gets them: the program is built for ARM (32 and 64 bit) and this machine, does the main job under
# qemu-user as tests of the crate do, and the Debian packages are installed, upgraded, removed and purged in a chroot. What ships is the profile
# `release`; `emulated` is the same code after a build that is many times shorter. Usage: run.sh BUILD-FOLDER PROFILE, after `make native`
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
mkdir -p "$1"
build=$(realpath "$1")
profile=$2
cd "$top"
targets=(armv7-unknown-linux-gnueabihf aarch64-unknown-linux-gnu x86_64-unknown-linux-gnu)
# The newest symbol version of the C library that a box must have.
floor=2.34

here_is=$(rustc -vV | sed -n 's/^host: //p')
native=$build/debug/tillstick
rm -rf "$build/packages"
for target in "${targets[@]}"; do
  echo "== $target ($SECONDS s)"
  # For this machine it is built already, unless what ships is wanted; with `--target` cargo would build all of it again.
  program=$native
  if [ "$target" != "$here_is" ]; then
    packaging/cross/run.sh "$target" build --profile "$profile" --locked --bin tillstick
    program=$build/$target/${profile/#dev/debug}/tillstick
    "$here/crate.sh" "$target" "$profile"
  elif [ "$profile" != dev ] && [ "$profile" != emulated ]; then
    "${CARGO:-cargo}" build --profile "$profile" --locked --bin tillstick
    program=$build/$profile/tillstick
  fi
  needed=$(objdump -T "$program" 2>/dev/null | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -1 || true)
  [ -n "$needed" ] || needed=$(readelf -W --version-info "$program" | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -1)
  printf 'size %s bytes, needs %s\n' "$(stat -c %s "$program")" "$needed"
  [ "$(printf '%s\n' "GLIBC_$floor" "$needed" | sort -V | tail -1)" = "GLIBC_$floor" ] || { echo "$program needs $needed, more than $floor" >&2; exit 1; }
  "$here/job.sh" "$target" "$program" "$build/debug/examples/till"
  packaging/deb.sh "$target" "$program" "$native" "$build/packages"
  packaging/tarball.sh "$target" "$program" "$native" "$build/packages"
done
echo "== the chroot ($SECONDS s)"
"$here/chroot.sh" "$build/packages"/tillstick_*_amd64.deb "${CROSS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tillstick-cross}"
echo "the packages are sound ($SECONDS s)"
