//! What the lockfiles of this host need.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use envbox_lockfiles::base::fs::{create_dir_all, read, write_atomic};
use envbox_lockfiles::base::{Digest, FsError};

use crate::store::lease::entries;
use crate::store::{Object, Store, StoreError};

/// One recorded lockfile.
#[derive(Debug)]
pub(super) struct Root {
    /// The symbolic link that leads to it.
    link: PathBuf,
    /// The lockfile, and what it needed; nothing when it is gone.
    pub(super) needs: Option<(PathBuf, BTreeSet<PathBuf>)>,
}

impl Store {
    /// Records that the lockfile at `lockfile` needs everything in use by this handle, so that it
    /// is kept for as long as that file exists. A store that may only be read records nothing.
    ///
    /// # Errors
    /// Returns [`StoreError`] when the lockfile cannot be read or the record not be written.
    pub fn pin(&self, lockfile: &Path) -> Result<(), StoreError> {
        let lockfile = fs::canonicalize(lockfile).map_err(FsError::at("read", lockfile))?;
        let content = Digest::of(&read(&lockfile)?);
        let name = Digest::of(lockfile.as_os_str().as_bytes()).hex();
        let record = self.path("roots").join(&name);
        let mut needs: BTreeSet<String> = {
            let lease = self
                .inner
                .lease
                .lock()
                .expect("no holder of this lock panics");
            lease.objects.iter().map(Object::to_string).collect()
        };
        // The first run of a lock uses its packages, later ones only what was made of them. While
        // the lock stays the same, what it once needed it still needs.
        let old = fs::read_to_string(&record).unwrap_or_default();
        let mut lines = old.lines();
        if lines.next() == Some(&content.to_string()) {
            let known: BTreeSet<&str> = lines.collect();
            if needs.iter().all(|need| known.contains(need.as_str())) {
                return Ok(());
            }
            needs.extend(known.into_iter().map(str::to_owned));
        }
        let text = needs
            .iter()
            .fold(format!("{content}\n"), |text, need| text + need + "\n");
        match self.write_root(&lockfile, &record, &text) {
            Err(error) if error.is_unwritable() => Ok(()),
            other => other,
        }
    }

    /// Records that every document in `directory`, now and later, needs what it names by a digest.
    /// A store that may only be read records nothing.
    ///
    /// # Errors
    /// Returns [`StoreError`] when the directory cannot be found or the record not be written.
    pub fn pin_directory(&self, directory: &Path) -> Result<(), StoreError> {
        let directory = fs::canonicalize(directory).map_err(FsError::at("read", directory))?;
        let name = Digest::of(directory.as_os_str().as_bytes()).hex();
        let record = self.path("roots").join(&name);
        if fs::symlink_metadata(record.with_extension("link")).is_ok() {
            return Ok(());
        }
        match self.write_root(&directory, &record, "") {
            Err(error) if error.is_unwritable() => Ok(()),
            other => other,
        }
    }

    /// Forgets what the lockfile at `lockfile` needs, which is about to go: a copy that was made for
    /// a while. Whatever stays behind, the next `gc` removes.
    pub fn unpin(&self, lockfile: &Path) {
        if let Ok(lockfile) = fs::canonicalize(lockfile) {
            let name = Digest::of(lockfile.as_os_str().as_bytes()).hex();
            let record = self.path("roots").join(name);
            let _gone = fs::remove_file(record.with_extension("link"));
            let _gone = fs::remove_file(record);
        }
    }

    fn write_root(&self, lockfile: &Path, record: &Path, text: &str) -> Result<(), StoreError> {
        create_dir_all(&self.path("roots"))?;
        // The record first: a link whose record is missing would keep nothing.
        write_atomic(record, text.as_bytes())?;
        let link = record.with_extension("link");
        match std::os::unix::fs::symlink(lockfile, &link) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => Ok(other.map_err(FsError::at("write", &link))?),
        }
    }

    /// Returns all recorded lockfiles.
    pub(super) fn roots(&self) -> Result<Vec<Root>, StoreError> {
        let mut roots = Vec::new();
        for link in entries(&self.path("roots"))? {
            if link
                .extension()
                .is_some_and(|extension| extension == "link")
            {
                let needs = self.needs(&link)?;
                roots.push(Root { link, needs });
            }
        }
        Ok(roots)
    }

    fn needs(&self, link: &Path) -> Result<Option<(PathBuf, BTreeSet<PathBuf>)>, StoreError> {
        let lockfile = fs::read_link(link).map_err(FsError::at("read", link))?;
        let text = match read_whole(&lockfile) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            // On a disk that is not mounted, in a directory we may not search: it may come back.
            Err(_) => Vec::new(),
        };
        let record = fs::read_to_string(link.with_extension("")).unwrap_or_default();
        let mut needs: BTreeSet<PathBuf> = record.lines().skip(1).map(PathBuf::from).collect();
        // The lock may have changed since, and its new artifacts have been fetched.
        needs.extend(
            digests_in(&text)
                .into_iter()
                .flat_map(|digest| [Object::Blob(digest), Object::Snapshot(digest)])
                .map(Object::relative),
        );
        Ok(Some((lockfile, needs)))
    }
}

impl Root {
    /// Removes the record.
    pub(super) fn remove(&self) -> Result<(), StoreError> {
        for path in [self.link.clone(), self.link.with_extension("")] {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(FsError::at("remove", &path)(error).into());
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Reads a file, or all files that are right in a directory.
fn read_whole(path: &Path) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_dir() {
        return fs::read(path);
    }
    let mut text = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            // One that is gone meanwhile needs nothing any more.
            text.extend(fs::read(entry.path()).unwrap_or_default());
            text.push(b'\n');
        }
    }
    Ok(text)
}

/// Returns every SHA-256 in `text`, whatever the format: lockfiles of other versions, and those
/// edited by hand, keep their artifacts too.
pub(super) fn digests_in(text: &[u8]) -> BTreeSet<Digest> {
    text.split(|byte| !byte.is_ascii_hexdigit())
        .filter(|word| word.len() == 64)
        .filter_map(|word| Digest::from_hex(std::str::from_utf8(word).ok()?).ok())
        .collect()
}
