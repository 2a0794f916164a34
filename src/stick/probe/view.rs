//! A volume as `fatfs` may see it: reads alone, within the limits, and with those fields corrected in memory that
//! `fatfs` refuses although the kernel mounts the volume. Writing through it always fails.

use std::io::{self, Read, Seek, SeekFrom, Write};

use fatfs::{FileSystem, FsOptions};

use super::boot::Fat;
use super::medium::Bounded;
use crate::policy::stick::FsKind;
use crate::stick::medium::not_an_end;

/// Fewest clusters that `fatfs` takes for FAT32.
const FAT32_MIN: u64 = 65_525;

/// The read-only window on one volume.
pub(super) struct View<'a, 'm> {
    medium: &'a mut Bounded<'m>,
    base: u64,
    at: u64,
    /// What is read instead of the medium's own bytes: where, and what.
    corrections: Vec<(u64, Vec<u8>)>,
}

impl Read for View<'_, '_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.medium.read(self.base.saturating_add(self.at), buf).map_err(not_an_end)?;
        for (start, bytes) in &self.corrections {
            let from = (*start).max(self.at);
            let to = (start + bytes.len() as u64).min(self.at + buf.len() as u64);
            if from < to {
                let (len, own, target) = (to - from, from - start, from - self.at);
                buf[target as usize..][..len as usize].copy_from_slice(&bytes[own as usize..][..len as usize]);
            }
        }
        self.at += buf.len() as u64;
        Ok(buf.len())
    }
}

impl Seek for View<'_, '_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.medium.size().checked_add_signed(by),
        };
        self.at = target.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}

impl Write for View<'_, '_> {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::Error::new(io::ErrorKind::PermissionDenied, "a probe never writes"))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Opens the volume that begins at byte `base`. A chain must have been walked before what it holds is read.
pub(super) fn open<'a, 'm>(medium: &'a mut Bounded<'m>, base: u64, fat: &Fat) -> io::Result<FileSystem<View<'a, 'm>>> {
    let corrections = corrections(medium, base, fat)?;
    FileSystem::new(View { medium, base, at: 0, corrections }, FsOptions::new())
}

fn corrections(medium: &mut Bounded, base: u64, fat: &Fat) -> io::Result<Vec<(u64, Vec<u8>)>> {
    let mut boot = medium.bytes(base, 512)?;
    boot[510..512].copy_from_slice(&[0x55, 0xaa]);
    boot[19..21].fill(0);
    boot[32..36].copy_from_slice(&fat.total_sectors.to_le_bytes());
    if fat.kind != FsKind::Fat32 {
        return Ok(vec![(0, boot)]);
    }
    // `fatfs` goes by the number of clusters alone. The chains it will follow were checked against the true number.
    let enough = u64::from(fat.data_sector) + FAT32_MIN * u64::from(fat.cluster_sectors);
    let total = u64::from(fat.total_sectors).max(enough).min(u64::from(u32::MAX)) as u32;
    boot[32..36].copy_from_slice(&total.to_le_bytes());
    // The live table is the first one and the version is 0: the kernel does not even look.
    boot[40..44].fill(0);
    let info_sector = if fat.info_sector < fat.reserved_sectors { fat.info_sector } else { 1 };
    boot[48..50].copy_from_slice(&(info_sector as u16).to_le_bytes());
    boot[50..52].fill(0);
    let mut info = vec![0; 512];
    info[..4].copy_from_slice(b"RRaA");
    info[484..488].copy_from_slice(b"rrAa");
    info[488..496].fill(0xff);
    info[508..512].copy_from_slice(&[0, 0, 0x55, 0xaa]);
    Ok(vec![(0, boot), (fat.bytes(info_sector), info)])
}
