#!/bin/sh
# The first process of the test machine: loads the modules, starts udev, then runs what comes over the control channel.
export PATH=/bin:/sbin HOME=/root LC_ALL=C
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs run /run
mount -t tmpfs tmp /tmp
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs shm /dev/shm
for module in /modules/*.ko; do
  insmod "$module" || echo "cannot load $module"
done
mount -t configfs configfs /sys/kernel/config
systemd-udevd --daemon
udevadm trigger --action=add
udevadm settle --timeout=60
echo 0 > /sys/module/usb_storage/parameters/delay_use

# One command a line, behind a tag; the answer is a line with the tag, the exit code and two lengths, and then the
# bytes of the two outputs: nothing that a command prints can be taken for an answer.
serve() {
  exec 3<>/dev/vport0p1
  echo "ready 0 0 0" >&3
  while read -r tag command <&3; do
    eval "$command" >/run/out 2>/run/err </dev/null
    code=$?
    echo "$tag $code $(stat -c %s /run/out) $(stat -c %s /run/err)" >&3
    cat /run/out /run/err >&3
  done
}
udevadm wait --timeout=60 /dev/vport0p1
while :; do
  serve
  echo "the control channel closed" > /dev/console
  sleep 1
done
