//! A build without HTTPS: nobody is told anything.

use std::path::Path;

use crate::error::{Error, Kind, Result};

/// Refuses.
pub fn post(_url: &str, _ca_file: Option<&Path>, _headers: &[(&str, &str)], _body: &[u8]) -> Result<()> {
    Err(Error::new(Kind::Config, "this program was built without the feature `web`"))
}
