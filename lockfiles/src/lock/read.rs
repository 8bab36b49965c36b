//! Bytes to [`Lockfile`], with one error for each way in which they can be wrong.

use std::path::{Path, PathBuf};

use crate::base::{Explain, FsError, Kind, fs};
use crate::lock::schema::Lockfile;
use crate::lock::version::CURRENT;
use crate::lock::wire::{InvalidEntry, LockWire, VersionWire};

/// A lockfile cannot be used.
#[derive(Debug, thiserror::Error)]
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
    /// A merge left its markers.
    #[error("`{}` has unresolved merge conflict markers (line {line})", file.display())]
    MergeConflict {
        /// The lockfile.
        file: PathBuf,
        /// The first marker's line, from 1.
        line: usize,
    },
    /// A newer envbox wrote it.
    #[error("`{}` has format version {found}, and this envbox reads up to {known}", file.display())]
    TooNew {
        /// The lockfile.
        file: PathBuf,
        /// Its version.
        found: u32,
        /// The newest that this program knows.
        known: u32,
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
    /// It is not UTF-8.
    #[error("`{}` is not UTF-8", file.display())]
    Encoding {
        /// The lockfile.
        file: PathBuf,
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
    /// Entries are not in order, or one stands twice.
    #[error("`{}` has entries out of order or twice", file.display())]
    Unsorted {
        /// The lockfile.
        file: PathBuf,
    },
    /// A value was changed by hand.
    #[error("`{}` was edited by hand: what it says does not match its `digest` line", file.display())]
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
            Self::BrokenSeal { .. } | Self::NotCanonical { .. } | Self::Unsorted { .. } => {
                Kind::Integrity
            }
            _ => Kind::User,
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Missing { .. } => "run `envbox lock` to make it",
            Self::Fs(error) => return error.hints(),
            Self::TooNew { .. } => "update envbox, or run `envbox lock` to write the lock anew",
            Self::MergeConflict { .. } => {
                "take either side whole, then run `envbox lock` to bring it up to date"
            }
            _ => "run `envbox lock` to write it anew, or restore it from version control",
        };
        vec![hint.to_owned()]
    }
}

impl Lockfile {
    /// Reads a lock that is exactly what [`Lockfile::to_bytes`] writes.
    ///
    /// # Errors
    /// Returns a [`LockError`] that names `file` for anything else.
    pub fn parse(bytes: &[u8], file: &Path) -> Result<Self, LockError> {
        let file = file.to_path_buf();
        let Ok(text) = std::str::from_utf8(bytes) else {
            return Err(LockError::Encoding { file });
        };
        if let Some(line) = text.lines().position(is_merge_marker) {
            return Err(LockError::MergeConflict {
                file,
                line: line + 1,
            });
        }
        let syntax = |source| LockError::Syntax {
            file: file.clone(),
            source: Box::new(source),
        };
        let VersionWire { version } = toml::from_str(text).map_err(syntax)?;
        if version > CURRENT {
            return Err(LockError::TooNew {
                file,
                found: version,
                known: CURRENT,
            });
        }
        let wire: LockWire = toml::from_str(text).map_err(syntax)?;
        let seal = wire.digest;
        let lock = wire.into_lockfile().map_err(|source| LockError::Entry {
            file: file.clone(),
            source,
        })?;
        if !lock.is_sorted() {
            return Err(LockError::Unsorted { file });
        }
        if lock.digest() != seal {
            return Err(LockError::BrokenSeal { file });
        }
        match first_difference(text, &lock.to_bytes()) {
            None => Ok(lock),
            Some(line) => Err(LockError::NotCanonical { file, line }),
        }
    }

    /// Reads the lock at `file`.
    ///
    /// # Errors
    /// As [`Lockfile::parse`], and [`LockError::Missing`].
    pub fn read(file: &Path) -> Result<Self, LockError> {
        match fs::read(file) {
            Ok(bytes) => Self::parse(&bytes, file),
            Err(error) if error.source.kind() == std::io::ErrorKind::NotFound => {
                Err(LockError::Missing {
                    file: file.to_path_buf(),
                })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Writes the lock to `file` in one step.
    ///
    /// # Errors
    /// Returns [`LockError::Fs`]; the old file is then unchanged.
    pub fn write(&self, file: &Path) -> Result<(), LockError> {
        Ok(fs::write_atomic(file, &self.to_bytes())?)
    }
}

fn is_merge_marker(line: &str) -> bool {
    ["<<<<<<< ", "=======", ">>>>>>> "]
        .iter()
        .any(|marker| line.starts_with(marker))
}

/// Returns the first line, from 1, in which `text` is not `canonical`.
fn first_difference(text: &str, canonical: &[u8]) -> Option<usize> {
    if text.as_bytes() == canonical {
        return None;
    }
    let common = text
        .bytes()
        .zip(canonical.iter().copied())
        .take_while(|(a, b)| a == b)
        .count();
    Some(
        text.as_bytes()[..common]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count()
            + 1,
    )
}
