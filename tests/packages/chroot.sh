#!/usr/bin/env bash
# Installs, upgrades, removes and purges a Debian package in a chroot of Debian 12, and looks at what is there after each.
# Usage: chroot.sh PACKAGE CACHE
set -euo pipefail
package=$(realpath "$1")
mkdir -p "$2"
cache=$(cd "$2" && pwd)

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
"$(dirname "$0")/../../packaging/install.sh" mmdebstrap
base=$cache/chroot-amd64.tar
if [ ! -e "$base" ]; then
  as_root mmdebstrap --quiet --variant=minbase --architectures=amd64 --include=systemd,libudev1 bookworm "${base%.tar}.part.tar"
  as_root mv "${base%.tar}.part.tar" "$base"
fi

root=$(mktemp -d)
trap 'as_root rm -rf "$root"' EXIT
as_root tar -xf "$base" -C "$root" --exclude='./dev/*'
as_root mknod -m 666 "$root/dev/null" c 1 3
inside() { as_root chroot "$root" env PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive "$@"; }
must() { "$@" || { echo "not so: $*" >&2; exit 1; }; }
# A link in there may lead to what is only there for the chroot.
there() { must test -e "$root$1" -o -L "$root$1"; }
gone() { must test ! -e "$root$1" -a ! -L "$root$1"; }
before=$(cd "$root" && as_root find . -xdev -not -path './proc/*' -not -path './var/log/*' -not -path './var/lib/dpkg/*' -not -path './var/cache/*' | sort)

# A package of an earlier version, for the upgrade: the same with another number.
as_root mkdir "$root/packages"
as_root dpkg-deb -R "$package" "$root/earlier"
as_root sed -i 's/^Version: .*/Version: 0.0.9/' "$root/earlier/DEBIAN/control"
as_root dpkg-deb -b "$root/earlier" "$root/packages/earlier.deb" >/dev/null
as_root rm -rf "$root/earlier"
as_root cp "$package" "$root/packages/this.deb"

inside dpkg -i /packages/earlier.deb >/dev/null
there /usr/bin/tillstick
there /lib/systemd/system/tillstick.service
there /etc/systemd/system/multi-user.target.wants/tillstick.service
there /lib/udev/rules.d/70-tillstick.rules
there /usr/share/man/man1/tillstick.1.gz
must inside getent group tillstick >/dev/null
inside tillstick --version
# What the administrator wrote stays through an upgrade; so do backups through everything.
as_root sh -c "echo 'TILLSTICK_ARGS=-v' >'$root/etc/default/tillstick'; echo 'box = \"kasse-1\"' >'$root/etc/tillstick/tillstick.toml'"
as_root mkdir -p "$root/var/lib/tillstick/backups"
inside dpkg -i /packages/this.deb >/dev/null
must grep -q 'TILLSTICK_ARGS=-v' "$root/etc/default/tillstick"
there /etc/tillstick/tillstick.toml
must inside dpkg -V tillstick >/dev/null
inside dpkg --remove tillstick >/dev/null
gone /usr/bin/tillstick
there /etc/tillstick/tillstick.toml
inside dpkg --purge tillstick
gone /etc/tillstick
gone /etc/default/tillstick
there /var/lib/tillstick/backups
as_root rm -rf "$root/var/lib/tillstick" "$root/packages"
after=$(cd "$root" && as_root find . -xdev -not -path './proc/*' -not -path './var/log/*' -not -path './var/lib/dpkg/*' -not -path './var/cache/*' | sort)
left=$(comm -13 <(echo "$before") <(echo "$after") || true)
[ -z "$left" ] || { echo "left behind after the purge:" "$left" >&2; exit 1; }
echo 'installed, upgraded, removed and purged'
