//! Random bytes from the kernel.

use crate::error::{Error, Kind, Result};

/// So many random bytes.
pub fn bytes<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|cause| Error::new(Kind::Io, "cannot get random bytes from the kernel").because(cause))?;
    Ok(bytes)
}
