//! The times of files.

use std::collections::{BTreeMap, BTreeSet};
use std::thread::sleep;
use std::time::Duration;

use rustix::fs::{Statx, StatxTimestamp};
use rustix::time::{ClockId, clock_gettime};

use super::super::vdso::Mode;
use super::Looks;
use super::numbers::Stamps;
use super::tell::Told;
use crate::sys::memory;
use crate::sys::notify::Notification;

/// Seconds since 1970 and nanoseconds.
pub type Instant = (i64, u32);

/// A time of a file: what the kernel says, and what the step is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// The kernel's.
    pub real: Instant,
    /// Ours.
    pub shown: Instant,
}

/// What the times of files are made of.
#[derive(Debug)]
pub struct Times {
    mode: Mode,
    epoch: i64,
    /// The kernel's clock for files when the step began.
    start: Instant,
    /// The host's wall clock when the step's began.
    began: Instant,
    /// How many seconds earlier is what was there before, if it keeps a time of its own.
    back: Option<i64>,
    /// What the wall clock shows to who looks, if that is known.
    now: Option<Instant>,
    /// How many changes there have been.
    count: u64,
    /// The last time that was shown for one, and how many there had been.
    last: (Instant, u64),
    /// Times that the step set.
    set: BTreeSet<Instant>,
    /// The kernel's times that were seen, and what they were shown as: never the other way round.
    seen: BTreeMap<Instant, Instant>,
}

/// What the kernel says.
pub fn real(time: &StatxTimestamp) -> Instant {
    (time.tv_sec, time.tv_nsec)
}

impl Times {
    pub fn new(mode: Mode, epoch: u64, looks: &Looks) -> Times {
        let epoch = i64::try_from(epoch).unwrap_or(i64::MAX);
        let (start, back) = match looks.whole {
            true => ((i64::MAX, 0), None),
            false => (looks.since, Some(looks.back(epoch))),
        };
        let began = looks.began;
        Times {
            mode,
            epoch,
            start,
            began,
            back,
            now: None,
            count: 0,
            last: (before(epoch), 0),
            set: BTreeSet::new(),
            seen: BTreeMap::new(),
        }
    }

    /// The step begins now: with the kernel's next tick. Files get the time of a tick, and an input
    /// that was made in this one would else look like the step's work.
    pub fn start(&mut self) {
        // A tick has at most ten milliseconds.
        const PAUSE: Duration = Duration::from_micros(200);
        const PAUSES: usize = 100;
        let tick = || clock_gettime(ClockId::RealtimeCoarse);
        let before = tick();
        let mut later = (0..PAUSES).map(|_| {
            sleep(PAUSE);
            tick()
        });
        let now = later.find(|now| *now != before);
        let now = now.unwrap_or(before);
        self.start = (now.tv_sec, now.tv_nsec as u32);
        self.began = self.start;
    }

    /// Who looks next sees this on the wall clock, in nanoseconds.
    pub fn set_now(&mut self, wall: u64) {
        self.now = Some(instant(wall));
    }

    /// The step is about to change something.
    pub fn count(&mut self) {
        self.count += 1;
    }

    /// The step sets the time of a file.
    pub fn set_by_step(&mut self, time: Instant) {
        self.set.insert(time);
    }

    /// Whether a time is one that the step set. A file system that holds whole seconds only has
    /// what is left of it.
    pub fn is_of_step(&self, time: Instant) -> bool {
        let last = if time.1 == 0 { 999_999_999 } else { time.1 };
        self.set.range(time..=(time.0, last)).next().is_some()
    }

    /// Whether the kernel's time is one of the step's lifetime.
    pub fn is_after_start(&self, time: Instant) -> bool {
        time >= self.start
    }

    /// The time of what was there before the step.
    pub fn before(&self) -> Instant {
        before(self.epoch)
    }

    /// What a time is shown as that the step has not made.
    pub fn input(&self, real: Instant) -> Instant {
        match self.back {
            Some(back) if !self.is_after_start(real) => (
                (real.0.saturating_sub(back)).max(real.0.min(oldest(self.epoch))),
                real.1,
            ),
            _ => self.before(),
        }
    }

    /// Says what the times of a file are.
    pub fn show(&mut self, told: &mut Told, stamps: &mut Stamps, status: &Statx) {
        self.update(&mut stamps.modified, real(&status.stx_mtime));
        self.update(&mut stamps.changed, real(&status.stx_ctime));
        told.modified = stamps.modified.shown;
        told.changed = stamps.changed.shown;
        let accessed = real(&status.stx_atime);
        // The kernel notes by its own rules when a file was read.
        let kept = self.is_of_step(accessed);
        told.accessed = if kept { accessed } else { told.modified };
        told.born = *stamps.born.get_or_insert(told.changed);
    }

    fn update(&mut self, stamp: &mut Stamp, real: Instant) {
        if stamp.real == real {
            return;
        }
        let again = stamp.real != Instant::default();
        let previous = std::mem::replace(stamp, Stamp { real, shown: real });
        if self.is_of_step(real) {
            return;
        }
        stamp.shown = if self.is_after_start(real) {
            // One that has changed since it was seen must show that.
            if again && self.moment() <= previous.shown {
                self.count += 1;
            }
            self.place(real)
        } else {
            self.input(real)
        };
    }

    /// What is shown for a change that is seen now.
    fn place(&mut self, real: Instant) -> Instant {
        match self.mode {
            Mode::Real => return real,
            Mode::Ticking => {
                let nanoseconds = real.1 as i64 - i64::from(self.began.1);
                let seconds = self.epoch + (real.0 - self.began.0) + nanoseconds.div_euclid(SECOND);
                return (seconds, nanoseconds.rem_euclid(SECOND) as u32);
            }
            Mode::Frozen | Mode::Logical => {}
        }
        let later = (std::ops::Bound::Excluded(real), std::ops::Bound::Unbounded);
        let after = self.seen.range(later).next().map(|(_, shown)| *shown);
        let earlier = self.seen.range(..real).next_back().map(|(_, shown)| *shown);
        let moment = self.moment().max(earlier.unwrap_or_default());
        self.last = (moment.max(self.last.0), self.count);
        let shown = after.map_or(moment, |after| after.min(moment));
        // Which changes fall into one tick of the kernel's clock depends on the host.
        self.seen.entry(real).or_insert(shown);
        shown
    }

    /// The time of a change that nothing else is known of.
    ///
    /// A hundredth of a second before now, so that many that come while the clock stands are not newer
    /// than it.
    fn moment(&self) -> Instant {
        const MICROSECOND: u64 = 1000;
        const MARGIN: u64 = 10_000 * MICROSECOND;
        let (last, counted) = self.last;
        let next = nanoseconds(last) + (self.count - counted) * MICROSECOND;
        match self.now {
            Some(now) => instant(next.max(nanoseconds(now).saturating_sub(MARGIN))),
            None => {
                let end = nanoseconds(self.before()).saturating_add(SECOND.unsigned_abs());
                instant(next.min(end - MICROSECOND))
            }
        }
    }
}

fn before(epoch: i64) -> Instant {
    ((epoch - 1).max(0), 0)
}

fn instant(nanoseconds: u64) -> Instant {
    let second = SECOND.unsigned_abs();
    (
        (nanoseconds / second).cast_signed(),
        (nanoseconds % second) as u32,
    )
}

/// Of a time that is ours, so not before 1970.
fn nanoseconds((seconds, rest): Instant) -> u64 {
    seconds
        .unsigned_abs()
        .saturating_mul(SECOND.unsigned_abs())
        .saturating_add(rest.into())
}

const SECOND: i64 = 1_000_000_000;

/// What was there before is not made older than that: 1980, before which an archive in ZIP's form has no
/// dates, or the step's beginning.
pub fn oldest(epoch: i64) -> i64 {
    const ZIP: i64 = 315_532_800;
    before(epoch).0.min(ZIP)
}

impl Looks {
    /// How many seconds earlier than on the host is what was there before the step: a multiple of
    /// sixteen years, so that all of it is older than the step's clock, and keeps its order, month and
    /// day.
    pub fn back(&self, epoch: i64) -> i64 {
        /// With four leap days.
        const SIXTEEN_YEARS: i64 = (16 * 365 + 4) * 86400;
        let ahead = self.since.0.saturating_sub(epoch.saturating_sub(1));
        match ahead {
            ..0 => 0,
            _ => (ahead / SIXTEEN_YEARS + 1).saturating_mul(SIXTEEN_YEARS),
        }
    }
}

/// The times that a call sets, but for those that are left to the kernel.
pub fn asked(call: &Notification) -> Vec<Instant> {
    let (address, size, scale) = match i64::from(call.call) {
        libc::SYS_utime => (call.arguments[1], 16, 0),
        libc::SYS_utimes => (call.arguments[1], 32, 1000),
        libc::SYS_futimesat => (call.arguments[2], 32, 1000),
        _ => (call.arguments[2], 32, 1),
    };
    let mut bytes = [0; 32];
    if address == 0 || memory::read(call.thread, address, &mut bytes[..size]).is_err() {
        return Vec::new();
    }
    let words: Vec<i64> = bytes[..size]
        .chunks_exact(8)
        .map(|word| i64::from_le_bytes(word.try_into().unwrap_or_default()))
        .collect();
    let pair = |pair: &[i64]| {
        // `UTIME_NOW` and `UTIME_OMIT` are above.
        let rest = u32::try_from(pair[1].checked_mul(scale)?).ok()?;
        (i64::from(rest) < SECOND).then_some((pair[0], rest))
    };
    match scale {
        0 => words.iter().map(|seconds| (*seconds, 0)).collect(),
        _ => words.chunks_exact(2).filter_map(pair).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Looks;
    use super::{Mode, Times};

    const DAY: i64 = 86400;

    /// What times of inputs are shown as, for a step that begins on the host at `since`.
    fn shown(epoch: i64, since: i64, inputs: [i64; 4]) -> [i64; 4] {
        let looks = Looks {
            whole: false,
            uid: 0,
            gid: 0,
            alone: true,
            since: (since, 0),
            began: (since, 0),
        };
        let times = Times::new(Mode::Logical, epoch.unsigned_abs(), &looks);
        inputs.map(|seconds| times.input((seconds, 7)).0)
    }

    #[test]
    fn inputs_are_older_than_the_step_and_keep_their_order() {
        for epoch in [0, 1, 315_532_800, 1_577_836_800, 1_900_000_000] {
            for since in [1_577_836_799, 1_577_836_800, 1_764_000_000, 2_200_000_000] {
                let inputs = [0, 1_000_000_000, since - 2 * DAY, since - 1];
                let all = shown(epoch, since, inputs);
                assert!(all.is_sorted(), "{epoch} {since} {all:?}");
                assert!(all[3] <= (epoch - 1).max(0), "{epoch} {since} {all:?}");
            }
        }
        let usual = shown(
            1_577_836_800,
            1_764_000_000,
            [0, 5, 1_700_000_000, 1_764_000_001],
        );
        // Sixteen years, and one that is not older than the step's beginning.
        assert_eq!(usual, [0, 5, 1_195_078_400, 1_577_836_799]);
    }
}
