//! `[base]`: the image that an environment stands on, as the lock writes and reads it.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::base::{Compression, Digest, ImageReference, Platform, RegistryName, Repository};
use crate::lock::schema::{LockedBase, LockedImage, LockedLayer};
use crate::lock::wire::InvalidEntry;
use crate::lock::write::{field, optional, string, word};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BaseWire {
    registry: RegistryName,
    repository: Repository,
    digest: Digest,
    #[serde(default)]
    image: Vec<ImageWire>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ImageWire {
    platform: Platform,
    manifest: Digest,
    glibc: Option<String>,
    #[serde(default)]
    layer: Vec<LayerWire>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct LayerWire {
    compression: Compression,
    size: u64,
    sha256: String,
    diff_id: Digest,
}

impl BaseWire {
    pub(super) fn into_base(
        self,
        asked: Option<&ImageReference>,
        all: &[Platform],
    ) -> Result<LockedBase, InvalidEntry> {
        let reference = ImageReference {
            registry: self.registry,
            repository: self.repository,
            digest: self.digest,
        };
        let entry = format!("base {reference}");
        if asked != Some(&reference) {
            let problem = "it is not the image that the request names";
            return Err(InvalidEntry::new(&entry, problem));
        }
        let image = |wire: ImageWire| wire.into_image(&entry, &reference);
        let images: Vec<_> = self
            .image
            .into_iter()
            .map(image)
            .collect::<Result<_, _>>()?;
        let has: BTreeSet<_> = images.iter().map(|image| image.platform).collect();
        if has != all.iter().copied().collect() {
            let problem = "it has not one image for each platform";
            return Err(InvalidEntry::new(&entry, problem));
        }
        Ok(LockedBase { reference, images })
    }
}

impl ImageWire {
    fn into_image(
        self,
        entry: &str,
        reference: &ImageReference,
    ) -> Result<LockedImage, InvalidEntry> {
        let invalid = |problem: String| InvalidEntry::new(entry, problem);
        let layer = |wire: LayerWire| {
            let digest =
                Digest::from_hex(&wire.sha256).map_err(|error| invalid(error.to_string()))?;
            let LayerWire {
                compression,
                size,
                diff_id,
                ..
            } = wire;
            Ok(LockedLayer::new(
                reference,
                digest,
                size,
                compression,
                diff_id,
            ))
        };
        let version = |text: String| {
            let numbers = text.split_once('.');
            let numbers =
                numbers.and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
            numbers.ok_or_else(|| invalid(format!("`{text}` is no version of the GNU C library")))
        };
        Ok(LockedImage {
            platform: self.platform,
            manifest: self.manifest,
            glibc: self.glibc.map(version).transpose()?,
            layers: self
                .layer
                .into_iter()
                .map(layer)
                .collect::<Result<_, _>>()?,
        })
    }
}

/// Writes the table and those below it.
pub(super) fn base_table(text: &mut String, base: &LockedBase) {
    let ImageReference {
        registry,
        repository,
        digest,
    } = &base.reference;
    text.push_str("\n[base]\n");
    string(text, "registry", registry.as_str());
    string(text, "repository", repository.as_str());
    string(text, "digest", &digest.to_string());
    for image in &base.images {
        text.push_str("\n[[base.image]]\n");
        string(text, "platform", &image.platform.to_string());
        string(text, "manifest", &image.manifest.to_string());
        let glibc = image.glibc.map(|(major, minor)| format!("{major}.{minor}"));
        optional(text, "glibc", glibc.as_deref());
        for layer in &image.layers {
            text.push_str("\n[[base.image.layer]]\n");
            string(text, "compression", &word(layer.compression));
            field(text, "size", layer.artifact.size);
            string(text, "sha256", &layer.artifact.digest.hex());
            string(text, "diff-id", &layer.diff_id.to_string());
        }
    }
}
