//! Which files belong to a project.

use std::ffi::{CString, OsStr};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use envbox_lockfiles::base::{Explain, FsError, Kind};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, Stat, open, openat, statat};
use rustix::io::Errno;

use crate::snapshot::rules::{OURS, Rules};
use crate::snapshot::side_by_side::side_by_side;
use crate::store::StoreError;

/// Directories that are no part of any project's code.
const NEVER: [&str; 5] = [".git", ".hg", ".jj", ".svn", "__pycache__"];

/// How many directories are worth a thread.
const DIRECTORIES: usize = 4;

/// How much of a directory is read at a time.
const BUFFER: usize = 32 * 1024;

/// A snapshot cannot be taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// A directory cannot be listed.
    #[error("failed to list the project's files")]
    Walk(#[source] FsError),
    /// A file of rules cannot be read.
    #[error("failed to read which of the project's files to leave out")]
    Rules(#[source] ignore::Error),
    /// The thread that read the files came to a bad end.
    #[error("the reading of the project's files was interrupted")]
    Interrupted,
    /// A file cannot be read.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// The store does not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Explain for SnapshotError {
    fn kind(&self) -> Kind {
        match self {
            Self::Walk(_) => Kind::Host,
            Self::Rules(_) => Kind::User,
            Self::Interrupted => Kind::Internal,
            Self::Fs(error) => error.kind(),
            Self::Store(error) => error.kind(),
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Walk(_) => vec![format!("make them readable, or name them in `{OURS}`")],
            Self::Rules(_) => vec!["correct that line, or make the file readable".to_owned()],
            Self::Interrupted => Vec::new(),
            Self::Fs(error) => error.hints(),
            Self::Store(error) => error.hints(),
        }
    }
}

/// A point in time: seconds since 1970, and nanoseconds.
pub(super) type Time = (i64, u32);

/// What tells whether a file is the one that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) size: u64,
    pub(super) modified: Time,
    /// Of the last status change, which no program can set back.
    pub(super) changed: Time,
}

impl Stamp {
    pub(super) fn of(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            size: stat.st_size.cast_unsigned(),
            modified: (stat.st_mtime, nanoseconds(stat.st_mtime_nsec)),
            changed: (stat.st_ctime, nanoseconds(stat.st_ctime_nsec)),
        }
    }
}

fn nanoseconds(rest: u64) -> u32 {
    u32::try_from(rest).expect("a second has fewer than 2^32 nanoseconds")
}

/// A file, directory or link of the project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its path in the project.
    pub path: PathBuf,
    /// Its type and permissions, as `stat` has them.
    pub(super) mode: u32,
    pub(super) stamp: Stamp,
}

impl Found {
    pub(super) fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.mode)
    }
}

/// Returns everything that belongs to the project, but for `data`, sorted by the bytes of the paths.
/// The project's own directory is not in it. Up to `jobs` threads look.
///
/// # Errors
/// Returns [`SnapshotError`] when a part of it cannot be listed.
pub fn walk(project: &Path, data: &[PathBuf], jobs: usize) -> Result<Vec<Found>, SnapshotError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let top = open(project, flags, Mode::empty()).map_err(unlisted(project))?;
    let walker = Walker { project, top, data };
    let mut found = Vec::new();
    let mut level = vec![Directory {
        path: PathBuf::new(),
        rules: Rules::above(project)?,
    }];
    while !level.is_empty() {
        let lists = side_by_side(jobs, DIRECTORIES, &level, |one| walker.list(one))?;
        level.clear();
        for (list, below) in lists {
            found.extend(list);
            level.extend(below);
        }
    }
    // Stable: it sees the runs that are in order already, and those are most of it.
    found.sort_by(|a, b| bytes(&a.path).cmp(bytes(&b.path)));
    Ok(found)
}

struct Walker<'a> {
    project: &'a Path,
    top: OwnedFd,
    data: &'a [PathBuf],
}

/// A directory that is still to be listed.
struct Directory {
    path: PathBuf,
    rules: Rules,
}

impl Walker<'_> {
    /// Returns what of a directory belongs to the project, sorted by name, and those of them that are
    /// directories. What goes away meanwhile was not there.
    fn list(&self, directory: &Directory) -> Result<(Vec<Found>, Vec<Directory>), SnapshotError> {
        let place = self.project.join(&directory.path);
        let Some(at) = self.open(&directory.path).map_err(unlisted(&place))? else {
            return Ok(Default::default());
        };
        let names = names(&at).map_err(unlisted(&place))?;
        let has = |name: &str| {
            names
                .iter()
                .any(|(there, _)| there.as_bytes() == name.as_bytes())
        };
        let rules = directory.rules.below(&place, has)?;
        let (mut list, mut below) = (Vec::with_capacity(names.len()), Vec::new());
        for (name, kind) in &names {
            let path = directory.path.join(OsStr::from_bytes(name.as_bytes()));
            let never = NEVER
                .iter()
                .any(|never| never.as_bytes() == name.as_bytes());
            let ignored = |kind| {
                !rules.is_empty()
                    && rules.ignore(&self.project.join(&path), kind == FileType::Directory)
            };
            if never || self.data.contains(&path) || *kind != FileType::Unknown && ignored(*kind) {
                continue;
            }
            let stat = match statat(&at, name, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => continue,
                stat => stat.map_err(unlisted(&self.project.join(&path)))?,
            };
            let stamp = Stamp::of(&stat);
            let (found, mode) = (FileType::from_raw_mode(stat.st_mode), stat.st_mode);
            if *kind != found && ignored(found) {
                continue;
            }
            if found == FileType::Directory {
                let (path, rules) = (path.clone(), rules.clone());
                below.push(Directory { path, rules });
            }
            list.push(Found { path, mode, stamp });
        }
        Ok((list, below))
    }

    /// Opens a directory of the project, if it still is one.
    fn open(&self, path: &Path) -> Result<Option<OwnedFd>, Errno> {
        let path = match path == Path::new("") {
            true => Path::new("."),
            false => path,
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match openat(&self.top, path, flags, Mode::empty()) {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            opened => opened.map(Some),
        }
    }
}

/// Returns the names in a directory, sorted, with their types as far as the file system knows them.
fn names(directory: impl AsFd) -> Result<Vec<(CString, FileType)>, Errno> {
    let mut names = Vec::new();
    let mut buffer = [const { MaybeUninit::uninit() }; BUFFER];
    let mut entries = RawDir::new(directory, &mut buffer);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push((entry.file_name().to_owned(), entry.file_type()));
        }
    }
    names.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    Ok(names)
}

fn unlisted(path: &Path) -> impl FnOnce(Errno) -> SnapshotError + '_ {
    move |error| SnapshotError::Walk(FsError::at("read", path)(error.into()))
}

/// Returns the paths of files that were there and are not as they were. Up to `jobs` threads look.
pub fn changed_since<'a>(project: &Path, found: &'a [Found], jobs: usize) -> Vec<&'a Path> {
    let directories: Vec<_> = found
        .chunk_by(|a, b| a.path.parent() == b.path.parent())
        .collect();
    let changed = |files: &&'a [Found]| Ok::<_, Errno>(changed_in(project, files));
    let changed = side_by_side(jobs, DIRECTORIES, &directories, changed).unwrap_or_default();
    changed.into_iter().flatten().collect()
}

/// Returns those of `files`, all in one directory, that are not as they were.
fn changed_in<'a>(project: &Path, files: &'a [Found]) -> Vec<&'a Path> {
    let parent = files.first().and_then(|file| file.path.parent());
    let parent = project.join(parent.unwrap_or(Path::new("")));
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = open(parent, flags, Mode::empty());
    let is_as_it_was = |found: &Found| {
        let (Ok(directory), Some(name)) = (&directory, found.path.file_name()) else {
            return false;
        };
        let now = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW);
        now.is_ok_and(|now| Stamp::of(&now) == found.stamp)
    };
    let files = files
        .iter()
        .filter(|found| found.kind() != FileType::Directory);
    let changed = files.filter(|found| !is_as_it_was(found));
    changed.map(|found| found.path.as_path()).collect()
}

/// Says whether a project is a part of a repository of Git's.
pub fn is_in_repository(project: &Path) -> bool {
    project
        .ancestors()
        .any(|directory| directory.join(".git").exists())
}

pub(super) fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}
