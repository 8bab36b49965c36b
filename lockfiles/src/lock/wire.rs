//! The serde shapes of `envbox.lock`, version 1, and their way into [`Lockfile`].

use jiff::Timestamp;
use serde::Deserialize;

use crate::base::{DebianName, Digest, EnvironmentName, Platform, PythonName, RegistryName};
use crate::lock::schema::{
    Artifact, LockedArchive, LockedDebian, LockedInterpreter, LockedPackage, LockedSuite,
    LockedWheel, Lockfile, Origin, Request,
};
use crate::manifest::{InterpreterSource, Prerelease};

/// The first thing read: which version the rest is in.
#[derive(Deserialize)]
pub(super) struct VersionWire {
    pub(super) version: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct LockWire {
    #[serde(rename = "version")]
    _version: u32,
    pub(super) digest: Digest,
    #[serde(rename = "manifest")]
    _manifest: Digest,
    request: RequestWire,
    interpreter: Option<InterpreterWire>,
    #[serde(default)]
    python: Vec<WheelWire>,
    #[serde(default)]
    debian: DebianWire,
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct WheelWire {
    name: PythonName,
    version: String,
    platforms: Option<Vec<Platform>>,
    registry: Option<RegistryName>,
    url: Option<String>,
    file: String,
    size: u64,
    sha256: String,
    required_by: Vec<String>,
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
}

impl LockWire {
    pub(super) fn into_lockfile(self) -> Result<Lockfile, InvalidEntry> {
        let all = self.request.platforms.clone();
        let wheel = |wire: WheelWire| wire.into_wheel(&all);
        let package = |wire: PackageWire| wire.into_package(&all);
        Ok(Lockfile {
            interpreter: self
                .interpreter
                .map(InterpreterWire::into_interpreter)
                .transpose()?,
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
            request: self.request.into_request(),
        })
    }
}

impl RequestWire {
    fn into_request(self) -> Request {
        Request {
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
        }
    }
}

impl InterpreterWire {
    fn into_interpreter(self) -> Result<LockedInterpreter, InvalidEntry> {
        let archives = self.archive.into_iter().map(|wire| {
            let artifact = artifact(
                &wire.file,
                Some(wire.registry),
                None,
                &wire.file,
                wire.size,
                &wire.sha256,
            )?;
            Ok(LockedArchive {
                platform: wire.platform,
                artifact,
            })
        });
        Ok(LockedInterpreter {
            from: self.from,
            version: self.version,
            path: self.path,
            archives: archives.collect::<Result<_, _>>()?,
        })
    }
}

impl WheelWire {
    fn into_wheel(self, all: &[Platform]) -> Result<LockedWheel, InvalidEntry> {
        let entry = format!("{} {}", self.name, self.version);
        check_wheel_name(&entry, &self.name, &self.version, &self.file)?;
        Ok(LockedWheel {
            artifact: artifact(
                &entry,
                self.registry,
                self.url,
                &self.file,
                self.size,
                &self.sha256,
            )?,
            name: self.name,
            version: self.version,
            platforms: self.platforms.unwrap_or_else(|| all.to_vec()),
            required_by: self.required_by,
        })
    }
}

/// A file name that speaks of another project or version is no file of this one.
fn check_wheel_name(
    entry: &str,
    name: &PythonName,
    version: &str,
    file: &str,
) -> Result<(), InvalidEntry> {
    let invalid = |problem: String| InvalidEntry {
        entry: entry.to_owned(),
        problem,
    };
    let wheel: uv_distribution_filename::WheelFilename = file
        .parse()
        .map_err(|error| invalid(format!("`{file}` is no wheel file name: {error}")))?;
    if wheel.name.as_str() != name.as_str() || wheel.version.to_string() != version {
        return Err(invalid(format!(
            "`{file}` is a file of {} {}",
            wheel.name, wheel.version
        )));
    }
    Ok(())
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
        Ok(LockedPackage {
            artifact: artifact(
                &entry,
                Some(self.registry),
                None,
                &self.file,
                self.size,
                &self.sha256,
            )?,
            name: self.name,
            version: self.version,
            architecture: self.architecture,
            platforms: self.platforms.unwrap_or_else(|| all.to_vec()),
            required_by: self.required_by,
        })
    }
}

fn artifact(
    entry: &str,
    registry: Option<RegistryName>,
    url: Option<String>,
    file: &str,
    size: u64,
    sha256: &str,
) -> Result<Artifact, InvalidEntry> {
    let invalid = |problem: String| InvalidEntry {
        entry: entry.to_owned(),
        problem,
    };
    let origin = match (registry, url) {
        (Some(registry), None) => Origin::Registry(registry),
        (None, Some(url)) => Origin::Url(url),
        _ => {
            return Err(invalid(
                "exactly one of `registry` and `url` is needed".to_owned(),
            ));
        }
    };
    // The file becomes part of a URL and a path.
    if file.is_empty() || file.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(invalid(format!("`{file}` is no relative path")));
    }
    let digest = Digest::from_hex(sha256).map_err(|error| invalid(error.to_string()))?;
    Ok(Artifact {
        origin,
        file: file.to_owned(),
        size,
        digest,
    })
}
