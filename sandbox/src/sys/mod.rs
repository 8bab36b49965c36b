//! The only `unsafe` of the library: what rustix does not wrap. No policy.
//!
//! Comes in: descriptors and numbers. Goes out: owned descriptors, plain values, `io::Error`.
//! There is no `pre_exec` either: init takes what it needs from the socket it is started with.
#![expect(unsafe_code, reason = "the one module of the library that may")]

pub mod memory;
pub mod notify;
pub mod nvidia;
mod proc;
pub mod processor;
mod signals;
pub mod trace;
mod wait;

pub use proc::{read_proc, read_proc_text};
pub use signals::{Caught, SignalRelay, mirror_signal};
pub use wait::{process_of, reap, reap_others, wait_child};

use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd};

use rustix::mount::{MountPropagationFlags, mount_change};

/// Gives this thread, and what it starts, a host name and mounts of their own: what is changed of
/// them from here on, nobody else sees. Needs root.
///
/// # Errors
/// Passes on what the kernel says.
pub fn own_host_name_and_mounts() -> io::Result<()> {
    // SAFETY: takes flags alone; neither of these shares or closes memory or descriptors.
    match unsafe { libc::unshare(libc::CLONE_NEWUTS | libc::CLONE_NEWNS) } {
        0 => {}
        _ => return Err(io::Error::last_os_error()),
    }
    let whole = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    Ok(mount_change("/", whole)?)
}

/// Returns a copy of a descriptor that this process was started with, and sees to it that no program
/// it starts gets the original.
///
/// # Errors
/// Fails if there is none of that number.
pub fn inherited_descriptor(number: u16) -> io::Result<OwnedFd> {
    let number = libc::c_int::from(number);
    // SAFETY: takes numbers alone, and says so if the first is no descriptor.
    let copy = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) };
    if copy < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: as above; sets a flag of the descriptor.
    let _best = unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
    // SAFETY: the kernel has just made it, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// Returns whether the kernel knows a seccomp return action.
///
/// # Errors
/// Fails if the kernel has no seccomp filters at all.
pub fn seccomp_action_available(action: u32) -> io::Result<bool> {
    // SAFETY: SECCOMP_GET_ACTION_AVAIL takes no flags and reads one u32, which `action` is.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_GET_ACTION_AVAIL,
            0,
            &raw const action,
        )
    };
    match result {
        0 => Ok(true),
        _ => match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(false),
            error => Err(error),
        },
    }
}

/// Returns the version of the Landlock interface.
///
/// # Errors
/// Fails if the kernel lacks Landlock or it is off.
pub fn landlock_version() -> io::Result<u32> {
    const LANDLOCK_CREATE_RULESET_VERSION: usize = 1;
    let none = std::ptr::null::<u8>();
    // SAFETY: with this flag the call takes a null pointer and size zero, and only answers.
    let result = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            none,
            0_usize,
            LANDLOCK_CREATE_RULESET_VERSION,
        )
    };
    u32::try_from(result).map_err(|_| io::Error::last_os_error())
}
