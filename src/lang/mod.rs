//! The words that a cashier or shop owner reads, in German, English and Spanish. Other messages are English.

use std::str::FromStr;

use crate::error::{Error, Kind};

/// A language for people in the shop.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lang {
    /// Deutsch.
    De,
    /// English.
    #[default]
    En,
    /// Español.
    Es,
}

impl Lang {
    /// Picks the text of this language.
    pub fn pick<'a>(self, de: &'a str, en: &'a str, es: &'a str) -> &'a str {
        match self {
            Self::De => de,
            Self::En => en,
            Self::Es => es,
        }
    }
}

impl FromStr for Lang {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "de" => Ok(Self::De),
            "en" => Ok(Self::En),
            "es" => Ok(Self::Es),
            other => {
                Err(Error::new(Kind::Config, format!("{other:?} is not a language known here"))
                    .help("use de, en or es"))
            }
        }
    }
}
