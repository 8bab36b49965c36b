//! What can be wrong with statements, signatures and keys.

use std::path::PathBuf;

use envbox_lockfiles::base::{Digest, Explain, FsError, Kind, Platform};

/// A statement cannot be made, or does not hold.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttestError {
    /// What is wrong is wrong with a file.
    #[error("failed to use `{}`", file.display())]
    In {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        #[source]
        source: Box<AttestError>,
    },
    /// A file cannot be read or written.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// The lock has nothing for the platform.
    #[error("the lock has no {platform}")]
    Platform {
        /// What was asked for.
        platform: Platform,
        /// What the lock has.
        locked: Vec<Platform>,
    },
    /// The text is no PEM, or not the whole of one.
    #[error("the {what} is not a whole PEM text: {reason}")]
    Pem {
        /// What it should be.
        what: &'static str,
        /// Where it ends being one.
        reason: p256::pkcs8::der::pem::Error,
    },
    /// The PEM text holds something else.
    #[error("the {what} has the label `{found}`")]
    Label {
        /// What it should be.
        what: &'static str,
        /// Its label.
        found: String,
    },
    /// The PEM text has the right label and the wrong contents.
    #[error("the {what} holds no ECDSA P-256 key")]
    KeyType {
        /// What it should be.
        what: &'static str,
        /// The algorithm it is for, as an object identifier, if it says so.
        found: Option<String>,
    },
    /// A sealed private key is not as cosign writes one.
    #[error("the sealed private key is malformed: {reason}")]
    Sealed {
        /// In what way.
        reason: String,
    },
    /// A key would replace one that is there.
    #[error("there is a key already")]
    KeyExists,
    /// A sealed private key needs a password.
    #[error("the private key is sealed with a password")]
    PasswordNeeded,
    /// The password does not open the private key.
    #[error("the password does not open the private key, or the key was changed")]
    WrongPassword,
    /// A signature is no base64 of an ASN.1 ECDSA signature.
    #[error("`{found}` is not an ECDSA signature in base64")]
    SignatureText {
        /// The text.
        found: String,
    },
    /// A signature does not fit its bytes and key.
    #[error("the signature of the {what} is not by the key `{key}`, or the {what} was changed")]
    BadSignature {
        /// What was signed.
        what: &'static str,
        /// The digest of the public key.
        key: Digest,
    },
    /// A document cannot be parsed.
    #[error("failed to parse the {what}")]
    Document {
        /// What it should be.
        what: &'static str,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// A document is of another type.
    #[error("the {what} is `{found}`, not `{expected}`")]
    Type {
        /// Which of its types.
        what: &'static str,
        /// What it is.
        found: String,
        /// What it must be.
        expected: String,
    },
    /// An envelope's payload is no base64.
    #[error("the envelope's payload is not base64")]
    Base64,
    /// The signature holds, but for something else.
    #[error("what was signed is {}, not {expected}", signed.iter().map(Digest::to_string).collect::<Vec<_>>().join(", "))]
    Subject {
        /// What it must be for.
        expected: Digest,
        /// What it is for.
        signed: Vec<Digest>,
    },
    /// The statement is about an image made from another lock.
    #[error("the statement is about {}, not {lock}", signed.map_or("no lock".to_owned(), |signed| format!("the lock {signed}")))]
    Lock {
        /// The lock at hand.
        lock: Digest,
        /// The lock of the statement, if it names one.
        signed: Option<Digest>,
    },
    /// The statement names other artifacts than the lock.
    #[error(
        "the statement's artifacts are not the lock's: {}",
        difference(missing, unknown)
    )]
    Artifacts {
        /// Files that only the lock has.
        missing: Vec<String>,
        /// Files that only the statement has.
        unknown: Vec<String>,
    },
    /// A package's licence cannot be read.
    #[error(transparent)]
    Licence(#[from] LicenceError),
}

/// How many files a message names.
const NAMED: usize = 5;

fn difference(missing: &[String], unknown: &[String]) -> String {
    let named = |files: &[String], what: &str| {
        let more = match files.len() {
            0..=NAMED => String::new(),
            all => format!(" and {} more", all - NAMED),
        };
        let first: Vec<_> = files
            .iter()
            .take(NAMED)
            .map(|file| format!("`{file}`"))
            .collect();
        (!files.is_empty()).then(|| format!("{what} {}{more}", first.join(", ")))
    };
    let parts = [named(missing, "it lacks"), named(unknown, "it adds")];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// The tree of a package is not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the tree of `{package}` is not there to read its licence from")]
pub struct LicenceError {
    /// The package.
    pub package: String,
}

impl AttestError {
    /// Returns a function for `map_err` that adds the file.
    pub fn in_file(file: impl Into<PathBuf>) -> impl FnOnce(Self) -> Self {
        let file = file.into();
        |source| Self::In {
            file,
            source: Box::new(source),
        }
    }
}

impl Explain for AttestError {
    fn kind(&self) -> Kind {
        match self {
            Self::In { source, .. } => source.kind(),
            Self::Fs(error) => error.kind(),
            Self::BadSignature { .. }
            | Self::Subject { .. }
            | Self::Lock { .. }
            | Self::Artifacts { .. } => Kind::Integrity,
            Self::Licence(_) => Kind::Internal,
            _ => Kind::User,
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::In { source, .. } => return source.hints(),
            Self::Fs(error) => return error.hints(),
            Self::Platform { locked, .. } => {
                let locked: Vec<_> = locked.iter().map(ToString::to_string).collect();
                return vec![format!("take one of the lock's: {}", locked.join(", "))];
            }
            Self::Pem { .. } => "copy the file again, with its first and last line",
            Self::Label { what, .. } => {
                return vec![format!("give the file that holds the {what}")];
            }
            Self::KeyType { .. } => {
                "make a key with `envbox key generate` or `cosign generate-key-pair`"
            }
            Self::Sealed { .. } => "copy the file again, or make a key with `envbox key generate`",
            Self::KeyExists => "choose another prefix; what the old key signed needs it",
            Self::PasswordNeeded => "set `COSIGN_PASSWORD`, or type it on a terminal",
            Self::WrongPassword => "check `COSIGN_PASSWORD`",
            Self::SignatureText { .. }
            | Self::Base64
            | Self::Document { .. }
            | Self::Type { .. } => "give the file as it was written when it was signed",
            Self::BadSignature { .. } => {
                "check that the key is the signer's; if it is, do not use what was signed"
            }
            Self::Subject { .. } => "get the signature that belongs to this digest",
            Self::Lock { .. } | Self::Artifacts { .. } => {
                "take the lockfile that the image was built from"
            }
            Self::Licence(_) => "report this, with the lockfile and the lines above",
        };
        vec![hint.to_owned()]
    }
}
