//! Which signatures count.

use jiff::Timestamp;
use pgp::packet::SubpacketData;
use pgp::types::Duration;

use crate::base::{Explain as _, Kind};
use crate::resolve::debian::signature::signed_text;
use crate::resolve::debian::tests::keys::{Key, MADE, SIGNED, Spec, Subkey, keyring, sign_by};
use crate::resolve::debian::{DebianError, KeyProblem};

const TEXT: &str = "Suite: stable\n- dashed\nDate: today";

fn at(seconds: u32) -> Timestamp {
    Timestamp::from_second(i64::from(seconds)).unwrap()
}

fn read(bytes: &[u8], keys: &[&Key]) -> Result<String, DebianError> {
    signed_text("InRelease", bytes, &keyring(keys), at(SIGNED + 60))
}

fn problem(bytes: &[u8], key: &Key) -> KeyProblem {
    match read(bytes, &[key]).unwrap_err() {
        DebianError::UnusableKey {
            fingerprint,
            problem,
            ..
        } => {
            assert_eq!(fingerprint, key.fingerprint());
            problem
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn signed_text_is_returned() {
    let (key, other) = (
        Key::new(),
        Key::of(Spec {
            seed: 2,
            ..Spec::default()
        }),
    );
    let with_subkey = Key::of(Spec {
        subkey: Some(Subkey::default()),
        ..Spec::default()
    });
    for (bytes, keys) in [
        (key.sign(TEXT), vec![&key]),
        (key.sign(TEXT), vec![&other, &key]),
        (with_subkey.sign(TEXT), vec![&with_subkey]),
        (sign_by(&[&other, &key], TEXT), vec![&key]),
        (sign_by(&[&other, &key], TEXT), vec![&key, &other]),
    ] {
        assert_eq!(read(&bytes, &keys).unwrap(), TEXT);
    }
}

#[test]
fn every_change_of_the_text_is_seen() {
    let key = Key::new();
    let text = String::from_utf8(key.sign(TEXT)).unwrap();
    for (from, to) in [
        ("stable", "stably"),
        ("today", "today\nValid: no"),
        ("- - ", ""),
    ] {
        let bad = text.replace(from, to);
        assert_ne!(bad, text);
        let error = read(bad.as_bytes(), &[&key]).unwrap_err();
        assert_eq!(error.kind(), Kind::Integrity);
        assert!(
            matches!(&error, DebianError::BadSignature { fingerprint, .. } if *fingerprint == key.fingerprint()),
            "{error:?}"
        );
    }
}

#[test]
fn a_bad_signature_spoils_a_good_one() {
    let (key, other) = (
        Key::new(),
        Key::of(Spec {
            seed: 2,
            ..Spec::default()
        }),
    );
    let bytes = pgp::composed::CleartextSignedMessage::new_many(TEXT, |text| {
        Ok(vec![key.signature(text), other.signature("another text")])
    });
    let bytes = bytes.unwrap().to_armored_bytes(Default::default()).unwrap();
    assert!(read(&bytes, &[&key]).is_ok());
    let error = read(&bytes, &[&key, &other]).unwrap_err();
    assert!(
        matches!(error, DebianError::BadSignature { .. }),
        "{error:?}"
    );
}

#[test]
fn what_is_around_a_signed_text_is_refused() {
    let key = Key::new();
    let signed = key.sign(TEXT);
    let detached = String::from_utf8(signed.clone()).unwrap();
    let (_, signature) = detached.split_once("-----BEGIN PGP SIGNATURE").unwrap();
    for bad in [
        Vec::new(),
        b"<html>please log in</html>".to_vec(),
        TEXT.as_bytes().to_vec(),
        [b"Suite: sid\n\n".as_slice(), &signed].concat(),
        [signed.as_slice(), b"\nSuite: sid\n"].concat(),
        signed[..signed.len() / 2].to_vec(),
        format!("-----BEGIN PGP SIGNATURE{signature}").into_bytes(),
    ] {
        let error = read(&bad, &[&key]).unwrap_err();
        let shown = String::from_utf8_lossy(&bad).into_owned();
        assert!(matches!(error, DebianError::NotSigned { .. }), "{shown}");
    }
}

#[test]
fn unknown_signers_are_named() {
    let (key, other) = (
        Key::new(),
        Key::of(Spec {
            seed: 2,
            ..Spec::default()
        }),
    );
    let error = read(&other.sign(TEXT), &[&key]).unwrap_err();
    assert_eq!(error.kind(), Kind::Integrity);
    assert!(error.to_string().contains(&other.fingerprint()), "{error}");
    assert!(matches!(error, DebianError::UnknownSigner { .. }));
}

#[test]
fn keys_that_may_not_sign_do_not_count() {
    let subkey = |revoked, adopted| Some(Subkey { revoked, adopted });
    let spec = Spec::default();
    let lifetime = SIGNED - MADE;
    for (spec, expected) in [
        (
            Spec {
                lifetime: Some(lifetime),
                ..spec
            },
            KeyProblem::Expired { since: at(SIGNED) },
        ),
        (
            Spec {
                revoked: true,
                ..spec
            },
            KeyProblem::Revoked,
        ),
        (
            Spec {
                may_sign: false,
                ..spec
            },
            KeyProblem::NotForSigning,
        ),
        (
            Spec {
                subkey: subkey(true, false),
                ..spec
            },
            KeyProblem::Revoked,
        ),
        (
            Spec {
                subkey: subkey(false, true),
                ..spec
            },
            KeyProblem::Unbound,
        ),
        (
            Spec {
                subkey: subkey(false, false),
                revoked: true,
                ..spec
            },
            KeyProblem::Revoked,
        ),
    ] {
        let key = Key::of(spec);
        assert_eq!(problem(&key.sign(TEXT), &key), expected);
    }
    let lives = Key::of(Spec {
        lifetime: Some(lifetime + 3600),
        ..spec
    });
    assert!(read(&lives.sign(TEXT), &[&lives]).is_ok());
}

#[test]
fn signatures_that_prove_nothing_do_not_count() {
    let key = Key::new();
    let seconds = SubpacketData::SignatureExpirationTime(Duration::from_secs(30));
    let day = 24 * 60 * 60;
    for (bytes, expected) in [
        (key.sign_weakly(TEXT), KeyProblem::WeakHash),
        (
            key.sign_as(TEXT, SIGNED, vec![seconds]),
            KeyProblem::Expired {
                since: at(SIGNED + 30),
            },
        ),
        (
            key.sign_as(TEXT, SIGNED + 61 + day, vec![]),
            KeyProblem::InTheFuture,
        ),
    ] {
        assert_eq!(problem(&bytes, &key), expected);
    }
}

#[test]
fn one_usable_key_is_enough() {
    let (key, expired) = (
        Key::new(),
        Key::of(Spec {
            seed: 2,
            lifetime: Some(1),
            ..Spec::default()
        }),
    );
    let bytes = sign_by(&[&expired, &key], TEXT);
    assert!(read(&bytes, &[&key, &expired]).is_ok());
}
