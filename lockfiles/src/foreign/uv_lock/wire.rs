//! The shape of `uv.lock`. Keys that are not read say nothing about what is installed.

use std::collections::BTreeMap;

use serde::Deserialize;

#[derive(Deserialize)]
pub(super) struct VersionWire {
    pub(super) version: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct LockWire {
    pub(super) requires_python: Option<String>,
    #[serde(default)]
    pub(super) manifest: ManifestWire,
    #[serde(default, rename = "package", alias = "distribution")]
    pub(super) packages: Vec<PackageWire>,
}

/// What was asked for beside what the projects ask for.
#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub(super) struct ManifestWire {
    /// Of a script.
    #[serde(default)]
    pub(super) requirements: Vec<RequirementWire>,
    #[serde(default)]
    pub(super) dependency_groups: BTreeMap<String, Vec<RequirementWire>>,
    #[serde(default)]
    pub(super) constraints: Vec<RequirementWire>,
    #[serde(default)]
    pub(super) overrides: Vec<OverrideWire>,
    #[serde(default)]
    pub(super) excludes: Vec<toml::Value>,
}

/// An override of all requirements, or of one package's.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum OverrideWire {
    All(RequirementWire),
    OfPackage { package: toml::Value },
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct PackageWire {
    pub(super) name: String,
    pub(super) version: Option<String>,
    pub(super) source: SourceWire,
    #[serde(default)]
    pub(super) resolution_markers: Vec<String>,
    #[serde(default)]
    pub(super) wheels: Vec<WheelWire>,
    #[serde(default)]
    pub(super) metadata: MetadataWire,
}

/// What a project of the workspace asks for.
#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub(super) struct MetadataWire {
    #[serde(default)]
    pub(super) requires_dist: Vec<RequirementWire>,
    #[serde(default)]
    pub(super) provides_extras: Vec<String>,
    #[serde(default)]
    pub(super) requires_dev: BTreeMap<String, Vec<RequirementWire>>,
}

/// A requirement in uv's own spelling.
#[derive(Deserialize, Clone, Default)]
pub(super) struct RequirementWire {
    pub(super) name: String,
    #[serde(default)]
    pub(super) extras: Vec<String>,
    pub(super) specifier: Option<String>,
    pub(super) marker: Option<String>,
    pub(super) url: Option<String>,
    pub(super) git: Option<String>,
    pub(super) path: Option<String>,
    pub(super) directory: Option<String>,
    pub(super) editable: Option<String>,
    pub(super) r#virtual: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum SourceWire {
    Registry {
        registry: String,
    },
    Git {
        #[serde(rename = "git")]
        _git: String,
    },
    Url {
        url: String,
    },
    Path {
        #[serde(rename = "path")]
        _path: String,
    },
    Directory {
        directory: String,
    },
    Editable {
        editable: String,
    },
    Virtual {
        r#virtual: String,
    },
}

impl SourceWire {
    /// Returns the index of a package that comes from one.
    pub(super) fn registry(&self) -> Option<&str> {
        match self {
            Self::Registry { registry } => Some(registry),
            _ => None,
        }
    }
}

impl PackageWire {
    /// Says whether this is a project of the workspace, which lies beside the lockfile or below.
    pub(super) fn is_member(&self) -> bool {
        match &self.source {
            SourceWire::Editable { editable: path }
            | SourceWire::Virtual { r#virtual: path }
            | SourceWire::Directory { directory: path } => {
                !path.starts_with(['/', '\\']) && !path.starts_with("..")
            }
            _ => false,
        }
    }

    /// Says whether this is the project that the lockfile lies beside.
    pub(super) fn is_root(&self) -> bool {
        match &self.source {
            SourceWire::Editable { editable: path } | SourceWire::Virtual { r#virtual: path } => {
                path == "."
            }
            _ => false,
        }
    }
}

#[derive(Deserialize)]
pub(super) struct WheelWire {
    pub(super) url: Option<String>,
    pub(super) path: Option<String>,
    pub(super) filename: Option<String>,
    pub(super) hash: Option<String>,
    pub(super) size: Option<u64>,
}

impl WheelWire {
    /// Returns the file's name, or else the last part of where it lies.
    pub(super) fn name(&self) -> Option<String> {
        let place = || {
            let place = self.url.as_ref().or(self.path.as_ref())?;
            let path = place.split(['?', '#']).next()?;
            Some(path.rsplit('/').next()?.replace("%2B", "+"))
        };
        self.filename.clone().or_else(place)
    }
}
