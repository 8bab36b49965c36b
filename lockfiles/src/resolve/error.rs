//! Why a manifest could not be locked.

use crate::base::{Explain, Kind, Platform};
use crate::net::NetError;
use crate::resolve::OtherPackage;
use crate::resolve::conda::CondaError;
use crate::resolve::debian::DebianError;
use crate::resolve::interpreter::InterpreterError;
use crate::resolve::python::PythonError;

/// A manifest could not be locked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// The base could not.
    #[error(transparent)]
    Debian(#[from] DebianError),
    /// The interpreter could not.
    #[error(transparent)]
    Interpreter(#[from] InterpreterError),
    /// The wheels could not.
    #[error(transparent)]
    Python(#[from] PythonError),
    /// The conda packages could not.
    #[error(transparent)]
    Conda(#[from] CondaError),
    /// Each side could be, but not both together.
    #[error(
        "the conda dependencies and the Python requirements exclude each other on {platform}: {}",
        listed(demands)
    )]
    Border {
        /// The platform.
        platform: Platform,
        /// What the Python side requires of conda packages that conda keeps at another version.
        demands: Vec<String>,
        /// Either side's derivation.
        #[source]
        conflict: Conflict,
    },
    /// A channel has another package than the one that is pinned.
    #[error(transparent)]
    OtherPackage(#[from] OtherPackage),
    /// No request can be made.
    #[error(transparent)]
    Net(#[from] NetError),
    /// There are Python requirements but no Python.
    #[error("the manifest has Python requirements, but no Python")]
    NoInterpreter,
    /// The base has no C library, or one without a version that wheels could be chosen for.
    #[error("`{found}` of the base is no version of the GNU C library")]
    NoLibrary {
        /// The version of `libc6`; empty when there is none.
        found: String,
    },
    /// The image has no C library that wheels and interpreters run on.
    #[error("`{image}` has no GNU C library for {platform}, which Python and its wheels need")]
    ImageLibrary {
        /// The image.
        image: String,
        /// The platform.
        platform: Platform,
    },
    /// The manifest names an image, and the caller did not say what it is.
    #[error("the image of the manifest was not looked up")]
    NoImage,
}

/// Why either side does not give way to the other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Python: {python}\nconda: {conda}")]
pub struct Conflict {
    /// uv's derivation.
    pub python: String,
    /// resolvo's, or that it found nothing in so many rounds.
    pub conda: String,
}

fn listed(demands: &[String]) -> String {
    demands.join("; ")
}

impl Explain for ResolveError {
    fn kind(&self) -> Kind {
        match self {
            Self::Debian(error) => error.kind(),
            Self::Interpreter(error) => error.kind(),
            Self::Python(error) => error.kind(),
            Self::Net(error) => error.kind(),
            Self::Conda(error) => error.kind(),
            Self::OtherPackage(_) => Kind::Integrity,
            Self::Border { .. } | Self::NoInterpreter => Kind::User,
            Self::ImageLibrary { .. } => Kind::User,
            Self::NoLibrary { .. } | Self::NoImage => Kind::Internal,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Debian(error) => error.hints(),
            Self::Interpreter(error) => error.hints(),
            Self::Python(error) => error.hints(),
            Self::Net(error) => error.hints(),
            Self::Conda(error) => error.hints(),
            Self::OtherPackage(_) => vec!["use a channel that has the same files".to_owned()],
            Self::Border { .. } => vec![
                "loosen one of the two sides, or take what they disagree on from one of them alone"
                    .to_owned(),
            ],
            Self::NoInterpreter => vec![
                "set `python` in `[environment]`, or add it to the `dependencies` of `[conda]`"
                    .to_owned(),
            ],
            Self::ImageLibrary { .. } => vec![
                "choose an image of Debian, Ubuntu, Fedora or another system with glibc".to_owned(),
            ],
            Self::NoLibrary { .. } | Self::NoImage => Vec::new(),
        }
    }
}
