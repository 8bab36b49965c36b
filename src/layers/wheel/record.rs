//! `RECORD`: the list of a wheel's files (the "Recording installed projects" specification).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use envbox_lockfiles::base::Digest;
use sha2::{Digest as _, Sha384, Sha512};

use crate::layers::LayerError;

/// A strong digest of a file, as a list promises it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Promise {
    Sha256(Vec<u8>),
    Sha384(Vec<u8>),
    Sha512(Vec<u8>),
}

/// What a wheel's `RECORD` lists: the promised digest of each file, where there is one.
#[derive(Debug)]
pub(super) struct Record(BTreeMap<String, Option<Promise>>);

impl Record {
    /// Reads the file.
    pub(super) fn parse(text: &str) -> Result<Self, LayerError> {
        let mut files = BTreeMap::new();
        for row in rows(text) {
            let [name, digest, ..] = row.as_slice() else {
                return Err(LayerError::Malformed {
                    reason: "a line of `RECORD` has less than three fields",
                });
            };
            let promise = digest.split_once('=').and_then(|(algorithm, digest)| {
                let bytes = from_base64(digest)?;
                match algorithm {
                    "sha256" => Some(Promise::Sha256(bytes)),
                    "sha384" => Some(Promise::Sha384(bytes)),
                    "sha512" => Some(Promise::Sha512(bytes)),
                    _ => None,
                }
            });
            // Some writers list a file twice; then it must be the same file.
            if let Some(earlier) = files.insert(name.clone(), promise.clone())
                && earlier != promise
            {
                return Err(LayerError::RecordMismatch {
                    member: name.clone(),
                });
            }
        }
        Ok(Self(files))
    }

    /// Returns the digest promised for a file.
    pub(super) fn promise(&self, member: &str) -> Result<&Promise, LayerError> {
        let member = || member.to_owned();
        let listed = self.0.get(&member());
        let listed = listed.ok_or_else(|| LayerError::RecordUnlisted { member: member() })?;
        let promise = listed.as_ref();
        promise.ok_or_else(|| LayerError::RecordWeak { member: member() })
    }
}

/// Computes the digest that a promise needs, but for SHA-256, which is computed anyway.
pub(super) enum Second {
    None,
    Sha384(Sha384),
    Sha512(Sha512),
}

impl Promise {
    pub(super) fn second(&self) -> Second {
        match self {
            Self::Sha256(_) => Second::None,
            Self::Sha384(_) => Second::Sha384(Sha384::new()),
            Self::Sha512(_) => Second::Sha512(Sha512::new()),
        }
    }

    /// Says whether the file with these digests is the one that was promised.
    pub(super) fn is_kept(&self, first: Digest, second: Second) -> bool {
        match (self, second) {
            (Self::Sha256(bytes), _) => <[u8; 32]>::try_from(bytes.as_slice())
                .is_ok_and(|bytes| Digest::from_bytes(bytes) == first),
            (Self::Sha384(bytes), Second::Sha384(hasher)) => hasher.finalize()[..] == bytes[..],
            (Self::Sha512(bytes), Second::Sha512(hasher)) => hasher.finalize()[..] == bytes[..],
            _ => false,
        }
    }
}

impl Second {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::None => {}
            Self::Sha384(hasher) => hasher.update(bytes),
            Self::Sha512(hasher) => hasher.update(bytes),
        }
    }
}

/// Writes the list of an installed wheel: one line a file, sorted, itself without digest.
pub(super) fn installed(files: &BTreeMap<String, (Digest, u64)>, own_name: &str) -> String {
    let mut lines: Vec<String> = files
        .iter()
        .map(|(name, (digest, size))| {
            format!("{},sha256={},{size}\n", quoted(name), to_base64(digest))
        })
        .collect();
    lines.push(format!("{},,\n", quoted(own_name)));
    lines.sort_unstable();
    lines.concat()
}

fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

/// Splits comma-separated text (RFC 4180); empty lines do not count.
fn rows(text: &str) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let mut row = Vec::new();
    let mut field = String::new();
    let mut quoted = false;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.next_if_eq(&'"').is_some() => field.push('"'),
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut field)),
            '\r' if !quoted => {}
            '\n' if !quoted => {
                row.push(std::mem::take(&mut field));
                rows.push(std::mem::take(&mut row));
            }
            _ => field.push(character),
        }
    }
    row.push(field);
    rows.push(row);
    rows.retain(|row| row.iter().any(|field| !field.is_empty()));
    rows
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Decodes URL-safe base64 with or without padding (RFC 4648 §5).
fn from_base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut buffer, mut bits) = (0u32, 0);
    for digit in text.trim_end_matches('=').bytes() {
        let value = ALPHABET.iter().position(|&letter| letter == digit)?;
        buffer = (buffer << 6 | u32::try_from(value).ok()?) & 0xffff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(buffer >> bits & 0xff).ok()?);
        }
    }
    Some(bytes)
}

/// Encodes a digest as URL-safe base64 without padding.
fn to_base64(digest: &Digest) -> String {
    let hex = digest.hex();
    let bits: String = hex.chars().fold(String::new(), |mut bits, digit| {
        let nibble = digit.to_digit(16).expect("a digest's hex has hex digits");
        write!(bits, "{nibble:04b}").expect("writing to a String cannot fail");
        bits
    });
    bits.as_bytes()
        .chunks(6)
        .map(|chunk| {
            let value = (0..6).fold(0, |value, place| {
                value << 1 | usize::from(chunk.get(place) == Some(&b'1'))
            });
            char::from(ALPHABET[value])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_agrees_with_the_specification() {
        // printf abc | openssl dgst -sha256 -binary | base64 | tr '+/' '-_' | tr -d =
        let text = "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0";
        let digest = Digest::of(b"abc");
        assert_eq!(to_base64(&digest), text);
        let decoded: [u8; 32] = from_base64(text).unwrap().try_into().unwrap();
        assert_eq!(Digest::from_bytes(decoded), digest);
        assert_eq!(from_base64(&format!("{text}=")), from_base64(text));
        assert_eq!(from_base64("a+b/"), None);
    }

    #[test]
    fn fields_may_be_quoted() {
        let parsed = rows("a,b,1\r\n\"x,\"\"y\",,\n\n");
        assert_eq!(parsed, [["a", "b", "1"], ["x,\"y", "", ""]]);
        let files = BTreeMap::from([("x,\"y".to_owned(), (Digest::of(b""), 0))]);
        let text = installed(&files, "R");
        assert_eq!(rows(&text)[0][0], "x,\"y");
        assert_eq!(rows(&text)[1], ["R", "", ""]);
    }
}
