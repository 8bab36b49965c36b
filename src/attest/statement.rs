//! in-toto statements: a subject, and what is said of it.

use std::collections::BTreeMap;

use envbox_lockfiles::base::Digest;
use serde::{Deserialize, Serialize};

use crate::attest::{AttestError, Subject, json};

/// What a statement says it is.
const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";

/// The same before in-toto's attestation framework had its version 1. cosign writes it to this day.
const OLD_STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v0.1";

/// The type of a predicate that tells how something was built (SLSA 1.0).
pub const PREDICATE_PROVENANCE: &str = "https://slsa.dev/provenance/v1";

/// The type of a predicate that is an SPDX document.
pub const PREDICATE_SPDX: &str = "https://spdx.dev/Document";

/// The type of a predicate that is a CycloneDX document.
pub const PREDICATE_CYCLONEDX: &str = "https://cyclonedx.org/bom";

const WHAT: &str = "statement";

/// A statement that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// What its predicate is.
    pub predicate_type: String,
    /// The digests of what it is about.
    pub subjects: Vec<Digest>,
    /// What it says.
    pub predicate: serde_json::Value,
}

#[derive(Serialize, Deserialize)]
struct StatementWire<P> {
    #[serde(rename = "_type")]
    statement_type: String,
    subject: Vec<ResourceWire>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    predicate: P,
}

/// in-toto's `ResourceDescriptor`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct ResourceWire {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) uri: Option<String>,
    #[serde(default)]
    pub(super) digest: DigestSet,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) annotations: BTreeMap<String, String>,
}

/// Digests by the names of their algorithms, in hex digits.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct DigestSet(BTreeMap<String, String>);

impl From<Digest> for DigestSet {
    fn from(digest: Digest) -> Self {
        Self([("sha256".to_owned(), digest.hex())].into())
    }
}

impl DigestSet {
    /// Returns the SHA-256, if there is a valid one.
    pub(super) fn sha256(&self) -> Option<Digest> {
        Digest::from_hex(self.0.get("sha256")?).ok()
    }
}

impl Statement {
    /// Returns the bytes of a statement about `subject`.
    pub(super) fn write(
        subject: &Subject,
        predicate_type: &str,
        predicate: &impl Serialize,
    ) -> Vec<u8> {
        Self::about(std::slice::from_ref(subject), predicate_type, predicate)
    }

    /// Returns the bytes of a statement about all `subjects`.
    pub(crate) fn about(
        subjects: &[Subject],
        predicate_type: &str,
        predicate: &impl Serialize,
    ) -> Vec<u8> {
        let resource = |subject: &Subject| ResourceWire {
            name: Some(subject.name.clone()),
            digest: subject.digest.into(),
            ..ResourceWire::default()
        };
        json::compact(&StatementWire {
            statement_type: STATEMENT_TYPE.to_owned(),
            subject: subjects.iter().map(resource).collect(),
            predicate_type: predicate_type.to_owned(),
            predicate,
        })
    }

    /// Reads a statement.
    ///
    /// # Errors
    /// Returns [`AttestError`] when the bytes are something else.
    pub fn parse(bytes: &[u8]) -> Result<Self, AttestError> {
        let wire: StatementWire<serde_json::Value> = serde_json::from_slice(bytes)
            .map_err(|source| AttestError::Document { what: WHAT, source })?;
        if ![STATEMENT_TYPE, OLD_STATEMENT_TYPE].contains(&wire.statement_type.as_str()) {
            return Err(AttestError::Type {
                what: WHAT,
                found: wire.statement_type,
                expected: STATEMENT_TYPE.to_owned(),
            });
        }
        Ok(Self {
            predicate_type: wire.predicate_type,
            subjects: wire
                .subject
                .iter()
                .filter_map(|one| one.digest.sha256())
                .collect(),
            predicate: wire.predicate,
        })
    }

    /// Checks that the statement is about what has `digest`.
    pub(super) fn check_subject(&self, digest: Digest) -> Result<(), AttestError> {
        match self.subjects.contains(&digest) {
            true => Ok(()),
            false => Err(AttestError::Subject {
                expected: digest,
                signed: self.subjects.clone(),
            }),
        }
    }
}
