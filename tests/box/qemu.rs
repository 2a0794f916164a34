//! One qemu: the machine that it is, and how it is started.

use std::fs;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::PATIENCE;
use crate::folder::Folder;
use crate::guest::Guest;
use crate::qmp::Qmp;

pub const PROGRAM: &str = "qemu-system-x86_64";

/// How the guest's instructions are run.
#[derive(Clone, Copy)]
pub enum Accelerator {
    Kvm,
    /// In software, about ten times slower, everywhere.
    Tcg,
}

impl Accelerator {
    pub fn name(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        }
    }

    /// The machine. It must be the same for a snapshot and for those that start from it.
    ///
    /// Its lights are those of a PS/2 keyboard: devices of the kernel's LED class with its triggers, and qemu writes into
    /// a log what the keyboard is told. Its speaker writes into a file what would be heard.
    pub fn command_line(self) -> Vec<String> {
        let cpu = match self {
            Self::Kvm => "host",
            Self::Tcg => "max,la57=off",
        };
        let line = format!(
            "-accel {} -cpu {cpu} -machine q35,pcspk-audiodev=speaker -audiodev wav,id=speaker,path=beep.wav -m 512M \
             -nodefaults -no-user-config -display none -no-reboot -kernel kernel -initrd initramfs -serial file:serial.log \
             -device virtio-serial-pci -chardev socket,id=control,path=control,server=on,wait=off \
             -device virtserialport,chardev=control,name=control -qmp unix:qmp,server=on,wait=off \
             -device qemu-xhci,id=usb,addr=0x10,p2=12,p3=12 -device virtio-scsi-pci,id=scsi \
             -drive if=none,id=payload,file=payload,format=raw,readonly=on -device virtio-blk-pci,drive=payload \
             -trace ps2_set_ledstate -trace audio_timer_start -trace audio_timer_stop -msg timestamp=on -D signals.log",
            self.name()
        );
        let mut words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        words.extend([
            "-append".to_owned(),
            "console=ttyS0 panic=-1 quiet loglevel=4 mitigations=off nowatchdog lsm=landlock audit=0 random.trust_cpu=on".to_owned(),
        ]);
        words
    }
}

/// A running qemu in a folder of its own; killed when it is dropped.
pub struct Qemu {
    child: Child,
    pub qmp: Qmp,
    pub guest: Guest,
}

impl Qemu {
    /// Starts to boot, or, with the state of a machine that has booted, waits to be told where that is.
    ///
    /// Fails when qemu ends at once, as it does with an accelerator that it cannot use.
    pub fn start(accelerator: Accelerator, folder: &Folder, more: &[&str]) -> Result<Self, String> {
        // It shall not outlive a harness that is killed.
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", PROGRAM])
            .args(accelerator.command_line())
            .args(more)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(folder.log("qemu.log"))
            .stderr(folder.log("qemu-errors.log"))
            .spawn()
            .unwrap_or_else(|error| panic!("setpriv is needed: {error}"));
        let control = connect(&mut child, folder, "control")?;
        let qmp = connect(&mut child, folder, "qmp")?;
        let qmp = Qmp::new(qmp, folder.log("qmp.log"))?;
        let guest = Guest::new(control, folder.log("guest.log"));
        Ok(Self { child, qmp, guest })
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// qemu makes its sockets some time after it was started.
fn connect(child: &mut Child, folder: &Folder, name: &str) -> Result<UnixStream, String> {
    let begun = Instant::now();
    loop {
        match UnixStream::connect(folder.socket(name)) {
            Ok(stream) => return Ok(stream),
            Err(error) => {
                if child.try_wait().unwrap().is_some() {
                    return Err(fs::read_to_string(folder.file("qemu-errors.log")).unwrap());
                }
                assert!(begun.elapsed() < PATIENCE, "qemu has no socket {name}: {error}");
                thread::sleep(Duration::from_millis(5));
            }
        }
    }
}
