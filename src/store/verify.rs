//! Checking that what is in the store is still what was put there.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use envbox_lockfiles::base::{Digest, FsError};
use serde::Serialize;

use crate::store::filelock::{self, Mode};
use crate::store::manifest::Known;
use crate::store::object::is_file;
use crate::store::tree::beside;
use crate::store::{Store, StoreError, TreeManifest};

/// What is wrong with one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum DamageReason {
    /// The bytes of a blob changed.
    Digest {
        /// The digest in its name.
        expected: String,
        /// The digest of its bytes.
        found: Digest,
    },
    /// A tree differs from its list.
    Entry {
        /// The first path in it that does.
        path: PathBuf,
    },
    /// A tree's list cannot be read.
    Manifest,
    /// The disk does not give the bytes.
    Unreadable {
        /// What it says.
        message: String,
    },
}

/// One damaged object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// Its path below the store's directory.
    pub object: PathBuf,
    /// What is wrong with it.
    #[serde(flatten)]
    pub reason: DamageReason,
}

/// What a check found.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct VerifyReport {
    /// How many blobs were read.
    pub blobs: u64,
    /// How many trees were compared to their lists.
    pub trees: u64,
    /// How many trees have no list to compare to.
    pub unlisted: u64,
    /// What is damaged, sorted by path.
    pub damaged: Vec<Damage>,
}

impl Store {
    /// Reads every blob and every tree that has a list, `jobs` side by side, and compares.
    ///
    /// # Errors
    /// Returns [`StoreError`] when the store's directories cannot be read; damage is no error.
    pub fn verify(&self, jobs: usize) -> Result<VerifyReport, StoreError> {
        // Keeps `gc` away: what it removed would be missed here, and its inodes be used again. A
        // store that may only be read is not collected.
        let lock = filelock::lock(&self.path("locks/store"), Mode::Shared);
        let _kept = match lock.map_err(StoreError::from) {
            Err(error) if error.is_unwritable() => None,
            other => Some(other?),
        };
        let objects = self.objects()?;
        let next = AtomicUsize::new(0);
        let known = Known::default();
        let report = Mutex::new(VerifyReport::default());
        thread::scope(|scope| {
            for _ in 0..jobs.max(1) {
                scope.spawn(|| {
                    while let Some(object) = objects.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let checked = self.check(object, &known);
                        report
                            .lock()
                            .expect("no holder panics")
                            .add(object, checked);
                    }
                });
            }
        });
        let mut report = report.into_inner().expect("no holder panicked");
        report.damaged.sort_by(|a, b| a.object.cmp(&b.object));
        Ok(report)
    }

    /// Removes damaged objects, so that they are fetched or built again when they are needed. Also
    /// those in use: nobody is served by wrong bytes.
    ///
    /// # Errors
    /// Returns [`StoreError`] when they cannot be removed.
    pub fn discard(&self, damaged: &[Damage]) -> Result<(), StoreError> {
        let _collecting = filelock::lock(&self.path("locks/store"), Mode::Exclusive)?;
        for damage in damaged {
            let place = self.path(&damage.object);
            if !is_file(&damage.object) {
                self.remove_finished(&place)?;
                continue;
            }
            match fs::remove_file(&place) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => other.map_err(FsError::at("remove", &place))?,
            }
        }
        Ok(())
    }

    fn check(&self, object: &Path, known: &Known) -> Checked {
        let path = self.path(object);
        let checked = if is_file(object) {
            check_blob(&path)
        } else {
            check_tree(&path, known)
        };
        match checked {
            // Collected meanwhile.
            Err(_) if !path.exists() => Checked::Gone,
            Err(error) => Checked::Damaged(DamageReason::Unreadable {
                message: error.source.to_string(),
            }),
            Ok(checked) => checked,
        }
    }
}

enum Checked {
    Blob,
    Tree,
    Unlisted,
    Gone,
    Damaged(DamageReason),
}

impl VerifyReport {
    fn add(&mut self, object: &Path, checked: Checked) {
        let blob = is_file(object);
        match checked {
            Checked::Gone => {}
            Checked::Unlisted => self.unlisted += 1,
            Checked::Blob => self.blobs += 1,
            Checked::Tree => self.trees += 1,
            Checked::Damaged(reason) => {
                *(if blob {
                    &mut self.blobs
                } else {
                    &mut self.trees
                }) += 1;
                self.damaged.push(Damage {
                    object: object.to_path_buf(),
                    reason,
                });
            }
        }
    }
}

fn check_blob(path: &Path) -> Result<Checked, FsError> {
    let read = || Digest::of_reader(File::open(path)?);
    let (found, _) = read().map_err(FsError::at("read", path))?;
    let expected = path.file_name().unwrap_or_default().to_string_lossy();
    Ok(if *expected == found.hex() {
        Checked::Blob
    } else {
        Checked::Damaged(DamageReason::Digest {
            expected: format!("sha256:{expected}"),
            found,
        })
    })
}

fn check_tree(path: &Path, known: &Known) -> Result<Checked, FsError> {
    if !beside(path, "done").exists() {
        // Being built, or never finished; nobody takes it for a tree.
        return Ok(Checked::Gone);
    }
    let list = beside(path, "manifest");
    let text = match fs::read_to_string(&list) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Checked::Unlisted),
        other => other.map_err(FsError::at("read", &list))?,
    };
    let Ok(recorded) = TreeManifest::parse(&text) else {
        return Ok(Checked::Damaged(DamageReason::Manifest));
    };
    let found = TreeManifest::with_known(path, known)?;
    Ok(match recorded.difference(&found) {
        None => Checked::Tree,
        Some(path) => Checked::Damaged(DamageReason::Entry { path }),
    })
}
