//! One output to its place on the host, whole or not at all.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, Mode, OFlags, RenameFlags, Timespec, Timestamps, UTIME_OMIT, fchmod, fremovexattr,
    fstat, futimens, linkat, openat, renameat, renameat_with, symlinkat, unlinkat,
};
use rustix::io::{Errno, dup};

use crate::record::Entry;
use crate::record::changes::open_own_file;
use crate::record::directory::{overlay_attributes, stat};

/// Where an output is now.
pub(super) struct Source<'a> {
    pub(super) directory: BorrowedFd<'a>,
    pub(super) name: &'a OsStr,
    pub(super) entry: &'a Entry,
}

/// Puts outputs in their places.
#[derive(Default)]
pub(super) struct Publisher {
    /// Whether the outputs are on another file system than the project.
    apart: bool,
    /// Files with several names that were copied: where the first copy is.
    copies: BTreeMap<(u64, u64), (OwnedFd, OsString)>,
    temporary: u32,
}

impl Publisher {
    /// Puts an output where nothing is.
    ///
    /// # Errors
    /// Returns [`Errno::EXIST`] when something is there, and what the file system says.
    pub(super) fn create(
        &mut self,
        source: &Source<'_>,
        parent: BorrowedFd<'_>,
        name: &OsStr,
    ) -> Result<(), Errno> {
        self.publish(source, parent, name, RenameFlags::NOREPLACE)
    }

    /// Puts an output in the place of whatever file is there.
    ///
    /// # Errors
    /// Returns what the file system says; what was there then still is.
    pub(super) fn replace(
        &mut self,
        source: &Source<'_>,
        parent: BorrowedFd<'_>,
        name: &OsStr,
    ) -> Result<(), Errno> {
        self.publish(source, parent, name, RenameFlags::empty())
    }

    fn publish(
        &mut self,
        source: &Source<'_>,
        parent: BorrowedFd<'_>,
        name: &OsStr,
        flags: RenameFlags,
    ) -> Result<(), Errno> {
        if !self.apart {
            if let Entry::File { mode, .. } = source.entry {
                strip(source, *mode)?;
            }
            match rename((source.directory, source.name), (parent, name), flags) {
                Err(Errno::XDEV) => self.apart = true,
                other => return other,
            }
        }
        let temporary = self.copy(source, parent)?;
        let renamed = rename((parent, &temporary), (parent, name), flags);
        // Gone after a rename, but for one between two names of the same file, which does nothing.
        let _ = unlinkat(parent, &temporary, AtFlags::empty());
        renamed?;
        self.remember(source, parent, name);
        Ok(())
    }

    /// Copies an output to a temporary name in its directory.
    fn copy(&mut self, source: &Source<'_>, parent: BorrowedFd<'_>) -> Result<OsString, Errno> {
        loop {
            let process = std::process::id();
            let name = OsString::from(format!(".envbox-{process}-{}", self.temporary));
            self.temporary += 1;
            match self.copy_to(source, parent, &name) {
                Err(Errno::EXIST) => {}
                Err(error) => {
                    let _ = unlinkat(parent, &name, AtFlags::empty());
                    return Err(error);
                }
                Ok(()) => return Ok(name),
            }
        }
    }

    fn copy_to(
        &self,
        source: &Source<'_>,
        parent: BorrowedFd<'_>,
        name: &OsStr,
    ) -> Result<(), Errno> {
        match source.entry {
            Entry::Symlink { target } => symlinkat(target, parent, name),
            Entry::File { mode, .. } => {
                if let Some((directory, first)) = self.first_copy(source) {
                    return linkat(directory, first, parent, name, AtFlags::empty());
                }
                let mut from = open_source(source)?;
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
                let mut to: File = openat(parent, name, flags, Mode::RUSR | Mode::WUSR)?.into();
                // The kernel copies where it can, without the bytes passing through here.
                std::io::copy(&mut from, &mut to)
                    .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
                fchmod(&to, Mode::from_raw_mode(*mode))?;
                keep_time(&from, &to)
            }
            Entry::Directory { .. } | Entry::Gone { .. } => Err(Errno::INVAL),
        }
    }

    fn first_copy(&self, source: &Source<'_>) -> Option<(BorrowedFd<'_>, &OsStr)> {
        let (directory, name) = self.copies.get(&several_names(source)?)?;
        Some((directory.as_fd(), name))
    }

    fn remember(&mut self, source: &Source<'_>, parent: BorrowedFd<'_>, name: &OsStr) {
        if let (Some(identity), Ok(parent)) = (several_names(source), dup(parent)) {
            self.copies.insert(identity, (parent, name.to_owned()));
        }
    }
}

/// Returns the identity of a file with several names.
fn several_names(source: &Source<'_>) -> Option<(u64, u64)> {
    let found = stat(source.directory, source.name).ok().flatten()?;
    let file = matches!(source.entry, Entry::File { .. });
    (file && found.st_nlink > 1).then_some((found.st_dev, found.st_ino))
}

/// Makes a file of the upper directory an ordinary one: its mode is the change's, and the kernel's
/// notes on it are gone.
fn strip(source: &Source<'_>, mode: u32) -> Result<(), Errno> {
    let file = open_source(source)?;
    for attribute in overlay_attributes(file.as_fd())? {
        fremovexattr(&file, &attribute)?;
    }
    fchmod(&file, Mode::from_raw_mode(mode))
}

fn open_source(source: &Source<'_>) -> Result<File, Errno> {
    let found = stat(source.directory, source.name)?.ok_or(Errno::NOENT)?;
    open_own_file(source.directory, source.name, &found)
}

fn keep_time(from: &File, to: &File) -> Result<(), Errno> {
    let stat = fstat(from)?;
    futimens(
        to,
        &Timestamps {
            last_access: Timespec {
                tv_sec: 0,
                tv_nsec: UTIME_OMIT,
            },
            last_modification: Timespec {
                tv_sec: stat.st_mtime,
                tv_nsec: stat.st_mtime_nsec.cast_signed(),
            },
        },
    )
}

fn rename(
    (from, old): (BorrowedFd<'_>, &OsStr),
    (to, new): (BorrowedFd<'_>, &OsStr),
    flags: RenameFlags,
) -> Result<(), Errno> {
    match renameat_with(from, old, to, new, flags) {
        // The file system (NFS) cannot refuse to replace: look, then rename.
        Err(Errno::INVAL) if !flags.is_empty() => match stat(to, new)? {
            Some(_) => Err(Errno::EXIST),
            None => renameat(from, old, to, new),
        },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use envbox_lockfiles::base::Digest;

    use super::*;
    use crate::record::directory::Tree;

    #[test]
    fn from_another_file_system_all_is_copied() {
        let root = tempfile::tempdir().unwrap();
        let (from, to) = (root.path().join("from"), root.path().join("to"));
        fs::create_dir(&from).unwrap();
        fs::create_dir(&to).unwrap();
        fs::write(from.join("a"), "output").unwrap();
        fs::hard_link(from.join("a"), from.join("b")).unwrap();
        fs::write(to.join("b"), "before").unwrap();
        let (upper, project) = (Tree::open(&from).unwrap(), Tree::open(&to).unwrap());
        let file = Entry::File {
            size: 6,
            sha256: Digest::of(b"output"),
            mode: 0o640,
        };
        let link = Entry::Symlink { target: "a".into() };
        // As after the first rename across the border.
        let mut publisher = Publisher {
            apart: true,
            ..Publisher::default()
        };
        let source = |name: &'static str, entry| Source {
            directory: upper.root(),
            name: OsStr::new(name),
            entry,
        };
        let mut create =
            |name, entry| publisher.create(&source(name, entry), project.root(), OsStr::new(name));
        create("a", &file).unwrap();
        create("link", &link).unwrap();
        assert_eq!(create("b", &file), Err(Errno::EXIST));
        let b = OsStr::new("b");
        publisher
            .replace(&source("b", &file), project.root(), b)
            .unwrap();
        let [a, b] = ["a", "b"].map(|name| fs::metadata(to.join(name)).unwrap());
        assert_eq!((a.ino(), a.nlink()), (b.ino(), 2));
        assert_eq!(a.permissions().mode() & 0o7777, 0o640);
        let original = fs::metadata(from.join("a")).unwrap();
        assert_eq!(a.modified().unwrap(), original.modified().unwrap());
        assert_eq!(fs::read_to_string(to.join("link")).unwrap(), "output");
        assert_eq!(fs::read_dir(&to).unwrap().count(), 3);
    }
}
