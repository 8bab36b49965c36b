//! `envbox init`: a first manifest.

use std::path::{Path, PathBuf};

use envbox_lockfiles::base::fs;
use envbox_lockfiles::foreign::{Choice, LeftOut, outline};
use envbox_lockfiles::manifest::{MANIFEST, Manifest, init_text};
use serde::Serialize;

use crate::ops::Error;

/// What `init` did.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct InitReport {
    /// The manifest it wrote.
    pub manifest: PathBuf,
    /// What the file that it was made of says, and it does not.
    pub left_out: Vec<LeftOut>,
}

/// Writes an `envbox.toml` into `directory`, which refers to a `pyproject.toml` or
/// `requirements.txt` that is there.
///
/// # Errors
/// Returns [`Error::ManifestExists`] when there is one; it is left as it is.
pub fn init(directory: &Path) -> Result<InitReport, Error> {
    let manifest = absent(directory)?;
    let text = init_text(directory)?;
    fs::write_atomic(&manifest, text.as_bytes())?;
    let left_out = Vec::new();
    Ok(InitReport { manifest, left_out })
}

/// Writes an `envbox.toml` into `directory` that asks for what `file` asks for.
///
/// # Errors
/// As [`init`], and what reading `file` returns.
pub fn init_from(directory: &Path, file: &Path, choice: &Choice) -> Result<InitReport, Error> {
    let manifest = absent(directory)?;
    let (mut outline, left_out) = outline(file, choice)?;
    // Files that the manifest names are named from where it is.
    let below = file
        .parent()
        .and_then(|parent| parent.strip_prefix(directory).ok());
    for from in &mut outline.requirements_from {
        let path = match below {
            Some(below) => below.join(&from.file),
            None => file.with_file_name(&from.file),
        };
        from.file = path.to_string_lossy().into_owned();
    }
    let name = |path: &Path| {
        path.file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    };
    let comment = format!("Made of `{}` by `envbox init`.", name(file));
    let text = outline.manifest(&comment, &name(directory));
    Manifest::parse(&text, &manifest)?;
    fs::write_atomic(&manifest, text.as_bytes())?;
    Ok(InitReport { manifest, left_out })
}

fn absent(directory: &Path) -> Result<PathBuf, Error> {
    let manifest = directory.join(MANIFEST);
    match manifest.symlink_metadata() {
        Ok(_) => Err(Error::ManifestExists { file: manifest }),
        Err(_) => Ok(manifest),
    }
}
