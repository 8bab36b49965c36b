//! What differs between two locks.

use std::collections::{BTreeMap, BTreeSet};

use crate::lock::schema::Lockfile;

/// One artifact that is not the same in both locks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Change {
    /// `python`, `conda`, `debian`, `interpreter`, `base` or `gpu`.
    pub ecosystem: &'static str,
    /// The package.
    pub name: String,
    /// Its versions before; empty when it is new.
    pub before: Vec<String>,
    /// Its versions after; empty when it is gone.
    pub after: Vec<String>,
}

/// How an artifact differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It has another version.
    Updated,
    /// It has the same version and other files.
    Replaced,
}

impl Change {
    /// Returns how the artifact differs.
    pub fn kind(&self) -> ChangeKind {
        match (self.before.as_slice(), self.after.as_slice()) {
            ([], _) => ChangeKind::Added,
            (_, []) => ChangeKind::Removed,
            (before, after) if before == after => ChangeKind::Replaced,
            _ => ChangeKind::Updated,
        }
    }
}

/// Returns what changed from `old` to `new`, sorted by ecosystem and name. An artifact whose bytes
/// changed under the same version counts as changed.
pub fn diff(old: &Lockfile, new: &Lockfile) -> Vec<Change> {
    let (before, after) = (contents(old), contents(new));
    let keys: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    keys.into_iter()
        .filter(|key| before.get(*key) != after.get(*key))
        .map(|key| Change {
            ecosystem: key.0,
            name: key.1.clone(),
            before: versions(before.get(key)),
            after: versions(after.get(key)),
        })
        .collect()
}

type Contents = BTreeMap<(&'static str, String), BTreeSet<(String, String)>>;

fn contents(lock: &Lockfile) -> Contents {
    let mut contents = Contents::new();
    let mut add = |ecosystem, name: &str, version: &str, identity: String| {
        let versions = contents.entry((ecosystem, name.to_owned())).or_default();
        versions.insert((version.to_owned(), identity));
    };
    for wheel in &lock.python {
        add(
            "python",
            wheel.name.as_str(),
            &wheel.version,
            wheel.artifact.digest.to_string(),
        );
    }
    for package in &lock.conda.packages {
        // Another build of a version is another package.
        let version = format!("{} {}", package.version, package.build);
        let identity = package.artifact.digest.to_string();
        add("conda", package.name.as_str(), &version, identity);
    }
    for package in &lock.debian.packages {
        let identity = package.artifact.digest.to_string();
        add("debian", package.name.as_str(), &package.version, identity);
    }
    if let Some(base) = &lock.base {
        for image in &base.images {
            let (repository, digest) = (&base.reference.repository, image.manifest.to_string());
            add("base", repository.as_str(), &digest, digest.clone());
        }
    }
    if let Some(interpreter) = &lock.interpreter {
        let archives = interpreter.archives.iter();
        let digests = archives.map(|archive| archive.artifact.digest.to_string());
        let identity = format!(
            "{:?} {}",
            interpreter.from,
            digests.collect::<Vec<_>>().join(" ")
        );
        add("interpreter", "python", &interpreter.version, identity);
    }
    if let Some(gpu) = &lock.gpu {
        for (name, text) in gpu.told() {
            add("gpu", name, &text, String::new());
        }
    }
    contents
}

fn versions(found: Option<&BTreeSet<(String, String)>>) -> Vec<String> {
    let versions = found
        .into_iter()
        .flatten()
        .map(|(version, _)| version.clone());
    versions.collect::<BTreeSet<_>>().into_iter().collect()
}
