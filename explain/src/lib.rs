//! Says in what two outputs differ, by meaning: which element of which array, which line, which
//! member, and whether only what carries no value differs.
//!
//! ```text
//! two paths ─► kind of file ─► values, read in step ─► differences ─► Explanation
//!   base         formats          pickle, array           base
//! ```
//!
//! Nothing that a file says is run: pickles are read by a machine that makes inert values.
//! Arrays, tables and archives are read piece by piece, documents up to a limit in memory; files
//! made to do harm end in an error or are compared as bytes.
//!
//! | looking for | start at |
//! |---|---|
//! | limits, what is said, how it is written | `src/base/` |
//! | elements, distances, counts | `src/array/` |
//! | pickles, NumPy's and torch's objects in them | `src/pickle/` |
//! | which format a file is, and each format | `src/formats/` |
//! | the files that tests read | `fixtures/explain/`, beside the script that made them |

mod array;
mod base;
mod formats;
mod pickle;

use std::io;
use std::path::{Path, PathBuf};

pub use base::{Difference, Diffoscope, Explanation, Limits, Numbers};
use base::{Fault, Source, Walk};

/// Why two outputs could not be compared at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExplainError {
    /// One of them cannot be opened.
    #[error("failed to open `{}`", path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// One is a file, the other a directory.
    #[error("`{}` is a {old_kind}, `{}` is a {new_kind}", old.display(), new.display())]
    Kinds {
        /// The old one.
        old: PathBuf,
        /// The new one.
        new: PathBuf,
        /// What the old one is.
        old_kind: &'static str,
        /// What the new one is.
        new_kind: &'static str,
    },
    /// They were opened, and could not be read.
    #[error("failed to compare `{}` with `{}`: {reason}", old.display(), new.display())]
    Read {
        /// The old one.
        old: PathBuf,
        /// The new one.
        new: PathBuf,
        /// Why.
        reason: String,
    },
}

/// Tells in what two files or two directories differ. What text is, the ending of the new one's
/// name says.
///
/// # Errors
///
/// When one of them cannot be read, or when one is a file and the other a directory.
pub fn explain(old: &Path, new: &Path, limits: &Limits) -> Result<Explanation, ExplainError> {
    let name = new
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    explain_as(&name.unwrap_or_default(), old, new, limits)
}

/// Tells the same of files that are kept under other names than their own.
///
/// # Errors
///
/// As [`explain`].
pub fn explain_as(
    name: &str,
    old: &Path,
    new: &Path,
    limits: &Limits,
) -> Result<Explanation, ExplainError> {
    let mut walk = Walk::new(limits);
    let told = match (kind(old)?, kind(new)?) {
        ("directory", "directory") => formats::compare_directories(&mut walk, old, new)
            .map(|()| ("directory", walk.mark().is_same(Walk::new(limits).mark()))),
        ("file", "file") => {
            let (left, right) = (open(old)?, open(new)?);
            let pair = formats::Pair {
                at: "",
                name,
                old: &left,
                new: &right,
            };
            formats::compare(&mut walk, pair)
        }
        (old_kind, new_kind) => {
            return Err(ExplainError::Kinds {
                old: old.to_path_buf(),
                new: new.to_path_buf(),
                old_kind,
                new_kind,
            });
        }
    };
    let (kind, same) = told.map_err(|fault: Fault| ExplainError::Read {
        old: old.to_path_buf(),
        new: new.to_path_buf(),
        reason: fault.to_string(),
    })?;
    Ok(walk.finish(kind, same))
}

/// Returns what lies at a path. Pipes and devices are not opened: reading them may never end.
fn kind(path: &Path) -> Result<&'static str, ExplainError> {
    let metadata = std::fs::metadata(path).map_err(|source| ExplainError::Open {
        path: path.to_path_buf(),
        source,
    })?;
    Ok(if metadata.is_dir() {
        "directory"
    } else if metadata.is_file() {
        "file"
    } else {
        "special file"
    })
}

fn open(path: &Path) -> Result<Source, ExplainError> {
    Source::open(path).map_err(|source| ExplainError::Open {
        path: path.to_path_buf(),
        source,
    })
}
