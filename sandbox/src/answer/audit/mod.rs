//! Which sources of nondeterminism a step consumes: every call that draws from one, counted.
//!
//! Comes in: the notifications of a sandbox whose rules ask about more calls than usual. Goes out:
//! [`Finding`]s, in order. Nothing is answered here, and nothing is written into a process: where
//! a Python program is, is read from its memory (`python.rs`).
//!
//! **Invariant:** what an audited step sees is what it would see without (`an_audited_step_sees_the_same`).

mod calls;
mod code;
mod elf;
mod paths;
mod python;
mod tables;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::PathBuf;

pub use calls::rules;

use self::calls::Drawn;
use self::python::{Interpreter, Position};
use crate::sys::notify::Notification;

/// A source of nondeterminism.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Source {
    /// The time of day.
    WallClock,
    /// Time since some start.
    MonotonicClock,
    /// The processor's time-stamp counter.
    Counter,
    /// Processor time, by a clock of it.
    ProcessorClock,
    /// Processor time, faults and memory, as the kernel counts them.
    Usage,
    /// Waits and timers that end by time.
    Wait,
    /// Random bytes.
    Randomness,
    /// The order of entries in a directory.
    DirectoryOrder,
    /// Times, inode and size of a file.
    FileStatus,
    /// Facts of the machine: kernel, processors, memory.
    Machine,
    /// The processor that a thread runs on.
    Scheduling,
    /// Numbers of processes and threads.
    ProcessIds,
    /// What `/proc` tells of the step's own processes.
    ProcessFacts,
    /// Threads that were started: the order in which they run is nobody's.
    Threads,
    /// A connection, or an attempt at one.
    Network,
    /// A device, such as a GPU.
    Device,
    /// A file outside of project and environment, whether it is there or not.
    Outside,
    /// A process looked at by another.
    Debugger,
    /// A 32-bit program.
    ThirtyTwoBit,
    /// A clock read so often that somebody seems to wait for it.
    Spinning,
}

/// Whose doing a call was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Code of the step: a line of Python in it led there.
    Code,
    /// A program that is no Python, or of which nothing more is known.
    Program,
    /// A module that was imported.
    Import,
    /// An interpreter's own start and end.
    Start,
}

/// A line of Python.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file, as the interpreter names it.
    pub file: String,
    /// The line.
    pub line: u32,
    /// The function; `<module>` outside of any.
    pub function: String,
}

/// Draws from a source that have everything in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The source.
    pub source: Source,
    /// Whose doing it was.
    pub origin: Origin,
    /// The program, by its path inside.
    pub program: String,
    /// What was called, and with what if that matters.
    pub what: String,
    /// How often.
    pub count: u64,
    /// Where the first came from: the innermost line of the step's own code, if there is one.
    pub place: Option<Place>,
    /// The innermost line of Python at all, if that is another.
    pub through: Option<Place>,
}

/// What the paths of a step mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// The home directory.
    pub home: PathBuf,
    /// What is the host's.
    pub binds: Vec<PathBuf>,
}

/// Counts what a step draws.
#[derive(Debug)]
pub struct Audit {
    places: Places,
    findings: BTreeMap<Key, Drawing>,
    /// How many things each source was asked for, to put an end to it.
    kinds: BTreeMap<(Source, Origin, String), u32>,
    threads: BTreeMap<u32, Thread>,
    /// Programs that are interpreters.
    interpreters: BTreeSet<String>,
}

type Key = (Source, Origin, String, String);

#[derive(Debug)]
struct Drawing {
    count: u64,
    position: Position,
}

/// What is known of a thread.
#[derive(Debug, Default)]
struct Thread {
    program: String,
    interpreter: Option<Interpreter>,
    /// How often an interpreter was looked for in vain.
    tries: u32,
    /// How often it read a clock.
    reads: u64,
}

/// How many things of one source and program are told apart.
const KINDS: u32 = 200;
/// How many calls a program may make before its interpreter is mapped.
const TRIES: u32 = 64;
/// How many reads of a clock by one thread are enough to know of, if the clock is held: more of them
/// would starve those who wait for it.
pub const ENOUGH: u64 = 5_000;
/// After how many reads the vDSO would tell of spinning.
pub const SPIN: u64 = 100_000;

impl Audit {
    /// Begins to count.
    pub fn new(places: Places) -> Audit {
        Audit {
            places,
            findings: BTreeMap::new(),
            kinds: BTreeMap::new(),
            threads: BTreeMap::new(),
            interpreters: BTreeSet::new(),
        }
    }

    /// Counts a call, before it is answered. Returns how often its thread has read a clock, if it
    /// does.
    pub fn note(&mut self, call: &Notification) -> Option<u64> {
        let Drawn { source, what } = calls::classify(call, &self.places)?;
        self.draw(call.thread, source, what);
        let clock = matches!(source, Source::WallClock | Source::MonotonicClock);
        let thread = self.threads.get_mut(&call.thread).filter(|_| clock)?;
        thread.reads += 1;
        Some(thread.reads)
    }

    /// Counts a draw of a thread.
    pub fn draw(&mut self, number: u32, source: Source, what: String) {
        let program = program(number);
        let thread = self.threads.entry(number).or_default();
        if thread.program != program {
            *thread = Thread {
                program: program.clone(),
                ..Thread::default()
            };
        }
        if thread.interpreter.is_none() && thread.tries < TRIES {
            thread.tries += 1;
            thread.interpreter = Interpreter::find(number);
            if thread.interpreter.is_some() {
                self.interpreters.insert(program.clone());
            }
        }
        let position = match &mut thread.interpreter {
            Some(interpreter) => interpreter.position(number),
            None => Position::unknown(),
        };
        let origin = position.origin;
        let what = self.among_kinds((source, origin, program.clone()), what);
        let found = self.findings.entry((source, origin, program, what));
        let drawing = found.or_insert(Drawing { count: 0, position });
        drawing.count += 1;
    }

    /// Returns the name under which something is counted.
    fn among_kinds(&mut self, of: (Source, Origin, String), what: String) -> String {
        let (source, origin, program) = of.clone();
        let key = (source, origin, program, what);
        if self.findings.contains_key(&key) {
            return key.3;
        }
        let kinds = self.kinds.entry(of).or_default();
        *kinds += 1;
        match *kinds > KINDS {
            true => "others".to_owned(),
            false => key.3,
        }
    }

    /// Returns what was found, in order.
    pub fn findings(self) -> Vec<Finding> {
        let mut findings: BTreeMap<Key, Drawing> = BTreeMap::new();
        for ((source, mut origin, program, what), drawing) in self.findings {
            // The linker's, before there was an interpreter.
            if origin == Origin::Program && self.interpreters.contains(&program) {
                origin = Origin::Start;
            }
            let found = findings.entry((source, origin, program, what));
            found
                .and_modify(|found| found.count += drawing.count)
                .or_insert(drawing);
        }
        let finding = |(key, drawing): (Key, Drawing)| {
            let (source, origin, program, what) = key;
            Finding {
                source,
                origin,
                program,
                what,
                count: drawing.count,
                place: drawing.position.place,
                through: drawing.position.through,
            }
        };
        findings.into_iter().map(finding).collect()
    }
}

/// The program that a thread executes, by its path inside.
fn program(thread: u32) -> String {
    let path = fs::read_link(format!("/proc/{thread}/exe")).unwrap_or_default();
    path.to_string_lossy().into_owned()
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{} in {}", self.file, self.line, self.function)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (source, origin) = (self.source.name(), self.origin.name());
        write!(
            f,
            "{source}\t{origin}\t{}\t{}\t{}",
            self.program, self.what, self.count
        )?;
        for place in self.place.iter().chain(&self.through) {
            write!(f, "\t{place}")?;
        }
        Ok(())
    }
}

impl Source {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Source::WallClock => "wall-clock",
            Source::MonotonicClock => "monotonic-clock",
            Source::Counter => "time-stamp-counter",
            Source::ProcessorClock => "processor-clock",
            Source::Usage => "usage",
            Source::Wait => "wait",
            Source::Randomness => "randomness",
            Source::DirectoryOrder => "directory-order",
            Source::FileStatus => "file-status",
            Source::Machine => "machine",
            Source::Scheduling => "scheduling",
            Source::ProcessIds => "process-ids",
            Source::ProcessFacts => "process-facts",
            Source::Threads => "threads",
            Source::Network => "network",
            Source::Device => "device",
            Source::Outside => "outside",
            Source::Debugger => "debugger",
            Source::ThirtyTwoBit => "32-bit",
            Source::Spinning => "spinning",
        }
    }
}

impl Origin {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Origin::Code => "code",
            Origin::Program => "program",
            Origin::Import => "import",
            Origin::Start => "start",
        }
    }
}
