//! Digests of files that were read before.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use envbox_lockfiles::base::fs::create_dir_all;
use envbox_lockfiles::base::{Digest, FsError};

use crate::snapshot::walk::{Stamp, bytes};
use crate::store::{Store, StoreError, escape, unescape};

/// Begins the file; raise the number when the rules change.
const HEAD: &str = "envbox snapshot index 1";

/// How long ago the last change of a file must be for its digest to be noted: a change in the same
/// tick of the file system's clock has the same time.
const SETTLED: i128 = 1_000_000_000;

/// What was found in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) digest: Digest,
    /// Whether it looks like a key or a password.
    pub(super) secret: bool,
}

/// What is known of a project's files.
#[derive(Debug, Default)]
pub(super) struct Known {
    entries: BTreeMap<PathBuf, (Stamp, Content)>,
}

impl Known {
    /// Reads what was noted. A file that is damaged is as good as none.
    pub(super) fn load(store: &Store, project: &Path) -> Self {
        Self::load_from(&place(store, project))
    }

    pub(super) fn load_from(place: &Path) -> Self {
        let text = fs::read_to_string(place).unwrap_or_default();
        let mut lines = text.lines();
        let mut known = Self::default();
        if lines.next() == Some(HEAD) {
            known.entries = lines.filter_map(parse).collect();
        }
        known
    }

    /// Returns the content of a file that is as it was when it was read.
    pub(super) fn content(&self, path: &Path, stamp: &Stamp) -> Option<Content> {
        let (known, content) = self.entries.get(path)?;
        (known == stamp).then_some(*content)
    }

    /// Notes the content of a file that was read after `now`, in nanoseconds since 1970.
    pub(super) fn note(&mut self, path: &Path, stamp: Stamp, content: Content, now: i128) {
        if stamp.changed.max(stamp.modified) + SETTLED < now {
            self.entries.insert(path.to_path_buf(), (stamp, content));
        }
    }

    /// Says whether `other` knows the same.
    pub(super) fn is_as(&self, other: &Self) -> bool {
        self.entries == other.entries
    }

    /// Writes what is known. Who reads it while the disk loses power finds less, never else: a line
    /// that is cut has no end.
    pub(super) fn save(&self, store: &Store, project: &Path) -> Result<(), StoreError> {
        self.save_to(&place(store, project))
    }

    pub(super) fn save_to(&self, place: &Path) -> Result<(), StoreError> {
        let mut text = format!("{HEAD}\n");
        for (path, (stamp, content)) in &self.entries {
            let Stamp {
                device,
                inode,
                size,
                modified,
                changed,
            } = stamp;
            let secret = u8::from(content.secret);
            let (digest, path) = (content.digest.hex(), escape(bytes(path)));
            writeln!(
                text,
                "{device} {inode} {size} {modified} {changed} {secret} {digest} {path} ."
            )
            .expect("writing to a String cannot fail");
        }
        replace(place, &text)
    }
}

/// Replaces a file of notes. Not synced: who finds less reads more.
pub(super) fn replace(place: &Path, text: &str) -> Result<(), StoreError> {
    let directory = place.parent().unwrap_or(Path::new("."));
    create_dir_all(directory)?;
    let write = || {
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.write_all(text.as_bytes())?;
        file.persist(place).map_err(|error| error.error)?;
        Ok(())
    };
    Ok(write().map_err(FsError::at("write", place))?)
}

/// Returns the file of notes on a project.
pub(super) fn place(store: &Store, project: &Path) -> PathBuf {
    let name = Digest::of(bytes(project)).hex();
    store.index().join("snapshots").join(name)
}

fn parse(line: &str) -> Option<(PathBuf, (Stamp, Content))> {
    let fields: Vec<&str> = line.split(' ').collect();
    let [
        device,
        inode,
        size,
        modified,
        changed,
        secret,
        digest,
        path,
        ".",
    ] = fields[..]
    else {
        return None;
    };
    let stamp = Stamp {
        device: device.parse().ok()?,
        inode: inode.parse().ok()?,
        size: size.parse().ok()?,
        modified: modified.parse().ok()?,
        changed: changed.parse().ok()?,
    };
    let content = Content {
        digest: Digest::from_hex(digest).ok()?,
        secret: secret == "1",
    };
    let path = std::ffi::OsString::from_vec(unescape(path)?);
    Some((path.into(), (stamp, content)))
}
