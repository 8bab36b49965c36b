//! Which calls draw from which source.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::paths::{self, Kind};
use super::{Places, Source};
use crate::answer::waits::{self, Clock};
use crate::answer::{World, faults, vdso};
use crate::init::filter::{Rule, Test, Verdict};
use crate::sys::memory;
use crate::sys::notify::Notification;

/// What a call draws.
pub struct Drawn {
    pub source: Source,
    pub what: String,
}

/// Calls that are always counted, and the source of those that have no say in it.
const CALLS: &[(libc::c_long, Option<Source>, &str)] = &[
    (libc::SYS_clock_gettime, None, "clock_gettime"),
    (
        libc::SYS_gettimeofday,
        Some(Source::WallClock),
        "gettimeofday",
    ),
    (libc::SYS_time, Some(Source::WallClock), "time"),
    (libc::SYS_times, Some(Source::Usage), "times"),
    (libc::SYS_getrusage, Some(Source::Usage), "getrusage"),
    (libc::SYS_getrandom, Some(Source::Randomness), "getrandom"),
    (libc::SYS_getdents64, None, "getdents64"),
    (libc::SYS_getdents, None, "getdents"),
    (libc::SYS_stat, None, "stat"),
    (libc::SYS_lstat, None, "lstat"),
    (libc::SYS_fstat, None, "fstat"),
    (libc::SYS_newfstatat, None, "newfstatat"),
    (libc::SYS_statx, None, "statx"),
    (libc::SYS_statfs, None, "statfs"),
    (libc::SYS_fstatfs, None, "fstatfs"),
    (libc::SYS_open, None, "open"),
    (libc::SYS_creat, None, "creat"),
    (libc::SYS_openat, None, "openat"),
    (libc::SYS_openat2, None, "openat2"),
    (libc::SYS_uname, Some(Source::Machine), "uname"),
    (libc::SYS_sysinfo, Some(Source::Machine), "sysinfo"),
    (
        libc::SYS_sched_getaffinity,
        Some(Source::Machine),
        "sched_getaffinity",
    ),
    (libc::SYS_getcpu, Some(Source::Scheduling), "getcpu"),
    (libc::SYS_getpid, Some(Source::ProcessIds), "getpid"),
    (libc::SYS_getppid, Some(Source::ProcessIds), "getppid"),
    (libc::SYS_gettid, Some(Source::ProcessIds), "gettid"),
    (libc::SYS_ptrace, Some(Source::Debugger), "ptrace"),
    (
        libc::SYS_process_vm_readv,
        Some(Source::Debugger),
        "process_vm_readv",
    ),
    (libc::SYS_connect, None, "connect"),
    (libc::SYS_bind, None, "bind"),
];

/// Returns the rules by which we are asked about more than needs an answer. They follow those that
/// need one.
pub fn rules(world: &World) -> Vec<Rule> {
    const CLONE_THREAD: u32 = libc::CLONE_THREAD as u32;
    let ask = |call, tests: &[Test]| Rule {
        call,
        tests: tests.to_vec(),
        verdict: Verdict::Ask,
    };
    let mut rules: Vec<Rule> = CALLS.iter().map(|(call, ..)| ask(*call, &[])).collect();
    // Only one that says where to.
    rules.push(ask(libc::SYS_sendto, &[Test::NonZero(4)]));
    rules.push(ask(libc::SYS_clone, &[Test::Any(0, CLONE_THREAD)]));
    if world.seed.is_none() {
        rules.push(Rule {
            call: libc::SYS_clone3,
            tests: Vec::new(),
            verdict: Verdict::Error(libc::ENOSYS),
        });
    }
    rules
}

/// Returns what a call draws; nothing for one that draws nothing.
pub fn classify(call: &Notification, places: &Places) -> Option<Drawn> {
    let number = i64::from(call.call);
    let drawn = |source, what: String| Some(Drawn { source, what });
    if let Some((_, Some(source), name)) = CALLS.iter().find(|(known, ..)| *known == number) {
        return drawn(*source, (*name).to_owned());
    }
    let [first, second, ..] = call.arguments;
    let here = libc::AT_FDCWD as u64;
    match number {
        libc::SYS_clock_gettime if first == faults::READ => {
            drawn(Source::Counter, "RDTSC".to_owned())
        }
        // What the code in the vDSO tells of.
        libc::SYS_clock_gettime if [vdso::SPIN, vdso::PAUSE].contains(&first) => None,
        libc::SYS_clock_gettime => {
            let (source, name) = clock(first as i32);
            drawn(source, name.to_owned())
        }
        libc::SYS_getdents64 | libc::SYS_getdents => {
            drawn(Source::DirectoryOrder, paths::of_descriptor(call, first)?)
        }
        libc::SYS_stat | libc::SYS_lstat | libc::SYS_statfs => {
            status(paths::read(call, here, first)?, places)
        }
        libc::SYS_fstat | libc::SYS_fstatfs => status(paths::of_descriptor(call, first)?, places),
        libc::SYS_newfstatat | libc::SYS_statx => status(paths::read(call, first, second)?, places),
        libc::SYS_open | libc::SYS_creat => opened(paths::read(call, here, first)?, places),
        libc::SYS_openat | libc::SYS_openat2 => opened(paths::read(call, first, second)?, places),
        libc::SYS_connect => network("connect", call, second, call.arguments[2]),
        libc::SYS_bind => network("bind", call, second, call.arguments[2]),
        libc::SYS_sendto => network("sendto", call, call.arguments[4], call.arguments[5]),
        libc::SYS_clone if first & libc::CLONE_THREAD as u64 != 0 => {
            drawn(Source::Threads, "clone".to_owned())
        }
        _ => waits::find(call.call)
            .map(|wait| wait.name())
            .and_then(|name| drawn(Source::Wait, name.to_owned())),
    }
}

/// The source behind a `clockid_t`.
fn clock(id: i32) -> (Source, &'static str) {
    let name = match id {
        libc::CLOCK_REALTIME => "CLOCK_REALTIME",
        libc::CLOCK_MONOTONIC => "CLOCK_MONOTONIC",
        libc::CLOCK_PROCESS_CPUTIME_ID => "CLOCK_PROCESS_CPUTIME_ID",
        libc::CLOCK_THREAD_CPUTIME_ID => "CLOCK_THREAD_CPUTIME_ID",
        libc::CLOCK_MONOTONIC_RAW => "CLOCK_MONOTONIC_RAW",
        libc::CLOCK_REALTIME_COARSE => "CLOCK_REALTIME_COARSE",
        libc::CLOCK_MONOTONIC_COARSE => "CLOCK_MONOTONIC_COARSE",
        libc::CLOCK_BOOTTIME => "CLOCK_BOOTTIME",
        libc::CLOCK_TAI => "CLOCK_TAI",
        _ => "clock_gettime",
    };
    let source = match Clock::of(id) {
        Clock::Wall(_) => Source::WallClock,
        Clock::Monotonic(_) => Source::MonotonicClock,
        Clock::Processor => Source::ProcessorClock,
    };
    (source, name)
}

/// Files of the environment are told nothing of: their times are the same everywhere.
fn status(path: String, places: &Places) -> Option<Drawn> {
    let source = match paths::kind(&path, places) {
        Kind::Project | Kind::Private => Source::FileStatus,
        Kind::Outside => Source::Outside,
        _ => return None,
    };
    let what = paths::what(path, places);
    Some(Drawn { source, what })
}

fn opened(path: String, places: &Places) -> Option<Drawn> {
    let source = match paths::kind(&path, places) {
        Kind::Project | Kind::Private | Kind::Environment => return None,
        Kind::Random => Source::Randomness,
        Kind::Machine => Source::Machine,
        Kind::Process => Source::ProcessFacts,
        Kind::Device => Source::Device,
        Kind::Outside => Source::Outside,
    };
    let what = paths::what(path, places);
    Some(Drawn { source, what })
}

/// Whom a call talks to.
fn network(name: &str, call: &Notification, address: u64, size: u64) -> Option<Drawn> {
    let mut bytes = vec![0; (size as usize).min(110)];
    memory::read(call.thread, address, &mut bytes).ok()?;
    let half = |at: usize| Some([*bytes.get(at)?, *bytes.get(at + 1)?]);
    let port = u16::from_be_bytes(half(2)?);
    let peer = match i32::from(u16::from_ne_bytes(half(0)?)) {
        libc::AF_UNIX => {
            // A name that begins with a zero byte is no path, and has its own length.
            let (sign, name) = match bytes.get(2..)? {
                [0, name @ ..] => ("@", name),
                name => ("", name.split(|byte| *byte == 0).next()?),
            };
            format!("{sign}{}", String::from_utf8_lossy(name))
        }
        libc::AF_INET => {
            let address: [u8; 4] = bytes.get(4..8)?.try_into().ok()?;
            format!("{}:{port}", Ipv4Addr::from(address))
        }
        libc::AF_INET6 => {
            let address: [u8; 16] = bytes.get(8..24)?.try_into().ok()?;
            format!("[{}]:{port}", Ipv6Addr::from(address))
        }
        // The kernel itself.
        _ => return None,
    };
    let what = format!("{name} {peer}");
    Some(Drawn {
        source: Source::Network,
        what,
    })
}
