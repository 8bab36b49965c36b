//! Conda packages whose channel lies in a registry of images (`oci://…`).
//!
//! There each package is a repository below its subdir, and its file a blob of it (the layout of
//! `conda-oci-mirror`): the digest in the lock leads to it, whatever manifests there are.

use std::collections::BTreeMap;

use envbox_lockfiles::base::{Context, Network, Platform};
use envbox_lockfiles::lock::{Artifact, LockedCondaPackage, Lockfile, Origin};
use envbox_lockfiles::net::channel_url;

use crate::fetch::FetchError;
use crate::image::Descriptor;
use crate::mirror::ARTIFACT;
use crate::ops::Error;
use crate::registry::{ImageName, pull_blobs};
use crate::store::Store;

/// Brings the packages into the store that it lacks and a registry of images has.
///
/// # Errors
/// Returns [`Error::Registry`].
pub(super) fn bring(
    context: &Context,
    lock: &Lockfile,
    platform: Platform,
    store: &Store,
) -> Result<(), Error> {
    if context.network == Network::Offline {
        return Ok(());
    }
    let mut missing: BTreeMap<ImageName, Vec<Descriptor>> = BTreeMap::new();
    for package in &lock.conda.packages {
        let artifact = &package.artifact;
        let wanted = package.platforms.contains(&platform);
        if !wanted || store.blob(&artifact.digest).is_some() {
            continue;
        }
        if let Some(reference) = in_registry(context, package)? {
            // Blobs are asked for by their digests alone, so nobody reads the type.
            let blob = Descriptor::new(ARTIFACT, artifact.digest, artifact.size);
            missing.entry(reference).or_default().push(blob);
        }
    }
    for (reference, blobs) in missing {
        // What the registry does not have is told of when it is looked for.
        pull_blobs(context, &reference, blobs, store)?;
    }
    Ok(())
}

/// Returns the packages of channels that are in a registry of images.
///
/// # Errors
/// Returns [`Error::Fetch`] for a channel whose place is no URL.
pub(super) fn in_registries(
    context: &Context,
    lock: &Lockfile,
    platform: Platform,
) -> Result<Vec<Artifact>, Error> {
    let mut all = Vec::new();
    for package in &lock.conda.packages {
        if package.platforms.contains(&platform) && in_registry(context, package)?.is_some() {
            all.push(package.artifact.clone());
        }
    }
    Ok(all)
}

/// Returns the repository that a package is in, if its channel is in a registry of images.
fn in_registry(
    context: &Context,
    package: &LockedCondaPackage,
) -> Result<Option<ImageName>, Error> {
    let Origin::Registry(channel) = &package.artifact.origin else {
        return Ok(None);
    };
    let url = channel_url(context, channel).map_err(FetchError::Net)?;
    if url.scheme() != "oci" {
        return Ok(None);
    }
    let (subdir, _) = package.artifact.file.rsplit_once('/').unwrap_or_default();
    // No repository's name begins with `_`.
    let name = package.name.as_str();
    let mark = if name.starts_with('_') { "zzz" } else { "" };
    Ok(ImageName::below(&url, &format!("{subdir}/{mark}{name}"))?)
}
