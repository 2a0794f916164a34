//! Secrets come from files that nobody but their owner may read, or from the service manager; never from the environment
//! or the command line, which others can see.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::config::SecretAt;
use crate::error::{Context, Error, Kind, Result};

/// Where systemd puts what a service is handed.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// The longest secret, in bytes: a private key is one.
const SECRET_MAX: u64 = 64 << 10;

/// The secret at this place.
pub fn read(at: &SecretAt) -> Result<String> {
    match at {
        SecretAt::File(path) => of_file(path),
        SecretAt::Credential(name) => of_credential(name),
    }
}

/// The secret in the file `path`, without the line feed at its end.
pub fn of_file(path: &Path) -> Result<String> {
    let mut file = File::open(path)
        .context(|| format!("cannot open the secret {path:?}"))
        .map_err(|error| error.help("write the secret into this file, for its owner alone: chmod 600"))?;
    let mode = file.metadata().context(|| format!("cannot look at {path:?}"))?.mode();
    if mode & 0o077 != 0 {
        return Err(Error::new(
            Kind::Refused,
            format!("others may read the secret {path:?} (mode {:o})", mode & 0o777),
        )
        .help(format!("chmod 600 {path:?}; and change the secret if somebody may have read it")));
    }
    let mut text = String::new();
    let read = (&mut file).take(SECRET_MAX + 1).read_to_string(&mut text);
    read.context(|| format!("cannot read the secret {path:?}"))?;
    let text = text.trim_end_matches(['\n', '\r']);
    if text.is_empty() || text.len() as u64 > SECRET_MAX {
        return Err(Error::new(Kind::Config, format!("{path:?} holds no secret: it is empty or too long")));
    }
    Ok(text.to_owned())
}

/// The secret that the service manager hands this service as `name`.
fn of_credential(name: &str) -> Result<String> {
    let dir = std::env::var_os(CREDENTIALS).map(PathBuf::from).ok_or_else(|| {
        Error::new(Kind::Config, format!("the credential {name:?} is not handed to this process"))
            .help("a systemd unit hands it with LoadCredential=; at the command line use a file")
    })?;
    of_file(&dir.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_secret_that_others_may_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        fs::write(&path, "geheim\n").unwrap();
        for (mode, good) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false), (0o620, false)] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            match of_file(&path) {
                Ok(secret) => assert!(good && secret == "geheim", "{mode:o}"),
                Err(error) => {
                    assert!(!good, "{mode:o}");
                    assert!(!error.report().contains("geheim") && error.report().contains("chmod 600"));
                }
            }
        }
    }
}
