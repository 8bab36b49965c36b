//! What a call is about to change.

use std::io;

use super::target::Target;
use super::times::Instant;
use crate::sys::memory;
use crate::sys::notify::Notification;

/// A change of files.
#[derive(Debug)]
pub enum Change {
    /// The content of one, which is made if there is none and `makes` is set.
    Write { target: Target, makes: bool },
    /// Something is made in a directory, if there is nothing of that name.
    Make(Target),
    /// Something is taken out of a directory.
    Remove(Target),
    /// Something is given another path.
    Move(Target, Target),
    /// Something is given one path more.
    Link(Target, Target),
}

/// `O_WRONLY`, `O_RDWR`, `O_CREAT` and `O_TRUNC`.
pub const WRITABLE: u32 = 0o1103;

impl Change {
    /// Reads what a call changes; `None` if that is nothing that has a time.
    ///
    /// # Errors
    /// Fails if a path cannot be read.
    pub fn of(call: &Notification) -> io::Result<Option<Change>> {
        let [first, second, third, fourth, fifth, ..] = call.arguments;
        let here = libc::AT_FDCWD as u64;
        let no_follow = |flags: u64| flags & libc::AT_SYMLINK_NOFOLLOW as u64 != 0;
        let at = |directory, path, follow| Target::at(call.thread, directory, path, follow);
        let name = |directory, path| at(directory, path, false);
        let write = |target| Change::Write {
            target,
            makes: false,
        };
        Ok(Some(match i64::from(call.call) {
            libc::SYS_open => return opens(second, |follow| at(here, first, follow)),
            libc::SYS_openat => return opens(third, |follow| at(first, second, follow)),
            libc::SYS_openat2 => {
                let mut flags = [0; 8];
                memory::read(call.thread, third, &mut flags)?;
                let flags = u64::from_le_bytes(flags);
                return opens(flags, |follow| at(first, second, follow));
            }
            libc::SYS_creat => Change::Write {
                target: at(here, first, true)?,
                makes: true,
            },
            libc::SYS_truncate => write(at(here, first, true)?),
            libc::SYS_ftruncate => write(Target::of_descriptor(first)),
            libc::SYS_utime | libc::SYS_utimes => write(at(here, first, true)?),
            libc::SYS_futimesat | libc::SYS_utimensat if second == 0 => {
                write(Target::of_descriptor(first))
            }
            libc::SYS_futimesat => write(at(first, second, true)?),
            libc::SYS_utimensat => write(at(first, second, !no_follow(fourth))?),
            libc::SYS_mkdir | libc::SYS_mknod => Change::Make(name(here, first)?),
            libc::SYS_mkdirat | libc::SYS_mknodat => Change::Make(name(first, second)?),
            libc::SYS_symlink => Change::Make(name(here, second)?),
            libc::SYS_symlinkat => Change::Make(name(second, third)?),
            libc::SYS_rmdir | libc::SYS_unlink => Change::Remove(name(here, first)?),
            libc::SYS_unlinkat => Change::Remove(name(first, second)?),
            libc::SYS_rename => Change::Move(name(here, first)?, name(here, second)?),
            libc::SYS_renameat | libc::SYS_renameat2 => {
                Change::Move(name(first, second)?, name(third, fourth)?)
            }
            libc::SYS_link => Change::Link(name(here, first)?, name(here, second)?),
            libc::SYS_linkat => {
                let follow = fifth & libc::AT_SYMLINK_FOLLOW as u64 != 0;
                Change::Link(at(first, second, follow)?, name(third, fourth)?)
            }
            _ => return Ok(None),
        }))
    }
}

/// What opening a file with these flags changes. An audit asks about other opens too.
fn opens(flags: u64, target: impl Fn(bool) -> io::Result<Target>) -> io::Result<Option<Change>> {
    let has = |flag: libc::c_int| flags & flag as u64 != 0;
    // One without a name is in no directory.
    if flags as u32 & WRITABLE == 0 || flags & libc::O_TMPFILE as u64 == libc::O_TMPFILE as u64 {
        return Ok(None);
    }
    let new = has(libc::O_CREAT) && has(libc::O_EXCL);
    let target = target(!new && !has(libc::O_NOFOLLOW))?;
    Ok(Some(match new {
        true => Change::Make(target),
        false => Change::Write {
            target,
            makes: has(libc::O_CREAT),
        },
    }))
}

/// The times that a call sets, but for those that are left to the kernel.
pub fn times_set(call: &Notification) -> Vec<Instant> {
    let (address, size, scale) = match i64::from(call.call) {
        libc::SYS_utime => (call.arguments[1], 16, 0),
        libc::SYS_utimes => (call.arguments[1], 32, 1000),
        libc::SYS_futimesat => (call.arguments[2], 32, 1000),
        libc::SYS_utimensat => (call.arguments[2], 32, 1),
        _ => return Vec::new(),
    };
    const SECOND: u32 = 1_000_000_000;
    let mut bytes = [0; 32];
    if address == 0 || memory::read(call.thread, address, &mut bytes[..size]).is_err() {
        return Vec::new();
    }
    let words: Vec<i64> = bytes[..size]
        .chunks_exact(8)
        .map(|word| i64::from_le_bytes(word.try_into().unwrap_or_default()))
        .collect();
    let pair = |pair: &[i64]| {
        // `UTIME_NOW` and `UTIME_OMIT` are above.
        let rest = u32::try_from(pair[1].checked_mul(scale)?).ok()?;
        (rest < SECOND).then_some((pair[0], rest))
    };
    match scale {
        0 => words.iter().map(|seconds| (*seconds, 0)).collect(),
        _ => words.chunks_exact(2).filter_map(pair).collect(),
    }
}
