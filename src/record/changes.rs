//! An overlay's upper directory to a list of changes.
//!
//! The upper directory holds everything that the step wrote, whole: the sandbox mounts with
//! `userxattr`, which turns off the kernel's partial copies (`metacopy`) and its notes on renamed
//! directories (`redirect_dir`). What it holds beside files, see
//! <https://docs.kernel.org/filesystems/overlayfs.html>: a character device 0:0 (*whiteout*) says
//! that a name of the project is gone, `user.overlay.opaque` = `y` on a directory that nothing
//! of the project's directory of that name is there any more.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use envbox_lockfiles::base::Digest;
use rustix::fs::{AtFlags, FileType, Mode, Stat, Timespec, chmodat, readlinkat};
use rustix::io::Errno;

use crate::record::directory::{
    Tree, attribute, names, open_directory, open_file, overlay_attributes, stat,
};
use crate::record::entry::permissions;
use crate::record::{Change, ChangeKind, Entry, EntryType, ProjectPath, RecordError};

/// How deep directories may be nested. Two descriptors are open on each level, and many systems
/// give a process 1024.
const DEEPEST: usize = 250;

/// What a step changed.
#[derive(Debug, Default)]
pub struct Changes {
    /// The changes, sorted by path.
    pub list: Vec<Change>,
    /// What the step left behind that cannot be brought home, sorted by path.
    pub unusable: Vec<Unusable>,
    /// Files that are as before but for the time of their last modification: a rebuilt output with
    /// the same bytes, which `make` would build again if it kept its old time.
    pub(super) touched: Vec<(ProjectPath, Timespec)>,
    /// Those, and what else the step wrote as it was before.
    pub(super) rewritten: Vec<(ProjectPath, Entry)>,
}

impl Changes {
    /// Returns files and links that the step wrote as they were before, sorted by path.
    pub fn rewritten(&self) -> &[(ProjectPath, Entry)] {
        &self.rewritten
    }
}

/// An entry of the upper directory that is no output.
#[derive(Debug, thiserror::Error)]
#[error("`{path}`: {reason}")]
pub struct Unusable {
    /// The path.
    pub path: ProjectPath,
    /// Why not.
    pub reason: UnusableReason,
}

/// Why an entry of the upper directory is no output.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnusableReason {
    /// A pipe, a socket or a device.
    #[error("pipes, sockets and devices are not outputs")]
    Special,
    /// Below too many directories.
    #[error("it is below more than {DEEPEST} directories")]
    TooDeep,
    /// The kernel left only a part of it.
    #[error("the overlay holds it only in part (`{attribute}`)")]
    Partial {
        /// The attribute that says so.
        attribute: String,
    },
    /// It, or what was there before, cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(io::Error),
}

impl From<Errno> for UnusableReason {
    fn from(error: Errno) -> Self {
        Self::Unreadable(error.into())
    }
}

/// Compares `upper` to the project below it. Changes modes in `upper` where it must to look into
/// it; the changes have the modes as the step left them.
///
/// # Errors
/// Returns [`RecordError`] when one of the two directories cannot be opened.
pub fn scan(upper: &Path, project: &Path) -> Result<Changes, RecordError> {
    let open = |path| Tree::open(path).map_err(RecordError::at("open", path));
    let (upper, lower) = (open(upper)?, open(project)?);
    let mut scanner = Scanner::default();
    let top = Level {
        upper: upper.root(),
        lower: Some(lower.root()),
        path: &ProjectPath::default(),
        depth: 0,
    };
    if let Err(reason) = scanner.level(&top) {
        scanner.refuse(&ProjectPath::default(), reason);
    }
    let mut changes = scanner.found;
    changes.list.sort_by(|a, b| a.path.cmp(&b.path));
    changes.rewritten.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(changes)
}

#[derive(Default)]
struct Scanner {
    found: Changes,
}

/// A directory of the upper one, and what lies at the same path below.
struct Level<'a> {
    upper: BorrowedFd<'a>,
    lower: Option<BorrowedFd<'a>>,
    path: &'a ProjectPath,
    depth: usize,
}

impl Scanner {
    fn level(&mut self, level: &Level<'_>) -> Result<(), UnusableReason> {
        if level.depth > DEEPEST {
            return Err(UnusableReason::TooDeep);
        }
        let names = names(level.upper)?;
        for name in &names {
            let path = level.path.join(name);
            if let Err(reason) = self.entry(level, name, &path) {
                self.refuse(&path, reason);
            }
        }
        if is_opaque(level.upper)? {
            self.hidden(level, &names)?;
        }
        Ok(())
    }

    fn entry(
        &mut self,
        level: &Level<'_>,
        name: &OsStr,
        path: &ProjectPath,
    ) -> Result<(), UnusableReason> {
        let Some(upper) = stat(level.upper, name)? else {
            return Ok(());
        };
        let lower = level.lower.map_or(Ok(None), |lower| stat(lower, name))?;
        let kind = FileType::from_raw_mode(upper.st_mode);
        if kind == FileType::CharacterDevice && upper.st_rdev == 0 {
            return self.gone(level.lower, name, path, level.depth);
        }
        match EntryType::of(&upper) {
            EntryType::Directory => return self.directory(level, name, path, (&upper, lower)),
            EntryType::Special => return Err(UnusableReason::Special),
            EntryType::File | EntryType::Symlink => {}
        }
        if lower
            .as_ref()
            .is_some_and(|stat| EntryType::of(stat) == EntryType::Directory)
            && let Some(parent) = level.lower
        {
            self.content_gone(open_directory(parent, name)?.as_fd(), path, level.depth)?;
        }
        self.leaf(level, name, path, (&upper, lower))
    }

    /// A directory of the upper one.
    fn directory(
        &mut self,
        level: &Level<'_>,
        name: &OsStr,
        path: &ProjectPath,
        (upper, lower): (&Stat, Option<Stat>),
    ) -> Result<(), UnusableReason> {
        if upper.st_mode & 0o700 != 0o700 {
            let mode = Mode::from_raw_mode(upper.st_mode & 0o7777 | 0o700);
            chmodat(level.upper, name, mode, AtFlags::empty())?;
        }
        let directory = open_directory(level.upper, name)?;
        complete(directory.as_fd())?;
        let below = lower.as_ref().map(EntryType::of);
        let opened: Option<OwnedFd> = match (level.lower, below) {
            (Some(parent), Some(EntryType::Directory)) => Some(open_directory(parent, name)?),
            _ => None,
        };
        let mode = permissions(upper);
        let same = opened.is_some() && lower.as_ref().map(permissions) == Some(mode);
        if !same {
            self.change(path, below.is_some(), Entry::Directory { mode });
        }
        self.level(&Level {
            upper: directory.as_fd(),
            lower: opened.as_ref().map(AsFd::as_fd),
            path,
            depth: level.depth + 1,
        })
    }

    /// A file or link of the upper directory.
    fn leaf(
        &mut self,
        level: &Level<'_>,
        name: &OsStr,
        path: &ProjectPath,
        (upper, lower): (&Stat, Option<Stat>),
    ) -> Result<(), UnusableReason> {
        let entry = match EntryType::of(upper) {
            EntryType::Symlink => Entry::Symlink {
                target: link_target(level.upper, name)?,
            },
            _ => {
                let file = open_own_file(level.upper, name, upper)?;
                complete(file.as_fd())?;
                file_entry(file, upper)?
            }
        };
        let (Some(parent), Some(lower)) = (level.lower, &lower) else {
            self.change(path, false, entry);
            return Ok(());
        };
        if !holds(parent, name, lower, &entry) {
            self.change(path, true, entry);
            return Ok(());
        }
        if modified(upper) != modified(lower) {
            self.found.touched.push((path.clone(), modified(upper)));
        }
        self.found.rewritten.push((path.clone(), entry));
        Ok(())
    }

    /// What an opaque directory hides: everything below that is not in it.
    fn hidden(&mut self, level: &Level<'_>, kept: &[OsString]) -> Result<(), UnusableReason> {
        let Some(lower) = level.lower else {
            return Ok(());
        };
        for name in names(lower)? {
            if kept.binary_search(&name).is_err() {
                self.gone(level.lower, &name, &level.path.join(&name), level.depth)?;
            }
        }
        Ok(())
    }

    /// An entry of the project that the step removed, with everything in it.
    fn gone(
        &mut self,
        lower: Option<BorrowedFd<'_>>,
        name: &OsStr,
        path: &ProjectPath,
        depth: usize,
    ) -> Result<(), UnusableReason> {
        let Some(parent) = lower else { return Ok(()) };
        let Some(stat) = stat(parent, name)? else {
            return Ok(());
        };
        let r#type = EntryType::of(&stat);
        self.found.list.push(Change {
            path: path.clone(),
            kind: ChangeKind::Deleted,
            entry: Entry::Gone { r#type },
        });
        match r#type {
            EntryType::Directory => {
                self.content_gone(open_directory(parent, name)?.as_fd(), path, depth)
            }
            _ => Ok(()),
        }
    }

    fn content_gone(
        &mut self,
        directory: BorrowedFd<'_>,
        path: &ProjectPath,
        depth: usize,
    ) -> Result<(), UnusableReason> {
        if depth > DEEPEST {
            return Err(UnusableReason::TooDeep);
        }
        for name in names(directory)? {
            self.gone(Some(directory), &name, &path.join(&name), depth + 1)?;
        }
        Ok(())
    }

    fn change(&mut self, path: &ProjectPath, existed: bool, entry: Entry) {
        let kind = match existed {
            true => ChangeKind::Modified,
            false => ChangeKind::Created,
        };
        self.found.list.push(Change {
            path: path.clone(),
            kind,
            entry,
        });
    }

    fn refuse(&mut self, path: &ProjectPath, reason: UnusableReason) {
        self.found.unusable.push(Unusable {
            path: path.clone(),
            reason,
        });
    }
}

/// Says whether the host has exactly `entry` at a name. What cannot be read is something else.
pub(super) fn holds(parent: BorrowedFd<'_>, name: &OsStr, found: &Stat, entry: &Entry) -> bool {
    match (entry, EntryType::of(found)) {
        (Entry::File { size, mode, sha256 }, EntryType::File) => {
            let size = u64::try_from(found.st_size) == Ok(*size);
            // `mode` last as a whole: the host's own set-user-id bit is a difference.
            let read = || Digest::of_reader(open_file(parent, name)?);
            size && found.st_mode & 0o7777 == *mode
                && read().is_ok_and(|(digest, _)| digest == *sha256)
        }
        (Entry::Symlink { target }, EntryType::Symlink) => {
            link_target(parent, name).is_ok_and(|found| found == *target)
        }
        _ => false,
    }
}

fn file_entry(file: File, stat: &Stat) -> Result<Entry, UnusableReason> {
    let (sha256, size) = Digest::of_reader(file).map_err(UnusableReason::Unreadable)?;
    let mode = permissions(stat);
    Ok(Entry::File { size, sha256, mode })
}

/// Opens a file of the upper directory, which the step may have left without permissions.
pub(super) fn open_own_file(
    parent: BorrowedFd<'_>,
    name: &OsStr,
    stat: &Stat,
) -> Result<File, Errno> {
    if stat.st_mode & 0o400 == 0 {
        let mode = Mode::from_raw_mode(stat.st_mode & 0o777 | 0o400);
        chmodat(parent, name, mode, AtFlags::empty())?;
    }
    open_file(parent, name)
}

fn link_target(parent: BorrowedFd<'_>, name: &OsStr) -> Result<OsString, Errno> {
    use std::os::unix::ffi::OsStringExt as _;
    let target = readlinkat(parent, name, Vec::new())?;
    Ok(OsString::from_vec(target.into_bytes()))
}

fn modified(stat: &Stat) -> Timespec {
    Timespec {
        tv_sec: stat.st_mtime,
        tv_nsec: stat.st_mtime_nsec.cast_signed(),
    }
}

fn is_opaque(directory: BorrowedFd<'_>) -> Result<bool, Errno> {
    Ok(attribute::<8>(directory, "user.overlay.opaque")? == b"y")
}

/// Checks that the kernel has left all of a file or directory here.
fn complete(file: BorrowedFd<'_>) -> Result<(), UnusableReason> {
    const PARTIAL: [&str; 3] = [
        "user.overlay.metacopy",
        "user.overlay.redirect",
        // Marks a whiteout inside an overlay whose own layers were overlays.
        "user.overlay.whiteout",
    ];
    let found = overlay_attributes(file)?;
    match PARTIAL
        .iter()
        .find(|name| found.iter().any(|found| found == **name))
    {
        Some(name) => Err(UnusableReason::Partial {
            attribute: (*name).to_owned(),
        }),
        None => Ok(()),
    }
}
