//! The documents of the OCI image-spec.
//!
//! Written canonically: keys sorted, no white space, nothing that is empty. Fields are therefore in
//! alphabetical order here; [`tests::documents_are_canonical`] holds it.

use std::collections::BTreeMap;
use std::fmt;

use envbox_lockfiles::base::{Digest, Platform};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What the bytes of a descriptor are (image-spec, `media-types.md`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MediaType(String);

impl MediaType {
    /// An image manifest.
    pub const MANIFEST: &'static str = "application/vnd.oci.image.manifest.v1+json";
    /// An image index.
    pub const INDEX: &'static str = "application/vnd.oci.image.index.v1+json";
    /// An image config.
    pub const CONFIG: &'static str = "application/vnd.oci.image.config.v1+json";
    /// A layer that is not compressed.
    pub const LAYER: &'static str = "application/vnd.oci.image.layer.v1.tar";
    /// A layer compressed with gzip.
    pub const LAYER_GZIP: &'static str = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// A layer compressed with zstd.
    pub const LAYER_ZSTD: &'static str = "application/vnd.oci.image.layer.v1.tar+zstd";
    /// Docker's image manifest, version 2, schema 2: the same fields.
    pub const DOCKER_MANIFEST: &'static str =
        "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker's index.
    pub const DOCKER_INDEX: &'static str =
        "application/vnd.docker.distribution.manifest.list.v2+json";
    /// Docker's config.
    pub const DOCKER_CONFIG: &'static str = "application/vnd.docker.container.image.v1+json";
    /// Docker's layer.
    pub const DOCKER_LAYER_GZIP: &'static str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Says whether it is an index, OCI's or Docker's.
    pub fn is_index(&self) -> bool {
        [Self::INDEX, Self::DOCKER_INDEX].contains(&self.as_str())
    }

    /// Says whether it is an image manifest, OCI's or Docker's.
    pub fn is_manifest(&self) -> bool {
        [Self::MANIFEST, Self::DOCKER_MANIFEST].contains(&self.as_str())
    }
}

impl From<&str> for MediaType {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names bytes: what they are, their digest and their size (`descriptor.md`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// Words about them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// What kind of thing a manifest that is no image describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The digest of the bytes as they are stored.
    pub digest: Digest,
    /// What they are.
    pub media_type: MediaType,
    /// What an image in an index runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<OciPlatform>,
    /// The number of bytes.
    pub size: u64,
}

impl Descriptor {
    /// Describes `bytes`.
    pub fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self::new(media_type, Digest::of(bytes), bytes.len() as u64)
    }

    /// Describes bytes whose digest is known.
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self {
            annotations: BTreeMap::new(),
            artifact_type: None,
            digest,
            media_type: media_type.into(),
            platform: None,
            size,
        }
    }
}

/// The platform of an image in an index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OciPlatform {
    /// `amd64`, `arm64`; Go's names.
    pub architecture: String,
    /// `linux`.
    pub os: String,
    /// `v8` of an arm64; written by others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl From<Platform> for OciPlatform {
    fn from(platform: Platform) -> Self {
        Self {
            architecture: platform.debian().to_owned(),
            os: "linux".to_owned(),
            variant: None,
        }
    }
}

impl OciPlatform {
    /// Says whether an image for this platform runs on `platform`.
    pub fn serves(&self, platform: Platform) -> bool {
        self.os == "linux" && self.architecture == platform.debian()
    }
}

/// An image for one platform (`manifest.md`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageManifest {
    /// Words about the image.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// What an artifact is that is no image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The config.
    pub config: Descriptor,
    /// The layers, lowest first.
    pub layers: Vec<Descriptor>,
    /// [`MediaType::MANIFEST`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<MediaType>,
    /// 2.
    pub schema_version: u32,
    /// The manifest that this one says something about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
}

impl ImageManifest {
    /// Puts an image together.
    pub fn new(config: Descriptor, layers: Vec<Descriptor>) -> Self {
        Self {
            annotations: BTreeMap::new(),
            artifact_type: None,
            config,
            layers,
            media_type: Some(MediaType::MANIFEST.into()),
            schema_version: 2,
            subject: None,
        }
    }
}

/// Images for several platforms (`image-index.md`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageIndex {
    /// Words about the whole.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The image manifests.
    pub manifests: Vec<Descriptor>,
    /// [`MediaType::INDEX`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<MediaType>,
    /// 2.
    pub schema_version: u32,
}

impl ImageIndex {
    /// Puts an index together.
    pub fn new(manifests: Vec<Descriptor>) -> Self {
        Self {
            annotations: BTreeMap::new(),
            manifests,
            media_type: Some(MediaType::INDEX.into()),
            schema_version: 2,
        }
    }
}

/// What an image's layers are and how a container of it starts (`config.md`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// `amd64`.
    pub architecture: String,
    /// How a container starts.
    #[serde(default)]
    pub config: RuntimeConfig,
    /// When the image was made, as far as its digest is to depend on it: the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// One entry a layer; what others write there is kept as it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Value>,
    /// `linux`.
    pub os: String,
    /// The layers.
    pub rootfs: RootFs,
    /// `v8` of an arm64; written by others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// How a container of an image starts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RuntimeConfig {
    /// The arguments that the user may replace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    /// What they are given to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// `NAME=value`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<Vec<String>>,
    /// Words about the image, for programs that see the config alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// The signal that asks the program to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// `user`, `uid`, `user:group` or `uid:gid`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Where the program starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
}

/// The layers of an image by what is in them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// The digests of the layers' tar streams, lowest first.
    pub diff_ids: Vec<Digest>,
    /// `layers`.
    #[serde(rename = "type")]
    pub kind: String,
}

/// Bytes are not the document they are said to be.
#[derive(Debug, thiserror::Error)]
#[error("the {document} is not valid")]
pub struct InvalidDocument {
    /// What they were taken for.
    pub document: &'static str,
    /// What is wrong.
    #[source]
    pub source: serde_json::Error,
}

macro_rules! documents {
    ($($document:ident = $name:literal),*) => {$(
        impl $document {
            /// Returns the canonical bytes.
            pub fn to_bytes(&self) -> Vec<u8> {
                serde_json::to_vec(self).expect("maps have text for keys")
            }

            /// Reads what somebody wrote, canonical or not.
            ///
            /// # Errors
            /// Returns [`InvalidDocument`].
            pub fn parse(bytes: &[u8]) -> Result<Self, InvalidDocument> {
                parse($name, bytes)
            }
        }
    )*};
}

documents!(
    ImageManifest = "image manifest",
    ImageIndex = "image index",
    ImageConfig = "image config"
);

fn parse<T: DeserializeOwned>(document: &'static str, bytes: &[u8]) -> Result<T, InvalidDocument> {
    serde_json::from_slice(bytes).map_err(|source| InvalidDocument { document, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_canonical() {
        let mut layer = Descriptor::of(MediaType::LAYER_ZSTD, b"layer");
        layer.annotations.insert("a".into(), "b".into());
        layer.platform = Some(Platform::LinuxArm64.into());
        let labels = BTreeMap::from([("b".to_owned(), String::new())]);
        let config = ImageConfig {
            architecture: "amd64".into(),
            config: RuntimeConfig {
                cmd: Some(vec!["python3".into()]),
                entrypoint: Some(Vec::new()),
                env: Some(vec!["A=1".into()]),
                labels: Some(labels),
                stop_signal: Some("SIGTERM".into()),
                user: Some("1000:1000".into()),
                working_dir: Some("/project".into()),
            },
            created: Some("2020-01-01T00:00:00Z".into()),
            history: vec![serde_json::json!({"created_by": "x", "created": "y"})],
            os: "linux".into(),
            rootfs: RootFs {
                diff_ids: vec![Digest::of(b"")],
                kind: "layers".into(),
            },
            variant: None,
        };
        let mut manifest = ImageManifest::new(
            Descriptor::of(MediaType::CONFIG, &config.to_bytes()),
            vec![layer.clone()],
        );
        manifest.subject = Some(layer.clone());
        let index = ImageIndex::new(vec![layer]);
        for bytes in [config.to_bytes(), manifest.to_bytes(), index.to_bytes()] {
            // Maps of this crate are sorted: what went through one is canonical.
            let value: Value = serde_json::from_slice(&bytes).unwrap();
            let sorted = serde_json::to_vec(&value).unwrap();
            assert_eq!(
                String::from_utf8(bytes).unwrap(),
                String::from_utf8(sorted).unwrap()
            );
        }
        assert_eq!(ImageConfig::parse(&config.to_bytes()).unwrap(), config);
        assert_eq!(
            ImageManifest::parse(&manifest.to_bytes()).unwrap(),
            manifest
        );
        assert_eq!(ImageIndex::parse(&index.to_bytes()).unwrap(), index);
    }

    #[test]
    fn foreign_documents_are_read() {
        let digest = Digest::of(b"");
        let text = format!(
            r#"{{"schemaVersion":2,"mediaType":"{}","unknown":1,
                "config":{{"mediaType":"x","size":2,"digest":"{digest}","data":""}},
                "layers":[]}}"#,
            MediaType::DOCKER_MANIFEST
        );
        let manifest = ImageManifest::parse(text.as_bytes()).unwrap();
        assert_eq!(manifest.config.digest, digest);
        assert!(manifest.media_type.unwrap().is_manifest());
        let error = ImageManifest::parse(b"{}").unwrap_err();
        assert_eq!(error.to_string(), "the image manifest is not valid");
    }
}
