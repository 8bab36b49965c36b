//! `envbox provenance`: the statement that an image was built from the lock.

use std::path::Path;

use envbox_lockfiles::base::{Platform, fs};

use crate::attest::{
    AttestError, Builder, Password, PrivateKey, Subject, provenance as state, sign_statement,
};
use crate::ops::sbom::platform_of;
use crate::ops::{Error, Project};

/// What `provenance` states.
#[derive(Debug, Clone)]
pub struct ProvenanceOptions {
    /// The image.
    pub subject: Subject,
    /// For which platform; by default see [`platform_of`].
    pub platform: Option<Platform>,
    /// Who builds.
    pub builder: Builder,
}

/// Returns the bytes of the statement, or with a key those of an envelope around it.
///
/// # Errors
/// Returns [`Error::Stale`] when the lockfile does not answer the manifest, and [`Error::Attest`]
/// when the lock is not for the platform.
pub fn provenance(
    project: &Project,
    options: &ProvenanceOptions,
    key: Option<&PrivateKey>,
) -> Result<Vec<u8>, Error> {
    let lock = project.lock()?;
    let platform = platform_of(&lock, options.platform);
    let statement = state(&lock, platform, &options.subject, &options.builder)?;
    Ok(match key {
        Some(key) => sign_statement(key, &statement).to_bytes(),
        None => statement,
    })
}

/// Reads a private key from a file. `password` is asked when the key is sealed.
///
/// # Errors
/// Returns [`Error::Fs`] or [`Error::Attest`] with the file.
pub fn private_key(
    file: &Path,
    password: impl FnOnce() -> Result<Password, AttestError>,
) -> Result<PrivateKey, Error> {
    let text = fs::read(file)?;
    let text = String::from_utf8_lossy(&text);
    let key = PrivateKey::from_pem(&text, password);
    Ok(key.map_err(AttestError::in_file(file))?)
}
