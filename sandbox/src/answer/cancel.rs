//! Signals that come while a thread is being sent into its wait.
//!
//! musl, and glibc from 2.41 on (its bug 12683), make every call that ends when its thread is cancelled
//! in one place. The handler of the signal that cancels looks at where the thread was: in that place,
//! and before the call, it cancels; else it leaves a note, which is read before the next call, and
//! after one that a signal interrupted. A thread on the way into its wait is neither in that place nor
//! in a call: it would wait, and be cancelled when that is over.
//!
//! So a signal that is there before the wait comes to a thread that has its call yet to make, as it
//! does outside.

use crate::sys::memory;
use crate::sys::notify::Notification;
use crate::sys::trace::Registers;

/// Returns the registers of a thread that shall make its call again. A signal that arrives now must
/// not end it.
pub fn again(call: &Notification, registers: &Registers) -> Registers {
    const SYSCALL: u64 = 2;
    Registers {
        rip: registers.rip - SYSCALL,
        rax: call.call as u64,
        orig_rax: u64::MAX,
        ..*registers
    }
}

/// Whether a call was made in such a place: both libraries return right behind it. Others look at the
/// result first.
pub fn matters(call: &Notification) -> bool {
    const RET: u8 = 0xc3;
    let mut next = [0];
    memory::read(call.thread, call.instruction, &mut next).is_ok() && next == [RET]
}
