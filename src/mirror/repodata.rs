//! What a channel of the mirror lists: a `repodata.json` for each subdir, as `conda index` writes them.
//!
//! A record is what the package says of itself. What a channel corrected later in its own list is not
//! in it.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use envbox_lockfiles::base::fs::{create_dir_all, read, write_atomic};
use envbox_lockfiles::lock::Artifact;
use serde_json::{Map, Value, json};

use crate::mirror::MirrorError;

/// The list of a subdir.
const FILE: &str = "repodata.json";

/// Records to list, by subdir and then by file.
pub(super) type Records = BTreeMap<String, BTreeMap<String, Map<String, Value>>>;

/// Adds the record of a package, whose `info/index.json` is `index`.
pub(super) fn add(records: &mut Records, artifact: &Artifact, mut index: Map<String, Value>) {
    index.insert("sha256".to_owned(), json!(artifact.digest.hex()));
    index.insert("size".to_owned(), json!(artifact.size));
    let (subdir, file) = artifact
        .file
        .rsplit_once('/')
        .unwrap_or(("noarch", &artifact.file));
    let of_subdir = records.entry(subdir.to_owned()).or_default();
    of_subdir.insert(file.to_owned(), index);
}

/// Lists `records` in the channel in `directory`, beside what it lists already.
pub(super) fn write(directory: &Path, records: Records) -> Result<(), MirrorError> {
    for (subdir, packages) in records {
        let directory = directory.join(&subdir);
        create_dir_all(&directory)?;
        let file = directory.join(FILE);
        let old = match read(&file) {
            Err(error) if error.source.kind() == io::ErrorKind::NotFound => None,
            other => Some(other?),
        };
        let parsed = old.as_deref().map(serde_json::from_slice);
        let parsed = parsed.transpose().map_err(|source| MirrorError::Repodata {
            file: file.clone(),
            source,
        })?;
        let mut list: Map<String, Value> = parsed.unwrap_or_else(|| empty(&subdir));
        for (name, record) in packages {
            let kind = match name.ends_with(".conda") {
                true => "packages.conda",
                false => "packages",
            };
            let of_kind = list.entry(kind).or_insert_with(|| json!({}));
            if let Value::Object(of_kind) = of_kind {
                of_kind.insert(name, Value::Object(record));
                // By name, whatever order the map keeps.
                of_kind.sort_keys();
            }
        }
        let new = serde_json::to_vec(&list).expect("names and values are text");
        if old.as_ref() != Some(&new) {
            write_atomic(&file, &new)?;
        }
    }
    Ok(())
}

fn empty(subdir: &str) -> Map<String, Value> {
    let list = json!({
        "info": {"subdir": subdir},
        "packages": {},
        "packages.conda": {},
        "removed": [],
        "repodata_version": 1,
    });
    match list {
        Value::Object(list) => list,
        _ => Map::new(),
    }
}
