//! What another tool's lockfile says, as far as envbox has a word for it.

use std::fmt;

use crate::foreign::Outline;
use crate::resolve::{Pins, Unkept};

/// What another tool's lockfile says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignLock {
    /// Which tool's.
    pub format: Format,
    /// What a manifest for it says.
    pub outline: Outline,
    /// What it has chosen.
    pub pins: Pins,
    /// What is in it and neither in the outline nor in the pins.
    pub left_out: Vec<LeftOut>,
}

/// The part of a lockfile that is wanted, where it has several.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    /// Extras of the project.
    pub extras: Vec<String>,
    /// Dependency groups of the project.
    pub groups: Vec<String>,
    /// The environment.
    pub environment: Option<String>,
}

/// A kind of lockfile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// `pylock.toml` (PEP 751).
    Pylock,
    /// `uv.lock`.
    UvLock,
    /// `pixi.lock`.
    PixiLock,
    /// `conda-lock.yml` (CEP 37).
    CondaLock,
    /// A requirements file.
    Requirements,
    /// `environment.yml`, which pins nothing.
    EnvironmentYml,
    /// `pixi.toml`, which pins nothing.
    PixiToml,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pylock => "PEP 751 lockfile",
            Self::UvLock => "uv lockfile",
            Self::PixiLock => "pixi lockfile",
            Self::CondaLock => "conda-lock lockfile",
            Self::Requirements => "requirements file",
            Self::EnvironmentYml => "conda environment file",
            Self::PixiToml => "pixi manifest",
        })
    }
}

/// Something of another tool's file that is not kept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct LeftOut {
    /// What: a package with its version, a group, an extra, an environment, a key.
    pub what: String,
    /// Why.
    pub reason: LeftOutReason,
}

/// Why something is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LeftOutReason {
    /// It is a part that was not asked for.
    NotChosen,
    /// The environment does not need it: it is for another platform, Python, extra or group.
    NotNeeded,
    /// envbox has no environments for that platform.
    OtherPlatform,
    /// Its digest is none that envbox checks; the index's is taken.
    OtherDigest,
    /// There is no wheel of it.
    SourceOnly,
    /// It comes from a repository of sources.
    Repository,
    /// It lies in the project, where steps see it: what it requires is taken.
    Member,
    /// It is a directory of the machine.
    Directory,
    /// It is a file of the machine.
    File,
    /// envbox has nothing that corresponds to it.
    NoCounterpart,
}

impl From<Unkept> for LeftOutReason {
    fn from(unkept: Unkept) -> Self {
        match unkept {
            Unkept::SourceOnly => Self::SourceOnly,
            Unkept::Repository => Self::Repository,
            Unkept::Directory => Self::Directory,
            Unkept::File => Self::File,
        }
    }
}

impl fmt::Display for LeftOutReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotChosen => "not asked for",
            Self::NotNeeded => "for another platform, Python, extra or group",
            Self::OtherPlatform => "no platform of envbox's",
            Self::OtherDigest => "not SHA-256: the index's digest is taken",
            Self::SourceOnly => "there is no wheel of it",
            Self::Repository => {
                "of a repository of sources: `no-build = false` takes `name @ git+URL@COMMIT`"
            }
            Self::Member => "in the project itself; what it requires is taken",
            Self::Directory => "a directory of the machine",
            Self::File => "a file of the machine",
            Self::NoCounterpart => "envbox has nothing like it",
        })
    }
}
