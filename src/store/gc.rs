//! Collecting garbage.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use envbox_lockfiles::base::FsError;
use envbox_lockfiles::base::fs::create_dir_all;
use serde::Serialize;

use crate::store::filelock::{self, Mode};
use crate::store::lease::{entries, read_leases};
use crate::store::object::{SNAPSHOTS, is_file};
use crate::store::roots::digests_in;
use crate::store::tree::{beside, move_directory};
use crate::store::usage::Links;
use crate::store::{Object, Store, StoreError, remove_tree};

/// Whether to remove, or only to say what would be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GcMode {
    /// Removes.
    Remove,
    /// Changes nothing.
    DryRun,
}

/// What `gc` removed, or would remove.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct GcReport {
    /// Paths of blobs and trees below the store's directory, sorted.
    pub removed: Vec<String>,
    /// How much space that frees on the disk. Files that a tree in use shares do not count.
    pub freed_bytes: u64,
    /// How many blobs and trees are kept.
    pub kept: u64,
    /// Lockfiles that keep something.
    pub lockfiles: Vec<PathBuf>,
    /// How many recorded lockfiles are gone, and keep nothing any more.
    pub expired: u64,
}

impl Store {
    /// Removes what no lockfile on record and no living process needs, and what killed processes
    /// left behind. Waits for no running step.
    ///
    /// # Errors
    /// Returns [`StoreError`]; what was not removed then is in place and whole.
    pub fn gc(&self, mode: GcMode) -> Result<GcReport, StoreError> {
        let mut report = GcReport::default();
        {
            // From the reading of the leases to the last rename, nobody may begin to use a thing.
            let _collecting = filelock::lock(&self.path("locks/store"), Mode::Exclusive)?;
            let keep = self.kept(mode, &mut report)?;
            let mut links = Links::default();
            for object in self.objects()? {
                if keep.contains(&object) {
                    report.kept += 1;
                    continue;
                }
                links.add(&self.path(&object))?;
                report.removed.push(object.to_string_lossy().into_owned());
                if mode == GcMode::Remove {
                    self.throw_away(&object)?;
                }
            }
            report.freed_bytes = links.bytes_with_all_links();
        }
        if mode == GcMode::Remove {
            self.sweep()?;
        }
        Ok(report)
    }

    fn kept(&self, mode: GcMode, report: &mut GcReport) -> Result<BTreeSet<PathBuf>, StoreError> {
        let (mut keep, dead) = read_leases(&self.path("leases"))?;
        if mode == GcMode::Remove {
            for lease in dead {
                fs::remove_file(&lease).map_err(FsError::at("remove", &lease))?;
            }
        }
        for root in self.roots()? {
            if let Some((lockfile, needs)) = root.needs {
                keep.extend(needs);
                report.lockfiles.push(lockfile);
                continue;
            }
            report.expired += 1;
            if mode == GcMode::Remove {
                root.remove()?;
            }
        }
        report.lockfiles.sort();
        self.keep_snapshots(&mut keep)?;
        Ok(keep)
    }

    /// Adds the blobs that kept snapshots name.
    fn keep_snapshots(&self, keep: &mut BTreeSet<PathBuf>) -> Result<(), StoreError> {
        for list in entries(&self.path(SNAPSHOTS))? {
            let name = Path::new(SNAPSHOTS).join(list.file_name().unwrap_or_default());
            if keep.contains(&name) {
                let text = fs::read(&list).map_err(FsError::at("read", &list))?;
                let blobs = digests_in(&text).into_iter().map(Object::Blob);
                keep.extend(blobs.map(Object::relative));
            }
        }
        Ok(())
    }

    /// Returns all blobs and trees, as paths below the store's directory, sorted.
    pub(super) fn objects(&self) -> Result<Vec<PathBuf>, StoreError> {
        let mut objects = Vec::new();
        for shard in entries(&self.path("blobs/sha256"))? {
            objects.extend(entries(&shard)?);
        }
        objects.extend(entries(&self.path(SNAPSHOTS))?);
        for kind in ["rootfs", "trees"] {
            let directory = entries(&self.path(kind))?.into_iter();
            objects.extend(directory.filter(|path| path.extension().is_none()));
        }
        let relative = |path: &PathBuf| path.strip_prefix(self.directory()).map(Path::to_path_buf);
        Ok(objects
            .iter()
            .filter_map(|path| relative(path).ok())
            .collect())
    }

    /// Takes one object out of its place; a tree's files are removed later, by [`Store::sweep`],
    /// when nobody has to wait.
    fn throw_away(&self, object: &Path) -> Result<(), StoreError> {
        let place = self.path(object);
        if is_file(object) {
            return Ok(fs::remove_file(&place).map_err(FsError::at("remove", &place))?);
        }
        let done = beside(&place, "done");
        if done.exists() {
            fs::remove_file(&done).map_err(FsError::at("remove", &done))?;
        }
        let trash = self.path("tmp/trash");
        create_dir_all(&trash)?;
        let bin = tempfile::Builder::new().prefix("").tempdir_in(&trash);
        let bin = bin.map_err(FsError::at("write", &trash))?.keep();
        move_directory(&place, &bin.join("tree"))?;
        let manifest = beside(&place, "manifest");
        if manifest.exists() {
            fs::remove_file(&manifest).map_err(FsError::at("remove", &manifest))?;
        }
        Ok(())
    }

    /// Removes what nobody can use: thrown away trees, builds and downloads of dead processes.
    fn sweep(&self) -> Result<(), StoreError> {
        // Found out again in a millisecond; most are those of older programs and lockfiles.
        remove_tree(&self.path("answers"))?;
        for path in entries(&self.path("tmp/trash"))? {
            remove_tree(&path)?;
        }
        self.sweep_builds()?;
        self.sweep_layers()?;
        for partial in entries(&self.path("tmp/partial"))? {
            if filelock::try_lock(&partial)?.is_some() {
                fs::remove_file(&partial).map_err(FsError::at("remove", &partial))?;
            }
        }
        for lock in entries(&self.path("locks"))? {
            if lock.ends_with("store") {
                continue;
            }
            if filelock::try_lock(&lock)?.is_some() {
                fs::remove_file(&lock).map_err(FsError::at("remove", &lock))?;
            }
        }
        Ok(())
    }
}
