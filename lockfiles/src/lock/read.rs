//! Bytes to [`Lockfile`], with one error for each way in which they can be wrong.

use std::path::Path;

use crate::base::fs;
use crate::lock::error::LockError;
use crate::lock::schema::Lockfile;
use crate::lock::version::{CURRENT, OLDEST};
use crate::lock::wire::{LockWire, VersionWire};

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
        // Before TOML has its say: these would be mere syntax errors.
        if let Some(line) = text.lines().position(is_merge_marker) {
            let line = line + 1;
            return Err(LockError::MergeConflict { file, line });
        }
        if text.contains("\r\n") {
            return Err(LockError::LineEndings { file });
        }
        let syntax = |source| LockError::Syntax {
            file: file.clone(),
            source: Box::new(source),
        };
        let wire = match toml::from_str::<LockWire>(text) {
            Ok(wire) if (OLDEST..=CURRENT).contains(&wire.version) => wire,
            other => {
                // Another version may have another shape, so that comes before what is wrong.
                let VersionWire { version } = toml::from_str(text).map_err(syntax)?;
                check_version(version, &file)?;
                other.map_err(syntax)?
            }
        };
        let seal = wire.digest;
        let lock = wire.into_lockfile().map_err(|source| {
            let file = file.clone();
            match source.place.clone() {
                Some(place) => LockError::Gpu {
                    file,
                    line: 1 + text.as_bytes()[..place.start]
                        .iter()
                        .filter(|byte| **byte == b'\n')
                        .count(),
                    source,
                },
                None => LockError::Entry { file, source },
            }
        })?;
        if let Some(source) = lock.disorder() {
            return Err(LockError::Unsorted { file, source });
        }
        let (canonical, expected) = lock.sealed();
        if seal != expected {
            return Err(LockError::BrokenSeal { file });
        }
        match first_difference(text, canonical.as_bytes()) {
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

fn check_version(found: u64, file: &Path) -> Result<(), LockError> {
    let file = file.to_path_buf();
    match found {
        found if found > CURRENT => Err(LockError::TooNew {
            file,
            found,
            known: CURRENT,
        }),
        found if found < OLDEST => Err(LockError::UnknownVersion { file, found }),
        _ => Ok(()),
    }
}

/// No canonical line begins so.
fn is_merge_marker(line: &str) -> bool {
    ["<<<<<<<", "|||||||", "=======", ">>>>>>>"]
        .iter()
        .any(|marker| line.starts_with(marker))
}

/// Returns the first line, from 1, in which `text` is not `canonical`.
fn first_difference(text: &str, canonical: &[u8]) -> Option<usize> {
    if text.as_bytes() == canonical {
        return None;
    }
    let pairs = text.bytes().zip(canonical.iter().copied());
    let common = pairs.take_while(|(found, expected)| found == expected);
    Some(common.filter(|(found, _)| *found == b'\n').count() + 1)
}
