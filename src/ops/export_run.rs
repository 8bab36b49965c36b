//! `envbox export` of a run.

use std::fs;
use std::path::{Path, PathBuf};

use envbox_lockfiles::base::fs::{create_dir_all, write_atomic};
use envbox_lockfiles::base::{Context, FsError};
use serde::Serialize;

use crate::ops::Error;
use crate::ops::replay::require_empty;
use crate::record::RunRecord;
use crate::standards::{RoCrate, ro_crate};
use crate::store::Store;

/// What was written.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct CrateReport {
    /// The crate's directory.
    pub directory: PathBuf,
    /// How many files it has besides its description.
    pub files: usize,
}

/// Writes the RO-Crate of a run to `directory`, which must be empty or absent, with the outputs that
/// the store keeps.
///
/// # Errors
/// Returns [`Error`]; the directory then has a part of it.
pub fn write_ro_crate(
    context: &Context,
    record: &RunRecord,
    directory: &Path,
) -> Result<CrateReport, Error> {
    let store = Store::open(&context.store)?;
    require_empty(directory)?;
    let RoCrate { metadata, files } = ro_crate(record, |digest| store.blob(digest).is_some());
    create_dir_all(directory)?;
    write_atomic(&directory.join("run.json"), &record.to_bytes())?;
    for file in files.iter().filter(|file| file.path != "run.json") {
        let place = directory.join(&file.path);
        if let (Some(parent), Some(blob)) = (place.parent(), store.blob(&file.sha256)) {
            create_dir_all(parent)?;
            fs::copy(blob, &place).map_err(FsError::at("write", &place))?;
        }
    }
    write_atomic(&directory.join("ro-crate-metadata.json"), &metadata)?;
    Ok(CrateReport {
        directory: directory.to_path_buf(),
        files: files.len(),
    })
}
