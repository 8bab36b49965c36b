//! Statements beside an image: OCI 1.1 referrers, and the tags of cosign.

use std::collections::BTreeMap;
use std::str::FromStr;

use envbox_lockfiles::base::Digest;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::attest::envelope::{ENVELOPE_MEDIA_TYPE, STATEMENT_MEDIA_TYPE};
use crate::attest::payload::PAYLOAD_MEDIA_TYPE;
use crate::attest::{AttestError, Envelope, Signature, json};

const MANIFEST_MEDIA_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG_MEDIA_TYPE: &str = "application/vnd.oci.image.config.v1+json";
const EMPTY_MEDIA_TYPE: &str = "application/vnd.oci.empty.v1+json";

/// The content that OCI gives to an empty descriptor.
const EMPTY: &[u8] = b"{}";

/// Where BuildKit and cosign say what an in-toto statement says.
const PREDICATE_ANNOTATION: &str = "in-toto.io/predicate-type";
const CREATED_ANNOTATION: &str = "org.opencontainers.image.created";
/// Where cosign keeps a signature; its payload is the layer.
const SIGNATURE_ANNOTATION: &str = "dev.cosignproject.cosign/signature";
const COSIGN_PREDICATE_ANNOTATION: &str = "predicateType";

/// What a statement is about: an image's name, without tag, and the digest of its manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The name.
    pub name: String,
    /// The digest.
    pub digest: Digest,
}

impl FromStr for Subject {
    type Err = InvalidSubject;

    fn from_str(text: &str) -> Result<Self, InvalidSubject> {
        let parts = text.rsplit_once('@').filter(|(name, _)| !name.is_empty());
        let parsed = parts.and_then(|(name, digest)| {
            Some(Self {
                name: name.to_owned(),
                digest: digest.parse().ok()?,
            })
        });
        parsed.ok_or_else(|| InvalidSubject {
            found: text.to_owned(),
        })
    }
}

/// The text names no image by its digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not NAME@sha256:DIGEST")]
pub struct InvalidSubject {
    /// The text as found.
    pub found: String,
}

/// The descriptor of the manifest or index that something is attached to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectDescriptor {
    /// Its media type.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// Bytes with their media type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// The media type.
    pub media_type: String,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl Blob {
    /// Returns the digest.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }

    fn descriptor(&self) -> DescriptorWire {
        DescriptorWire {
            media_type: self.media_type.clone(),
            digest: self.digest(),
            size: self.bytes.len() as u64,
            annotations: BTreeMap::new(),
        }
    }
}

/// Something to put beside an image: push the blobs, then the manifest, under the tag if there is
/// one and else by its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// What it is, for those who list referrers.
    pub artifact_type: String,
    /// The config and the layers.
    pub blobs: Vec<Blob>,
    /// The manifest.
    pub manifest: Blob,
    /// The tag by which cosign finds it. None for a referrer: registries list it by its subject, and
    /// for those that do not, its descriptor belongs in the index under [`fallback_tag`].
    pub tag: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DescriptorWire {
    media_type: String,
    digest: Digest,
    size: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ManifestWire {
    schema_version: u8,
    media_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    artifact_type: Option<String>,
    config: DescriptorWire,
    layers: Vec<DescriptorWire>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subject: Option<DescriptorWire>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

impl Attachment {
    /// Returns the referrer that holds `content`: a parts list, a statement or an envelope.
    /// `predicate_type` says what a statement, signed or not, says. `created` is a fixed time: the
    /// epoch.
    pub fn referrer(
        subject: &SubjectDescriptor,
        content: Blob,
        predicate_type: Option<&str>,
        created: Timestamp,
    ) -> Self {
        let config = Blob {
            media_type: EMPTY_MEDIA_TYPE.to_owned(),
            bytes: EMPTY.to_vec(),
        };
        let predicate =
            predicate_type.map(|kind| (PREDICATE_ANNOTATION.to_owned(), kind.to_owned()));
        let mut layer = content.descriptor();
        layer.annotations.extend(predicate.clone());
        let mut annotations: BTreeMap<_, _> = predicate.into_iter().collect();
        annotations.insert(CREATED_ANNOTATION.to_owned(), created.to_string());
        let manifest = ManifestWire {
            schema_version: 2,
            media_type: MANIFEST_MEDIA_TYPE.to_owned(),
            artifact_type: Some(content.media_type.clone()),
            config: config.descriptor(),
            layers: vec![layer],
            subject: Some(DescriptorWire {
                media_type: subject.media_type.clone(),
                digest: subject.digest,
                size: subject.size,
                annotations: BTreeMap::new(),
            }),
            annotations,
        };
        Self {
            artifact_type: content.media_type.clone(),
            blobs: vec![config, content],
            manifest: manifest.to_blob(),
            tag: None,
        }
    }

    /// Returns what `cosign verify` reads: signatures of the image with `digest`, each with its
    /// payload.
    pub fn cosign_signatures(digest: Digest, signed: &[(Vec<u8>, Signature)]) -> Self {
        let layers = signed.iter().map(|(payload, signature)| {
            let annotation = (SIGNATURE_ANNOTATION.to_owned(), signature.to_string());
            (PAYLOAD_MEDIA_TYPE, payload.clone(), [annotation].into())
        });
        Self::cosign(digest, "sig", layers.collect())
    }

    /// Returns what `cosign verify-attestation` reads: envelopes about the image with `digest`, each
    /// with the type of its predicate.
    pub fn cosign_attestations(digest: Digest, envelopes: &[(Envelope, &str)]) -> Self {
        let layers = envelopes.iter().map(|(envelope, predicate_type)| {
            let annotations = [
                // Empty: the envelope has its own. cosign passes by layers without one.
                (SIGNATURE_ANNOTATION.to_owned(), String::new()),
                (
                    COSIGN_PREDICATE_ANNOTATION.to_owned(),
                    (*predicate_type).to_owned(),
                ),
            ];
            (ENVELOPE_MEDIA_TYPE, envelope.to_bytes(), annotations.into())
        });
        Self::cosign(digest, "att", layers.collect())
    }

    fn cosign(
        digest: Digest,
        end: &str,
        layers: Vec<(&str, Vec<u8>, BTreeMap<String, String>)>,
    ) -> Self {
        let mut blobs = Vec::new();
        let mut descriptors = Vec::new();
        for (media_type, bytes, annotations) in layers {
            let blob = Blob {
                media_type: media_type.to_owned(),
                bytes,
            };
            descriptors.push(DescriptorWire {
                annotations,
                ..blob.descriptor()
            });
            blobs.push(blob);
        }
        let config = Blob {
            media_type: CONFIG_MEDIA_TYPE.to_owned(),
            bytes: json::compact(&ConfigWire::of(&blobs)),
        };
        let manifest = ManifestWire {
            schema_version: 2,
            media_type: MANIFEST_MEDIA_TYPE.to_owned(),
            artifact_type: None,
            config: config.descriptor(),
            layers: descriptors,
            subject: None,
            annotations: BTreeMap::new(),
        };
        blobs.insert(0, config);
        Self {
            artifact_type: CONFIG_MEDIA_TYPE.to_owned(),
            blobs,
            manifest: manifest.to_blob(),
            tag: Some(format!("{}.{end}", fallback_tag(digest))),
        }
    }
}

impl ManifestWire {
    fn to_blob(&self) -> Blob {
        Blob {
            media_type: MANIFEST_MEDIA_TYPE.to_owned(),
            bytes: json::compact(self),
        }
    }
}

/// An image config that says no more than it must: cosign keeps signatures in images.
#[derive(Serialize)]
struct ConfigWire {
    architecture: &'static str,
    os: &'static str,
    config: BTreeMap<String, String>,
    rootfs: RootfsWire,
}

#[derive(Serialize)]
struct RootfsWire {
    r#type: &'static str,
    diff_ids: Vec<Digest>,
}

impl ConfigWire {
    fn of(layers: &[Blob]) -> Self {
        Self {
            architecture: "",
            os: "",
            config: BTreeMap::new(),
            rootfs: RootfsWire {
                r#type: "layers",
                diff_ids: layers.iter().map(Blob::digest).collect(),
            },
        }
    }
}

/// Returns the tag under which a registry without a referrers API has the index of what refers to
/// `digest`.
pub fn fallback_tag(digest: Digest) -> String {
    format!("sha256-{}", digest.hex())
}

/// A signature as a manifest of cosign's lists it: the payload is the blob with `payload`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureLayer {
    /// The digest of the payload.
    pub payload: Digest,
    /// The signature.
    pub signature: Signature,
}

/// Lists the signatures in a manifest that cosign or [`Attachment::cosign_signatures`] made; other
/// layers are passed by.
///
/// # Errors
/// Returns [`AttestError`] when the bytes are no image manifest or a signature is malformed.
pub fn signatures_in(manifest: &[u8]) -> Result<Vec<SignatureLayer>, AttestError> {
    let what = "manifest of signatures";
    let manifest: ManifestWire = serde_json::from_slice(manifest)
        .map_err(|source| AttestError::Document { what, source })?;
    let layers = manifest.layers.into_iter();
    let layers = layers.filter(|layer| layer.media_type == PAYLOAD_MEDIA_TYPE);
    let signatures = layers.filter_map(|layer| {
        let text = layer.annotations.get(SIGNATURE_ANNOTATION)?;
        let signature = text.parse().map(|signature| SignatureLayer {
            payload: layer.digest,
            signature,
        });
        Some(signature)
    });
    signatures.collect()
}

impl Blob {
    /// Returns an unsigned statement as a blob.
    pub fn statement(bytes: Vec<u8>) -> Self {
        Self {
            media_type: STATEMENT_MEDIA_TYPE.to_owned(),
            bytes,
        }
    }

    /// Returns a signed statement as a blob.
    pub fn envelope(envelope: &Envelope) -> Self {
        Self {
            media_type: ENVELOPE_MEDIA_TYPE.to_owned(),
            bytes: envelope.to_bytes(),
        }
    }
}
