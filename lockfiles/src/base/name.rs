//! Names that are valid by construction.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The text is no valid name of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not a valid {kind}: {rule}")]
pub struct InvalidName {
    /// What was to be named.
    pub kind: &'static str,
    /// The text as found.
    pub found: String,
    /// What a valid name looks like.
    pub rule: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $rule:literal, $parse:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Returns the name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                let parse: fn(&str) -> Option<String> = $parse;
                parse(text).map(Self).ok_or_else(|| InvalidName {
                    kind: $kind,
                    found: text.to_owned(),
                    rule: $rule,
                })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

name!(
    /// Names a Python project, normalized as PEP 503 says.
    PythonName,
    "Python package name",
    "letters, digits, `-`, `_` and `.`, beginning and ending with a letter or digit",
    normalize_python
);

name!(
    /// Names a Debian package (Debian Policy §5.6.1).
    DebianName,
    "Debian package name",
    "at least two of `a-z0-9+-.`, beginning with a letter or digit",
    |text| {
        let first_is_alphanumeric = text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        let rest_is_valid = text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte));
        (text.len() >= 2 && first_is_alphanumeric && rest_is_valid).then(|| text.to_owned())
    }
);

name!(
    /// Names a conda package in lower case, as channels do (CEP 26). A virtual package's begins
    /// with `__`.
    CondaName,
    "conda package name",
    "letters, digits, `-`, `_` and `.`, beginning with a letter, digit or `_`",
    |text| {
        let lower = text.to_ascii_lowercase();
        let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let valid = lower.bytes().all(|byte| word(byte) || b"-.".contains(&byte));
        let starts_well = lower.bytes().next().is_some_and(word);
        (starts_well && valid).then_some(lower)
    }
);

name!(
    /// Names a place that artifacts come from; where it lies is the user's configuration.
    RegistryName,
    "registry name",
    "letters, digits, `-` and `_`, beginning with a letter",
    simple_name
);

name!(
    /// Names an environment.
    EnvironmentName,
    "environment name",
    "letters, digits, `-` and `_`, beginning with a letter",
    simple_name
);

fn normalize_python(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let (first, last) = (bytes.first()?, bytes.last()?);
    let valid = bytes
        .iter()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte));
    if !valid || !first.is_ascii_alphanumeric() || !last.is_ascii_alphanumeric() {
        return None;
    }
    let mut normalized = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '-' | '_' | '.' if normalized.ends_with('-') => {}
            '-' | '_' | '.' => normalized.push('-'),
            other => normalized.push(other.to_ascii_lowercase()),
        }
    }
    Some(normalized)
}

fn simple_name(text: &str) -> Option<String> {
    let starts_well = text.starts_with(|c: char| c.is_ascii_alphabetic());
    let valid = text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    (starts_well && valid).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn python_names_are_normalized() {
        for (found, normalized) in [
            ("Scikit_Learn", "scikit-learn"),
            ("ruamel.yaml", "ruamel-yaml"),
            ("a--_b", "a-b"),
        ] {
            assert_eq!(found.parse::<PythonName>().unwrap().as_str(), normalized);
        }
        for bad in ["", "-a", "a-", "a b", "ä"] {
            assert!(bad.parse::<PythonName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn conda_names_are_in_lower_case() {
        for (found, name) in [
            ("Cython", "cython"),
            ("_libgcc_mutex", "_libgcc_mutex"),
            ("r-base", "r-base"),
            ("ruamel.yaml", "ruamel.yaml"),
            ("__glibc", "__glibc"),
            ("7zip", "7zip"),
        ] {
            assert_eq!(found.parse::<CondaName>().unwrap().as_str(), name);
        }
        for bad in ["", "-a", ".a", "a b", "a/b", "a=1", "ä"] {
            assert!(bad.parse::<CondaName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn debian_names_follow_policy() {
        assert!("libstdc++6".parse::<DebianName>().is_ok());
        for bad in ["", "x", "Foo", "-ab", "a_b"] {
            assert!(bad.parse::<DebianName>().is_err(), "{bad}");
        }
    }
}
