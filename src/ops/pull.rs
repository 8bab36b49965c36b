//! `envbox pull`: an image into the store; and environments from a registry of images, instead of
//! from their packages.

use std::path::PathBuf;

use envbox_lockfiles::base::{Context, Digest, Event, Network, Platform};
use envbox_lockfiles::lock::{BuiltImage, Lockfile};
use serde::Serialize;

use crate::attest::{PublicKey, verify_payload};
use crate::image::{DescribedLayer, layers as described_layers};
use crate::layers::oci::ImageLayer;
use crate::ops::Error;
use crate::ops::publish::{signatures, tag_of_id};
use crate::registry::{ImageName, Pulled, manifest, pull as pull_image};
use crate::rootfs::{Rootfs, from_layers};
use crate::store::Store;

/// What was pulled.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct PullReport {
    /// The image manifest, by its digest.
    pub reference: ImageName,
    /// The digest of its config.
    pub image_id: Digest,
    /// How many layers it has.
    pub layers: usize,
    /// Their size as they are moved.
    pub bytes: u64,
    /// The digest of the key that it is signed with, when one was asked for.
    pub signed_by: Option<Digest>,
}

/// Brings an image for `platform` into the store; with a key, only if it is signed with that.
///
/// # Errors
/// Returns [`Error::Registry`], and [`Error::NotSigned`] before a layer is moved.
pub fn pull(
    context: &Context,
    reference: &ImageName,
    platform: Platform,
    key: Option<&PublicKey>,
) -> Result<PullReport, Error> {
    let store = Store::open(&context.store)?;
    let pulled = verified(context, reference, platform, key, &store)?;
    let layers = layers(&pulled)?;
    Ok(PullReport {
        image_id: pulled.manifest.config.digest,
        layers: layers.len(),
        bytes: pulled.layers.iter().map(|(layer, _)| layer.size).sum(),
        signed_by: key.map(PublicKey::digest),
        reference: pulled.reference,
    })
}

/// Does as [`pull`] does, and returns the image.
pub(super) fn verified(
    context: &Context,
    reference: &ImageName,
    platform: Platform,
    key: Option<&PublicKey>,
    store: &Store,
) -> Result<Pulled, Error> {
    if let Some(key) = key {
        let digest = match reference.digest() {
            Some(digest) => digest,
            None => manifest(context, reference)?.0.digest,
        };
        let signed = signatures(context, reference, digest, store)?;
        let ours = |(payload, signature): &(Vec<u8>, _)| {
            verify_payload(key, payload, signature, digest).is_ok()
        };
        if !signed.iter().any(ours) {
            return Err(Error::NotSigned {
                reference: Box::new(reference.with_digest(digest)),
                key: key.digest(),
                signatures: signed.len(),
            });
        }
        // What the tag leads to may be another by now.
        let signed = reference.with_digest(digest);
        return Ok(pull_image(context, &signed, platform, store)?);
    }
    Ok(pull_image(context, reference, platform, store)?)
}

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
    let reference: ImageName = repository.parse()?;
    let reference = reference.with_tag(tag_of_id(*image_id));
    let pulled = match pull_image(context, &reference, platform, store) {
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
    let rootfs = from_layers(context, store, lock, platform, &layers)?;
    Ok(Some(rootfs))
}

/// Returns the layers of an image with their place in the store.
pub(super) fn layers(pulled: &Pulled) -> Result<Vec<ImageLayer>, Error> {
    let config = pulled.config()?;
    let layers = described_layers(pulled.descriptor.digest, &pulled.manifest, &config)?;
    let paths = pulled.layers.iter().map(|(_, path)| path.clone());
    let layer = |(layer, path): (DescribedLayer<'_>, PathBuf)| ImageLayer {
        path,
        digest: layer.descriptor.digest,
        compression: layer.compression,
        diff_id: layer.diff_id,
    };
    Ok(layers.into_iter().zip(paths).map(layer).collect())
}
