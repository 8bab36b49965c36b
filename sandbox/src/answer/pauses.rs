//! Notices a loop that works twice as long each time until its clock has moved: `timeit.autorange`
//! and what else measures how often to repeat something. On a logical clock it has no end.

use std::time::{Duration, Instant};

/// How long one thread worked between its looks at a clock, as far as that grows.
#[derive(Debug, Default)]
pub struct Pauses {
    last: Option<Instant>,
    growing: Vec<Duration>,
    /// In how many seconds it looked.
    seconds: u32,
}

impl Pauses {
    /// Notes a look at the clock; returns whether it is one too many.
    pub fn looks(&mut self, now: Instant) -> bool {
        let pause = self.last.map(|last| now.saturating_duration_since(last));
        self.last = Some(now);
        self.seconds += 1;
        // A shorter one is that of a look just before the second changed.
        const SHORTEST: Duration = Duration::from_millis(400);
        let Some(pause) = pause.filter(|pause| *pause >= SHORTEST) else {
            return false;
        };
        // The usual steps are 2, 2.5 and 10, and other programs run at the same time.
        const LEAST: f64 = 1.2;
        const MOST: f64 = 14.0;
        let grows = self.growing.last().is_some_and(|last| {
            (LEAST..MOST).contains(&(pause.as_secs_f64() / last.as_secs_f64()))
        });
        if !grows {
            self.growing.clear();
        }
        self.growing.push(pause);
        self.is_a_loop()
    }

    /// Whether it has looked for so long, just now, that the user should know how its clock moves.
    pub fn is_long(&self) -> bool {
        const LONG: u32 = 600;
        self.seconds == LONG
    }

    /// Whether it grew too often, or too much, to be a program that loads, prepares and trains.
    fn is_a_loop(&self) -> bool {
        const TIMES: usize = 4;
        const GROWTH: u32 = 64;
        const PATIENCE: Duration = Duration::from_secs(6);
        let (Some(first), Some(last)) = (self.growing.first(), self.growing.last()) else {
            return false;
        };
        let much = self.growing.len() > 2 && *last > *first * GROWTH;
        *last >= PATIENCE && (self.growing.len() >= TIMES || much)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a program is told of that works so many milliseconds between its looks.
    fn noticed(pauses: &[u64]) -> bool {
        let (mut now, mut seen) = (Instant::now(), Pauses::default());
        let mut told = seen.looks(now);
        for pause in pauses {
            now += Duration::from_millis(*pause);
            told |= seen.looks(now);
        }
        told
    }

    #[test]
    fn loops_that_grow_without_end_are_noticed() {
        assert!(noticed(&[20, 40, 500, 1000, 2000, 4000, 8000]));
        assert!(
            noticed(&[550, 1100, 2700, 5600, 11_000]),
            "timeit.autorange"
        );
        assert!(noticed(&[9000, 1000, 10_000, 99_000]), "%timeit");
    }

    #[test]
    fn who_looks_for_ten_minutes_is_told_of_once() {
        let (mut now, mut seen) = (Instant::now(), Pauses::default());
        let long = (0..2000).filter(|_| {
            now += Duration::from_secs(1);
            seen.looks(now);
            seen.is_long()
        });
        assert_eq!(long.collect::<Vec<_>>(), [599]);
    }

    #[test]
    fn work_is_not() {
        assert!(!noticed(&[1000; 100]), "epochs");
        assert!(!noticed(&[1200, 4000, 20_000, 20_000, 20_000, 500, 20_000]));
        assert!(!noticed(&[1000, 2000, 4000, 5000]), "short");
        assert!(!noticed(&[100_000, 90_000, 80_000]));
    }
}
