//! Environments from a registry of images, instead of from their packages.

use std::path::PathBuf;

use envbox_lockfiles::base::{Context, Digest, Event, Network, Platform};
use envbox_lockfiles::lock::{BuiltImage, Lockfile};

use crate::image::{Descriptor, DocumentError, ImageConfig};
use crate::layers::oci::ImageLayer;
use crate::ops::Error;
use crate::ops::publish::tag_of_id;
use crate::registry::{ImageReference, Pulled, RegistryError, pull};
use crate::rootfs::{Rootfs, from_layers};
use crate::store::Store;

/// Returns the environment of `lock` if the lock says which image it makes and the user's
/// registry has that image. When the registry cannot be asked, there are still the packages.
///
/// # Errors
/// Returns [`Error`] when what the registry has under the image's name is something else, or the
/// store cannot be written.
pub(super) fn environment(
    context: &Context,
    lock: &Lockfile,
    platform: Platform,
    store: &Store,
) -> Result<Option<Rootfs>, Error> {
    let built = lock.built.iter().find(|built| built.platform == platform);
    let (Some(BuiltImage { image_id, .. }), Some(repository)) = (built, &context.images) else {
        return Ok(None);
    };
    if context.network == Network::Offline {
        return Ok(None);
    }
    let reference: ImageReference = repository.parse()?;
    let reference = reference.with_tag(tag_of_id(*image_id));
    let pulled = match pull(context, &reference, platform, store) {
        Ok(pulled) => pulled,
        Err(error) if error.is_absent() => return Ok(None),
        Err(error) if error.is_unreachable() => {
            let message = format!("no image was taken from `{repository}`: {error}");
            context.report(Event::Warning { message });
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    if pulled.manifest.config.digest != *image_id {
        return Err(Error::WrongImage {
            reference: Box::new(reference),
            expected: *image_id,
            found: pulled.manifest.config.digest,
        });
    }
    let layers = layers(&pulled)?;
    Ok(Some(from_layers(store, lock, platform, &layers)?))
}

/// Returns the layers of an image with their place in the store.
pub(super) fn layers(pulled: &Pulled) -> Result<Vec<ImageLayer>, Error> {
    let config = ImageConfig::parse(&pulled.config_bytes).map_err(|source| {
        let what = format!("the config of `{}`", pulled.reference);
        RegistryError::Document { what, source }
    })?;
    let diff_ids = &config.rootfs.diff_ids;
    if diff_ids.len() != pulled.layers.len() {
        return Err(Error::from(DocumentError::LayerCount {
            digest: pulled.descriptor.digest,
            layers: pulled.layers.len(),
            diff_ids: diff_ids.len(),
        }));
    }
    let layer = |((descriptor, path), diff_id): (&(Descriptor, PathBuf), &Digest)| {
        let known = descriptor.media_type.compression();
        let compression = known.ok_or_else(|| DocumentError::LayerType {
            digest: descriptor.digest,
            media_type: descriptor.media_type.clone(),
        })?;
        Ok(ImageLayer {
            path: path.clone(),
            digest: descriptor.digest,
            compression,
            diff_id: *diff_id,
        })
    };
    pulled.layers.iter().zip(diff_ids).map(layer).collect()
}
