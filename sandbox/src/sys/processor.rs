//! What the processor of the host is asked, and whether CPUID faults in this thread.

use std::arch::x86_64::{__cpuid_count, _rdtsc};
use std::io;
use std::marker::PhantomData;
use std::sync::OnceLock;

const ARCH_GET_CPUID: libc::c_ulong = 0x1011;
const ARCH_SET_CPUID: libc::c_ulong = 0x1012;
const FAULTS: libc::c_ulong = 0;
const ALLOWED: libc::c_ulong = 1;

/// Returns whether CPUID can be made to fault (Linux 4.12, `arch_prctl(2)`).
///
/// # Errors
/// Passes on what the kernel says: `ENODEV` if the processor cannot.
pub fn require_cpuid_faulting() -> io::Result<()> {
    set_cpuid(ALLOWED)
}

/// Reads the time-stamp counter of the host.
pub fn counter() -> u64 {
    // SAFETY: every x86-64 processor has it, and nobody forbids it to this thread.
    unsafe { _rdtsc() }
}

/// While it lives, CPUID faults in this thread, as in the step that it answers. Whether it does is
/// in a register of the processor, which the kernel writes when it goes from a thread to one where
/// that is different: in a virtual machine that takes longer than all else of an answer.
///
/// This thread does not use the instruction while it answers. If a library does, a handler of
/// SIGSEGV allows it again, and answers take longer from there on.
#[derive(Debug)]
pub struct Alike(PhantomData<*const ()>);

/// What SIGSEGV did before.
static BEFORE: OnceLock<libc::sigaction> = OnceLock::new();

impl Alike {
    /// Begins; `None` if that cannot be had, or if the program has a handler of SIGSEGV since.
    pub fn begin() -> Option<Alike> {
        BEFORE.get_or_init(handle_faults);
        let ours = action(None).sa_sigaction == handler();
        (ours && set_cpuid(FAULTS).is_ok()).then_some(Alike(PhantomData))
    }
}

impl Drop for Alike {
    fn drop(&mut self) {
        // What could be taken away can be given back.
        let _ = set_cpuid(ALLOWED);
    }
}

fn set_cpuid(to: libc::c_ulong) -> io::Result<()> {
    // SAFETY: takes numbers. What faults then, `Alike` handles.
    match unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_SET_CPUID, to) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Whether CPUID faults in this thread.
fn cpuid_faults() -> bool {
    // SAFETY: takes a number, and answers with one.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_GET_CPUID, 0) == 0 }
}

/// Installs the handler. Returns what was there before.
fn handle_faults() -> libc::sigaction {
    let before = action(None);
    let mut ours = before;
    ours.sa_sigaction = handler();
    // On the stack for signals, if the thread has one: this may be the overflow of the other.
    ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    action(Some(&ours));
    before
}

fn handler() -> usize {
    let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) = fault;
    handler as usize
}

/// Sets what SIGSEGV does, if that is given. Returns what it did.
fn action(new: Option<&libc::sigaction>) -> libc::sigaction {
    // SAFETY: all zero is a valid sigaction: default action, no flags, empty mask.
    let mut old: libc::sigaction = unsafe { std::mem::zeroed() };
    let new = new.map_or(std::ptr::null(), |new| &raw const *new);
    // SAFETY: `new` is null or an action of this program, `old` is writable.
    unsafe { libc::sigaction(libc::SIGSEGV, new, &raw mut old) };
    old
}

/// Allows CPUID where it faults; what did not fault by that, faults again. All else is for whoever
/// was there before. Only system calls, and errno is kept.
extern "C" fn fault(signal: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    /// The processor's general protection fault.
    const SI_KERNEL: libc::c_int = 0x80;
    // SAFETY: with SA_SIGINFO the kernel passes a valid siginfo_t.
    let code = unsafe { (*info).si_code };
    // SAFETY: the location of errno is valid in every thread.
    let errno = unsafe { *libc::__errno_location() };
    if code == SI_KERNEL && cpuid_faults() {
        let _ = set_cpuid(ALLOWED);
    } else {
        action(BEFORE.get());
        // One that was sent does not come again by itself.
        if code <= 0 {
            // SAFETY: sends a signal to this thread, which gets it when this returns.
            unsafe { libc::raise(signal) };
        }
    }
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}

/// Returns what CPUID has of the area in which XSAVE saves the state of a thread: leaf 13 with this
/// in ECX, as EAX, EBX, ECX and EDX.
pub fn state_area(part: u32) -> [u32; 4] {
    const LEAF: u32 = 13;
    let found = __cpuid_count(LEAF, part);
    [found.eax, found.ebx, found.ecx, found.edx]
}

#[cfg(test)]
mod tests {
    use std::arch::x86_64::__cpuid_count;
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, Stdio};

    use super::{Alike, cpuid_faults, require_cpuid_faulting};

    #[test]
    fn cpuid_can_be_used_while_it_faults() {
        let word = || __cpuid_count(0, 0).ebx;
        let before = word();
        let alike = Alike::begin();
        let can = require_cpuid_faulting().is_ok();
        assert_eq!(alike.is_some(), can);
        drop(alike);
        let alike = Alike::begin();
        assert_eq!(cpuid_faults(), can);
        assert_eq!(word(), before);
        assert!(!cpuid_faults());
        drop(alike);
        let alike = Alike::begin();
        drop(alike);
        assert!(!cpuid_faults());
        assert_eq!(word(), before);
    }

    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "how the test tells its own program what to do"
    )]
    fn another_fault_is_what_it_was() {
        const ASKED: &str = "ENVBOX_TEST_FAULT";
        if std::env::var_os(ASKED).is_some() {
            let _alike = Alike::begin();
            // SAFETY: faults as CPUID does, and does nothing else.
            unsafe { std::arch::asm!("hlt") };
            return;
        }
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        let program = std::env::current_exe().unwrap();
        let mut command = Command::new(program);
        command.args([&name, "--exact"]).env(ASKED, "1");
        let status = command.stdout(Stdio::null()).status().unwrap();
        assert_eq!(status.signal(), Some(libc::SIGSEGV));
    }
}
