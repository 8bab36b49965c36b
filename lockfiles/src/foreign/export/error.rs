//! Why a lock cannot be written as another tool's file.

use crate::base::{Explain, Kind, Platform};
use crate::net::NetError;
use crate::resolve::conda::CondaError;
use crate::resolve::python::PythonError;

/// A lock cannot be written as another tool's file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The lock is for other platforms.
    #[error("the lockfile is not for {platform}")]
    OtherPlatform {
        /// The platform.
        platform: Platform,
        /// Those of the lock.
        known: Vec<Platform>,
    },
    /// The lock has nothing that the format can say.
    #[error("the lockfile has no {what}, and {format} holds nothing else")]
    Nothing {
        /// What is missing.
        what: &'static str,
        /// The format.
        format: &'static str,
    },
    /// The lock has something that the format cannot say.
    #[error("the lockfile has {what}, which {format} cannot hold")]
    NoWords {
        /// What it is.
        what: String,
        /// The format.
        format: &'static str,
    },
    /// A wheel is nowhere, for envbox built it, and the format has no words for its source.
    #[error("`{file}` was built of `{source_file}`, which {format} cannot hold")]
    Built {
        /// The wheel.
        file: String,
        /// What it was built of.
        source_file: String,
        /// The format.
        format: &'static str,
    },
    /// Where wheels lie could not be found out.
    #[error(transparent)]
    Python(#[from] PythonError),
    /// What channels list could not be found out.
    #[error(transparent)]
    Conda(#[from] CondaError),
    /// A registry has no place.
    #[error(transparent)]
    Net(#[from] NetError),
}

impl Explain for ExportError {
    fn kind(&self) -> Kind {
        match self {
            Self::OtherPlatform { .. }
            | Self::Nothing { .. }
            | Self::NoWords { .. }
            | Self::Built { .. } => Kind::User,
            Self::Python(error) => error.kind(),
            Self::Conda(error) => error.kind(),
            Self::Net(error) => error.kind(),
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::OtherPlatform { known, .. } => {
                let known: Vec<_> = known.iter().map(ToString::to_string).collect();
                vec![format!("use `--platform` with {}", known.join(" or "))]
            }
            Self::Nothing { .. } | Self::NoWords { .. } => {
                vec!["choose another format: `envbox export --help` lists them".to_owned()]
            }
            Self::Built { .. } => vec![
                "export `pylock`, which has sources, or build an image with `envbox build`"
                    .to_owned(),
            ],
            Self::Python(error) => error.hints(),
            Self::Conda(error) => error.hints(),
            Self::Net(error) => error.hints(),
        }
    }
}
