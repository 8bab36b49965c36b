//! The packages of a rootfs, for those who take it apart again.

use std::collections::BTreeMap;
use std::path::PathBuf;

use envbox_lockfiles::base::{Context, Digest, Platform};
use envbox_lockfiles::lock::{Artifact, Lockfile};

use crate::fetch::Closure;
use crate::rootfs::RootfsError;
use crate::rootfs::packages::{Package, unpack_all};
use crate::rootfs::parts::{Contents, Part, Parts};
use crate::store::{Store, TreeManifest};

/// Who packages what is in a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ecosystem {
    /// Whoever made the image that the environment stands on.
    Base,
    /// Debian.
    Debian,
    /// Whoever keeps a channel of conda's.
    Conda,
    /// The interpreter, when it is not Debian's, and wheels.
    Python,
    /// envbox itself.
    Envbox,
}

/// One package of a rootfs, in the order in which they were merged.
#[derive(Debug, Clone)]
pub struct PackageTree {
    /// Its name.
    pub name: String,
    /// Its version; nothing for envbox's own.
    pub version: String,
    /// Who packages it.
    pub ecosystem: Ecosystem,
    /// What is built from one source has one name here: packages of one are updated together.
    pub source: String,
    /// The size of its file, as the lock says.
    pub size: u64,
    /// The digest of its file; nothing for envbox's own.
    pub artifact: Option<Digest>,
    /// Where its tree is; the closure's store has it in use.
    pub path: PathBuf,
    /// What is in it.
    pub manifest: TreeManifest,
}

/// Returns the packages of a closure; those that the store lacks are unpacked.
///
/// # Errors
/// Returns [`RootfsError`] when one cannot be unpacked or the store cannot be written.
pub fn package_trees(
    context: &Context,
    closure: &Closure,
) -> Result<Vec<PackageTree>, RootfsError> {
    let parts = Parts::of(closure.lock(), closure.platform())?;
    let packages = unpack_all(context, closure.store(), &parts)?;
    let described = |part: &Part<'_>, package: Package| PackageTree {
        name: part.name.clone(),
        version: version(closure.lock(), part),
        ecosystem: match part.contents {
            Contents::Image(_) => Ecosystem::Base,
            Contents::Debian(_) => Ecosystem::Debian,
            Contents::Conda(_) => Ecosystem::Conda,
            Contents::Interpreter | Contents::Wheel { .. } => Ecosystem::Python,
            Contents::Inside(..) => Ecosystem::Envbox,
        },
        source: source(part),
        size: part.size(),
        artifact: part.artifact.map(|artifact| artifact.digest),
        path: package.path,
        manifest: package.manifest,
    };
    Ok(parts
        .parts
        .iter()
        .zip(packages)
        .map(|(part, package)| described(part, package))
        .collect())
}

/// Returns the trees of those packages of `lock` that the store has unpacked, by the digest of a
/// package's artifact. They are in use from here on.
///
/// # Errors
/// Returns [`RootfsError`] when the lock has no packages for the platform or the store cannot be
/// read.
pub fn unpacked_trees(
    store: &Store,
    lock: &Lockfile,
    platform: Platform,
) -> Result<BTreeMap<Digest, PathBuf>, RootfsError> {
    let mut trees = BTreeMap::new();
    for part in Parts::of(lock, platform)?.parts {
        if let Some(artifact) = part.artifact
            && let Some(tree) = store.find_tree(part.key)?
        {
            trees.insert(artifact.digest, tree.path());
        }
    }
    Ok(trees)
}

fn version(lock: &Lockfile, part: &Part<'_>) -> String {
    let is_it = |artifact: &Artifact| part.artifact == Some(artifact);
    let debian = lock.debian.packages.iter();
    let wheels = lock.python.iter();
    let interpreter = || lock.interpreter.as_ref().map(|one| &one.version);
    match &part.contents {
        Contents::Conda(package) => Some(&package.version),
        Contents::Debian(_) => debian
            .filter(|package| is_it(&package.artifact))
            .map(|package| &package.version)
            .next(),
        Contents::Wheel { .. } => wheels
            .filter(|wheel| is_it(&wheel.artifact))
            .map(|wheel| &wheel.version)
            .next(),
        Contents::Interpreter => interpreter(),
        Contents::Image(_) | Contents::Inside(..) => None,
    }
    .cloned()
    .unwrap_or_default()
}

/// A pool path names the source package: `pool/main/g/gcc-12/libgcc-s1_12.2.0-14_amd64.deb`.
fn source(part: &Part<'_>) -> String {
    let directory = || part.file().rsplit('/').nth(1);
    match part.contents {
        Contents::Debian(_) => directory().unwrap_or(&part.name).to_owned(),
        _ => part.name.clone(),
    }
}
