//! What the processor of the host is asked.

use std::arch::x86_64::__cpuid_count;
use std::io;

/// Returns whether CPUID can be made to fault (Linux 4.12, `arch_prctl(2)`).
///
/// # Errors
/// Passes on what the kernel says: `ENODEV` if the processor cannot.
pub fn require_cpuid_faulting() -> io::Result<()> {
    const ARCH_SET_CPUID: libc::c_ulong = 0x1012;
    const ALLOWED: libc::c_ulong = 1;
    // SAFETY: takes numbers, and allows what is allowed.
    match unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_SET_CPUID, ALLOWED) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Returns what CPUID has of the area in which XSAVE saves the state of a thread: leaf 13 with this
/// in ECX, as EAX, EBX, ECX and EDX.
pub fn state_area(part: u32) -> [u32; 4] {
    const LEAF: u32 = 13;
    let found = __cpuid_count(LEAF, part);
    [found.eax, found.ebx, found.ecx, found.edx]
}
