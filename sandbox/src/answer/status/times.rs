//! The times of files.

use std::collections::BTreeSet;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use rustix::fs::{Statx, StatxTimestamp};

use super::super::vdso::Mode;
use super::Looks;
use super::mounts::Kind;
use super::numbers::Stamps;
use super::order::{Order, tick};
use super::tell::Told;

/// Seconds since 1970 and nanoseconds.
pub type Instant = (i64, u32);

/// A time of a file: what the kernel says, and what the step is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// The kernel's.
    pub real: Instant,
    /// Ours.
    pub shown: Instant,
    /// Which change it is the time of; none is the step's beginning.
    pub change: u64,
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
    /// Whether it moves by a look at what has changed, and by how many microseconds it has.
    moves: bool,
    moved: u64,
    order: Order,
    /// The times of changes, as far as somebody has looked.
    given: Vec<Given>,
    /// Times that the step set.
    set: BTreeSet<Instant>,
}

/// The times of some changes, which were given to them together.
#[derive(Clone, Copy, Debug)]
struct Given {
    /// The first that they are not the times of.
    end: u64,
    /// That of the first one, in nanoseconds. Each other is a microsecond later.
    first: u64,
    /// The number of the first.
    start: u64,
    /// What the kernel's clock showed.
    at: Instant,
}

/// What the kernel says.
pub fn real(time: &StatxTimestamp) -> Instant {
    (time.tv_sec, time.tv_nsec)
}

/// Whether something is a regular file, a directory or a link.
pub fn is_plain(status: &Statx) -> bool {
    const PLAIN: [u32; 3] = [libc::S_IFREG, libc::S_IFDIR, libc::S_IFLNK];
    PLAIN.contains(&(u32::from(status.stx_mode) & libc::S_IFMT))
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
            moves: false,
            moved: 0,
            order: Order::default(),
            given: Vec::new(),
            set: BTreeSet::new(),
        }
    }

    /// The step begins now: where everything is told, with the kernel's next tick. Files get the time of a
    /// tick, and an input that was made in this one would else look like the step's work.
    pub fn start(&mut self, whole: bool) {
        // A tick has at most ten milliseconds.
        const PAUSE: Duration = Duration::from_micros(200);
        const PAUSES: usize = 100;
        let (seconds, rest) = tick();
        let from = match whole {
            true => (seconds, rest + 1),
            false => self.start,
        };
        let mut ticks = (0..PAUSES).map(|round| {
            sleep(if round == 0 { Duration::ZERO } else { PAUSE });
            tick()
        });
        let now = ticks.find(|now| *now >= from).unwrap_or(from);
        if whole {
            self.start = now;
            self.began = now;
        }
    }

    /// Who looks next sees this on the wall clock, in nanoseconds. A logical one moves by a look, if its
    /// thread can.
    pub fn set_now(&mut self, wall: u64, moves: bool) {
        self.now = Some(instant(wall));
        self.moves = moves && self.mode == Mode::Logical;
        self.moved = 0;
    }

    /// By how many microseconds the last look moves the clock of who looked.
    pub fn take_moved(&mut self) -> u64 {
        std::mem::take(&mut self.moved)
    }

    /// In which order the step changes its files.
    pub fn order(&mut self) -> &mut Order {
        &mut self.order
    }

    /// Whether the order of changes is what their times are made of.
    pub fn are_ordered(&self) -> bool {
        matches!(self.mode, Mode::Frozen | Mode::Logical)
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

    /// Whether a file is one of the step's own, on a mount of this kind, and has changed.
    pub fn is_changed(&self, status: &Statx, kind: Option<Kind>) -> bool {
        let own = kind.is_some_and(|kind| !matches!(kind, Kind::ReadOnly | Kind::Kernels));
        own && is_plain(status) && self.is_after_start(real(&status.stx_ctime))
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
    pub fn show(&mut self, told: &mut Told, stamps: &mut Stamps, status: &Statx, path: &Path) {
        let (modified, changed) = (real(&status.stx_mtime), real(&status.stx_ctime));
        let [content, whole] = self.order.of(path, modified, changed);
        self.update(&mut stamps.modified, modified, content);
        match (changed, whole) == (modified, content) {
            true => stamps.changed = stamps.modified,
            false => self.update(&mut stamps.changed, changed, whole),
        }
        if self.moves && stamps.changed.change > 0 {
            self.moved = self.moved.max(1);
        }
        told.modified = stamps.modified.shown;
        told.changed = stamps.changed.shown;
        let accessed = real(&status.stx_atime);
        // The kernel notes by its own rules when a file was read.
        let kept = self.is_of_step(accessed);
        told.accessed = if kept { accessed } else { told.modified };
        told.born = *stamps.born.get_or_insert(told.changed);
    }

    fn update(&mut self, stamp: &mut Stamp, real: Instant, change: u64) {
        if stamp.real == real && (!self.are_ordered() || change <= stamp.change) {
            return;
        }
        (stamp.real, stamp.shown) = (real, real);
        if self.is_of_step(real) {
            return;
        }
        if !self.is_after_start(real) {
            stamp.shown = self.input(real);
            return;
        }
        if !self.are_ordered() {
            stamp.shown = self.ticking(real);
            return;
        }
        stamp.change = change.max(stamp.change);
        if stamp.change == 0 {
            // Before the step changed anything: made for it.
            stamp.shown = self.before();
            return;
        }
        let (shown, at) = self.place(stamp.change);
        stamp.shown = shown;
        if self.is_past(shown) && real > (at.0 + LATER, at.1) {
            // It was written to long after the last change that was announced of it.
            stamp.change = self.order.add();
            stamp.shown = self.place(stamp.change).0;
        }
    }

    /// What a time is on a clock that moves as the host's.
    fn ticking(&self, real: Instant) -> Instant {
        if self.mode == Mode::Real {
            return real;
        }
        let nanoseconds = i64::from(real.1) - i64::from(self.began.1);
        let seconds = self.epoch + (real.0 - self.began.0) + nanoseconds.div_euclid(SECOND);
        (seconds, nanoseconds.rem_euclid(SECOND) as u32)
    }

    /// The time of a change, and when it was given to it: now, if nobody has looked since.
    ///
    /// Each takes a microsecond of the clock of who looks, if that moves by it. On another the last one is a
    /// hundredth of a second before, so that many that are seen one after another while it stands are not
    /// newer than it.
    fn place(&mut self, change: u64) -> (Instant, Instant) {
        let (start, free) = self.given.last().map_or_else(
            || (1, nanoseconds(self.before()) + MICROSECOND),
            |last| (last.end, last.of(last.end)),
        );
        if change >= start {
            self.forget();
            let end = self.order.count() + 1;
            let now = self.now.map_or(0, nanoseconds);
            let first = match self.moves {
                true => now + MICROSECOND,
                false => now.saturating_sub(MARGIN + (end - 1 - start) * MICROSECOND),
            };
            if self.moves {
                self.moved = end - start;
            }
            self.given.push(Given {
                start,
                end,
                first: free.max(first),
                at: tick(),
            });
        }
        let given = self.given.partition_point(|given| given.end <= change);
        let given = self.given[given];
        let mut shown = given.of(change);
        if self.now.is_none() {
            let end = nanoseconds(self.before()).saturating_add(SECOND.unsigned_abs());
            shown = shown.min(end - MICROSECOND);
        }
        (instant(shown), given.at)
    }

    /// Bounds what is kept: of old changes the order and the last time stay.
    fn forget(&mut self) {
        if self.given.len() < KEPT {
            return;
        }
        let old = self.given.drain(..KEPT / 2).next_back();
        if let Some(last) = old {
            let end = last.of(last.end);
            let start = 1;
            let first = end.saturating_sub((last.end - start) * MICROSECOND);
            let all = Given {
                start,
                first,
                ..last
            };
            self.given.insert(0, all);
        }
    }

    /// Whether a clock has moved since it showed this, by more than files can be told apart by elsewhere.
    fn is_past(&self, shown: Instant) -> bool {
        let end = nanoseconds(shown).saturating_add(2 * MARGIN);
        self.now.is_some_and(|now| nanoseconds(now) >= end)
    }
}

impl Given {
    /// The time of one, or of the first behind the last.
    fn of(&self, change: u64) -> u64 {
        self.first + (change - self.start) * MICROSECOND
    }
}

/// What is written to a file that stays open shows when so many seconds have passed on the host since its
/// time was given to it, and some on the clock of who looks. With less, how long a program takes to write
/// would show.
const LATER: i64 = 1;

const KEPT: usize = 1 << 17;

/// Nanoseconds.
const MICROSECOND: u64 = 1000;
const MARGIN: u64 = 10_000 * MICROSECOND;

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

#[cfg(test)]
mod tests {
    use super::super::Looks;
    use super::{KEPT, MICROSECOND, Mode, Times, nanoseconds};

    const DAY: i64 = 86400;

    /// Those of a step that begins on the host at `since`.
    fn times(epoch: i64, since: i64) -> Times {
        let looks = Looks {
            whole: false,
            uid: 0,
            gid: 0,
            alone: true,
            since: (since, 0),
            began: (since, 0),
        };
        Times::new(Mode::Logical, epoch.unsigned_abs(), &looks)
    }

    /// What times of inputs are shown as.
    fn shown(epoch: i64, since: i64, inputs: [i64; 4]) -> [i64; 4] {
        let times = times(epoch, since);
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

    #[test]
    fn changes_keep_their_order_however_many_there_are() {
        let mut times = times(1_577_836_800, 1_764_000_000);
        let mut last = times.before();
        for round in 0..2 * KEPT as u64 {
            times.set_now(
                nanoseconds((1_577_836_800, 0)) + round * 20 * MICROSECOND,
                true,
            );
            let change = times.order.add();
            let (shown, _) = times.place(change);
            assert!(shown > last, "{round}");
            last = shown;
        }
        assert!(times.given.len() <= KEPT);
        let all: Vec<_> = (1..=2 * KEPT as u64).map(|it| times.place(it).0).collect();
        assert!(all.is_sorted_by(|one, two| one < two));
        assert_eq!(all.last(), Some(&last));
    }
}
