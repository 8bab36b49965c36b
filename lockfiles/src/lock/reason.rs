//! The reasons why a lock does not answer a manifest, and what each concerns.

use std::fmt::Display;

use crate::base::{CondaName, DebianName, GroupName, ImageReference, Platform, RegistryName};
use crate::manifest::{
    ChannelPriority, CondaBase, DevicePin, DriverPin, GpuVendor, InterpreterSource, Prerelease,
};

/// Which sections of a lock a change concerns; the others can be kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Affected {
    /// `[[python]]`.
    pub python: bool,
    /// `[[conda.…]]`.
    pub conda: bool,
    /// `[base]`, `[interpreter]` and `[[debian.…]]`, which decide each other.
    pub debian: bool,
}

impl Affected {
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            python: self.python || other.python,
            conda: self.conda || other.conda,
            debian: self.debian || other.debian,
        }
    }
}

impl Affected {
    /// Every section.
    pub const ALL: Self = Self {
        python: true,
        conda: true,
        debian: true,
    };
    /// No section: only the request says it.
    pub const NONE: Self = Self {
        python: false,
        conda: false,
        debian: false,
    };
    const PYTHON: Self = Self {
        python: true,
        ..Self::NONE
    };
    const CONDA: Self = Self {
        conda: true,
        ..Self::NONE
    };
    const DEBIAN: Self = Self {
        debian: true,
        ..Self::NONE
    };
}

/// One way in which a manifest asks for something else than the lock answers. `locked` is what the
/// lock was made for, `asked` what the manifest says now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, serde::Serialize)]
#[serde(
    tag = "reason",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case"
)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each variant is its own message")]
pub enum StaleReason {
    #[error("the environment's name changed from `{locked}` to `{asked}`")]
    NameChanged { locked: String, asked: String },
    #[error("the platform `{platform}` was added")]
    PlatformAdded { platform: Platform },
    #[error("the platform `{platform}` was removed")]
    PlatformRemoved { platform: Platform },
    #[error(
        "the Python version changed from {} to {}",
        value(locked),
        value(asked)
    )]
    PythonChanged {
        locked: Option<String>,
        asked: Option<String>,
    },
    #[error(
        "the interpreter's source changed from {} to {}",
        word(locked),
        word(asked)
    )]
    PythonSourceChanged {
        locked: Option<InterpreterSource>,
        asked: Option<InterpreterSource>,
    },
    #[error("the requirement `{requirement}` was added")]
    RequirementAdded { requirement: String },
    #[error("the requirement `{requirement}` was removed")]
    RequirementRemoved { requirement: String },
    #[error("the constraint `{constraint}` was added")]
    ConstraintAdded { constraint: String },
    #[error("the constraint `{constraint}` was removed")]
    ConstraintRemoved { constraint: String },
    #[error("the override `{requirement}` was added")]
    OverrideAdded { requirement: String },
    #[error("the override `{requirement}` was removed")]
    OverrideRemoved { requirement: String },
    #[error("`exclude-newer` changed from {} to {}", value(locked), value(asked))]
    ExcludeNewerChanged {
        locked: Option<jiff::Timestamp>,
        asked: Option<jiff::Timestamp>,
    },
    #[error("`prerelease` changed from {} to {}", word(&Some(*locked)), word(&Some(*asked)))]
    PrereleaseChanged {
        locked: Prerelease,
        asked: Prerelease,
    },
    #[error(
        "`extra-index-urls` changed from {} to {}",
        names(locked),
        names(asked)
    )]
    ExtraIndexesChanged {
        locked: Vec<RegistryName>,
        asked: Vec<RegistryName>,
    },
    #[error("`find-links` changed from {} to {}", names(locked), names(asked))]
    FindLinksChanged {
        locked: Vec<RegistryName>,
        asked: Vec<RegistryName>,
    },
    #[error("`no-build` changed from `{locked}` to `{asked}`")]
    NoBuildChanged { locked: bool, asked: bool },
    #[error("the Debian suite changed from {} to {}", value(locked), value(asked))]
    SuiteChanged {
        locked: Option<String>,
        asked: Option<String>,
    },
    #[error(
        "the Debian snapshot changed from {} to {}",
        value(locked),
        value(asked)
    )]
    SnapshotChanged {
        locked: Option<String>,
        asked: Option<String>,
    },
    #[error(
        "`[debian] security` changed from {} to {}",
        value(locked),
        value(asked)
    )]
    SecurityChanged {
        locked: Option<bool>,
        asked: Option<bool>,
    },
    #[error("the Debian package `{package}` was added")]
    PackageAdded { package: DebianName },
    #[error("the Debian package `{package}` was removed")]
    PackageRemoved { package: DebianName },
    #[error("`[base] image` changed from {} to {}", value(locked), value(asked))]
    BaseChanged {
        locked: Option<ImageReference>,
        asked: Option<ImageReference>,
    },
    #[error("`[conda]` was added")]
    CondaAdded,
    #[error("`[conda]` was removed")]
    CondaRemoved,
    #[error("the channels changed from {} to {}", names(locked), names(asked))]
    ChannelsChanged {
        locked: Vec<RegistryName>,
        asked: Vec<RegistryName>,
    },
    #[error(
        "`channel-priority` changed from {} to {}",
        word(&Some(*locked)),
        word(&Some(*asked))
    )]
    ChannelPriorityChanged {
        locked: ChannelPriority,
        asked: ChannelPriority,
    },
    #[error("the conda dependency `{dependency}` was added")]
    CondaDependencyAdded { dependency: String },
    #[error("the conda dependency `{dependency}` was removed")]
    CondaDependencyRemoved { dependency: String },
    #[error("the conda constraint `{constraint}` was added")]
    CondaConstraintAdded { constraint: String },
    #[error("the conda constraint `{constraint}` was removed")]
    CondaConstraintRemoved { constraint: String },
    #[error(
        "`exclude-newer` of `[conda]` changed from {} to {}",
        value(locked),
        value(asked)
    )]
    CondaExcludeNewerChanged {
        locked: Option<jiff::Timestamp>,
        asked: Option<jiff::Timestamp>,
    },
    #[error("the virtual package `{package}` was added")]
    VirtualPackageAdded { package: String },
    #[error("the virtual package `{package}` was removed")]
    VirtualPackageRemoved { package: String },
    #[error("the entry `{entry}` of `python-names` was added")]
    PythonNameAdded { entry: String },
    #[error("the entry `{entry}` of `python-names` was removed")]
    PythonNameRemoved { entry: String },
    #[error("the link script of `{package}` was allowed")]
    LinkScriptAllowed { package: CondaName },
    #[error("the link script of `{package}` is no longer allowed")]
    LinkScriptRefused { package: CondaName },
    #[error(
        "`[conda] base` changed from {} to {}",
        word(&Some(*locked)),
        word(&Some(*asked))
    )]
    CondaBaseChanged { locked: CondaBase, asked: CondaBase },
    #[error("`[gpu]` was added")]
    GpuAdded,
    #[error("`[gpu]` was removed")]
    GpuRemoved,
    #[error(
        "`[gpu] vendor` changed from {} to {}",
        word(&Some(*locked)),
        word(&Some(*asked))
    )]
    GpuVendorChanged { locked: GpuVendor, asked: GpuVendor },
    #[error("`[gpu] cuda` changed from {} to {}", value(locked), value(asked))]
    CudaChanged {
        locked: Option<String>,
        asked: Option<String>,
    },
    #[error(
        "`[gpu] driver` changed from {} to {}",
        word(&Some(*locked)),
        word(&Some(*asked))
    )]
    DriverPinChanged { locked: DriverPin, asked: DriverPin },
    #[error(
        "`[gpu] device` changed from {} to {}",
        word(&Some(*locked)),
        word(&Some(*asked))
    )]
    DevicePinChanged { locked: DevicePin, asked: DevicePin },
    #[error("the group `{group}` was added")]
    GroupAdded { group: GroupName },
    #[error("the group `{group}` was removed")]
    GroupRemoved { group: GroupName },
    #[error("the requirement `{requirement}` of the group `{group}` was added")]
    GroupRequirementAdded {
        group: GroupName,
        requirement: String,
    },
    #[error("the requirement `{requirement}` of the group `{group}` was removed")]
    GroupRequirementRemoved {
        group: GroupName,
        requirement: String,
    },
    #[error("the conda dependency `{dependency}` of the group `{group}` was added")]
    GroupCondaAdded {
        group: GroupName,
        dependency: String,
    },
    #[error("the conda dependency `{dependency}` of the group `{group}` was removed")]
    GroupCondaRemoved {
        group: GroupName,
        dependency: String,
    },
    #[error("the Debian package `{package}` of the group `{group}` was added")]
    GroupPackageAdded {
        group: GroupName,
        package: DebianName,
    },
    #[error("the Debian package `{package}` of the group `{group}` was removed")]
    GroupPackageRemoved {
        group: GroupName,
        package: DebianName,
    },
}

impl StaleReason {
    /// Returns the sections of the lock that this change can alter.
    pub fn affects(&self) -> Affected {
        match self {
            Self::NameChanged { .. }
            | Self::GroupAdded { .. }
            | Self::GroupRemoved { .. }
            | Self::LinkScriptAllowed { .. }
            | Self::LinkScriptRefused { .. }
            | Self::GpuAdded
            | Self::GpuRemoved
            | Self::GpuVendorChanged { .. }
            | Self::DriverPinChanged { .. }
            | Self::DevicePinChanged { .. }
            // Conda packages that depend on it have `__cuda`, which is a reason of its own.
            | Self::CudaChanged { .. } => Affected::NONE,
            // The suite decides the interpreter and the C library that wheels are chosen for.
            Self::PlatformAdded { .. }
            | Self::PlatformRemoved { .. }
            | Self::PythonChanged { .. }
            | Self::PythonSourceChanged { .. }
            | Self::SuiteChanged { .. }
            | Self::CondaAdded
            | Self::CondaRemoved
            | Self::BaseChanged { .. } => Affected::ALL,
            Self::RequirementAdded { .. }
            | Self::RequirementRemoved { .. }
            | Self::ConstraintAdded { .. }
            | Self::ConstraintRemoved { .. }
            | Self::OverrideAdded { .. }
            | Self::OverrideRemoved { .. }
            | Self::ExcludeNewerChanged { .. }
            | Self::PrereleaseChanged { .. }
            | Self::ExtraIndexesChanged { .. }
            | Self::FindLinksChanged { .. }
            | Self::NoBuildChanged { .. }
            | Self::GroupRequirementAdded { .. }
            | Self::GroupRequirementRemoved { .. } => Affected::PYTHON,
            // Wheels follow where the packages that come of it bring other distributions.
            Self::ChannelsChanged { .. }
            | Self::ChannelPriorityChanged { .. }
            | Self::CondaDependencyAdded { .. }
            | Self::CondaDependencyRemoved { .. }
            | Self::CondaConstraintAdded { .. }
            | Self::CondaConstraintRemoved { .. }
            | Self::CondaExcludeNewerChanged { .. }
            | Self::VirtualPackageAdded { .. }
            | Self::VirtualPackageRemoved { .. }
            | Self::PythonNameAdded { .. }
            | Self::PythonNameRemoved { .. }
            | Self::GroupCondaAdded { .. }
            | Self::GroupCondaRemoved { .. } => Affected::CONDA,
            Self::CondaBaseChanged { .. }
            | Self::SnapshotChanged { .. }
            | Self::SecurityChanged { .. }
            | Self::PackageAdded { .. }
            | Self::PackageRemoved { .. }
            | Self::GroupPackageAdded { .. }
            | Self::GroupPackageRemoved { .. } => Affected::DEBIAN,
        }
    }
}

fn value<T: Display>(value: &Option<T>) -> String {
    let quoted = value.as_ref().map(|value| format!("`{value}`"));
    quoted.unwrap_or_else(|| "nothing".to_owned())
}

fn word<T: serde::Serialize>(word: &Option<T>) -> String {
    let word = word.as_ref().map(crate::lock::write::word);
    value(&word)
}

fn names(names: &[RegistryName]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.is_empty() {
        true => "nothing".to_owned(),
        false => quoted.join(", "),
    }
}
