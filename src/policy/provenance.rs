//! Whether a backup is believed, by who signed its manifest. A medium that others can write to must not be able to pass
//! anything off as this box's backup.

/// Whose key a signature was made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signer {
    /// This box.
    Own,
    /// One that was trusted under this name, or an earlier key of this box.
    Trusted(String),
    /// Nobody known; the fingerprint of the key.
    Unknown(String),
}

/// What was found beside a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signature {
    /// None.
    Absent,
    /// One that does not fit.
    Wrong,
    /// One that fits.
    By(Signer),
}

/// Where the manifest lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lies {
    /// On this box.
    Here,
    /// On a stick or in a store.
    Elsewhere,
}

/// What is made of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Belief {
    /// It is this box's, or that of a trusted one.
    Believed,
    /// It is used, and a person is told this.
    Warned(String),
    /// It is not used unless a person says so, because of this.
    Doubted(String),
    /// It is not used: it is not what was signed.
    Refused(String),
}

/// Decides. `told`: a person said that unknown boxes are to be believed.
pub fn believe(signature: &Signature, lies: Lies, told: bool) -> Belief {
    let doubt = |why: String| if told { Belief::Warned(why) } else { Belief::Doubted(why) };
    match (signature, lies) {
        (Signature::By(Signer::Own | Signer::Trusted(_)), _) => Belief::Believed,
        (Signature::By(Signer::Unknown(fingerprint)), _) => {
            doubt(format!("its manifest is signed by a box that is not known here (fingerprint {fingerprint})"))
        }
        // Versions before signatures made it, or its signature was lost; whoever can write here can do anything.
        (Signature::Absent, Lies::Here) => Belief::Warned("its manifest is not signed".into()),
        (Signature::Absent, Lies::Elsewhere) => doubt("its manifest is not signed".into()),
        (Signature::Wrong, _) => Belief::Refused("its manifest is not what was signed".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_known_box_signed_is_believed_unasked() {
        use Lies::{Elsewhere, Here};
        let unknown = || Signature::By(Signer::Unknown("ab12".into()));
        let trusted = || Signature::By(Signer::Trusted("kasse-2".into()));
        let own = || Signature::By(Signer::Own);
        let name = |belief: Belief| match belief {
            Belief::Believed => "believed",
            Belief::Warned(_) => "warned",
            Belief::Doubted(_) => "doubted",
            Belief::Refused(_) => "refused",
        };
        for (signature, lies, told, wanted) in [
            (own(), Here, false, "believed"),
            (own(), Elsewhere, false, "believed"),
            (trusted(), Elsewhere, false, "believed"),
            (unknown(), Here, false, "doubted"),
            (unknown(), Elsewhere, false, "doubted"),
            (unknown(), Elsewhere, true, "warned"),
            (Signature::Absent, Here, false, "warned"),
            (Signature::Absent, Elsewhere, false, "doubted"),
            (Signature::Absent, Elsewhere, true, "warned"),
            (Signature::Wrong, Here, true, "refused"),
            (Signature::Wrong, Elsewhere, true, "refused"),
        ] {
            assert_eq!(name(believe(&signature, lies, told)), wanted, "{signature:?} {lies:?} {told}");
        }
    }
}
