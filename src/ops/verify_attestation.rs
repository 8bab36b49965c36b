//! `envbox verify-attestation`: whether a signed statement holds, without a network.

use std::path::Path;

use envbox_lockfiles::base::{Digest, Platform, fs};
use serde::Serialize;

use crate::attest::{
    AttestError, Envelope, PREDICATE_PROVENANCE, PublicKey, check_provenance, verify_envelope,
};
use crate::ops::sbom::platform_of;
use crate::ops::{Error, Project};

/// A statement that holds.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct AttestationReport {
    /// What it is about.
    pub subject: Digest,
    /// The digest of the public key of who signed it.
    pub key: Digest,
    /// What kind of statement it is.
    pub predicate_type: String,
    /// The lock that it was compared with: for provenance alone.
    pub lock: Option<Digest>,
}

/// Checks that the envelope in `file` is signed by the key in `key` and that its statement is about
/// `subject`; of provenance, that it names the project's lock and the lock's artifacts.
///
/// # Errors
/// Returns [`Error::Attest`] with the file that is wrong, or that says something else.
pub fn verify_attestation(
    project: &Project,
    file: &Path,
    key: &Path,
    subject: Digest,
    platform: Option<Platform>,
) -> Result<AttestationReport, Error> {
    let key = public_key(key)?;
    let bytes = fs::read(file)?;
    let statement = Envelope::parse(&bytes)
        .and_then(|envelope| verify_envelope(&key, &envelope, subject))
        .map_err(AttestError::in_file(file))?;
    let mut report = AttestationReport {
        subject,
        key: key.digest(),
        predicate_type: statement.predicate_type.clone(),
        lock: None,
    };
    if statement.predicate_type == PREDICATE_PROVENANCE {
        let lock = project.lock()?;
        let platform = platform_of(&lock, platform);
        check_provenance(&statement, &lock, platform).map_err(AttestError::in_file(file))?;
        report.lock = Some(lock.digest());
    }
    Ok(report)
}

/// Reads a public key from a file.
///
/// # Errors
/// Returns [`Error::Fs`] or [`Error::Attest`] with the file.
pub fn public_key(file: &Path) -> Result<PublicKey, Error> {
    let text = fs::read(file)?;
    let key = PublicKey::from_pem(&String::from_utf8_lossy(&text));
    Ok(key.map_err(AttestError::in_file(file))?)
}
