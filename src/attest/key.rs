//! Keys and raw signatures: ECDSA on P-256 over SHA-256.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use envbox_lockfiles::base::Digest;
use p256::ecdsa::signature::{Signer as _, Verifier as _};
use p256::ecdsa::{self, DerSignature, SigningKey, VerifyingKey};
use p256::elliptic_curve::rand_core::CryptoRngCore;
use p256::pkcs8::spki::SubjectPublicKeyInfoRef;
use p256::pkcs8::{
    DecodePrivateKey as _, DecodePublicKey as _, EncodePrivateKey as _, EncodePublicKey as _,
    PrivateKeyInfo,
};

use crate::attest::sealed::{self, Password};
use crate::attest::{AttestError, pem};

const PRIVATE: &str = "private key";
const PUBLIC: &str = "public key";

/// The labels of RFC 7468.
const PKCS8_LABEL: &str = "PRIVATE KEY";
const SPKI_LABEL: &str = "PUBLIC KEY";

/// A key to sign with.
#[derive(Clone)]
pub struct PrivateKey(SigningKey);

impl PrivateKey {
    /// Makes a key out of the chance that `random` gives.
    pub fn generate(random: &mut impl CryptoRngCore) -> Self {
        Self(SigningKey::random(random))
    }

    /// Reads a PEM text: PKCS#8 without encryption, or a key sealed by cosign or
    /// [`PrivateKey::to_sealed_pem`], for which `password` is asked.
    ///
    /// # Errors
    /// Returns [`AttestError`] when the text is something else, or the password does not open it.
    pub fn from_pem(
        text: &str,
        password: impl FnOnce() -> Result<Password, AttestError>,
    ) -> Result<Self, AttestError> {
        let (label, bytes) = pem::read(text, PRIVATE)?;
        match label {
            PKCS8_LABEL => Self::from_pkcs8(&bytes),
            label if sealed::LABELS.contains(&label) => {
                let sealed = sealed::Sealed::parse(&bytes)?;
                Self::from_pkcs8(&sealed.open(&password()?)?)
            }
            other => Err(AttestError::Label {
                what: PRIVATE,
                found: other.to_owned(),
            }),
        }
    }

    /// Returns the PEM text of the key without encryption.
    pub fn to_pem(&self) -> String {
        pem::write(PKCS8_LABEL, &self.to_pkcs8())
    }

    /// Returns the PEM text of the key, sealed as `cosign generate-key-pair` seals: nobody reads it
    /// without the password. Salt and nonce are taken from `random`.
    pub fn to_sealed_pem(&self, password: &Password, random: &mut impl CryptoRngCore) -> String {
        let sealed = sealed::Sealed::seal(&self.to_pkcs8(), password, random);
        pem::write(sealed::LABELS[0], &sealed.to_bytes())
    }

    /// Returns the key that checks what this one signs.
    pub fn public(&self) -> PublicKey {
        PublicKey(*self.0.verifying_key())
    }

    /// Signs bytes.
    pub(super) fn sign(&self, bytes: &[u8]) -> Signature {
        Signature(self.0.sign(bytes))
    }

    fn to_pkcs8(&self) -> zeroize::Zeroizing<Vec<u8>> {
        let der = self
            .0
            .to_pkcs8_der()
            .expect("a key that is there can be written");
        der.to_bytes()
    }

    fn from_pkcs8(der: &[u8]) -> Result<Self, AttestError> {
        SigningKey::from_pkcs8_der(der).map(Self).map_err(|_| {
            let info = PrivateKeyInfo::try_from(der).ok();
            AttestError::KeyType {
                what: PRIVATE,
                found: info.map(|info| info.algorithm.oid.to_string()),
            }
        })
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PrivateKey")
            .field(&self.public().digest())
            .finish()
    }
}

/// A key to verify with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Reads a PEM text, as in `cosign.pub`.
    ///
    /// # Errors
    /// Returns [`AttestError`] when the text is something else.
    pub fn from_pem(text: &str) -> Result<Self, AttestError> {
        let (label, bytes) = pem::read(text, PUBLIC)?;
        if label != SPKI_LABEL {
            return Err(AttestError::Label {
                what: PUBLIC,
                found: label.to_owned(),
            });
        }
        VerifyingKey::from_public_key_der(&bytes)
            .map(Self)
            .map_err(|_| {
                let info = SubjectPublicKeyInfoRef::try_from(bytes.as_slice()).ok();
                AttestError::KeyType {
                    what: PUBLIC,
                    found: info.map(|info| info.algorithm.oid.to_string()),
                }
            })
    }

    /// Returns the PEM text.
    pub fn to_pem(&self) -> String {
        pem::write(SPKI_LABEL, &self.to_der())
    }

    /// Returns the digest of the key's bytes, by which people can compare keys.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.to_der())
    }

    /// Says whether `signature` is by this key over `bytes`, which are a `what`.
    pub(super) fn verify(
        &self,
        bytes: &[u8],
        signature: &Signature,
        what: &'static str,
    ) -> Result<(), AttestError> {
        self.0
            .verify(bytes, &signature.0)
            .map_err(|_| AttestError::BadSignature {
                what,
                key: self.digest(),
            })
    }

    fn to_der(&self) -> Vec<u8> {
        let der = self
            .0
            .to_public_key_der()
            .expect("a key that is there can be written");
        der.into_vec()
    }
}

/// A signature. Written as base64 of its ASN.1, as cosign writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature(ecdsa::Signature);

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64.encode(self.0.to_der().as_bytes()))
    }
}

impl FromStr for Signature {
    type Err = AttestError;

    fn from_str(text: &str) -> Result<Self, AttestError> {
        let invalid = || AttestError::SignatureText {
            found: text.to_owned(),
        };
        let der = BASE64.decode(text.trim()).map_err(|_| invalid())?;
        let der = DerSignature::try_from(der.as_slice()).map_err(|_| invalid())?;
        Ok(Self(der.try_into().map_err(|_| invalid())?))
    }
}
