//! How much processor time a process has used, as `times` and `getrusage` tell it.
//!
//! On a logical clock it is what the clocks of processor time show. What else a process used (pages,
//! context switches) is not told: it is another number each time.

use std::io;

use super::clock::{self, Clocks, SECOND};
use super::waits::Clock;
use super::{CONTINUE, Reply};
use crate::sys::memory;
use crate::sys::notify::{Answer, Notification};

/// Nanoseconds of a tick of `times`: `sysconf(_SC_CLK_TCK)` is 100 on Linux.
const TICK: u64 = 10_000_000;

/// Answers `times` and `getrusage`.
///
/// # Errors
/// Fails if the thread is traced by a debugger inside.
pub fn answer(clocks: &Clocks, call: &Notification) -> io::Result<Reply> {
    let [who, buffer, ..] = call.arguments;
    let times = i64::from(call.call) == libc::SYS_times;
    if !times && !known(who as i32) {
        return Ok(CONTINUE);
    }
    let Some(page) = clocks.page(call.thread) else {
        return Ok(CONTINUE);
    };
    let Some((stopped, mut registers)) = clock::stop(call)? else {
        return Ok(Reply::Done);
    };
    let used = clocks.count_read(Clock::Processor, page, &mut registers);
    let (address, words) = match times {
        true => (call.arguments[0], [used / TICK, 0, 0, 0].to_vec()),
        false => (buffer, usage(who as i32, used)),
    };
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let nowhere = times && address == 0;
    let written = nowhere || memory::write(call.thread, address, &bytes).is_ok();
    let answer = match written {
        true if times => Answer::Value((used / TICK) as i64),
        true => Answer::Value(0),
        false => Answer::Error(libc::EFAULT),
    };
    clock::finish(&stopped, registers, answer)
}

fn known(who: i32) -> bool {
    [
        libc::RUSAGE_SELF,
        libc::RUSAGE_CHILDREN,
        libc::RUSAGE_THREAD,
    ]
    .contains(&who)
}

/// A `struct rusage`: user time, system time, and fourteen numbers of other things.
fn usage(who: i32, used: u64) -> Vec<u64> {
    let mut words = vec![0; 18];
    if who != libc::RUSAGE_CHILDREN {
        words[0] = used / SECOND;
        words[1] = used % SECOND / 1000;
    }
    words
}
