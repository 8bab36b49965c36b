//! What `envbox.lock` holds.

use jiff::Timestamp;

use crate::base::{
    Compression, DebianName, Digest, EnvironmentName, ImageReference, Platform, PythonName,
    RegistryName,
};
use crate::manifest::{InterpreterSource, Prerelease};

/// A complete lock: every artifact with digest and size.
///
/// Two equal values have the same bytes ([`Lockfile::to_bytes`](crate::lock::Lockfile::to_bytes)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lockfile {
    /// What was asked for: decides whether the lock still answers a manifest.
    pub request: Request,
    /// The image that the environment stands on, when it is no Debian suite.
    pub base: Option<LockedBase>,
    /// The interpreter, when the environment has one.
    pub interpreter: Option<LockedInterpreter>,
    /// Wheels, sorted by name, version and file name.
    pub python: Vec<LockedWheel>,
    /// The suites and packages of a base of Debian's.
    pub debian: LockedDebian,
}

impl Lockfile {
    /// Returns every artifact of every platform.
    pub fn artifacts(&self) -> impl Iterator<Item = &Artifact> {
        let images = self.base.iter().flat_map(|base| &base.images);
        let layers = images.flat_map(|image| &image.layers);
        let interpreter = self
            .interpreter
            .iter()
            .flat_map(|interpreter| &interpreter.archives);
        interpreter
            .map(|archive| &archive.artifact)
            .chain(layers.map(|layer| &layer.artifact))
            .chain(self.python.iter().map(|wheel| &wheel.artifact))
            .chain(self.debian.packages.iter().map(|package| &package.artifact))
    }
}

/// The part of a manifest that a resolution depends on, without any host or path in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `[environment] name`.
    pub name: EnvironmentName,
    /// `[environment] platforms`, sorted.
    pub platforms: Vec<Platform>,
    /// `[environment] python` as given: `3.11`, `3.11.9`.
    pub python: Option<String>,
    /// `python.from` as given.
    pub python_from: Option<InterpreterSource>,
    /// PEP 508 texts, sorted, without repetition.
    pub requirements: Vec<String>,
    /// PEP 508 texts, sorted, without repetition.
    pub constraints: Vec<String>,
    /// PEP 508 texts, sorted, without repetition.
    pub overrides: Vec<String>,
    /// The cut-off date.
    pub exclude_newer: Option<Timestamp>,
    /// The pre-release policy.
    pub prerelease: Prerelease,
    /// Names of `extra-index-urls`, in order of preference.
    pub extra_indexes: Vec<RegistryName>,
    /// Names of `find-links`, in order.
    pub find_links: Vec<RegistryName>,
    /// Whether only wheels are taken.
    pub no_build: bool,
    /// `[debian] suite` as given.
    pub suite: Option<String>,
    /// `[debian] snapshot` as given.
    pub snapshot: Option<String>,
    /// `[debian] security` as given.
    pub security: Option<bool>,
    /// `[debian] packages`, sorted, without repetition.
    pub packages: Vec<DebianName>,
    /// `[base] image` without its host.
    pub base: Option<ImageReference>,
}

/// Where an artifact comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A registry, by name; the file name or pool path says which of its artifacts.
    Registry(RegistryName),
    /// A direct-URL requirement (PEP 508 `name @ url`).
    Url(String),
}

/// One file to fetch: identity is file name, size and digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// Where it comes from.
    pub origin: Origin,
    /// The file name of a wheel; the pool path of a `.deb`; `release/file` of a standalone Python.
    pub file: String,
    /// The size in bytes.
    pub size: u64,
    /// The digest.
    pub digest: Digest,
}

/// An image to stand on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedBase {
    /// The image, or the index of images, that was asked for.
    pub reference: ImageReference,
    /// The image of each platform of the lock, sorted.
    pub images: Vec<LockedImage>,
}

impl LockedBase {
    /// Returns the image for `platform`.
    pub fn image(&self, platform: Platform) -> Option<&LockedImage> {
        self.images.iter().find(|image| image.platform == platform)
    }
}

/// The image of one platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedImage {
    /// The platform.
    pub platform: Platform,
    /// The digest of its image manifest.
    pub manifest: Digest,
    /// The version of its GNU C library, when it has one: wheels are chosen for it.
    pub glibc: Option<(u16, u16)>,
    /// Its layers, the lowest first.
    pub layers: Vec<LockedLayer>,
}

/// A layer of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedLayer {
    /// The blob; its file is `repository@digest`.
    pub artifact: Artifact,
    /// How the blob is compressed.
    pub compression: Compression,
    /// The digest of what comes out.
    pub diff_id: Digest,
}

impl LockedLayer {
    /// Returns a layer of an image of `reference`'s repository.
    pub fn new(
        reference: &ImageReference,
        digest: Digest,
        size: u64,
        compression: Compression,
        diff_id: Digest,
    ) -> Self {
        Self {
            artifact: Artifact {
                origin: Origin::Registry(reference.registry.clone()),
                file: format!("{}@{digest}", reference.repository),
                size,
                digest,
            },
            compression,
            diff_id,
        }
    }
}

/// The locked interpreter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedInterpreter {
    /// Who offers it.
    pub from: InterpreterSource,
    /// The whole version: `3.11.2`.
    pub version: String,
    /// The program inside: `/usr/bin/python3.11` or `/opt/python/bin/python3.11`.
    pub path: String,
    /// The archives of a standalone interpreter, one for each platform; empty when it is among the
    /// Debian packages.
    pub archives: Vec<LockedArchive>,
}

/// A standalone interpreter's archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedArchive {
    /// For which platform.
    pub platform: Platform,
    /// The file.
    pub artifact: Artifact,
}

/// A locked wheel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedWheel {
    /// The project.
    pub name: PythonName,
    /// The PEP 440 version.
    pub version: String,
    /// The platforms it is for, sorted; all of the lock's when it is for all.
    pub platforms: Vec<Platform>,
    /// The wheel.
    pub artifact: Artifact,
    /// Who asked for it: names of distributions, or `manifest`; sorted.
    pub required_by: Vec<String>,
}

/// The locked base.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LockedDebian {
    /// The suites that were read, in the order of their names.
    pub suites: Vec<LockedSuite>,
    /// Binary packages, sorted by name, version and architecture.
    pub packages: Vec<LockedPackage>,
}

/// A suite as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedSuite {
    /// `bookworm`, `bookworm-security`.
    pub name: String,
    /// The registry it came from: `debian`, `debian-security`.
    pub registry: RegistryName,
    /// `Date` of its `InRelease`: an archive that keeps history still has its packages under it.
    pub date: Timestamp,
}

/// A locked binary package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedPackage {
    /// The binary package.
    pub name: DebianName,
    /// `[epoch:]upstream[-revision]`.
    pub version: String,
    /// `amd64`, `arm64` or `all`.
    pub architecture: String,
    /// The platforms it is for, sorted; all of the lock's when it is for all.
    pub platforms: Vec<Platform>,
    /// The `.deb`.
    pub artifact: Artifact,
    /// Who asked for it: names of packages, `base`, `interpreter` or `manifest`; sorted.
    pub required_by: Vec<String>,
}
