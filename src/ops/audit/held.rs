//! Whether the sandbox held what a step drew, how, and what to do where it did not.

use envbox_lockfiles::manifest::{StepClock, StepFileStatus, StepNetwork};
use envbox_sandbox::{Machine, Source, is_told_without_mounts};
use serde::Serialize;

use crate::ops::run::Isolation;

/// Whether every run draws the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Held {
    /// It does not have to.
    NotHeld,
    /// It does.
    Held,
}

/// What is said of a draw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Whether every run draws the same.
    pub(super) held: Held,
    /// By what, or why not.
    pub(super) by: String,
    /// What to do about it.
    pub(super) remedy: Option<&'static str>,
}

fn held(by: impl Into<String>) -> Verdict {
    Verdict {
        held: Held::Held,
        by: by.into(),
        remedy: None,
    }
}

fn not_held(by: impl Into<String>, remedy: &'static str) -> Verdict {
    Verdict {
        held: Held::NotHeld,
        by: by.into(),
        remedy: Some(remedy),
    }
}

/// What `/proc` tells of a process that is the same each time.
const SAME_FACTS: [&str; 7] = ["cmdline", "comm", "environ", "exe", "fd", "maps", "auxv"];

/// Judges what was drawn from a source.
pub(super) fn judge(source: Source, what: &str, isolation: &Isolation) -> Verdict {
    const CLOCK: &str = "set `clock = \"logical\"`, or do not let this time reach the results";
    let Isolation { clock, epoch, .. } = isolation;
    let counted = matches!(clock, StepClock::Logical);
    let of_the_host = || not_held("this clock is the host's", CLOCK);
    if let Some(verdict) = in_container(source, what, isolation) {
        return verdict;
    }
    match source {
        Source::WallClock => match clock {
            StepClock::Logical => held(format!("moves by what the step does, from {epoch}")),
            StepClock::Frozen => held(format!("stands at {epoch}")),
            StepClock::Ticking => not_held(format!("ticks from {epoch}"), CLOCK),
            StepClock::Real => of_the_host(),
        },
        Source::Usage if counted => {
            held("moves by what the step does; what else is counted is not told")
        }
        Source::MonotonicClock | Source::ProcessorClock if counted => {
            held("moves by what the step does, from zero")
        }
        Source::MonotonicClock | Source::ProcessorClock => of_the_host(),
        Source::Wait => match clock {
            StepClock::Logical | StepClock::Frozen => {
                held("moves the step's clock by what was asked for")
            }
            StepClock::Ticking | StepClock::Real => of_the_host(),
        },
        Source::Randomness => held(format!("follows from seed {}", isolation.seed)),
        Source::DirectoryOrder => held("sorted by name"),
        Source::FileStatus if isolation.file_status == StepFileStatus::Fixed => {
            held("times and numbers follow from names and from what the step does")
        }
        Source::Machine => machine(what, isolation),
        Source::Network => network(what, isolation),
        Source::ProcessIds => held("counted from 1, in the order of starts"),
        Source::ProcessFacts if SAME_FACTS.iter().any(|name| what.ends_with(name)) => {
            held("follows from the command and its environment")
        }
        Source::Outside if isolation.network == StepNetwork::Host && what.starts_with("/etc/") => {
            not_held("this file is the host's", NETWORK)
        }
        Source::Outside => held("not inside, on any host"),
        Source::ThirtyTwoBit => held("killed, as in every run"),
        _ => open(source),
    }
}

/// Judges what the step was shown of the host's files.
pub(super) fn bound() -> Verdict {
    not_held(
        "this is the host's, and was bound",
        "put it into the project, and declare it below `[data]`",
    )
}

/// Judges what only namespaces and mounts hold, for a step that has none of its own.
fn in_container(source: Source, what: &str, isolation: &Isolation) -> Option<Verdict> {
    const WHERE: &str = "run the step with `envbox run`, or do not let it reach the results";
    let containers = match source {
        Source::Randomness | Source::Machine => {
            what.starts_with('/') && !is_told_without_mounts(what)
        }
        Source::ProcessIds | Source::ProcessFacts | Source::Outside => true,
        _ => false,
    };
    let whole = !isolation.namespaces.is_empty();
    (containers && !whole).then(|| not_held("this is the container's", WHERE))
}

const NETWORK: &str = "put what is fetched into the project, and set `network = \"none\"`";

/// Sources that nothing holds.
fn open(source: Source) -> Verdict {
    match source {
        Source::Usage => not_held(
            "the kernel counts what really happened",
            "do not let times and memory use reach the results",
        ),
        Source::FileStatus => not_held(
            "inode numbers are the host's, and so may be the times of what the step did not make",
            "set `file-status = \"fixed\"`, or compare files by what is in them",
        ),
        Source::Counter => not_held(
            "the processor counts for itself",
            "read a clock of the system's instead: those are held",
        ),
        Source::Scheduling => not_held(
            "the scheduler of the host decides",
            "do not let the processor's number reach the results",
        ),
        Source::Threads => not_held(
            "the order in which threads run is the scheduler's",
            "let no result depend on it: one thread (`cpus = 1`, `num_workers = 0`), or sums in a \
             fixed order",
        ),
        Source::ProcessFacts => not_held(
            "the kernel tells of what really happened",
            "do not let it reach the results",
        ),
        Source::Device => not_held(
            "device and driver are the host's",
            "pin the driver, and use the deterministic algorithms of the library",
        ),
        Source::Debugger => not_held(
            "what a debugger sees is in its own time",
            "run without a debugger",
        ),
        Source::Spinning => not_held(
            "the step waits for a clock that moves only when it is looked at",
            "wait with `sleep`, or set `clock = \"ticking\"`",
        ),
        _ => not_held("nothing is known of it", "report this"),
    }
}

fn machine(what: &str, isolation: &Isolation) -> Verdict {
    let calls = ["uname", "sysinfo", "sched_getaffinity"];
    let files = Machine::default().proc_files(0);
    let file = what.strip_prefix("/proc/").unwrap_or_default();
    let ours = calls.contains(&what) || files.iter().any(|(name, _)| *name == file);
    // `/sys` is empty but for what we put there.
    if ours || what.starts_with("/sys") || what == "/proc/sys/kernel/hostname" {
        let processors = match isolation.cpus {
            1 => "1 processor".to_owned(),
            cpus => format!("{cpus} processors"),
        };
        return held(format!("a machine of {processors} that all hosts show"));
    }
    not_held(
        "this file is the host's",
        "do not let it decide how the step computes",
    )
}

fn network(what: &str, isolation: &Isolation) -> Verdict {
    let peer = what.split_once(' ').map_or("", |(_, peer)| peer);
    let own = ["127.", "[::1]", "[::ffff:127.", "/", "@"];
    match isolation.network {
        StepNetwork::Host if !peer.starts_with('/') => {
            not_held("what the network answers is not the step's", NETWORK)
        }
        _ if peer.is_empty() || own.iter().any(|start| peer.starts_with(start)) => {
            held("the step talks to itself")
        }
        _ => held("fails: there is no such network inside"),
    }
}

#[cfg(test)]
mod tests {
    use envbox_lockfiles::manifest::{CpuBaseline, StepClock, StepFileStatus, StepNetwork};
    use envbox_sandbox::{Cpuid, Source};
    use jiff::Timestamp;

    use super::{Held, judge};
    use crate::ops::run::{Access, Isolation};

    fn isolation(clock: StepClock, network: StepNetwork) -> Isolation {
        Isolation {
            namespaces: vec!["pid"],
            network,
            project: Access::Overlay,
            hostname: "envbox".to_owned(),
            seed: 7,
            epoch: Timestamp::UNIX_EPOCH,
            clock,
            cpus: 2,
            cpu_baseline: CpuBaseline::V3,
            cpuid: Cpuid::Held,
            file_status: StepFileStatus::Times,
            kernel: "6.1.0".to_owned(),
        }
    }

    const SOURCES: [(Source, &str); 25] = [
        (Source::WallClock, "time"),
        (Source::MonotonicClock, "CLOCK_MONOTONIC"),
        (Source::Counter, "RDTSC"),
        (Source::ProcessorClock, "CLOCK_PROCESS_CPUTIME_ID"),
        (Source::Usage, "getrusage"),
        (Source::Wait, "futex"),
        (Source::Randomness, "getrandom"),
        (Source::DirectoryOrder, "/project"),
        (Source::FileStatus, "/project/train.py"),
        (Source::Machine, "uname"),
        (Source::Machine, "/proc/cpuinfo"),
        (Source::Machine, "/proc/vmstat"),
        (Source::Scheduling, "getcpu"),
        (Source::ProcessIds, "getpid"),
        (Source::ProcessFacts, "/proc/self/maps"),
        (Source::ProcessFacts, "/proc/self/stat"),
        (Source::Threads, "clone"),
        (Source::Network, "connect 127.0.0.1:80"),
        (Source::Network, "connect 10.0.0.1:80"),
        (Source::Device, "/dev/nvidia0"),
        (Source::Outside, "/data/train.csv"),
        (Source::Outside, "/etc/resolv.conf"),
        (Source::Debugger, "ptrace"),
        (Source::ThirtyTwoBit, "/usr/bin/old"),
        (Source::Spinning, "reads of a clock"),
    ];

    /// What is not held in a world.
    fn open(clock: StepClock, network: StepNetwork) -> Vec<String> {
        let isolation = isolation(clock, network);
        let mut open = Vec::new();
        for (source, what) in SOURCES {
            let verdict = judge(source, what, &isolation);
            assert_ne!(verdict.remedy, Some("report this"), "{source:?}");
            assert_eq!(verdict.remedy.is_some(), verdict.held == Held::NotHeld);
            if verdict.held == Held::NotHeld {
                open.push(format!("{} {what}", source.name()));
            }
        }
        open
    }

    #[test]
    fn what_namespaces_hold_is_not_held_without() {
        let bare = Isolation {
            namespaces: Vec::new(),
            ..isolation(StepClock::Logical, StepNetwork::Host)
        };
        let judged = SOURCES.map(|(source, what)| (what, judge(source, what, &bare).by));
        let containers = judged.iter().filter(|(_, by)| by.contains("container"));
        let names: Vec<&str> = containers.map(|(what, _)| *what).collect();
        insta::assert_snapshot!(names.join(" "), @"/proc/vmstat getpid /proc/self/maps /proc/self/stat /data/train.csv /etc/resolv.conf");
    }

    #[test]
    fn every_source_is_judged() {
        let usual = open(StepClock::Logical, StepNetwork::None);
        insta::assert_snapshot!(usual.join("\n"), @r"
        time-stamp-counter RDTSC
        file-status /project/train.py
        machine /proc/vmstat
        scheduling getcpu
        process-facts /proc/self/stat
        threads clone
        device /dev/nvidia0
        debugger ptrace
        spinning reads of a clock
        ");
        let least = open(StepClock::Real, StepNetwork::Host);
        let more: Vec<_> = least.iter().filter(|one| !usual.contains(one)).collect();
        insta::assert_debug_snapshot!(more, @r#"
        [
            "wall-clock time",
            "monotonic-clock CLOCK_MONOTONIC",
            "processor-clock CLOCK_PROCESS_CPUTIME_ID",
            "usage getrusage",
            "wait futex",
            "network connect 127.0.0.1:80",
            "network connect 10.0.0.1:80",
            "outside /etc/resolv.conf",
        ]
        "#);
    }

    #[test]
    fn a_verdict_names_what_holds() {
        let by = |source| {
            let isolation = isolation(StepClock::Frozen, StepNetwork::None);
            judge(source, "", &isolation).by
        };
        assert_eq!(by(Source::Randomness), "follows from seed 7");
        assert_eq!(by(Source::WallClock), "stands at 1970-01-01T00:00:00Z");
    }
}
