//! What a thread has read and slept, counted in its GS base: the arithmetic of `inside/vdso.s`.

use super::vdso::Mode;
use super::waits::Clock;

/// The largest count.
const MOST: u64 = (1 << 47) - 1;
/// What a read adds to a logical count at the slowest pace.
const STEP: u64 = 1 << LOGICAL_SHIFT;
/// A logical count's pace on the wall clock.
const PACE: u64 = 1 << 3;
const FASTEST: u64 = 3;
/// Nanoseconds of a unit of a logical count, which is above all that.
pub const LOGICAL_UNIT: u64 = 1000;
const LOGICAL_SHIFT: u32 = 5;
/// Nanoseconds of a unit of a frozen count, which is above its reads.
const FROZEN_UNIT: u64 = 100_000;
const FROZEN_SHIFT: u32 = 16;

/// Nanoseconds that a count stands for.
pub fn elapsed(mode: Mode, count: u64) -> u64 {
    match mode {
        Mode::Frozen => (count >> FROZEN_SHIFT) * FROZEN_UNIT,
        Mode::Logical => (count >> LOGICAL_SHIFT) * LOGICAL_UNIT,
        Mode::Real | Mode::Ticking => 0,
    }
}

/// What a wait of so many nanoseconds adds to a count; never less than it was.
pub fn of(mode: Mode, nanoseconds: u64) -> u64 {
    match mode {
        // To whole milliseconds: what is left until a deadline on a clock that moves is not the
        // same each time.
        Mode::Frozen => {
            let units = nanoseconds.div_ceil(10 * FROZEN_UNIT).saturating_mul(10);
            units.min(MOST >> FROZEN_SHIFT) << FROZEN_SHIFT
        }
        Mode::Logical => {
            let units = nanoseconds.div_ceil(LOGICAL_UNIT);
            units.min(MOST >> LOGICAL_SHIFT) << LOGICAL_SHIFT
        }
        Mode::Real | Mode::Ticking => 0,
    }
}

/// The count after a read of a clock.
pub fn after_read(mode: Mode, clock: Clock, count: u64) -> u64 {
    let next = match (mode, clock) {
        (Mode::Frozen, _) if count & 0xffff == 0xffff => count + (1 << FROZEN_SHIFT),
        (Mode::Frozen, _) => count + 1,
        (Mode::Logical, Clock::Wall(_)) => after_wall_read(count),
        (Mode::Logical, _) => count + STEP,
        (Mode::Real | Mode::Ticking, _) => count,
    };
    if next > MOST { count } else { next }
}

/// A logical count so many microseconds later.
pub fn later(count: u64, microseconds: u64) -> u64 {
    let next = count.saturating_add(microseconds << LOGICAL_SHIFT);
    if next > MOST { count } else { next }
}

/// Who only looks at the wall clock waits for it to move: each time that the clock passes what takes
/// 1,024 reads, the pace rises, so that a read takes a microsecond, then 8, then 64. A wait takes it back
/// to 0 (in the page, where it returns), which is as 1: there are at least as many slow reads behind it,
/// wherever it began.
fn after_wall_read(count: u64) -> u64 {
    let pace = count / PACE % 4;
    let step = STEP << (3 * pace.saturating_sub(1));
    let next = count + step;
    let passed = (count ^ next) / (step << 10) != 0;
    next + if passed && pace < FASTEST { PACE } else { 0 }
}

/// The logical count before the last read of another clock than that on the wall.
pub fn before_read(count: u64) -> u64 {
    count.saturating_sub(STEP)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WALL: Clock = Clock::Wall(0);

    fn counts(mode: Mode, clock: Clock, from: u64) -> impl Iterator<Item = u64> {
        std::iter::successors(Some(from), move |&count| {
            Some(after_read(mode, clock, count))
        })
    }

    #[test]
    fn who_only_looks_at_the_wall_gets_far() {
        let reads = |clock, nanoseconds| {
            let before = |count: &u64| elapsed(Mode::Logical, *count) < nanoseconds;
            counts(Mode::Logical, clock, 0).take_while(before).count()
        };
        let spans = [1_000, 1_000_000, 100_000_000, 2_000_000_000, 60_000_000_000];
        let looks = spans.map(|span| reads(WALL, span));
        assert_eq!(looks, [1, 1_000, 4_251, 33_938, 940_188]);
        assert_eq!(reads(Clock::Monotonic(1), spans[2]), 100_000);
    }

    #[test]
    fn a_clock_stops_at_the_end() {
        for mode in [Mode::Logical, Mode::Frozen] {
            let last = of(mode, u64::MAX);
            assert!(last <= MOST && elapsed(mode, last) > 80_000_000_000_000);
            assert!(
                counts(mode, WALL, last)
                    .take(100_000)
                    .all(|count| count <= MOST)
            );
        }
    }
}
