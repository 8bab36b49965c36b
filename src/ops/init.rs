//! `envbox init`: a first manifest.

use std::path::{Path, PathBuf};

use envbox_lockfiles::base::fs;
use envbox_lockfiles::manifest::{MANIFEST, init_text};
use serde::Serialize;

use crate::ops::Error;

/// What `init` did.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct InitReport {
    /// The manifest it wrote.
    pub manifest: PathBuf,
}

/// Writes an `envbox.toml` into `directory`, which refers to a `pyproject.toml` or
/// `requirements.txt` that is there.
///
/// # Errors
/// Returns [`Error::ManifestExists`] when there is one; it is left as it is.
pub fn init(directory: &Path) -> Result<InitReport, Error> {
    let manifest = directory.join(MANIFEST);
    if manifest.symlink_metadata().is_ok() {
        return Err(Error::ManifestExists { file: manifest });
    }
    let text = init_text(directory)?;
    fs::write_atomic(&manifest, text.as_bytes())?;
    Ok(InitReport { manifest })
}
