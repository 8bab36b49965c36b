//! What a timed wait finds on the stack of its thread.

use std::io;

use super::clock::SECOND;
use super::vdso::u64_at;
use super::waits::Span;
use crate::sys::memory;
use crate::sys::notify::Notification;
use crate::sys::trace::Registers;

/// Words of a frame.
const FRAME: usize = 22;

/// What `.Lwait` of `inside/vdso.s` finds on the stack.
pub struct Frame {
    /// Where it lies.
    pub address: u64,
    words: [u64; FRAME],
}

impl Frame {
    pub fn of(call: &Notification, registers: &Registers, ran_out: i64) -> Frame {
        // Below what the ABI lets a function use without moving its stack pointer.
        const RED_ZONE: u64 = 128;
        let size = size_of::<[u64; FRAME]>() as u64;
        let mut words = [0; FRAME];
        words[4] = ran_out as u64;
        words[6] = registers.rip;
        words[7] = registers.rsp;
        words[8..14].copy_from_slice(&call.arguments);
        Frame {
            address: (registers.rsp - RED_ZONE - size) & !63,
            words,
        }
    }

    pub fn set(&mut self, index: usize, value: u64) {
        self.words[index] = value;
    }

    /// Puts a deadline in, behind the interval of a timer.
    pub fn deadline(&mut self, call: &Notification, span: Span, nanoseconds: u64) {
        let mut at = 0;
        if let Span::Timer(argument, _) = span {
            let mut interval = [0; 16];
            let _ = memory::read(call.thread, call.arguments[argument], &mut interval);
            self.words[0] = u64_at(&interval, 0);
            self.words[1] = u64_at(&interval, 8);
            at = 2;
        }
        self.words[at] = nanoseconds / SECOND;
        self.words[at + 1] = nanoseconds % SECOND;
    }

    pub fn write(&self, thread: u32) -> io::Result<()> {
        let bytes: Vec<u8> = self
            .words
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect();
        memory::write(thread, self.address, &bytes)
    }
}
