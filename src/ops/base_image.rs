//! The image that an environment stands on, from a registry of images. One in a directory is taken
//! by [`crate::fetch`] itself.

use envbox_lockfiles::base::{Context, ImageReference, Mirror, Platform};
use envbox_lockfiles::lock::{LockedBase, Lockfile};
use envbox_lockfiles::net::registry_url;

use crate::fetch::FetchError;
use crate::image::{Descriptor, LayoutDocuments, documents, image_documents, lock_image, locked};
use crate::ops::Error;
use crate::registry::{ImageName, pull};
use crate::store::Store;

/// Brings the image that the environment stands on into the store, if a registry of images has it.
///
/// # Errors
/// Returns [`Error::Registry`].
pub(super) fn bring(
    context: &Context,
    lock: &Lockfile,
    platform: Platform,
    store: &Store,
) -> Result<(), Error> {
    let base = lock.base.as_ref();
    if let Some(base) = base
        && let Some(image) = base.image(platform)
        && let Some(reference) = in_registry(context, &base.reference)?
        && !image
            .layers
            .iter()
            .all(|layer| store.blob(&layer.artifact.digest).is_some())
    {
        pull(
            context,
            &reference.with_digest(image.manifest),
            platform,
            store,
        )?;
    }
    Ok(())
}

/// Returns what a lock holds of the image that `reference` names, for each platform; the version of
/// the C library is not known yet.
///
/// # Errors
/// Returns [`Error::Registry`] or [`Error::Document`].
pub(super) fn base(
    context: &Context,
    reference: &ImageReference,
    platforms: &[Platform],
    store: &Store,
) -> Result<LockedBase, Error> {
    // A mirror has documents by their digests, as a layout has.
    if let Some(mirror) = context.mirror.as_ref().and_then(Mirror::path)
        && let Ok(base) = lock_image(&LayoutDocuments::new(&mirror), reference, platforms)
    {
        return Ok(base);
    }
    let Some(place) = in_registry(context, reference)? else {
        let documents = documents(context, &reference.registry)?;
        return Ok(lock_image(documents.as_ref(), reference, platforms)?);
    };
    let images = platforms.iter().map(|&platform| {
        let pulled = pull(context, &place, platform, store)?;
        let config = pulled.config()?;
        let digest = pulled.descriptor.digest;
        Ok(locked(
            reference,
            platform,
            digest,
            &pulled.manifest,
            &config,
        )?)
    });
    Ok(LockedBase {
        reference: reference.clone(),
        images: images.collect::<Result<_, Error>>()?,
    })
}

/// Returns the documents of the image that the environment stands on: what its reference names, then
/// the image manifest and the config of each platform.
///
/// # Errors
/// Returns [`Error::Registry`] or [`Error::Document`] for one that cannot be had.
pub(super) fn kept(
    context: &Context,
    base: &LockedBase,
    store: &Store,
) -> Result<Vec<(Descriptor, Vec<u8>)>, Error> {
    let mut all = Vec::new();
    let Some(place) = in_registry(context, &base.reference)? else {
        let platforms: Vec<_> = base.images.iter().map(|image| image.platform).collect();
        let documents = documents(context, &base.reference.registry)?;
        return Ok(image_documents(
            documents.as_ref(),
            &base.reference,
            &platforms,
        )?);
    };
    for image in &base.images {
        let pulled = pull(context, &place, image.platform, store)?;
        all.extend(pulled.index);
        let config = pulled.manifest.config.clone();
        all.push((pulled.descriptor, pulled.manifest_bytes));
        all.push((config, pulled.config_bytes));
    }
    Ok(all)
}

/// Returns where the image lies, unless that is a directory.
fn in_registry(context: &Context, named: &ImageReference) -> Result<Option<ImageName>, Error> {
    let url = registry_url(context, &named.registry).map_err(FetchError::Net)?;
    if url.scheme() == "file" {
        return Ok(None);
    }
    let image = format!("{}@{}", named.repository, named.digest);
    Ok(ImageName::below(&url, &image)?)
}
