//! Waiting for a child with its resource usage.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

/// What a child and everything it waited for used.
#[derive(Clone, Copy, Debug)]
pub struct ChildUsage {
    /// Time in user mode.
    pub user: Duration,
    /// Time in the kernel.
    pub system: Duration,
    /// The largest resident set of any process among them, in bytes.
    pub max_rss: u64,
}

/// Waits for the child behind a pidfd to end and reaps it. What it used is zero if nobody can tell:
/// the caller ignores SIGCHLD, or somebody else in this process reaps every child.
///
/// # Errors
/// Passes on what the kernel says.
pub fn wait_child(pidfd: BorrowedFd<'_>) -> io::Result<ChildUsage> {
    // SAFETY: all zero is a valid siginfo_t: integers and pointers that are only written here.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    // SAFETY: all zero is a valid rusage: it is made of integers.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        // The libc wrapper hides the fifth argument, the usage.
        // SAFETY: the descriptor is open by its type; both pointers are writable and live.
        let result = unsafe {
            libc::syscall(
                libc::SYS_waitid,
                libc::P_PIDFD,
                pidfd.as_raw_fd(),
                &raw mut info,
                libc::WEXITED,
                &raw mut usage,
            )
        };
        if result == 0 {
            break;
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EINTR) => {}
            Some(libc::ECHILD) => break,
            _ => return Err(error),
        }
    }
    const KIBIBYTE: u64 = 1024;
    Ok(ChildUsage {
        user: duration(usage.ru_utime),
        system: duration(usage.ru_stime),
        max_rss: u64::try_from(usage.ru_maxrss).unwrap_or(0) * KIBIBYTE,
    })
}

fn duration(time: libc::timeval) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_micros(u64::try_from(time.tv_usec).unwrap_or(0))
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
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pid:"))?;
    line.trim().parse().ok()
}
