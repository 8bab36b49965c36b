//! A directory with a manifest.

use std::path::{Path, PathBuf};

use envbox_lockfiles::base::{Context, RegistryName};
use envbox_lockfiles::lock::{Lockfile, Request, satisfies};
use envbox_lockfiles::manifest::Manifest;

use crate::ops::Error;

/// The lockfile's name, beside the manifest.
pub const LOCKFILE: &str = "envbox.lock";

/// A project: its directory and what its manifest says.
#[derive(Debug, Clone)]
pub struct Project {
    directory: PathBuf,
    manifest: Manifest,
    manifest_file: PathBuf,
}

impl AsRef<Path> for Project {
    fn as_ref(&self) -> &Path {
        &self.directory
    }
}

impl Project {
    /// Reads the manifest of the project in `directory`.
    ///
    /// # Errors
    /// Returns [`Error::Manifest`].
    pub fn open(directory: &Path) -> Result<Self, Error> {
        let (manifest, manifest_file) = Manifest::from_project(directory)?;
        Ok(Self {
            directory: directory.to_path_buf(),
            manifest,
            manifest_file,
        })
    }

    /// Returns the directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns what the manifest says.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Returns the file that holds the manifest.
    pub fn manifest_file(&self) -> &Path {
        &self.manifest_file
    }

    /// Returns where the lockfile is or will be.
    pub fn lockfile(&self) -> PathBuf {
        self.directory.join(LOCKFILE)
    }

    /// Reads the lockfile, which must answer the manifest.
    ///
    /// # Errors
    /// Returns [`Error::Lock`] when there is none that can be read, [`Error::Stale`] when it does not
    /// answer.
    pub fn lock(&self) -> Result<Lockfile, Error> {
        let lock = Lockfile::read(&self.lockfile())?;
        satisfies(&lock, &Request::of(self.manifest()))?;
        Ok(lock)
    }

    /// Returns `context` with the places that the manifest gives to registries. What the user
    /// configured stands: a mirror at hand serves every project.
    pub fn context(&self, context: &Context) -> Context {
        let mut context = context.clone();
        let mut place = |name: &str, url: &str| {
            let name: RegistryName = name
                .parse()
                .expect("registry names are checked by the manifest");
            context
                .registries
                .entry(name)
                .or_insert_with(|| url.to_owned());
        };
        let (python, debian) = (&self.manifest.python, &self.manifest.debian);
        let single = [
            ("pypi", &python.index_url),
            ("debian", &debian.mirror),
            ("debian-security", &debian.security_mirror),
        ];
        for (name, url) in single {
            if let Some(url) = url {
                place(name, url);
            }
        }
        if let Some(base) = &self.manifest.base
            && let Some(url) = &base.place
        {
            place(base.reference.registry.as_str(), url);
        }
        for channel in self.manifest.conda.iter().flat_map(|conda| &conda.channels) {
            if let Some(url) = &channel.url {
                place(channel.name.as_str(), url);
            }
        }
        for named in python.extra_indexes.iter().chain(&python.find_links) {
            place(named.name.as_str(), &named.url);
        }
        context
    }
}
