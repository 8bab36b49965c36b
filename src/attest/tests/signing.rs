//! Signatures: made, verified, refused.

use envbox_lockfiles::base::{Digest, Explain as _, Kind};

use crate::attest::tests::{cosign, key, random, subject};
use crate::attest::{
    AttestError, Envelope, Password, PrivateKey, PublicKey, Signature, sign_payload,
    sign_statement, verify_envelope, verify_payload,
};

const STATEMENT: &str = r#"{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"HEX"}}],"predicateType":"https://example.com/x","predicate":{"a":1}}"#;

fn statement() -> String {
    STATEMENT.replace("HEX", &subject().digest.hex())
}

/// The payload of an image, and what makes it another payload.
fn signed() -> (Vec<u8>, Signature) {
    sign_payload(&key(), &subject())
}

#[test]
fn a_payload_is_what_cosign_writes() {
    let (payload, _) = signed();
    let expected = format!(
        r#"{{"critical":{{"identity":{{"docker-reference":"team/iris"}},"image":{{"docker-manifest-digest":"{}"}},"type":"cosign container image signature"}},"optional":null}}"#,
        subject().digest
    );
    assert_eq!(String::from_utf8(payload).unwrap(), expected);
}

#[test]
fn what_was_signed_verifies_and_signing_again_gives_the_same() {
    let key = key();
    let (payload, signature) = signed();
    assert_eq!(signed(), (payload.clone(), signature.clone()));
    let read: Signature = signature.to_string().parse().unwrap();
    let verified = verify_payload(&key.public(), &payload, &read, subject().digest).unwrap();
    assert_eq!(
        (verified.name(), verified.digest()),
        ("team/iris", subject().digest)
    );

    let envelope = sign_statement(&key, statement().as_bytes());
    assert_eq!(sign_statement(&key, statement().as_bytes()), envelope);
    let read = Envelope::parse(&envelope.to_bytes()).unwrap();
    let verified = verify_envelope(&key.public(), &read, subject().digest).unwrap();
    assert_eq!(verified.predicate_type, "https://example.com/x");
    assert_eq!(verified.subjects, [subject().digest]);
    assert_eq!(verified.predicate["a"], 1);
}

/// What cosign signed with its key: a blob and an attestation about it.
#[test]
fn what_cosign_signed_verifies() {
    let key = PublicKey::from_pem(cosign::PUBLIC).unwrap();
    let signature: Signature = cosign::SIGNATURE.parse().unwrap();
    key.verify(cosign::BLOB, &signature, "blob").unwrap();
    let digest = Digest::of(cosign::BLOB);
    let envelope = Envelope::parse(cosign::ENVELOPE).unwrap();
    let statement = verify_envelope(&key, &envelope, digest).unwrap();
    assert_eq!(statement.predicate_type, "https://slsa.dev/provenance/v1");
    // The same key opened by us makes a signature that the public key takes.
    let private = PrivateKey::from_pem(cosign::PRIVATE, || Ok(Password::new(b"secret".to_vec())));
    let signature = private.unwrap().sign(cosign::BLOB);
    key.verify(cosign::BLOB, &signature, "blob").unwrap();
}

#[test]
fn no_changed_byte_verifies() {
    let key = key().public();
    let (payload, signature) = signed();
    for place in 0..payload.len() {
        let mut changed = payload.clone();
        changed[place] ^= 1;
        let error = verify_payload(&key, &changed, &signature, subject().digest).unwrap_err();
        assert!(
            matches!(error, AttestError::BadSignature { .. }),
            "{place}: {error:?}"
        );
    }
    let envelope = sign_statement(&super::key(), statement().as_bytes()).to_bytes();
    // The one field that says nothing and is not signed.
    let hint = br#""keyid":"","#;
    let start = envelope
        .windows(hint.len())
        .position(|at| at == hint)
        .unwrap();
    for place in (0..start).chain(start + hint.len()..envelope.len()) {
        let mut changed = envelope.clone();
        changed[place] ^= 1;
        let verified = Envelope::parse(&changed)
            .and_then(|read| verify_envelope(&key, &read, subject().digest));
        assert!(verified.is_err(), "{place}");
    }
}

#[test]
fn another_key_does_not_verify() {
    let mut random = random();
    let _first = PrivateKey::generate(&mut random);
    let other = PrivateKey::generate(&mut random).public();
    let (payload, signature) = signed();
    let error = verify_payload(&other, &payload, &signature, subject().digest).unwrap_err();
    let AttestError::BadSignature { key, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(*key, other.digest());
    assert_eq!(error.kind(), Kind::Integrity);
    let envelope = sign_statement(&super::key(), statement().as_bytes());
    let error = verify_envelope(&other, &envelope, subject().digest).unwrap_err();
    assert!(
        matches!(error, AttestError::BadSignature { .. }),
        "{error:?}"
    );
}

#[test]
fn a_signature_of_another_image_does_not_count() {
    let key = key();
    let wanted = Digest::of(b"another manifest");
    let (payload, signature) = signed();
    let error = verify_payload(&key.public(), &payload, &signature, wanted).unwrap_err();
    let expected = format!("what was signed is {}, not {wanted}", subject().digest);
    assert_eq!(error.to_string(), expected);
    assert_eq!(error.kind(), Kind::Integrity);
    let envelope = sign_statement(&key, statement().as_bytes());
    let error = verify_envelope(&key.public(), &envelope, wanted).unwrap_err();
    assert_eq!(error.to_string(), expected);
}

/// One of several signatures is enough; none is none.
#[test]
fn an_envelope_may_have_signatures_of_others() {
    let key = key();
    let envelope = sign_statement(&key, statement().as_bytes());
    let with = |signatures: &str| {
        let mut document: serde_json::Value = serde_json::from_slice(&envelope.to_bytes()).unwrap();
        let own = document["signatures"][0].clone();
        document["signatures"] = serde_json::from_str(signatures).unwrap();
        if signatures.contains("other") {
            document["signatures"].as_array_mut().unwrap().push(own);
        }
        let read = Envelope::parse(document.to_string().as_bytes()).unwrap();
        verify_envelope(&key.public(), &read, subject().digest)
    };
    with(r#"[{"keyid": "other", "sig": "bm8="}]"#).unwrap();
    let error = with("[]").unwrap_err();
    assert!(
        matches!(error, AttestError::BadSignature { .. }),
        "{error:?}"
    );
    let error = with(r#"[{"sig": "no"}]"#).unwrap_err();
    assert!(
        matches!(error, AttestError::SignatureText { .. }),
        "{error:?}"
    );
}

#[test]
fn what_is_signed_must_be_what_it_is_taken_for() {
    let key = key();
    // A payload that is signed, but is no payload: a signature of one thing is none of another.
    let refused = |bytes: &[u8]| {
        let signature = key.sign(bytes);
        verify_payload(&key.public(), bytes, &signature, subject().digest).unwrap_err()
    };
    let other = String::from_utf8(signed().0)
        .unwrap()
        .replace("cosign container", "another");
    assert!(matches!(
        refused(other.as_bytes()),
        AttestError::Type { .. }
    ));
    assert!(matches!(refused(b"{}"), AttestError::Document { .. }));

    let refused = |text: String| {
        let envelope = sign_statement(&key, text.as_bytes());
        verify_envelope(&key.public(), &envelope, subject().digest).unwrap_err()
    };
    let other = statement().replace("Statement/v1", "Statement/v9");
    assert!(matches!(refused(other), AttestError::Type { .. }));
    assert!(matches!(
        refused("[]".to_owned()),
        AttestError::Document { .. }
    ));
    let other = statement().replace("sha256", "sha512");
    let error = refused(other);
    assert!(matches!(error, AttestError::Subject { .. }), "{error:?}");
}

#[test]
fn what_is_no_signature_is_refused() {
    for text in ["", "*", "aGVsbG8=", &"A".repeat(96)] {
        let error = text.parse::<Signature>().unwrap_err();
        assert!(
            matches!(error, AttestError::SignatureText { .. }),
            "{text}: {error:?}"
        );
    }
    for bytes in [&b""[..], b"{}", b"\x00"] {
        let error = Envelope::parse(bytes).unwrap_err();
        assert!(matches!(error, AttestError::Document { .. }), "{error:?}");
        assert!(!error.hints().is_empty());
    }
}
