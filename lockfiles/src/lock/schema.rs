//! What `envbox.lock` holds.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::base::{
    Compression, CondaName, DebianName, Digest, EnvironmentName, GroupName, ImageReference,
    Platform, PythonName, RegistryName,
};
use crate::lock::gpu::LockedGpu;
use crate::manifest::{ChannelPriority, CondaBase, Gpu, InterpreterSource, Prerelease};

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
    /// Conda packages and what they were chosen for.
    pub conda: LockedConda,
    /// Wheels, sorted by name, version and file name.
    pub python: Vec<LockedWheel>,
    /// The suites and packages of a base of Debian's.
    pub debian: LockedDebian,
    /// The driver and the GPU that it is for, where the manifest or a pin says anything of one.
    pub gpu: Option<LockedGpu>,
    /// The images that were built of it, sorted by platform; not what it locks, but what building
    /// must give.
    pub built: Vec<BuiltImage>,
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
            .chain(self.conda.packages.iter().map(|package| &package.artifact))
            .chain(self.python.iter().map(|wheel| &wheel.artifact))
            .chain(self.sources().flat_map(BuiltFrom::artifacts))
            .chain(self.debian.packages.iter().map(|package| &package.artifact))
    }
}

impl Lockfile {
    /// Returns what wheels are built from.
    pub fn sources(&self) -> impl Iterator<Item = &BuiltFrom> {
        self.python
            .iter()
            .filter_map(|wheel| wheel.built_from.as_deref())
    }
}

impl BuiltFrom {
    fn artifacts(&self) -> impl Iterator<Item = &Artifact> {
        let wheels = self.requires.iter().map(|wheel| &wheel.artifact);
        std::iter::once(&self.source).chain(wheels)
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
    /// `[conda]`, if there is one.
    pub conda: Option<CondaRequest>,
    /// `[gpu]`, if there is one.
    pub gpu: Option<Gpu>,
    /// `[groups.NAME]`, by name: resolved together with the rest, and chosen by name.
    pub groups: BTreeMap<GroupName, GroupRequest>,
}

/// What a group asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupRequest {
    /// PEP 508 texts, sorted, without repetition.
    pub requirements: Vec<String>,
    /// MatchSpecs, sorted, without repetition.
    pub conda: Vec<String>,
    /// Debian packages, sorted, without repetition.
    pub packages: Vec<DebianName>,
}

/// The part of `[conda]` that a resolution depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CondaRequest {
    /// Names of the channels, the most wanted first.
    pub channels: Vec<RegistryName>,
    /// `channel-priority`.
    pub channel_priority: ChannelPriority,
    /// MatchSpecs, sorted, without repetition.
    pub dependencies: Vec<String>,
    /// MatchSpecs, sorted, without repetition.
    pub constraints: Vec<String>,
    /// The cut-off date: that of `[conda]`, else that of `[python]`.
    pub exclude_newer: Option<Timestamp>,
    /// Virtual packages that are not the default, `name=version`, sorted; and always
    /// `__archspec`, which is the sandbox's CPU baseline when nothing else is given.
    pub virtual_packages: Vec<String>,
    /// `python-names`, `package=distribution,distribution`, sorted.
    pub python_names: Vec<String>,
    /// `link-scripts`: the packages whose scripts may run, sorted, without repetition.
    pub link_scripts: Vec<CondaName>,
    /// `base`.
    pub base: CondaBase,
}

/// Where an artifact comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A registry, by name; the file name or pool path says which of its artifacts.
    Registry(RegistryName),
    /// A direct-URL requirement (PEP 508 `name @ url`).
    Url(String),
    /// Nowhere: it is built here, of what [`LockedWheel::built_from`] says.
    Built,
}

/// One file to fetch: identity is file name, size and digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// Where it comes from.
    pub origin: Origin,
    /// The file name of a wheel; the pool path of a `.deb`; `release/file` of a standalone Python;
    /// `subdir/file` of a conda package.
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
    /// The program inside: `/usr/bin/python3.11`, `/opt/python/bin/python3.11` or
    /// `/opt/env/bin/python3.11`.
    pub path: String,
    /// The archives of a standalone interpreter, one for each platform; empty when it is among the
    /// Debian or the conda packages.
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
    /// What it is built from, for one that no registry has.
    pub built_from: Option<Box<BuiltFrom>>,
}

/// What a wheel is built from, in the sandbox and without a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltFrom {
    /// The source distribution, or the files of a commit.
    pub source: Artifact,
    /// The wheels that its build backend needs, sorted by name, version and file name.
    pub requires: Vec<LockedWheel>,
}

/// The locked conda packages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LockedConda {
    /// The virtual packages that they were chosen for, sorted by name, version and build.
    pub virtual_packages: Vec<LockedVirtualPackage>,
    /// The packages, sorted by name, version, build and file.
    pub packages: Vec<LockedCondaPackage>,
    /// What their activation scripts set, sorted by name and value.
    pub activation: Vec<Activation>,
}

/// A property of the system that conda packages may depend on (CEP 30), as it was declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedVirtualPackage {
    /// `__glibc`, `__cuda`, `__linux`, `__unix`, `__archspec`.
    pub name: CondaName,
    /// Its version: `2.36`.
    pub version: String,
    /// Its build string: `0`; of `__archspec` the microarchitecture.
    pub build: String,
    /// The platforms it was declared for, sorted.
    pub platforms: Vec<Platform>,
}

/// A locked conda package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedCondaPackage {
    /// The package.
    pub name: CondaName,
    /// The version as its channel writes it.
    pub version: String,
    /// The build string: `py312h1234567_0`.
    pub build: String,
    /// The platforms it is for, sorted; all of the lock's when it is for all.
    pub platforms: Vec<Platform>,
    /// The package's file: of a channel, and `subdir/name-version-build.conda` in it.
    pub artifact: Artifact,
    /// The Python distributions that it brings, `name==version`, sorted.
    pub python: Vec<String>,
    /// Who asked for it: names of packages, `interpreter` or `manifest`; sorted.
    pub required_by: Vec<String>,
}

impl LockedCondaPackage {
    /// Returns name and version of each distribution that it brings.
    pub fn distributions(&self) -> impl Iterator<Item = (&str, &str)> {
        let pins = self.python.iter();
        pins.filter_map(|pin| pin.split_once("=="))
    }
}

/// A variable that activation sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activation {
    /// The platforms it is set on, sorted; all of the lock's when it is on all.
    pub platforms: Vec<Platform>,
    /// The variable.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// What activating a prefix sets, whatever is in it, as `conda activate` does. A prefix that is in no list of
/// conda's is named by its path.
pub const CONDA_PREFIX: [(&str, &str); 3] = [
    ("CONDA_DEFAULT_ENV", "/opt/env"),
    ("CONDA_PREFIX", "/opt/env"),
    ("CONDA_SHLVL", "1"),
];

/// The identity of the image that the lock and its manifest make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuiltImage {
    /// What it runs on.
    pub platform: Platform,
    /// The digest of its config, which does not depend on how its layers are compressed.
    pub image_id: Digest,
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
