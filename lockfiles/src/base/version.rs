//! Versions of drivers and of CUDA: numbers with dots between them.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// One to three numbers with dots between them: `13`, `12.4`, `580.159.04`. Neither PEP 440 nor
/// semver: zeros in front are part of the text, and mean nothing to the order. Equal as texts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub struct DottedVersion {
    numbers: Vec<u32>,
    text: String,
}

/// A text that is no such version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not one to three numbers with dots between them")]
pub struct InvalidVersion {
    /// The text as found.
    pub found: String,
}

/// How many numbers there are at most.
const MOST: usize = 3;

impl DottedVersion {
    /// Returns the version as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns its numbers: one, two or three.
    pub fn numbers(&self) -> &[u32] {
        &self.numbers
    }

    /// Returns its first number; of a driver of NVIDIA's that is its branch.
    pub fn major(&self) -> u32 {
        self.numbers[0]
    }

    /// Says whether it is `other` or a newer one. Numbers that are not written are zeros.
    pub fn is_at_least(&self, other: &Self) -> bool {
        self.padded() >= other.padded()
    }

    fn padded(&self) -> [u32; MOST] {
        let mut padded = [0; MOST];
        padded[..self.numbers.len()].copy_from_slice(&self.numbers);
        padded
    }
}

impl FromStr for DottedVersion {
    type Err = InvalidVersion;

    fn from_str(text: &str) -> Result<Self, InvalidVersion> {
        let number = |part: &str| {
            let plain = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            part.parse().ok().filter(|_| plain)
        };
        let numbers: Option<Vec<u32>> = text.split('.').map(number).collect();
        match numbers.filter(|numbers| numbers.len() <= MOST) {
            Some(numbers) => Ok(Self {
                numbers,
                text: text.to_owned(),
            }),
            None => Err(InvalidVersion {
                found: text.to_owned(),
            }),
        }
    }
}

impl fmt::Display for DottedVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<DottedVersion> for String {
    fn from(version: DottedVersion) -> Self {
        version.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> DottedVersion {
        text.parse().unwrap()
    }

    #[test]
    fn only_numbers_are_versions() {
        for text in ["13", "12.4", "580.159.04", "0.0.0", "4294967295.1"] {
            assert_eq!(version(text).to_string(), text);
        }
        for text in [
            "",
            ".",
            "580.",
            ".5",
            "1.2.3.4",
            "58O.1",
            "+5",
            "-5",
            " 5",
            "5 ",
            ">=5",
            "4294967296",
            "٣",
        ] {
            let error = text.parse::<DottedVersion>().unwrap_err();
            assert_eq!(error.found, text);
        }
    }

    #[test]
    fn numbers_decide_the_order_and_the_text_equality() {
        for (one, other, is_at_least) in [
            ("580.159.04", "580.65.06", true),
            ("580.65.06", "580.159.04", false),
            ("550.54.2", "550.54.02", true),
            ("550.54.02", "550.54.2", true),
            ("580", "580.0.0", true),
            ("579.999", "580", false),
            ("1000", "999.9.9", true),
        ] {
            let found = version(one).is_at_least(&version(other));
            assert_eq!(found, is_at_least, "{one} {other}");
        }
        assert_ne!(version("550.54.2"), version("550.54.02"));
    }
}
