//! A lock with its artifacts as an OCI artifact.

use std::collections::BTreeMap;

use envbox_lockfiles::base::Digest;
use envbox_lockfiles::lock::{Artifact, Lockfile, Origin};

use crate::image::{Descriptor, ImageManifest, MediaType};
use crate::registry::{BlobSource, PushImage, Tag};
use crate::store::Store;

/// What the manifest says that it is.
const ARTIFACT_TYPE: &str = "application/vnd.envbox.mirror.v1";

/// The media type of the lock, which is the manifest's config: registries show it.
const LOCK: &str = "application/vnd.envbox.lock.v1+toml";

/// The media type of artifacts.
pub const ARTIFACT: &str = "application/octet-stream";

/// Returns the tag of the manifest that keeps the artifacts of a lock.
pub fn tag_of_lock(lock: Digest) -> Tag {
    let tag = format!("envbox-lock-{}", lock.hex());
    tag.parse().expect("letters and digits make a tag")
}

/// Returns the manifest of `lock` and all its artifacts, which `store` has, to be pushed.
pub fn lock_artifact(lock: &Lockfile, store: &Store) -> PushImage {
    let bytes = lock.to_bytes();
    let config = Descriptor::of(LOCK, &bytes);
    let mut artifacts: BTreeMap<Digest, &Artifact> = BTreeMap::new();
    for artifact in lock.artifacts() {
        artifacts.entry(artifact.digest).or_insert(artifact);
    }
    let layers: Vec<Descriptor> = artifacts.into_values().map(described).collect();
    let blobs = layers.iter().map(|layer| {
        let file = BlobSource::File(store.place(layer.digest));
        (layer.clone(), file)
    });
    let blobs = blobs.chain([(config.clone(), BlobSource::Bytes(bytes))]);
    let blobs: Vec<_> = blobs.collect();
    let mut manifest = ImageManifest::new(config, layers);
    manifest.artifact_type = Some(ARTIFACT_TYPE.to_owned());
    let manifest = manifest.to_bytes();
    let mut descriptor = Descriptor::of(MediaType::MANIFEST, &manifest);
    descriptor.artifact_type = Some(ARTIFACT_TYPE.to_owned());
    PushImage {
        blobs,
        manifests: vec![(descriptor, manifest)],
        tags: vec![tag_of_lock(lock.digest())],
        mount_from: Vec::new(),
    }
}

fn described(artifact: &Artifact) -> Descriptor {
    let mut layer = Descriptor::new(ARTIFACT, artifact.digest, artifact.size);
    let title = "org.opencontainers.image.title".to_owned();
    layer.annotations.insert(title, artifact.file.clone());
    // A direct URL may hold a secret, and its file is named.
    if let Origin::Registry(registry) = &artifact.origin {
        let origin = "vnd.envbox.registry".to_owned();
        layer.annotations.insert(origin, registry.to_string());
    }
    layer
}
