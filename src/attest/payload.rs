//! cosign's "simple signing": a signature of an image.

use std::collections::BTreeMap;

use envbox_lockfiles::base::Digest;
use serde::{Deserialize, Serialize};

use crate::attest::{AttestError, PrivateKey, PublicKey, Signature, Subject, json};

/// The media type of a payload.
pub(super) const PAYLOAD_MEDIA_TYPE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";

/// What a payload says it is.
const PAYLOAD_TYPE: &str = "cosign container image signature";

const WHAT: &str = "signature payload";

/// What is signed of an image: its digest and the name it was given.
///
/// The bytes are what is signed and what must be kept; they are those that cosign writes for the
/// same image and name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload {
    critical: CriticalWire,
    /// Says nothing that counts.
    optional: Option<BTreeMap<String, serde_json::Value>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct CriticalWire {
    identity: IdentityWire,
    image: ImageWire,
    r#type: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct IdentityWire {
    #[serde(rename = "docker-reference")]
    reference: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct ImageWire {
    #[serde(rename = "docker-manifest-digest")]
    digest: Digest,
}

impl Payload {
    /// Returns the name the image was given when it was signed. It is the signer's word for it: a
    /// copy of the image elsewhere has the same.
    pub fn name(&self) -> &str {
        &self.critical.identity.reference
    }

    /// Returns the digest of the image's manifest.
    pub fn digest(&self) -> Digest {
        self.critical.image.digest
    }
}

/// Signs an image: returns the payload's bytes and their signature.
pub fn sign_payload(key: &PrivateKey, subject: &Subject) -> (Vec<u8>, Signature) {
    let payload = Payload {
        critical: CriticalWire {
            identity: IdentityWire {
                reference: subject.name.clone(),
            },
            image: ImageWire {
                digest: subject.digest,
            },
            r#type: PAYLOAD_TYPE.to_owned(),
        },
        optional: None,
    };
    let bytes = json::compact(&payload);
    let signature = key.sign(&bytes);
    (bytes, signature)
}

/// Checks that `signature` is by `key` over the payload and that the payload is about the image
/// whose manifest has `digest`. Returns the payload.
///
/// # Errors
/// Returns [`AttestError::BadSignature`] when the signature does not fit, [`AttestError::Subject`]
/// when it does but is for another image, and others when the payload is something else.
pub fn verify_payload(
    key: &PublicKey,
    payload: &[u8],
    signature: &Signature,
    digest: Digest,
) -> Result<Payload, AttestError> {
    // First of all: nothing of what was not signed is looked at.
    key.verify(payload, signature, WHAT)?;
    let payload: Payload = serde_json::from_slice(payload)
        .map_err(|source| AttestError::Document { what: WHAT, source })?;
    if payload.critical.r#type != PAYLOAD_TYPE {
        return Err(AttestError::Type {
            what: WHAT,
            found: payload.critical.r#type,
            expected: PAYLOAD_TYPE.to_owned(),
        });
    }
    if payload.digest() != digest {
        return Err(AttestError::Subject {
            expected: digest,
            signed: vec![payload.digest()],
        });
    }
    Ok(payload)
}
