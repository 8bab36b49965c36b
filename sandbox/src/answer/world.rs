//! What a step shall believe, and by which calls we have to be asked for it.

use super::status::{self, Looks};
use super::{Machine, Mode, Places, audit, faults, opens, ports, waits};
use crate::init::filter::{Rule, Test, Verdict};

/// What a step shall believe.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// How its clocks move.
    pub clock: Mode,
    /// What the wall clock shows at the start, in seconds since 1970.
    pub epoch: u64,
    /// Where its random bytes come from; `None` for the kernel's.
    pub seed: Option<u64>,
    /// What machine it is on; `None` for the host.
    pub machine: Option<Machine>,
    /// Whether directories are in the order of their names.
    pub sorted: bool,
    /// What it learns of files, if that shall not be the host's.
    pub files: Option<Looks>,
    /// The host name.
    pub hostname: String,
    /// The NIS domain name.
    pub domainname: String,
    /// What to add to the host's monotonic clock to get the step's, in nanoseconds.
    pub offset: i128,
    /// What the step's monotonic clock shows at the start, in nanoseconds, if it is the kernel's.
    pub began: u64,
    /// Whether there are no mounts of ours, so that files have to be answered too.
    pub bare: bool,
    /// What its paths mean, if what it draws is counted.
    pub audit: Option<Places>,
    /// Whether reads of the time-stamp counter are counted then.
    pub counter: bool,
}

impl World {
    /// Returns the rules by which we are asked; none if the step shall see the truth.
    pub(super) fn rules(&self, faults: bool) -> Vec<Rule> {
        let mut rules = Vec::new();
        let mut ask = |call: libc::c_long, tests: &[Test]| {
            rules.push(Rule {
                call,
                tests: tests.to_vec(),
                verdict: Verdict::Ask,
            });
        };
        if self.has_page() {
            // The first calls of a new program, before it looks at its vDSO: glibc's is `brk`,
            // musl's and Go's sets the thread pointer.
            const ARCH_SET_FS: u32 = 0x1002;
            ask(libc::SYS_brk, &[Test::Zero(0)]);
            let not_ours = faults::NOT_OURS;
            ask(libc::SYS_arch_prctl, &[Test::Is(0, ARCH_SET_FS), not_ours]);
        }
        if self.clock != Mode::Real {
            for call in [
                libc::SYS_clock_gettime,
                libc::SYS_gettimeofday,
                libc::SYS_time,
                libc::SYS_adjtimex,
                libc::SYS_clock_adjtime,
            ] {
                ask(call, &[]);
            }
        }
        if self.clock == Mode::Logical {
            ask(libc::SYS_times, &[]);
            ask(libc::SYS_getrusage, &[]);
        }
        if matches!(self.clock, Mode::Frozen | Mode::Logical) || faults && self.counter {
            ask(libc::SYS_execve, &[]);
            ask(libc::SYS_execveat, &[]);
        }
        if self.seed.is_some() {
            const CLONE_THREAD: u32 = libc::CLONE_THREAD as u32;
            ask(libc::SYS_getrandom, &[]);
            ask(libc::SYS_fork, &[]);
            ask(libc::SYS_vfork, &[]);
            ask(libc::SYS_clone, &[Test::None(0, CLONE_THREAD)]);
        }
        if self.machine.is_some() {
            for call in [
                libc::SYS_uname,
                libc::SYS_sysinfo,
                libc::SYS_sched_getaffinity,
            ] {
                ask(call, &[]);
            }
        }
        if self.sorted {
            ask(libc::SYS_getdents64, &[]);
        }
        if self.seed.is_some() || self.tells_files() {
            rules.extend(opens::rules(self.asks_all()));
        }
        if self.seed.is_some() {
            rules.extend(ports::rules());
        }
        if self.seed.is_some() || faults {
            // Its flags are in memory, where no filter sees them; libraries fall back to `clone`.
            rules.push(Rule {
                call: libc::SYS_clone3,
                tests: Vec::new(),
                verdict: Verdict::Error(libc::ENOSYS),
            });
        }
        if self.clock != Mode::Real {
            rules.extend(waits::rules(self.clock));
        }
        if faults {
            rules.extend(faults::rules());
        }
        if let Some(looks) = &self.files {
            rules.extend(status::rules(looks));
        }
        if self.audit.is_some() {
            rules.extend(audit::rules(self));
        }
        rules
    }

    /// Whether processes get a vDSO of ours.
    pub(super) fn has_page(&self) -> bool {
        self.clock != Mode::Real || self.seed.is_some() || self.audit.is_some() || self.masks()
    }

    /// Whether opens of files are answered.
    pub(super) fn tells_files(&self) -> bool {
        self.bare && (self.machine.is_some() || self.seed.is_some())
    }

    /// Whether opens with `O_CLOEXEC` are asked about too: if the step pays for its files' status
    /// anyway, or if the kernel's files are where ours would be.
    pub(super) fn asks_all(&self) -> bool {
        self.has_whole_files() || self.bare
    }

    /// Whether nothing of what it learns of files is the host's.
    pub(super) fn has_whole_files(&self) -> bool {
        self.files.is_some_and(|looks| looks.whole)
    }

    /// Whether CPUID shall tell of the machine.
    fn masks(&self) -> bool {
        self.machine.as_ref().is_some_and(|machine| machine.cpuid)
    }
}
