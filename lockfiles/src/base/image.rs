//! Words about OCI images.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::base::{Digest, RegistryName};

/// How a layer of an image is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip.
    Gzip,
    /// zstd.
    Zstd,
}

/// The text is no name of a repository.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{found}` is no name of a repository: lower-case letters and digits, parted by `.`, `_`, `-` \
     or `/`"
)]
pub struct InvalidRepository {
    /// The text as found.
    pub found: String,
}

/// Names a repository of images in a registry (distribution-spec): `library/debian`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Repository(String);

/// The longest name that registries take.
const REPOSITORY_LIMIT: usize = 255;

impl Repository {
    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Repository {
    type Err = InvalidRepository;

    fn from_str(text: &str) -> Result<Self, InvalidRepository> {
        let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let is_component = |part: &str| {
            let ends_well = |byte: Option<u8>| byte.is_some_and(alphanumeric);
            ends_well(part.bytes().next())
                && ends_well(part.bytes().last())
                && part
                    .bytes()
                    .all(|byte| alphanumeric(byte) || b"._-".contains(&byte))
                && !part.contains("..")
        };
        match text.len() <= REPOSITORY_LIMIT && text.split('/').all(is_component) {
            true => Ok(Self(text.to_owned())),
            false => Err(InvalidRepository {
                found: text.to_owned(),
            }),
        }
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Repository {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// Names an image, or an index of images, by its digest and without a host: `images/debian@sha256:…`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImageReference {
    /// The registry.
    pub registry: RegistryName,
    /// The repository in it.
    pub repository: Repository,
    /// The digest of the image manifest or index.
    pub digest: Digest,
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            registry,
            repository,
            digest,
        } = self;
        write!(f, "{registry}/{repository}@{digest}")
    }
}

/// The text does not name an image by registry, repository and digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not `registry/repository@sha256:…`")]
pub struct InvalidReference {
    /// The text as found.
    pub found: String,
}

impl FromStr for ImageReference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        let parse = || {
            let (name, digest) = text.split_once('@')?;
            let (registry, repository) = name.split_once('/')?;
            Some(Self {
                registry: registry.parse().ok()?,
                repository: repository.parse().ok()?,
                digest: digest.parse().ok()?,
            })
        };
        parse().ok_or_else(|| InvalidReference {
            found: text.to_owned(),
        })
    }
}

impl Serialize for ImageReference {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ImageReference {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_follow_the_distribution_spec() {
        for good in ["debian", "library/debian", "a/b-c/d.e_f", "a--b", "0"] {
            assert!(good.parse::<Repository>().is_ok(), "{good}");
        }
        for bad in [
            "", "/", "a/", "/a", "A", "a//b", "-a", "a.", "a/..", "a..b", "ä", "a:b",
        ] {
            assert!(bad.parse::<Repository>().is_err(), "{bad}");
        }
    }

    #[test]
    fn references_round_trip() {
        let digest = Digest::of(b"");
        let text = format!("images/library/debian@{digest}");
        let reference: ImageReference = text.parse().unwrap();
        assert_eq!(reference.repository.as_str(), "library/debian");
        assert_eq!(reference.to_string(), text);
        for bad in ["", "a/b", &format!("b@{digest}"), "a/b@sha256:0", "a/b:tag"] {
            assert!(bad.parse::<ImageReference>().is_err(), "{bad}");
        }
    }
}
