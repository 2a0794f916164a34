# shellcheck shell=bash disable=SC2034
# The names that Debian has for a Rust target: $arch and $gnu. Sourced with the target as its argument.
case $1 in
  armv7-unknown-linux-gnueabihf) arch=armhf gnu=arm-linux-gnueabihf ;;
  aarch64-unknown-linux-gnu) arch=arm64 gnu=aarch64-linux-gnu ;;
  x86_64-unknown-linux-gnu) arch=amd64 gnu=x86_64-linux-gnu ;;
  *)
    echo "nothing is prepared for $1, only for armv7-unknown-linux-gnueabihf, aarch64-unknown-linux-gnu, x86_64-unknown-linux-gnu" >&2
    exit 2
    ;;
esac
