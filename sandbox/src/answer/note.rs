//! What a step did that it should not, or that could not be held.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use super::pauses::Pauses;
use crate::sys::read_proc;

/// Something that the user should know while the step runs. Each kind is told once.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// A thread looks at a clock so often that it seems to wait for it.
    Spinning {
        /// The program.
        program: String,
    },
    /// A thread works longer and longer between two looks at a clock that work does not move.
    Calibrating {
        /// The program.
        program: String,
    },
    /// A thread has looked at its clock for ten minutes. Work does not move it.
    Long {
        /// The program.
        program: String,
    },
    /// A 32-bit program was killed: its calls and its vDSO are others.
    ThirtyTwoBit {
        /// The program.
        program: String,
    },
    /// A thread is traced by a debugger inside, so its waits are on the kernel's clock.
    Traced {
        /// The program.
        program: String,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Note::Spinning { program } => write!(
                f,
                "`{program}` looks at its clock again and again; if it waits for time to pass, \
                 give it a clock that does: clock = \"ticking\""
            ),
            Note::Calibrating { program } => write!(
                f,
                "`{program}` works longer and longer between two looks at its clock, which work \
                 does not move; if it measures how long something takes, give it a clock that \
                 does: clock = \"ticking\""
            ),
            Note::Long { program } => write!(
                f,
                "`{program}` has looked at its clock for ten minutes; that clock moves when it is \
                 looked at and not by work, so if the program ends when a time is over, give it \
                 one that ticks: clock = \"ticking\""
            ),
            Note::ThirtyTwoBit { program } => write!(
                f,
                "`{program}` is a 32-bit program, which the sandbox does not run"
            ),
            Note::Traced { program } => write!(
                f,
                "`{program}` is traced by a debugger; how long it waits is not held"
            ),
        }
    }
}

/// Notes that were and were not told yet.
#[derive(Debug, Default)]
pub struct Notes {
    pending: Vec<Note>,
    told: Vec<std::mem::Discriminant<Note>>,
    spins: BTreeMap<u32, Spins>,
    pauses: BTreeMap<u32, Pauses>,
}

/// How often a thread told that it read a clock 100,000 times.
#[derive(Debug)]
struct Spins {
    since: Instant,
    count: u32,
}

impl Notes {
    /// Adds a note, unless there was one of its kind.
    pub fn add(&mut self, note: Note) {
        let kind = std::mem::discriminant(&note);
        if !self.told.contains(&kind) {
            self.told.push(kind);
            self.pending.push(note);
        }
    }

    /// Counts another 100,000 reads of a thread. A million is more than a program needs that does
    /// not wait; one that does more between two reads than read gets there by time.
    ///
    /// Returns whether that is too many.
    pub fn spins(&mut self, thread: u32) -> bool {
        const LIMIT: u32 = 10;
        const PATIENCE: Duration = Duration::from_secs(60);
        let spins = self.spins.entry(thread).or_insert_with(|| Spins {
            since: Instant::now(),
            count: 0,
        });
        spins.count += 1;
        let spinning = spins.count >= LIMIT || spins.since.elapsed() > PATIENCE;
        if spinning {
            let program = program(thread);
            self.add(Note::Spinning { program });
        }
        spinning
    }

    /// Notes that a thread reads a clock in another second than before.
    pub fn pauses(&mut self, thread: u32) {
        let pauses = self.pauses.entry(thread).or_default();
        let calibrates = pauses.looks(Instant::now());
        if calibrates {
            let program = program(thread);
            self.add(Note::Calibrating { program });
        } else if pauses.is_long() {
            let program = program(thread);
            self.add(Note::Long { program });
        }
    }

    /// Takes what has not been told yet.
    pub fn take(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.pending)
    }
}

/// The name of the program that a thread executes, as the step knows it.
pub fn program(thread: u32) -> String {
    let bytes = read_proc(format!("/proc/{thread}/cmdline")).unwrap_or_default();
    let name = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    match name {
        b"" => format!("process {thread}"),
        name => String::from_utf8_lossy(name).into_owned(),
    }
}
