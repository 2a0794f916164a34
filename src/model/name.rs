//! Names that become file names on a FAT32 stick, checked once, where they come in.

use std::fmt;

use crate::error::{Error, Kind};

/// The folder of a store in which boxes tell how they stand, beside those of the customers; no customer is called so.
pub const STATUS: &str = "status";

/// The folder of a store with what runs had to say; no customer is called so either.
pub const LOGS: &str = "logs";

/// The longest name we accept, in characters: leaves room for `<customer>_<source>_<box>.sql.gz.001` in 255 UTF-16 units.
const NAME_MAX: usize = 60;

/// Names that Windows cannot open, with or without an extension.
const RESERVED: [&str; 22] = [
    "con", "prn", "aux", "nul", "com1", "com2", "com3", "com4", "com5", "com6", "com7", "com8", "com9", "lpt1", "lpt2",
    "lpt3", "lpt4", "lpt5", "lpt6", "lpt7", "lpt8", "lpt9",
];

/// Why `name` cannot be part of a file name on every medium we write to (FAT32 is the strictest), or `None`.
pub fn name_problem(name: &str) -> Option<String> {
    problem(name, NAME_MAX)
}

fn problem(name: &str, max: usize) -> Option<String> {
    if name.is_empty() {
        return Some("it is empty".into());
    }
    if name.chars().count() > max {
        return Some(format!("it is longer than {max} characters"));
    }
    if let Some(bad) = name.chars().find(|c| c.is_control() || "\"*/:<>?\\|".contains(*c)) {
        return Some(format!("{bad:?} is not allowed in a file name on FAT32"));
    }
    if let Some(bad) = name.chars().find(
        |c| matches!(*c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'),
    ) {
        return Some(format!("{bad:?} hides how the name really reads"));
    }
    if name.starts_with(['.', ' ']) || name.ends_with(['.', ' ']) {
        return Some("it begins or ends with a dot or a space".into());
    }
    let stem = name.split('.').next().unwrap_or(name).to_lowercase();
    if RESERVED.contains(&stem.as_str()) {
        return Some("Windows keeps this name for a device".into());
    }
    None
}

/// A customer number, box or source name: text that may stand in a file name anywhere. Leading zeros stay.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FileName(String);

impl FileName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for FileName {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        match name_problem(&text) {
            None => Ok(Self(text)),
            Some(why) => Err(Error::new(Kind::Config, format!("{text:?} cannot be a name: {why}"))),
        }
    }
}

impl std::str::FromStr for FileName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        text.to_owned().try_into()
    }
}

impl From<FileName> for String {
    fn from(name: FileName) -> Self {
        name.0
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The file name of an artifact: `<customer>_<source>.sql.gz` (T6).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ArtifactName(String);

/// What an artifact's name may end in.
const ENDINGS: [&str; 4] = [".sql.gz", ".tar.gz", ".sql.gz.age", ".tar.gz.age"];
/// What the name of an encrypted artifact ends in.
const SEALED: &str = ".age";

impl ArtifactName {
    /// The name of a database's artifact.
    pub fn sql(customer: &FileName, source: &FileName) -> Self {
        Self(format!("{customer}_{source}.sql.gz"))
    }

    /// The name of the artifact of files.
    pub fn tar(customer: &FileName, source: &FileName) -> Self {
        Self(format!("{customer}_{source}.tar.gz"))
    }

    /// The name of the artifact once it is encrypted.
    pub fn sealed(&self) -> Self {
        Self(format!("{}{SEALED}", self.0))
    }

    /// The name that an encrypted artifact has once it is decrypted; its own where it is not encrypted.
    pub fn plain(&self) -> Self {
        Self(self.0.strip_suffix(SEALED).unwrap_or(&self.0).to_owned())
    }

    /// Whether it is encrypted.
    pub fn is_sealed(&self) -> bool {
        self.0.ends_with(SEALED)
    }

    /// Whether it holds files.
    pub fn is_tar(&self) -> bool {
        self.0.strip_suffix(SEALED).unwrap_or(&self.0).ends_with(".tar.gz")
    }

    /// The name this artifact has on a stick where another box already uses the plain one: `_<box>` before the ending.
    pub fn for_box(&self, box_name: &FileName) -> Self {
        let (stem, ending) = self.split();
        Self(format!("{stem}_{box_name}{ending}"))
    }

    /// Stem and ending: `104711_kasse` and `.sql.gz`.
    pub fn split(&self) -> (&str, &str) {
        let ending = ENDINGS.iter().find(|ending| self.0.ends_with(*ending)).expect("checked when the name was made");
        (&self.0[..self.0.len() - ending.len()], ending)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ArtifactName {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        let wrong =
            |why: String| Error::new(Kind::Damaged, format!("{text:?} cannot be the name of an artifact: {why}"));
        let Some(ending) = ENDINGS.iter().find(|ending| text.ends_with(*ending)) else {
            return Err(wrong(format!("it must end in {}", ENDINGS.join(" or "))));
        };
        // A manifest may be hostile: the stem, of up to three names, obeys the same rules, so no path can hide in it.
        match problem(&text[..text.len() - ending.len()], 3 * NAME_MAX + 2) {
            None => Ok(Self(text)),
            Some(why) => Err(wrong(why)),
        }
    }
}

impl From<ArtifactName> for String {
    fn from(name: ArtifactName) -> Self {
        name.0
    }
}

impl fmt::Display for ArtifactName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn customer_numbers_keep_leading_zeros_and_refuse_what_fat32_cannot_hold() {
        assert_eq!("004711".parse::<FileName>().unwrap().as_str(), "004711");
        for (wrong, why) in [
            ("", "empty"),
            ("a/b", "'/'"),
            ("a:b", "':'"),
            ("..", "dot"),
            ("x ", "space"),
            ("NUL", "Windows"),
            ("com1.txt", "Windows"),
            ("a\nb", "'\\n'"),
            ("a\u{202e}b", "really reads"),
        ] {
            let error = wrong.parse::<FileName>().unwrap_err().to_string();
            assert!(error.contains(why), "{wrong:?}: {error}");
        }
    }

    #[test]
    fn artifact_names_follow_the_rule_of_the_product() {
        let name = ArtifactName::sql(&"104711".parse().unwrap(), &"kasse".parse().unwrap());
        assert_eq!(name.as_str(), "104711_kasse.sql.gz");
        assert_eq!(name.for_box(&"kasse-2".parse().unwrap()).as_str(), "104711_kasse_kasse-2.sql.gz");
        let odd = ArtifactName::sql(&"_a._b".parse().unwrap(), &"con_x".parse().unwrap());
        assert_eq!(ArtifactName::try_from(odd.as_str().to_owned()).unwrap(), odd, "what we write we can read");
        for hostile in ["../x.sql.gz", ".sql.gz", "a/b.tar.gz", "x.exe", "a\0.sql.gz", " a.sql.gz"] {
            assert!(ArtifactName::try_from(hostile.to_owned()).is_err(), "{hostile:?}");
        }
    }
}
