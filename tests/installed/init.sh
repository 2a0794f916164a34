#!/bin/sh
# Loads the modules, moves to a root that has mounts of its own (the first one cannot be left), and becomes systemd.
export PATH=/bin:/sbin
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
for module in /modules/*.ko; do insmod "$module"; done
echo 0 > /sys/module/usb_storage/parameters/delay_use
mkdir /new
mount -t tmpfs -o mode=755 root /new
for folder in bin sbin lib lib64 usr etc srv var root scenario.sh; do cp -a "/$folder" /new/; done
mkdir /new/dev /new/proc /new/sys /new/run /new/tmp /new/media /new/mnt
umount /proc /sys
exec switch_root /new /lib/systemd/systemd
