//! The file that a call names.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::sys::memory;
use crate::sys::notify::Notification;

/// What a call looks at.
#[derive(Debug)]
pub struct Target {
    /// The descriptor that a relative path starts at, or that is meant itself.
    pub descriptor: i32,
    /// Empty for the descriptor itself.
    pub path: PathBuf,
    /// Whether a link at its end is followed.
    pub follow: bool,
}

/// `AT_EMPTY_PATH`.
const EMPTY_PATH: u32 = libc::AT_EMPTY_PATH as u32;
const NO_FOLLOW: u32 = libc::AT_SYMLINK_NOFOLLOW as u32;

impl Target {
    /// An absolute path.
    pub fn absolute(path: PathBuf) -> Target {
        Target {
            descriptor: libc::AT_FDCWD,
            path,
            follow: true,
        }
    }

    /// A descriptor, as a call has it.
    pub fn of_descriptor(descriptor: u64) -> Target {
        Target {
            descriptor: descriptor as i32,
            path: PathBuf::new(),
            follow: true,
        }
    }

    /// Reads a path, and takes the descriptor that it may start at.
    ///
    /// # Errors
    /// Fails if the path cannot be read.
    pub fn at(thread: u32, descriptor: u64, path: u64, follow: bool) -> io::Result<Target> {
        Ok(Target {
            descriptor: descriptor as i32,
            path: text(thread, path)?,
            follow,
        })
    }

    /// The directory that it is in, and its name there.
    pub fn split(&self) -> Option<(Target, OsString)> {
        let name = self.path.file_name()?.to_owned();
        let parent = self.path.parent().unwrap_or(Path::new(""));
        let parent = Target {
            descriptor: self.descriptor,
            path: parent.to_owned(),
            follow: true,
        };
        Some((parent, name))
    }

    /// Reads what `open` or `openat` opens.
    ///
    /// # Errors
    /// Fails if the path cannot be read.
    pub fn opened(call: &Notification) -> io::Result<Target> {
        let [first, second, third, ..] = call.arguments;
        let (descriptor, path, flags) = match i64::from(call.call) {
            libc::SYS_open => (libc::AT_FDCWD as u64, first, second),
            _ => (first, second, third),
        };
        let follow = flags & libc::O_NOFOLLOW as u64 == 0;
        Target::at(call.thread, descriptor, path, follow)
    }

    /// Reads what a call looks at; `None` if that is for the kernel to refuse.
    ///
    /// # Errors
    /// Fails if the path cannot be read.
    pub fn of(call: &Notification) -> io::Result<Option<Target>> {
        let [first, second, third, fourth, ..] = call.arguments;
        let plain = |path, follow| {
            (
                libc::AT_FDCWD,
                Some(path),
                if follow { 0 } else { NO_FOLLOW },
            )
        };
        let (descriptor, path, flags) = match i64::from(call.call) {
            libc::SYS_stat | libc::SYS_statfs => plain(first, true),
            libc::SYS_lstat => plain(first, false),
            libc::SYS_newfstatat => (first as i32, Some(second), fourth as u32),
            libc::SYS_statx if fourth as u32 & libc::STATX__RESERVED as u32 != 0 => {
                return Ok(None);
            }
            libc::SYS_statx => (first as i32, Some(second), third as u32),
            _ => (first as i32, None, EMPTY_PATH),
        };
        const KNOWN: u32 = EMPTY_PATH | NO_FOLLOW | libc::AT_NO_AUTOMOUNT as u32;
        const SYNC: u32 = libc::AT_STATX_FORCE_SYNC as u32 | libc::AT_STATX_DONT_SYNC as u32;
        let sync = if i64::from(call.call) == libc::SYS_statx {
            SYNC
        } else {
            0
        };
        if flags & !(KNOWN | sync) != 0 || flags & SYNC == SYNC {
            return Ok(None);
        }
        let path = match path {
            Some(address) => text(call.thread, address)?,
            None => PathBuf::new(),
        };
        let empty = path.as_os_str().is_empty();
        Ok((!empty || flags & EMPTY_PATH != 0).then_some(Target {
            descriptor,
            path,
            follow: flags & NO_FOLLOW == 0,
        }))
    }
}

/// Reads a path of a thread, without reading over the end of its memory.
fn text(thread: u32, address: u64) -> io::Result<PathBuf> {
    const PAGE: u64 = 4096;
    /// Most paths are shorter.
    const FIRST: u64 = 256;
    let mut bytes = Vec::new();
    while bytes.len() < libc::PATH_MAX as usize {
        let at = address.wrapping_add(bytes.len() as u64);
        let most = if bytes.is_empty() { FIRST } else { PAGE };
        let size = most.min(PAGE - at % PAGE) as usize;
        let start = bytes.len();
        bytes.resize(start + size, 0);
        memory::read(thread, at, &mut bytes[start..])?;
        if let Some(end) = bytes[start..].iter().position(|byte| *byte == 0) {
            bytes.truncate(start + end);
            return match bytes.len() < libc::PATH_MAX as usize {
                true => Ok(PathBuf::from(OsString::from_vec(bytes))),
                false => Err(Errno::NAMETOOLONG.into()),
            };
        }
    }
    Err(Errno::NAMETOOLONG.into())
}
