//! Why a file could not be read as what it seemed to be.

use std::io;

/// Why a file could not be read as what it seemed to be: then it is compared more simply.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("{0}")]
    Malformed(String),
    #[error("{0} is not understood")]
    Unsupported(String),
    #[error("{what} is more than the limit of {limit}")]
    TooMuch { what: String, limit: u64 },
    #[error("failed to read: {0}")]
    Io(#[from] io::Error),
}

impl Fault {
    /// Returns the fault of bytes that are not what the format says.
    pub(crate) fn malformed(reason: impl Into<String>) -> Self {
        Self::Malformed(reason.into())
    }

    /// Returns the fault of a reader of somebody else's.
    pub(crate) fn of(error: impl std::fmt::Display) -> Self {
        Self::Malformed(error.to_string())
    }
}
