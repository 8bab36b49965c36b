//! Why a manifest could not be locked.

use crate::base::{Explain, Kind, Platform};
use crate::net::NetError;
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

impl Explain for ResolveError {
    fn kind(&self) -> Kind {
        match self {
            Self::Debian(error) => error.kind(),
            Self::Interpreter(error) => error.kind(),
            Self::Python(error) => error.kind(),
            Self::Net(error) => error.kind(),
            Self::NoInterpreter => Kind::User,
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
            Self::NoInterpreter => vec!["set `python` in `[environment]`".to_owned()],
            Self::ImageLibrary { .. } => vec![
                "choose an image of Debian, Ubuntu, Fedora or another system with glibc".to_owned(),
            ],
            Self::NoLibrary { .. } | Self::NoImage => Vec::new(),
        }
    }
}
