//! Places in programs that look at files, and go on without us once we were asked by one.
//!
//! Most programs make the calls `stat`, `fstat`, `lstat`, `newfstatat` and `statx` in a few places of
//! the C library, where the number of the call is set right before it. When we are first asked from
//! such a place, the five bytes that set the number become a jump to `inside/stat.s` in the vDSO,
//! which tells of files that have not changed since the step began, and asks about others. The call
//! itself stays as it was, for whoever is between the two. What makes its calls elsewhere (Go, a
//! library's `syscall()`) asks each time.
//!
//! The same technique as gVisor's systrap platform has (`pkg/sentry/platform/systrap/usertrap`).
//!
//! **Invariant:** with a jump and without, a look at a file tells the same
//! (`a_look_that_is_not_asked_about_tells_the_same`).

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};

use super::status::{LOOKS, Looks, oldest};
use super::vdso::{Mode, Vdso, u64_at};
use super::waits::MARK;
use crate::init::filter::Test;
use crate::sys::memory::{self, stat_code};
use crate::sys::notify::Notification;

/// Words of the header in `inside/stat.s`, in its order.
const ENTRY: usize = 0;
const FRAMES: usize = 1;
const USED: usize = 2;
const SINCE: usize = 3;
const BACK: usize = 5;
const MARKED: usize = 6;
const OLDEST: usize = 7;
const ALWAYS: usize = 8;
const COUNTS: usize = 9;

/// How many places of a process can jump. The C library and its loader have seven.
const STUBS: usize = 12;
const STUB: usize = 24;

/// What sets the number of a call and makes it: `mov eax, NUMBER; syscall`.
const SET: usize = 5;
const SITE: usize = SET + 2;

/// What must hold of a call that looks at a file for us to be asked.
pub const NOT_OURS: Test = Test::HighIsNot(5, MARK);

/// The code in the page, and where programs are known to look at files.
#[derive(Debug)]
pub struct Sites {
    /// Where it is in the page.
    offset: usize,
    entry: u64,
    /// Places of the loader, behind the call. It lies right above the vDSO, and nearly always where it
    /// lay in the program before.
    early: BTreeSet<u64>,
}

impl Sites {
    /// Puts the code into the page, which asks about every file if `always` is set; `None` if there is
    /// no room, and then we are asked as if there were none.
    pub fn new(looks: &Looks, epoch: i64, always: bool, vdso: &mut Vdso) -> Option<Sites> {
        let counts = matches!(vdso.mode(), Mode::Frozen | Mode::Logical);
        let mut code = stat_code().to_vec();
        let mut set = |index: usize, value: u64| {
            code[8 * index..8 * index + 8].copy_from_slice(&value.to_le_bytes());
        };
        set(SINCE, looks.since.0.cast_unsigned());
        set(SINCE + 1, looks.since.1.into());
        set(BACK, looks.back(epoch).cast_unsigned());
        set(OLDEST, oldest(epoch).cast_unsigned());
        set(MARKED, u64::from(MARK) << 32);
        set(ALWAYS, always.into());
        set(COUNTS, counts.into());
        let (entry, frames) = (u64_at(&code, 8 * ENTRY), u64_at(&code, 8 * FRAMES) as usize);
        code.resize(code.len() + STUBS * STUB, 0);
        Some(Sites {
            offset: vdso.place(&code, frames)?,
            entry,
            early: BTreeSet::new(),
        })
    }

    /// Lets a program that begins, with its page at `base`, look with its loader.
    ///
    /// # Errors
    /// Passes on what the kernel says of its memory.
    pub fn begin(&self, memory: &File, base: u64) -> io::Result<()> {
        for next in &self.early {
            let mut site = [0; SITE];
            let read = memory.read_exact_at(&mut site, next - SITE as u64);
            if let (Ok(()), Some(number)) = (read, number(&site)) {
                self.jump(memory, base, *next, number)?;
            }
        }
        Ok(())
    }

    /// What the clock of a thread has counted, if a call comes from our code in the page at `base`.
    pub fn count(&self, call: &Notification, base: u64) -> Option<u64> {
        let start = base + self.offset as u64;
        let own = start..start + stat_code().len() as u64;
        own.contains(&call.instruction).then_some(call.arguments[5])
    }

    /// Lets the place that a call comes from go on without us, if it is one that can. `base` is where
    /// its process has its page.
    ///
    /// # Errors
    /// Passes on what the kernel says of its memory.
    pub fn learn(&mut self, call: &Notification, base: u64) -> io::Result<()> {
        /// The loader is no further from the vDSO.
        const NEAR: u64 = 1 << 20;
        let mut site = [0; SITE];
        let next = call.instruction;
        memory::read(call.thread, next.wrapping_sub(SITE as u64), &mut site)?;
        let made = number(&site).filter(|number| i64::from(*number) == i64::from(call.call));
        let Some(number) = made else {
            return Ok(());
        };
        // Nobody else may be there while the bytes change.
        if !is_alone(call.thread)? {
            return Ok(());
        }
        self.jump(&memory::open(call.thread)?, base, next, number)?;
        if next.checked_sub(base).is_some_and(|above| above < NEAR) {
            self.early.insert(next);
        }
        Ok(())
    }

    /// Writes a stub, and the jump to it before `next`.
    fn jump(&self, memory: &File, base: u64, next: u64, number: u32) -> io::Result<()> {
        let header = base + self.offset as u64;
        let mut used = [0; 8];
        memory.read_exact_at(&mut used, header + 8 * USED as u64)?;
        let used = u64::from_le_bytes(used);
        let stub = header + stat_code().len() as u64 + used * STUB as u64;
        let site = next - SITE as u64;
        let Some((jump, code)) = jump(site, SET, stub)
            .zip(stub_code(stub, next, number, header + self.entry))
            .filter(|_| used < STUBS as u64)
        else {
            return Ok(());
        };
        memory.write_all_at(&code, stub)?;
        memory.write_all_at(&(used + 1).to_le_bytes(), header + 8 * USED as u64)?;
        memory.write_all_at(&jump, site)
    }
}

/// Calls that make a process. Their places jump too, for a signal not to cut them short while we are
/// asked.
const FORKS: [i64; 2] = [libc::SYS_clone, libc::SYS_fork];

/// Whether a call makes a process that has memory of its own, and goes on with the same stack.
pub fn forks(call: &Notification) -> bool {
    const SHARES: u64 = (libc::CLONE_VM | libc::CLONE_VFORK) as u64;
    let [flags, stack, ..] = call.arguments;
    match i64::from(call.call) {
        libc::SYS_fork => true,
        libc::SYS_clone => flags & SHARES == 0 && stack == 0,
        _ => false,
    }
}

/// The number of the call that such a place makes, if it is one of those.
fn number(site: &[u8; SITE]) -> Option<u32> {
    let [0xb8, a, b, c, d, 0x0f, 0x05] = *site else {
        return None;
    };
    let number = u32::from_le_bytes([a, b, c, d]);
    let known = LOOKS
        .iter()
        .chain(&FORKS)
        .any(|it| *it == i64::from(number));
    known.then_some(number)
}

/// `jmp` to an address, in an instruction that ends `length` bytes behind `at`; `None` if that is too
/// far away.
fn jump(at: u64, length: usize, to: u64) -> Option<[u8; 5]> {
    let distance = to.wrapping_sub(at + length as u64).cast_signed();
    let [a, b, c, d] = i32::try_from(distance).ok()?.to_le_bytes();
    Some([0xe9, a, b, c, d])
}

/// Skips what a function may use below its stack pointer, and enters the code: `add rsp, -128; lea rcx,
/// [next]; mov eax, NUMBER; jmp entry`.
fn stub_code(at: u64, next: u64, number: u32, entry: u64) -> Option<Vec<u8>> {
    let mut code = vec![0x48, 0x83, 0xc4, 0x80];
    let behind = at + code.len() as u64 + 7;
    let distance = i32::try_from(next.wrapping_sub(behind).cast_signed()).ok()?;
    code.extend([0x48, 0x8d, 0x0d]);
    code.extend(distance.to_le_bytes());
    code.push(0xb8);
    code.extend(number.to_le_bytes());
    code.extend(jump(at + code.len() as u64, 5, entry)?);
    Some(code)
}

/// Whether a thread is the only one of its process.
fn is_alone(thread: u32) -> io::Result<bool> {
    // A directory is linked from itself, from above, and from each one in it.
    Ok(fs::metadata(format!("/proc/{thread}/task"))?.nlink() == 3)
}
