//! What the clocks of a step show, wherever it asks: for calls and deadlines, as `inside/vdso.s` does
//! for reads.

use std::fs;
use std::io;

use rustix::time::{ClockId, DynamicClockId, clock_gettime_dynamic};

use super::Reply;
use super::asked::Asked;
use super::cancel;
use super::count;
use super::frame::Frame;
use super::vdso::{Bases, HEADER_SIZE, Mode, Vdso, u64_at};
use super::waits::{Clock, Span, Wait};
use crate::sys::memory;
use crate::sys::notify::{Answer, Notification};
use crate::sys::read_proc;
use crate::sys::trace::{Registers, Stopped};

/// Nanoseconds of a second.
pub const SECOND: u64 = 1_000_000_000;

/// How long a scheduler inside the step waits so that its waits are not counted on a logical clock,
/// in nanoseconds: until this long after a read of the monotonic clock, and that read is not counted
/// either. CPython's threads wait like this for each other, with an interval that can be set.
const UNCOUNTED: u64 = 5_017_000;

/// The clocks of a step.
#[derive(Debug)]
pub struct Clocks {
    /// The page that each of its processes gets.
    pub vdso: Vdso,
    /// What the wall clock showed at the start, in nanoseconds since 1970; of one that ticks, what it
    /// showed when the monotonic clock was at zero.
    epoch: u64,
    /// What to add to the host's monotonic clock to get the step's, in nanoseconds.
    offset: i128,
}

/// Where a process has our page.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// Where it starts.
    pub base: u64,
    /// What its clocks show at a count of zero.
    pub bases: Bases,
}

/// What the kernel tells a new program of where things are: `/proc/PID/auxv`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Auxiliary {
    /// `AT_SYSINFO_EHDR`.
    pub vdso: u64,
    /// `AT_RANDOM`.
    pub random: u64,
}

impl Auxiliary {
    /// Reads that of a thread's process.
    pub fn of(thread: u32) -> io::Result<Auxiliary> {
        const AT_RANDOM: u64 = 25;
        const AT_SYSINFO_EHDR: u64 = 33;
        let bytes = read_proc(format!("/proc/{thread}/auxv"))?;
        let mut found = Auxiliary::default();
        for entry in bytes.chunks_exact(16) {
            let (key, value) = (u64_at(entry, 0), u64_at(entry, 8));
            match key {
                AT_SYSINFO_EHDR => found.vdso = value,
                AT_RANDOM => found.random = value,
                _ => {}
            }
        }
        Ok(found)
    }
}

impl Clocks {
    pub fn new(vdso: Vdso, epoch: u64, offset: i128) -> Clocks {
        Clocks {
            vdso,
            epoch,
            offset,
        }
    }

    /// The clocks of the first process.
    pub fn start(&self) -> Bases {
        Bases {
            wall: self.epoch,
            monotonic: 0,
        }
    }

    /// Finds our page in a process; `None` if it has none yet.
    pub fn page(&self, thread: u32) -> Option<Page> {
        let base = Auxiliary::of(thread).ok()?.vdso;
        self.page_at(thread, base)
    }

    /// Finds our page in a process where it was in the last one, or else where it is.
    pub fn page_near(&self, thread: u32, base: u64) -> Option<Page> {
        self.page_at(thread, base).or_else(|| self.page(thread))
    }

    /// Reads our page where it should be.
    pub fn page_at(&self, thread: u32, base: u64) -> Option<Page> {
        let mut header = [0; HEADER_SIZE];
        memory::read(thread, self.vdso.header(base), &mut header).ok()?;
        let bases = self.vdso.bases(&header)?;
        Some(Page { base, bases })
    }

    /// Returns what the clocks show at a count, for another program of the same thread to go on
    /// with from a count of zero.
    pub fn carried(&self, page: Page, count: u64) -> Bases {
        let slept = count::elapsed(self.vdso.mode(), count);
        Bases {
            wall: page.bases.wall.saturating_add(slept),
            monotonic: page.bases.monotonic.saturating_add(slept),
        }
    }

    /// Nanoseconds that a clock of a thread with this count shows, without its being read.
    fn shows(&self, clock: Clock, bases: Bases, count: u64) -> u64 {
        let elapsed = count::elapsed(self.vdso.mode(), count);
        match (clock, self.vdso.mode()) {
            (Clock::Wall(_), Mode::Ticking) => {
                self.epoch.wrapping_add(self.kernels(libc::CLOCK_MONOTONIC))
            }
            (Clock::Wall(_), _) => bases.wall.saturating_add(elapsed),
            (_, Mode::Logical) => bases.monotonic.saturating_add(elapsed),
            (Clock::Monotonic(id), _) => self.kernels(id),
            (Clock::Processor, _) => 0,
        }
    }

    /// Nanoseconds that a clock of the kernel shows in the sandbox.
    fn kernels(&self, id: i32) -> u64 {
        let (clock, offset) = match id {
            // As one: the raw and the coarse clock lie behind the others.
            libc::CLOCK_MONOTONIC
            | libc::CLOCK_MONOTONIC_RAW
            | libc::CLOCK_MONOTONIC_COARSE
            | libc::CLOCK_BOOTTIME
            | libc::CLOCK_BOOTTIME_ALARM => {
                (DynamicClockId::Known(ClockId::Monotonic), self.offset)
            }
            libc::CLOCK_TAI => (DynamicClockId::Tai, 0),
            _ => (DynamicClockId::Known(ClockId::Realtime), 0),
        };
        let Ok(now) = clock_gettime_dynamic(clock) else {
            return 0;
        };
        let now = i128::from(now.tv_sec) * i128::from(SECOND) + i128::from(now.tv_nsec);
        u64::try_from(now + offset).unwrap_or(0)
    }

    /// Answers a call that reads a clock; the vDSO has the same answers for most.
    pub fn read(&self, call: &Notification) -> io::Result<Reply> {
        let [first, second, ..] = call.arguments;
        let (clock, out) = match i64::from(call.call) {
            libc::SYS_clock_gettime => (Clock::of(first as i32), second),
            libc::SYS_gettimeofday | libc::SYS_time => (Clock::Wall(libc::CLOCK_REALTIME), first),
            _ => return Ok(Reply::Answer(Answer::Continue)),
        };
        let ours = match clock {
            Clock::Wall(_) => true,
            Clock::Monotonic(libc::CLOCK_MONOTONIC_RAW | libc::CLOCK_MONOTONIC_COARSE) => true,
            Clock::Monotonic(_) => self.vdso.mode() == Mode::Logical,
            Clock::Processor => {
                self.vdso.mode() == Mode::Logical && is_processor(call.thread, first as i32)
            }
        };
        // An audit asks of clocks that are the kernel's.
        let ours = ours && self.vdso.mode() != Mode::Real;
        let Some(page) = self.page(call.thread).filter(|_| ours) else {
            return Ok(Reply::Answer(Answer::Continue));
        };
        if self.vdso.mode() == Mode::Ticking {
            let now = self.shows(clock, page.bases, 0);
            return Ok(Reply::Answer(tell(call, out, now)));
        }
        let Some((stopped, mut registers)) = stop(call)? else {
            return Ok(Reply::Done);
        };
        let now = self.count_read(clock, page, &mut registers);
        finish(&stopped, registers, tell(call, out, now))
    }

    /// Counts a read of a clock by a stopped thread, and returns what it shows.
    pub fn count_read(&self, clock: Clock, page: Page, registers: &mut Registers) -> u64 {
        registers.gs_base = count::after_read(self.vdso.mode(), clock, registers.gs_base);
        self.shows(clock, page.bases, registers.gs_base)
    }

    /// Sends a thread into its timed wait.
    pub fn wait(&self, call: &Notification, wait: &Wait) -> io::Result<Reply> {
        const CONTINUE: Reply = Reply::Answer(Answer::Continue);
        let span = wait.span(&call.arguments);
        let Some(asked) = Asked::read(call, span) else {
            // Nothing to wait for, or nothing that is valid: the kernel knows what to say.
            return Ok(CONTINUE);
        };
        let Some(page) = self.page(call.thread) else {
            return Ok(CONTINUE);
        };
        let ours = |clock| match clock {
            Clock::Wall(_) => true,
            Clock::Monotonic(_) => self.vdso.mode() == Mode::Logical,
            Clock::Processor => false,
        };
        if let (Mode::Ticking, Some(clock)) = (self.vdso.mode(), asked.clock)
            && !ours(clock)
        {
            return Ok(CONTINUE);
        }
        let Some((mut stopped, mut registers)) = stop(call)? else {
            return Ok(Reply::Done);
        };
        let again = cancel::again(call, &registers);
        if stopped.has_signal() {
            stopped.set_registers(&again)?;
            return Ok(Reply::Done);
        }
        let mut arguments = call.arguments;
        wait.mark(&mut arguments);
        let mut frame = Frame::of(call, &registers, wait.ran_out);
        let duration = match asked.clock {
            None => asked.nanoseconds,
            Some(clock) => {
                let now = self.shows(clock, page.bases, registers.gs_base);
                let rest = asked.nanoseconds.saturating_sub(now);
                if let Clock::Wall(id) | Clock::Monotonic(id) = clock
                    && ours(clock)
                {
                    frame.deadline(call, span, self.kernels(id).saturating_add(rest));
                    arguments[asked.argument] = frame.address;
                }
                rest
            }
        };
        let duration = match self.is_uncounted(span, asked.clock, duration) {
            true => {
                // As if the clock had not been read for it.
                if duration == UNCOUNTED {
                    registers.gs_base = count::before_read(registers.gs_base);
                }
                0
            }
            false => duration,
        };
        frame.set(5, count::of(self.vdso.mode(), duration));
        self.cut_short(&mut frame, call, wait, span, duration);
        frame.write(call.thread)?;
        let [rdi, rsi, rdx, r10, r8, r9] = arguments;
        registers = Registers {
            rdi,
            rsi,
            rdx,
            r10,
            r8,
            r9,
            rax: call.call as u64,
            // Not in a call any more: there is nothing to make again.
            orig_rax: u64::MAX,
            rsp: frame.address,
            rip: self.vdso.wait_entry(page.base),
            ..registers
        };
        stopped.set_registers(&registers)?;
        if cancel::matters(call) && !stopped.makes_call()? {
            stopped.set_registers(&again)?;
        }
        Ok(Reply::Done)
    }
}

impl Clocks {
    /// Whether a wait is one of a scheduler inside the step, whose number is the host's business. One
    /// that was woken for nothing waits again, a read later than it thinks.
    fn is_uncounted(&self, span: Span, clock: Option<Clock>, duration: u64) -> bool {
        const AGAIN: u64 = UNCOUNTED + count::LOGICAL_UNIT;
        self.vdso.mode() == Mode::Logical
            && matches!(span, Span::Deadline(..))
            && matches!(clock, Some(Clock::Monotonic(_)))
            && matches!(duration, UNCOUNTED | AGAIN)
    }

    /// Says what becomes of a wait that ends before its time. How much of it has passed is the
    /// host's business; yet who waits for the rest, again and again, must get there.
    fn cut_short(&self, frame: &mut Frame, call: &Notification, wait: &Wait, span: Span, of: u64) {
        /// What an event costs, as a read costs a microsecond.
        const EVENT: u64 = 1_000_000;
        let event = if wait.events { of.min(EVENT) } else { 0 };
        // The rest shrinks by half each time, so that the last one is short enough to run out.
        let interrupted = of.div_ceil(2);
        frame.set(14, count::of(self.vdso.mode(), event));
        frame.set(18, count::of(self.vdso.mode(), interrupted));
        let unit = match span {
            Span::Timespec(_) => 1,
            Span::Timeval(_) => 1000,
            _ => return,
        };
        let Some(at) = wait.rest(&call.arguments) else {
            return;
        };
        // What cannot be written to, the kernel does not write to either. It fails at the wait.
        let mut now = [0; 16];
        if memory::read(call.thread, at, &mut now).is_err()
            || memory::write(call.thread, at, &now).is_err()
        {
            return;
        }
        frame.set(15, at);
        for (index, passed) in [(16, event), (19, interrupted)] {
            let rest = of - passed;
            frame.set(index, rest / SECOND);
            frame.set(index + 1, rest % SECOND / unit);
        }
    }
}

/// Stops the thread that made a call, in the call; `None` if it has gone elsewhere meanwhile.
pub fn stop(call: &Notification) -> io::Result<Option<(Stopped, Registers)>> {
    let Some(stopped) = Stopped::new(call.thread)? else {
        return Ok(None);
    };
    let registers = stopped.registers()?;
    // Go makes all its calls in one place.
    let [rdi, rsi, rdx, r10, ..] = call.arguments;
    let made = (registers.rip, registers.orig_rax) == (call.instruction, call.call as u64)
        && (registers.rdi, registers.rsi) == (rdi, rsi)
        && (registers.rdx, registers.r10) == (rdx, r10);
    Ok(made.then_some((stopped, registers)))
}

/// Lets a stopped thread go on behind its call, which is answered so.
pub fn finish(stopped: &Stopped, registers: Registers, answer: Answer) -> io::Result<Reply> {
    stopped.set_registers(&Registers {
        rax: match answer {
            Answer::Value(value) => value as u64,
            Answer::Error(number) => i64::from(-number) as u64,
            Answer::Continue => 0,
        },
        // Not in a call any more: there is nothing to make again.
        orig_rax: u64::MAX,
        ..registers
    })?;
    Ok(Reply::Done)
}

/// Whether a clock is one of processor time that a thread can read.
fn is_processor(thread: u32, id: i32) -> bool {
    if id >= 0 {
        return [
            libc::CLOCK_PROCESS_CPUTIME_ID,
            libc::CLOCK_THREAD_CPUTIME_ID,
        ]
        .contains(&id);
    }
    // Three bits say which of its clocks (3 is that of a descriptor), above is the inverted number of a
    // process or thread in its own namespace, 0 for itself.
    let owner = !(id >> 3);
    let exists = || fs::exists(format!("/proc/{thread}/root/proc/{owner}")).unwrap_or(false);
    id & 7 != 3 && (owner == 0 || exists())
}

/// Writes a time where a call wants it.
fn tell(call: &Notification, out: u64, nanoseconds: u64) -> Answer {
    let (seconds, rest) = (nanoseconds / SECOND, nanoseconds % SECOND);
    let (bytes, value) = match i64::from(call.call) {
        libc::SYS_time => (seconds.to_le_bytes().to_vec(), seconds as i64),
        libc::SYS_gettimeofday => ([seconds, rest / 1000].map(u64::to_le_bytes).concat(), 0),
        _ => ([seconds, rest].map(u64::to_le_bytes).concat(), 0),
    };
    let optional = i64::from(call.call) != libc::SYS_clock_gettime;
    if optional && call.call == libc::SYS_gettimeofday as i32 && call.arguments[1] != 0 {
        // `struct timezone`, which nobody has used since 1990.
        let _ = memory::write(call.thread, call.arguments[1], &[0; 8]);
    }
    if (out == 0 && optional) || memory::write(call.thread, out, &bytes).is_ok() {
        Answer::Value(value)
    } else {
        Answer::Error(libc::EFAULT)
    }
}
