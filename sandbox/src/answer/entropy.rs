//! Random bytes: one keyed stream for each process, whatever the order in which processes run.
//!
//! A process's key comes from its parent's and from which of the parent's children it is, so no pid
//! and no moment is in it. Which child a process is, is found when it first asks: its parent has
//! forked so many times, and who was born before is known by then.

use std::collections::BTreeMap;
use std::fs;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use sha2::{Digest, Sha256};

use crate::sys::read_proc_text;

/// The key of a stream.
type Key = [u8; 32];

/// The streams of a sandbox.
#[derive(Debug)]
pub struct Entropy {
    root: Key,
    /// By process id, as seen from here.
    processes: BTreeMap<u32, Process>,
    /// The children of dead parents that nobody could place.
    orphans: u64,
}

#[derive(Debug)]
struct Process {
    key: Key,
    stream: ChaCha20Rng,
    /// How many children it has had.
    forks: u64,
    /// Those of them that have not been seen: the thread that forked, and which child it is.
    unborn: Vec<(u32, u64)>,
    /// How many random devices and ports it was given.
    given: BTreeMap<&'static str, u64>,
}

/// A draw that counts once it has been delivered.
pub struct Draw {
    process: u32,
    after: ChaCha20Rng,
}

impl Entropy {
    /// Begins the streams of a seed.
    pub fn new(seed: u64) -> Entropy {
        Entropy {
            root: derive(&[0; 32], "seed", seed),
            processes: BTreeMap::new(),
            orphans: 0,
        }
    }

    /// Fills bytes from the stream of a thread's process.
    pub fn draw(&mut self, thread: u32, bytes: &mut [u8]) -> Draw {
        let process = self.process_of(thread);
        let mut after = self.processes[&process].stream.clone();
        after.fill_bytes(bytes);
        Draw { process, after }
    }

    /// Makes a draw count. One that was not delivered is drawn again.
    pub fn commit(&mut self, draw: Draw) {
        if let Some(process) = self.processes.get_mut(&draw.process) {
            process.stream = draw.after;
        }
    }

    /// Returns the process of a thread, how many things of a kind it was given, and the stream of the
    /// next. It is the same until [`Entropy::given`].
    pub fn next(&mut self, thread: u32, kind: &'static str) -> (u32, u64, ChaCha20Rng) {
        let process = self.process_of(thread);
        let Process { key, given, .. } = &self.processes[&process];
        let count = given.get(kind).copied().unwrap_or(0);
        let stream = ChaCha20Rng::from_seed(derive(key, kind, count));
        (process, count, stream)
    }

    /// Notes that a process was given the next of a kind.
    pub fn given(&mut self, process: u32, kind: &'static str) {
        if let Some(process) = self.processes.get_mut(&process) {
            *process.given.entry(kind).or_default() += 1;
        }
    }

    /// Returns a random UUID (RFC 9562, version 4) that belongs to no process, as the kernel
    /// prints it.
    pub fn uuid(&self, name: &str) -> String {
        let mut bytes = [0; 16];
        self.named(name).fill_bytes(&mut bytes);
        let number = u128::from_be_bytes(bytes);
        let number = number & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
        let text = format!("{number:032x}");
        let (a, b, c, d, e) = (
            &text[..8],
            &text[8..12],
            &text[12..16],
            &text[16..20],
            &text[20..],
        );
        format!("{a}-{b}-{c}-{d}-{e}\n")
    }

    /// A stream that belongs to no process.
    pub fn named(&self, name: &str) -> ChaCha20Rng {
        ChaCha20Rng::from_seed(derive(&self.root, name, 0))
    }

    /// Notes that a thread is about to fork.
    pub fn forks(&mut self, thread: u32) {
        let process = self.process_of(thread);
        // The thread's last fork is over, so its child exists, or existed.
        self.place_child_of(process, thread);
        if self.processes.len() > SWEEP {
            self.processes
                .retain(|process, _| fs::exists(format!("/proc/{process}")).unwrap_or(false));
        }
        if let Some(parent) = self.processes.get_mut(&process) {
            parent.unborn.push((thread, parent.forks));
            parent.forks += 1;
        }
    }

    /// Gives the newest child of a thread its key.
    fn place_child_of(&mut self, process: u32, thread: u32) {
        let Some(parent) = self.processes.get_mut(&process) else {
            return;
        };
        let Some(at) = parent.unborn.iter().position(|(by, _)| *by == thread) else {
            return;
        };
        let (_, ordinal) = parent.unborn.remove(at);
        let key = derive(&parent.key, "child", ordinal);
        if let Some(child) = children(process, thread).last() {
            self.processes.insert(*child, Process::new(key));
        }
    }

    /// Returns the process of a thread, which has a stream then.
    fn process_of(&mut self, thread: u32) -> u32 {
        // Most processes have one thread, which has their number.
        if self.processes.contains_key(&thread) {
            return thread;
        }
        let process = group(thread).unwrap_or(thread);
        if !self.processes.contains_key(&process) {
            let key = self.key_of(process);
            self.processes.insert(process, Process::new(key));
        }
        process
    }

    fn key_of(&mut self, process: u32) -> Key {
        if self.processes.is_empty() {
            return derive(&self.root, "step", 0);
        }
        let parent = status(process, "PPid:").unwrap_or(0);
        if let Some(known) = self.processes.get_mut(&parent) {
            let by = known.unborn.iter().position(|(thread, _)| {
                known.unborn.len() == 1 || children(parent, *thread).contains(&process)
            });
            if let Some(by) = by {
                let (_, ordinal) = known.unborn.remove(by);
                return derive(&known.key, "child", ordinal);
            }
        }
        self.orphans += 1;
        derive(&self.root, "orphan", self.orphans)
    }
}

/// From how many processes on the dead ones are forgotten.
const SWEEP: usize = 4096;

impl Process {
    fn new(key: Key) -> Process {
        Process {
            key,
            stream: ChaCha20Rng::from_seed(derive(&key, "stream", 0)),
            forks: 0,
            unborn: Vec::new(),
            given: BTreeMap::new(),
        }
    }
}

fn derive(key: &Key, label: &str, number: u64) -> Key {
    let mut hash = Sha256::new();
    hash.update(key);
    hash.update(label);
    hash.update(number.to_le_bytes());
    hash.finalize().into()
}

/// The process of a thread.
pub fn group(thread: u32) -> Option<u32> {
    status(thread, "Tgid:")
}

/// The parent of a thread's process.
pub fn parent(thread: u32) -> Option<u32> {
    status(thread, "PPid:")
}

fn status(thread: u32, field: &str) -> Option<u32> {
    let text = read_proc_text(format!("/proc/{thread}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim().parse().ok()
}

/// The living children that a thread forked, the newest last.
fn children(process: u32, thread: u32) -> Vec<u32> {
    let text = read_proc_text(format!("/proc/{process}/task/{thread}/children"));
    let text = text.unwrap_or_default();
    text.split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect()
}
