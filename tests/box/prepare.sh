#!/usr/bin/env bash
# Prepares the machine that the box tests boot: a Debian kernel, its modules, udev and busybox in one initramfs.
# Usage: prepare.sh CACHE. Nothing is installed but tools and libraries; kernel and udev are unpacked into CACHE alone.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
cache=$(cd "$1" && pwd)
libraries=/lib/x86_64-linux-gnu

tools=(qemu-system-x86 busybox-static kmod cpio binutils dosfstools mtools exfatprogs ntfs-3g fdisk libkmod2 libblkid1 libselinux1 libacl1 libcap2 libudev1 libgcc-s1 sqlite3)
rules=(50-udev-default 60-block 60-persistent-storage 60-evdev 60-input-id 60-persistent-input)
# What a till computer has for sticks, the file systems a stick can have, lights, the speaker, and a USB port whose
# other end is ours (dummy_hcd), for a TSE with its real USB ids.
modules=(xhci-pci usb-storage uas sd_mod sr_mod sg vfat exfat ext4 nls_cp437 nls_iso8859-1 nls_ascii nls_utf8 loop
  uinput evdev pcspkr input-leds ledtrig-timer ledtrig-oneshot virtio_pci virtio_console virtio_blk virtio_scsi
  dummy_hcd libcomposite usb_f_mass_storage)

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

# Unpacks the newest kernel and udev of this Debian once; what is in the cache stays until somebody removes it.
unpack() {
  [ -e "$cache/unpacked" ] && return
  local kernel
  as_root apt-get update -qq
  kernel=$(apt-cache depends linux-image-amd64 | awk '/Depends: linux-image-/ { print $2; exit }')
  echo "unpacking $kernel and udev into $cache"
  rm -rf "$cache/debs" "$cache/root"
  mkdir -p "$cache/debs" "$cache/root"
  # apt's own user may not write here; root then fetches itself, and apt warns of it.
  (cd "$cache/debs" && apt-get download -qq -o APT::Sandbox::User=root "$kernel" udev)
  for deb in "$cache"/debs/*.deb; do dpkg -x "$deb" "$cache/root"; done
  cp "$cache"/root/boot/vmlinuz-* "$cache/kernel"
  depmod -b "$cache/root" "$(ls "$cache/root/lib/modules")"
  rm -rf "$cache/debs"
  touch "$cache/unpacked"
}

# The modules in the order in which they are loaded.
module_files() {
  local version
  version=$(ls "$cache/root/lib/modules")
  modprobe -d "$cache/root" -S "$version" --show-depends -a "${modules[@]}" | awk '$1 == "insmod" && !seen[$2]++ { print $2 }'
}

pack() {
  local tree="$cache/tree" number=100 file
  rm -rf "$tree"
  mkdir -p "$tree"/{bin,sbin,dev,proc,sys,run,tmp,media,mnt,etc,root,payload,modules,lib64,lib/udev/rules.d}
  cp /bin/busybox "$tree/bin/busybox"
  for file in sh mount insmod; do ln -s busybox "$tree/bin/$file"; done
  for file in $(module_files); do
    cp "$file" "$tree/modules/$number-${file##*/}"
    number=$((number + 1))
  done
  cp "$cache/root/bin/udevadm" "$tree/bin/udevadm"
  ln -s /bin/udevadm "$tree/sbin/systemd-udevd"
  # Beside udev's libraries, those of a Rust program that uses libudev.
  for file in $(ldd "$tree/bin/udevadm" | awk '$2 == "=>" { print $3 }') "$libraries"/lib{udev.so.1,gcc_s.so.1,m.so.6}; do
    cp -L "$file" "$tree/lib/"
  done
  cp -L /lib64/ld-linux-x86-64.so.2 "$tree/lib64/"
  for file in "${rules[@]}"; do cp "$cache/root/lib/udev/rules.d/$file.rules" "$tree/lib/udev/rules.d/"; done
  cp "$cache/root/lib/udev/scsi_id" "$tree/lib/udev/"
  echo 'root::0:0:root:/root:/bin/sh' > "$tree/etc/passwd"
  # The groups that udev's rules name.
  printf '%s\n' root tty disk lp dialout cdrom tape audio video input kmem kvm render sgx |
    awk '{ print $0 ":x:" NR - 1 ":" }' > "$tree/etc/group"
  cp "$here/init.sh" "$tree/init"
  chmod 755 "$tree/init"
  # Sorted and without times, so that the same content is the same file and an old snapshot still fits.
  find "$tree" -exec touch -h -d @0 {} +
  (cd "$tree" && find . | LC_ALL=C sort | cpio --quiet --reproducible -o -H newc -R 0:0) > "$cache/initramfs.new"
  rm -rf "$tree"
  if cmp -s "$cache/initramfs.new" "$cache/initramfs"; then rm "$cache/initramfs.new"; else mv "$cache/initramfs.new" "$cache/initramfs"; fi
}

"$here/../../packaging/install.sh" "${tools[@]}"
unpack
pack
