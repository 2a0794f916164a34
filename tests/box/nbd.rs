//! An NBD server (the "fixed newstyle" handshake and plain replies) in this process: through it qemu's USB stick writes
//! to a [`Medium`] of ours. <https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md>

use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::thread;

use crate::medium::Medium;

const OPTION_MAGIC: u64 = 0x4948_4156_454f_5054;
const OPTION_REPLY_MAGIC: u64 = 0x0003_e889_0455_65a9;
const REQUEST_MAGIC: u32 = 0x2560_9513;
const REPLY_MAGIC: u32 = 0x6744_6698;

const OPT_ABORT: u32 = 2;
const OPT_INFO: u32 = 6;
const OPT_GO: u32 = 7;
const REP_ACK: u32 = 1;
const REP_INFO: u32 = 3;
const REP_UNSUPPORTED: u32 = 0x8000_0001;

const CMD_READ: u16 = 0;
const CMD_WRITE: u16 = 1;
const CMD_DISCONNECT: u16 = 2;
const CMD_FLUSH: u16 = 3;
const FLAG_FUA: u16 = 1;

/// Has flags, takes flushes and writes that are to be on the medium when they are answered.
const TRANSMISSION_FLAGS: u16 = 1 | 4 | 8;
/// What qemu never exceeds.
const REQUEST_MAX: u32 = 32 << 20;

/// Serves the medium at this socket for as long as the process lives.
pub fn serve(medium: &Arc<Medium>, socket: &Path) {
    let listener = UnixListener::bind(socket).unwrap();
    let medium = Arc::clone(medium);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let medium = Arc::clone(&medium);
            // An end of file is how a stick is pulled.
            thread::spawn(move || {
                agree(&stream, &medium).and_then(|go| if go { work(&stream, &medium) } else { Ok(()) })
            });
        }
    });
}

fn number<const LEN: usize>(mut stream: &UnixStream) -> io::Result<[u8; LEN]> {
    let mut bytes = [0; LEN];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn bytes(mut stream: &UnixStream, len: u32) -> io::Result<Vec<u8>> {
    if len > REQUEST_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0; len as usize];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn expect(good: bool) -> io::Result<()> {
    if good { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// The handshake; whether the client wants to go on.
fn agree(mut stream: &UnixStream, medium: &Medium) -> io::Result<bool> {
    stream.write_all(b"NBDMAGICIHAVEOPT\0\x01")?;
    let _client_flags = number::<4>(stream)?;
    loop {
        expect(u64::from_be_bytes(number(stream)?) == OPTION_MAGIC)?;
        let option = u32::from_be_bytes(number(stream)?);
        let len = u32::from_be_bytes(number(stream)?);
        let _data = bytes(stream, len)?;
        let reply = |kind: u32, data: &[u8]| {
            let mut reply = OPTION_REPLY_MAGIC.to_be_bytes().to_vec();
            reply.extend(option.to_be_bytes());
            reply.extend(kind.to_be_bytes());
            reply.extend((data.len() as u32).to_be_bytes());
            reply.extend(data);
            let mut stream = stream;
            stream.write_all(&reply)
        };
        match option {
            OPT_INFO | OPT_GO => {
                let mut export = vec![0, 0];
                export.extend(medium.size().to_be_bytes());
                export.extend(TRANSMISSION_FLAGS.to_be_bytes());
                reply(REP_INFO, &export)?;
                reply(REP_ACK, &[])?;
                if option == OPT_GO {
                    return Ok(true);
                }
            }
            OPT_ABORT => {
                reply(REP_ACK, &[])?;
                return Ok(false);
            }
            _ => reply(REP_UNSUPPORTED, &[])?,
        }
    }
}

/// Answers requests until the client goes.
fn work(mut stream: &UnixStream, medium: &Medium) -> io::Result<()> {
    loop {
        expect(u32::from_be_bytes(number(stream)?) == REQUEST_MAGIC)?;
        let flags = u16::from_be_bytes(number(stream)?);
        let command = u16::from_be_bytes(number(stream)?);
        let cookie = number::<8>(stream)?;
        let at = u64::from_be_bytes(number(stream)?);
        let len = u32::from_be_bytes(number(stream)?);
        let mut data = Vec::new();
        let done = match command {
            CMD_READ => {
                expect(len <= REQUEST_MAX)?;
                data.resize(len as usize, 0);
                medium.read(at, &mut data)
            }
            CMD_WRITE => {
                let written = medium.write(at, &bytes(stream, len)?);
                if flags & FLAG_FUA != 0 {
                    medium.flush();
                }
                written
            }
            CMD_FLUSH => {
                medium.flush();
                Ok(())
            }
            CMD_DISCONNECT => return Ok(()),
            _ => Err(io::Error::from_raw_os_error(libc::EINVAL)),
        };
        let errno = done.err().map_or(0, |error| error.raw_os_error().unwrap_or(libc::EIO));
        let mut reply = REPLY_MAGIC.to_be_bytes().to_vec();
        reply.extend((errno as u32).to_be_bytes());
        reply.extend(cookie);
        if errno == 0 {
            reply.extend(data);
        }
        stream.write_all(&reply)?;
    }
}
