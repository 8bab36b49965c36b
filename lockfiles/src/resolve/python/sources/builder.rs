//! What builds sources. It is given in, because sandboxes are not this crate's work.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::base::{Digest, Explain, Kind, Platform};
use crate::lock::Lockfile;

/// A source archive on this machine, whose size and digest were computed from its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Its file name, which tells its format.
    pub file: String,
    /// Where it is.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// Its digest.
    pub digest: Digest,
}

/// What of a source archive can be read without running anything of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceDocuments {
    /// `PKG-INFO`.
    pub pkg_info: Option<Vec<u8>>,
    /// `pyproject.toml`.
    pub pyproject: Option<String>,
}

/// A build backend (PEP 517) and what it says that it needs (PEP 518).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// `build-system.requires`.
    pub requires: Vec<String>,
    /// `build-system.build-backend`: `module:object`.
    pub name: String,
    /// `build-system.backend-path`.
    pub path: Vec<String>,
}

/// A source to build, and what in.
#[derive(Debug, Clone)]
pub struct BuildTask {
    /// The source.
    pub source: SourceFile,
    /// The directory of the project in it.
    pub subdirectory: Option<String>,
    /// The backend.
    pub backend: Backend,
    /// The environment: base, interpreter and the wheels that the backend needs.
    pub environment: Lockfile,
}

/// A wheel that was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltWheel {
    /// Its file name.
    pub file: String,
    /// Where it is; kept for as long as its builder lives.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// Its digest.
    pub digest: Digest,
    /// Its `METADATA`.
    pub metadata: Vec<u8>,
}

/// A source of a repository, at one commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkout {
    /// The commit.
    pub commit: String,
    /// Its files, as one archive.
    pub source: SourceFile,
}

/// Builds sources on this host.
pub trait SourceBuilder: fmt::Debug + Send + Sync {
    /// Returns a directory where sources may be kept while this value lives.
    fn directory(&self) -> PathBuf;

    /// Reads what can be read without running anything.
    ///
    /// # Errors
    /// Returns [`BuildFailure`] when the archive is malformed.
    fn open(
        &self,
        source: &SourceFile,
        subdirectory: Option<&str>,
    ) -> Result<SourceDocuments, BuildFailure>;

    /// Asks the backend what else it needs: `get_requires_for_build_wheel`.
    ///
    /// # Errors
    /// Returns [`BuildFailure`] when the backend fails.
    fn requires(&self, task: &BuildTask) -> Result<Vec<String>, BuildFailure>;

    /// Builds a wheel.
    ///
    /// # Errors
    /// Returns [`BuildFailure`] when the backend fails.
    fn wheel(&self, task: &BuildTask) -> Result<BuiltWheel, BuildFailure>;

    /// Gets a commit of a repository of Git's: the one that `revision` names, else the newest of the
    /// branch that the repository puts first.
    ///
    /// # Errors
    /// Returns [`BuildFailure`] when Git does.
    fn checkout(&self, url: &str, revision: Option<&str>) -> Result<Checkout, BuildFailure>;

    /// Returns a wheel that was built before, if it is still there.
    fn built_before(&self, file: &str, digest: &Digest) -> Option<BuiltWheel>;
}

/// Everything that building needs beside the sources.
#[derive(Debug, Clone)]
pub struct Building {
    /// Who builds.
    pub builder: Arc<dyn SourceBuilder>,
    /// A lock without wheels: what builds run on.
    pub system: Lockfile,
    /// The platforms of the lock, with the version of the C library of each.
    pub platforms: Vec<(Platform, (u16, u16))>,
}

/// A source could not be built.
#[derive(Debug)]
pub struct BuildFailure {
    /// What failed.
    pub message: String,
    /// Whose turn it is.
    pub kind: Kind,
    /// Remedies.
    pub hints: Vec<String>,
    /// Why.
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

impl fmt::Display for BuildFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for BuildFailure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl Explain for BuildFailure {
    fn kind(&self) -> Kind {
        self.kind
    }

    fn hints(&self) -> Vec<String> {
        self.hints.clone()
    }
}
