//! The record of an installed package: `conda-meta/NAME-VERSION-BUILD.json`.
//!
//! It has what conda's tools look for, and nothing that differs from machine to machine: no cache
//! that the package was taken from, and in the place of a URL the package's own (`pkg:conda/…`).

use std::collections::BTreeMap;

use envbox_lockfiles::base::Digest;
use serde_json::{Map, Value, json};

use crate::layers::LayerError;
use crate::layers::conda::CondaPackage;
use crate::layers::conda::info::Placeholder;
use crate::layers::path::EntryPath;
use crate::layers::tar;
use crate::layers::wheel::ENVIRONMENT;

/// A file of a package in the tree.
#[derive(Debug, Clone)]
pub(super) struct Installed {
    pub(super) kind: InstalledKind,
    /// The digest in the package.
    pub(super) digest: Option<Digest>,
    /// The digest in the tree.
    pub(super) there: Option<Digest>,
    /// The size in the package.
    pub(super) size: Option<u64>,
    pub(super) placeholder: Option<Placeholder>,
}

/// What it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InstalledKind {
    Directory,
    File,
    SoftLink,
    /// A program made for an entry point.
    EntryPoint,
}

impl Installed {
    pub(super) fn new(kind: InstalledKind) -> Self {
        Self {
            kind,
            digest: None,
            there: None,
            size: None,
            placeholder: None,
        }
    }
}

/// Returns where the record lies and what is in it. `index` is the package's `index.json`, `files`
/// what was installed, by path below the prefix.
///
/// # Errors
/// Returns [`LayerError::Name`] when the package's version could lead out of the directory.
pub(super) fn record(
    package: &CondaPackage<'_>,
    index: &Map<String, Value>,
    files: &BTreeMap<String, Installed>,
) -> Result<(EntryPath, String), LayerError> {
    let (file, subdir) = package.place();
    let CondaPackage {
        name,
        version,
        build,
        channel,
        ..
    } = package;
    let mut all: BTreeMap<&str, Value> = index
        .iter()
        .map(|(key, value)| (key.as_str(), value.clone()))
        .collect();
    let listed: Vec<&String> = files.keys().collect();
    let paths: Vec<Value> = files.iter().map(|(path, file)| entry(path, file)).collect();
    let paths = json!({ "paths": paths, "paths_version": 1 });
    for (key, value) in [
        ("channel", json!(channel)),
        ("files", json!(listed)),
        ("fn", json!(file)),
        ("paths_data", paths),
        ("sha256", json!(package.digest.hex())),
        ("size", json!(package.size)),
        ("subdir", json!(subdir)),
        ("url", json!(package.purl())),
    ] {
        all.insert(key, value);
    }
    for key in ["depends", "constrains"] {
        all.entry(key).or_insert_with(|| json!([]));
    }
    let text = serde_json::to_string_pretty(&all).expect("its keys are texts") + "\n";
    let path = format!("{ENVIRONMENT}/conda-meta/{name}-{version}-{build}.json");
    let path = tar::parse(path.as_bytes())?.expect("it has a name");
    Ok((path, text))
}

fn entry(path: &str, installed: &Installed) -> Value {
    let kind = match installed.kind {
        InstalledKind::Directory => "directory",
        InstalledKind::File => "hardlink",
        InstalledKind::SoftLink => "softlink",
        InstalledKind::EntryPoint => "unix_python_entry_point",
    };
    let mut all = Map::new();
    let mut set = |key: &str, value: Value| {
        all.insert(key.to_owned(), value);
    };
    set("_path", json!(path));
    set("path_type", json!(kind));
    if let Some(placeholder) = &installed.placeholder {
        let mode = if placeholder.binary { "binary" } else { "text" };
        set("file_mode", json!(mode));
        set("prefix_placeholder", json!(placeholder.text));
    }
    if let Some(digest) = installed.digest.or(installed.there) {
        set("sha256", json!(digest.hex()));
    }
    if let Some(digest) = installed.there {
        set("sha256_in_prefix", json!(digest.hex()));
    }
    if let Some(size) = installed.size {
        set("size_in_bytes", json!(size));
    }
    Value::Object(all)
}
