//! Instructions that fault: the code of `inside/faults.s`, and the handler of SIGSEGV that a program
//! sets meanwhile.
//!
//! CPUID is answered for the policy's machine from the code's table, where the processor can fault on
//! it. RDTSC and RDTSCP are counted for an audit that asks for it, and answered with the host's
//! counter. A program is held from its first call that we are asked about. What runs before that (the
//! first instructions of a static glibc program) sees the host.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::clock;
use super::machine::Machine;
use super::processor::{self, Leaf};
use super::vdso::{Vdso, u64_at};
use super::waits::MARK;
use crate::init::filter::{Rule, Test, Verdict};
use crate::sys::memory::{self, faults_code};
use crate::sys::notify::{Answer, Notification};
use crate::sys::processor::{require_cpuid_faulting, state_area};
use crate::sys::trace::Registers;

/// Whether CPUID tells of the policy's machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case", tag = "state", content = "why")]
pub enum Cpuid {
    /// It tells of the host: nobody asked for more.
    Host,
    /// It tells of the policy's machine.
    Held,
    /// It tells of the host, though it should not.
    NotHeld(CpuidRefusal),
}

/// Why CPUID cannot be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum CpuidRefusal {
    /// The processor, or the virtual machine, has no CPUID faulting.
    #[error("the processor cannot fault on CPUID")]
    NoFaulting,
    /// It has the baseline, but not all that is told of with it.
    #[error("the processor lacks {0}")]
    Lacks(&'static str),
    /// The kernel's vDSO leaves no room.
    #[error("no room in this kernel's vDSO")]
    NoRoom,
}

/// Words of the header in `inside/faults.s`, in its order.
const ENTER: usize = 1;
const HANDLER: usize = 2;
const RESTORER: usize = 3;
const EXEC: usize = 4;
const WHICH: usize = 5;
const HELD: usize = 6;
const NONCE: usize = 7;
const ACTION: usize = 8;
const OURS: usize = 12;
const SAVED: usize = 16;
const WORDS: usize = 23;
/// Bits of `WHICH`.
const CPUID: u64 = 1;
const COUNTER: u64 = 2;
const HEADER_SIZE: usize = 8 * WORDS;

const ARCH_SET_CPUID: u32 = 0x1012;
const SEGV: u32 = libc::SIGSEGV as u32;

/// The clock id by which the code tells of a read of the counter.
pub const READ: u64 = 0x6562_7463;

/// The code and its table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults {
    bytes: Vec<u8>,
}

impl Faults {
    /// Makes the code that answers CPUID for a machine and, if `counter`, counts reads of the
    /// time-stamp counter, and puts it into the page that processes get.
    ///
    /// # Errors
    /// Says why CPUID cannot be held on this host.
    pub fn new(machine: &Machine, counter: bool, vdso: &mut Vdso) -> Result<Faults, CpuidRefusal> {
        require_cpuid_faulting().map_err(|_| CpuidRefusal::NoFaulting)?;
        if let Some(missing) = processor::lacking(machine.baseline) {
            return Err(CpuidRefusal::Lacks(missing));
        }
        let leaves = processor::leaves(machine, state_area);
        let which = if counter { CPUID | COUNTER } else { CPUID };
        Faults::put(which, &leaves, vdso).ok_or(CpuidRefusal::NoRoom)
    }

    /// Makes the code that counts reads of the time-stamp counter, and does no more; `None` if there
    /// is no room for it.
    pub fn counter(vdso: &mut Vdso) -> Option<Faults> {
        Faults::put(COUNTER, &[], vdso)
    }

    fn put(which: u64, leaves: &[Leaf], vdso: &mut Vdso) -> Option<Faults> {
        let mut bytes = faults_code().to_vec();
        bytes[8 * WHICH..8 * WHICH + 8].copy_from_slice(&which.to_le_bytes());
        for Leaf { leaf, part, words } in leaves {
            let head = [*leaf, part.unwrap_or(u32::MAX)];
            let row = head.iter().chain(words);
            bytes.extend(row.flat_map(|word| word.to_le_bytes()));
        }
        let end = [u32::MAX, u32::MAX, 0, 0, 0, 0];
        bytes.extend(end.into_iter().flat_map(u32::to_le_bytes));
        vdso.append(&bytes).then_some(Faults { bytes })
    }

    /// Where a thread that is about to execute a program has to go first, if it must.
    pub fn exec(&self, at: u64, thread: u32) -> Option<u64> {
        let counts = u64_at(&self.bytes, 8 * WHICH) & COUNTER != 0;
        counts.then(|| self.entered_header(at, thread))??;
        Some(at + u64_at(&self.bytes, 8 * EXEC))
    }

    /// Returns the header in a process that went through our code.
    fn entered_header(&self, at: u64, thread: u32) -> Option<[u8; HEADER_SIZE]> {
        let mut header = [0; HEADER_SIZE];
        memory::read(thread, at, &mut header).ok()?;
        let ours = header[..8] == self.bytes[..8] && u64_at(&header, 8 * HELD) != 0;
        ours.then_some(header)
    }

    /// Sends a program that stands in its first call through our code.
    ///
    /// # Errors
    /// Fails if it is traced by a debugger inside, which wants to see its faults itself.
    pub fn enter(&self, at: u64, call: &Notification, memory: &File) -> io::Result<()> {
        let Some((stopped, registers)) = clock::stop(call)? else {
            return Ok(());
        };
        let (bytes, entry) = self.entered(at, call);
        memory.write_all_at(&bytes, at)?;
        stopped.set_registers(&Registers {
            rip: entry,
            // Not in a call any more: there is nothing to make again.
            orig_rax: u64::MAX,
            ..registers
        })
    }

    /// Returns the bytes for a program that stands in its first call, and where it has to go on.
    fn entered(&self, at: u64, call: &Notification) -> (Vec<u8>, u64) {
        /// A break below the program, which the kernel answers as it answers zero.
        const NO_BREAK: u64 = 1;
        const FLAGS: u64 = (libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER) as u64;
        const SA_RESTORER: u64 = 0x0400_0000;
        let mut bytes = self.bytes.clone();
        let mut set = |index: usize, value: u64| {
            bytes[8 * index..8 * index + 8].copy_from_slice(&value.to_le_bytes());
        };
        let address = |index: usize| at + u64_at(&self.bytes, 8 * index);
        set(HELD, 1);
        set(OURS, address(HANDLER));
        set(OURS + 1, FLAGS | SA_RESTORER);
        set(OURS + 2, address(RESTORER));
        let [rdi, rsi, rdx, r10, ..] = call.arguments;
        let unasked = match i64::from(call.call) {
            libc::SYS_brk => NO_BREAK,
            _ => u64::from(rdi as u32) | u64::from(MARK) << 32,
        };
        let saved = [
            rdi,
            rsi,
            rdx,
            r10,
            call.call as u64,
            unasked,
            call.instruction,
        ];
        for (index, value) in saved.into_iter().enumerate() {
            set(SAVED + index, value);
        }
        (bytes, address(ENTER))
    }

    /// Answers `rt_sigaction` for SIGSEGV: the program's own action is in its page.
    pub fn action(&self, at: u64, call: &Notification) -> io::Result<Answer> {
        const SIZE: usize = 32;
        const ACTION_AT: u64 = 8 * ACTION as u64;
        let [_, new, old, size, ..] = call.arguments;
        let Some(header) = self.entered_header(at, call.thread) else {
            return Ok(Answer::Continue);
        };
        if size != 8 {
            return Ok(Answer::Error(libc::EINVAL));
        }
        if new != 0 {
            let mut action = [0; SIZE];
            if memory::read(call.thread, new, &mut action).is_err() {
                return Ok(Answer::Error(libc::EFAULT));
            }
            let memory = memory::open(call.thread)?;
            // A child of `vfork` has actions of its own, until it executes a program, in memory
            // that is not its own.
            if !shares_memory(call.thread, at, &memory)? {
                memory.write_all_at(&action, at + ACTION_AT)?;
            }
        }
        let current = &header[8 * ACTION..8 * ACTION + SIZE];
        if old != 0 && memory::write(call.thread, old, current).is_err() {
            return Ok(Answer::Error(libc::EFAULT));
        }
        Ok(Answer::Value(0))
    }
}

/// The rules by which we are asked, and by which a program cannot undo it.
pub fn rules() -> [Rule; 2] {
    [
        Rule {
            call: libc::SYS_rt_sigaction,
            tests: vec![Test::Is(0, SEGV), Test::HighIsNot(0, MARK)],
            verdict: Verdict::Ask,
        },
        Rule {
            call: libc::SYS_arch_prctl,
            tests: vec![Test::Is(0, ARCH_SET_CPUID), Test::HighIsNot(0, MARK)],
            verdict: Verdict::Error(libc::ENODEV),
        },
    ]
}

/// What must hold of a first call for it not to be our code that makes it.
pub const NOT_OURS: Test = Test::HighIsNot(0, MARK);

/// Whether a process has the memory of its parent, as a child of `vfork` has.
fn shares_memory(thread: u32, at: u64, memory: &File) -> io::Result<bool> {
    const NONCE_AT: u64 = 8 * NONCE as u64;
    let Some(parent) = super::entropy::parent(thread) else {
        return Ok(false);
    };
    let see = || {
        let mut bytes = [0; 8];
        let read = memory::read(parent, at + NONCE_AT, &mut bytes);
        read.is_ok().then_some(bytes)
    };
    let Some(before) = see() else {
        return Ok(false);
    };
    let other = u64::from_le_bytes(before).wrapping_add(1).to_le_bytes();
    let mut own = [0; 8];
    memory.read_exact_at(&mut own, at + NONCE_AT)?;
    memory.write_all_at(&other, at + NONCE_AT)?;
    let shares = see() == Some(other);
    memory.write_all_at(&own, at + NONCE_AT)?;
    Ok(shares)
}

#[cfg(test)]
mod tests {
    use super::super::vdso::{Mode, Reads, Vdso};
    use super::{CpuidRefusal, Faults, Machine, require_cpuid_faulting};

    #[test]
    fn without_room_or_faulting_it_is_not_held() {
        let mut vdso = Vdso::new(Mode::Logical, Reads::Inside).unwrap();
        assert!(!vdso.append(&[0; 1 << 16]));
        let mut room = 1 << 15;
        while !vdso.append(&vec![0; room]) {
            room -= 64;
        }
        match Faults::new(&Machine::default(), false, &mut vdso) {
            Ok(faults) => assert!(faults.bytes.len() <= room),
            Err(CpuidRefusal::NoRoom) => assert!(room < 2048),
            Err(CpuidRefusal::NoFaulting) => assert!(require_cpuid_faulting().is_err()),
            Err(other) => panic!("{other}"),
        }
    }
}
