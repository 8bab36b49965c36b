//! Trees walked from a descriptor, one name at a time, without following links.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::buffer::spare_capacity;
use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, Stat, openat, statat};
use rustix::io::{Errno, Result};

use crate::record::ProjectPath;

/// The prefix of the attributes in which the kernel keeps notes on an overlay's upper directory.
const OVERLAY: &[u8] = b"user.overlay.";

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// A directory tree, with the directory used last kept open: changes come sorted, so most have
/// the same parent as the one before.
pub(super) struct Tree {
    root: OwnedFd,
    recent: Option<(ProjectPath, OwnedFd)>,
}

impl Tree {
    /// Opens the directory `path`, which may be a link.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(CWD, path, flags, Mode::empty())?;
        Ok(Self { root, recent: None })
    }

    /// Returns the tree's own directory.
    pub(super) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Returns the directory `path`. For each name on the way that cannot be opened,
    /// `resolve(parent, path, error)` says which other name to take its place.
    pub(super) fn directory(
        &mut self,
        path: &ProjectPath,
        mut resolve: impl FnMut(BorrowedFd<'_>, &ProjectPath, Errno) -> Result<OwnedFd>,
    ) -> Result<BorrowedFd<'_>> {
        if path.as_path() == Path::new("") {
            return Ok(self.root.as_fd());
        }
        if self
            .recent
            .as_ref()
            .is_none_or(|(recent, _)| recent != path)
        {
            let mut directory = self
                .root
                .try_clone()
                .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::MFILE))?;
            let mut walked = ProjectPath::default();
            for name in path.as_path() {
                walked = walked.join(name);
                directory = match open_directory(directory.as_fd(), name) {
                    Ok(next) => next,
                    Err(error) => resolve(directory.as_fd(), &walked, error)?,
                };
            }
            self.recent = Some((path.clone(), directory));
        }
        let (_, directory) = self.recent.as_ref().expect("it was just set");
        Ok(directory.as_fd())
    }
}

/// Opens a directory of `parent` for reading.
pub(super) fn open_directory(parent: BorrowedFd<'_>, name: &OsStr) -> Result<OwnedFd> {
    openat(parent, name, DIRECTORY, Mode::empty())
}

/// Opens a regular file of `parent` for reading. Must not be called with the name of a pipe.
pub(super) fn open_file(parent: BorrowedFd<'_>, name: &OsStr) -> Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    Ok(openat(parent, name, flags, Mode::empty())?.into())
}

/// Returns what the kernel knows of a name, or nothing when nothing is there.
pub(super) fn stat(parent: BorrowedFd<'_>, name: &OsStr) -> Result<Option<Stat>> {
    match statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns the names in a directory, sorted.
pub(super) fn names(directory: BorrowedFd<'_>) -> Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(OsStr::from_bytes(name).to_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// Returns the names of the overlay's attributes on an open file or directory.
pub(super) fn overlay_attributes(file: BorrowedFd<'_>) -> Result<Vec<OsString>> {
    let mut list: Vec<u8> = Vec::with_capacity(1024);
    loop {
        match rustix::fs::flistxattr(file, spare_capacity(&mut list)) {
            Ok(_) => break,
            // The kernel's limit for all names together is 64 KiB.
            Err(Errno::RANGE) => list.reserve(list.capacity() * 2),
            Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        }
    }
    let names = list.split(|byte| *byte == 0);
    Ok(names
        .filter(|name| name.starts_with(OVERLAY))
        .map(|name| OsStr::from_bytes(name).to_owned())
        .collect())
}

/// Returns the value of an attribute when it is at most `N` bytes long.
pub(super) fn attribute<const N: usize>(file: BorrowedFd<'_>, name: &str) -> Result<Vec<u8>> {
    let mut value: Vec<u8> = Vec::with_capacity(N);
    match rustix::fs::fgetxattr(file, name, spare_capacity(&mut value)) {
        Ok(_) => Ok(value),
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
