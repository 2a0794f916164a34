//! What each signal means, for the people who stand beside the box.

use super::signal::Signal;
use crate::lang::Lang;

/// A signal in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Words {
    /// What it says.
    pub title: &'static str,
    /// What is behind it, or what to do.
    pub text: &'static str,
}

impl Signal {
    /// What it means.
    pub fn words(self, lang: Lang) -> Words {
        let (title, text) = match lang {
            Lang::De => self.german(),
            Lang::En => self.english(),
            Lang::Es => self.spanish(),
        };
        Words { title, text }
    }

    fn german(self) -> (&'static str, &'static str) {
        match self {
            Self::Idle => ("Nichts zu tun", "Kein Stick, keine Warnung."),
            Self::Detected => ("Stick erkannt", "Er wird angesehen. Bitte warten."),
            Self::Working => ("Nicht abziehen!", "Die Sicherung wird gemacht oder kopiert."),
            Self::Safe => ("Fertig: Stick abziehen", "Gesichert und vom Stick zurückgelesen."),
            Self::Failed => (
                "Nicht gesichert",
                "Misslungen oder zu früh abgezogen. Noch einmal einstecken, sonst einen anderen Stick nehmen.",
            ),
            Self::WrongStick => (
                "Dieser Stick passt nicht",
                "Anderes Format, von einer anderen Kasse oder nicht angemeldet. Einen anderen Stick nehmen.",
            ),
            Self::TseIgnored => ("Das ist die TSE", "Sie bleibt unberührt. Bitte stecken lassen."),
            Self::Warning => {
                ("Bitte Bescheid sagen", "Eine Sicherung ist überfällig, oder auf dem Stick ist nur eine ältere.")
            }
        }
    }

    fn english(self) -> (&'static str, &'static str) {
        match self {
            Self::Idle => ("Nothing to do", "No stick, no warning."),
            Self::Detected => ("Stick found", "It is being looked at. Please wait."),
            Self::Working => ("Do not pull it!", "The backup is being made or copied."),
            Self::Safe => ("Done: pull the stick", "Backed up, and read back from the stick."),
            Self::Failed => (
                "Not backed up",
                "It failed, or was pulled too early. Plug it in again; if that does not help, use another stick.",
            ),
            Self::WrongStick => {
                ("Not this stick", "Another format, another till's, or not enrolled. Please use another stick.")
            }
            Self::TseIgnored => ("That is the TSE", "It stays untouched. Leave it in."),
            Self::Warning => ("Please tell the owner", "A backup is overdue, or only an older one is on the stick."),
        }
    }

    fn spanish(self) -> (&'static str, &'static str) {
        match self {
            Self::Idle => ("Nada que hacer", "Sin memoria USB, sin aviso."),
            Self::Detected => ("Memoria detectada", "Se está examinando. Espere, por favor."),
            Self::Working => ("¡No la retire!", "El respaldo se está haciendo o copiando."),
            Self::Safe => ("Listo: retire la memoria", "Respaldado y releído de la memoria."),
            Self::Failed => (
                "Sin respaldo",
                "Falló o se retiró demasiado pronto. Conéctela otra vez; si no ayuda, use otra memoria.",
            ),
            Self::WrongStick => {
                ("Esta memoria no sirve", "Otro formato, de otra caja o sin registrar. Use otra memoria.")
            }
            Self::TseIgnored => ("Es el módulo fiscal (TSE)", "No se toca. Déjelo puesto."),
            Self::Warning => {
                ("Avise al encargado", "Un respaldo está atrasado, o en la memoria solo hay uno anterior.")
            }
        }
    }
}
