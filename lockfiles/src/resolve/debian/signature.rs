//! Clear-signed text.

use jiff::{SignedDuration, Timestamp};
use pgp::composed::CleartextSignedMessage;
use pgp::packet::{Signature, SignatureType};

use crate::resolve::debian::DebianError;
use crate::resolve::debian::keyring::{Component, KeyProblem, Keyring, is_strong, time};

/// How much this machine's clock may be behind the archive's.
pub(super) const CLOCK_SKEW: SignedDuration = SignedDuration::from_hours(24);

/// Returns the text in `bytes` that a key of `keyring` signed, with `\n` at the ends of lines.
/// What is not under the signature is not in it.
///
/// One good signature is enough, as an archive signs with the keys of several releases. A signature
/// of a known key that does not fit the text spoils it whatever the others say. `file` is what
/// messages call it.
pub(super) fn signed_text(
    file: &str,
    bytes: &[u8],
    keyring: &Keyring,
    now: Timestamp,
) -> Result<String, DebianError> {
    let (message, _) =
        CleartextSignedMessage::from_armor(bytes).map_err(|source| DebianError::NotSigned {
            file: file.to_owned(),
            source: Box::new(source),
        })?;
    let text = message.signed_text();
    let mut good = false;
    let mut problem = None;
    let mut unknown = Vec::new();
    for signature in message.signatures() {
        let Some(key) = keyring.issuer(signature) else {
            unknown.push(issuer(signature));
            continue;
        };
        let fingerprint = key.fingerprint();
        match check(signature, &key, &text, now) {
            Ok(true) => good = true,
            Ok(false) => {
                return Err(DebianError::BadSignature {
                    file: file.to_owned(),
                    fingerprint,
                });
            }
            Err(reason) => problem = Some((fingerprint, reason)),
        }
    }
    match problem {
        _ if good => Ok(text.replace("\r\n", "\n")),
        Some((fingerprint, problem)) => Err(DebianError::UnusableKey {
            file: file.to_owned(),
            fingerprint,
            problem,
        }),
        None => Err(DebianError::UnknownSigner {
            file: file.to_owned(),
            signers: unknown,
        }),
    }
}

/// Says whether `signature` fits `text`, or why neither answer would mean anything.
fn check(
    signature: &Signature,
    key: &Component<'_>,
    text: &str,
    now: Timestamp,
) -> Result<bool, KeyProblem> {
    if !matches!(
        signature.typ(),
        Some(SignatureType::Text | SignatureType::Binary)
    ) {
        return Err(KeyProblem::WrongKind);
    }
    if !is_strong(signature) {
        return Err(KeyProblem::WeakHash);
    }
    if !key.made(signature, text.as_bytes()) {
        return Ok(false);
    }
    key.check(now)?;
    let created = time(signature.created()).ok_or(KeyProblem::InTheFuture)?;
    if created > now + CLOCK_SKEW {
        return Err(KeyProblem::InTheFuture);
    }
    let lifetime = signature
        .signature_expiration_time()
        .map_or(0, |duration| duration.as_secs());
    let end = created + SignedDuration::from_secs(i64::from(lifetime));
    match lifetime > 0 && end <= now {
        true => Err(KeyProblem::Expired { since: end }),
        false => Ok(true),
    }
}

/// Names who says that they made `signature`.
fn issuer(signature: &Signature) -> String {
    if let [fingerprint, ..] = signature.issuer_fingerprint().as_slice() {
        return format!("{fingerprint:X}");
    }
    match signature.issuer_key_id().as_slice() {
        [id, ..] => id.to_string().to_uppercase(),
        [] => "nobody".to_owned(),
    }
}
