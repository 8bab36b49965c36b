//! A directory with blobs by digest and registries of links to them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Component, Path, PathBuf};

use envbox_lockfiles::base::fs::{create_dir_all, write_atomic};
use envbox_lockfiles::base::{Digest, FsError, Hasher, PythonName};
use envbox_lockfiles::lock::{Artifact, LockedWheel, Lockfile, Origin};
use jiff::Timestamp;
use serde::Serialize;

use crate::layers::wheel_metadata;
use crate::mirror::{MirrorError, page};
use crate::store::Store;

/// The layout that this module writes.
const VERSION: &str = "1\n";

/// Where files are, by digest; as in an OCI layout, so that layers are found there too.
const BLOBS: &str = "blobs/sha256";

/// Where registries are.
pub(super) const REGISTRIES: &str = "registries";

/// What a new file system and an interrupted first run leave in an otherwise empty directory.
const NOTHING: [&str; 2] = ["lost+found", "version"];

/// A mirror, locked against others who write to it.
#[derive(Debug)]
pub struct MirrorDirectory {
    pub(super) root: PathBuf,
    _lock: File,
}

/// What a lock brought.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Added {
    /// How many files came.
    pub files: usize,
    /// Their size in bytes.
    pub bytes: u64,
    /// The damaged files that were replaced, by digest.
    pub repaired: Vec<Digest>,
    /// The files, as `REGISTRY/PATH`, in whose place the mirror has others of the same name, from
    /// another registry that a lock calls the same. They are found by their digests alone.
    pub shadowed: BTreeSet<String>,
}

impl Added {
    /// Adds what else came.
    pub fn extend(&mut self, other: Self) {
        self.files += other.files;
        self.bytes += other.bytes;
        self.repaired.extend(other.repaired);
        self.shadowed.extend(other.shadowed);
    }
}

impl MirrorDirectory {
    /// Opens or begins a mirror; waits while another process writes to it.
    ///
    /// # Errors
    /// Returns [`MirrorError`] when the directory holds something else, or cannot be written.
    pub fn open(root: &Path) -> Result<Self, MirrorError> {
        create_dir_all(root)?;
        let version = root.join("version");
        if !version.exists() {
            require_empty(root)?;
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut lock = options
            .open(&version)
            .map_err(FsError::at("write", &version))?;
        lock.lock().map_err(FsError::at("lock", &version))?;
        let mut found = String::new();
        lock.read_to_string(&mut found)
            .map_err(FsError::at("read", &version))?;
        if found.is_empty() {
            let written = lock.write_all(VERSION.as_bytes());
            written.map_err(FsError::at("write", &version))?;
        } else if found != VERSION {
            return Err(MirrorError::Version {
                directory: root.to_path_buf(),
                found: found.trim_end().to_owned(),
            });
        }
        let mirror = Self {
            root: root.to_path_buf(),
            _lock: lock,
        };
        mirror.clear()?;
        Ok(mirror)
    }

    /// Adds all artifacts of `lock`, which `store` has. What is there is read and compared, and
    /// replaced where it is damaged. `uploaded` says when wheels came to their registries.
    ///
    /// # Errors
    /// Returns [`MirrorError`]; what was added by then stays.
    pub fn add_lock(
        &self,
        lock: &Lockfile,
        store: &Store,
        uploaded: &BTreeMap<Digest, Timestamp>,
    ) -> Result<Added, MirrorError> {
        let mut added = Added::default();
        for artifact in lock.artifacts() {
            self.add_file(&store.place(artifact.digest), artifact, &mut added)?;
        }
        let mut pages = BTreeSet::new();
        for wheel in &lock.python {
            let time = uploaded.get(&wheel.artifact.digest).copied();
            pages.extend(self.place_wheel(lock, wheel, store, time, &mut added)?);
        }
        let archives = lock.interpreter.iter().flat_map(|python| &python.archives);
        let archives = archives.map(|archive| &archive.artifact);
        let packages = lock.debian.packages.iter().map(|package| &package.artifact);
        let conda = lock.conda.packages.iter().map(|package| &package.artifact);
        for artifact in archives.chain(packages).chain(conda) {
            if let Origin::Registry(registry) = &artifact.origin {
                let path = below(registry.as_str(), &artifact.file)?;
                self.place(&path, artifact.digest, &mut added)?;
            }
        }
        // Last, so that they list nothing that is not there.
        for directory in pages {
            page::write(&self.root.join(directory))?;
        }
        Ok(added)
    }

    /// Says that all of `lock` is here.
    ///
    /// # Errors
    /// Returns [`MirrorError::Fs`].
    pub fn finish(&self, lock: &Lockfile) -> Result<(), MirrorError> {
        let locks = self.root.join("locks");
        create_dir_all(&locks)?;
        let file = locks.join(format!("{}.lock", lock.digest().hex()));
        write_atomic(&file, &lock.to_bytes())?;
        self.clear()
    }

    /// Makes `path` below the mirror lead to the blob.
    pub(super) fn place(
        &self,
        path: &Path,
        digest: Digest,
        added: &mut Added,
    ) -> Result<(), MirrorError> {
        let target = from(path).join(BLOBS).join(digest.hex());
        if !self.link(path, &target)? {
            let shown = path.strip_prefix(REGISTRIES).unwrap_or(path);
            added.shadowed.insert(shown.display().to_string());
        }
        Ok(())
    }

    /// Makes `path` below the mirror lead to `target`, unless something else is there; says whether
    /// it does.
    pub(super) fn link(&self, path: &Path, target: &Path) -> Result<bool, MirrorError> {
        let place = self.root.join(path);
        if let Some(directory) = place.parent() {
            create_dir_all(directory)?;
        }
        match symlink(target, &place) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Ok(fs::read_link(&place).is_ok_and(|found| found == target))
            }
            other => Ok(other.map(|()| true).map_err(FsError::at("write", &place))?),
        }
    }

    /// Makes `path` below the mirror lead to `target`, whatever it led to.
    pub(super) fn relink(&self, path: &Path, target: &Path) -> Result<(), MirrorError> {
        let (place, new) = (self.root.join(path), self.root.join("tmp/link"));
        for directory in [&place, &new].into_iter().filter_map(|path| path.parent()) {
            create_dir_all(directory)?;
        }
        symlink(target, &new)
            .and_then(|()| fs::rename(&new, &place))
            .map_err(FsError::at("write", &place))?;
        Ok(())
    }

    /// Adds bytes; returns their digest.
    pub(super) fn add_bytes(&self, bytes: &[u8], added: &mut Added) -> Result<Digest, MirrorError> {
        let (digest, size) = (Digest::of(bytes), bytes.len() as u64);
        self.add(Path::new("memory"), || Ok(bytes), (digest, size), added)?;
        Ok(digest)
    }

    fn add_file(
        &self,
        file: &Path,
        artifact: &Artifact,
        added: &mut Added,
    ) -> Result<(), MirrorError> {
        let open = || File::open(file).map_err(FsError::at("read", file));
        self.add(file, open, (artifact.digest, artifact.size), added)
    }

    /// Adds what `open` gives, which is called `file` in messages.
    fn add<R: Read>(
        &self,
        file: &Path,
        open: impl FnOnce() -> Result<R, FsError>,
        (digest, size): (Digest, u64),
        added: &mut Added,
    ) -> Result<(), MirrorError> {
        let place = self.root.join(BLOBS).join(digest.hex());
        let old = match File::open(&place) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            other => {
                let found = other.and_then(Digest::of_reader);
                Some(found.map_err(FsError::at("read", &place))?)
            }
        };
        if old == Some((digest, size)) {
            return Ok(());
        }
        let found = self.copy(open()?, &place, digest)?;
        if found != digest {
            return Err(MirrorError::Damaged {
                file: file.to_path_buf(),
                expected: digest,
                found,
            });
        }
        if old.is_some() {
            added.repaired.push(digest);
        }
        added.files += 1;
        added.bytes += size;
        Ok(())
    }

    /// Copies to `place` if the digest is right. Returns what it is.
    fn copy(
        &self,
        mut from: impl Read,
        place: &Path,
        expected: Digest,
    ) -> Result<Digest, MirrorError> {
        let tmp = self.root.join("tmp");
        for directory in [place.parent(), Some(&tmp)].into_iter().flatten() {
            create_dir_all(directory)?;
        }
        let new = tmp.join(expected.hex());
        let mut copy = || -> io::Result<Digest> {
            let mut to = File::create(&new)?;
            let (mut hasher, mut buffer) = (Hasher::new(), vec![0; 128 * 1024]);
            loop {
                match from.read(&mut buffer)? {
                    0 => break,
                    read => {
                        hasher.update(&buffer[..read]);
                        to.write_all(&buffer[..read])?;
                    }
                }
            }
            let (found, _) = hasher.finish();
            if found == expected {
                // A server reads it, as whoever that runs as.
                to.set_permissions(Permissions::from_mode(0o644))?;
                // Before the rename, or a power cut could leave a name without its bytes.
                to.sync_all()?;
                fs::rename(&new, place)?;
            }
            Ok(found)
        };
        let copied = copy();
        if !copied.as_ref().is_ok_and(|found| *found == expected) {
            // What cannot be removed now is removed by the next run, as is what a killed one leaves.
            drop(fs::remove_file(&new));
        }
        Ok(copied.map_err(FsError::at("write", place))?)
    }

    /// Returns the wheels of `lock` of which the mirror does not know when they were uploaded.
    pub fn undated<'a>(&self, lock: &'a Lockfile) -> Vec<&'a LockedWheel> {
        let undated = |wheel: &&LockedWheel| {
            let place = place_of(lock, wheel).ok().flatten();
            place.is_some_and(|place| !self.root.join(suffixed(&place, page::UPLOADED)).exists())
        };
        lock.python.iter().filter(undated).collect()
    }

    fn place_wheel(
        &self,
        lock: &Lockfile,
        wheel: &LockedWheel,
        store: &Store,
        uploaded: Option<Timestamp>,
        added: &mut Added,
    ) -> Result<BTreeSet<PathBuf>, MirrorError> {
        let LockedWheel { name, artifact, .. } = wheel;
        let Some(place) = place_of(lock, wheel)? else {
            return Ok(BTreeSet::new());
        };
        let metadata = metadata(&store.place(artifact.digest), name, artifact)?;
        let metadata = self.add_bytes(metadata.as_bytes(), added)?;
        self.place(&place, artifact.digest, added)?;
        // Another wheel of that name says other things.
        let shown = fs::read_link(self.root.join(&place));
        if shown.is_ok_and(|link| link.ends_with(artifact.digest.hex())) {
            self.place(&suffixed(&place, page::METADATA), metadata, added)?;
            if let Some(time) = uploaded {
                let file = self.root.join(suffixed(&place, page::UPLOADED));
                write_atomic(&file, format!("{time}\n").as_bytes())?;
            }
        }
        // The page of the project and that of the registry, or the latter alone.
        let directories = place.ancestors().skip(1);
        let directories = directories.take_while(|path| *path != Path::new(REGISTRIES));
        Ok(directories.map(Path::to_path_buf).collect())
    }

    /// Removes what is left of copies under way: nobody else writes.
    fn clear(&self) -> Result<(), MirrorError> {
        let tmp = self.root.join("tmp");
        match fs::remove_dir_all(&tmp) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => Ok(other.map_err(FsError::at("remove", &tmp))?),
        }
    }
}

fn metadata(wheel: &Path, name: &PythonName, artifact: &Artifact) -> Result<String, MirrorError> {
    wheel_metadata(wheel, name).map_err(|source| MirrorError::Wheel {
        file: artifact.file.clone(),
        source: Box::new(source),
    })
}

/// Returns where a wheel is placed, unless it is of no registry: beside its project's page, or beside
/// its registry's when that is one of find-links.
fn place_of(lock: &Lockfile, wheel: &LockedWheel) -> Result<Option<PathBuf>, MirrorError> {
    let LockedWheel { name, artifact, .. } = wheel;
    let Origin::Registry(registry) = &artifact.origin else {
        return Ok(None);
    };
    let path = match lock.request.find_links.contains(registry) {
        true => PathBuf::from(&artifact.file),
        false => Path::new(name.as_str()).join(&artifact.file),
    };
    below(registry.as_str(), &path.to_string_lossy()).map(Some)
}

fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    PathBuf::from(path)
}

fn require_empty(root: &Path) -> Result<(), MirrorError> {
    for entry in fs::read_dir(root).map_err(FsError::at("read", root))? {
        let entry = entry.map_err(FsError::at("read", root))?;
        if !NOTHING.iter().any(|name| entry.file_name() == *name) {
            return Err(MirrorError::NotAMirror {
                directory: root.to_path_buf(),
            });
        }
    }
    Ok(())
}

/// Returns the path of a registry's file below the mirror.
pub(super) fn below(registry: &str, file: &str) -> Result<PathBuf, MirrorError> {
    let path = Path::new(file);
    let plain = path
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    if !plain || file.is_empty() {
        return Err(MirrorError::Path {
            registry: registry.to_owned(),
            file: file.to_owned(),
        });
    }
    Ok(Path::new(REGISTRIES).join(registry).join(path))
}

/// Returns the way from the directory of `path` to the mirror's root.
pub(super) fn from(path: &Path) -> PathBuf {
    let depth = path.components().count().saturating_sub(1);
    std::iter::repeat_n("..", depth).collect()
}
