//! Memory of another process, and the code for its vDSO.

use std::fs::{File, OpenOptions};
use std::io;

core::arch::global_asm!(include_str!("../../inside/vdso.s"));
core::arch::global_asm!(include_str!("../../inside/faults.s"));
core::arch::global_asm!(include_str!("../../inside/stat.s"));

unsafe extern "C" {
    static envbox_vdso_start: u8;
    static envbox_vdso_end: u8;
    static envbox_faults_start: u8;
    static envbox_faults_end: u8;
    static envbox_stat_start: u8;
    static envbox_stat_end: u8;
}

/// Returns the code for the vDSO of a step's processes. It is data here: nobody calls it.
pub fn vdso_code() -> &'static [u8] {
    let (start, end) = (&raw const envbox_vdso_start, &raw const envbox_vdso_end);
    // SAFETY: both labels are in one read-only section, the second behind the first, and what is
    // between them is initialised data.
    unsafe { std::slice::from_raw_parts(start, end as usize - start as usize) }
}

/// Returns the code that answers instructions that fault, for the same place.
pub fn faults_code() -> &'static [u8] {
    let (start, end) = (&raw const envbox_faults_start, &raw const envbox_faults_end);
    // SAFETY: as above.
    unsafe { std::slice::from_raw_parts(start, end as usize - start as usize) }
}

/// Returns the code that looks at files, for the same place.
pub fn stat_code() -> &'static [u8] {
    let (start, end) = (&raw const envbox_stat_start, &raw const envbox_stat_end);
    // SAFETY: as above.
    unsafe { std::slice::from_raw_parts(start, end as usize - start as usize) }
}

/// Returns whether the kernel lets programs use RDGSBASE and WRGSBASE (Linux 5.9).
pub fn has_fsgsbase() -> bool {
    /// `HWCAP2_FSGSBASE`.
    const FSGSBASE: u64 = 2;
    // SAFETY: takes a number, and answers 0 for what it does not know.
    unsafe { libc::getauxval(libc::AT_HWCAP2) & FSGSBASE != 0 }
}

/// Opens the memory of a process, to write over its protection, which [`write()`] heeds.
///
/// # Errors
/// Passes on what the kernel says.
pub fn open(thread: u32) -> io::Result<File> {
    let path = format!("/proc/{thread}/mem");
    OpenOptions::new().read(true).write(true).open(path)
}

/// Reads memory of a process.
///
/// # Errors
/// Fails if not all of it can be read.
pub fn read(thread: u32, address: u64, bytes: &mut [u8]) -> io::Result<()> {
    let local = libc::iovec {
        iov_base: bytes.as_mut_ptr().cast(),
        iov_len: bytes.len(),
    };
    let remote = far(address, bytes.len());
    // SAFETY: `local` is a writable buffer of ours; `remote` is the other process's affair.
    let count = unsafe { libc::process_vm_readv(thread as i32, &local, 1, &remote, 1, 0) };
    all(count, bytes.len())
}

/// Writes memory of a process where it may write itself.
///
/// # Errors
/// Fails if not all of it can be written.
pub fn write(thread: u32, address: u64, bytes: &[u8]) -> io::Result<()> {
    let local = libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    let remote = far(address, bytes.len());
    // SAFETY: `local` is only read from; `remote` is the other process's affair.
    let count = unsafe { libc::process_vm_writev(thread as i32, &local, 1, &remote, 1, 0) };
    all(count, bytes.len())
}

fn far(address: u64, size: usize) -> libc::iovec {
    libc::iovec {
        iov_base: address as *mut libc::c_void,
        iov_len: size,
    }
}

fn all(count: isize, wanted: usize) -> io::Result<()> {
    match usize::try_from(count) {
        Err(_) => Err(io::Error::last_os_error()),
        Ok(count) if count == wanted => Ok(()),
        Ok(_) => Err(io::Error::from_raw_os_error(libc::EFAULT)),
    }
}
