//! What init asks of the kernel, with safe signatures where the types can carry the preconditions.

use core::ffi::CStr;
use core::marker::PhantomData;
use core::mem::size_of;

use crate::plan::Used;
use crate::syscall::{Result, call, number};

/// Opens only as a place in the tree.
pub const O_PATH: usize = 0o10_000_000;
/// Creates the file.
pub const O_CREAT: usize = 0o100;
/// Reads and writes.
pub const O_RDWR: usize = 2;
/// Writes.
pub const O_WRONLY: usize = 1;
/// Does not make a terminal the controlling one.
pub const O_NOCTTY: usize = 0o400;
/// Refuses a symbolic link.
pub const O_NOFOLLOW: usize = 0o400_000;
/// Closes on exec.
pub const O_CLOEXEC: usize = 0o2_000_000;
/// The working directory, as a directory descriptor.
pub const AT_FDCWD: i32 = -100;
/// An empty path names the descriptor itself.
pub const AT_EMPTY_PATH: usize = 0x1000;
/// Applies to everything mounted below, too.
pub const AT_RECURSIVE: usize = 0x8000;

/// A string with a terminator that lives as long as the plan or the program.
#[derive(Clone, Copy)]
pub struct Text<'a> {
    start: *const u8,
    life: PhantomData<&'a u8>,
}

impl<'a> Text<'a> {
    /// # Safety
    /// `start` must point to a terminated string that stays valid and unchanged for `'a`.
    pub unsafe fn new(start: *const u8) -> Text<'a> {
        Text {
            start,
            life: PhantomData,
        }
    }

    /// The address to hand to the kernel.
    pub fn address(self) -> usize {
        self.start as usize
    }
}

impl From<&'static CStr> for Text<'static> {
    fn from(text: &'static CStr) -> Self {
        Text {
            start: text.as_ptr().cast(),
            life: PhantomData,
        }
    }
}

/// The address of a value that the kernel reads.
pub fn address<T: ?Sized>(value: &T) -> usize {
    core::ptr::from_ref(value).cast::<u8>() as usize
}

/// Ends the process.
pub fn exit(status: i32) -> ! {
    loop {
        // SAFETY: exit_group takes no pointers and does not return.
        let _ = unsafe { call(number::EXIT_GROUP, [status as usize]) };
    }
}

/// Closes a descriptor that nothing else uses.
pub fn close(descriptor: i32) {
    // SAFETY: no pointers. Descriptors are plain numbers here and owned by this program.
    let _ = unsafe { call(number::CLOSE, [descriptor as usize]) };
}

/// Closes (or, with the flag 4, marks close-on-exec) all descriptors from `first` to `last`.
pub fn close_range(first: u32, last: u32, flags: usize) -> Result<()> {
    // SAFETY: no pointers.
    unsafe { call(number::CLOSE_RANGE, [first as usize, last as usize, flags]) }.map(drop)
}

/// Duplicates a descriptor as exactly `to`, closing what was there.
pub fn duplicate(from: i32, to: i32, flags: usize) -> Result<()> {
    // SAFETY: no pointers.
    unsafe { call(number::DUP3, [from as usize, to as usize, flags]) }.map(drop)
}

/// Duplicates a descriptor as the lowest free number of at least `least`, close-on-exec.
pub fn duplicate_above(from: i32, least: usize) -> Result<i32> {
    const F_DUPFD_CLOEXEC: usize = 1030;
    // SAFETY: this fcntl takes no pointer.
    unsafe { call(number::FCNTL, [from as usize, F_DUPFD_CLOEXEC, least]) }.map(|fd| fd as i32)
}

/// Opens a path with plain resolution; only for paths that this program itself names.
pub fn open(directory: i32, path: Text<'_>, flags: usize, mode: usize) -> Result<i32> {
    let arguments = [directory as usize, path.address(), flags | O_CLOEXEC, mode];
    // SAFETY: the path is terminated by the invariant of `Text`.
    unsafe { call(number::OPENAT, arguments) }.map(|fd| fd as i32)
}

/// Opens a path as seen from `root`: no `..` and no link leads out.
pub fn open_inside(root: i32, path: Text<'_>) -> Result<i32> {
    const RESOLVE_NO_MAGICLINKS: u64 = 2;
    const RESOLVE_IN_ROOT: u64 = 16;
    open_resolved(root, path, RESOLVE_NO_MAGICLINKS | RESOLVE_IN_ROOT)
}

/// Opens a path, and fails where it leads from one mount to another.
pub fn open_on_this_mount(path: Text<'_>) -> Result<i32> {
    const RESOLVE_NO_XDEV: u64 = 1;
    open_resolved(AT_FDCWD, path, RESOLVE_NO_XDEV)
}

fn open_resolved(directory: i32, path: Text<'_>, resolve: u64) -> Result<i32> {
    let how = [(O_PATH | O_CLOEXEC) as u64, 0, resolve];
    let arguments = [
        directory as usize,
        path.address(),
        address(&how),
        size_of::<[u64; 3]>(),
    ];
    // SAFETY: `how` has the layout of struct open_how and the path is terminated.
    unsafe { call(number::OPENAT2, arguments) }.map(|fd| fd as i32)
}

/// Writes bytes with one call; files of `/proc` take a setting only as a whole.
pub fn write(descriptor: i32, bytes: &[u8]) -> Result<()> {
    // SAFETY: the pointer and the length come from one slice.
    unsafe {
        call(
            number::WRITE,
            [descriptor as usize, address(bytes), bytes.len()],
        )
    }
    .map(drop)
}

/// Writes a setting into a file.
pub fn write_file(path: &'static CStr, bytes: &[u8]) -> Result<()> {
    let file = open(AT_FDCWD, Text::from(path), O_WRONLY, 0)?;
    let result = write(file, bytes);
    close(file);
    result
}

/// Enters new namespaces.
pub fn unshare(flags: u64) -> Result<()> {
    // SAFETY: no pointers; the program has one thread.
    unsafe { call(number::UNSHARE, [flags as usize]) }.map(drop)
}

/// Copies this process. Returns zero in the copy and else the pid, and the pidfd if asked for.
pub fn fork(flags: usize) -> Result<(i32, i32)> {
    const SIGCHLD: usize = 17;
    let mut pidfd = -1_i32;
    let out = core::ptr::from_mut(&mut pidfd) as usize;
    // SAFETY: without CLONE_VM the copy has its own memory, so it may return from here on the
    // same stack. `out` is a valid place for the pidfd, written before the call returns.
    let pid = unsafe { call(number::CLONE, [flags | SIGCHLD, 0, out, 0, 0]) }?;
    Ok((pid as i32, pidfd))
}

/// `prctl` with numeric arguments only.
pub fn prctl(option: usize, argument: usize, second: usize) -> Result<usize> {
    // SAFETY: the options used here (see the callers) take numbers, not pointers.
    unsafe { call(number::PRCTL, [option, argument, second, 0, 0]) }
}

/// Sets the name of this process: its executable has none but a descriptor number.
pub fn set_name(name: &'static CStr) {
    const PR_SET_NAME: usize = 15;
    // SAFETY: the name is terminated. It is for people; a failure would not matter.
    let _ = unsafe { call(number::PRCTL, [PR_SET_NAME, Text::from(name).address()]) };
}

/// Sends a signal to a process of this pid namespace, or to a group if negative.
pub fn kill(process: i32, signal: u32) -> Result<()> {
    // SAFETY: no pointers.
    unsafe { call(number::KILL, [process as isize as usize, signal as usize]) }.map(drop)
}

/// What became of a child: its pid, the `CLD_*` code and the status.
#[derive(Clone, Copy)]
pub struct Ended {
    pub process: i32,
    pub code: i32,
    pub status: i32,
}

/// Waits for a child with the given `WEXITED`-style options; `None` if there is none to report.
pub fn wait(kind: usize, process: i32, options: usize) -> Result<Option<Ended>> {
    // struct siginfo: 128 bytes; signo, errno, code, a gap, pid, uid, status.
    let mut info = [0_i32; 32];
    let out = core::ptr::from_mut(&mut info) as usize;
    // SAFETY: `out` is a writable siginfo_t; a null rusage is allowed.
    unsafe { call(number::WAITID, [kind, process as usize, out, options, 0]) }?;
    if info[0] == 0 {
        return Ok(None);
    }
    Ok(Some(Ended {
        process: info[4],
        code: info[2],
        status: info[6],
    }))
}

/// Returns what this process and all that it reaped used.
pub fn used() -> Used {
    const OURS: usize = 0;
    const CHILDREN: usize = usize::MAX;
    let [own, children] = [OURS, CHILDREN].map(|who| {
        // struct rusage: two times, the resident set and 13 words of no interest.
        let mut words = [0_u64; 18];
        let out = core::ptr::from_mut(&mut words) as usize;
        // SAFETY: `out` is a writable struct rusage. It cannot fail: who is asked about is known.
        let _ = unsafe { call(number::GETRUSAGE, [who, out]) };
        words
    });
    let time = |words: &[u64; 18], at: usize| words[at] * 1_000_000 + words[at + 1];
    Used {
        user: time(&own, 0) + time(&children, 0),
        system: time(&own, 2) + time(&children, 2),
        max_rss: own[4].max(children[4]),
    }
}

/// Waits for events on descriptors.
pub fn poll(entries: &mut [Poll]) -> Result<usize> {
    let start = entries.as_mut_ptr() as usize;
    // SAFETY: the pointer and the count come from one slice of `struct pollfd`s.
    unsafe { call(number::POLL, [start, entries.len(), usize::MAX]) }
}

/// Lets another process run.
pub fn yield_now() {
    // SAFETY: no arguments.
    let _ = unsafe { call(number::SCHED_YIELD, []) };
}

/// `struct pollfd`.
#[repr(C)]
pub struct Poll {
    pub descriptor: i32,
    pub events: i16,
    pub happened: i16,
}

/// Blocks exactly the signals of the set.
pub fn set_signal_mask(set: u64) -> Result<()> {
    const SIG_SETMASK: usize = 2;
    // SAFETY: the set is 8 bytes, as said; a null old set is allowed.
    unsafe { call(number::RT_SIGPROCMASK, [SIG_SETMASK, address(&set), 0, 8]) }.map(drop)
}

/// Gives every signal its default action: what the caller ignored would else reach the step.
pub fn reset_signal_actions() {
    let default = [0_u64; 4];
    for signal in 1..=64 {
        // SAFETY: all zero is a valid struct sigaction: SIG_DFL, no flags, empty mask. KILL and
        // STOP are refused, which is harmless.
        let _ = unsafe { call(number::RT_SIGACTION, [signal, address(&default), 0, 8]) };
    }
}

/// Makes a descriptor that turns readable on the signals of the set.
pub fn signal_descriptor(set: u64) -> Result<i32> {
    // SAFETY: the set is 8 bytes, as said.
    unsafe {
        call(
            number::SIGNALFD4,
            [usize::MAX, address(&set), 8, O_CLOEXEC | 0o4000],
        )
    }
    .map(|fd| fd as i32)
}

/// Reads and throws away what a signal descriptor holds.
pub fn drain(descriptor: i32) {
    let mut buffer = [0_u8; 128];
    let out = core::ptr::from_mut(&mut buffer) as usize;
    // SAFETY: `out` is valid for 128 bytes; the descriptor does not block.
    while unsafe { call(number::READ, [descriptor as usize, out, 128]) }.is_ok() {}
}
