//! Reading an artifact back: its bytes against the manifest, its gzip stream, the end of its text.

use std::io::{self, Read};

use sha2::{Digest, Sha256};

use crate::error::{Context, Error, Kind, Result};
use crate::model::{ArtifactFacts, Run, Stage, TextFacts};
use crate::pack;
use crate::source::files;
use crate::source::sqlite::{END_MARK, HEADER_PREFIX};

/// How much of an encrypted artifact is read at once, in bytes.
const SEALED_READ: usize = 256 << 10;

/// Passes an artifact on and fails at its end unless size and SHA-256 are those of the manifest.
pub(super) struct Checked<'a, R> {
    inner: R,
    facts: &'a ArtifactFacts,
    /// `None` once the end was judged.
    sha256: Option<Sha256>,
    seen: u64,
}

impl<'a, R: Read> Checked<'a, R> {
    pub(super) fn new(inner: R, facts: &'a ArtifactFacts) -> Self {
        Self { inner, facts, sha256: Some(Sha256::new()), seen: 0 }
    }

    fn judge(&mut self) -> Result<()> {
        let facts = self.facts;
        let Some(sha256) = self.sha256.take() else {
            return Ok(());
        };
        if self.seen != facts.size {
            return Err(damaged(facts, &format!("it has {} bytes and its manifest says {}", self.seen, facts.size)));
        }
        if format!("{:x}", sha256.finalize()) != facts.sha256 {
            return Err(damaged(facts, "its SHA-256 is not the one in its manifest"));
        }
        Ok(())
    }
}

impl<R: Read> Read for Checked<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(&buffer[..read]);
        }
        self.seen += read as u64;
        if self.seen > self.facts.size {
            return Err(damaged(self.facts, "it is longer than its manifest says").into());
        }
        if read == 0 && !buffer.is_empty() {
            self.judge()?;
        }
        Ok(read)
    }
}

fn damaged(facts: &ArtifactFacts, why: &str) -> Error {
    Error::new(Kind::Damaged, format!("`{}` is damaged: {why}", facts.name))
        .help("use another backup: `tillstick list` shows them")
}

/// Reads all of an artifact: size, SHA-256, gzip stream, CRC-32 and content hash of the text, and that the text ends as a whole dump does.
pub(super) fn verify(reader: impl Read + Send, facts: &ArtifactFacts, run: &Run) -> Result<()> {
    run.begin(Stage::Verify, facts.name.as_str(), facts.text.size);
    let mut tail = Tail::default();
    let mut checked = Checked::new(reader, facts);
    let text = pack::verify_with(&mut checked, run, &mut |text| tail.push(text));
    let text = text.context(|| format!("cannot read `{}` back", facts.name))?;
    // The unpacker stops at the end of the member; what follows must be nothing, with the hash as promised.
    io::copy(&mut checked, &mut io::sink()).context(|| format!("cannot read `{}` back", facts.name))?;
    same_text(&text, facts)?;
    if !tail.is_whole(facts.name.is_tar()) {
        return Err(damaged(facts, "its text does not end as a whole one does"));
    }
    run.end(Stage::Verify);
    Ok(())
}

/// Reads all of an encrypted artifact of which nobody has the key here: size and SHA-256.
pub(super) fn verify_sealed(reader: impl Read + Send, facts: &ArtifactFacts, run: &Run) -> Result<()> {
    run.begin(Stage::Verify, facts.name.as_str(), facts.size);
    let mut checked = Checked::new(reader, facts);
    let mut buffer = vec![0; SEALED_READ];
    let mut done = 0;
    loop {
        run.progress(done)?;
        let read = checked.read(&mut buffer).context(|| format!("cannot read `{}` back", facts.name))?;
        if read == 0 {
            break;
        }
        done += read as u64;
    }
    run.end(Stage::Verify);
    Ok(())
}

/// Reads all of a file of which nothing is known: the gzip stream, and, when the text begins as our dumps do, its end.
pub(super) fn verify_alone(reader: impl Read + Send, run: &Run) -> Result<()> {
    let (mut head, mut tail) = (Vec::new(), Tail::default());
    pack::verify_with(reader, run, &mut |text| {
        let missing = HEADER_PREFIX.len().saturating_sub(head.len());
        head.extend_from_slice(&text[..missing.min(text.len())]);
        tail.push(text);
    })?;
    if head == HEADER_PREFIX.as_bytes() && !tail.is_whole(false) {
        return Err(Error::new(Kind::Damaged, "its text does not end as a whole dump does"));
    }
    Ok(())
}

/// Compares what a text is with what the manifest says it is.
pub(super) fn same_text(found: &TextFacts, facts: &ArtifactFacts) -> Result<()> {
    if *found != facts.text {
        return Err(damaged(facts, &format!("its text is {found:?} and its manifest says {:?}", facts.text)));
    }
    Ok(())
}

/// The last bytes of a text.
#[derive(Default)]
struct Tail(Vec<u8>);

impl Tail {
    fn push(&mut self, text: &[u8]) {
        let keep = files::END.len();
        if text.len() >= keep {
            self.0.clear();
        }
        self.0.extend_from_slice(&text[text.len().saturating_sub(keep)..]);
        let excess = self.0.len().saturating_sub(keep);
        self.0.drain(..excess);
    }

    /// Whether it is the end of an archive, or of a dump.
    fn is_whole(&self, tar: bool) -> bool {
        match tar {
            true => self.0 == files::END,
            false => self.0.ends_with(format!("\n{END_MARK}\n").as_bytes()),
        }
    }
}
