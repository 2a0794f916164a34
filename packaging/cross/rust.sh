#!/usr/bin/env bash
# Sees that there is a standard library for TARGET, and prints what must be exported to use it: nothing when rustup has the
# target or can download it; else Debian's own compiler and a standard library built from Debian's source, in CACHE.
# Usage: rust.sh TARGET CACHE
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
target=$1
mkdir -p "$2"
cache=$(cd "$2" && pwd)
# shellcheck source=names.sh
. "$here/names.sh" "$target"

has_target() { [ -n "$(find "$(rustc --print sysroot)/lib/rustlib/$target/lib" -name 'libstd-*' 2>/dev/null)" ]; }
[ -n "${TILLSTICK_CROSS_DEBIAN:-}" ] || has_target || timeout 300 rustup target add "$target" >&2 || true
if [ -z "${TILLSTICK_CROSS_DEBIAN:-}" ] && has_target; then exit 0; fi

echo "no standard library for $target from rustup: building one from Debian's source (about five minutes, once)" >&2
rust=$cache/rust
if [ ! -e "$rust/unpacked" ]; then
  rm -rf "$rust"
  mkdir -p "$rust/debs"
  # shellcheck source=apt.sh
  . "$here/apt.sh" "$cache"
  version=$(apt-cache "${apt[@]}" madison rustc-web | awk -F'|' '{ gsub(/ /, "", $2); print $2 }' | sort -V | tail -1)
  upstream=${version%%+*}
  minor=${upstream%.*}
  llvm=$(apt-cache "${apt[@]}" depends "rustc-web=$version" "libstd-rust-web-$minor=$version" | grep -o 'libllvm[0-9]*' | sort -u | head -1)
  (cd "$rust/debs" && apt-get "${apt[@]}" download {rustc-web,libstd-rust-web-dev,"libstd-rust-web-$minor",rust-web-src}="$version" "$llvm" libz3-4 >&2)
  for deb in "$rust"/debs/*.deb; do dpkg -x "$deb" "$rust"; done
  rm -rf "$rust/debs"
  touch "$rust/unpacked"
fi

cat >"$cache/rustc" <<RUSTC
#!/bin/sh
export LD_LIBRARY_PATH=$rust/usr/lib/x86_64-linux-gnu\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}
exec $rust/usr/bin/rustc "\$@"
RUSTC
# The library's own panic_abort must be built with panic=abort, as the compiler's own build does it.
cat >"$cache/rustc-for-std" <<RUSTC
#!/bin/bash
previous=
for argument in "\$@"; do
  [ "\$previous" = --crate-name ] && [ "\$argument" = panic_abort ] && exec $cache/rustc "\$@" -C panic=abort
  previous=\$argument
done
exec $cache/rustc "\$@"
RUSTC
chmod +x "$cache/rustc" "$cache/rustc-for-std"

library=$rust/usr/lib/rustlib/$target/lib
if [ ! -e "$library/ready" ]; then
  rm -rf "$library" "$cache/build-std"
  mkdir -p "$library" "$cache/build-std/src"
  echo 'fn main() {}' >"$cache/build-std/src/main.rs"
  printf '[package]\nname = "build-std"\nversion = "0.0.0"\nedition = "2021"\n[workspace]\n' >"$cache/build-std/Cargo.toml"
  environment=$("$here/sysroot.sh" "$target" "$cache")
  lower=${target//-/_}
  (
    eval "$environment"
    cd "$cache/build-std"
    export "CARGO_TARGET_${lower^^}_RUSTFLAGS=-Cembed-bitcode=yes --remap-path-prefix=$rust/usr/src=/rustc"
    RUSTC_BOOTSTRAP=1 RUSTC=$cache/rustc-for-std CARGO_TARGET_DIR=$cache/build-std/target \
      cargo build -q --release -Zbuild-std=std,panic_abort,panic_unwind,proc_macro --target "$target" >&2
  )
  cp "$cache/build-std/target/$target"/release/deps/lib*.rlib "$library/"
  rm -rf "$cache/build-std"
  touch "$library/ready"
fi
echo "export RUSTC=$cache/rustc"
