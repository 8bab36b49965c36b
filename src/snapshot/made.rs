//! Files that steps created in a project.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use envbox_lockfiles::base::Digest;

use crate::snapshot::known::{place, replace};
use crate::snapshot::walk::bytes;
use crate::store::{EntryKind, Store, StoreError, escape, unescape};

/// Files that steps created in a project, as they left them. Noted in `index/snapshots/` of the store.
#[derive(Debug)]
pub struct Made {
    files: BTreeMap<PathBuf, Digest>,
    /// Of the notes as they were read.
    digest: Digest,
    new: bool,
}

impl Made {
    /// Reads what is noted. A line that is damaged is as good as none.
    pub fn load(store: &Store, project: &Path) -> Self {
        let text = fs::read_to_string(file(store, project)).unwrap_or_default();
        let parse = |line: &str| {
            let (digest, path) = line.strip_suffix(" .")?.split_once(' ')?;
            let path = std::ffi::OsString::from_vec(unescape(path)?);
            Some((path.into(), Digest::from_hex(digest).ok()?))
        };
        Self {
            files: text.lines().filter_map(parse).collect(),
            digest: Digest::of(text.as_bytes()),
            new: false,
        }
    }

    /// Returns the digest of the notes as they were read.
    pub(super) fn digest(&self) -> Digest {
        self.digest
    }

    /// Says whether a step created a file at `path`, whatever is there now.
    pub fn knows(&self, path: &Path) -> bool {
        self.files.contains_key(path)
    }

    /// Says whether a file is as a step left it.
    pub(super) fn has(&self, path: &Path, kind: &EntryKind) -> bool {
        let made = self.files.get(path);
        matches!((kind, made), (EntryKind::File { digest, .. }, Some(made)) if digest == made)
    }

    /// Notes that a step created a file.
    pub fn note(&mut self, path: &Path, digest: Digest) {
        let before = self.files.insert(path.to_path_buf(), digest);
        self.new |= before != Some(digest);
    }

    /// Writes what is noted, if that is new.
    ///
    /// # Errors
    /// Returns [`StoreError`] when the store can not be written.
    pub fn save(&self, store: &Store, project: &Path) -> Result<(), StoreError> {
        if !self.new {
            return Ok(());
        }
        let line = |(path, digest): (&PathBuf, &Digest)| {
            format!("{} {} .\n", digest.hex(), escape(bytes(path)))
        };
        let text: String = self.files.iter().map(line).collect();
        replace(&file(store, project), text.as_bytes())
    }
}

fn file(store: &Store, project: &Path) -> PathBuf {
    place(store, project).with_extension("made")
}
