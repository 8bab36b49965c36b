//! Directories that DVC has under version control: an object lists the files, each an object itself.
//!
//! The object is JSON, `[{"md5": "…", "relpath": "a/b"}, …]`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Component, Path, PathBuf};

use envbox_lockfiles::base::{Digest, FsError};
use serde::Deserialize;

use crate::data::directory::{digest_of, files};
use crate::data::dvc::{ObjectName, Objects};
use crate::data::{DataError, MemberState};
use crate::snapshot::Digests;
use crate::store::{Store, TreeKey};

/// The largest listing that is read, in bytes: about a million files.
const SIZE: u64 = 256 << 20;

/// Begins what the key of a directory's tree is the digest of; raise the number when the rules change.
const KEY: &str = "data directory 1";

/// The files of a directory, as an object of DVC's lists them.
#[derive(Debug)]
pub(super) struct Listing {
    files: BTreeMap<PathBuf, ObjectName>,
}

/// A file, as the object has it.
#[derive(Deserialize)]
struct FileWire {
    md5: String,
    relpath: String,
}

impl Listing {
    /// Reads the listing `name` of the data `path`.
    ///
    /// # Errors
    /// Returns [`DataError::Pointer`] when it is not here, [`DataError::Listing`] when it is damaged,
    /// and [`DataError::Escape`] when it names something outside of the directory.
    pub(super) fn load(
        path: &Path,
        name: ObjectName,
        objects: &Objects,
    ) -> Result<Self, DataError> {
        let object = objects.listing(name).ok_or_else(|| DataError::Pointer {
            path: path.to_path_buf(),
            tool: "DVC",
            remedy: "dvc pull",
        })?;
        let mut bytes = Vec::new();
        let read = File::open(&object).and_then(|file| file.take(SIZE + 1).read_to_end(&mut bytes));
        read.map_err(FsError::at("read", &object))?;
        let damaged = |why: &'static str| DataError::Listing {
            path: path.to_path_buf(),
            object: object.clone(),
            why,
        };
        if bytes.len() as u64 > SIZE {
            return Err(damaged("is larger than 256 MiB"));
        }
        if !name.is_of(&bytes) {
            return Err(damaged("is not what its name says"));
        }
        let wire: Vec<FileWire> =
            serde_json::from_slice(&bytes).map_err(|_| damaged("is no list of files"))?;
        let mut files = BTreeMap::new();
        for FileWire { md5, relpath } in wire {
            let name = ObjectName::parse(&md5).ok_or_else(|| damaged("has a file without MD5"))?;
            let file = PathBuf::from(&relpath);
            let inside = file
                .components()
                .all(|part| matches!(part, Component::Normal(_)));
            if !inside || relpath.is_empty() || relpath.contains('\0') {
                let path = path.to_path_buf();
                return Err(DataError::Escape { path, entry: file });
            }
            if files.insert(file, name).is_some() {
                return Err(damaged("has a file twice"));
            }
        }
        let listing = Self { files };
        match listing.has_file_below_file() {
            true => Err(damaged("has a file below another")),
            false => Ok(listing),
        }
    }

    fn has_file_below_file(&self) -> bool {
        let below = |file: &PathBuf| {
            let mut parents = file.ancestors().skip(1);
            parents.any(|parent| self.files.contains_key(parent))
        };
        self.files.keys().any(below)
    }

    /// Returns the directory in the store that has these files, and its digest: that of
    /// [`directory_digest`](crate::data::directory_digest).
    ///
    /// # Errors
    /// Returns [`DataError::Member`] for an object that is not here or is damaged.
    pub(super) fn lay_out(
        &self,
        store: &Store,
        digests: &Digests,
        path: &Path,
        objects: &Objects,
    ) -> Result<(PathBuf, Digest), DataError> {
        let member = |file: &Path, state| DataError::Member {
            path: path.to_path_buf(),
            file: file.to_path_buf(),
            state,
        };
        let mut found = Vec::with_capacity(self.files.len());
        for (file, name) in &self.files {
            let object = objects.file(*name);
            let object = object.ok_or_else(|| member(file, MemberState::NoObject))?;
            found.push((file, name, digests.of(&object)?.0, object));
        }
        let lines = found
            .iter()
            .map(|(file, _, digest, _)| (Path::new(".").join(file), *digest));
        let digest = digest_of(lines.collect());
        let key = TreeKey::Package(Digest::of(format!("{KEY}\n{digest}\n").as_bytes()));
        let tree = store.tree(key, |directory| {
            for (file, name, digest, object) in &found {
                let to = directory.join(file);
                if let Some(parent) = to.parent() {
                    fs::create_dir_all(parent).map_err(FsError::at("create", parent))?;
                }
                fs::copy(object, &to).map_err(FsError::at("write", &to))?;
                let read = || {
                    Ok((
                        Digest::of_reader(File::open(&to)?)?.0,
                        name.is_of_file(&to)?,
                    ))
                };
                let (copied, named) = read().map_err(FsError::at("read", &to))?;
                if copied != *digest || !named {
                    return Err(member(file, MemberState::Damaged));
                }
            }
            Ok::<(), DataError>(())
        })?;
        let place = tree.path();
        let place = fs::canonicalize(&place).map_err(FsError::at("read", &place))?;
        Ok((place, digest))
    }

    /// Returns the first file of `directory` that is not as listed.
    pub(super) fn difference(
        &self,
        directory: &Path,
        path: &Path,
    ) -> Result<Option<(PathBuf, MemberState)>, DataError> {
        let there = files(directory, path)?;
        for (file, name) in &self.files {
            let place = directory.join(file);
            let state = match place.is_file() {
                false => MemberState::Missing,
                true => match name
                    .is_of_file(&place)
                    .map_err(FsError::at("read", &place))?
                {
                    true => continue,
                    false => MemberState::Changed,
                },
            };
            return Ok(Some((file.clone(), state)));
        }
        let extra = there
            .into_iter()
            .find(|file| !self.files.contains_key(file));
        Ok(extra.map(|file| (file, MemberState::Extra)))
    }
}
