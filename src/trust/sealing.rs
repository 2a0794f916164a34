//! Encryption to the recipients of `age`: who has the box, or the medium, cannot read what is sealed.

use std::io::{Read, Write};
use std::path::Path;

use crate::error::{Context, Error, Kind, Result};
use crate::host::durable;

/// An identity file is not longer than this, in bytes.
const FILE_MAX: u64 = 1 << 20;

/// Whose sealed backups can be opened; none unless a file of identities is named.
#[derive(Default)]
pub struct Identities {
    known: Vec<age::x25519::Identity>,
}

impl Identities {
    /// Reads a file as `age-keygen` makes it.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = durable::read(path, FILE_MAX)?;
        let text = String::from_utf8_lossy(&bytes);
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        // What is wrong with a line is not told: the line is a secret.
        let known = lines.map(|line| line.parse().map_err(|_| ())).collect::<Result<Vec<_>, ()>>();
        match known {
            Ok(known) if !known.is_empty() => Ok(Self { known }),
            _ => Err(Error::new(Kind::Usage, format!("{path:?} is not a file of age identities"))
                .help("it has lines that begin with AGE-SECRET-KEY-1, as `age-keygen` writes them; decrypt it first if it is encrypted")),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// What `sealed` holds.
    ///
    /// # Errors
    /// [`Kind::Sealed`] when none of them is its key.
    pub fn open<'a>(&self, sealed: Box<dyn Read + Send + 'a>) -> Result<Box<dyn Read + Send + 'a>> {
        if self.is_empty() {
            return Err(
                Error::new(Kind::Sealed, "it is encrypted").help("name the file with your key: --identity FILE")
            );
        }
        let decryptor = age::Decryptor::new(sealed).map_err(unreadable)?;
        let identities = self.known.iter().map(|known| known as &dyn age::Identity);
        Ok(Box::new(decryptor.decrypt(identities).map_err(unreadable)?))
    }
}

fn unreadable(cause: age::DecryptError) -> Error {
    match cause {
        age::DecryptError::NoMatchingKeys => Error::new(Kind::Sealed, "it is encrypted to other keys than those given")
            .help("name the file with the right key: --identity FILE"),
        age::DecryptError::Io(cause) => Error::new(Kind::Io, "it cannot be read").because(cause),
        cause => Error::new(Kind::Damaged, "it is not what was encrypted").because(cause),
    }
}

/// Encrypts all that `from` gives to the recipients, of whom there is at least one; gives `to` back.
pub fn seal<W: Write>(recipients: &[String], from: &mut dyn Read, to: W) -> Result<W> {
    let recipients = recipients.iter().map(|text| recipient(text)).collect::<Result<Vec<_>>>()?;
    let recipients = recipients.iter().map(|recipient| recipient as &dyn age::Recipient);
    let sealing = || "cannot encrypt".to_owned();
    let encryptor = age::Encryptor::with_recipients(recipients)
        .map_err(|cause| Error::new(Kind::Usage, "cannot encrypt to these recipients").because(cause))?;
    let mut sealed = encryptor.wrap_output(to).context(sealing)?;
    std::io::copy(from, &mut sealed).context(sealing)?;
    sealed.finish().context(sealing)
}

fn recipient(text: &str) -> Result<age::x25519::Recipient> {
    text.parse().map_err(|why: &str| Error::new(Kind::Config, format!("{text:?} is no recipient of age: {why}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Result<Identities> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.txt");
        std::fs::write(&path, text).unwrap();
        Identities::read(&path)
    }

    fn pair() -> (Identities, String) {
        use age::secrecy::ExposeSecret;
        let key = age::x25519::Identity::generate();
        let public = key.to_public().to_string();
        (file(&format!("# created: today\n{}\n", key.to_string().expose_secret())).unwrap(), public)
    }

    fn sealed(to: &[String]) -> Vec<u8> {
        seal(to, &mut &b"ten years of books"[..], Vec::new()).unwrap()
    }

    fn opened(with: &Identities, sealed: Vec<u8>) -> Result<Vec<u8>> {
        let mut text = Vec::new();
        with.open(Box::new(std::io::Cursor::new(sealed)))?.read_to_end(&mut text).context(|| "open".into())?;
        Ok(text)
    }

    #[test]
    fn each_recipient_opens_it_and_nobody_else() {
        let ((one, public_one), (two, public_two), (other, _)) = (pair(), pair(), pair());
        let bytes = sealed(&[public_one, public_two]);
        for with in [&one, &two] {
            assert_eq!(opened(with, bytes.clone()).unwrap(), b"ten years of books");
        }
        assert_eq!(opened(&other, bytes.clone()).unwrap_err().kind(), Kind::Sealed);
        assert_eq!(opened(&Identities::default(), bytes).unwrap_err().kind(), Kind::Sealed);
    }

    #[test]
    fn what_was_changed_or_cut_is_never_taken_for_whole() {
        let (with, public) = pair();
        let bytes = sealed(&[public]);
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            assert!(opened(&with, bad).is_err(), "byte {at}");
            assert!(opened(&with, bytes[..at].to_vec()).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_file_that_holds_no_identities_is_refused_without_its_content() {
        for text in ["", "# nothing\n", "AGE-SECRET-KEY-1QQQ\n", "hunter2\n"] {
            let error = file(text).map(drop).unwrap_err().report();
            assert!(!error.contains("QQQ") && !error.contains("hunter2"), "{error}");
        }
        assert!(seal(&["age1nonsense".into()], &mut &b""[..], Vec::new()).is_err());
    }
}
