#!/usr/bin/env bash
# The installed unit on a machine that systemd has booted: packaging/systemd in an emulated machine with a stick in its
# port. Usage: run.sh PROGRAM CACHE, where CACHE is what tests/box/prepare.sh has filled. The machine's own report is
# checked against what must be true; logs stay in CACHE/installed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
program=$1
cache=$(cd "$2" && pwd)
work=$cache/installed
tree=$work/tree
export PATH=$PATH:/usr/sbin:/sbin

# The service manager of this Debian, unpacked and not installed.
unpack() {
  [ -e "$cache/systemd/unpacked" ] && return
  rm -rf "$cache/systemd"
  mkdir -p "$cache/systemd/debs"
  (cd "$cache/systemd/debs" && apt-get download -qq -o APT::Sandbox::User=root systemd libsystemd-shared sqlite3)
  for deb in "$cache"/systemd/debs/*.deb; do dpkg -x "$deb" "$cache/systemd"; done
  rm -rf "$cache/systemd/debs"
  touch "$cache/systemd/unpacked"
}

# Copies the libraries that the programs of the tree need.
libraries() {
  local file
  # ldd fails at scripts and at what is linked to nothing.
  { find "$tree/bin" "$tree/sbin" "$tree/usr/bin" "$tree/lib/systemd" -type f -perm /111 -print0 |
    xargs -0 -n1 env LD_LIBRARY_PATH="$cache/systemd/usr/lib/x86_64-linux-gnu/systemd" ldd 2>/dev/null || true; } |
    awk '$2 == "=>" && $3 ~ /^\// { print $3 }' | sort -u |
    while read -r file; do cp -nL "$file" "$tree/lib/"; done
}

plant() {
  rm -rf "$tree"
  mkdir -p "$tree"
  (cd "$tree" && cpio --quiet -id < "$cache/initramfs")
  mkdir -p "$tree"/{usr/bin,usr/lib,etc/systemd/system/multi-user.target.wants,etc/tillstick,srv/till,var/lib,var/backups,var/log,usr/lib/sysusers.d}
  cp -a "$cache"/systemd/lib/systemd "$tree/lib/"
  cp -a "$cache"/systemd/bin/{systemctl,journalctl,systemd-sysusers,systemd-tmpfiles} "$tree/bin/"
  cp -a "$cache"/systemd/usr/bin/sqlite3 "$tree/usr/bin/"
  rm -rf "$tree"/lib/systemd/{system-generators,user,boot}
  # With the folders of what is wanted: without them udev is there and never started.
  cp -a "$cache"/root/lib/systemd/system/. "$tree/lib/systemd/system/"
  ln -sf /bin/udevadm "$tree/lib/systemd/systemd-udevd"
  strip -o "$tree/usr/bin/tillstick" "$program"
  cp "$top"/packaging/systemd/tillstick.service "$tree/etc/systemd/system/"
  cp "$top"/packaging/systemd/tillstick.sysusers "$tree/usr/lib/sysusers.d/tillstick.conf"
  for unit in tillstick scenario; do
    ln -s "/etc/systemd/system/$unit.service" "$tree/etc/systemd/system/multi-user.target.wants/"
  done
  cp "$here/guest.sh" "$tree/scenario.sh"
  cp "$here/init.sh" "$tree/init"
  chmod 755 "$tree/init"
  cat > "$tree/etc/systemd/system/scenario.service" <<'END'
[Unit]
After=tillstick.service
[Service]
ExecStart=/bin/sh /scenario.sh
StandardOutput=file:/dev/ttyS1
StandardError=file:/dev/ttyS1
END
  cat > "$tree/etc/tillstick/tillstick.toml" <<'END'
customer = "104711"
box = "kasse-1"
lang = "en"
time_zone = "Europe/Berlin"
state = "/var/lib/tillstick"
[agent]
group = "tillstick"
[primary]
dir = "/var/backups"
min_free = "1MB"
[sticks]
after = "keep"
[sources.kasse]
type = "sqlite"
path = "/srv/till/kasse.db"
END
  sqlite3 "$tree/srv/till/kasse.db" 'PRAGMA journal_mode=WAL; CREATE TABLE receipt(id INTEGER PRIMARY KEY, total); INSERT INTO receipt(total) VALUES (119), (238)' >/dev/null
  printf '%s\n' root:x:0:0:root:/root:/bin/sh cashier:x:1000:1000::/:/bin/sh nobody:x:65534:65534::/:/bin/sh > "$tree/etc/passwd"
  printf '%s\n' cashier:x:1000: nogroup:x:65534: >> "$tree/etc/group"
  # A member by name, as an integrator makes one; systemd-sysusers makes the group itself.
  echo 'm cashier tillstick' >> "$tree/usr/lib/sysusers.d/tillstick.conf"
  libraries
  (cd "$tree" && find . | cpio --quiet -o -H newc -R 0:0) > "$work/initramfs"
  rm -rf "$tree"
}

boot() {
  # `no_timer_check`: on a busy host the timer of the machine is late, which is no fault of it.
  # In software, which works everywhere; BOX_ACCEL=kvm where the processor lends itself.
  local accelerator=${BOX_ACCEL:-tcg} cpu=max
  [ "$accelerator" = kvm ] && cpu=host
  rm -f "$work/report"
  truncate -s 0 "$work/stick.img"
  truncate -s 64M "$work/stick.img"
  mkfs.vfat -F 32 -s 1 -n KASSE "$work/stick.img" >/dev/null
  timeout "${PATIENCE:-900}" qemu-system-x86_64 -machine "q35,accel=$accelerator" -cpu "$cpu" -m 1G -nodefaults -display none -no-reboot \
    -kernel "$cache/kernel" -initrd "$work/initramfs" -serial "file:$work/console" -serial "file:$work/report" \
    -append 'console=ttyS0 panic=-1 no_timer_check quiet systemd.mask=getty.target systemd.log_target=console systemd.show_status=false'"${SETTINGS:+ tillstick.settings=1}" \
    -device qemu-xhci -drive "if=none,id=stick,file=$work/stick.img,format=raw" \
    -device usb-storage,drive=stick,serial=SERIAL-1,removable=true
}

mkdir -p "$work"
unpack
plant
boot || { echo "the machine did not end by itself; its console: $work/console"; exit 1; }
# A serial line ends its lines in its own way.
sed -i 's/\r//g' "$work/report"
cat "$work/report"
if ! grep -q '^end$' "$work/report" || grep -q '^FAILED' "$work/report"; then
  echo "failed; the machine's console: $work/console"
  exit 1
fi
