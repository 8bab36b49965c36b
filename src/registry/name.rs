//! Names of images as users write them: `host[:port]/repository[:tag][@sha256:…]`.
//!
//! Read as docker, podman and skopeo read them (the grammar of `distribution/reference`).

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use envbox_lockfiles::base::{Digest, Explain, Kind};
use serde::{Serialize, Serializer};
use url::Url;

/// Where an image lies whose name has no host.
const DEFAULT_REGISTRY: &str = "docker.io";

/// What goes before a name of one part there.
const DEFAULT_NAMESPACE: &str = "library/";

/// The tag that is meant when neither a tag nor a digest is given.
const DEFAULT_TAG: &str = "latest";

/// The longest name, host and repository together.
const NAME_LIMIT: usize = 255;

/// The longest tag.
const TAG_LIMIT: usize = 128;

/// Names an image in a registry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImageName {
    registry: String,
    repository: String,
    tag: Option<Tag>,
    digest: Option<Digest>,
}

/// A tag of a repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tag(String);

/// The text names no image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` names no image: {reason} at character {}", at + 1)]
pub struct InvalidImageName {
    /// The text as found.
    pub text: String,
    /// The index of the first character that is wrong.
    pub at: usize,
    /// What is wrong there.
    pub reason: ImageNameFault,
}

/// What is wrong with a name of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImageNameFault {
    /// Registries have a host and a port alone.
    #[error("a URL")]
    Scheme,
    /// Not a host name, or not a port.
    #[error("no host name with or without a port")]
    Registry,
    /// A part of the repository is empty or has characters that are not allowed.
    #[error(
        "a repository name must be of lower-case letters and digits with single `.`, `_`, `-`, `/` between"
    )]
    Repository,
    /// 64 hex digits are taken for the id of an image.
    #[error("64 hex digits, an image's id and no name,")]
    Id,
    /// The name is too long.
    #[error("more than 255 characters")]
    Length,
    /// The tag has characters that are not allowed, or too many.
    #[error("no tag of at most 128 letters, digits, `.`, `_` and `-`")]
    Tag,
    /// The digest is not a SHA-256.
    #[error("no digest of `sha256:` and 64 lower-case hex digits")]
    Digest,
}

impl ImageName {
    /// Returns the name of `path` below the URL of a registry; `None` when the URL has no host.
    ///
    /// # Errors
    /// Returns [`InvalidImageName`] when there can be no such name.
    pub fn below(url: &Url, path: &str) -> Result<Option<Self>, InvalidImageName> {
        let Some(host) = url.host_str() else {
            return Ok(None);
        };
        let port = url.port().map(|port| format!(":{port}"));
        let port = port.unwrap_or_default();
        let root = url.path().trim_end_matches('/');
        format!("{host}{port}{root}/{path}").parse().map(Some)
    }

    /// Returns the registry: its host, with its port if it is not the usual one.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Returns the repository in the registry.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// Returns the tag, if one is given.
    pub fn tag(&self) -> Option<&Tag> {
        self.tag.as_ref()
    }

    /// Returns the digest, if one is given.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// Returns the same repository's image with this digest, whatever its tag.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self {
            tag: None,
            digest: Some(digest),
            ..self.clone()
        }
    }

    /// Returns the same repository's image with this tag, whatever its digest.
    #[must_use]
    pub fn with_tag(&self, tag: Tag) -> Self {
        Self {
            tag: Some(tag),
            digest: None,
            ..self.clone()
        }
    }

    /// Returns what a registry knows the manifest by: the digest, else the tag, else `latest`.
    pub(super) fn manifest(&self) -> String {
        match (self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.to_string(),
            (None, None) => DEFAULT_TAG.to_owned(),
        }
    }

    /// Returns the name without tag and digest.
    pub(super) fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// Says whether the registry is on this machine.
    pub(super) fn is_loopback(&self) -> bool {
        let host = match self.registry.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            _ => &self.registry,
        };
        host == "localhost"
            || host == "[::1]"
            || host
                .parse::<Ipv4Addr>()
                .is_ok_and(|host| host.is_loopback())
    }
}

impl FromStr for ImageName {
    type Err = InvalidImageName;

    fn from_str(text: &str) -> Result<Self, InvalidImageName> {
        parse(text).map_err(|(at, reason)| InvalidImageName {
            text: text.to_owned(),
            at,
            reason,
        })
    }
}

type Fault = (usize, ImageNameFault);

fn parse(text: &str) -> Result<ImageName, Fault> {
    if let Some(at) = text.find("://") {
        return Err((at, ImageNameFault::Scheme));
    }
    let (rest, digest) = match text.split_once('@') {
        None => (text, None),
        Some((rest, digest)) => {
            let digest = digest.parse();
            (
                rest,
                Some(digest.map_err(|_| (rest.len() + 1, ImageNameFault::Digest))?),
            )
        }
    };
    // A colon before the last slash belongs to a port.
    let path = rest.rfind('/').map_or(0, |slash| slash + 1);
    let (name, tag) = match rest[path..].find(':') {
        None => (rest, None),
        Some(colon) => {
            let at = path + colon;
            let tag = parse_tag(&rest[at + 1..])
                .map_err(|wrong| (at + 1 + wrong, ImageNameFault::Tag))?;
            (&rest[..at], Some(tag))
        }
    };
    let (registry, repository) = match name.split_once('/') {
        Some((first, repository)) if is_registry(first) => (Some(first), repository),
        _ => (None, name),
    };
    if let Some(registry) = registry {
        check_registry(registry).map_err(|at| (at, ImageNameFault::Registry))?;
    }
    let begin = name.len() - repository.len();
    check_repository(repository).map_err(|at| (begin + at, ImageNameFault::Repository))?;
    if registry.is_none() && Digest::from_hex(repository).is_ok() {
        return Err((0, ImageNameFault::Id));
    }
    let registry = match registry {
        None | Some("index.docker.io") => DEFAULT_REGISTRY,
        Some(registry) => registry,
    };
    let namespace = match registry == DEFAULT_REGISTRY && !repository.contains('/') {
        true => DEFAULT_NAMESPACE,
        false => "",
    };
    let repository = format!("{namespace}{repository}");
    if registry.len() + 1 + repository.len() > NAME_LIMIT {
        return Err((0, ImageNameFault::Length));
    }
    Ok(ImageName {
        registry: registry.to_owned(),
        repository,
        tag,
        digest,
    })
}

/// Says whether the first part of a name is a registry and not a namespace of the default one.
fn is_registry(first: &str) -> bool {
    first == "localhost"
        || first.contains(['.', ':', '['])
        || first.bytes().any(|byte| byte.is_ascii_uppercase())
}

/// Returns the index of the first wrong character.
fn check_registry(text: &str) -> Result<(), usize> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) => {
            address.parse::<std::net::Ipv6Addr>().map_err(|_| 1_usize)?;
            (&text[..address.len() + 2], rest.strip_prefix(':').ok_or(()))
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Ok(port)),
            None => (text, Err(())),
        },
    };
    let end = host.len();
    if !host.starts_with('[') {
        let mut begin = 0;
        for label in host.split('.') {
            let wrong = label.find(|c: char| !c.is_ascii_alphanumeric() && c != '-');
            if let Some(wrong) = wrong {
                return Err(begin + wrong);
            }
            if label.is_empty() || label.starts_with('-') || label.ends_with('-') {
                return Err(begin);
            }
            begin += label.len() + 1;
        }
    }
    match port {
        Ok(port) if port.parse::<u16>().is_ok() && !port.starts_with('+') => Ok(()),
        Err(()) if end == text.len() => Ok(()),
        Ok(_) => Err(end + 1),
        Err(()) => Err(end),
    }
}

/// Returns the index of the first wrong character.
fn check_repository(text: &str) -> Result<(), usize> {
    let mut begin = 0;
    for part in text.split('/') {
        let mut between = String::new();
        // As before a letter: nothing may stand at the beginning.
        let mut begun = false;
        for (at, c) in part.char_indices() {
            if c.is_ascii_lowercase() || c.is_ascii_digit() {
                let allowed = match between.as_str() {
                    "" => true,
                    _ if !begun => false,
                    "." | "_" | "__" => true,
                    dashes => dashes.bytes().all(|byte| byte == b'-'),
                };
                if !allowed {
                    return Err(begin + at - between.len());
                }
                between.clear();
                begun = true;
            } else if matches!(c, '.' | '_' | '-') {
                between.push(c);
            } else {
                return Err(begin + at);
            }
        }
        if !begun || !between.is_empty() {
            return Err(begin + part.len() - between.len());
        }
        begin += part.len() + 1;
    }
    Ok(())
}

/// Returns the index of the first wrong character.
fn parse_tag(text: &str) -> Result<Tag, usize> {
    let wrong = text.char_indices().find(|(at, c)| {
        !c.is_ascii_alphanumeric() && *c != '_' && (*at == 0 || !matches!(c, '.' | '-'))
            || *at == TAG_LIMIT
    });
    match wrong {
        Some((at, _)) => Err(at),
        None if text.is_empty() => Err(0),
        None => Ok(Tag(text.to_owned())),
    }
}

impl Tag {
    /// Returns the tag under which registries without the referrers API list what refers to
    /// `subject` (distribution-spec, "Referrers Tag Schema").
    pub(super) fn of_referrers(subject: Digest) -> Self {
        Self(format!("sha256-{}", subject.hex()))
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Tag {
    type Err = InvalidImageName;

    fn from_str(text: &str) -> Result<Self, InvalidImageName> {
        parse_tag(text).map_err(|at| InvalidImageName {
            text: text.to_owned(),
            at,
            reason: ImageNameFault::Tag,
        })
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl Serialize for ImageName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Tag {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Explain for InvalidImageName {
    fn kind(&self) -> Kind {
        Kind::User
    }

    fn hints(&self) -> Vec<String> {
        vec!["write `registry.example:5000/team/image:tag`".to_owned()]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_read_as_docker_reads_them() {
        let digest = Digest::of(b"");
        for (text, whole) in [
            ("python", "docker.io/library/python"),
            ("python:3.11", "docker.io/library/python:3.11"),
            ("team/image", "docker.io/team/image"),
            ("index.docker.io/python", "docker.io/library/python"),
            ("localhost/a", "localhost/a"),
            ("localhost:5000/a:b", "localhost:5000/a:b"),
            ("Registry/a", "Registry/a"),
            ("host.test/a/b__c-d--e.f", "host.test/a/b__c-d--e.f"),
            ("127.0.0.1:5000/a_b:1.0-rc_1", "127.0.0.1:5000/a_b:1.0-rc_1"),
            ("[::1]:5000/a", "[::1]:5000/a"),
            ("[::1]/a", "[::1]/a"),
        ] {
            let reference: ImageName = text.parse().unwrap();
            assert_eq!(reference.to_string(), whole, "{text}");
            let pinned: ImageName = format!("{text}@{digest}").parse().unwrap();
            assert_eq!(pinned.to_string(), format!("{whole}@{digest}"));
            assert_eq!(pinned.manifest(), digest.to_string());
        }
        let reference: ImageName = "a".parse().unwrap();
        assert_eq!(reference.manifest(), "latest");
    }

    #[test]
    fn faults_are_told_with_their_place() {
        let long = format!("host.test/{}", "a".repeat(246));
        let id = "0".repeat(64);
        let tag = format!("a:{}", "t".repeat(129));
        for (text, at, reason) in [
            ("", 0, ImageNameFault::Repository),
            ("https://host.test/a", 5, ImageNameFault::Scheme),
            ("host.test/Image", 10, ImageNameFault::Repository),
            ("host.test/a//b", 12, ImageNameFault::Repository),
            ("host.test/a..b", 11, ImageNameFault::Repository),
            ("host.test/-a", 10, ImageNameFault::Repository),
            ("host.test/a-", 11, ImageNameFault::Repository),
            ("host.test/", 10, ImageNameFault::Repository),
            ("host.test/ä", 10, ImageNameFault::Repository),
            ("ho_st.test/a", 2, ImageNameFault::Registry),
            ("-host.test/a", 0, ImageNameFault::Registry),
            ("host.test:x/a", 10, ImageNameFault::Registry),
            ("host.test:99999/a", 10, ImageNameFault::Registry),
            ("[::g]/a", 1, ImageNameFault::Registry),
            ("[::1]5000/a", 5, ImageNameFault::Registry),
            ("a:", 2, ImageNameFault::Tag),
            ("a:.b", 2, ImageNameFault::Tag),
            ("a:b c", 3, ImageNameFault::Tag),
            (&tag, 130, ImageNameFault::Tag),
            ("a@sha256:12", 2, ImageNameFault::Digest),
            ("a@sha512:12", 2, ImageNameFault::Digest),
            (&long, 0, ImageNameFault::Length),
            (&id, 0, ImageNameFault::Id),
        ] {
            let error = text.parse::<ImageName>().unwrap_err();
            assert_eq!((error.at, error.reason), (at, reason), "{text}: {error}");
        }
        let error = "host.test/Image".parse::<ImageName>().unwrap_err();
        assert!(error.to_string().ends_with("at character 11"), "{error}");
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for (text, expected) in [
            ("localhost:5000/a", true),
            ("127.1.2.3/a", true),
            ("[::1]:80/a", true),
            ("[::1]/a", true),
            ("host.test/a", false),
            ("10.0.0.1:5000/a", false),
            ("localhost.test/a", false),
        ] {
            let reference: ImageName = text.parse().unwrap();
            assert_eq!(reference.is_loopback(), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[a-zA-Z0-9.:/@_\\[\\]ä -]{0,40}") {
            if let Ok(reference) = text.parse::<ImageName>() {
                prop_assert_eq!(reference.to_string().parse(), Ok(reference));
            }
        }
    }
}
