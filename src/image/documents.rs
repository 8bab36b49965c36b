//! Reading what others wrote about an image: from a reference with a digest to what a lock holds.
//!
//! Every document is read by its digest and is no longer than
//! [`DOCUMENT_LIMIT`](crate::image::DOCUMENT_LIMIT), so who keeps them need not be trusted.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use envbox_lockfiles::base::{
    Compression, Context, Digest, FsError, ImageReference, Platform, RegistryName,
};
use envbox_lockfiles::lock::{LockedBase, LockedImage, LockedLayer};
use envbox_lockfiles::net::registry_url;

use crate::image::{
    DOCUMENT_LIMIT, Descriptor, DocumentError, ImageConfig, ImageIndex, ImageManifest, MediaType,
};

/// Who keeps the documents of images.
pub trait Documents {
    /// Returns the document whose digest is `digest`.
    ///
    /// # Errors
    /// Returns [`DocumentError`] when there is none, or it is another.
    fn document(&self, digest: &Digest) -> Result<Vec<u8>, DocumentError>;
}

/// An OCI layout (image-spec, `image-layout.md`): a directory with blobs by digest.
#[derive(Debug, Clone)]
pub struct LayoutDocuments {
    directory: PathBuf,
}

impl LayoutDocuments {
    /// Reads those in `directory`.
    pub fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_path_buf(),
        }
    }
}

impl Documents for LayoutDocuments {
    fn document(&self, digest: &Digest) -> Result<Vec<u8>, DocumentError> {
        let path = self.directory.join("blobs/sha256").join(digest.hex());
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(DocumentError::Absent {
                    digest: *digest,
                    place: self.directory.clone(),
                });
            }
            other => other.map_err(FsError::at("read", &path))?,
        };
        let mut bytes = Vec::new();
        file.take(DOCUMENT_LIMIT + 1)
            .read_to_end(&mut bytes)
            .map_err(FsError::at("read", &path))?;
        checked(*digest, bytes)
    }
}

/// Returns who keeps the documents of a registry's images.
///
/// # Errors
/// Returns [`DocumentError::Registry`] for one that is no OCI layout.
pub fn documents(
    context: &Context,
    registry: &RegistryName,
) -> Result<Box<dyn Documents>, DocumentError> {
    let url = registry_url(context, registry).map_err(DocumentError::Net)?;
    match url.to_file_path() {
        Ok(directory) if url.scheme() == "file" => Ok(Box::new(LayoutDocuments::new(&directory))),
        _ => Err(DocumentError::Registry {
            registry: registry.clone(),
        }),
    }
}

/// Returns what a lock holds of the image that `reference` names, for each platform. The version of
/// the C library is not known yet.
///
/// # Errors
/// Returns [`DocumentError`] when a document is missing or no such document, or when the image is
/// for other platforms.
pub fn lock_image(
    documents: &dyn Documents,
    reference: &ImageReference,
    platforms: &[Platform],
) -> Result<LockedBase, DocumentError> {
    let images = platforms.iter().map(|&platform| {
        let described = described(documents, reference, platform)?;
        let digest = described.manifest.0.digest;
        let manifest = manifest(digest, &described.manifest.1)?;
        let config =
            ImageConfig::parse(&described.config.1).map_err(|source| DocumentError::Invalid {
                digest: manifest.config.digest,
                source,
            })?;
        locked(reference, platform, digest, &manifest, &config)
    });
    Ok(LockedBase {
        reference: reference.clone(),
        images: images.collect::<Result<_, _>>()?,
    })
}

/// A document and what describes it.
type Described = (Descriptor, Vec<u8>);

/// The documents of an image of one platform.
struct DescribedImage {
    /// Where the reference names one.
    index: Option<Described>,
    manifest: Described,
    config: Described,
}

fn described(
    documents: &dyn Documents,
    reference: &ImageReference,
    platform: Platform,
) -> Result<DescribedImage, DocumentError> {
    let of = |media_type, bytes: Vec<u8>| (Descriptor::of(media_type, &bytes), bytes);
    let first = documents.document(&reference.digest)?;
    let (index, manifest_bytes) = match index(reference.digest, &first)? {
        None => (None, first),
        Some(index) => {
            let digest = chosen(reference, &index, platform)?.digest;
            let index = of(MediaType::INDEX, first);
            (Some(index), documents.document(&digest)?)
        }
    };
    let chosen = Digest::of(&manifest_bytes);
    let config = manifest(chosen, &manifest_bytes)?.config;
    let bytes = documents.document(&config.digest)?;
    Ok(DescribedImage {
        index,
        manifest: of(MediaType::MANIFEST, manifest_bytes),
        config: (config, bytes),
    })
}

/// Returns the documents of the image that `reference` names, what it names first, then for each
/// platform the image manifest and the config.
///
/// # Errors
/// As [`lock_image`].
pub fn image_documents(
    documents: &dyn Documents,
    reference: &ImageReference,
    platforms: &[Platform],
) -> Result<Vec<(Descriptor, Vec<u8>)>, DocumentError> {
    let mut all = Vec::new();
    for &platform in platforms {
        let image = described(documents, reference, platform)?;
        all.extend(image.index);
        all.extend([image.manifest, image.config]);
    }
    Ok(all)
}

/// Returns the layers of an image as a lock holds them.
///
/// # Errors
/// Returns [`DocumentError`] when manifest and config disagree, or a layer is of an unknown kind.
pub fn locked(
    reference: &ImageReference,
    platform: Platform,
    digest: Digest,
    manifest: &ImageManifest,
    config: &ImageConfig,
) -> Result<LockedImage, DocumentError> {
    if config.os != "linux" || config.architecture != platform.debian() {
        return Err(DocumentError::NoPlatform {
            reference: reference.to_string(),
            platform,
            offered: vec![format!("{}/{}", config.os, config.architecture)],
        });
    }
    let layers = layers(digest, manifest, config)?.into_iter();
    let layers = layers.map(|layer| {
        let Descriptor { digest, size, .. } = layer.descriptor;
        LockedLayer::new(reference, *digest, *size, layer.compression, layer.diff_id)
    });
    Ok(LockedImage {
        platform,
        manifest: digest,
        glibc: None,
        layers: layers.collect(),
    })
}

/// One layer, by all that an image says of it.
#[derive(Debug, Clone, Copy)]
pub struct DescribedLayer<'a> {
    /// What the manifest says.
    pub descriptor: &'a Descriptor,
    /// How the blob is compressed.
    pub compression: Compression,
    /// What the config says: the digest of the tar stream.
    pub diff_id: Digest,
}

/// Returns the layers of an image, lowest first. `digest` is the manifest's, for messages.
///
/// # Errors
/// Returns [`DocumentError`] when manifest and config disagree, or a layer is of an unknown kind.
pub fn layers<'a>(
    digest: Digest,
    manifest: &'a ImageManifest,
    config: &ImageConfig,
) -> Result<Vec<DescribedLayer<'a>>, DocumentError> {
    let diff_ids = &config.rootfs.diff_ids;
    if manifest.layers.len() != diff_ids.len() {
        return Err(DocumentError::LayerCount {
            digest,
            layers: manifest.layers.len(),
            diff_ids: diff_ids.len(),
        });
    }
    let described = |(descriptor, diff_id): (&'a Descriptor, &Digest)| {
        let compression = descriptor.media_type.compression();
        let compression = compression.ok_or_else(|| DocumentError::LayerType {
            digest: descriptor.digest,
            media_type: descriptor.media_type.clone(),
        })?;
        Ok(DescribedLayer {
            descriptor,
            compression,
            diff_id: *diff_id,
        })
    };
    manifest
        .layers
        .iter()
        .zip(diff_ids)
        .map(described)
        .collect()
}

/// Reads a document that may be an index; `None` when it is not.
fn index(digest: Digest, bytes: &[u8]) -> Result<Option<ImageIndex>, DocumentError> {
    /// What an index and an image manifest tell themselves apart by.
    #[derive(serde::Deserialize)]
    struct Outline {
        manifests: Option<serde::de::IgnoredAny>,
        layers: Option<serde::de::IgnoredAny>,
    }
    // A document that is both would be one image to some tools and another to others
    // (CVE-2021-41190).
    let outline = serde_json::from_slice::<Outline>(bytes);
    match outline {
        Ok(Outline {
            manifests: Some(_),
            layers: Some(_),
        }) => Err(DocumentError::Ambiguous { digest }),
        Ok(Outline {
            manifests: Some(_),
            layers: None,
        }) => {
            let index = ImageIndex::parse(bytes);
            let index = index.map_err(|source| DocumentError::Invalid { digest, source })?;
            Ok(Some(index))
        }
        _ => Ok(None),
    }
}

fn manifest(digest: Digest, bytes: &[u8]) -> Result<ImageManifest, DocumentError> {
    if index(digest, bytes)?.is_some() {
        return Err(DocumentError::NestedIndex { digest });
    }
    ImageManifest::parse(bytes).map_err(|source| DocumentError::Invalid { digest, source })
}

/// Returns the first image of an index for `platform`, as every client chooses.
fn chosen<'a>(
    reference: &ImageReference,
    index: &'a ImageIndex,
    platform: Platform,
) -> Result<&'a Descriptor, DocumentError> {
    let serves = |image: &&Descriptor| {
        let its = image.platform.as_ref();
        its.is_some_and(|its| its.serves(platform))
    };
    index.manifests.iter().find(serves).ok_or_else(|| {
        let platforms = index.manifests.iter().filter_map(|image| {
            let its = image.platform.as_ref()?;
            Some(format!("{}/{}", its.os, its.architecture))
        });
        DocumentError::NoPlatform {
            reference: reference.to_string(),
            platform,
            offered: platforms.collect(),
        }
    })
}

/// Returns a document's bytes if they are its.
fn checked(expected: Digest, bytes: Vec<u8>) -> Result<Vec<u8>, DocumentError> {
    if bytes.len() as u64 > DOCUMENT_LIMIT {
        return Err(DocumentError::TooLarge { digest: expected });
    }
    match Digest::of(&bytes) {
        found if found == expected => Ok(bytes),
        found => Err(DocumentError::WrongDigest { expected, found }),
    }
}

#[cfg(test)]
mod tests {
    use envbox_lockfiles::base::Explain as _;

    use super::*;

    /// Documents by their digests.
    #[derive(Default)]
    struct Kept(std::collections::BTreeMap<Digest, Vec<u8>>);

    impl Kept {
        fn keep(&mut self, bytes: Vec<u8>) -> Digest {
            let digest = Digest::of(&bytes);
            self.0.insert(digest, bytes);
            digest
        }

        fn image(&mut self, architecture: &str, layer: &str, diff_ids: usize) -> Digest {
            let digests = vec![Digest::of(b"tar"); diff_ids];
            let config = serde_json::json!({
                "architecture": architecture, "os": "linux",
                "rootfs": {"type": "layers", "diff_ids": digests},
            });
            let config = config.to_string().into_bytes();
            let descriptor = Descriptor::of(MediaType::CONFIG, &config);
            self.keep(config);
            let layer = Descriptor::of(layer, b"blob");
            self.keep(ImageManifest::new(descriptor, vec![layer]).to_bytes())
        }

        fn index(&mut self, images: &[(Platform, Digest)]) -> Digest {
            let of = |(platform, digest): &(Platform, Digest)| Descriptor {
                platform: Some((*platform).into()),
                ..Descriptor::new(MediaType::MANIFEST, *digest, 0)
            };
            self.keep(ImageIndex::new(images.iter().map(of).collect()).to_bytes())
        }
    }

    impl Documents for Kept {
        fn document(&self, digest: &Digest) -> Result<Vec<u8>, DocumentError> {
            Ok(self.0[digest].clone())
        }
    }

    const AMD64: Platform = Platform::LinuxAmd64;
    const ARM64: Platform = Platform::LinuxArm64;

    fn lock(kept: &Kept, digest: Digest, platforms: &[Platform]) -> Result<LockedBase, String> {
        let reference = format!("images/debian@{digest}").parse().unwrap();
        lock_image(kept, &reference, platforms).map_err(|error| {
            let text = error.to_string().replace(&digest.to_string(), "DIGEST");
            let hints = error.hints().join("; ");
            format!("{text} ({:?}; {hints})", error.kind())
        })
    }

    #[test]
    fn each_platform_has_its_image() {
        let mut kept = Kept::default();
        let amd64 = kept.image("amd64", MediaType::LAYER_GZIP, 1);
        let arm64 = kept.image("arm64", MediaType::LAYER_ZSTD, 1);
        let index = kept.index(&[(ARM64, arm64), (AMD64, amd64), (AMD64, arm64)]);
        let locked = lock(&kept, index, &[AMD64, ARM64]).unwrap();
        let found: Vec<_> = locked
            .images
            .iter()
            .map(|image| (image.manifest, image.layers[0].compression))
            .collect();
        assert_eq!(
            found,
            [(amd64, Compression::Gzip), (arm64, Compression::Zstd)]
        );
        let blob = &locked.images[0].layers[0].artifact;
        assert_eq!(blob.file, format!("debian@{}", Digest::of(b"blob")));
        let alone = lock(&kept, amd64, &[AMD64]).unwrap();
        assert_eq!(alone.images[0], locked.images[0]);
    }

    #[test]
    fn images_that_cannot_be_used_are_refused() {
        let mut kept = Kept::default();
        let amd64 = kept.image("amd64", MediaType::LAYER, 1);
        let index = kept.index(&[(AMD64, amd64)]);
        let nested = kept.index(&[(AMD64, index)]);
        let liar = kept.image("arm64", MediaType::LAYER, 1);
        let liar = kept.index(&[(AMD64, liar)]);
        let few = kept.image("amd64", MediaType::LAYER, 0);
        let odd = kept.image("amd64", "application/x", 1);
        let text = String::from_utf8(kept.0[&amd64].clone()).unwrap();
        let both = text.replacen('{', r#"{"manifests":[],"#, 1);
        let both = kept.keep(both.into_bytes());
        let nothing = kept.keep(b"{}".to_vec());
        for (digest, platform, expected) in [
            (
                index,
                ARM64,
                "no image for linux/arm64, only for linux/amd64",
            ),
            (
                amd64,
                ARM64,
                "no image for linux/arm64, only for linux/amd64",
            ),
            (
                liar,
                AMD64,
                "no image for linux/amd64, only for linux/arm64",
            ),
            (nested, AMD64, "is an index inside an index"),
            (few, AMD64, "has 1 layers, and its config knows of 0"),
            (odd, AMD64, "is of type `application/x`"),
            (both, AMD64, "an image manifest and an index in one"),
            (nothing, AMD64, "DIGEST cannot be used"),
        ] {
            let error = lock(&kept, digest, &[platform]).unwrap_err();
            assert!(error.contains(expected), "expected `{expected}`: {error}");
        }
    }

    #[test]
    fn layouts_give_what_is_asked_for_or_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let blobs = directory.path().join("blobs/sha256");
        std::fs::create_dir_all(&blobs).unwrap();
        let layout = LayoutDocuments::new(directory.path());
        let digest = Digest::of(b"right");
        let read = || layout.document(&digest);
        assert!(matches!(read(), Err(DocumentError::Absent { .. })));
        std::fs::write(blobs.join(digest.hex()), b"wrong").unwrap();
        assert!(matches!(read(), Err(DocumentError::WrongDigest { .. })));
        std::fs::write(blobs.join(digest.hex()), vec![b' '; 5 << 20]).unwrap();
        assert!(matches!(read(), Err(DocumentError::TooLarge { .. })));
        std::fs::write(blobs.join(digest.hex()), b"right").unwrap();
        assert_eq!(read().unwrap(), b"right");
    }
}
