//! What can be wrong with a lockfile.

use std::path::PathBuf;

use crate::base::{Explain, FsError, Kind};
use crate::lock::order::Disorder;
use crate::lock::wire::InvalidEntry;

/// A lockfile cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// There is none.
    #[error("there is no lockfile `{}`", file.display())]
    Missing {
        /// Where it should be.
        file: PathBuf,
    },
    /// It cannot be read or written.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// It is not UTF-8.
    #[error("`{}` is not UTF-8", file.display())]
    Encoding {
        /// The lockfile.
        file: PathBuf,
    },
    /// A merge left its markers.
    #[error("`{}` has unresolved merge conflict markers (line {line})", file.display())]
    MergeConflict {
        /// The lockfile.
        file: PathBuf,
        /// The first marker's line, from 1.
        line: usize,
    },
    /// Something made its line feeds carriage returns and line feeds.
    #[error("`{}` has the line endings of Windows", file.display())]
    LineEndings {
        /// The lockfile.
        file: PathBuf,
    },
    /// A newer envbox wrote it.
    #[error("`{}` has format version {found}, and this envbox reads up to {known}", file.display())]
    TooNew {
        /// The lockfile.
        file: PathBuf,
        /// Its version.
        found: u64,
        /// The newest that this program knows.
        known: u64,
    },
    /// No envbox ever wrote it.
    #[error("`{}` has format version {found}, which there never was", file.display())]
    UnknownVersion {
        /// The lockfile.
        file: PathBuf,
        /// Its version.
        found: u64,
    },
    /// It is no TOML, or not of a lock's shape.
    #[error("failed to parse `{}`", file.display())]
    Syntax {
        /// The lockfile.
        file: PathBuf,
        /// Where and what.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// An entry contradicts itself.
    #[error("`{}` has an entry that cannot be", file.display())]
    Entry {
        /// The lockfile.
        file: PathBuf,
        /// Which and why.
        #[source]
        source: InvalidEntry,
    },
    /// What it says of a driver or a GPU cannot be.
    #[error("line {line} of `{}` says something of a GPU that cannot be", file.display())]
    Gpu {
        /// The lockfile.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// Which and why.
        #[source]
        source: InvalidEntry,
    },
    /// Entries are not in order, or one stands twice.
    #[error("`{}` has entries out of order or twice", file.display())]
    Unsorted {
        /// The lockfile.
        file: PathBuf,
        /// Which.
        #[source]
        source: Disorder,
    },
    /// A value was changed by hand, or by a merge that met no conflict.
    #[error(
        "`{}` was edited by hand or merged line by line: what it says does not match its \
         `digest` line",
        file.display()
    )]
    BrokenSeal {
        /// The lockfile.
        file: PathBuf,
    },
    /// The same values in another spelling.
    #[error("line {line} of `{}` is not as `envbox lock` writes it", file.display())]
    NotCanonical {
        /// The lockfile.
        file: PathBuf,
        /// The first such line, from 1.
        line: usize,
    },
}

impl Explain for LockError {
    fn kind(&self) -> Kind {
        match self {
            Self::Missing { .. } => Kind::Stale,
            Self::Fs(error) => error.kind(),
            Self::Entry { .. }
            | Self::Gpu { .. }
            | Self::Unsorted { .. }
            | Self::BrokenSeal { .. }
            | Self::NotCanonical { .. } => Kind::Integrity,
            Self::Encoding { .. }
            | Self::MergeConflict { .. }
            | Self::LineEndings { .. }
            | Self::TooNew { .. }
            | Self::UnknownVersion { .. }
            | Self::Syntax { .. } => Kind::User,
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Missing { .. } => "run `envbox lock` to make it",
            Self::Fs(error) => match error.source.kind() {
                std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                    "free some space"
                }
                std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
                    "give yourself access to it"
                }
                _ => return Vec::new(),
            },
            Self::MergeConflict { .. } => {
                "take either side whole, then run `envbox lock` to bring it up to date"
            }
            Self::LineEndings { .. } => {
                "write `envbox.lock -text` in `.gitattributes` and check the file out again"
            }
            Self::TooNew { .. } => "update envbox",
            Self::Gpu { .. } => {
                "restore it from version control, or run `envbox lock --gpu` on a host with the GPU to \
                 write it anew"
            }
            Self::Encoding { .. }
            | Self::UnknownVersion { .. }
            | Self::Syntax { .. }
            | Self::Entry { .. }
            | Self::Unsorted { .. }
            | Self::BrokenSeal { .. }
            | Self::NotCanonical { .. } => {
                "run `envbox lock` to write it anew, or restore it from version control"
            }
        };
        vec![hint.to_owned()]
    }
}
