//! What can go wrong in the store.

use std::io;
use std::path::PathBuf;

use envbox_lockfiles::base::{Digest, Explain, FsError, Kind};

/// The store could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Something else than a directory has the store's name.
    #[error("the store `{}` is not a directory", path.display())]
    NotADirectory {
        /// The store.
        path: PathBuf,
    },
    /// The directory holds files, but not those of a store.
    #[error("`{}` is not a store, and not empty either", path.display())]
    NotAStore {
        /// The directory.
        path: PathBuf,
    },
    /// A later envbox made the store.
    #[error("the store `{}` has layout version {found}; this envbox knows version {known}", path.display())]
    Newer {
        /// The store.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The version that this program reads and writes.
        known: u32,
    },
    /// The `version` file is not a number.
    #[error("the store `{}` has a damaged `version` file", path.display())]
    Damaged {
        /// The store.
        path: PathBuf,
    },
    /// The store must be written to and cannot.
    #[error("the store cannot be written")]
    Unwritable(#[source] FsError),
    /// The disk or the quota is full.
    #[error("there is no space left for the store")]
    Full(#[source] FsError),
    /// Any other file operation failed.
    #[error(transparent)]
    File(FsError),
    /// The bytes are not those that were promised.
    #[error("expected {expected}, found {found}")]
    WrongDigest {
        /// The digest that was promised.
        expected: Digest,
        /// The digest of what came.
        found: Digest,
    },
    /// There are more or fewer bytes than promised.
    #[error("expected {expected} bytes, found {found}")]
    WrongSize {
        /// The size that was promised.
        expected: u64,
        /// The size of what came, or how many bytes came before it was too many.
        found: u64,
    },
}

impl StoreError {
    /// Says whether the reason is that the store may only be read.
    pub fn is_unwritable(&self) -> bool {
        matches!(self, Self::Unwritable(_))
    }
}

impl From<FsError> for StoreError {
    fn from(error: FsError) -> Self {
        match error.source.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::Unwritable(error)
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full(error),
            _ => Self::File(error),
        }
    }
}

impl Explain for StoreError {
    fn kind(&self) -> Kind {
        match self {
            Self::NotADirectory { .. } | Self::NotAStore { .. } | Self::Newer { .. } => Kind::User,
            Self::WrongDigest { .. } | Self::WrongSize { .. } => Kind::Integrity,
            Self::Damaged { .. } | Self::Unwritable(_) | Self::Full(_) | Self::File(_) => {
                Kind::Host
            }
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::NotADirectory { .. } | Self::NotAStore { .. } => {
                "choose another directory with `ENVBOX_STORE`"
            }
            Self::Newer { .. } => "update envbox, or choose another directory with `ENVBOX_STORE`",
            Self::Damaged { .. } => "remove the store; everything in it can be made again",
            Self::Unwritable(error) | Self::Full(error) | Self::File(error) => {
                return error.hints();
            }
            Self::WrongDigest { .. } | Self::WrongSize { .. } => return Vec::new(),
        };
        vec![hint.to_owned()]
    }
}
