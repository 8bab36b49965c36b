//! Finding the file that a call means, as the thread that calls finds it.
//!
//! A path is walked by the kernel, from the step's root or from the open directory of its thread,
//! and cannot leave the root. What only the kernel can do for the thread itself (magic links of
//! `/proc`) fails here, and the call is made.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, ResolveFlags, Statx, StatxFlags, openat, openat2, readlinkat, statx,
};
use rustix::io::Errno;

use super::target::Target;

/// A file that was found.
#[derive(Debug)]
pub struct Found {
    /// What the kernel says of it.
    pub status: Statx,
    place: Place,
}

#[derive(Debug)]
enum Place {
    /// It was opened, by a path that may lead through links.
    Opened(OwnedFd),
    /// It was opened, by a path that is its own.
    Named(OwnedFd, PathBuf),
    /// It is a thread's, with this link to it.
    Link(PathBuf),
    /// It is a thread's descriptor: the directory of those, and its name there.
    Descriptor(Arc<OwnedFd>, PathBuf),
}

/// How what was found is opened, to ask for more.
const FOUND: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

/// The root of the step, and its namespaces.
#[derive(Debug)]
pub struct Home {
    root: OwnedFd,
    places: [(u64, u64); 3],
    /// The thread that looked last, and the directory of its descriptors in `/proc`. It belongs to
    /// the thread, not to its number: when the thread is gone, nothing is found in it.
    last: Option<(u32, Arc<OwnedFd>)>,
}

impl Home {
    /// Takes those of a thread.
    ///
    /// # Errors
    /// Fails if they cannot be had.
    pub fn of(thread: u32) -> io::Result<Home> {
        Ok(Home {
            root: directory(&format!("/proc/{thread}/root"))?,
            places: places(thread)?,
            last: None,
        })
    }

    /// Whether a thread has the same.
    pub fn is_of(&self, thread: u32) -> bool {
        places(thread).is_ok_and(|places| places == self.places)
    }

    /// Finds what a call of a thread looks at.
    ///
    /// # Errors
    /// Fails if it cannot be found without the thread.
    pub fn find(&mut self, thread: u32, target: &Target) -> io::Result<Found> {
        if target.path.as_os_str().is_empty() && target.descriptor >= 0 {
            return self.descriptor(thread, target.descriptor);
        }
        let link = match target.descriptor {
            libc::AT_FDCWD => format!("/proc/{thread}/cwd"),
            descriptor if descriptor < 0 => return Err(Errno::BADF.into()),
            descriptor => format!("/proc/{thread}/fd/{descriptor}"),
        };
        if target.path.as_os_str().is_empty() {
            return Found::of_link(PathBuf::from(link));
        }
        if target.path.is_absolute() {
            return self.walk(&target.path, target.follow);
        }
        let start = directory(&link)?;
        match open(
            start.as_fd(),
            &target.path,
            target.follow,
            ResolveFlags::BENEATH,
        ) {
            Ok(file) => Found::opened(file),
            // Through `..` or a link to an absolute path: by the path of the directory, if it is
            // there.
            Err(Errno::XDEV) => {
                let path = link_of(start.as_fd())?;
                let again = self.walk(&path, true)?;
                let start = Found::opened(start)?;
                if again.identity() != start.identity() {
                    return Err(Errno::NOENT.into());
                }
                self.walk(&path.join(&target.path), target.follow)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Finds what a descriptor of a thread is open on.
    ///
    /// # Errors
    /// Fails if there is none.
    pub fn descriptor(&mut self, thread: u32, descriptor: i32) -> io::Result<Found> {
        let name = PathBuf::from(descriptor.to_string());
        if let Some((of, open)) = &self.last
            && *of == thread
            && let Ok(status) = statx(open, &name, AtFlags::empty(), wanted())
        {
            let place = Place::Descriptor(Arc::clone(open), name);
            return Ok(Found { status, place });
        }
        let open = Arc::new(directory(&format!("/proc/{thread}/fd"))?);
        let status = statx(&open, &name, AtFlags::empty(), wanted())?;
        let place = Place::Descriptor(Arc::clone(&open), name);
        self.last = Some((thread, open));
        Ok(Found { status, place })
    }

    fn walk(&self, path: &Path, follow: bool) -> io::Result<Found> {
        if is_clean(path) {
            let flags = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
            match open(self.root.as_fd(), path, follow, flags) {
                Ok(file) => {
                    let status = status(file.as_fd())?;
                    // A link itself has its own name too.
                    let place = Place::Named(file, path.to_owned());
                    return Ok(Found { status, place });
                }
                // It leads through links.
                Err(Errno::LOOP) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Found::opened(open(
            self.root.as_fd(),
            path,
            follow,
            ResolveFlags::IN_ROOT,
        )?)
    }
}

impl Found {
    fn of_link(link: PathBuf) -> io::Result<Found> {
        Ok(Found {
            status: statx(CWD, &link, AtFlags::empty(), wanted())?,
            place: Place::Link(link),
        })
    }

    fn opened(file: OwnedFd) -> io::Result<Found> {
        Ok(Found {
            status: status(file.as_fd())?,
            place: Place::Opened(file),
        })
    }

    /// Whether it was found by a path that is its own: an absolute one, without links.
    pub fn is_named(&self) -> bool {
        matches!(self.place, Place::Named(..))
    }

    /// Its path inside.
    ///
    /// # Errors
    /// Fails if the kernel does not tell.
    pub fn path(&self) -> io::Result<PathBuf> {
        match &self.place {
            Place::Named(_, path) => Ok(path.clone()),
            Place::Opened(file) => link_of(file.as_fd()),
            Place::Link(link) => read_link(CWD, link),
            Place::Descriptor(open, name) => read_link(open.as_fd(), name),
        }
    }

    /// A descriptor of it, to ask for more.
    ///
    /// # Errors
    /// Fails if it cannot be opened.
    pub fn descriptor(&self) -> io::Result<OwnedFd> {
        Ok(match &self.place {
            Place::Named(file, _) | Place::Opened(file) => file.try_clone()?,
            Place::Link(link) => openat(CWD, link, FOUND, Mode::empty())?,
            Place::Descriptor(open, name) => openat(open, name, FOUND, Mode::empty())?,
        })
    }

    fn identity(&self) -> (u64, u64, u32, u32) {
        let status = &self.status;
        let (major, minor) = (status.stx_dev_major, status.stx_dev_minor);
        (status.stx_mnt_id, status.stx_ino, major, minor)
    }
}

/// The root and the namespaces of a thread, by what the kernel numbers them.
fn places(thread: u32) -> io::Result<[(u64, u64); 3]> {
    let mut places = [(0, 0); 3];
    for (place, name) in places.iter_mut().zip(["root", "ns/mnt", "ns/user"]) {
        let path = format!("/proc/{thread}/{name}");
        let status = statx(CWD, path, AtFlags::empty(), wanted())?;
        *place = (status.stx_mnt_id, status.stx_ino);
    }
    Ok(places)
}

fn directory(path: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(CWD, path, flags, Mode::empty())
}

fn open(
    start: BorrowedFd<'_>,
    path: &Path,
    follow: bool,
    resolve: ResolveFlags,
) -> Result<OwnedFd, Errno> {
    let mut flags = OFlags::PATH | OFlags::CLOEXEC;
    if !follow {
        flags |= OFlags::NOFOLLOW;
    }
    // A rename or a mount anywhere on the host, while the kernel walks through `..`, makes it ask to
    // be asked again.
    const TRIES: usize = 1000;
    let mut tries = (0..TRIES).map(|_| openat2(start, path, flags, Mode::empty(), resolve));
    let again = |result: &Result<OwnedFd, Errno>| matches!(result, Err(Errno::AGAIN));
    tries
        .find(|result| !again(result))
        .unwrap_or(Err(Errno::AGAIN))
}

fn status(file: BorrowedFd<'_>) -> Result<Statx, Errno> {
    statx(file, c"", AtFlags::EMPTY_PATH, wanted())
}

fn wanted() -> StatxFlags {
    StatxFlags::BASIC_STATS | StatxFlags::BTIME | StatxFlags::MNT_ID
}

/// Whether a path is absolute and names each directory once.
fn is_clean(path: &Path) -> bool {
    let bytes = path.as_os_str().as_bytes();
    let names = bytes.strip_prefix(b"/").unwrap_or_default();
    bytes == b"/"
        || names
            .split(|byte| *byte == b'/')
            .all(|name| !matches!(name, b"" | b"." | b".."))
}

fn link_of(file: BorrowedFd<'_>) -> io::Result<PathBuf> {
    let link = format!("/proc/self/fd/{}", file.as_raw_fd());
    read_link(CWD, Path::new(&link))
}

fn read_link(start: BorrowedFd<'_>, link: &Path) -> io::Result<PathBuf> {
    let text: CString = readlinkat(start, link, Vec::with_capacity(256))?;
    Ok(PathBuf::from(OsStr::from_bytes(text.as_bytes())))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::is_clean;

    #[test]
    fn only_a_path_that_is_its_own_is_taken_as_it_stands() {
        for path in ["/", "/a", "/a/.b", "/a/b..", "/...", "/a b"] {
            assert!(is_clean(Path::new(path)), "{path}");
        }
        for path in [
            "", "a", "//", "/a/", "//a", "/a//b", "/.", "/a/..", "/../a", "/a/./b",
        ] {
            assert!(!is_clean(Path::new(path)), "{path}");
        }
    }
}
