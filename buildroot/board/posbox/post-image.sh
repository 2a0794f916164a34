#!/bin/sh
# Puts what U-Boot reads beside the kernel, for genimage; and a script that
# starts the image in an emulator.
set -eu

board_dir=$(dirname "$0")

install -D -m 0644 "$board_dir/extlinux.conf" "$BINARIES_DIR/extlinux/extlinux.conf"

cat > "$BINARIES_DIR/start-qemu.sh" <<'END'
#!/bin/sh
# Starts the box; a stick is plugged in at the monitor (ctrl-A c):
#   drive_add 0 if=none,id=stick,file=stick.img,format=raw
#   device_add usb-storage,drive=stick,bus=xhci.0
cd "$(dirname "$0")" || exit 1
exec qemu-system-arm -M virt,highmem=off -cpu cortex-a15 -m 256 -nographic \
	-bios u-boot.bin \
	-drive file=disk.img,if=none,format=raw,id=disk \
	-device virtio-blk-pci,drive=disk -device qemu-xhci,id=xhci "$@"
END
chmod +x "$BINARIES_DIR/start-qemu.sh"
