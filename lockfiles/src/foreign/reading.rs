//! Values of another tool's file, and errors that name it.

use std::error::Error;
use std::path::Path;
use std::str::FromStr;

use serde::de::DeserializeOwned;
use uv_distribution_types::PYPI_URL;

use crate::base::Digest;
use crate::foreign::{ForeignError, Format};

/// The file that is read.
#[derive(Clone, Copy)]
pub(super) struct Reading<'a> {
    pub(super) file: &'a Path,
    pub(super) format: Format,
}

impl Reading<'_> {
    /// Reads TOML.
    pub(super) fn toml<T: DeserializeOwned>(self, text: &str) -> Result<T, ForeignError> {
        toml::from_str(text).map_err(|error| self.syntax(error))
    }

    pub(super) fn syntax(self, source: impl Error + Send + Sync + 'static) -> ForeignError {
        ForeignError::Syntax {
            file: self.file.to_path_buf(),
            format: self.format,
            source: Box::new(source),
        }
    }

    pub(super) fn version(self, found: &str, known: &'static str) -> ForeignError {
        ForeignError::Version {
            file: self.file.to_path_buf(),
            format: self.format,
            found: found.to_owned(),
            known,
        }
    }

    /// Parses a value by its type's own grammar.
    pub(super) fn value<T: FromStr>(
        self,
        entry: &str,
        expected: &'static str,
        text: &str,
    ) -> Result<T, ForeignError>
    where
        T::Err: Error + Send + Sync + 'static,
    {
        text.parse()
            .map_err(|error: T::Err| self.invalid(entry, expected, text, error))
    }

    /// Parses the hexadecimal digits of a SHA-256, in either case.
    pub(super) fn sha256(self, entry: &str, hex: &str) -> Result<Digest, ForeignError> {
        Digest::from_hex(&hex.to_ascii_lowercase())
            .map_err(|error| self.invalid(entry, "a SHA-256 digest", hex, error))
    }

    pub(super) fn unknown(
        self,
        kind: &'static str,
        found: &str,
        known: impl IntoIterator<Item = String>,
    ) -> ForeignError {
        ForeignError::UnknownName {
            file: self.file.to_path_buf(),
            kind,
            found: found.to_owned(),
            known: known.into_iter().collect(),
        }
    }

    pub(super) fn invalid(
        self,
        entry: &str,
        expected: &'static str,
        found: &str,
        source: impl Error + Send + Sync + 'static,
    ) -> ForeignError {
        ForeignError::Value {
            file: self.file.to_path_buf(),
            entry: entry.to_owned(),
            found: found.to_owned(),
            expected,
            source: Box::new(source),
        }
    }
}

/// Says whether `url` is where the default registry lies for everybody.
pub(super) fn is_default_index(url: &str) -> bool {
    url.trim_end_matches('/') == PYPI_URL.as_str().trim_end_matches('/')
}
