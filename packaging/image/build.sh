#!/usr/bin/env bash
# Makes a firmware image of a demo box out of Debian's packages for ARM: U-Boot starts a kernel and a read-only root with the .deb
# in it; what must last lies on a partition of its own. Usage: build.sh PACKAGE CACHE OUT DATABASE
#   PACKAGE  the .deb for armhf
#   CACHE    where what was downloaded stays
#   DATABASE the database of the till in it
#   OUT      the folder of disk.img, and of box.dtb: the machine with a light on it
# It needs root, for the owners of files and because ARM programs run in the root while packages are installed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
package=$(realpath "$1")
mkdir -p "$2" "$3"
cache=$(cd "$2" && pwd)
out=$(cd "$3" && pwd)
till=$(realpath "$4")
overlay=$here/../../buildroot/board/posbox/rootfs-overlay
export PATH=$PATH:/usr/sbin:/sbin
[ "$(id -u)" = 0 ] || { echo 'making an image needs root' >&2; exit 1; }

# For sticks and the light; and what the root lies on.
modules=(virtio_pci virtio_blk ext4 xhci_pci usb_storage uas sd_mod vfat nls_ascii nls_cp437 nls_utf8 leds_gpio ledtrig_timer evdev uinput)
early=(virtio_pci virtio_blk ext4)

# Lets the kernel start ARM programs, and puts things back at the end.
with_arm() {
  local binfmt=/proc/sys/fs/binfmt_misc
  [ -e $binfmt/register ] || mount -t binfmt_misc none $binfmt
  [ -e $binfmt/qemu-arm ] && return
  cat /usr/lib/binfmt.d/qemu-arm.conf >$binfmt/register
  trap 'echo -1 >/proc/sys/fs/binfmt_misc/qemu-arm; rm -rf "$work"' EXIT
}

download() {
  # shellcheck source=../cross/apt.sh
  . "$here/../cross/apt.sh" "$cache"
  if [ ! -e "$cache/base.tar" ]; then
    echo 'unpacking Debian for ARM'
    sed '/^Architectures:/d' "$cache/apt/sources/main.sources" |
      mmdebstrap --quiet --variant=minbase --architectures=armhf --include=systemd-sysv,udev,libudev1,kmod bookworm "$cache/base.part.tar" -
    mv "$cache/base.part.tar" "$cache/base.tar"
  fi
  if [ ! -e "$cache/kernel/unpacked" ]; then
    echo 'unpacking the kernel'
    rm -rf "$cache/kernel"
    mkdir -p "$cache/kernel/debs"
    local image
    image=$(apt-cache "${apt[@]}" depends linux-image-armmp:armhf | sed -n 's/.*Depends: \(linux-image-[^:]*\).*/\1/p' | head -1)
    (cd "$cache/kernel/debs" && apt-get "${apt[@]}" download "$image:armhf" busybox-static:armhf)
    for deb in "$cache"/kernel/debs/*.deb; do dpkg -x "$deb" "$cache/kernel"; done
    rm -rf "$cache/kernel/debs"
    depmod -b "$cache/kernel" "$(ls "$cache/kernel/lib/modules")"
    touch "$cache/kernel/unpacked"
  fi
  version=$(ls "$cache/kernel/lib/modules")
}

# The files of modules and of what they need, in the order in which they are loaded.
module_files() {
  modprobe -d "$cache/kernel" -S "$version" --show-depends -a "$@" | awk '$1 == "insmod" && !seen[$2]++ { print $2 }'
}

make_root() {
  mkdir "$work/root"
  tar -xf "$cache/base.tar" -C "$work/root" --exclude='./dev/*'
  cp "$package" "$work/root/tillstick.deb"
  chroot "$work/root" dpkg -i /tillstick.deb >/dev/null
  rm "$work/root/tillstick.deb"
  cp -r "$overlay/etc/tillstick" "$work/root/etc/"
  echo posbox >"$work/root/etc/hostname"
  : >"$work/root/etc/machine-id"
  cat >"$work/root/etc/fstab" <<'END'
# The root is read-only, so there is nothing to check; what must last lies on the state partition.
/dev/vda2 / ext4 ro 0 0
/dev/vda3 /state ext4 noatime 0 2
/state/tillstick /var/lib/tillstick none bind 0 0
/state/till /var/lib/till none bind 0 0
tmpfs /tmp tmpfs mode=1777 0 0
tmpfs /var/tmp tmpfs mode=1777 0 0
tmpfs /var/log tmpfs mode=0755 0 0
tmpfs /media tmpfs mode=0755,nosuid,nodev,size=64k 0 0
END
  mkdir -p "$work/root"/{state,var/lib/tillstick,var/lib/till}
  local file
  for file in $(module_files "${modules[@]}"); do
    install -D -m 0644 "$file" "$work/root/lib/modules/$version/${file#"$cache/kernel/lib/modules/$version/"}"
  done
  cp "$cache/kernel/lib/modules/$version"/modules.{order,builtin,builtin.modinfo} "$work/root/lib/modules/$version/"
  depmod -b "$work/root" "$version"
  printf '%s\n' leds_gpio ledtrig_timer evdev uinput >"$work/root/etc/modules-load.d/box.conf"
  make_beeper
  trim_boot
}

# Debian's kernel has no driver for a beeper that qemu's machine could have: a program stands in for one.
make_beeper() {
  install -D -m 0755 "$here/beeper.pl" "$work/root/usr/lib/posbox/beeper"
  cat >"$work/root/etc/systemd/system/beeper.service" <<'END'
[Unit]
Description=A beeper that says what it sounds
After=systemd-modules-load.service
Before=tillstick.service

[Service]
Type=forking
ExecStart=/usr/lib/posbox/beeper

[Install]
WantedBy=multi-user.target
END
  mkdir -p "$work/root/etc/systemd/system/multi-user.target.wants"
  ln -s ../beeper.service "$work/root/etc/systemd/system/multi-user.target.wants/beeper.service"
}

# An emulated processor needs most of the boot for what this box has no use for: a login, jobs of apt, records of who logged in, kernel
# interfaces for debugging. And it may be so slow that systemd would give up what is still on its way.
trim_boot() {
  local root=$work/root unit
  mkdir -p "$root"/etc/systemd/{system,journald}.conf.d
  ln -sf /lib/systemd/system/multi-user.target "$root/etc/systemd/system/default.target"
  for unit in getty.target {apt-daily,apt-daily-upgrade,dpkg-db-backup,fstrim,e2scrub_all,systemd-tmpfiles-clean}.timer \
    systemd-{logind,user-sessions,journal-flush,fsckd,random-seed,update-utmp,update-utmp-runlevel,machine-id-commit,binfmt,remount-fs,pcrphase,pcrphase-sysinit}.service \
    systemd-{fsckd,initctl}.socket systemd-ask-password-{console,wall}.path e2scrub_reap.service \
    sys-{kernel-debug,kernel-tracing,kernel-config,fs-fuse-connections}.mount dev-{hugepages,mqueue}.mount proc-sys-fs-binfmt_misc.automount; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
  done
  printf '[Manager]\nDefaultDeviceTimeoutSec=20min\nDefaultTimeoutStartSec=20min\n' >"$root/etc/systemd/system.conf.d/box.conf"
  printf '[Journal]\nStorage=volatile\nForwardToConsole=yes\n' >"$root/etc/systemd/journald.conf.d/box.conf"
}

make_initrd() {
  local tree=$work/initrd number=10 file
  mkdir -p "$tree"/{bin,dev,proc,sys,root,modules}
  cp "$cache/kernel/bin/busybox" "$tree/bin/"
  for file in $(module_files "${early[@]}"); do
    cp "$file" "$tree/modules/$number-${file##*/}"
    number=$((number + 1))
  done
  cat >"$tree/init" <<'END'
#!/bin/busybox sh
/bin/busybox mount -t devtmpfs none /dev
for module in /modules/*; do /bin/busybox insmod "$module"; done
until [ -b /dev/vda2 ]; do /bin/busybox usleep 50000; done
/bin/busybox mount -t ext4 -o ro /dev/vda2 /root
/bin/busybox mount --move /dev /root/dev
exec /bin/busybox switch_root /root /sbin/init
END
  chmod 755 "$tree/init"
  (cd "$tree" && find . | cpio --quiet -o -H newc | gzip -n) >"$work/initrd.gz"
}

make_disk() {
  mkdir -p "$work"/state/{tillstick,till} "$work/extlinux"
  chmod 0700 "$work/state/tillstick"
  cp "$till" "$work/state/till/kasse.db"
  cat >"$work/extlinux/extlinux.conf" <<'END'
default posbox

label posbox
  kernel /zImage
  initrd /initrd.gz
  append console=ttyAMA0 ro quiet panic=-1 usb_storage.delay_use=0
END
  truncate -s 64M "$work/boot.img"
  mkfs.vfat -n BOOT "$work/boot.img" >/dev/null
  mcopy -i "$work/boot.img" "$cache"/kernel/boot/vmlinuz-* ::/zImage
  mcopy -i "$work/boot.img" -s "$work/initrd.gz" "$work/extlinux" ::/
  mkfs.ext4 -q -F -L root -d "$work/root" "$work/root.img" 512M
  mkfs.ext4 -q -F -L state -d "$work/state" "$work/state.img" 128M
  truncate -s $((1 + 64 + 512 + 128 + 1))M "$out/disk.img.part"
  sfdisk -q "$out/disk.img.part" <<'END'
label: dos
start=1MiB, size=64MiB, type=c, bootable
start=65MiB, size=512MiB, type=83
start=577MiB, size=128MiB, type=83
END
  local at=1 part
  for part in boot:64 root:512 state:128; do
    dd if="$work/${part%:*}.img" of="$out/disk.img.part" bs=1M seek=$at conv=notrunc,sparse status=none
    at=$((at + ${part#*:}))
  done
  mv "$out/disk.img.part" "$out/disk.img"
}

# The machine that qemu emulates (with two processors, as the test starts it) has no light: it is put on a free pin of its GPIO.
make_machine() {
  qemu-system-arm -machine virt,highmem=off,dumpdtb="$work/virt.dtb" -cpu cortex-a15 -smp 2 -m 512M -display none
  dtc -q -I dtb -O dts "$work/virt.dtb" >"$work/virt.dts"
  local gpio
  gpio=$(awk '/pl061@/ { inside = 1 } inside && /phandle/ { gsub(/[^0-9a-fx]/, "", $3); print $3; exit }' "$work/virt.dts")
  cat >>"$work/virt.dts" <<END
/ {
	leds {
		compatible = "gpio-leds";
		tillstick {
			label = "tillstick";
			gpios = <$gpio 5 0>;
		};
	};
};
END
  dtc -q -I dts -O dtb -o "$out/box.dtb" "$work/virt.dts"
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$here/../install.sh" mmdebstrap arch-test qemu-user-static qemu-system-arm u-boot-qemu device-tree-compiler dosfstools mtools e2fsprogs fdisk kmod cpio sqlite3
with_arm
download
make_root
make_initrd
make_disk
make_machine
echo "$out/disk.img"
