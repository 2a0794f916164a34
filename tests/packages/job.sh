#!/usr/bin/env bash
# The main job with a program for another machine, under qemu-user: dump, load, a backup, a check with a drill, a restore. Not onto a
# stick: the program that reads it is started anew, which qemu-user cannot do; `make test-image` does that. Usage: job.sh TARGET PROGRAM TILL
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
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

# A database gives the same text as the till's.
same() {
  tillstick -q dump "sqlite:$1" -o "$1.sql.gz"
  cmp <(zcat dumped.sql.gz) <(zcat "$1.sql.gz")
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
"$till" make till.db 20000 >/dev/null
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
same loaded.db
tillstick --config tillstick.toml -q backup
tillstick --config tillstick.toml -q check --drill
id=$(tillstick --config tillstick.toml --json list | python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["id"])')
tillstick --config tillstick.toml -q restore "$id" --into restored.db
same restored.db
# A file system with more blocks than 32 bits can count; it goes with the process.
mkdir large
sed "s#$work/\(state\|backups\)#$work/large/\1#" tillstick.toml >large.toml
# shellcheck disable=SC2016 # the shell in there expands it
as_root unshare -m sh -c 'mount -t tmpfs -o size=20T none large && exec "$@"' - "${runner[@]}" "$program" --config large.toml -q backup
echo 'dump, load, backup, check and restore: as they should be'
