#!/usr/bin/env bash
# Test binaries of the crate for another machine, under qemu-user: what depends on the width of a word, the order of bytes, or the system's
# structs. They share the build of the program. Usage: crate.sh TARGET PROFILE
set -euo pipefail
top=$(cd "$(dirname "$0")/../.." && pwd)
cd "$top"

# What cannot work there is skipped by name, and has its reason here.
skip=(
  # The error of a program that cannot be started is passed through memory that a `vfork` shares; the emulator makes it a `fork`.
  host::child::tests::what_cannot_be_started_or_fails_is_told
  # The most memory that the process had is the emulator's, with what it has translated.
  limits::memory_does_not_grow_with_the_text
)
case $1 in
  # 32 bits: sizes of files, inode numbers, dates and free space do not fit into a word, memory may run out.
  armv7-*) tests=(--lib --test files --test pack --test sqlite_dump --test sqlite_load --test stick_publish) ;;
  # 64 bits, as here: the crates have code of their own for it (zlib-rs, xxhash-rust, sha2, memchr).
  *) tests=(--test pack --test sqlite_dump) ;;
esac
skipping=(--exact)
for name in "${skip[@]}"; do skipping+=(--skip "$name"); done
packaging/cross/run.sh "$1" test --profile "$2" --locked "${tests[@]}" -- --quiet "${skipping[@]}"
