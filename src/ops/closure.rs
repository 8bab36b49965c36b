//! The artifacts of a lock: from the user's mirror, then from where they come from.
//!
//! A mirror that is a directory is asked by [`crate::fetch`] itself, for what others than it would get as
//! well: wheels that are built, and what is in a registry of images. What a repository of images has
//! is brought into the store here, before that looks for the rest; so are the image that the environment
//! stands on, and conda packages of a channel in a registry of images.

use envbox_lockfiles::base::{Context, Event, Mirror, Network, Platform};
use envbox_lockfiles::lock::{Artifact, Lockfile, Origin};

use crate::fetch::{Closure, artifacts, fetch, fetch_mirrored};
use crate::image::Descriptor;
use crate::mirror::ARTIFACT;
use crate::ops::{Error, base_image, conda_images, sources};
use crate::registry::{ImageName, pull_blobs};
use crate::store::Store;

/// Brings everything that `lock` has for `platform` into `store`.
///
/// # Errors
/// Returns what the mirror says, unless it cannot be reached, and what [`fetch`] returns.
pub(super) fn closure(
    context: &Context,
    lock: &Lockfile,
    platform: Platform,
    store: &Store,
) -> Result<Closure, Error> {
    if let Some(Mirror::Repository(repository)) = &context.mirror
        && context.network == Network::Online
    {
        take(context, repository, lock, platform, store)?;
    }
    fetch_mirrored(context, &elsewhere(context, lock, platform)?, store)?;
    base_image::bring(context, lock, platform, store)?;
    sources::bring(context, lock, platform, store)?;
    conda_images::bring(context, lock, platform, store)?;
    Ok(fetch(context, lock, platform, store)?)
}

/// Returns the artifacts that a mirror may have and [`fetch`] would not ask a registry for.
fn elsewhere(
    context: &Context,
    lock: &Lockfile,
    platform: Platform,
) -> Result<Vec<Artifact>, Error> {
    let image = lock.base.as_ref().and_then(|base| base.image(platform));
    let layers = image.iter().flat_map(|image| &image.layers);
    let mut all: Vec<Artifact> = layers.map(|layer| layer.artifact.clone()).collect();
    let wheels = lock
        .python
        .iter()
        .filter(|wheel| wheel.platforms.contains(&platform));
    let built = wheels.filter(|wheel| wheel.artifact.origin == Origin::Built);
    all.extend(built.map(|wheel| wheel.artifact.clone()));
    all.extend(conda_images::in_registries(context, lock, platform)?);
    Ok(all)
}

fn take(
    context: &Context,
    repository: &str,
    lock: &Lockfile,
    platform: Platform,
    store: &Store,
) -> Result<(), Error> {
    let reference: ImageName = repository.parse()?;
    let blobs = artifacts(lock, platform)?.into_iter();
    // Blobs are asked for by their digests alone, so nobody reads the type.
    let blobs = blobs.map(|blob| Descriptor::new(ARTIFACT, blob.digest, blob.size));
    match pull_blobs(context, &reference, blobs.collect(), store) {
        Err(error) if error.is_unreachable() => {
            let message = format!("nothing was taken from the mirror `{repository}`: {error}");
            context.report(Event::Warning { message });
            Ok(())
        }
        other => Ok(other.map(drop)?),
    }
}
