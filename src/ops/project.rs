//! A directory with a manifest.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use envbox_lockfiles::base::fs::read;
use envbox_lockfiles::base::{Context, Digest, RegistryName};
use envbox_lockfiles::lock::{Groups, Lockfile, Request, satisfies};
use envbox_lockfiles::manifest::{MANIFEST, Manifest, PYPROJECT};
use rustix::fs::{Access, access};

use crate::ops::Error;

/// The lockfile's name, beside the manifest.
pub const LOCKFILE: &str = "envbox.lock";

/// A project: its directory, what its manifest says, and the groups that are chosen of that.
#[derive(Debug, Clone)]
pub struct Project {
    directory: PathBuf,
    manifest: Manifest,
    manifest_file: PathBuf,
    groups: Groups,
    lockfile: PathBuf,
}

impl AsRef<Path> for Project {
    fn as_ref(&self) -> &Path {
        &self.directory
    }
}

impl Project {
    /// Reads the manifest of the project in `directory`. No group is chosen.
    ///
    /// # Errors
    /// Returns [`Error::Manifest`].
    pub fn open(directory: &Path) -> Result<Self, Error> {
        let (manifest, manifest_file) = Manifest::from_project(directory)?;
        Ok(Self::made(directory, manifest, manifest_file))
    }

    /// Reads the manifest in `file`, wherever that is, of the project in `directory`; one that is in
    /// the directory is not looked at. What `[data]`, `outputs` and commands name is in `directory`,
    /// what `requirements-from` names is beside the manifest.
    ///
    /// The lockfile is beside the manifest: `envbox.lock` for an `envbox.toml` or `pyproject.toml`,
    /// and `NAME.lock` for a `NAME.toml`, so that many can be in one directory.
    ///
    /// # Errors
    /// Returns [`Error::Manifest`].
    pub fn open_manifest(directory: &Path, file: &Path) -> Result<Self, Error> {
        let manifest = Manifest::from_file(file)?;
        let usual = [MANIFEST, PYPROJECT].map(OsStr::new);
        let lockfile = match file.file_name() {
            Some(name) if !usual.contains(&name) => file.with_extension("lock"),
            _ => file.with_file_name(LOCKFILE),
        };
        Ok(Self {
            lockfile,
            ..Self::made(directory, manifest, file.to_path_buf())
        })
    }

    /// Reads the header of the script at `file` (PEP 723), which is a manifest, and of a project
    /// without another: its directory is `directory`, which the script is in.
    ///
    /// The lockfile is beside the script, as `NAME.py.lock`, where uv has its own. Where it cannot
    /// be, or is uv's, it is in the store of `context`.
    ///
    /// # Errors
    /// Returns [`Error::Manifest`].
    pub fn open_script(context: &Context, directory: &Path, file: &Path) -> Result<Self, Error> {
        let manifest = Manifest::from_script(file)?;
        Ok(Self {
            lockfile: script_lockfile(context, file),
            ..Self::made(directory, manifest, file.to_path_buf())
        })
    }

    /// Returns a project whose manifest is not written yet.
    pub(in crate::ops) fn made(
        directory: &Path,
        manifest: Manifest,
        manifest_file: PathBuf,
    ) -> Self {
        Self {
            directory: directory.to_path_buf(),
            manifest,
            manifest_file,
            groups: Groups::None,
            lockfile: directory.join(LOCKFILE),
        }
    }

    /// Chooses groups of the manifest, whose packages environments of the project then have as well.
    ///
    /// # Errors
    /// Returns [`Error::Group`] when the manifest has no such group.
    pub fn with_groups(self, groups: Groups) -> Result<Self, Error> {
        groups.of(&Request::of(&self.manifest))?;
        Ok(Self { groups, ..self })
    }

    /// Returns the groups that are chosen.
    pub fn groups(&self) -> &Groups {
        &self.groups
    }

    /// Returns the project as it would be with another manifest in the same file.
    pub(in crate::ops) fn with_manifest(&self, manifest: Manifest) -> Self {
        Self {
            manifest,
            ..self.clone()
        }
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
        self.lockfile.clone()
    }

    /// Reads the lockfile, which must answer the manifest, and returns what it has for the chosen
    /// groups.
    ///
    /// # Errors
    /// As [`Project::whole_lock`].
    pub fn lock(&self) -> Result<Lockfile, Error> {
        self.chosen(&self.whole_lock()?)
    }

    /// Reads the lockfile, which must answer the manifest.
    ///
    /// # Errors
    /// Returns [`Error::Lock`] when there is none that can be read, [`Error::Stale`] when it does not
    /// answer.
    pub fn whole_lock(&self) -> Result<Lockfile, Error> {
        let lock = Lockfile::read(&self.lockfile())?;
        satisfies(&lock, &Request::of(self.manifest()))?;
        Ok(lock)
    }

    /// Returns what `lock` has for the chosen groups.
    pub(in crate::ops) fn chosen(&self, lock: &Lockfile) -> Result<Lockfile, Error> {
        Ok(lock.select(&self.groups)?)
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

/// Returns where the lockfile of the script at `file` is.
fn script_lockfile(context: &Context, file: &Path) -> PathBuf {
    let mut beside = file.as_os_str().to_owned();
    beside.push(".lock");
    let beside = PathBuf::from(beside);
    let ours = match read(&beside) {
        Ok(bytes) => !is_foreign(&bytes),
        Err(error) if error.source.kind() == std::io::ErrorKind::NotFound => {
            let directory = file.parent().filter(|path| !path.as_os_str().is_empty());
            access(directory.unwrap_or(Path::new(".")), Access::WRITE_OK).is_ok()
        }
        // Whoever reads the lock says why it cannot be read.
        Err(_) => true,
    };
    match ours {
        true => beside,
        false => {
            let name = Digest::of(file.as_os_str().as_bytes()).hex();
            let locks = context.store.join("index").join("scripts");
            locks.join(name).with_extension("lock")
        }
    }
}

/// Says whether a lockfile is another tool's: envbox's own has a seal.
fn is_foreign(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let table = text.parse::<toml::Table>();
    table.is_ok_and(|table| table.contains_key("version") && !table.contains_key("digest"))
}
