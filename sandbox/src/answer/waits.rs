//! Timed waits on clocks that are not the kernel's.
//!
//! The kernel waits on its own clocks. So a deadline is translated to one of those, and when the
//! wait runs out, the thread's count (`inside/vdso.s`) is advanced by what it asked for. Both
//! happen in the thread itself: it is stopped for a moment and sent through the entry for waits in
//! its vDSO, which makes the call with a mark in a half of an argument that the kernel ignores, so
//! that we are not asked again.

use libc::{EAGAIN, ETIMEDOUT};

use super::vdso::Mode;
use crate::init::filter::{Rule, Test, Verdict};

/// In the upper half of an argument that the kernel takes for an `int` or does not take at all.
pub const MARK: u32 = 0x656e_7662;

/// A call that waits for a time, or sets a timer.
#[derive(Debug)]
pub struct Wait {
    call: libc::c_long,
    /// When it has a time to wait for at all.
    tests: &'static [Test],
    /// The argument that carries the mark.
    mark: usize,
    /// What it says of the time.
    pub span: Span,
    /// What it returns when the time has come.
    pub ran_out: i64,
    /// Whether it waits for descriptors: then a positive result is a number of events.
    pub events: bool,
    /// Where the kernel writes what is left of the time.
    rest: Rest,
}

/// Where the kernel writes what is left of the time when a wait ends early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    Nowhere,
    /// To the argument's `struct timespec` or `timeval`, if it is not null.
    Argument(usize),
}

/// How a call says how long it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// The argument points to a `struct timespec`.
    Timespec(usize),
    /// The argument points to a `struct timeval`.
    Timeval(usize),
    /// The argument is a number of milliseconds.
    Milliseconds(usize),
    /// The argument points to a `struct timespec` with a deadline.
    Deadline(usize, Of),
    /// The argument points to a `struct itimerspec` with a deadline.
    Timer(usize, Of),
    /// `clock_nanosleep` and `futex` decide by another argument.
    Sleep,
    /// See there.
    Futex,
}

/// Which clock a deadline is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// The wall clock.
    Wall,
    /// The clock since the start.
    Monotonic,
    /// What the argument says.
    Argument(usize),
    /// That of the timer descriptor in the first argument.
    Descriptor,
    /// That of the timer in the first argument.
    Timer,
}

/// `FUTEX_WAIT` and those that are like it, with and without `FUTEX_CLOCK_REALTIME`.
const FUTEX_WAITS: &[u32] = &[0, 0x100, 9, 0x109, 6, 0x106, 13, 0x10d, 11, 0x10b];
/// The command and `FUTEX_CLOCK_REALTIME`.
const FUTEX_MASK: u32 = 0x17f;
/// `TIMER_ABSTIME` and `TFD_TIMER_ABSTIME`.
const ABSOLUTE: u32 = 1;
const FUTEX_WAIT: libc::c_long = 455;

const fn wait(
    call: libc::c_long,
    tests: &'static [Test],
    mark: usize,
    span: Span,
    ran_out: i64,
) -> Wait {
    Wait {
        call,
        tests,
        mark,
        span,
        ran_out,
        events: false,
        rest: Rest::Nowhere,
    }
}

/// A wait for descriptors.
const fn events(
    call: libc::c_long,
    tests: &'static [Test],
    mark: usize,
    span: Span,
    rest: Rest,
) -> Wait {
    Wait {
        events: true,
        rest,
        ..wait(call, tests, mark, span, 0)
    }
}

/// A sleep.
const fn sleep(call: libc::c_long, mark: usize, span: Span, rest: usize) -> Wait {
    Wait {
        rest: Rest::Argument(rest),
        ..wait(call, &[], mark, span, 0)
    }
}

/// Nothing returns this.
const NEVER: i64 = i64::MIN;
const TIMED_OUT: i64 = -(ETIMEDOUT as i64);
const AGAIN: i64 = -(EAGAIN as i64);

static WAITS: &[Wait] = &[
    wait(
        libc::SYS_futex,
        &[Test::Among(1, FUTEX_MASK, FUTEX_WAITS), Test::NonZero(3)],
        1,
        Span::Futex,
        TIMED_OUT,
    ),
    wait(
        libc::SYS_futex_waitv,
        &[Test::NonZero(3)],
        1,
        Span::Deadline(3, Of::Argument(4)),
        TIMED_OUT,
    ),
    wait(
        FUTEX_WAIT,
        &[Test::NonZero(4)],
        3,
        Span::Deadline(4, Of::Argument(5)),
        TIMED_OUT,
    ),
    sleep(libc::SYS_nanosleep, 5, Span::Timespec(0), 1),
    sleep(libc::SYS_clock_nanosleep, 0, Span::Sleep, 3),
    events(
        libc::SYS_poll,
        &[Test::Positive(2)],
        2,
        Span::Milliseconds(2),
        Rest::Nowhere,
    ),
    events(
        libc::SYS_ppoll,
        &[Test::NonZero(2)],
        1,
        Span::Timespec(2),
        Rest::Argument(2),
    ),
    events(
        libc::SYS_select,
        &[Test::NonZero(4)],
        0,
        Span::Timeval(4),
        Rest::Argument(4),
    ),
    events(
        libc::SYS_pselect6,
        &[Test::NonZero(4)],
        0,
        Span::Timespec(4),
        Rest::Argument(4),
    ),
    events(
        libc::SYS_epoll_wait,
        &[Test::Positive(3)],
        0,
        Span::Milliseconds(3),
        Rest::Nowhere,
    ),
    events(
        libc::SYS_epoll_pwait,
        &[Test::Positive(3)],
        0,
        Span::Milliseconds(3),
        Rest::Nowhere,
    ),
    events(
        libc::SYS_epoll_pwait2,
        &[Test::NonZero(3)],
        0,
        Span::Timespec(3),
        Rest::Nowhere,
    ),
    wait(
        libc::SYS_rt_sigtimedwait,
        &[Test::NonZero(2)],
        5,
        Span::Timespec(2),
        AGAIN,
    ),
    wait(
        libc::SYS_semtimedop,
        &[Test::NonZero(3)],
        0,
        Span::Timespec(3),
        AGAIN,
    ),
    wait(
        libc::SYS_mq_timedsend,
        &[Test::NonZero(4)],
        0,
        Span::Deadline(4, Of::Wall),
        TIMED_OUT,
    ),
    wait(
        libc::SYS_mq_timedreceive,
        &[Test::NonZero(4)],
        0,
        Span::Deadline(4, Of::Wall),
        TIMED_OUT,
    ),
    wait(
        libc::SYS_timerfd_settime,
        &[Test::Any(1, ABSOLUTE)],
        0,
        Span::Timer(2, Of::Descriptor),
        NEVER,
    ),
    wait(
        libc::SYS_timer_settime,
        &[Test::Any(1, ABSOLUTE)],
        0,
        Span::Timer(2, Of::Timer),
        NEVER,
    ),
];

/// Those of them that wait for the wall clock.
const WALL_FUTEX_WAITS: &[u32] = &[0x109, 6, 0x106, 0x10d, 0x10b];

/// Returns the rules by which we are asked about timed waits. A clock that ticks as the kernel's do
/// needs translation of the wall clock's deadlines alone.
pub fn rules(mode: Mode) -> Vec<Rule> {
    let rule = |wait: &Wait| {
        let tests: &[Test] = match (mode, wait.span) {
            (Mode::Ticking, Span::Futex) => &[
                Test::Among(1, FUTEX_MASK, WALL_FUTEX_WAITS),
                Test::NonZero(3),
            ],
            (Mode::Ticking, Span::Sleep) => &[Test::Any(1, ABSOLUTE)],
            (Mode::Ticking, Span::Deadline(..) | Span::Timer(..)) => wait.tests,
            (Mode::Ticking, _) => return None,
            _ => wait.tests,
        };
        Some(Rule {
            call: wait.call,
            tests: [tests, &[Test::HighIsNot(wait.mark as u32, MARK)]].concat(),
            verdict: Verdict::Ask,
        })
    };
    WAITS.iter().filter_map(rule).collect()
}

/// Returns the wait that a call is.
pub fn find(call: i32) -> Option<&'static Wait> {
    WAITS.iter().find(|wait| wait.call == i64::from(call))
}

/// What a clock shows, or when somebody wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// `CLOCK_REALTIME` and its like.
    Wall(i32),
    /// `CLOCK_MONOTONIC` and its like.
    Monotonic(i32),
    /// Processor time: the kernel's.
    Processor,
}

impl Clock {
    /// Classifies a `clockid_t`.
    pub fn of(id: i32) -> Clock {
        match id {
            libc::CLOCK_REALTIME
            | libc::CLOCK_REALTIME_COARSE
            | libc::CLOCK_REALTIME_ALARM
            | libc::CLOCK_TAI => Clock::Wall(id),
            libc::CLOCK_MONOTONIC
            | libc::CLOCK_MONOTONIC_RAW
            | libc::CLOCK_MONOTONIC_COARSE
            | libc::CLOCK_BOOTTIME
            | libc::CLOCK_BOOTTIME_ALARM => Clock::Monotonic(id),
            _ => Clock::Processor,
        }
    }
}

impl Wait {
    /// The name of the call.
    pub fn name(&self) -> &'static str {
        match self.call {
            libc::SYS_futex | libc::SYS_futex_waitv | FUTEX_WAIT => "futex",
            libc::SYS_nanosleep => "nanosleep",
            libc::SYS_clock_nanosleep => "clock_nanosleep",
            libc::SYS_poll | libc::SYS_ppoll => "poll",
            libc::SYS_select | libc::SYS_pselect6 => "select",
            libc::SYS_epoll_wait | libc::SYS_epoll_pwait | libc::SYS_epoll_pwait2 => "epoll_wait",
            libc::SYS_rt_sigtimedwait => "rt_sigtimedwait",
            libc::SYS_semtimedop => "semtimedop",
            libc::SYS_mq_timedsend | libc::SYS_mq_timedreceive => "mq_timedreceive",
            libc::SYS_timerfd_settime => "timerfd_settime",
            _ => "timer_settime",
        }
    }

    /// Resolves what another argument decides.
    pub fn span(&self, arguments: &[u64; 6]) -> Span {
        const WAIT: u64 = 0;
        const LOCK_PI: u64 = 6;
        const REALTIME: u64 = 0x100;
        match self.span {
            Span::Futex => match (arguments[1] & 0x7f, arguments[1] & REALTIME) {
                (WAIT, _) => Span::Timespec(3),
                (LOCK_PI, _) | (_, REALTIME) => Span::Deadline(3, Of::Wall),
                _ => Span::Deadline(3, Of::Monotonic),
            },
            Span::Sleep if arguments[1] & u64::from(ABSOLUTE) == 0 => Span::Timespec(2),
            Span::Sleep => Span::Deadline(2, Of::Argument(0)),
            span => span,
        }
    }

    /// Returns where the kernel writes what is left of the time.
    pub fn rest(&self, arguments: &[u64; 6]) -> Option<u64> {
        match self.rest {
            Rest::Argument(index) => Some(arguments[index]).filter(|at| *at != 0),
            Rest::Nowhere => None,
        }
    }

    /// Marks the arguments as seen.
    pub fn mark(&self, arguments: &mut [u64; 6]) {
        let argument = &mut arguments[self.mark];
        *argument = u64::from(*argument as u32) | u64::from(MARK) << 32;
    }
}
