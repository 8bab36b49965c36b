//! Stopping one thread of a step for a moment, to read and set its registers.

use std::io;

pub use libc::user_regs_struct as Registers;

/// A thread that stands still. It goes on when this is dropped.
#[derive(Debug)]
pub struct Stopped {
    thread: i32,
    /// The signal that stopped it, which it has yet to get.
    signal: i32,
}

impl Stopped {
    /// Stops a thread that waits for an answer. It is woken by that, and its call is over.
    /// Returns `None` if it died.
    ///
    /// # Errors
    /// Fails if it is traced by a debugger inside.
    pub fn new(thread: u32) -> io::Result<Option<Stopped>> {
        let thread = thread as i32;
        let told_apart = libc::PTRACE_O_TRACESYSGOOD as usize;
        match request(libc::PTRACE_SEIZE, thread, told_apart) {
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return Ok(None),
            result => result?,
        }
        // If it died meanwhile, the wait will tell.
        let _ = request(libc::PTRACE_INTERRUPT, thread, 0);
        let status = wait(thread)?;
        Ok(status.map(|status| Stopped {
            thread,
            signal: signal_of(status),
        }))
    }

    /// Whether a signal stopped it.
    pub fn has_signal(&self) -> bool {
        self.signal != 0
    }

    /// Lets the thread go on until it is in its next system call, and stops it there. Returns whether
    /// it got there: a signal may have come before.
    ///
    /// # Errors
    /// Fails if it was killed.
    pub fn makes_call(&mut self) -> io::Result<bool> {
        /// What `PTRACE_O_TRACESYSGOOD` makes of the signal that tells of a call.
        const IN_CALL: i32 = libc::SIGTRAP | 0x80;
        request(libc::PTRACE_SYSCALL, self.thread, 0)?;
        let Some(status) = wait(self.thread)? else {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        };
        let made = libc::WSTOPSIG(status) == IN_CALL;
        self.signal = if made { 0 } else { signal_of(status) };
        Ok(made)
    }

    /// Returns the thread's registers.
    ///
    /// # Errors
    /// Fails if it was killed.
    pub fn registers(&self) -> io::Result<Registers> {
        // SAFETY: all zero is a valid value of this struct of integers.
        let mut registers: Registers = unsafe { std::mem::zeroed() };
        request(
            libc::PTRACE_GETREGS,
            self.thread,
            &raw mut registers as usize,
        )?;
        Ok(registers)
    }

    /// Sets the thread's registers.
    ///
    /// # Errors
    /// Fails if it was killed.
    pub fn set_registers(&self, registers: &Registers) -> io::Result<()> {
        let address = &raw const *registers as usize;
        request(libc::PTRACE_SETREGS, self.thread, address)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let signal = self.signal.unsigned_abs() as usize;
        // One that is killed while it stands still is ours to reap: its process would never end.
        while request(libc::PTRACE_DETACH, self.thread, signal).is_err() {
            if !matches!(wait(self.thread), Ok(Some(_))) {
                break;
            }
        }
    }
}

/// The signal that stopped a thread, which it has yet to get. Stopped by us or with its whole group,
/// there is none to hand on.
fn signal_of(status: i32) -> i32 {
    match status >> 16 {
        libc::PTRACE_EVENT_STOP => 0,
        _ => libc::WSTOPSIG(status),
    }
}

/// Waits for a traced thread to stop; `None` if it died.
fn wait(thread: i32) -> io::Result<Option<i32>> {
    let mut status = 0;
    loop {
        // SAFETY: `status` is a writable int.
        let result = unsafe { libc::waitpid(thread, &raw mut status, libc::__WALL) };
        match (result, io::Error::last_os_error()) {
            (-1, error) if error.kind() == io::ErrorKind::Interrupted => {}
            (-1, error) if error.raw_os_error() == Some(libc::ECHILD) => return Ok(None),
            (-1, error) => return Err(error),
            _ => return Ok(libc::WIFSTOPPED(status).then_some(status)),
        }
    }
}

/// Makes a request whose address argument is zero.
fn request(request: libc::c_uint, thread: i32, data: usize) -> io::Result<()> {
    // SAFETY: of the requests used here GETREGS and SETREGS take a pointer, which the callers make
    // from a live value of the right type; the others take a number.
    match unsafe { libc::ptrace(request, thread, 0_usize, data) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
