# shellcheck shell=bash disable=SC2034
# The names that Debian has for a Rust target: $arch and $gnu. Sourced with the target as its argument.
case $1 in
  armv7-unknown-linux-gnueabihf) arch=armhf gnu=arm-linux-gnueabihf ;;
  aarch64-unknown-linux-gnu) arch=arm64 gnu=aarch64-linux-gnu ;;
  *)
    echo "no cross build for $1: armv7-unknown-linux-gnueabihf, aarch64-unknown-linux-gnu or this machine's own target" >&2
    exit 2
    ;;
esac
