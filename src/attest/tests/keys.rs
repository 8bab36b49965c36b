//! Keys: read, written, refused.

use envbox_lockfiles::base::{Explain as _, Kind};
use rand::RngCore as _;

use crate::attest::tests::{cosign, key, random};
use crate::attest::{AttestError, Password, PrivateKey, PublicKey};

fn password(text: &str) -> Password {
    Password::new(text.as_bytes().to_vec())
}

fn none() -> Result<Password, AttestError> {
    panic!("no password is needed")
}

fn opened(text: &str, with: &str) -> Result<PrivateKey, AttestError> {
    PrivateKey::from_pem(text, || Ok(password(with)))
}

#[test]
fn a_key_of_cosigns_is_opened() {
    let key = opened(cosign::PRIVATE, "secret").unwrap();
    assert_eq!(key.public().to_pem(), cosign::PUBLIC);
    assert_eq!(PublicKey::from_pem(cosign::PUBLIC).unwrap(), key.public());
}

#[test]
fn keys_round_trip() {
    let key = key();
    let plain = PrivateKey::from_pem(&key.to_pem(), none).unwrap();
    assert_eq!(plain.public(), key.public());
    for text in ["correct horse", ""] {
        let sealed = key.to_sealed_pem(&password(text), &mut random());
        assert_eq!(opened(&sealed, text).unwrap().public(), key.public());
    }
    let public = PublicKey::from_pem(&key.public().to_pem()).unwrap();
    assert_eq!(public, key.public());
}

/// Chance comes from the caller alone, and is used.
#[test]
fn chance_is_the_callers() {
    let sealed = |key: &PrivateKey, skip: usize| {
        let mut random = random();
        random.fill_bytes(&mut vec![0; skip]);
        key.to_sealed_pem(&password("x"), &mut random)
    };
    assert_eq!(key().to_pem(), key().to_pem());
    assert_eq!(sealed(&key(), 0), sealed(&key(), 0));
    assert_ne!(sealed(&key(), 0), sealed(&key(), 1));
    let mut random = random();
    let (one, two) = (
        PrivateKey::generate(&mut random),
        PrivateKey::generate(&mut random),
    );
    assert_ne!(one.public(), two.public());
}

#[test]
fn a_private_key_is_not_printed() {
    let key = key();
    let shown = format!("{key:?} {:?}", password("secret"));
    assert_eq!(
        shown,
        format!("PrivateKey({}) Password", key.public().digest())
    );
}

#[test]
fn the_wrong_password_is_told_from_a_malformed_key() {
    let error = opened(cosign::PRIVATE, "Secret").unwrap_err();
    assert!(matches!(error, AttestError::WrongPassword), "{error:?}");
    assert_eq!(error.hints(), ["check `COSIGN_PASSWORD`"]);
    let needed = PrivateKey::from_pem(cosign::PRIVATE, || Err(AttestError::PasswordNeeded));
    assert!(matches!(needed.unwrap_err(), AttestError::PasswordNeeded));
}

/// A sealed key whose JSON was changed.
fn resealed(from: &str, to: &str) -> AttestError {
    let (_, bytes) = crate::attest::pem::read(cosign::PRIVATE, "private key").unwrap();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    assert!(text.contains(from), "{text}");
    let changed = text.replace(from, to);
    let pem = crate::attest::pem::write("ENCRYPTED SIGSTORE PRIVATE KEY", changed.as_bytes());
    opened(&pem, "secret").unwrap_err()
}

#[test]
fn what_is_no_key_is_refused_for_a_reason() {
    let truncated = &cosign::PRIVATE[..cosign::PRIVATE.len() / 2];
    let other_curve = "-----BEGIN PUBLIC KEY-----\n\
        MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
        -----END PUBLIC KEY-----\n";
    let public = |text: &str| PublicKey::from_pem(text).unwrap_err();
    let private = |text: &str| opened(text, "secret").unwrap_err();
    let certificate = cosign::PUBLIC.replace("PUBLIC KEY", "CERTIFICATE");
    for (error, expected) in [
        (
            private(truncated),
            "the private key is not a whole PEM text: PEM error in",
        ),
        (private(""), "the private key is not a whole PEM text"),
        (
            private(cosign::PUBLIC),
            "the private key has the label `PUBLIC KEY`",
        ),
        (
            public(cosign::PRIVATE),
            "the public key has the label `ENCRYPTED SIGSTORE PRIVATE KEY`",
        ),
        (
            public(&certificate),
            "the public key has the label `CERTIFICATE`",
        ),
        (
            public(other_curve),
            "the public key holds no ECDSA P-256 key",
        ),
        (
            private(&crate::attest::pem::write("PRIVATE KEY", b"no key")),
            "the private key holds no ECDSA P-256 key",
        ),
        (
            resealed("scrypt", "argon2"),
            "the sealed private key is malformed: the key derivation is `argon2`, not `scrypt`",
        ),
        (
            resealed("nacl/secretbox", "rot13"),
            "the sealed private key is malformed: the cipher is `rot13`, not `nacl/secretbox`",
        ),
        (
            resealed("65536", "1073741824"),
            "the sealed private key is malformed: cosign has no scrypt with N=1073741824, r=8, p=1",
        ),
        (
            resealed("\"nonce\":\"u", "\"nonce\":\"*"),
            "the sealed private key is malformed: the nonce is not base64",
        ),
        (
            resealed("\"nonce\":\"urs", "\"nonce\":\""),
            "the sealed private key is malformed: the nonce",
        ),
        (
            resealed("\"kdf\"", "\"kdg\""),
            "the sealed private key is malformed: missing field `kdf`",
        ),
        (
            resealed("\"ciphertext\":\"hF9", "\"ciphertext\":\"hF8"),
            "the password does not open",
        ),
    ] {
        let message = error.to_string();
        assert!(message.starts_with(expected), "{message}\n{expected}");
        assert_eq!(error.kind(), Kind::User, "{message}");
        assert!(!error.hints().is_empty(), "{message}");
    }
    let AttestError::KeyType { found, .. } = public(other_curve) else {
        panic!("not a key's type");
    };
    // Ed25519.
    assert_eq!(found.as_deref(), Some("1.3.101.112"));
}
