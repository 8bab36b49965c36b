//! Entries of `[data]` to files on the host.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use envbox_lockfiles::base::{Context, Digest, FsError};
use envbox_lockfiles::manifest::Datum;
use serde::Serialize;

use crate::data::DataError;
use crate::data::directory::directory_digest;
use crate::data::dvc::{Dvc, dvc};
use crate::data::listing::Listing;
use crate::data::pointer::{Pointer, pointer};
use crate::fetch::{FetchError, fetch_url};
use crate::snapshot::Digests;
use crate::store::Store;

/// Data that was verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Input {
    /// Where it is in the project.
    pub path: PathBuf,
    /// Its digest.
    pub digest: Digest,
    /// Where it is on the host: no link.
    pub source: PathBuf,
}

/// Data as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where it is on the host: no link.
    pub source: PathBuf,
    /// Its digest.
    pub digest: Digest,
    /// The size of a file.
    pub size: Option<u64>,
}

/// Finds all data of a manifest, downloads what is not here, and verifies it.
///
/// # Errors
/// Returns [`DataError`] for the first entry that is not as declared.
pub fn inputs(
    context: &Context,
    store: &Store,
    project: &Path,
    data: &[Datum],
) -> Result<Vec<Input>, DataError> {
    if data.is_empty() {
        return Ok(Vec::new());
    }
    let digests = Digests::load(store, project, context.now);
    let inputs: Result<Vec<_>, _> = data
        .iter()
        .map(|datum| input(context, store, project, datum, &digests))
        .collect();
    let inputs = inputs?;
    digests.save()?;
    Ok(inputs)
}

fn input(
    context: &Context,
    store: &Store,
    project: &Path,
    datum: &Datum,
    digests: &Digests,
) -> Result<Input, DataError> {
    let path = datum.path.clone();
    if let (Some(url), Some(size)) = (&datum.url, datum.size) {
        let what = (datum.sha256, size);
        let fetched = fetch_url(context, &path.to_string_lossy(), url, what, store);
        let source = fetched.map_err(|error| not_fetched(&path, error))?;
        return Ok(Input {
            path,
            digest: datum.sha256,
            source,
        });
    }
    let found = find(store, project, &path, digests)?;
    if let (Some(expected), Some(found)) = (datum.size, found.size)
        && expected != found
    {
        return Err(DataError::Size {
            path,
            expected,
            found,
        });
    }
    match found.digest == datum.sha256 {
        true => Ok(Input {
            path,
            digest: found.digest,
            source: found.source,
        }),
        false => Err(changed(project, datum, &found)),
    }
}

fn not_fetched(path: &Path, error: FetchError) -> DataError {
    let path = path.to_path_buf();
    match error {
        FetchError::Integrity { url, source, .. } => DataError::Moved { path, url, source },
        error => DataError::Fetch {
            path,
            source: Box::new(error),
        },
    }
}

/// Says what is not as declared: the file, where DVC lists the files of a directory.
fn changed(project: &Path, datum: &Datum, found: &Found) -> DataError {
    let path = datum.path.clone();
    if found.size.is_none()
        && let Some(Dvc::Directory { name, objects }) = dvc(project, &path)
        && let Ok(listing) = Listing::load(&path, name, &objects)
        && let Ok(Some((file, state))) = listing.difference(&found.source, &path)
    {
        return DataError::Member { path, file, state };
    }
    DataError::Changed {
        path,
        expected: datum.sha256,
        found: found.digest,
    }
}

/// Finds what `path` of the project names, also where a pointer of another tool stands for it.
///
/// # Errors
/// Returns [`DataError`] when there is nothing, or it cannot be read.
pub fn find(
    store: &Store,
    project: &Path,
    path: &Path,
    digests: &Digests,
) -> Result<Found, DataError> {
    let (tool, object) = match pointer(project, path) {
        None => ("", Some(project.join(path))),
        Some(Pointer::Lfs(object)) => ("Git LFS", object),
        Some(Pointer::Dvc(Dvc::File(object))) => ("DVC", object),
        Some(Pointer::Dvc(Dvc::Directory { name, objects })) => {
            let listing = Listing::load(path, name, &objects)?;
            let (source, digest) = listing.lay_out(store, digests, path, &objects)?;
            let size = None;
            return Ok(Found {
                source,
                digest,
                size,
            });
        }
    };
    let object = object.ok_or_else(|| DataError::Pointer {
        path: path.to_path_buf(),
        tool,
        remedy: match tool {
            "DVC" => "dvc pull",
            _ => "git lfs pull",
        },
    })?;
    let source = match fs::canonicalize(&object) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(DataError::Missing {
                path: path.to_path_buf(),
            });
        }
        source => source.map_err(FsError::at("read", &object))?,
    };
    let kind = fs::metadata(&source).map_err(FsError::at("read", &source))?;
    if kind.is_dir() {
        return Ok(Found {
            digest: directory_digest(digests, &source, path)?,
            source,
            size: None,
        });
    }
    if !kind.is_file() {
        return Err(DataError::Entry {
            path: path.to_path_buf(),
            entry: PathBuf::new(),
        });
    }
    let (digest, size) = digests.of(&source)?;
    Ok(Found {
        source,
        digest,
        size: Some(size),
    })
}
