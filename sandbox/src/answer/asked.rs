//! What a timed wait asks for: how long, or until when on which clock.

use super::clock::SECOND;
use super::vdso::u64_at;
use super::waits::{Clock, Of, Span};
use crate::sys::memory;
use crate::sys::notify::Notification;
use crate::sys::read_proc_text;

/// What a call wants to wait for.
pub struct Asked {
    pub nanoseconds: u64,
    /// The clock, if that is a deadline.
    pub clock: Option<Clock>,
    /// The argument it came from.
    pub argument: usize,
}

impl Asked {
    /// Reads it from a call; `None` if there is nothing to wait for, or nothing that is valid.
    pub fn read(call: &Notification, span: Span) -> Option<Asked> {
        let pair = |argument: usize, offset: u64, scale: u64| {
            let mut bytes = [0; 16];
            memory::read(call.thread, call.arguments[argument] + offset, &mut bytes).ok()?;
            let (seconds, rest) = (u64_at(&bytes, 0), u64_at(&bytes, 8) * scale);
            let valid = seconds <= i64::MAX as u64 && rest < SECOND;
            valid.then(|| seconds.saturating_mul(SECOND).saturating_add(rest))
        };
        let (nanoseconds, of, argument) = match span {
            Span::Timespec(argument) => (pair(argument, 0, 1)?, None, argument),
            Span::Timeval(argument) => (pair(argument, 0, 1000)?, None, argument),
            Span::Milliseconds(argument) => {
                let milliseconds = u64::from(call.arguments[argument] as u32);
                (milliseconds * 1_000_000, None, argument)
            }
            Span::Deadline(argument, of) => (pair(argument, 0, 1)?, Some(of), argument),
            Span::Timer(argument, of) => (pair(argument, 16, 1)?, Some(of), argument),
            Span::Futex | Span::Sleep => return None,
        };
        let clock = match of {
            None => None,
            Some(Of::Wall) => Some(Clock::Wall(libc::CLOCK_REALTIME)),
            Some(Of::Monotonic) => Some(Clock::Monotonic(libc::CLOCK_MONOTONIC)),
            Some(Of::Argument(index)) => Some(Clock::of(call.arguments[index] as i32)),
            Some(Of::Descriptor) => Some(descriptor_clock(call)?),
            Some(Of::Timer) => Some(timer_clock(call)?),
        };
        (nanoseconds > 0).then_some(Asked {
            nanoseconds,
            clock,
            argument,
        })
    }
}

/// The clock of a timer descriptor, as `/proc/PID/fdinfo` tells.
fn descriptor_clock(call: &Notification) -> Option<Clock> {
    let descriptor = call.arguments[0] as i32;
    let text = read_proc_text(format!("/proc/{}/fdinfo/{descriptor}", call.thread)).ok()?;
    let id = text
        .lines()
        .find_map(|line| line.strip_prefix("clockid:"))?;
    Some(Clock::of(id.trim().parse().ok()?))
}

/// The clock of a timer, as `/proc/PID/timers` tells.
fn timer_clock(call: &Notification) -> Option<Clock> {
    let text = read_proc_text(format!("/proc/{}/timers", call.thread)).ok()?;
    let wanted = format!("ID: {}", call.arguments[0] as i32);
    let mut lines = text.lines().skip_while(|line| *line != wanted);
    let id = lines.find_map(|line| line.strip_prefix("ClockID:"))?;
    Some(Clock::of(id.trim().parse().ok()?))
}
