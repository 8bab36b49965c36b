//! Texts between `-----BEGIN …-----` and `-----END …-----` (RFC 7468).

use p256::pkcs8::der::pem::{LineEnding, decode_vec, encode_string};
use zeroize::Zeroizing;

use crate::attest::AttestError;

/// Returns the label and the bytes of a PEM text.
pub(super) fn read<'a>(
    text: &'a str,
    what: &'static str,
) -> Result<(&'a str, Zeroizing<Vec<u8>>), AttestError> {
    let (label, bytes) =
        decode_vec(text.as_bytes()).map_err(|reason| AttestError::Pem { what, reason })?;
    Ok((label, Zeroizing::new(bytes)))
}

/// Returns the PEM text of some bytes.
pub(super) fn write(label: &'static str, bytes: &[u8]) -> String {
    encode_string(label, LineEnding::LF, bytes).expect("labels are constants, keys are short")
}
