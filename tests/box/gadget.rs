//! The other end of a USB port of the machine: a mass storage device that can be what no emulated one can, such as a TSE
//! with its real USB ids, a card reader without a card, or a CD drive.

use crate::machine::Machine;

/// What the device says of itself.
pub struct Gadget<'a> {
    pub vendor_id: &'a str,
    pub model_id: &'a str,
    pub vendor: &'a str,
    /// What is done in the folder of its medium before it is plugged in.
    pub medium: &'a str,
}

/// Where it is made.
const PORT: &str = "/sys/kernel/config/usb_gadget/port";
const PLUG: &str = "ls /sys/class/udc > /sys/kernel/config/usb_gadget/port/UDC";
const PULL: &str = "echo > /sys/kernel/config/usb_gadget/port/UDC";

impl Gadget<'_> {
    /// Makes it, and plugs it in.
    #[track_caller]
    pub fn plug(&self, machine: &mut Machine) {
        let Self { vendor_id, model_id, vendor, medium } = self;
        machine.guest().must(&format!(
            "mkdir {PORT} && cd {PORT} && echo 0x{vendor_id} > idVendor && echo 0x{model_id} > idProduct && \
             mkdir -p strings/0x409 configs/c.1 functions/mass_storage.0 && echo \"{vendor}\" > strings/0x409/manufacturer && \
             cd functions/mass_storage.0/lun.0 && echo 1 > removable && {medium} && cd {PORT} && \
             ln -s functions/mass_storage.0 configs/c.1; cd /"
        ));
        plug_again(machine);
    }
}

#[track_caller]
pub fn plug_again(machine: &mut Machine) {
    machine.guest().must(PLUG);
}

#[track_caller]
pub fn pull(machine: &mut Machine) {
    machine.guest().must(PULL);
}

/// Puts a card into the reader, or takes it out.
#[track_caller]
pub fn insert(machine: &mut Machine, card: Option<&str>) {
    let file = format!("{PORT}/functions/mass_storage.0/lun.0/file");
    // The door stays locked as long as udev looks at what the last writer left.
    machine.guest().must(&format!("until echo {} > {file}; do usleep 50000; done", card.unwrap_or_default()));
}

/// The node of the gadget's disk, when udev knows it.
#[track_caller]
pub fn node(machine: &mut Machine) -> String {
    let found =
        "find /sys/devices/platform/dummy_hcd.0 -path '*/block/s[dr]*' -maxdepth 14 -name 's[dr][a-z0-9]' | head -n 1";
    machine.guest().must(&format!("while [ -z \"$({found})\" ]; do sleep 0.1; done; udevadm settle"));
    let path = machine.guest().must(found);
    format!("/dev/{}", path.trim().rsplit('/').next().unwrap())
}
