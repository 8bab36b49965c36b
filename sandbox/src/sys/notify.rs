//! Seccomp user notification (`linux/seccomp.h`): calls of a step that wait for our answer.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// A system call that waits for an answer: `struct seccomp_notif`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Notification {
    /// What the answer has to name.
    pub id: u64,
    /// The thread that called, as seen from here.
    pub thread: u32,
    flags: u32,
    /// The number of the call.
    pub call: i32,
    /// The `AUDIT_ARCH_*` it was made for.
    pub arch: u32,
    /// Where the thread goes on.
    pub instruction: u64,
    /// The arguments.
    pub arguments: [u64; 6],
}

/// What a call is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// This value.
    Value(i64),
    /// This error number.
    Error(i32),
    /// Whatever the kernel says: the call is made.
    Continue,
}

/// `struct seccomp_notif_resp`.
#[repr(C)]
struct Response {
    id: u64,
    value: i64,
    error: i32,
    flags: u32,
}

/// `struct seccomp_notif_addfd`.
#[repr(C)]
struct Added {
    id: u64,
    flags: u32,
    file: i32,
    number: u32,
    number_flags: i32,
}

// `_IOWR('!', 0, struct seccomp_notif)` and so on.
const RECEIVE: libc::c_ulong = 0xc050_2100;
const SEND: libc::c_ulong = 0xc018_2101;
const ADD: libc::c_ulong = 0x4018_2103;
const SET_FLAGS: libc::c_ulong = 0x4008_2104;
/// With the direction that it had first, which every kernel still takes.
const IS_VALID: libc::c_ulong = 0x8008_2102;

/// Asks the kernel to run us where the thread that waits for us ran (Linux 6.6). Without that,
/// answers take longer.
pub fn wake_in_place(listener: BorrowedFd<'_>) {
    const SYNC_WAKE_UP: u64 = 1;
    // SAFETY: this request takes a number.
    let _ = unsafe { libc::ioctl(listener.as_raw_fd(), SET_FLAGS, SYNC_WAKE_UP) };
}

/// Takes the next notification; `None` if its thread was interrupted or died meanwhile.
///
/// # Errors
/// Passes on what the kernel says.
pub fn receive(listener: BorrowedFd<'_>) -> io::Result<Option<Notification>> {
    let mut notification = Notification::default();
    // SAFETY: the kernel writes one struct seccomp_notif, whose size is part of the request number.
    let result = unsafe { libc::ioctl(listener.as_raw_fd(), RECEIVE, &raw mut notification) };
    match (result, io::Error::last_os_error()) {
        (0, _) => Ok(Some(notification)),
        (_, error) if is_gone(&error) => Ok(None),
        (_, error) => Err(error),
    }
}

/// Whether the thread of a call still waits for an answer: nothing is written for one that a signal has
/// taken elsewhere, for what was there may be something else by now.
pub fn is_waiting(listener: BorrowedFd<'_>, id: u64) -> bool {
    // SAFETY: the kernel reads one number.
    unsafe { libc::ioctl(listener.as_raw_fd(), IS_VALID, &raw const id) == 0 }
}

/// Answers a call. Returns whether the answer arrived: its thread may have been interrupted by a
/// signal, and will then ask again, or be dead.
///
/// # Errors
/// Passes on what the kernel says.
pub fn answer(listener: BorrowedFd<'_>, id: u64, answer: Answer) -> io::Result<bool> {
    /// `SECCOMP_USER_NOTIF_FLAG_CONTINUE`.
    const CONTINUE: u32 = 1;
    let (value, error, flags) = match answer {
        Answer::Value(value) => (value, 0, 0),
        Answer::Error(number) => (0, -number, 0),
        Answer::Continue => (0, 0, CONTINUE),
    };
    let response = Response {
        id,
        value,
        error,
        flags,
    };
    // SAFETY: the kernel reads one struct seccomp_notif_resp.
    let result = unsafe { libc::ioctl(listener.as_raw_fd(), SEND, &raw const response) };
    match (result, io::Error::last_os_error()) {
        (0, _) => Ok(true),
        (_, error) if is_gone(&error) => Ok(false),
        (_, error) => Err(error),
    }
}

/// Answers a call with a descriptor of its own for a file of ours, which is closed on exec if `flags`
/// has `O_CLOEXEC`. Returns whether the answer arrived.
///
/// # Errors
/// Passes on what the kernel says: before Linux 5.14 it cannot. The call still waits then.
pub fn give(
    listener: BorrowedFd<'_>,
    id: u64,
    file: BorrowedFd<'_>,
    flags: i32,
) -> io::Result<bool> {
    /// `SECCOMP_ADDFD_FLAG_SEND`.
    const SEND_IT: u32 = 2;
    let added = Added {
        id,
        flags: SEND_IT,
        file: file.as_raw_fd(),
        number: 0,
        number_flags: flags & libc::O_CLOEXEC,
    };
    match add(listener, &added) {
        Ok(()) => Ok(true),
        Err(error) if is_gone(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Puts a file of ours in the place of a descriptor of a thread that waits for an answer; `flags` as
/// for [`give`].
///
/// # Errors
/// Passes on what the kernel says.
pub fn replace(
    listener: BorrowedFd<'_>,
    id: u64,
    file: BorrowedFd<'_>,
    descriptor: u32,
    flags: i32,
) -> io::Result<()> {
    /// `SECCOMP_ADDFD_FLAG_SETFD`.
    const AT: u32 = 1;
    let added = Added {
        id,
        flags: AT,
        file: file.as_raw_fd(),
        number: descriptor,
        number_flags: flags & libc::O_CLOEXEC,
    };
    add(listener, &added)
}

fn add(listener: BorrowedFd<'_>, added: &Added) -> io::Result<()> {
    // SAFETY: the kernel reads one struct seccomp_notif_addfd, whose size is part of the request
    // number.
    match unsafe { libc::ioctl(listener.as_raw_fd(), ADD, &raw const *added) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINTR))
}
