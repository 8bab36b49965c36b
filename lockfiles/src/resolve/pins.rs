//! What another tool's lockfile has chosen.

use std::fmt;
use std::str::FromStr as _;

use uv_normalize::{ExtraName, GroupName};
use uv_pep440::Version;
use uv_pep508::MarkerTree;

use crate::base::{CondaName, Digest, Platform, PythonName};
use crate::lock::LockedCondaPackage;

/// Choices that a resolution must come to, where it comes to a package at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pins {
    /// The distributions; one name may be there several times, with markers that exclude each other.
    pub python: Vec<PythonPin>,
    /// The conda packages.
    pub conda: Vec<CondaPin>,
    /// The environments that they were chosen for; none says nothing.
    pub environments: Vec<MarkerTree>,
    /// The extras that markers see (PEP 751).
    pub extras: Vec<ExtraName>,
    /// The dependency groups that markers see (PEP 751).
    pub groups: Vec<GroupName>,
}

impl Pins {
    /// Says whether nothing is pinned.
    pub fn is_empty(&self) -> bool {
        self.python.is_empty() && self.conda.is_empty()
    }

    /// Checks that the conda packages that were chosen for `platform` are those that are pinned, as
    /// far as they are pinned at all.
    ///
    /// # Errors
    /// Returns the first that is not.
    pub(in crate::resolve) fn check(
        &self,
        platform: Platform,
        packages: &[LockedCondaPackage],
    ) -> Result<(), OtherPackage> {
        for package in packages {
            let mut pins = self.conda.iter();
            let pin = pins.find(|pin| pin.platform == platform && pin.name == package.name);
            let artifact = &package.artifact;
            let (pinned, found) = match pin {
                Some(CondaPin {
                    digest: Some(digest),
                    ..
                }) if *digest != artifact.digest => {
                    (digest.to_string(), artifact.digest.to_string())
                }
                Some(CondaPin {
                    size: Some(size), ..
                }) if *size != artifact.size => {
                    (format!("{size} bytes"), format!("{} bytes", artifact.size))
                }
                _ => continue,
            };
            return Err(OtherPackage {
                file: artifact.file.clone(),
                pinned,
                found,
            });
        }
        Ok(())
    }
}

/// A channel has another package than the one that is pinned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the channel has {found} for `{file}`, and the other tool's lockfile has {pinned}")]
pub struct OtherPackage {
    /// The package's file.
    pub file: String,
    /// The digest or size that is pinned.
    pub pinned: String,
    /// That of the channel's.
    pub found: String,
}

/// A distribution that was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PythonPin {
    /// The project.
    pub name: PythonName,
    /// The PEP 440 version; empty when only the source knows it.
    pub version: String,
    /// Where the choice holds.
    pub marker: MarkerTree,
    /// Where its files come from.
    pub source: PinSource,
    /// The files that it may be; none leaves the choice to the registry.
    pub files: Vec<PinnedFile>,
}

impl PythonPin {
    /// Says whether this pin is for `version`; one that knows no version is for all.
    pub fn is_version(&self, version: &str) -> bool {
        let parse = Version::from_str;
        match (parse(&self.version), parse(version)) {
            (Ok(own), Ok(version)) => own == version,
            _ => true,
        }
    }
}

/// A conda package that was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CondaPin {
    /// The package.
    pub name: CondaName,
    /// The version as its channel writes it.
    pub version: String,
    /// The build string, where the lockfile has one.
    pub build: Option<String>,
    /// The platform.
    pub platform: Platform,
    /// `subdir/file`.
    pub file: String,
    /// Its size in bytes, where the lockfile has one.
    pub size: Option<u64>,
    /// Its digest, where the lockfile has one.
    pub digest: Option<Digest>,
}

impl CondaPin {
    /// Returns the MatchSpec that only the pinned package meets.
    pub fn constraint(&self) -> String {
        let build = self.build.as_ref().map(|build| format!(" {build}"));
        format!(
            "{} =={}{}",
            self.name,
            self.version,
            build.unwrap_or_default()
        )
    }
}

/// Where the files of a pinned distribution come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PinSource {
    /// An index, by its URL where the lockfile has one.
    Index(Option<String>),
    /// A wheel at a URL of its own.
    Url(String),
    /// Something that no lock can hold.
    Unkept(Unkept),
}

/// A file of a pinned distribution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedFile {
    /// Its name, where the lockfile has one.
    pub file: Option<String>,
    /// Its size in bytes, where the lockfile has one.
    pub size: Option<u64>,
    /// Its digest.
    pub digest: Digest,
}

/// Why no lock can hold a distribution that another tool's lockfile has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unkept {
    /// There is no wheel of it.
    SourceOnly,
    /// It comes from a repository of sources.
    Repository,
    /// It is a directory of the machine, perhaps installed so that it can be edited.
    Directory,
    /// It is a file of the machine.
    File,
}

impl fmt::Display for Unkept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SourceOnly => "there is no wheel of it",
            Self::Repository => "it comes from a repository of sources",
            Self::Directory => "it is a directory of the machine",
            Self::File => "it is a file of the machine",
        })
    }
}
