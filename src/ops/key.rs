//! `envbox key`: keys to sign with.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use envbox_lockfiles::base::{Digest, FsError};
use p256::elliptic_curve::rand_core::CryptoRngCore;
use serde::Serialize;

use crate::attest::{AttestError, Password, PrivateKey};
use crate::ops::Error;

/// What `key generate` did.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct KeyReport {
    /// The file with the private key, readable for its owner alone.
    pub private_key: PathBuf,
    /// The file with the public key.
    pub public_key: PathBuf,
    /// The digest of the public key, by which people can compare keys.
    pub digest: Digest,
}

/// Makes a pair of keys out of the chance that `random` gives: `PREFIX.key`, sealed when there is a
/// password, and `PREFIX.pub`.
///
/// # Errors
/// Returns [`Error::Attest`] when one of the files is there; both are left as they are.
pub fn generate(
    prefix: &Path,
    password: Option<&Password>,
    random: &mut impl CryptoRngCore,
) -> Result<KeyReport, Error> {
    let private_key = prefix.with_added_extension("key");
    let public_key = prefix.with_added_extension("pub");
    if public_key.symlink_metadata().is_ok() {
        return Err(AttestError::in_file(public_key)(AttestError::KeyExists).into());
    }
    let key = PrivateKey::generate(random);
    let text = match password {
        Some(password) => key.to_sealed_pem(password, random),
        None => key.to_pem(),
    };
    create(&private_key, 0o600, &text)?;
    create(&public_key, 0o644, &key.public().to_pem())?;
    Ok(KeyReport {
        private_key,
        public_key,
        digest: key.public().digest(),
    })
}

/// Writes a file that must not be there.
fn create(file: &Path, mode: u32, text: &str) -> Result<(), Error> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(mode);
    let written = options.open(file).and_then(|mut open| {
        open.write_all(text.as_bytes())?;
        open.sync_all()
    });
    written.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => AttestError::in_file(file)(AttestError::KeyExists).into(),
        _ => FsError::at("write", file)(error).into(),
    })
}
