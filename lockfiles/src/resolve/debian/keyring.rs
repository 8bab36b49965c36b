//! Whose signature is believed.

use std::fmt;
use std::path::Path;

use jiff::Timestamp;
use pgp::composed::{Deserializable as _, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureType};
use pgp::types::{Fingerprint, KeyDetails, KeyId, Tag};

use crate::base::fs;
use crate::resolve::debian::DebianError;

/// Debian's own keys; `data/keyrings/README.md` says where they come from.
const FILES: [&str; 9] = [
    include_str!("../../../data/keyrings/debian-archive-bullseye-automatic.asc"),
    include_str!("../../../data/keyrings/debian-archive-bullseye-security-automatic.asc"),
    include_str!("../../../data/keyrings/debian-archive-bullseye-stable.asc"),
    include_str!("../../../data/keyrings/debian-archive-bookworm-automatic.asc"),
    include_str!("../../../data/keyrings/debian-archive-bookworm-security-automatic.asc"),
    include_str!("../../../data/keyrings/debian-archive-bookworm-stable.asc"),
    include_str!("../../../data/keyrings/debian-archive-trixie-automatic.asc"),
    include_str!("../../../data/keyrings/debian-archive-trixie-security-automatic.asc"),
    include_str!("../../../data/keyrings/debian-archive-trixie-stable.asc"),
];

/// The keys that may sign an archive; nothing else is trusted.
#[derive(Clone)]
pub struct Keyring {
    keys: Vec<SignedPublicKey>,
}

/// Why a key that is in the keyring, or a signature of it, does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyProblem {
    /// It has no valid signature of its owner.
    Unbound,
    /// It was revoked.
    Revoked,
    /// Its time is over.
    Expired {
        /// Since when.
        since: Timestamp,
    },
    /// It may not sign data.
    NotForSigning,
    /// The signature uses a hash that can be forged.
    WeakHash,
    /// The signature is of another kind than those over text.
    WrongKind,
    /// The signature says that it was made after now.
    InTheFuture,
}

impl fmt::Display for KeyProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unbound => f.write_str("the key is not certified by its owner"),
            Self::Revoked => f.write_str("the key was revoked"),
            Self::Expired { since } => write!(f, "it expired at {since}"),
            Self::NotForSigning => f.write_str("the key is not for signing"),
            Self::WeakHash => f.write_str("its hash algorithm can be forged"),
            Self::WrongKind => f.write_str("it is no signature over a text"),
            Self::InTheFuture => f.write_str("it says that it was made after now"),
        }
    }
}

/// One key of a certificate: the primary, or one of its subkeys.
pub(super) struct Component<'a> {
    certificate: &'a SignedPublicKey,
    subkey: Option<&'a SignedPublicSubKey>,
}

impl Keyring {
    /// Returns Debian's archive keys, as this version of the crate ships them.
    pub fn shipped() -> Self {
        Self::from_armor(&FILES).expect("the shipped keys can be read (a test reads them)")
    }

    /// Reads keys from texts of one or more armored public key blocks.
    ///
    /// # Errors
    /// Returns why a text is not that.
    pub fn from_armor(texts: &[&str]) -> Result<Self, pgp::errors::Error> {
        let mut keys = Vec::new();
        for text in texts {
            let (blocks, _) = SignedPublicKey::from_armor_many(text.as_bytes())?;
            for key in blocks {
                keys.push(key?);
            }
        }
        Ok(Self { keys })
    }

    /// Reads the keys in `file`, armored or not.
    ///
    /// # Errors
    /// Returns [`DebianError::Cache`] when it cannot be read, and [`DebianError::NoKeys`] when it is
    /// something else.
    pub fn read(file: &Path) -> Result<Self, DebianError> {
        let bytes = fs::read(file)?;
        let no_keys = |source| DebianError::NoKeys {
            file: file.to_path_buf(),
            source,
        };
        let keys = match std::str::from_utf8(&bytes) {
            Ok(text) => Self::from_armor(&[text]).map(|keyring| keyring.keys),
            Err(_) => {
                SignedPublicKey::from_bytes_many(bytes.as_slice()).and_then(Iterator::collect)
            }
        };
        match keys {
            Ok(keys) if keys.is_empty() => Err(no_keys(None)),
            Ok(keys) => Ok(Self { keys }),
            Err(source) => Err(no_keys(Some(Box::new(source)))),
        }
    }

    /// Returns the key that says it made `signature`.
    pub(super) fn issuer(&self, signature: &Signature) -> Option<Component<'_>> {
        let fingerprints = signature.issuer_fingerprint();
        let ids = signature.issuer_key_id();
        let matches = |key: &dyn Identified| {
            // The key id is 64 bits and can be made to collide, so it decides only where the
            // fingerprint is not given. The signature is verified either way.
            match fingerprints.as_slice() {
                [] => ids.iter().any(|id| **id == key.key_id()),
                _ => fingerprints.iter().any(|given| **given == key.full()),
            }
        };
        self.keys.iter().find_map(|certificate| {
            let subkey = certificate.public_subkeys.iter().find(|key| matches(*key));
            let found = subkey.is_some() || matches(certificate);
            found.then_some(Component {
                certificate,
                subkey,
            })
        })
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.keys.iter().map(|key| key.fingerprint()))
            .finish()
    }
}

/// [`KeyDetails`] cut down to what has no generics in the way.
trait Identified {
    fn full(&self) -> Fingerprint;
    fn key_id(&self) -> KeyId;
}

impl<K: KeyDetails> Identified for K {
    fn full(&self) -> Fingerprint {
        self.fingerprint()
    }

    fn key_id(&self) -> KeyId {
        self.legacy_key_id()
    }
}

impl Component<'_> {
    /// Returns the fingerprint in hex.
    pub(super) fn fingerprint(&self) -> String {
        let fingerprint = self.subkey.map_or_else(
            || self.certificate.fingerprint(),
            |subkey| subkey.fingerprint(),
        );
        format!("{fingerprint:X}")
    }

    /// Says whether this key made `signature` over `text`.
    pub(super) fn made(&self, signature: &Signature, text: &[u8]) -> bool {
        match self.subkey {
            Some(subkey) => signature.verify(subkey, text),
            None => signature.verify(self.certificate, text),
        }
        .is_ok()
    }

    /// Says whether the key may sign data at `now`.
    pub(super) fn check(&self, now: Timestamp) -> Result<(), KeyProblem> {
        let primary = self.check_primary(now)?;
        let binding = match self.subkey {
            None => primary,
            Some(subkey) => self.check_subkey(subkey, now)?,
        };
        match binding.key_flags().sign() {
            true => Ok(()),
            false => Err(KeyProblem::NotForSigning),
        }
    }

    /// Returns the owner's newest statement about the primary key.
    fn check_primary(&self, now: Timestamp) -> Result<&Signature, KeyProblem> {
        let key = &self.certificate.primary_key;
        let details = &self.certificate.details;
        let mut revocations = details.revocation_signatures.iter();
        if revocations.any(|revocation| revocation.verify_key(key).is_ok()) {
            return Err(KeyProblem::Revoked);
        }
        // Statements about user ids first: Debian's direct signatures only name revokers.
        let by_user = details.users.iter().flat_map(|user| {
            let valid = user.signatures.iter().filter(|signature| {
                signature
                    .verify_certification(key, Tag::UserId, &user.id)
                    .is_ok()
            });
            let (revocations, certifications): (Vec<_>, Vec<_>) =
                valid.partition(|signature| signature.typ() == Some(SignatureType::CertRevocation));
            match revocations.is_empty() {
                true => certifications,
                false => Vec::new(),
            }
        });
        let direct = details
            .direct_signatures
            .iter()
            .filter(|signature| signature.verify_key(key).is_ok());
        let binding = newest(by_user, now)
            .or_else(|| newest(direct, now))
            .ok_or(KeyProblem::Unbound)?;
        check_lifetime(key, binding, now)?;
        Ok(binding)
    }

    /// Returns the owner's newest statement about `subkey`.
    fn check_subkey<'a>(
        &self,
        subkey: &'a SignedPublicSubKey,
        now: Timestamp,
    ) -> Result<&'a Signature, KeyProblem> {
        let primary = &self.certificate.primary_key;
        let valid = subkey.signatures.iter().filter(|signature| {
            signature
                .verify_subkey_binding(primary, &subkey.key)
                .is_ok()
        });
        let (revocations, bindings): (Vec<_>, Vec<_>) =
            valid.partition(|signature| signature.typ() == Some(SignatureType::SubkeyRevocation));
        if !revocations.is_empty() {
            return Err(KeyProblem::Revoked);
        }
        let binding = newest(bindings, now).ok_or(KeyProblem::Unbound)?;
        // Without it somebody could adopt another's signing key as a subkey of theirs.
        let adopted = binding.embedded_signature().is_none_or(|back| {
            back.verify_primary_key_binding(&subkey.key, primary)
                .is_err()
        });
        if binding.key_flags().sign() && adopted {
            return Err(KeyProblem::Unbound);
        }
        check_lifetime(&subkey.key, binding, now)?;
        Ok(binding)
    }
}

/// Says whether the hash under `signature` withstands forgers.
pub(super) fn is_strong(signature: &Signature) -> bool {
    matches!(
        signature.hash_alg(),
        Some(
            HashAlgorithm::Sha256
                | HashAlgorithm::Sha384
                | HashAlgorithm::Sha512
                | HashAlgorithm::Sha3_256
                | HashAlgorithm::Sha3_512
        )
    )
}

/// Returns the last of `signatures` that was made before `now` and cannot be forged.
fn newest<'a>(
    signatures: impl IntoIterator<Item = &'a Signature>,
    now: Timestamp,
) -> Option<&'a Signature> {
    signatures
        .into_iter()
        .filter(|signature| is_strong(signature))
        .filter(|signature| time(signature.created()).is_some_and(|created| created <= now))
        .max_by_key(|signature| signature.created())
}

fn check_lifetime(
    key: &impl KeyDetails,
    binding: &Signature,
    now: Timestamp,
) -> Result<(), KeyProblem> {
    let seconds = binding
        .key_expiration_time()
        .map_or(0, |duration| duration.as_secs());
    // Zero means for ever (RFC 9580 §5.2.3.13).
    if seconds == 0 {
        return Ok(());
    }
    let end = u64::from(key.created_at().as_secs()) + u64::from(seconds);
    let end =
        Timestamp::from_second(i64::try_from(end).unwrap_or(i64::MAX)).unwrap_or(Timestamp::MAX);
    match end > now {
        true => Ok(()),
        false => Err(KeyProblem::Expired { since: end }),
    }
}

/// Returns a time of the OpenPGP library as ours.
pub(super) fn time(stamp: Option<pgp::types::Timestamp>) -> Option<Timestamp> {
    Timestamp::from_second(i64::from(stamp?.as_secs())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const README: &str = include_str!("../../../data/keyrings/README.md");

    #[test]
    fn the_shipped_keys_are_those_of_the_readme_and_can_sign() {
        let now = "2026-11-01T00:00:00Z".parse().unwrap();
        let keyring = Keyring::shipped();
        assert_eq!(keyring.keys.len(), FILES.len());
        for certificate in &keyring.keys {
            let primary = format!("{:X}", certificate.fingerprint());
            assert!(README.contains(&primary), "{primary}");
            let components: Vec<_> = match certificate.public_subkeys.as_slice() {
                [] => vec![None],
                subkeys => subkeys.iter().map(Some).collect(),
            };
            for subkey in components {
                let component = Component {
                    certificate,
                    subkey,
                };
                assert!(README.contains(&component.fingerprint()));
                assert_eq!(component.check(now), Ok(()), "{}", component.fingerprint());
            }
        }
    }

    #[test]
    fn shipped_keys_expire() {
        let keyring = Keyring::shipped();
        let certificate = &keyring.keys[0];
        let component = Component {
            certificate,
            subkey: certificate.public_subkeys.first(),
        };
        let later = "2040-01-01T00:00:00Z".parse().unwrap();
        assert!(matches!(
            component.check(later),
            Err(KeyProblem::Expired { .. })
        ));
        let before = "2000-01-01T00:00:00Z".parse().unwrap();
        assert_eq!(component.check(before), Err(KeyProblem::Unbound));
    }
}
