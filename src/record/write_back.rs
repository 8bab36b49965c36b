//! A list of changes to the host's project.
//!
//! Order: deletions, deepest first; then the rest, directories before what is in them; then the
//! modes of directories, which may forbid the writing before. Each file appears whole, by a rename.
//! Nothing is synced: a step that writes to its project directly does not wait for the disk either.
//!
//! What the host changed since the step started is told by the time of the last status change
//! (`ctime`), which no program can set back. The kernel updates it for every write, rename, link
//! and change of mode.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, Stat, Timespec, Timestamps, UTIME_OMIT, chmodat, fchmod, fstat,
    mkdirat, openat, unlinkat, utimensat,
};
use rustix::io::Errno;
use serde::Serialize;

use crate::record::changes::holds;
use crate::record::directory::{Tree, open_directory, stat};
use crate::record::publish::{Publisher, Source};
use crate::record::{Change, ChangeKind, Changes, Entry, ProjectPath, RecordError, RunId};

/// What the host's clock said when a step started, as the project's file system tells the time.
#[derive(Debug, Clone, Copy)]
pub struct HostState {
    start: Timespec,
}

impl HostState {
    /// Takes the time. What is changed in `project` from here on counts as changed by others.
    ///
    /// # Errors
    /// Returns [`RecordError`] when neither directory takes a file.
    pub fn observe(project: &Path, run: &Path) -> Result<Self, RecordError> {
        let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
        let probe = |path: &Path| fstat(openat(CWD, path, flags, Mode::RUSR)?);
        let named = || {
            let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
            fstat(openat(CWD, run.join("start"), flags, Mode::RUSR)?)
        };
        // A file without a name leaves no trace in the project, and a file server's clock is its
        // own. Where there are none, or the project may not be written, the kernel's clock serves.
        let found = probe(project).or_else(|_| named());
        let found = found.map_err(RecordError::at("write", run))?;
        Ok(Self {
            start: status_changed(&found),
        })
    }
}

#[cfg(test)]
impl HostState {
    /// Says whether a status change at `time` counts as later.
    pub(super) fn is_before(&self, time: &(i64, i64)) -> bool {
        *time > (self.start.tv_sec, self.start.tv_nsec)
    }
}

/// A change and what became of it on the host.
#[derive(Debug, Serialize)]
pub struct WrittenChange {
    /// The change.
    #[serde(flatten)]
    pub change: Change,
    /// What became of it.
    #[serde(flatten)]
    pub fate: Fate,
}

/// What became of a change on the host.
#[derive(Debug, Serialize)]
#[serde(tag = "fate", rename_all = "kebab-case")]
pub enum Fate {
    /// The host's project has it.
    Written,
    /// The host changed the same path meanwhile, and the host's version was kept.
    Conflict {
        /// The name beside it under which the step's version is; none when the step had removed
        /// it.
        #[serde(skip_serializing_if = "Option::is_none", serialize_with = "lossy")]
        beside: Option<OsString>,
    },
    /// It could not be written.
    Failed {
        /// Why.
        #[serde(serialize_with = "text")]
        error: io::Error,
    },
}

/// Applies `changes`, whose files are in `upper`, to `project`. Goes on after a failure. Takes the
/// files out of `upper` where it can.
///
/// # Errors
/// Returns [`RecordError`] when one of the directories cannot be opened; nothing is written then.
pub fn write_back(
    changes: Changes,
    upper: &Path,
    project: &Path,
    host: HostState,
    run: RunId,
) -> Result<Vec<WrittenChange>, RecordError> {
    let open = |path| Tree::open(path).map_err(RecordError::at("open", path));
    let mut writer = Writer {
        upper: open(upper)?,
        project: open(project)?,
        host,
        suffix: format!(".envbox-{}", run.short()),
        ours: BTreeSet::new(),
        publisher: Publisher::default(),
    };
    let mut fates: Vec<Option<Fate>> = changes.list.iter().map(|_| None).collect();
    let deleted = |change: &Change| change.kind == ChangeKind::Deleted;
    for (change, fate) in changes.list.iter().zip(&mut fates).rev() {
        if deleted(change) {
            *fate = Some(writer.delete(&change.path).unwrap_or_else(Fate::failed));
        }
    }
    for (change, fate) in changes.list.iter().zip(&mut fates) {
        if !deleted(change) {
            *fate = Some(writer.place(change).unwrap_or_else(Fate::failed));
        }
    }
    for (change, fate) in changes.list.iter().zip(&mut fates).rev() {
        if let (Entry::Directory { mode }, Some(reached)) = (&change.entry, &fate)
            && let Err(error) = writer.set_mode(&change.path, reached, *mode)
        {
            *fate = Some(Fate::failed(error));
        }
    }
    for (path, time) in &changes.touched {
        // Only the time: nobody misses an output because of it.
        let _ = writer.touch(path, *time);
    }
    let fates = fates
        .into_iter()
        .map(|fate| fate.expect("each change got one"));
    let changes = changes.list.into_iter().zip(fates);
    let mut written = changes
        .map(|(change, fate)| WrittenChange { change, fate })
        .collect();
    drop_apparent_deletions(&mut written);
    Ok(written)
}

/// Where the step has a file and the host made a directory meanwhile, what is in that looks as if
/// the step had removed it.
fn drop_apparent_deletions(written: &mut Vec<WrittenChange>) {
    let in_the_way = |written: &&WrittenChange| {
        written.change.kind != ChangeKind::Deleted && !matches!(written.fate, Fate::Written)
    };
    let kept: Vec<ProjectPath> = written
        .iter()
        .filter(in_the_way)
        .map(|written| written.change.path.clone())
        .collect();
    written.retain(|written| {
        let Change { path, kind, .. } = &written.change;
        let below = |kept: &ProjectPath| path.as_path().starts_with(kept.as_path());
        *kind != ChangeKind::Deleted
            || matches!(written.fate, Fate::Written)
            || !kept.iter().any(below)
    });
}

impl Fate {
    fn failed(error: Errno) -> Self {
        Self::Failed {
            error: error.into(),
        }
    }
}

struct Writer {
    upper: Tree,
    project: Tree,
    host: HostState,
    suffix: String,
    /// Files of the host that got a new status change time from us: they lost one of several names.
    ours: BTreeSet<(u64, u64)>,
    publisher: Publisher,
}

impl Writer {
    fn delete(&mut self, path: &ProjectPath) -> Result<Fate, Errno> {
        let Some((directory, name)) = path.split() else {
            return Err(Errno::INVAL);
        };
        let opened = self.project.directory(&directory, |_, _, error| Err(error));
        let parent = match opened {
            Ok(parent) => parent,
            // The directory is gone, or has become a file or a link, which is not ours to remove.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(Fate::Written),
            Err(error) => return Err(error),
        };
        let Some(found) = stat(parent, name)? else {
            return Ok(Fate::Written);
        };
        let kept = Ok(Fate::Conflict { beside: None });
        if is_directory(&found) {
            return match unlinkat(parent, name, AtFlags::REMOVEDIR) {
                // What the host put in meanwhile. Its own time of change tells nothing: our
                // removing what was in it changed it.
                Err(Errno::NOTEMPTY | Errno::EXIST) => kept,
                other => other.map(|()| Fate::Written),
            };
        }
        if changed(&self.host, &self.ours, &found) {
            return kept;
        }
        unlinkat(parent, name, AtFlags::empty())?;
        self.ours.insert(identity(&found));
        Ok(Fate::Written)
    }

    fn place(&mut self, change: &Change) -> Result<Fate, Errno> {
        let Some((directory, name)) = change.path.split() else {
            return Err(Errno::INVAL);
        };
        let suffix = &self.suffix;
        let parent = self.project.directory(&directory, |parent, path, error| {
            make_way(parent, path, suffix, error)
        })?;
        let found = stat(parent, name)?;
        if let Entry::Directory { .. } = change.entry {
            return make_directory(parent, name, found.as_ref(), suffix, |found| {
                changed(&self.host, &self.ours, found)
            });
        }
        if let Some(found) = &found
            && holds(parent, name, found, &change.entry)
        {
            return Ok(Fate::Written);
        }
        let upper = self.upper.directory(&directory, |_, _, error| Err(error))?;
        let source = Source {
            directory: upper,
            name,
            entry: &change.entry,
        };
        let taken = match &found {
            None => match self.publisher.create(&source, parent, name) {
                // The host was faster.
                Err(Errno::EXIST) => true,
                other => return other.map(|()| Fate::Written),
            },
            Some(found) if is_directory(found) => {
                unlinkat(parent, name, AtFlags::REMOVEDIR).is_err()
            }
            Some(found) => changed(&self.host, &self.ours, found),
        };
        if taken {
            let beside = beside(name, suffix);
            self.publisher.replace(&source, parent, &beside)?;
            let beside = Some(beside);
            return Ok(Fate::Conflict { beside });
        }
        self.ours.extend(found.as_ref().map(identity));
        self.publisher.replace(&source, parent, name)?;
        Ok(Fate::Written)
    }

    fn set_mode(&mut self, path: &ProjectPath, fate: &Fate, mode: u32) -> Result<(), Errno> {
        let (directory, name) = path.split().ok_or(Errno::INVAL)?;
        let name = match fate {
            Fate::Written => name,
            Fate::Conflict { beside: Some(name) } => name,
            Fate::Conflict { beside: None } | Fate::Failed { .. } => return Ok(()),
        };
        let suffix = &self.suffix;
        let parent = self.project.directory(&directory, |parent, path, error| {
            make_way(parent, path, suffix, error)
        })?;
        fchmod(open_directory(parent, name)?, Mode::from_raw_mode(mode))
    }

    fn touch(&mut self, path: &ProjectPath, time: Timespec) -> Result<(), Errno> {
        let (directory, name) = path.split().ok_or(Errno::INVAL)?;
        let parent = self
            .project
            .directory(&directory, |_, _, error| Err(error))?;
        let found = stat(parent, name)?.ok_or(Errno::NOENT)?;
        if changed(&self.host, &self.ours, &found) {
            return Ok(());
        }
        let times = Timestamps {
            last_access: Timespec {
                tv_sec: 0,
                tv_nsec: UTIME_OMIT,
            },
            last_modification: time,
        };
        utimensat(parent, name, &times, AtFlags::SYMLINK_NOFOLLOW)
    }
}

/// Creates the directory of a change, or finds it there.
fn make_directory(
    parent: BorrowedFd<'_>,
    name: &OsStr,
    found: Option<&Stat>,
    suffix: &str,
    changed: impl FnOnce(&Stat) -> bool,
) -> Result<Fate, Errno> {
    match found {
        Some(found) if is_directory(found) => {
            // Until the last step its owner may write to it, as the step could at some time.
            let mode = Mode::from_raw_mode(found.st_mode & 0o7777 | 0o700);
            if found.st_mode & 0o700 != 0o700 {
                chmodat(parent, name, mode, AtFlags::empty())?;
            }
            return Ok(Fate::Written);
        }
        Some(found) if changed(found) => {
            let beside = beside(name, suffix);
            mkdirat(parent, &beside, Mode::RWXU)?;
            return Ok(Fate::Conflict {
                beside: Some(beside),
            });
        }
        Some(_) => unlinkat(parent, name, AtFlags::empty())?,
        None => {}
    }
    mkdirat(parent, name, Mode::RWXU)?;
    Ok(Fate::Written)
}

/// Opens a directory that outputs lie in and that is not as the step saw it: made again when it is
/// gone, under another name when something else has taken its name.
fn make_way(
    parent: BorrowedFd<'_>,
    path: &ProjectPath,
    suffix: &str,
    error: Errno,
) -> Result<OwnedFd, Errno> {
    let (_, name) = path.split().ok_or(Errno::INVAL)?;
    let name = match error {
        Errno::NOENT => name.to_owned(),
        Errno::NOTDIR | Errno::LOOP => beside(name, suffix),
        error => return Err(error),
    };
    match mkdirat(parent, &name, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => open_directory(parent, &name),
        Err(error) => Err(error),
    }
}

fn changed(host: &HostState, ours: &BTreeSet<(u64, u64)>, found: &Stat) -> bool {
    let time = status_changed(found);
    let later = (time.tv_sec, time.tv_nsec) > (host.start.tv_sec, host.start.tv_nsec);
    later && !ours.contains(&identity(found))
}

fn status_changed(stat: &Stat) -> Timespec {
    Timespec {
        tv_sec: stat.st_ctime,
        tv_nsec: stat.st_ctime_nsec.cast_signed(),
    }
}

fn identity(stat: &Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

fn is_directory(stat: &Stat) -> bool {
    rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir()
}

fn beside(name: &OsStr, suffix: &str) -> OsString {
    let mut beside = name.to_owned();
    beside.push(suffix);
    beside
}

fn lossy<S: serde::Serializer>(name: &Option<OsString>, serializer: S) -> Result<S::Ok, S::Error> {
    let name = name.as_ref().map(|name| name.to_string_lossy());
    serializer.serialize_str(&name.unwrap_or_default())
}

fn text<S: serde::Serializer>(error: &io::Error, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(error)
}
