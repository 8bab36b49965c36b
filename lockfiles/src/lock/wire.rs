//! The serde shapes of `envbox.lock`, every version, and their way into [`Lockfile`].

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use jiff::Timestamp;
use serde::Deserialize;

use crate::base::{
    DebianName, Digest, EnvironmentName, GroupName, ImageReference, Platform, RegistryName,
};
use crate::lock::base::BaseWire;
use crate::lock::conda::{CondaRequestWire, CondaWire};
use crate::lock::gpu::{GpuRequestWire, GpuWire};
use crate::lock::groups::GroupWire;
use crate::lock::schema::{
    Artifact, BuiltImage, LockedArchive, LockedDebian, LockedInterpreter, LockedPackage,
    LockedSuite, Lockfile, Origin, Request,
};
use crate::lock::wheel::WheelWire;
use crate::manifest::{InterpreterSource, Prerelease};

/// The first thing read: which version the rest is in.
#[derive(Deserialize)]
pub(super) struct VersionWire {
    pub(super) version: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct LockWire {
    pub(super) version: u64,
    pub(super) digest: Digest,
    #[serde(rename = "manifest")]
    _manifest: Digest,
    request: RequestWire,
    base: Option<BaseWire>,
    interpreter: Option<InterpreterWire>,
    #[serde(default)]
    conda: CondaWire,
    #[serde(default)]
    python: Vec<WheelWire>,
    #[serde(default)]
    debian: DebianWire,
    gpu: Option<GpuWire>,
    #[serde(default)]
    built: Vec<BuiltWire>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct BuiltWire {
    platform: Platform,
    image_id: Digest,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RequestWire {
    name: EnvironmentName,
    platforms: Vec<Platform>,
    python: Option<String>,
    python_from: Option<InterpreterSource>,
    requirements: Vec<String>,
    constraints: Vec<String>,
    overrides: Vec<String>,
    exclude_newer: Option<Timestamp>,
    prerelease: Prerelease,
    extra_indexes: Vec<RegistryName>,
    find_links: Vec<RegistryName>,
    no_build: bool,
    suite: Option<String>,
    snapshot: Option<String>,
    security: Option<bool>,
    packages: Vec<DebianName>,
    base: Option<ImageReference>,
    conda: Option<CondaRequestWire>,
    gpu: Option<GpuRequestWire>,
    #[serde(default)]
    groups: BTreeMap<GroupName, GroupWire>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InterpreterWire {
    from: InterpreterSource,
    version: String,
    path: String,
    #[serde(default)]
    archive: Vec<ArchiveWire>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ArchiveWire {
    platform: Platform,
    registry: RegistryName,
    file: String,
    size: u64,
    sha256: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct DebianWire {
    #[serde(default)]
    suite: Vec<SuiteWire>,
    #[serde(default)]
    package: Vec<PackageWire>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SuiteWire {
    name: String,
    registry: RegistryName,
    date: Timestamp,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct PackageWire {
    name: DebianName,
    version: String,
    architecture: String,
    platforms: Option<Vec<Platform>>,
    registry: RegistryName,
    file: String,
    size: u64,
    sha256: String,
    required_by: Vec<String>,
}

/// A value that TOML accepts and a lock does not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{entry}: {problem}")]
pub struct InvalidEntry {
    /// The entry: `numpy 2.1.3`.
    pub entry: String,
    /// What is wrong with it.
    pub problem: String,
    /// Where it is in the text, if that is known.
    pub(super) place: Option<Range<usize>>,
}

impl InvalidEntry {
    pub(super) fn new(entry: &str, problem: impl Into<String>) -> Self {
        Self {
            entry: entry.to_owned(),
            problem: problem.into(),
            place: None,
        }
    }

    pub(super) fn at(entry: &str, problem: impl Into<String>, place: Range<usize>) -> Self {
        Self {
            place: Some(place),
            ..Self::new(entry, problem)
        }
    }
}

impl LockWire {
    pub(super) fn into_lockfile(self) -> Result<Lockfile, InvalidEntry> {
        let request = self.request.into_request()?;
        let all = request.platforms.clone();
        let wheel = |wire: WheelWire| wire.into_wheel(&all);
        let package = |wire: PackageWire| wire.into_package(&all);
        let asked = request.base.as_ref();
        if asked.is_some() != self.base.is_some() {
            let problem = "the request and the lock do not both have an image to stand on";
            return Err(InvalidEntry::new("base", problem));
        }
        if request.gpu.is_some() && self.gpu.is_none() {
            return Err(InvalidEntry::new(
                "gpu",
                "the request has it, and the lock has not",
            ));
        }
        let gpu = self.gpu.map(|gpu| gpu.into_gpu(request.gpu.as_ref(), &all));
        Ok(Lockfile {
            gpu: gpu.transpose()?,
            base: self
                .base
                .map(|base| base.into_base(asked, &all))
                .transpose()?,
            interpreter: self
                .interpreter
                .map(|interpreter| interpreter.into_interpreter(&all))
                .transpose()?,
            conda: self.conda.into_conda(&all)?,
            python: self
                .python
                .into_iter()
                .map(wheel)
                .collect::<Result<_, _>>()?,
            debian: LockedDebian {
                suites: self
                    .debian
                    .suite
                    .into_iter()
                    .map(SuiteWire::into_suite)
                    .collect(),
                packages: self
                    .debian
                    .package
                    .into_iter()
                    .map(package)
                    .collect::<Result<_, _>>()?,
            },
            built: self
                .built
                .into_iter()
                .map(|wire| BuiltImage {
                    platform: wire.platform,
                    image_id: wire.image_id,
                })
                .collect(),
            request,
        })
    }
}

impl RequestWire {
    fn into_request(self) -> Result<Request, InvalidEntry> {
        Ok(Request {
            name: self.name,
            platforms: self.platforms,
            python: self.python,
            python_from: self.python_from,
            requirements: self.requirements,
            constraints: self.constraints,
            overrides: self.overrides,
            exclude_newer: self.exclude_newer,
            prerelease: self.prerelease,
            extra_indexes: self.extra_indexes,
            find_links: self.find_links,
            no_build: self.no_build,
            suite: self.suite,
            snapshot: self.snapshot,
            security: self.security,
            packages: self.packages,
            base: self.base,
            conda: self.conda.map(CondaRequestWire::into_request),
            gpu: self.gpu.map(GpuRequestWire::into_request).transpose()?,
            groups: self
                .groups
                .into_iter()
                .map(|(name, group)| (name, group.into_request()))
                .collect(),
        })
    }
}

impl InterpreterWire {
    fn into_interpreter(self, all: &[Platform]) -> Result<LockedInterpreter, InvalidEntry> {
        let entry = format!("interpreter {}", self.version);
        let archives = self.archive.into_iter().map(|wire| {
            let artifact = ArtifactWire {
                registry: Some(wire.registry),
                url: None,
                file: wire.file,
                size: wire.size,
                sha256: wire.sha256,
            };
            Ok(LockedArchive {
                platform: wire.platform,
                artifact: artifact.into_artifact(&entry)?,
            })
        });
        let archives: Vec<_> = archives.collect::<Result<_, _>>()?;
        let has: BTreeSet<_> = archives.iter().map(|archive| archive.platform).collect();
        let needs: BTreeSet<_> = match self.from {
            InterpreterSource::Debian | InterpreterSource::Conda => BTreeSet::new(),
            InterpreterSource::Standalone => all.iter().copied().collect(),
        };
        if has != needs {
            let problem = "it has not one archive for each platform that needs one";
            return Err(InvalidEntry::new(&entry, problem));
        }
        let inside = self.path.strip_prefix('/').is_some_and(is_plain_path);
        if !inside {
            let problem = format!("`{}` is no absolute path", self.path);
            return Err(InvalidEntry::new(&entry, problem));
        }
        Ok(LockedInterpreter {
            from: self.from,
            version: self.version,
            path: self.path,
            archives,
        })
    }
}

impl SuiteWire {
    fn into_suite(self) -> LockedSuite {
        LockedSuite {
            name: self.name,
            registry: self.registry,
            date: self.date,
        }
    }
}

impl PackageWire {
    fn into_package(self, all: &[Platform]) -> Result<LockedPackage, InvalidEntry> {
        let entry = format!("{} {}", self.name, self.version);
        let platforms = platforms(&entry, self.platforms, all)?;
        let runs_on = |platform: &Platform| platform.debian() == self.architecture;
        if self.architecture != "all" && !platforms.iter().all(runs_on) {
            let problem = format!(
                "architecture `{}` is not that of its platforms",
                self.architecture
            );
            return Err(InvalidEntry::new(&entry, problem));
        }
        let artifact = ArtifactWire {
            registry: Some(self.registry),
            url: None,
            file: self.file,
            size: self.size,
            sha256: self.sha256,
        };
        Ok(LockedPackage {
            artifact: artifact.into_artifact(&entry)?,
            name: self.name,
            version: self.version,
            architecture: self.architecture,
            platforms,
            required_by: self.required_by,
        })
    }
}

/// What is not said is all of them.
pub(super) fn platforms(
    entry: &str,
    given: Option<Vec<Platform>>,
    all: &[Platform],
) -> Result<Vec<Platform>, InvalidEntry> {
    let Some(platforms) = given else {
        return Ok(all.to_vec());
    };
    if platforms.is_empty() {
        return Err(InvalidEntry::new(entry, "it is for no platform"));
    }
    match platforms.iter().find(|platform| !all.contains(platform)) {
        None => Ok(platforms),
        Some(other) => {
            let problem = format!("`{other}` is not a platform of this lock");
            Err(InvalidEntry::new(entry, problem))
        }
    }
}

/// The keys that every artifact has.
pub(super) struct ArtifactWire {
    pub(super) registry: Option<RegistryName>,
    pub(super) url: Option<String>,
    pub(super) file: String,
    pub(super) size: u64,
    pub(super) sha256: String,
}

impl ArtifactWire {
    /// One that is built comes from nowhere.
    pub(super) fn into_built(self, entry: &str) -> Result<Artifact, InvalidEntry> {
        if self.registry.is_some() || self.url.is_some() {
            let problem = "it is both built and from a registry or URL";
            return Err(InvalidEntry::new(entry, problem));
        }
        self.from(entry, Origin::Built)
    }

    pub(super) fn into_artifact(self, entry: &str) -> Result<Artifact, InvalidEntry> {
        let invalid = |problem: String| InvalidEntry::new(entry, problem);
        let origin = match (self.registry, self.url) {
            (Some(registry), None) => Origin::Registry(registry),
            (None, Some(url)) if is_web(&url) => Origin::Url(url),
            (None, Some(url)) => {
                return Err(invalid(format!("`{url}` is no `http` or `https` URL")));
            }
            _ => {
                let problem = "exactly one of `registry` and `url` is needed";
                return Err(invalid(problem.to_owned()));
            }
        };
        Self {
            registry: None,
            url: None,
            ..self
        }
        .from(entry, origin)
    }

    fn from(self, entry: &str, origin: Origin) -> Result<Artifact, InvalidEntry> {
        let invalid = |problem: String| InvalidEntry::new(entry, problem);
        let file = self.file;
        if !is_plain_path(&file) {
            return Err(invalid(format!("`{file}` is no relative path")));
        }
        let digest = Digest::from_hex(&self.sha256).map_err(|error| invalid(error.to_string()))?;
        Ok(Artifact {
            origin,
            file,
            size: self.size,
            digest,
        })
    }
}

fn is_web(url: &str) -> bool {
    let is_known = |url: url::Url| {
        let scheme = url.scheme();
        matches!(scheme, "http" | "https") || scheme.starts_with("git+")
    };
    url::Url::parse(url).is_ok_and(is_known)
}

/// Whether a path goes down only: it becomes part of a URL and of a path in the store.
fn is_plain_path(path: &str) -> bool {
    let odd = |c: char| c.is_control() || c == '\\';
    !path.contains(odd) && !path.split('/').any(|part| matches!(part, "" | "." | ".."))
}
