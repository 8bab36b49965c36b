//! Why Python requirements could not be locked.

use std::fmt;
use std::path::PathBuf;

use uv_pep508::Pep508Error;
use uv_pypi_types::VerbatimParsedUrl;

use crate::base::{Explain, FsError, Kind, Platform, PythonName, RegistryName};
use crate::resolve::Unkept;
use crate::resolve::python::sources::BuildFailure;

/// Any error of one of uv's crates.
pub(super) type Source = Box<dyn std::error::Error + Send + Sync>;

/// Python requirements could not be locked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PythonError {
    /// No set of versions fulfils everything.
    #[error("no set of versions fulfils the Python requirements on {platform}")]
    NoSolution {
        /// The platform.
        platform: Platform,
        /// uv's derivation.
        #[source]
        explanation: Explanation,
        /// uv's hints, in the words of the manifest.
        hints: Vec<String>,
        /// The distributions that are there already and stand in the way.
        provided: Vec<PythonName>,
    },
    /// A requirement names a file of a distribution that is there already.
    #[error("`{name}` is to come from a URL, and a conda package brings `{name}` {version}")]
    Shadows {
        /// The distribution.
        name: PythonName,
        /// The version that is there.
        version: String,
    },
    /// Versions were found, but some have no wheel for the target.
    #[error("no wheel fits Python {python} on {platform} for {}", listed(.packages))]
    NoWheels {
        /// The platform.
        platform: Platform,
        /// The Python version.
        python: String,
        /// The packages, sorted by name.
        packages: Vec<MissingWheel>,
    },
    /// Offline, and the cache does not hold enough to resolve.
    #[error("the cache does not hold what resolving needs, and the network is disabled")]
    Offline {
        /// uv's derivation.
        #[source]
        explanation: Explanation,
    },
    /// A registry failed.
    #[error("{}", failure_text(registry.as_ref(), item, *failure))]
    Registry {
        /// The registry, unless the file was to come from elsewhere.
        registry: Option<RegistryName>,
        /// The project or file asked for.
        item: String,
        /// In which way it failed.
        failure: RegistryFailure,
        /// What went wrong.
        #[source]
        source: Explanation,
    },
    /// A find-links directory or page could not be read.
    #[error("failed to read the find-links registry `{registry}`")]
    Links {
        /// The registry.
        registry: RegistryName,
        /// Why.
        #[source]
        source: Explanation,
    },
    /// A requirement is not PEP 508.
    #[error("`{text}` in `{list}` is not a valid requirement")]
    Requirement {
        /// The key of the manifest.
        list: &'static str,
        /// The requirement.
        text: String,
        /// Where it breaks the rules.
        #[source]
        source: Box<Pep508Error<VerbatimParsedUrl>>,
    },
    /// A requirement that no lock can hold.
    #[error("`{text}` in `{list}` is {reason}, which a lock cannot hold")]
    Unsupported {
        /// The key of the manifest.
        list: &'static str,
        /// The requirement.
        text: String,
        /// What it asks for.
        reason: Unsupported,
    },
    /// A registry's location is malformed.
    #[error("`{url}` is no URL and no absolute path, so the registry `{registry}` has no location")]
    Location {
        /// The registry.
        registry: RegistryName,
        /// The location as given.
        url: String,
        /// What is wrong with it.
        #[source]
        source: Source,
    },
    /// A registry's location on this machine is missing.
    #[error("the registry `{registry}` is at `{}`, which is no directory", path.display())]
    NoDirectory {
        /// The registry.
        registry: RegistryName,
        /// Where it should be.
        path: PathBuf,
    },
    /// A lock names a registry that has no location.
    #[error("the registry `{registry}` has no location")]
    Unconfigured {
        /// The registry.
        registry: RegistryName,
    },
    /// A registry does not offer a locked wheel (any more).
    #[error("the registry `{registry}` does not offer `{file}` of `{project}`")]
    WheelGone {
        /// The registry.
        registry: RegistryName,
        /// The project.
        project: PythonName,
        /// The wheel.
        file: String,
    },
    /// The index gives one digest, the file has another.
    #[error("`{file}` has the digest {found}, not {expected} as its URL promises")]
    DigestMismatch {
        /// The wheel.
        file: String,
        /// As promised.
        expected: crate::base::Digest,
        /// As computed.
        found: crate::base::Digest,
    },
    /// A file operation failed.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// A source could not be built.
    #[error("failed to build a wheel of `{source_file}`")]
    Build {
        /// The source.
        source_file: String,
        /// Why.
        #[source]
        source: Box<BuildFailure>,
    },
    /// What a source's backend needs cannot be had.
    #[error("failed to resolve what `{source_file}` is built with")]
    BuildRequirements {
        /// The source.
        source_file: String,
        /// Why.
        #[source]
        source: Box<PythonError>,
    },
    /// A source says in a malformed way how it is built, or what was built.
    #[error("`{source_file}` is malformed")]
    Backend {
        /// The source.
        source_file: String,
        /// What is wrong with it.
        #[source]
        source: Source,
    },
    /// A source is one of another project.
    #[error("`{source_file}` is a source of `{found}`, not of `{expected}`")]
    OtherProject {
        /// The source.
        source_file: String,
        /// The project asked for.
        expected: String,
        /// The project that it is of.
        found: String,
    },
    /// A source must be built for another platform.
    #[error("`{source_file}` has to be built on {platform}: its wheel is not for every platform")]
    ForeignBuild {
        /// The source.
        source_file: String,
        /// The platform.
        platform: Platform,
    },
    /// What a registry offers is not what another tool's lockfile has.
    #[error("{} has {found} for `{file}`, and the other tool's lockfile has {pinned}", offering(registry.as_ref()))]
    NotPinned {
        /// The registry, unless the file has a URL of its own.
        registry: Option<RegistryName>,
        /// The wheel.
        file: String,
        /// The digest, size or version that is pinned.
        pinned: String,
        /// What was found.
        found: String,
    },
    /// The environment needs what only another tool's lockfile can hold.
    #[error("no lock can hold {}", unkept(.packages))]
    Unkept {
        /// The packages, sorted by name.
        packages: Vec<UnkeptPackage>,
    },
    /// Another tool's lockfile is not for this platform and Python.
    #[error("the other tool's lockfile is not for Python {python} on {platform}, but for {}", environments.join(", or "))]
    OtherEnvironment {
        /// The platform.
        platform: Platform,
        /// The Python version.
        python: String,
        /// The markers of those that it is for.
        environments: Vec<String>,
    },
    /// The interpreter's version is unusable.
    #[error("`{found}` is not the version of a Python interpreter")]
    Version {
        /// The version.
        found: String,
    },
    /// The certificate file cannot be used.
    #[error("failed to read certificates from `{}`", path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Source,
    },
    /// The index cache cannot be made.
    #[error("failed to open the index cache `{}`", path.display())]
    Cache {
        /// Its directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: Source,
    },
    /// The HTTP client cannot be made.
    #[error("failed to set up the index client")]
    Client {
        /// Why.
        #[source]
        source: Source,
    },
    /// uv failed in a way that has no words here.
    #[error("failed to resolve the Python requirements on {platform}")]
    Resolver {
        /// The platform.
        platform: Platform,
        /// Why.
        #[source]
        source: Explanation,
        /// uv's hints.
        hints: Vec<String>,
    },
}

/// Text of one of uv's errors without terminal colours, with its causes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The text; a derivation has several lines.
    pub text: String,
    cause: Option<Box<Explanation>>,
}

/// A package of a solution that offers no usable wheel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingWheel {
    /// The package.
    pub name: PythonName,
    /// The version that the requirements lead to.
    pub version: String,
    /// Versions that have a wheel for the target, newest first, at most five.
    pub with_wheel: Vec<String>,
    /// Who asks for it: names of distributions, or `manifest`; sorted.
    pub required_by: Vec<String>,
}

/// A package that another tool's lockfile has, and no lock of envbox's can hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnkeptPackage {
    /// The package.
    pub name: PythonName,
    /// Why.
    pub reason: Unkept,
    /// Who asks for it: names of distributions, or `manifest`; sorted.
    pub required_by: Vec<String>,
}

/// In which way a registry failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegistryFailure {
    /// The network is disabled and the cache has no answer.
    Offline,
    /// No connection was made.
    Unreachable,
    /// No answer came in time.
    Timeout,
    /// It answered with this status.
    Status(u16),
    /// The answer ended too early.
    Truncated,
    /// The answer makes no sense.
    Malformed,
}

/// A kind of requirement that no lock can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsupported {
    /// A URL of a source distribution.
    SourceArchive,
    /// A Git repository.
    Git,
    /// A file or directory of this machine.
    Path,
}

impl Explanation {
    /// Returns the texts of `error` and of its causes.
    pub(super) fn of(error: &dyn std::error::Error) -> Self {
        let cause = error.source().map(Self::of);
        let text = super::text::plain(&error.to_string());
        // A wrapper that repeats its cause says nothing of its own.
        match cause {
            Some(cause) if cause.text == text => cause,
            cause => Self {
                text,
                cause: cause.map(Box::new),
            },
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Explanation {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}

impl fmt::Display for MissingWheel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.name, self.version)
    }
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SourceArchive => "a source archive",
            Self::Git => "a Git repository",
            Self::Path => "a path of this machine",
        })
    }
}

fn listed(packages: &[MissingWheel]) -> String {
    let packages: Vec<_> = packages.iter().map(ToString::to_string).collect();
    packages.join(", ")
}

fn unkept(packages: &[UnkeptPackage]) -> String {
    let shown = packages
        .iter()
        .map(|package| format!("`{}` ({})", package.name, package.reason));
    shown.collect::<Vec<_>>().join(", ")
}

fn offering(registry: Option<&RegistryName>) -> String {
    registry.map_or_else(
        || "the server".to_owned(),
        |registry| format!("the registry `{registry}`"),
    )
}

fn failure_text(registry: Option<&RegistryName>, item: &str, failure: RegistryFailure) -> String {
    let who = offering(registry);
    let what = match failure {
        RegistryFailure::Offline => "may not be asked offline".to_owned(),
        RegistryFailure::Unreachable => "could not be reached".to_owned(),
        RegistryFailure::Timeout => "did not answer in time".to_owned(),
        RegistryFailure::Status(status) => format!("answered {status}"),
        RegistryFailure::Truncated => "broke off its answer".to_owned(),
        RegistryFailure::Malformed => "gave a malformed answer".to_owned(),
    };
    format!("{who} {what} for `{item}`")
}

impl Explain for PythonError {
    fn kind(&self) -> Kind {
        match self {
            Self::NoSolution { .. }
            | Self::Shadows { .. }
            | Self::NoWheels { .. }
            | Self::Links { .. }
            | Self::Requirement { .. }
            | Self::Unsupported { .. }
            | Self::Location { .. }
            | Self::NoDirectory { .. }
            | Self::Unconfigured { .. }
            | Self::Backend { .. }
            | Self::OtherProject { .. }
            | Self::ForeignBuild { .. }
            | Self::Unkept { .. }
            | Self::OtherEnvironment { .. } => Kind::User,
            Self::Fs(error) => error.kind(),
            Self::Build { source, .. } => source.kind(),
            Self::BuildRequirements { source, .. } => source.kind(),
            Self::Offline { .. } | Self::Registry { .. } | Self::WheelGone { .. } => Kind::Network,
            Self::DigestMismatch { .. } | Self::NotPinned { .. } => Kind::Integrity,
            Self::Certificates { .. } | Self::Cache { .. } => Kind::Host,
            Self::Version { .. } | Self::Client { .. } | Self::Resolver { .. } => Kind::Internal,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::NoSolution { hints, .. } | Self::Resolver { hints, .. } => hints.clone(),
            Self::NoWheels { packages, .. } => missing_hints(packages),
            Self::Shadows { name, .. } => vec![format!(
                "leave out the URL, or what depends on the conda package that brings `{name}`"
            )],
            Self::Offline { .. } => vec!["run the command once without `--offline`".to_owned()],
            Self::Registry { failure, .. } => failure_hints(*failure),
            Self::Fs(error) => error.hints(),
            Self::Build { source, .. } => source.hints(),
            Self::BuildRequirements { source, .. } => source.hints(),
            Self::ForeignBuild { .. } => vec![
                "lock for that platform alone on a machine of that kind, or build the wheel there and \
                 list its directory in `find-links`"
                    .to_owned(),
            ],
            Self::Links { .. } => vec!["correct `find-links` in the manifest".to_owned()],
            Self::Unsupported { .. } => vec![
                "build a wheel of it, and list the wheel's directory in `find-links`".to_owned(),
            ],
            Self::NotPinned { .. } => vec![
                "use a registry that has the same files, or import the lockfile that belongs to it"
                    .to_owned(),
            ],
            Self::Unkept { packages } => packages
                .iter()
                .map(|package| {
                    let name = &package.name;
                    format!(
                        "go without `{name}` by `overrides = [\"{name}; python_version < '0'\"]` in \
                         [python], or build a wheel of it and list its directory in `find-links`"
                    )
                })
                .collect(),
            Self::OtherEnvironment { .. } => {
                vec!["set `python` and `platforms` in [environment] to what it is for".to_owned()]
            }
            Self::Location { registry, .. }
            | Self::NoDirectory { registry, .. }
            | Self::Unconfigured { registry } => {
                vec![format!("say where the registry `{registry}` lies")]
            }
            Self::Cache { .. } => {
                vec!["make it writable, or choose another store with `ENVBOX_STORE`".to_owned()]
            }
            Self::WheelGone { .. } => vec![
                "use a registry that keeps old files".to_owned(),
                "lock again with `envbox lock --upgrade`".to_owned(),
            ],
            _ => Vec::new(),
        }
    }
}

fn missing_hints(packages: &[MissingWheel]) -> Vec<String> {
    let mut hints: Vec<_> = packages
        .iter()
        .filter(|package| !package.with_wheel.is_empty())
        .map(|package| {
            let versions = package.with_wheel.join(", ");
            let name = &package.name;
            format!("allow a version of `{name}` that has a wheel: {versions}")
        })
        .collect();
    hints.push(
        "build the missing wheels, and list the directory that holds them in `find-links`"
            .to_owned(),
    );
    hints
}

fn failure_hints(failure: RegistryFailure) -> Vec<String> {
    match failure {
        RegistryFailure::Offline => vec!["run the command once without `--offline`".to_owned()],
        RegistryFailure::Status(401 | 403) => {
            vec!["put a user name and password into the registry's URL".to_owned()]
        }
        RegistryFailure::Unreachable | RegistryFailure::Timeout => {
            vec!["check the network and the registry's URL, then run the command again".to_owned()]
        }
        RegistryFailure::Status(_) | RegistryFailure::Truncated | RegistryFailure::Malformed => {
            vec!["the registry is at fault: try again later, or use another mirror".to_owned()]
        }
    }
}
