//! Which project a misspelt name was meant to be.
//!
//! Only names that are trusted already are proposed: those of the lock, of directories, and of
//! projects that this host has asked the same index for. An index of the world is not searched for
//! the nearest name: that is where names lie in wait for slips.

use std::collections::BTreeSet;
use std::path::Path;

use uv_cache::{CacheBucket, WheelCache};
use uv_distribution_filename::DistFilename;
use uv_distribution_types::Index;

use crate::base::PythonName;
use crate::resolve::python::failure::not_found;
use crate::resolve::python::session::Session;
use crate::resolve::python::{PythonError, PythonRequest};

/// A name is taken for a slip of another from this similarity on (Jaro-Winkler).
const SIMILAR: f64 = 0.85;

/// Adds to an error of names that no index has which names they are like.
pub(super) fn corrected(
    session: &Session,
    request: PythonRequest<'_>,
    mut error: PythonError,
) -> PythonError {
    if let PythonError::NoSolution {
        explanation, hints, ..
    } = &mut error
    {
        let missing = not_found(&explanation.text);
        if !missing.is_empty() {
            let known = known(session, request);
            let slips = missing.iter().filter_map(|name| similar(name, &known));
            hints.extend(slips.map(|name| format!("did you mean `{name}`?")));
        }
    }
    error
}

fn similar<'a>(found: &str, known: &'a BTreeSet<PythonName>) -> Option<&'a PythonName> {
    let rated = known
        .iter()
        .map(|name| (strsim::jaro_winkler(found, name.as_str()), name));
    let best = rated.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 >= SIMILAR && best.1.as_str() != found).then_some(best.1)
}

fn known(session: &Session, request: PythonRequest<'_>) -> BTreeSet<PythonName> {
    let locked = request.previous.iter().chain(request.siblings);
    let mut names: BTreeSet<PythonName> = locked.map(|wheel| wheel.name.clone()).collect();
    let locations = &session.indexes.locations;
    for index in locations.indexes().chain(locations.flat_indexes()) {
        if let Ok(directory) = index.url().to_file_path() {
            names.extend(listed(&directory));
        }
    }
    for index in locations.indexes().map(Index::url) {
        let root = WheelCache::Index(index).root();
        let cached = session.cache.bucket(CacheBucket::Simple).join(root);
        names.extend(entries(&cached).filter_map(|file| file.strip_suffix(".rkyv")?.parse().ok()));
    }
    names
}

/// Returns the projects of a directory, which has one of each name, or files.
fn listed(directory: &Path) -> impl Iterator<Item = PythonName> {
    entries(directory).filter_map(|entry| {
        match DistFilename::try_from_normalized_filename(&entry) {
            Some(file) => file.name().as_str().parse().ok(),
            None => entry.parse().ok(),
        }
    })
}

/// Returns the names in a directory; it is for a hint, so none where it cannot be read.
fn entries(directory: &Path) -> impl Iterator<Item = String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok())
}
