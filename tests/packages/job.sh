#!/usr/bin/env bash
# The main job with a program for another machine, under qemu-user: dump, load, a backup onto a stick, a check with a drill, a
# restore. Usage: job.sh TARGET PROGRAM TILL
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
target=$1
program=$(realpath "$2")
till=$(realpath "$3")
export PATH=$PATH:/usr/sbin:/sbin
cache=${CROSS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tillstick-cross}
runner=()
if [ "$target" != "$(rustc -vV | sed -n 's/^host: //p')" ]; then
  eval "$("$here/../../packaging/cross/sysroot.sh" "$target" "$cache")"
  lower=${target//-/_}
  variable=CARGO_TARGET_${lower^^}_RUNNER
  read -ra runner <<<"${!variable}"
fi
tillstick() { "${runner[@]}" "$program" "$@"; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
"$till" make till.db 20000 >/dev/null
truncate -s 48M stick.img
mkfs.vfat -F 32 -s 1 stick.img >/dev/null
cat >tillstick.toml <<END
customer = "104711"
box = "kasse-1"
time_zone = "Europe/Berlin"
mode = "X"
state = "$work/state"
[primary]
dir = "$work/backups"
min_free = "1MB"
[sources.kasse]
type = "sqlite"
path = "$work/till.db"
END
tillstick --version
tillstick -q dump "sqlite:till.db" -o dumped.sql.gz
tillstick -q load dumped.sql.gz sqlite:loaded.db
[ "$(sqlite3 till.db .dump | sha256sum)" = "$(sqlite3 loaded.db .dump | sha256sum)" ] || { echo 'the loaded database differs' >&2; exit 1; }
tillstick --config tillstick.toml -q backup --stick stick.img
tillstick --config tillstick.toml -q check --stick stick.img --drill
mcopy -i stick.img ::/104711_kasse.sql.gz .
[ "$(zcat 104711_kasse.sql.gz | sha256sum)" = "$(zcat dumped.sql.gz | sha256sum)" ] || { echo 'what lies on the stick differs' >&2; exit 1; }
id=$(tillstick --config tillstick.toml --json list | python3 -c 'import json, sys; print(json.load(sys.stdin)["backups"][0]["id"])')
tillstick --config tillstick.toml -q restore "$id" --into restored.db
[ "$(sqlite3 till.db .dump | sha256sum)" = "$(sqlite3 restored.db .dump | sha256sum)" ] || { echo 'the restored database differs' >&2; exit 1; }
echo 'dump, load, backup, check and restore: as they should be'
