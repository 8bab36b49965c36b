//! DSSE: signatures around a statement (<https://github.com/secure-systems-lab/dsse>).

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use envbox_lockfiles::base::Digest;
use serde::{Deserialize, Serialize};

use crate::attest::{AttestError, PrivateKey, PublicKey, Signature, Statement, json};

/// The media type of an envelope.
pub(super) const ENVELOPE_MEDIA_TYPE: &str = "application/vnd.dsse.envelope.v1+json";

/// The type of a payload that is an in-toto statement.
pub(super) const STATEMENT_MEDIA_TYPE: &str = "application/vnd.in-toto+json";

const WHAT: &str = "envelope";

/// An envelope: its payload is not to be looked at before a signature is checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    #[serde(rename = "payloadType")]
    payload_type: String,
    payload: String,
    signatures: Vec<SignatureWire>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct SignatureWire {
    /// A hint that names the key. Empty, as cosign leaves it: others pass a signature by whose hint
    /// they do not know.
    #[serde(default)]
    keyid: String,
    sig: String,
}

impl Envelope {
    /// Reads an envelope.
    ///
    /// # Errors
    /// Returns [`AttestError::Document`] when the bytes are something else.
    pub fn parse(bytes: &[u8]) -> Result<Self, AttestError> {
        serde_json::from_slice(bytes).map_err(|source| AttestError::Document { what: WHAT, source })
    }

    /// Returns the bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        json::compact(self)
    }

    fn payload(&self) -> Result<Vec<u8>, AttestError> {
        // The specification has readers take both alphabets.
        let text = self.payload.as_bytes();
        let decoded = STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text));
        decoded.map_err(|_| AttestError::Base64)
    }
}

/// Signs the bytes of a statement.
pub fn sign_statement(key: &PrivateKey, statement: &[u8]) -> Envelope {
    let signature = key.sign(&authenticated(STATEMENT_MEDIA_TYPE, statement));
    Envelope {
        payload_type: STATEMENT_MEDIA_TYPE.to_owned(),
        payload: STANDARD.encode(statement),
        signatures: vec![SignatureWire {
            keyid: String::new(),
            sig: signature.to_string(),
        }],
    }
}

/// Checks that one of an envelope's signatures is by `key` and that its statement is about what has
/// `digest`. Returns the statement.
///
/// # Errors
/// Returns [`AttestError::BadSignature`] when no signature fits, [`AttestError::Subject`] when the
/// statement is about something else, and others when the payload is no statement.
pub fn verify_envelope(
    key: &PublicKey,
    envelope: &Envelope,
    digest: Digest,
) -> Result<Statement, AttestError> {
    let payload = envelope.payload()?;
    let signed = authenticated(&envelope.payload_type, &payload);
    let fits = |one: &SignatureWire| {
        let signature: Signature = one.sig.parse()?;
        key.verify(&signed, &signature, WHAT)
    };
    let mut refused = Err(AttestError::BadSignature {
        what: WHAT,
        key: key.digest(),
    });
    for signature in &envelope.signatures {
        refused = fits(signature);
        if refused.is_ok() {
            break;
        }
    }
    refused?;
    if envelope.payload_type != STATEMENT_MEDIA_TYPE {
        return Err(AttestError::Type {
            what: "envelope's payload",
            found: envelope.payload_type.clone(),
            expected: STATEMENT_MEDIA_TYPE.to_owned(),
        });
    }
    let statement = Statement::parse(&payload)?;
    statement.check_subject(digest)?;
    Ok(statement)
}

/// Returns what is signed: DSSE's pre-authentication encoding, in which type and payload cannot run
/// into each other.
fn authenticated(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let (type_length, length) = (payload_type.len(), payload.len());
    let mut bytes = format!("DSSEv1 {type_length} {payload_type} {length} ").into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of DSSE's protocol.
    #[test]
    fn the_encoding_is_the_specifications() {
        assert_eq!(
            authenticated("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }
}
