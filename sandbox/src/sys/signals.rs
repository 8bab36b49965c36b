//! Taking the signals that are meant for the step, and dying of the one it died of.
//!
//! Handlers and a pipe, not a blocked mask and a signalfd: a mask belongs to one thread, and in a
//! program with others (a runtime, an interpreter) the kernel would hand the signal to one of
//! those and end the program by default.

use std::fs::File;
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use rustix::pipe::{PipeFlags, pipe_with};

/// The signals that are forwarded: every one that asks a program for something. Faults, SIGPIPE
/// and SIGCHLD are the supervisor's own.
const FORWARDED: [libc::c_int; 10] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGTERM,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGALRM,
    libc::SIGWINCH,
    libc::SIGTSTP,
    libc::SIGCONT,
];

/// How many relays can be open at once. A handler can only walk a fixed table.
const SLOTS: usize = 64;

/// A place for one open relay. The pipe is made once and never closed, only used again: a handler
/// that is just running could else write to a descriptor that became somebody else's file.
struct Slot {
    open: AtomicBool,
    pipe: OnceLock<(File, File)>,
}

static RELAYS: [Slot; SLOTS] = [const {
    Slot {
        open: AtomicBool::new(false),
        pipe: OnceLock::new(),
    }
}; SLOTS];

/// The number of open relays and what was there before the first. Held while a relay is opened or
/// closed.
static INSTALLED: Mutex<Installed> = Mutex::new(Installed {
    relays: 0,
    previous: Vec::new(),
});

struct Installed {
    relays: usize,
    previous: Vec<(libc::c_int, libc::sigaction)>,
}

/// A signal that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caught {
    /// The number.
    pub signal: i32,
    /// Whether the kernel sent it, as the terminal does for Ctrl-C: then it is meant for the whole
    /// foreground group.
    pub from_terminal: bool,
}

/// While it lives, the forwarded signals do not act on this process but are queued here. Every
/// open relay gets each signal.
#[derive(Debug)]
pub struct SignalRelay {
    slot: usize,
    reader: &'static File,
}

impl SignalRelay {
    /// Opens a relay and, if it is the first, installs the handlers. A signal that this process
    /// ignores (as under `nohup`) stays ignored. With `children`, SIGCHLD is queued as well.
    ///
    /// # Errors
    /// Fails if no descriptor can be had, or if 64 relays are open.
    pub fn open(children: bool) -> io::Result<SignalRelay> {
        let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
        let free = |slot: &Slot| !slot.open.load(Ordering::SeqCst);
        let slot = RELAYS
            .iter()
            .position(free)
            .ok_or(io::ErrorKind::QuotaExceeded)?;
        if RELAYS[slot].pipe.get().is_none() {
            let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
            RELAYS[slot]
                .pipe
                .get_or_init(|| (File::from(reader), File::from(writer)));
        }
        let (reader, _) = RELAYS[slot].pipe.get().expect("the pipe was made above");
        // What the last user of the slot did not take.
        while take(reader)?.is_some() {}
        RELAYS[slot].open.store(true, Ordering::SeqCst);
        if installed.relays == 0 {
            installed.previous = install_handlers();
        }
        installed.relays += 1;
        if children {
            installed.previous.extend(install(libc::SIGCHLD));
        }
        Ok(SignalRelay { slot, reader })
    }

    /// Takes the next signal; `None` if there is none now.
    ///
    /// # Errors
    /// Passes on what reading the pipe says.
    pub fn take(&self) -> io::Result<Option<Caught>> {
        take(self.reader)
    }
}

fn take(mut reader: &File) -> io::Result<Option<Caught>> {
    let mut record = [0_u8; 2];
    match reader.read(&mut record) {
        Ok(2) => {
            let [signal, from_terminal] = record;
            Ok(Some(Caught {
                signal: signal.into(),
                from_terminal: from_terminal != 0,
            }))
        }
        Ok(_) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => take(reader),
        Err(error) => Err(error),
    }
}

impl AsFd for SignalRelay {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

impl Drop for SignalRelay {
    fn drop(&mut self) {
        let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
        installed.relays -= 1;
        if installed.relays == 0 {
            // Backwards: SIGCHLD may be in there twice.
            for (signal, action) in installed.previous.drain(..).rev() {
                // SAFETY: `action` is what the kernel said was installed; no old action is asked.
                unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) };
            }
        }
        RELAYS[self.slot].open.store(false, Ordering::SeqCst);
    }
}

fn install_handlers() -> Vec<(libc::c_int, libc::sigaction)> {
    let mut previous = Vec::with_capacity(FORWARDED.len() + 1);
    previous.extend(notice_children());
    for signal in FORWARDED {
        previous.extend(install(signal));
    }
    previous
}

/// Installs the handler for a signal, and returns what was there.
fn install(signal: libc::c_int) -> Option<(libc::c_int, libc::sigaction)> {
    let old = current_action(signal);
    if old.sa_sigaction == libc::SIG_IGN && signal != libc::SIGWINCH {
        return None;
    }
    // SAFETY: all zero is a valid sigaction: default action, no flags, empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) = handle;
    action.sa_sigaction = handler as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
    // SAFETY: `handle` has the signature that SA_SIGINFO demands and does only what is allowed
    // in a handler; no old action is asked.
    unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) };
    Some((signal, old))
}

/// Makes the kernel keep ended children for us. A caller that ignores SIGCHLD hands that down to
/// every program it starts, and then nobody could tell what a step used.
fn notice_children() -> Option<(libc::c_int, libc::sigaction)> {
    let old = current_action(libc::SIGCHLD);
    if old.sa_sigaction != libc::SIG_IGN {
        return None;
    }
    // SAFETY: SIG_DFL is a valid disposition.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
    Some((libc::SIGCHLD, old))
}

fn current_action(signal: libc::c_int) -> libc::sigaction {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: a null new action only asks; `action` is writable.
    unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) };
    // SAFETY: all zero is a valid sigaction, and the kernel wrote over it.
    unsafe { action.assume_init() }
}

/// Queues the signal in every relay. Only loads of atomics and `write`, and errno is kept.
extern "C" fn handle(signal: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: with SA_SIGINFO the kernel passes a valid siginfo_t.
    let code = unsafe { (*info).si_code };
    // SI_KERNEL and the positive codes come from the kernel; kill, tgkill and sigqueue are <= 0.
    let record = [signal as u8, u8::from(code > 0)];
    // SAFETY: the location of errno is valid in every thread.
    let errno = unsafe { *libc::__errno_location() };
    for slot in &RELAYS {
        if !slot.open.load(Ordering::SeqCst) {
            continue;
        }
        if let Some((_, writer)) = slot.pipe.get() {
            let writer = writer.as_raw_fd();
            // SAFETY: two readable bytes, and the pipe is never closed. It does not block; a full
            // one loses the signal, as a pending signal that comes twice is lost.
            unsafe { libc::write(writer, record.as_ptr().cast(), record.len()) };
        }
    }
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}

/// Ends this process by the given signal, as the step ended, so that a shell or a scheduler sees
/// the same status as without envbox. No core is left: it would be of the wrong program. Returns
/// only if the signal does not end a process.
pub fn mirror_signal(signal: i32) {
    let none = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: a readable rlimit; lowering a limit is always allowed.
    unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const none) };
    // SAFETY: SIG_DFL is a valid disposition; a wrong number is refused.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
    let mut set = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: `set` is writable.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: `set` is initialised; a wrong number is refused.
    unsafe { libc::sigaddset(set.as_mut_ptr(), signal) };
    // SAFETY: `set` is initialised; no old set is asked.
    unsafe { libc::pthread_sigmask(libc::SIG_UNBLOCK, set.as_ptr(), std::ptr::null_mut()) };
    // SAFETY: sends a signal to this thread, with its default action.
    unsafe { libc::raise(signal) };
}
