//! Parts lists of a lock.

mod cyclonedx;
mod spdx;

use envbox_lockfiles::base::{Digest, Platform};
use envbox_lockfiles::lock::Lockfile;
use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use crate::attest::inventory::Inventory;
use crate::attest::{
    AttestError, Blob, Licences, PREDICATE_CYCLONEDX, PREDICATE_SPDX, Statement, Subject, json,
};

/// How a parts list is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SbomFormat {
    /// SPDX 2.3 (ISO/IEC 5962), JSON.
    #[default]
    Spdx,
    /// CycloneDX 1.5, JSON.
    CycloneDx,
}

impl SbomFormat {
    /// Returns the media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Spdx => "application/spdx+json",
            Self::CycloneDx => "application/vnd.cyclonedx+json",
        }
    }

    /// Returns the type of a predicate that is such a document.
    pub fn predicate_type(self) -> &'static str {
        match self {
            Self::Spdx => PREDICATE_SPDX,
            Self::CycloneDx => PREDICATE_CYCLONEDX,
        }
    }
}

/// What a parts list is made with.
#[derive(Debug, Clone)]
pub struct SbomOptions {
    /// How it is written.
    pub format: SbomFormat,
    /// For which of the lock's platforms.
    pub platform: Platform,
    /// When it says that it was made: the manifest's epoch.
    pub created: Timestamp,
}

/// A parts list.
#[derive(Debug, Clone)]
pub struct Sbom(Document);

#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
enum Document {
    Spdx(Box<spdx::DocumentWire>),
    CycloneDx(Box<cyclonedx::BomWire>),
}

/// Lists every package that `lock` has for a platform: version, package URL, digest, licence, and
/// which package asks for which.
///
/// # Errors
/// Returns [`AttestError::Platform`] when the lock has nothing for the platform.
pub fn sbom(
    lock: &Lockfile,
    licences: &Licences,
    options: &SbomOptions,
) -> Result<Sbom, AttestError> {
    let inventory = Inventory::of(lock, options.platform)?;
    Ok(Sbom(match options.format {
        SbomFormat::Spdx => Document::Spdx(Box::new(spdx::document(
            &inventory,
            licences,
            options.created,
        ))),
        SbomFormat::CycloneDx => Document::CycloneDx(Box::new(cyclonedx::bom(
            &inventory,
            licences,
            options.created,
        ))),
    }))
}

impl Sbom {
    /// Returns the format.
    pub fn format(&self) -> SbomFormat {
        match &self.0 {
            Document::Spdx(_) => SbomFormat::Spdx,
            Document::CycloneDx(_) => SbomFormat::CycloneDx,
        }
    }

    /// Returns the bytes of the document.
    pub fn to_bytes(&self) -> Vec<u8> {
        json::pretty(&self.0)
    }

    /// Returns the document as a blob to attach.
    pub fn to_blob(&self) -> Blob {
        Blob {
            media_type: self.format().media_type().to_owned(),
            bytes: self.to_bytes(),
        }
    }

    /// Returns the bytes of the statement that this is what `subject` is made of, to be signed.
    pub fn statement(&self, subject: &Subject) -> Vec<u8> {
        Statement::write(subject, self.format().predicate_type(), &self.0)
    }
}

/// Returns a name for a document that no document with other contents has.
fn identity(document: &impl Serialize) -> Uuid {
    let hex = Digest::of(&json::compact(document)).hex();
    let bits = u128::from_str_radix(&hex[..32], 16).expect("a digest is hex digits");
    uuid::Builder::from_custom_bytes(bits.to_be_bytes()).into_uuid()
}
