//! Why the policy of an image cannot be used.

use std::path::PathBuf;

use envbox_lockfiles::base::{Explain, FsError, Kind};

/// The policy of an image cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InsideError {
    /// It is no policy.
    #[error("`{}` is not a policy that this envbox knows", file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// It has a value that no manifest can have.
    #[error("`{}` has an invalid `{key}`", file.display())]
    Invalid {
        /// The file.
        file: PathBuf,
        /// Its key.
        key: &'static str,
    },
    /// It cannot be read.
    #[error(transparent)]
    File(#[from] FsError),
}

impl Explain for InsideError {
    fn kind(&self) -> Kind {
        match self {
            Self::Malformed { .. } | Self::Invalid { .. } => Kind::User,
            Self::File(error) => error.kind(),
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Malformed { .. } | Self::Invalid { .. } => vec![
                "run the envbox that is in the image, or build the image again with this one"
                    .to_owned(),
            ],
            Self::File(error) => error.hints(),
        }
    }
}
