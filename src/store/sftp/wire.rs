//! The messages of SFTP version 3 (draft-ietf-secsh-filexfer-02), as far as a store needs them, and their answers.

use std::collections::{HashMap, HashSet};
use std::io::{Read, Write};

use crate::error::{Context, Error, Kind, Result};

/// Longer messages are nobody's.
const MESSAGE_MAX: u32 = 1 << 20;

/// What messages are about.
pub(super) mod kind {
    pub(crate) const INIT: u8 = 1;
    pub(crate) const VERSION: u8 = 2;
    pub(crate) const OPEN: u8 = 3;
    pub(crate) const CLOSE: u8 = 4;
    pub(crate) const READ: u8 = 5;
    pub(crate) const WRITE: u8 = 6;
    pub(crate) const LSTAT: u8 = 7;
    pub(crate) const FSETSTAT: u8 = 10;
    pub(crate) const OPENDIR: u8 = 11;
    pub(crate) const READDIR: u8 = 12;
    pub(crate) const REMOVE: u8 = 13;
    pub(crate) const MKDIR: u8 = 14;
    pub(crate) const RMDIR: u8 = 15;
    pub(crate) const RENAME: u8 = 18;
    pub(crate) const STATUS: u8 = 101;
    pub(crate) const HANDLE: u8 = 102;
    pub(crate) const DATA: u8 = 103;
    pub(crate) const NAME: u8 = 104;
    pub(crate) const ATTRS: u8 = 105;
    pub(crate) const EXTENDED: u8 = 200;
    pub(crate) const EXTENDED_REPLY: u8 = 201;
}

/// Which attributes a message has.
mod attribute {
    pub(super) const SIZE: u32 = 1;
    pub(super) const OWNER: u32 = 2;
    pub(super) const MODE: u32 = 4;
    pub(super) const TIMES: u32 = 8;
    pub(super) const EXTENDED: u32 = 1 << 31;
}

/// What the server says of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Attributes {
    pub(super) size: u64,
    mode: u32,
    /// When the content was changed, in seconds since 1970.
    pub(super) changed: Option<u32>,
}

impl Attributes {
    pub(super) fn is_dir(&self) -> bool {
        self.mode & libc::S_IFMT == libc::S_IFDIR
    }

    pub(super) fn is_file(&self) -> bool {
        self.mode & libc::S_IFMT == libc::S_IFREG
    }
}

/// A message that is being written.
#[derive(Default)]
pub(super) struct Out(Vec<u8>);

impl Out {
    pub(super) fn u32(mut self, value: u32) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub(super) fn u64(mut self, value: u64) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub(super) fn bytes(mut self, bytes: &[u8]) -> Self {
        self = self.u32(u32::try_from(bytes.len()).expect("names and pieces are short"));
        self.0.extend(bytes);
        self
    }

    pub(super) fn mode(self, mode: u32) -> Self {
        self.u32(attribute::MODE).u32(mode)
    }

    pub(super) fn size(self, size: u64) -> Self {
        self.u32(attribute::SIZE).u64(size)
    }
}

/// An answer that is being read.
pub(super) struct Answer {
    pub(super) kind: u8,
    body: Vec<u8>,
    at: usize,
}

impl Answer {
    fn take(&mut self, len: usize) -> Result<&[u8]> {
        let end = self.at.checked_add(len).filter(|end| *end <= self.body.len());
        let end = end.ok_or_else(|| Error::new(Kind::Damaged, "an answer of the server ends early"))?;
        let taken = &self.body[self.at..end];
        self.at = end;
        Ok(taken)
    }

    pub(super) fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_be_bytes(self.take(4)?.try_into().expect("four bytes")))
    }

    pub(super) fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_be_bytes(self.take(8)?.try_into().expect("eight bytes")))
    }

    pub(super) fn bytes(&mut self) -> Result<Vec<u8>> {
        let len = self.u32()?;
        self.take(len as usize).map(<[u8]>::to_vec)
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.body.len()
    }

    pub(super) fn attributes(&mut self) -> Result<Attributes> {
        let flags = self.u32()?;
        let has = |which| flags & which != 0;
        let size = if has(attribute::SIZE) { self.u64()? } else { 0 };
        if has(attribute::OWNER) {
            self.u64()?;
        }
        let mode = if has(attribute::MODE) { self.u32()? } else { 0 };
        let changed = match has(attribute::TIMES) {
            true => Some((self.u64()? & u64::from(u32::MAX)) as u32),
            false => None,
        };
        if has(attribute::EXTENDED) {
            for _ in 0..self.u32()? {
                self.bytes()?;
                self.bytes()?;
            }
        }
        Ok(Attributes { size, mode, changed })
    }

    /// The answer, if it is of this kind; else what the server has to say.
    pub(super) fn expect(mut self, kind: u8) -> Result<Self> {
        if self.kind == kind {
            return Ok(self);
        }
        if self.kind != kind::STATUS {
            return Err(Error::new(Kind::Damaged, format!("the server answers with a message of kind {}", self.kind)));
        }
        Err(self.refusal()?.unwrap_or_else(|| Error::new(Kind::Damaged, "the server answers with nothing")))
    }

    /// Whether it was done.
    pub(super) fn done(mut self) -> Result<()> {
        match self.kind == kind::STATUS {
            true => self.refusal()?.map_or(Ok(()), Err),
            false => self.expect(kind::STATUS).map(|_| ()),
        }
    }

    /// Whether it says that there is no more.
    pub(super) fn is_end(&self) -> bool {
        self.kind == kind::STATUS && self.body[self.at..].starts_with(&[0, 0, 0, 1])
    }

    fn refusal(&mut self) -> Result<Option<Error>> {
        let code = self.u32()?;
        let said = self.bytes().unwrap_or_default();
        let said = String::from_utf8_lossy(&said).trim().to_owned();
        let lower = said.to_lowercase();
        let kind = match code {
            0 => return Ok(None),
            2 | 10 => Kind::Missing,
            3 | 12 => Kind::Refused,
            14 | 15 => Kind::NoSpace,
            _ if lower.contains("space") || lower.contains("quota") => Kind::NoSpace,
            _ => Kind::Io,
        };
        let said = if said.is_empty() { format!("status {code}") } else { said };
        Ok(Some(Error::new(kind, format!("the server answers: {said}"))))
    }
}

/// Requests and their answers over a stream; many may be under way.
pub(super) struct Wire<S> {
    stream: S,
    next: u32,
    /// Answers that came before somebody asked for them.
    early: HashMap<u32, Answer>,
    /// Requests whose answers nobody wants any more.
    unwanted: HashSet<u32>,
    /// What the server can do beyond version 3.
    extensions: HashSet<String>,
}

impl<S: Read + Write> Wire<S> {
    pub(super) fn begin(mut stream: S) -> Result<Self> {
        let hello = [0, 0, 0, 5, kind::INIT, 0, 0, 0, 3];
        stream.write_all(&hello).and_then(|()| stream.flush()).context(|| "cannot begin".into())?;
        let mut wire =
            Self { stream, next: 0, early: HashMap::new(), unwanted: HashSet::new(), extensions: HashSet::new() };
        let mut version = wire.receive()?.expect(kind::VERSION)?;
        if version.u32()? < 3 {
            return Err(Error::new(Kind::Io, "the server speaks an SFTP older than version 3"));
        }
        while !version.is_at_end() {
            let name = version.bytes()?;
            version.bytes()?;
            wire.extensions.insert(String::from_utf8_lossy(&name).into_owned());
        }
        Ok(wire)
    }

    pub(super) fn can(&self, extension: &str) -> bool {
        self.extensions.contains(extension)
    }

    /// Sends a request; gives its number.
    pub(super) fn send(&mut self, kind: u8, message: &Out) -> Result<u32> {
        let id = self.next;
        self.next = self.next.wrapping_add(1);
        let length = u32::try_from(message.0.len() + 5).expect("messages are short");
        let mut bytes = Vec::with_capacity(message.0.len() + 9);
        bytes.extend(length.to_be_bytes());
        bytes.push(kind);
        bytes.extend(id.to_be_bytes());
        bytes.extend(&message.0);
        let sent = self.stream.write_all(&bytes).and_then(|()| self.stream.flush());
        sent.context(|| "the connection broke off".into())?;
        Ok(id)
    }

    /// The answer to a request.
    pub(super) fn wait(&mut self, id: u32) -> Result<Answer> {
        loop {
            if let Some(answer) = self.early.remove(&id) {
                return Ok(answer);
            }
            let mut answer = self.receive()?;
            let of = answer.u32()?;
            if of == id {
                return Ok(answer);
            }
            if !self.unwanted.remove(&of) {
                self.early.insert(of, answer);
            }
        }
    }

    pub(super) fn ask(&mut self, kind: u8, message: &Out) -> Result<Answer> {
        let id = self.send(kind, message)?;
        self.wait(id)
    }

    /// The answer to this request is not waited for.
    pub(super) fn forget(&mut self, id: u32) {
        if self.early.remove(&id).is_none() {
            self.unwanted.insert(id);
        }
    }

    fn receive(&mut self) -> Result<Answer> {
        let broke = || "the connection broke off".to_owned();
        let io = |error: Result<()>| error.map_err(|cause| Error::new(Kind::Io, broke()).because(cause));
        let mut length = [0; 4];
        io(self.stream.read_exact(&mut length).context(broke))?;
        let length = u32::from_be_bytes(length);
        if !(1..=MESSAGE_MAX).contains(&length) {
            return Err(Error::new(Kind::Damaged, "the server's answer is no SFTP")
                .help("does a login there print something, or start another program?"));
        }
        let mut body = vec![0; length as usize];
        io(self.stream.read_exact(&mut body).context(broke))?;
        let kind = body.remove(0);
        Ok(Answer { kind, body, at: 0 })
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Cursor};

    use super::*;

    /// Answers what it was given, whatever is asked.
    struct Canned(Cursor<Vec<u8>>);

    impl Read for Canned {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(buffer)
        }
    }

    impl Write for Canned {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn message(kind: u8, body: Out) -> Vec<u8> {
        let mut bytes = u32::try_from(body.0.len() + 1).unwrap().to_be_bytes().to_vec();
        bytes.push(kind);
        bytes.extend(body.0);
        bytes
    }

    #[test]
    fn answers_find_their_requests_in_any_order() {
        let mut canned = message(kind::VERSION, Out::default().u32(3).bytes(b"fsync@openssh.com").bytes(b"1"));
        let status =
            |id, code, said: &str| message(kind::STATUS, Out::default().u32(id).u32(code).bytes(said.as_bytes()));
        for answer in
            [status(2, 0, ""), status(1, 2, "No such file"), status(0, 4, "Disk quota exceeded"), status(3, 1, "EOF")]
        {
            canned.extend(answer);
        }
        let mut wire = Wire::begin(Canned(Cursor::new(canned))).unwrap();
        assert!(wire.can("fsync@openssh.com") && !wire.can("limits@openssh.com"));
        let ids: Vec<u32> = (0..4).map(|_| wire.send(kind::CLOSE, &Out::default()).unwrap()).collect();
        wire.forget(ids[2]);
        assert_eq!(wire.wait(ids[0]).unwrap().done().unwrap_err().kind(), Kind::NoSpace);
        assert_eq!(wire.wait(ids[1]).unwrap().done().unwrap_err().kind(), Kind::Missing);
        assert!(wire.wait(ids[3]).unwrap().is_end());
        assert!(wire.early.is_empty() && wire.unwanted.is_empty());
        assert_eq!(wire.wait(9).map(|_| ()).unwrap_err().kind(), Kind::Io, "the connection is over");
    }

    #[test]
    fn answers_that_end_early_or_never_begin_are_errors() {
        for canned in [
            &b"\0\0\0"[..],
            b"Welcome to the shop",
            b"\0\0\0\0",
            b"\0\0\0\x02\x02\0",
            b"\0\0\0\x09\x02\0\0\0\x03\xff\xff\xff\xff",
        ] {
            assert!(Wire::begin(Canned(Cursor::new(canned.to_vec()))).is_err(), "{canned:?}");
        }
        let mut answer = Answer { kind: kind::ATTRS, body: vec![0x80, 0, 0, 5, 0, 0], at: 0 };
        assert!(answer.attributes().is_err());
    }
}
