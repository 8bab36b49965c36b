//! Waiting for children.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Errno;
use rustix::process::{WaitId, WaitIdOptions, waitid};

use super::read_proc_text;

/// Waits for the child behind a pidfd to end, and reaps it. There is nothing to wait for where the
/// caller ignores SIGCHLD, or somebody else in this process reaps every child.
///
/// # Errors
/// Passes on what the kernel says.
pub fn wait_child(pidfd: BorrowedFd<'_>) -> io::Result<()> {
    loop {
        match waitid(WaitId::PidFd(pidfd), WaitIdOptions::EXITED) {
            Err(Errno::INTR) => {}
            Ok(_) | Err(Errno::CHILD) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Reaps the child behind a pidfd if it has ended, and returns whether it is gone.
pub fn reap(pidfd: BorrowedFd<'_>) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    // An error says that it is no child of ours any more.
    !matches!(waitid(WaitId::PidFd(pidfd), options), Ok(None))
}

/// Reaps children that ended, until one of `ours` is among them: that one is waited for elsewhere.
///
/// # Errors
/// Passes on what the kernel says.
pub fn reap_others(ours: &[u32]) -> io::Result<()> {
    while let Some(process) = ended(libc::P_ALL, 0, libc::WNOWAIT)? {
        if ours.contains(&process) {
            break;
        }
        ended(libc::P_PID, process, 0)?;
    }
    Ok(())
}

/// Finds a child that ended.
fn ended(kind: libc::idtype_t, process: u32, option: libc::c_int) -> io::Result<Option<u32>> {
    // SAFETY: all zero is a valid siginfo_t: integers and pointers that are only written here.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let options = libc::WEXITED | libc::WNOHANG | option;
    // SAFETY: `info` is writable.
    let result = unsafe { libc::waitid(kind, process, &raw mut info, options) };
    match (result, io::Error::last_os_error()) {
        // SAFETY: the kernel filled in the part for children, or left zeros.
        (0, _) => Ok(Some(unsafe { info.si_pid() } as u32).filter(|process| *process != 0)),
        (_, error) if error.raw_os_error() == Some(libc::ECHILD) => Ok(None),
        (_, error) => Err(error),
    }
}

/// Returns the process behind a pidfd.
pub fn process_of(pidfd: BorrowedFd<'_>) -> Option<u32> {
    let path = format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd());
    let text = read_proc_text(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pid:"))?;
    line.trim().parse().ok()
}
