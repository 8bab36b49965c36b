//! Provenance: what it says, and when it holds for a lock.

use envbox_lockfiles::base::{Digest, Explain as _, Kind, Platform};

use crate::attest::tests::{AMD64, key, lock, subject};
use crate::attest::{
    AttestError, Builder, Statement, check_provenance, provenance, sign_statement, verify_envelope,
};

fn builder() -> Builder {
    Builder {
        version: "0".to_owned(),
        ..Builder::default()
    }
}

fn bytes() -> Vec<u8> {
    provenance(&lock(), AMD64, &subject(), &builder()).unwrap()
}

#[test]
fn provenance_names_lock_manifest_and_every_artifact() {
    let document: serde_json::Value = serde_json::from_slice(&bytes()).unwrap();
    let text = serde_json::to_string_pretty(&document).unwrap();
    insta::assert_snapshot!(text);
    let named = document["predicate"]["buildDefinition"]["resolvedDependencies"].as_array();
    // Two Debian packages, the platform's interpreter, three wheels.
    assert_eq!(named.unwrap().len(), 6);
}

#[test]
fn the_same_build_says_the_same() {
    assert_eq!(bytes(), bytes());
    let arm = provenance(&lock(), Platform::LinuxArm64, &subject(), &builder()).unwrap();
    assert_ne!(bytes(), arm);
}

#[test]
fn a_signed_provenance_holds_for_its_lock_alone() {
    let envelope = sign_statement(&key(), &bytes());
    let statement = verify_envelope(&key().public(), &envelope, subject().digest).unwrap();
    check_provenance(&statement, &lock(), AMD64).unwrap();

    let mut other = lock();
    other.python[0].version = "1.1".to_owned();
    let error = check_provenance(&statement, &other, AMD64).unwrap_err();
    assert!(matches!(error, AttestError::Lock { .. }), "{error:?}");
    assert_eq!(error.kind(), Kind::Integrity);
    let text = String::from_utf8(bytes()).unwrap();
    let text = text.replacen(&lock().digest().hex(), "none", 1);
    let nameless = Statement::parse(text.as_bytes()).unwrap();
    let error = check_provenance(&nameless, &lock(), AMD64).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("the statement is about no lock, not sha256:")
    );
    let error = check_provenance(&statement, &lock(), Platform::LinuxArm64).unwrap_err();
    assert!(
        matches!(
            error,
            AttestError::Type {
                what: "platform",
                ..
            }
        ),
        "{error:?}"
    );
}

/// A builder that names the right lock and took something else.
#[test]
fn other_artifacts_than_the_locks_are_named() {
    let text = String::from_utf8(bytes()).unwrap();
    let wheel = lock().python[0].artifact.digest;
    let changed = text.replace(&wheel.hex(), &Digest::of(b"trojan").hex());
    let statement = Statement::parse(changed.as_bytes()).unwrap();
    let error = check_provenance(&statement, &lock(), AMD64).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the statement's artifacts are not the lock's: it lacks `app-1.0+cpu-py3-none-any.whl`; \
         it adds `app-1.0+cpu-py3-none-any.whl`"
    );
}

#[test]
fn another_kind_of_statement_is_no_provenance() {
    let text = String::from_utf8(bytes()).unwrap();
    for (from, to, what) in [
        (
            "slsa.dev/provenance/v1",
            "slsa.dev/provenance/v0.2",
            "predicate",
        ),
        ("urn:envbox:image:1", "urn:envbox:image:2", "build"),
    ] {
        let statement = Statement::parse(text.replace(from, to).as_bytes()).unwrap();
        let error = check_provenance(&statement, &lock(), AMD64).unwrap_err();
        let AttestError::Type { what: found, .. } = error else {
            panic!("{error:?}");
        };
        assert_eq!(found, what);
    }
}

#[test]
fn a_platform_that_is_not_locked_is_refused() {
    let mut lock = lock();
    lock.request.platforms = vec![Platform::LinuxArm64];
    let error = provenance(&lock, AMD64, &subject(), &builder()).unwrap_err();
    assert_eq!(error.to_string(), "the lock has no linux/amd64");
    assert_eq!(error.hints(), ["take one of the lock's: linux/arm64"]);
}
