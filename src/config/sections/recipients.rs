//! Recipients of age, as several sections name them.

use crate::config::take::{Taken, list, parsed};
use crate::config::tree::Node;

/// A list of recipients.
pub(super) fn recipients() -> impl Fn(&Node) -> Taken<Vec<String>> {
    list(parsed("a recipient of age", "age1...", parse))
}

#[cfg(feature = "encryption")]
fn parse(text: &str) -> Result<String, String> {
    let wrong = |why: &str| {
        // Whoever mixes the two up has put a secret where others can read it.
        let help =
            if text.starts_with("AGE-SECRET-KEY") { "; this is the secret key, which belongs to no box" } else { "" };
        format!("it is no recipient of age ({why}){help}")
    };
    text.parse::<age::x25519::Recipient>().map(|recipient| recipient.to_string()).map_err(wrong)
}

#[cfg(not(feature = "encryption"))]
fn parse(_text: &str) -> Result<String, String> {
    Err("this tillstick was built without encryption".to_owned())
}
