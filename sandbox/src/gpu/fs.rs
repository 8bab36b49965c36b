//! The host's files, below a root that tests choose.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, openat2, statat};

use super::nodes::{Numbers, Status};

/// The most that is read of a file. Those of `/proc` and `/sys` are a few lines, and the linker's
/// cache of the largest hosts some megabytes.
const MOST: u64 = 16 << 20;

/// The files of a host. All paths are absolute and below its root, links too.
#[derive(Debug)]
pub struct HostFs {
    /// The root and where it is; none if it is this process's own.
    below: Option<(File, PathBuf)>,
}

impl HostFs {
    /// Returns the files of this host.
    pub fn host() -> HostFs {
        HostFs { below: None }
    }

    /// Returns the files below a directory, as if it were `/`.
    ///
    /// # Errors
    /// Fails if it is no directory, or not for this user.
    pub fn below(root: impl AsRef<Path>) -> io::Result<HostFs> {
        let root = fs::canonicalize(root)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(&root, flags, Mode::empty())?;
        Ok(HostFs {
            below: Some((directory.into(), root)),
        })
    }

    /// Reads a regular file, of no more than 16 MiB.
    pub(super) fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.first(path, MOST)
    }

    /// Reads the beginning of a regular file.
    pub(super) fn first(&self, path: &Path, count: u64) -> io::Result<Vec<u8>> {
        // A FIFO in the place of a file would make a plain open wait.
        let file = self.open(path, OFlags::RDONLY | OFlags::NONBLOCK)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        let mut bytes = Vec::new();
        file.take(count).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Reads a file as text, what is no UTF-8 replaced; none if it cannot be read.
    pub(super) fn text(&self, path: impl AsRef<Path>) -> Option<String> {
        let bytes = self.read(path.as_ref()).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Lists the names in a directory in order; those that are no UTF-8 are no driver's.
    pub(super) fn list(&self, path: impl AsRef<Path>) -> io::Result<Vec<String>> {
        let directory = self.open(path.as_ref(), OFlags::RDONLY | OFlags::DIRECTORY)?;
        let mut names = Vec::new();
        for entry in fs::read_dir(descriptor_path(&directory))? {
            names.extend(entry?.file_name().into_string());
        }
        names.sort();
        Ok(names)
    }

    /// Returns where a path leads, links followed.
    pub(super) fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        let file = self.open(path, OFlags::PATH)?;
        let found = fs::read_link(descriptor_path(&file))?;
        let Some((_, root)) = &self.below else {
            return Ok(found);
        };
        match found.strip_prefix(root) {
            Ok(below) => Ok(Path::new("/").join(below)),
            Err(_) => Err(io::Error::from_raw_os_error(libc::EXDEV)),
        }
    }

    /// Returns where a file of this host is for the rest of the world, links followed.
    pub(super) fn outside(&self, path: &Path) -> io::Result<PathBuf> {
        let found = self.resolve(path)?;
        Ok(self.prefixed(&found))
    }

    /// As [`HostFs::outside`], but the last name is not followed if it is a link.
    pub(super) fn outside_itself(&self, path: &Path) -> io::Result<PathBuf> {
        match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) => Ok(self.outside(parent)?.join(name)),
            _ => self.outside(path),
        }
    }

    fn prefixed(&self, path: &Path) -> PathBuf {
        match &self.below {
            None => path.to_owned(),
            Some((_, root)) => root.join(path.strip_prefix("/").unwrap_or(path)),
        }
    }

    /// Returns the last name of where a link points, as `driver` in sysfs does.
    pub(super) fn link_name(&self, path: impl AsRef<Path>) -> Option<String> {
        let link = OFlags::PATH | OFlags::NOFOLLOW;
        let file = self.open(path.as_ref(), link).ok()?;
        let target = rustix::fs::readlinkat(&file, c"", Vec::new()).ok()?;
        let target = target.into_string().ok()?;
        target.rsplit('/').next().map(str::to_owned)
    }

    /// Returns whether something is there.
    pub(super) fn exists(&self, path: impl AsRef<Path>) -> bool {
        self.open(path.as_ref(), OFlags::PATH | OFlags::NOFOLLOW)
            .is_ok()
    }

    /// Returns what a path is, a link itself and not where it leads.
    pub(super) fn status(&self, path: &Path) -> io::Result<Status> {
        let file = self.open(path, OFlags::PATH | OFlags::NOFOLLOW)?;
        let found = statat(&file, c"", AtFlags::EMPTY_PATH)?;
        let kind = rustix::fs::FileType::from_raw_mode(found.st_mode);
        Ok(Status {
            numbers: (kind == rustix::fs::FileType::CharacterDevice).then(|| Numbers {
                major: rustix::fs::major(found.st_rdev),
                minor: rustix::fs::minor(found.st_rdev),
            }),
            mode: found.st_mode & 0o7777,
            uid: found.st_uid,
            gid: found.st_gid,
        })
    }

    pub(super) fn open(&self, path: &Path, flags: OFlags) -> io::Result<File> {
        let flags = flags | OFlags::CLOEXEC;
        let flags = match flags.contains(OFlags::PATH) {
            // openat2 takes no flag that means nothing.
            true => flags,
            false => flags | OFlags::NOCTTY,
        };
        let file = match &self.below {
            // Not every kernel that passes for Linux has openat2.
            None => rustix::fs::open(path, flags, Mode::empty())?,
            Some((root, _)) => openat2(root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT)?,
        };
        Ok(File::from(file))
    }
}

fn descriptor_path(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}
