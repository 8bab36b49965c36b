//! How the wall clock is disciplined, as `adjtimex` tells it: by nobody.
//!
//! The host's time and the state of its NTP daemon must not be seen, and its clock is not to be tuned.
//! But the C library reads by these calls (`ntp_gettime`, `adjtime` for what is left to adjust), and
//! says that it may do so. It is told of a clock that runs by itself since the kernel started:
//! `kernel/time/ntp.c` begins with these numbers.

use std::io;

use super::Reply;
use super::clock::{self, Clocks, SECOND};
use super::vdso::u64_at;
use super::waits::Clock;
use crate::sys::memory;
use crate::sys::notify::{Answer, Notification};

/// The size of `struct timex`.
const SIZE: usize = 208;
/// `ADJ_OFFSET_SS_READ`, by which `adjtime` asks what is left; no mode at all is to read too.
const WHAT_IS_LEFT: u32 = 0xa001;
/// `STA_UNSYNC`, and the result that goes with it, `TIME_ERROR`.
const UNSYNCHRONISED: u64 = 0x40;
const TIME_ERROR: i64 = 5;
/// Offsets in `struct timex`, and what is there; all else is zero.
const FIELDS: [(usize, u64); 7] = [
    (24, 16_000_000),     // the largest error: 16 s
    (32, 16_000_000),     // the likely error
    (40, UNSYNCHRONISED), // status
    (48, 2),              // time constant
    (56, 1),              // precision: 1 us
    (64, 500 << 16),      // tolerance: 500 ppm
    (88, 10_000),         // microseconds between ticks
];
const TIME: usize = 72;

/// Answers `adjtimex` and `clock_adjtime`.
///
/// # Errors
/// Fails if the thread is traced by a debugger inside.
pub fn answer(clocks: &Clocks, call: &Notification) -> io::Result<Reply> {
    let refused = |error| Ok(Reply::Answer(Answer::Error(error)));
    let [first, second, ..] = call.arguments;
    let (clock, address) = match i64::from(call.call) {
        libc::SYS_adjtimex => (libc::CLOCK_REALTIME, first),
        _ => (first as i32, second),
    };
    if clock != libc::CLOCK_REALTIME {
        return refused(libc::EOPNOTSUPP);
    }
    let mut bytes = [0; SIZE];
    if memory::read(call.thread, address, &mut bytes).is_err() {
        return refused(libc::EFAULT);
    }
    let modes = u64_at(&bytes, 0) as u32;
    let page = clocks.page(call.thread);
    let Some(page) = page.filter(|_| matches!(modes, 0 | WHAT_IS_LEFT)) else {
        return refused(libc::EPERM);
    };
    let Some((stopped, mut registers)) = clock::stop(call)? else {
        return Ok(Reply::Done);
    };
    let now = clocks.count_read(Clock::Wall(clock), page, &mut registers);
    let time = [(TIME, now / SECOND), (TIME + 8, now % SECOND / 1000)];
    bytes[8..].fill(0);
    for (at, value) in FIELDS.into_iter().chain(time) {
        bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }
    let answer = match memory::write(call.thread, address, &bytes) {
        Ok(()) => Answer::Value(TIME_ERROR),
        Err(_) => Answer::Error(libc::EFAULT),
    };
    clock::finish(&stopped, registers, answer)
}
