//! Whatever is given: an answer or an error, never a panic.

use proptest::prelude::*;
use spdx::{Expression, ParseMode};

use crate::attest::licence::{copyright, metadata};
use crate::attest::tests::{cosign, subject};
use crate::attest::{Envelope, PublicKey, Signature, signatures_in, verify_envelope};

/// A text with some of its bytes changed, or cut off.
fn like(text: &'static [u8]) -> impl Strategy<Value = Vec<u8>> {
    let changes = prop::collection::vec((0..text.len(), any::<u8>()), 0..4);
    (changes, 0..=text.len()).prop_map(|(changes, length)| {
        let mut text = text.to_vec();
        for (place, byte) in changes {
            text[place] = byte;
        }
        text.truncate(length.max(1));
        text
    })
}

fn is_expression(text: &str) -> bool {
    let mode = ParseMode {
        allow_deprecated: true,
        ..ParseMode::STRICT
    };
    Expression::parse_mode(text, mode).is_ok()
}

proptest! {
    #[test]
    fn public_keys(text in like(cosign::PUBLIC.as_bytes())) {
        if let Ok(key) = PublicKey::from_pem(&String::from_utf8_lossy(&text)) {
            prop_assert_eq!(PublicKey::from_pem(&key.to_pem()).unwrap(), key);
        }
    }

    #[test]
    fn signatures(text in like(cosign::SIGNATURE.as_bytes())) {
        if let Ok(signature) = String::from_utf8_lossy(&text).parse::<Signature>() {
            prop_assert_eq!(signature.to_string().parse::<Signature>().unwrap(), signature);
        }
    }

    #[test]
    fn envelopes(bytes in like(cosign::ENVELOPE)) {
        let key = PublicKey::from_pem(cosign::PUBLIC).unwrap();
        if let Ok(envelope) = Envelope::parse(&bytes) {
            prop_assert!(verify_envelope(&key, &envelope, subject().digest).is_err());
        }
    }

    #[test]
    fn manifests(bytes in any::<Vec<u8>>()) {
        prop_assert!(signatures_in(&bytes).is_err());
    }

    /// What a package states becomes a valid expression, or none.
    #[test]
    fn licences_of_debian(
        names in prop::collection::vec("GPL-2\\+?|Expat|[a-z~/() +]{0,6}|and|or|,", 0..8),
        package in "[a-z0-9][a-z0-9+.-]{1,8}",
    ) {
        let text = format!("Format: copyright-format/1.0\n\nFiles: *\nLicense: {}\n", names.join(" "));
        let licence = copyright::licence(&text, &package);
        let expression = licence.expression.unwrap();
        prop_assert!(is_expression(&expression), "{}", expression);
        for reference in licence.references.keys() {
            prop_assert!(expression.contains(reference));
        }
    }

    #[test]
    fn licences_of_wheels(text in "(License(-Expression)?: (MIT|GPL-2.0|AND|OR|WITH|\\(|\\)|[a-zA-Z+ ]{0,9}| )*\n){0,3}") {
        let licence = metadata::licence(&text);
        let expression = licence.expression.unwrap_or("MIT".to_owned());
        prop_assert!(is_expression(&expression), "{}", expression);
    }
}
