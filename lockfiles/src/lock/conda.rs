//! Conda packages as the lock writes, reads and sorts them.

use jiff::Timestamp;
use serde::Deserialize;

use crate::base::{CondaName, Platform, PythonName, RegistryName};
use crate::lock::order::{Disorder, first, set, words};
use crate::lock::schema::{
    Activation, CondaRequest, LockedConda, LockedCondaPackage, LockedVirtualPackage,
};
use crate::lock::wire::{ArtifactWire, InvalidEntry, platforms as platforms_of};
use crate::lock::write::{artifact, list, optional, platforms, string, word};
use crate::manifest::{ChannelPriority, CondaBase};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct CondaRequestWire {
    channels: Vec<RegistryName>,
    channel_priority: ChannelPriority,
    dependencies: Vec<String>,
    constraints: Vec<String>,
    exclude_newer: Option<Timestamp>,
    virtual_packages: Vec<String>,
    python_names: Vec<String>,
    link_scripts: Vec<CondaName>,
    base: CondaBase,
}

impl CondaRequestWire {
    pub(super) fn into_request(self) -> CondaRequest {
        CondaRequest {
            channels: self.channels,
            channel_priority: self.channel_priority,
            dependencies: self.dependencies,
            constraints: self.constraints,
            exclude_newer: self.exclude_newer,
            virtual_packages: self.virtual_packages,
            python_names: self.python_names,
            link_scripts: self.link_scripts,
            base: self.base,
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct CondaWire {
    #[serde(default)]
    virtual_package: Vec<VirtualPackageWire>,
    #[serde(default)]
    package: Vec<CondaPackageWire>,
    #[serde(default)]
    activation: Vec<ActivationWire>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VirtualPackageWire {
    name: CondaName,
    version: String,
    build: String,
    platforms: Option<Vec<Platform>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct CondaPackageWire {
    name: CondaName,
    version: String,
    build: String,
    platforms: Option<Vec<Platform>>,
    registry: Option<RegistryName>,
    url: Option<String>,
    file: String,
    size: u64,
    sha256: String,
    #[serde(default)]
    python: Option<Vec<String>>,
    required_by: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ActivationWire {
    name: String,
    value: String,
    platforms: Option<Vec<Platform>>,
}

impl CondaWire {
    pub(super) fn into_conda(self, all: &[Platform]) -> Result<LockedConda, InvalidEntry> {
        let virtual_packages = self.virtual_package.into_iter().map(|wire| {
            Ok(LockedVirtualPackage {
                platforms: platforms_of(wire.name.as_str(), wire.platforms, all)?,
                name: wire.name,
                version: wire.version,
                build: wire.build,
            })
        });
        let packages = self.package.into_iter();
        let activation = self.activation.into_iter().map(|wire| {
            Ok(Activation {
                platforms: platforms_of(&wire.name, wire.platforms, all)?,
                name: wire.name,
                value: wire.value,
            })
        });
        Ok(LockedConda {
            virtual_packages: virtual_packages.collect::<Result<_, _>>()?,
            packages: packages
                .map(|wire| wire.into_package(all))
                .collect::<Result<_, _>>()?,
            activation: activation.collect::<Result<_, _>>()?,
        })
    }
}

impl CondaPackageWire {
    fn into_package(self, all: &[Platform]) -> Result<LockedCondaPackage, InvalidEntry> {
        let entry = format!("{} {} {}", self.name, self.version, self.build);
        let platforms = platforms_of(&entry, self.platforms, all)?;
        let stem = format!("{}-{}-{}", self.name, self.version, self.build);
        check_file(&entry, &stem, &self.file, &platforms)?;
        let python = self.python.unwrap_or_default();
        if let Some(pin) = python.iter().find(|pin| !is_pin(pin)) {
            let problem = format!("`{pin}` is no Python distribution and its version");
            return Err(InvalidEntry::new(&entry, problem));
        }
        let artifact = ArtifactWire {
            registry: self.registry,
            url: self.url,
            file: self.file,
            size: self.size,
            sha256: self.sha256,
        };
        Ok(LockedCondaPackage {
            artifact: artifact.into_artifact(&entry)?,
            name: self.name,
            version: self.version,
            build: self.build,
            platforms,
            python,
            required_by: self.required_by,
        })
    }
}

/// A file that speaks of another package, or of a platform that the entry is not for, is no file
/// of this one.
fn check_file(
    entry: &str,
    stem: &str,
    file: &str,
    platforms: &[Platform],
) -> Result<(), InvalidEntry> {
    let invalid = |problem: String| Err(InvalidEntry::new(entry, problem));
    let Some((subdir, name)) = file.rsplit_once('/') else {
        return invalid(format!("`{file}` is in no subdir"));
    };
    let found = [".conda", ".tar.bz2"]
        .iter()
        .find_map(|kind| name.strip_suffix(kind));
    if found != Some(stem) {
        return invalid(format!("`{name}` is no file of it"));
    }
    let runs_on = |platform: &Platform| platform.conda_subdir() == subdir;
    match subdir == "noarch" || platforms.iter().all(runs_on) {
        true => Ok(()),
        false => invalid(format!("subdir `{subdir}` is not that of its platforms")),
    }
}

fn is_pin(text: &str) -> bool {
    text.split_once("==").is_some_and(|(name, version)| {
        let normalized = name.parse::<PythonName>();
        normalized.is_ok_and(|normalized| normalized.as_str() == name) && !version.is_empty()
    })
}

impl LockedConda {
    /// Sorts every list into canonical order and drops repetitions of plain words.
    pub fn sort(&mut self) {
        for package in &mut self.virtual_packages {
            set(&mut package.platforms);
        }
        for package in &mut self.packages {
            set(&mut package.platforms);
            set(&mut package.python);
            set(&mut package.required_by);
        }
        for variable in &mut self.activation {
            set(&mut variable.platforms);
        }
        let packages = &mut self.virtual_packages;
        packages.sort_by(|a, b| virtual_key(a).cmp(&virtual_key(b)));
        self.packages
            .sort_by(|a, b| package_key(a).cmp(&package_key(b)));
        self.activation
            .sort_by(|a, b| (&a.name, &a.value).cmp(&(&b.name, &b.value)));
    }

    pub(super) fn disorder(&self) -> Option<Disorder> {
        let packages = &self.virtual_packages;
        first("[[conda.virtual-package]]", packages, virtual_key)
            .or_else(|| first("[[conda.package]]", &self.packages, package_key))
            .or_else(|| {
                first("[[conda.activation]]", &self.activation, |variable| Key {
                    key: [&variable.name, &variable.value, "", ""],
                })
            })
            .or_else(|| {
                let platforms = self
                    .virtual_packages
                    .iter()
                    .map(|package| &package.platforms);
                let more = self.activation.iter().map(|variable| &variable.platforms);
                platforms
                    .chain(more)
                    .find_map(|all| words("`platforms` of a conda entry", all))
            })
            .or_else(|| {
                self.packages.iter().find_map(|package| {
                    words("`platforms` of a conda package", &package.platforms)
                        .or_else(|| words("`python` of a conda package", &package.python))
                        .or_else(|| words("`required-by` of a conda package", &package.required_by))
                })
            })
    }
}

impl CondaRequest {
    pub(super) fn disorder(&self) -> Option<Disorder> {
        words("`dependencies`", &self.dependencies)
            .or_else(|| words("`constraints`", &self.constraints))
            .or_else(|| words("`virtual-packages`", &self.virtual_packages))
            .or_else(|| words("`python-names`", &self.python_names))
            .or_else(|| words("`link-scripts`", &self.link_scripts))
    }
}

/// A key to compare by, shown by its first word.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Key<'a> {
    key: [&'a str; 4],
}

impl std::fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.key[0])
    }
}

fn virtual_key(package: &LockedVirtualPackage) -> Key<'_> {
    Key {
        key: [package.name.as_str(), &package.version, &package.build, ""],
    }
}

fn package_key(package: &LockedCondaPackage) -> Key<'_> {
    let (name, file) = (package.name.as_str(), &package.artifact.file);
    Key {
        key: [name, &package.version, &package.build, file],
    }
}

/// Writes the conda part of a request.
pub(super) fn request_table(text: &mut String, request: &CondaRequest) {
    text.push_str("\n[request.conda]\n");
    list(text, "channels", &request.channels);
    string(text, "channel-priority", &word(request.channel_priority));
    list(text, "dependencies", &request.dependencies);
    list(text, "constraints", &request.constraints);
    let cutoff = request.exclude_newer.map(|time| time.to_string());
    optional(text, "exclude-newer", cutoff.as_deref());
    list(text, "virtual-packages", &request.virtual_packages);
    list(text, "python-names", &request.python_names);
    list(text, "link-scripts", &request.link_scripts);
    string(text, "base", &word(request.base));
}

/// Writes the conda packages and what belongs to them.
pub(super) fn conda_tables(text: &mut String, conda: &LockedConda, all: &[Platform]) {
    for package in &conda.virtual_packages {
        text.push_str("\n[[conda.virtual-package]]\n");
        string(text, "name", package.name.as_str());
        string(text, "version", &package.version);
        string(text, "build", &package.build);
        platforms(text, &package.platforms, all);
    }
    for package in &conda.packages {
        text.push_str("\n[[conda.package]]\n");
        string(text, "name", package.name.as_str());
        string(text, "version", &package.version);
        string(text, "build", &package.build);
        platforms(text, &package.platforms, all);
        artifact(text, &package.artifact);
        if !package.python.is_empty() {
            list(text, "python", &package.python);
        }
        list(text, "required-by", &package.required_by);
    }
    for variable in &conda.activation {
        text.push_str("\n[[conda.activation]]\n");
        string(text, "name", &variable.name);
        string(text, "value", &variable.value);
        platforms(text, &variable.platforms, all);
    }
}
