//! What lies below the names of registries: links to blobs, and what lists them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use envbox_lockfiles::base::fs::{create_dir_all, write_atomic};
use envbox_lockfiles::base::{Digest, PythonName, RegistryName};
use envbox_lockfiles::lock::{Artifact, LockedWheel, Lockfile, Origin};
use jiff::Timestamp;

use crate::layers::{CondaPackage, Limits, conda_index, wheel_metadata};
use crate::mirror::directory::{Added, MirrorDirectory, REGISTRIES, below};
use crate::mirror::repodata::Records;
use crate::mirror::{MirrorError, page, repodata};
use crate::store::Store;

/// When files came to their registries, by digest.
type Uploaded = BTreeMap<Digest, Timestamp>;

/// A file of a Python project: a wheel, or a source distribution.
pub type ProjectFile<'a> = (&'a PythonName, &'a Artifact);

impl MirrorDirectory {
    /// Returns the files of Python projects of which the mirror does not know when they were uploaded.
    pub fn undated<'a>(&self, lock: &'a Lockfile) -> Vec<ProjectFile<'a>> {
        let undated = |(project, artifact): &ProjectFile<'a>| {
            let place = place_of(lock, project, artifact).ok().flatten();
            place.is_some_and(|place| !self.root.join(suffixed(&place, page::UPLOADED)).exists())
        };
        project_files(lock).filter(undated).collect()
    }

    /// Places all that `lock` has of registries, and lists it there.
    pub(super) fn place_all(
        &self,
        lock: &Lockfile,
        store: &Store,
        uploaded: &Uploaded,
        added: &mut Added,
    ) -> Result<(), MirrorError> {
        let mut pages = BTreeSet::new();
        for wheel in &lock.python {
            pages.extend(self.place_wheel(lock, wheel, store, uploaded, added)?);
            let Some(from) = wheel.built_from.as_deref() else {
                continue;
            };
            pages.extend(self.place_source(lock, &wheel.name, &from.source, uploaded, added)?);
            for needed in &from.requires {
                pages.extend(self.place_wheel(lock, needed, store, uploaded, added)?);
            }
        }
        let archives = lock.interpreter.iter().flat_map(|python| &python.archives);
        let archives = archives.map(|archive| &archive.artifact);
        let packages = lock.debian.packages.iter().map(|package| &package.artifact);
        for artifact in archives.chain(packages) {
            if let Origin::Registry(registry) = &artifact.origin {
                let path = below(registry.as_str(), &artifact.file)?;
                self.place(&path, artifact.digest, added)?;
            }
        }
        self.place_conda(lock, store, added)?;
        // Last, so that they list nothing that is not there.
        for directory in pages {
            page::write(&self.root.join(directory))?;
        }
        Ok(())
    }

    fn place_wheel(
        &self,
        lock: &Lockfile,
        wheel: &LockedWheel,
        store: &Store,
        uploaded: &Uploaded,
        added: &mut Added,
    ) -> Result<BTreeSet<PathBuf>, MirrorError> {
        let LockedWheel { name, artifact, .. } = wheel;
        let Some(place) = place_of(lock, name, artifact)? else {
            return Ok(BTreeSet::new());
        };
        let metadata = metadata(&store.place(artifact.digest), name, artifact)?;
        let metadata = self.add_bytes(metadata.as_bytes(), added)?;
        self.place(&place, artifact.digest, added)?;
        // Another wheel of that name says other things.
        if self.leads_to(&place, artifact.digest) {
            self.place(&suffixed(&place, page::METADATA), metadata, added)?;
            self.date(&place, artifact, uploaded)?;
        }
        Ok(pages_of(&place))
    }

    /// Notes when a file came to its registry, if that is known.
    fn date(
        &self,
        place: &Path,
        artifact: &Artifact,
        uploaded: &Uploaded,
    ) -> Result<(), MirrorError> {
        if let Some(time) = uploaded.get(&artifact.digest) {
            let file = self.root.join(suffixed(place, page::UPLOADED));
            write_atomic(&file, format!("{time}\n").as_bytes())?;
        }
        Ok(())
    }

    /// Places conda packages in their channels and lists them there.
    fn place_conda(
        &self,
        lock: &Lockfile,
        store: &Store,
        added: &mut Added,
    ) -> Result<(), MirrorError> {
        let scratch = self.root.join("tmp");
        create_dir_all(&scratch)?;
        let mut channels: BTreeMap<&RegistryName, Records> = BTreeMap::new();
        for package in &lock.conda.packages {
            let artifact = &package.artifact;
            let Origin::Registry(channel) = &artifact.origin else {
                continue;
            };
            let place = below(channel.as_str(), &artifact.file)?;
            self.place(&place, artifact.digest, added)?;
            // The file that has the name may be another channel's.
            if !self.leads_to(&place, artifact.digest) {
                continue;
            }
            let blob = store.place(artifact.digest);
            let described = CondaPackage::of(package);
            let index = conda_index(&blob, &described, &scratch, Limits::default());
            let index = index.map_err(|source| MirrorError::Conda {
                file: artifact.file.clone(),
                source: Box::new(source),
            })?;
            repodata::add(channels.entry(channel).or_default(), artifact, index);
        }
        for (channel, mut records) in channels {
            // Solvers ask for these whether they have something or not.
            let subdirs = lock.request.platforms.iter().map(|one| one.conda_subdir());
            for subdir in subdirs.chain(["noarch"]) {
                records.entry(subdir.to_owned()).or_default();
            }
            let directory = Path::new(REGISTRIES).join(channel.as_str());
            repodata::write(&self.root.join(directory), records)?;
        }
        Ok(())
    }

    fn leads_to(&self, path: &Path, digest: Digest) -> bool {
        let target = fs::read_link(self.root.join(path));
        target.is_ok_and(|link| link.ends_with(digest.hex()))
    }

    /// Places a source distribution, which installers find on the project's page.
    fn place_source(
        &self,
        lock: &Lockfile,
        project: &PythonName,
        source: &Artifact,
        uploaded: &Uploaded,
        added: &mut Added,
    ) -> Result<BTreeSet<PathBuf>, MirrorError> {
        let Some(place) = place_of(lock, project, source)? else {
            return Ok(BTreeSet::new());
        };
        self.place(&place, source.digest, added)?;
        if self.leads_to(&place, source.digest) {
            self.date(&place, source, uploaded)?;
        }
        Ok(pages_of(&place))
    }
}

/// Returns the wheels, then the sources of those that are built and the wheels that build them.
fn project_files(lock: &Lockfile) -> impl Iterator<Item = ProjectFile<'_>> {
    lock.python.iter().flat_map(|wheel| {
        let from = wheel.built_from.as_deref();
        let source = from.map(|from| (&wheel.name, &from.source));
        let requires = from.into_iter().flat_map(|from| &from.requires);
        let requires = requires.map(|needed| (&needed.name, &needed.artifact));
        [(&wheel.name, &wheel.artifact)]
            .into_iter()
            .chain(source)
            .chain(requires)
    })
}

fn metadata(wheel: &Path, name: &PythonName, artifact: &Artifact) -> Result<String, MirrorError> {
    wheel_metadata(wheel, name).map_err(|source| MirrorError::Wheel {
        file: artifact.file.clone(),
        source: Box::new(source),
    })
}

/// Returns the directories whose pages list a file: of its project and of the registry, or the latter
/// alone.
fn pages_of(place: &Path) -> BTreeSet<PathBuf> {
    let directories = place.ancestors().skip(1);
    let directories = directories.take_while(|path| *path != Path::new(REGISTRIES));
    directories.map(Path::to_path_buf).collect()
}

/// Returns where a file of a project's is placed, unless it is of no registry: beside the project's
/// page, or beside its registry's when that is one of find-links.
fn place_of(
    lock: &Lockfile,
    project: &PythonName,
    artifact: &Artifact,
) -> Result<Option<PathBuf>, MirrorError> {
    let Origin::Registry(registry) = &artifact.origin else {
        return Ok(None);
    };
    let path = match lock.request.find_links.contains(registry) {
        true => PathBuf::from(&artifact.file),
        false => Path::new(project.as_str()).join(&artifact.file),
    };
    below(registry.as_str(), &path.to_string_lossy()).map(Some)
}

fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    PathBuf::from(path)
}
