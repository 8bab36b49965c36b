//! Statements beside an image: OCI 1.1 referrers, and the tags of cosign.

use std::collections::BTreeMap;
use std::str::FromStr;

use envbox_lockfiles::base::Digest;
use jiff::Timestamp;

use crate::attest::envelope::{ENVELOPE_MEDIA_TYPE, STATEMENT_MEDIA_TYPE};
use crate::attest::payload::PAYLOAD_MEDIA_TYPE;
use crate::attest::{AttestError, Envelope, Signature};
use crate::image::{Descriptor, ImageConfig, ImageManifest, MediaType, RootFs, RuntimeConfig};
use crate::registry::{Artifact, BlobSource, PushImage, Tag};

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

    fn descriptor(&self) -> Descriptor {
        Descriptor::of(&self.media_type, &self.bytes)
    }
}

/// Something to put beside an image.
#[derive(Debug, Clone)]
pub struct Attachment {
    /// What is to be pushed.
    pub image: PushImage,
    /// The tag by which cosign finds it. None for a referrer: registries list it by its subject.
    pub tag: Option<Tag>,
}

impl Attachment {
    /// Returns the referrer that holds `content`: a parts list, a statement or an envelope.
    /// `predicate_type` says what a statement, signed or not, says. `created` is a fixed time: the
    /// epoch.
    pub fn referrer(
        subject: &Descriptor,
        content: Blob,
        predicate_type: Option<&str>,
        created: Timestamp,
    ) -> Self {
        let predicate =
            predicate_type.map(|kind| (PREDICATE_ANNOTATION.to_owned(), kind.to_owned()));
        let mut document = content.descriptor();
        document.annotations.extend(predicate.clone());
        let mut annotations: BTreeMap<_, _> = predicate.into_iter().collect();
        annotations.insert(CREATED_ANNOTATION.to_owned(), created.to_string());
        let artifact = Artifact {
            artifact_type: content.media_type,
            document,
            source: BlobSource::Bytes(content.bytes),
            annotations,
        };
        Self {
            image: artifact.into_image(subject).1,
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
        let layers: Vec<(Descriptor, Vec<u8>)> = layers
            .into_iter()
            .map(|(media_type, bytes, annotations)| {
                let mut descriptor = Descriptor::of(media_type, &bytes);
                descriptor.annotations = annotations;
                (descriptor, bytes)
            })
            .collect();
        let descriptors: Vec<Descriptor> = layers.iter().map(|(layer, _)| layer.clone()).collect();
        let config = config(&descriptors).to_bytes();
        let described = Descriptor::of(MediaType::CONFIG, &config);
        let manifest = ImageManifest::new(described.clone(), descriptors).to_bytes();
        let blobs = [(described, config)].into_iter().chain(layers);
        let tag = format!("{}.{end}", fallback_tag(digest));
        Self {
            image: PushImage {
                blobs: blobs
                    .map(|(descriptor, bytes)| (descriptor, BlobSource::Bytes(bytes)))
                    .collect(),
                manifests: vec![(Descriptor::of(MediaType::MANIFEST, &manifest), manifest)],
                ..PushImage::default()
            },
            tag: Some(tag.parse().expect("a digest and a word make a tag")),
        }
    }
}

/// An image config that says no more than it must: cosign keeps signatures in images.
fn config(layers: &[Descriptor]) -> ImageConfig {
    ImageConfig {
        architecture: String::new(),
        config: RuntimeConfig::default(),
        created: None,
        history: Vec::new(),
        os: String::new(),
        rootfs: RootFs {
            diff_ids: layers.iter().map(|layer| layer.digest).collect(),
            kind: "layers".to_owned(),
        },
        variant: None,
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
    let manifest = ImageManifest::parse(manifest).map_err(|error| AttestError::Document {
        what,
        source: error.source,
    })?;
    let layers = manifest.layers.into_iter();
    let layers = layers.filter(|layer| layer.media_type.as_str() == PAYLOAD_MEDIA_TYPE);
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
