//! What can be wrong with another tool's file.

use std::error::Error;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::base::{Explain, FsError, Kind};
use crate::foreign::Format;
use crate::manifest::ManifestError;

/// Another tool's file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForeignError {
    /// It cannot be read.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// It is not UTF-8.
    #[error("`{}` is not UTF-8", file.display())]
    Encoding {
        /// The file.
        file: PathBuf,
    },
    /// Neither its name nor what it begins with is known.
    #[error("`{}` is no file that envbox takes pins from", file.display())]
    Unknown {
        /// The file.
        file: PathBuf,
        /// What it is taken for, if it is a known file of another kind.
        instead: Option<&'static str>,
    },
    /// It is not of its format's shape.
    #[error("failed to read `{}` as a {format}", file.display())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// What it should be.
        format: Format,
        /// Where and what.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// A version that is not known.
    #[error("`{}` is a {format} of version {found}, and envbox reads {known}", file.display())]
    Version {
        /// The file.
        file: PathBuf,
        /// What it is.
        format: Format,
        /// Its version.
        found: String,
        /// Those that are read.
        known: &'static str,
    },
    /// A value that its own grammar refuses.
    #[error("`{}`: `{found}` of {entry} is not {expected}", file.display())]
    Value {
        /// The file.
        file: PathBuf,
        /// The entry that it is in.
        entry: String,
        /// The value.
        found: String,
        /// What it should be.
        expected: &'static str,
        /// The grammar's words.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// An extra, a group or an environment that it does not have.
    #[error("`{}` has no {kind} `{found}`", file.display())]
    UnknownName {
        /// The file.
        file: PathBuf,
        /// `extra`, `dependency group` or `environment`.
        kind: &'static str,
        /// What was asked for.
        found: String,
        /// What it has.
        known: Vec<String>,
    },
    /// A file of requirements is wrong.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

/// Says whether people write the file, and no tool.
fn is_written_by_hand(file: &Path) -> bool {
    let name = file.file_name().and_then(OsStr::to_str).unwrap_or_default();
    !name.ends_with(".lock") && !name.starts_with("pylock.") && !name.contains("conda-lock")
}

impl Explain for ForeignError {
    fn kind(&self) -> Kind {
        match self {
            Self::Fs(error) if error.source.kind() == std::io::ErrorKind::NotFound => Kind::User,
            Self::Fs(error) => error.kind(),
            Self::Manifest(error) => error.kind(),
            _ => Kind::User,
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Fs(error) if error.source.kind() == std::io::ErrorKind::NotFound => {
                "correct the path".to_owned()
            }
            Self::Fs(error) => return error.hints(),
            Self::Encoding { .. } => "save the file as UTF-8".to_owned(),
            Self::Unknown {
                instead: Some(instead),
                ..
            } => (*instead).to_owned(),
            Self::Unknown { .. } => {
                "give `uv.lock`, `pylock.toml`, `pixi.lock`, `conda-lock.yml` or `requirements.txt`"
                    .to_owned()
            }
            Self::Syntax { file, .. } | Self::Value { file, .. } if is_written_by_hand(file) => {
                "correct it in the file".to_owned()
            }
            Self::Syntax { .. } | Self::Value { .. } => {
                "write it anew with the tool that made it".to_owned()
            }
            Self::Version { .. } => {
                "update envbox, or write the file with an older version of the tool that made it"
                    .to_owned()
            }
            Self::UnknownName { kind, known, .. } if known.is_empty() => {
                format!("leave it out: the file has no {kind} at all")
            }
            Self::UnknownName { known, .. } => {
                let quoted: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
                format!("use one of {}", quoted.join(", "))
            }
            Self::Manifest(error) => return error.hints(),
        };
        vec![hint]
    }
}
