//! `envbox diff`: what changed between two lockfiles.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use envbox_lockfiles::base::{Context, Digest, Platform};
use envbox_lockfiles::lock::{
    Artifact, Change, ChangeKind, Graph, Lockfile, StaleReason, diff as changes_of, satisfies,
};
use serde::Serialize;

use crate::attest::Licences;
use crate::ops::{Error, LOCKFILE};
use crate::rootfs::unpacked_trees;
use crate::store::Store;

/// Where a lockfile is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockPlace {
    /// In a file.
    File(PathBuf),
    /// In a repository of Git's.
    Revision {
        /// A directory of the repository.
        directory: PathBuf,
        /// The object, as `git` names it: `HEAD:./envbox.lock`.
        object: String,
    },
}

impl LockPlace {
    /// Returns the place that `text` names, from `directory`: a lockfile, a directory that has one,
    /// or else a revision of Git's: `HEAD~3:sub/envbox.lock`, or `HEAD~3` for the directory's own
    /// lockfile.
    pub fn named(text: &str, directory: &Path) -> Self {
        let path = directory.join(text);
        if path.is_dir() {
            return Self::File(path.join(LOCKFILE));
        }
        if path.exists() || text.ends_with(".lock") && !text.contains(':') {
            return Self::File(path);
        }
        let object = match text.contains(':') {
            true => text.to_owned(),
            false => format!("{text}:./{LOCKFILE}"),
        };
        Self::Revision {
            directory: directory.to_path_buf(),
            object,
        }
    }

    fn read(&self) -> Result<Lockfile, Error> {
        let (directory, object) = match self {
            Self::File(file) => return Ok(Lockfile::read(file)?),
            Self::Revision { directory, object } => (directory, object),
        };
        let mut git = Command::new("git");
        // No object's name begins so, and an option would.
        let object_name = object.trim_start_matches('-');
        git.args(["cat-file", "blob", object_name])
            .current_dir(directory);
        let failed = |reason: String| Error::Revision {
            object: object.clone(),
            reason,
        };
        let output = git.output().map_err(|error| failed(error.to_string()))?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            let reason = text.trim().trim_start_matches("fatal: ").to_owned();
            return Err(failed(reason));
        }
        Ok(Lockfile::parse(&output.stdout, Path::new(object))?)
    }
}

/// What changed between two lockfiles.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct DiffReport {
    /// The old lockfile.
    pub old: Side,
    /// The new one.
    pub new: Side,
    /// What the new one answers that the old one does not.
    pub asked: Vec<StaleReason>,
    /// The packages that changed, sorted by ecosystem and name.
    pub changes: Vec<PackageChange>,
}

/// One of two lockfiles.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Side {
    /// Its digest.
    pub lock: Digest,
    /// The size of all that it names, in bytes.
    pub size: u64,
}

/// A package that changed.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct PackageChange {
    /// Which, from what to what.
    #[serde(flatten)]
    pub change: Change,
    /// How.
    pub kind: ChangeKind,
    /// Its files before. An interpreter of Debian's has none of its own.
    pub old_files: Vec<LockedFile>,
    /// Its files after.
    pub new_files: Vec<LockedFile>,
}

/// A file of a lockfile.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[non_exhaustive]
pub struct LockedFile {
    /// The file, as the lockfile has it.
    pub file: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its digest.
    pub digest: Digest,
    /// The platforms that it is for.
    pub platforms: Vec<Platform>,
    /// The package's licence, when its packages are unpacked in the store and say it.
    pub licence: Option<String>,
}

/// Compares two lockfiles.
///
/// # Errors
/// Returns [`Error::Lock`] when one cannot be read, [`Error::Revision`] when Git does not have one,
/// and what reading the store returns.
pub fn diff(context: &Context, old: &LockPlace, new: &LockPlace) -> Result<DiffReport, Error> {
    let (old, new) = (old.read()?, new.read()?);
    let changes = changes_of(&old, &new);
    let (before, after) = match changes.is_empty() {
        true => (Files::new(), Files::new()),
        false => {
            let store = Store::open(&context.store)?;
            (files(&store, &old)?, files(&store, &new)?)
        }
    };
    let of = |files: &Files, change: &Change| {
        let key = (change.ecosystem, change.name.clone());
        files.get(&key).cloned().unwrap_or_default()
    };
    let changes = changes.into_iter().map(|change| PackageChange {
        kind: change.kind(),
        old_files: of(&before, &change),
        new_files: of(&after, &change),
        change,
    });
    let asked = satisfies(&old, &new.request).err();
    Ok(DiffReport {
        old: side(&old),
        new: side(&new),
        asked: asked.map(|stale| stale.reasons).unwrap_or_default(),
        changes: changes.collect(),
    })
}

fn side(lock: &Lockfile) -> Side {
    let distinct: BTreeMap<Digest, u64> = lock
        .artifacts()
        .map(|artifact| (artifact.digest, artifact.size))
        .collect();
    Side {
        lock: lock.digest(),
        size: distinct.values().sum(),
    }
}

/// An ecosystem and a name in it.
type Package = (&'static str, String);

/// A file and its licence, as far as that is known.
type Found<'a> = (&'a Artifact, Option<String>);

type Files = BTreeMap<Package, Vec<LockedFile>>;

fn files(store: &Store, lock: &Lockfile) -> Result<Files, Error> {
    let mut platforms: BTreeMap<Digest, BTreeSet<Platform>> = BTreeMap::new();
    let mut found: BTreeMap<Package, BTreeMap<Digest, Found<'_>>> = BTreeMap::new();
    for &platform in &lock.request.platforms {
        let trees = unpacked_trees(store, lock, platform)?;
        let licences = Licences::read_known(lock, platform, &trees)?;
        for node in Graph::of(lock, platform).nodes {
            let files = found
                .entry((node.ecosystem.word(), node.name.to_owned()))
                .or_default();
            for artifact in node.artifacts {
                let digest = artifact.digest;
                let licence = licences.of(&digest);
                platforms.entry(digest).or_default().insert(platform);
                let licence = licence.expression.or(licence.words);
                files.insert(digest, (artifact, licence));
            }
        }
    }
    let told = |(artifact, licence): Found<'_>| LockedFile {
        file: artifact.file.clone(),
        size: artifact.size,
        digest: artifact.digest,
        platforms: platforms[&artifact.digest].iter().copied().collect(),
        licence,
    };
    let files = found.into_iter().map(|(key, files)| {
        let mut files: Vec<LockedFile> = files.into_values().map(told).collect();
        files.sort();
        (key, files)
    });
    Ok(files.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_files_directories_or_revisions() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        std::fs::write(root.join(LOCKFILE), "").unwrap();
        std::fs::create_dir(root.join("other")).unwrap();
        let file = |name: &str| LockPlace::File(root.join(name));
        let revision = |object: &str| LockPlace::Revision {
            directory: root.to_path_buf(),
            object: object.to_owned(),
        };
        for (text, place) in [
            ("envbox.lock", file("envbox.lock")),
            ("missing.lock", file("missing.lock")),
            ("other", file("other/envbox.lock")),
            ("HEAD", revision("HEAD:./envbox.lock")),
            ("v1:sub/envbox.lock", revision("v1:sub/envbox.lock")),
        ] {
            assert_eq!(LockPlace::named(text, root), place, "{text}");
        }
    }
}
