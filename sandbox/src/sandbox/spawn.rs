//! Checking a policy and starting a step.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Component, Path};

use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
use rustix::process::{getegid, geteuid};
use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu};
use rustix::time::{ClockId, clock_gettime};

use super::bare::{self, Allowed};
use super::error::SandboxError;
use super::mounts::{self, CheckedBind};
use super::points::{self, Missing};
use super::policy::{
    Clock, FileStatus, Isolation, Limits, Orphans, Policy, Project, Signals, Step, Terminal,
};
use super::running::{Running, Subjects};
use super::started::{Offsets, Started, ready_made};
use super::{seccomp, terminal};
use crate::answer::{Answers, Baseline, Looks, Machine, Mode, Places, World};
use crate::host::{HostFacts, OLDEST_KERNEL, UserNamespace};
use crate::init::{self, FLAG_ASK, FLAG_RANDOM, FLAG_TERMINAL, Limit, Operation, Plan, Standard};
use crate::sys::SignalRelay;
use crate::sys::memory::has_fsgsbase;

/// A policy that is well-formed and that this kernel can hold. Nothing is started.
#[derive(Debug)]
pub struct Sandbox {
    policy: Policy,
    binds: Vec<CheckedBind>,
    missing: Vec<Missing>,
    allowed: Allowed,
}

impl Sandbox {
    /// Checks a policy against what the host can do.
    ///
    /// # Errors
    /// [`SandboxError::Unsupported`] and [`SandboxError::UserNamespace`] say what the host lacks,
    /// [`SandboxError::Path`] and [`SandboxError::Source`] what is wrong with the policy.
    pub fn new(policy: Policy, facts: &HostFacts) -> Result<Sandbox, SandboxError> {
        require_processor(&policy)?;
        if policy.isolation == Isolation::None {
            return Ok(Sandbox {
                allowed: bare::require(&policy, facts)?,
                policy,
                binds: Vec::new(),
                missing: Vec::new(),
            });
        }
        require_host(facts)?;
        let host_paths = match &policy.project {
            None => vec![],
            Some(Project::Direct { source } | Project::ReadOnly { source }) => vec![source],
            Some(Project::Overlay { lower, upper, work }) => vec![lower, upper, work],
        };
        for path in host_paths.into_iter().chain([&policy.rootfs]) {
            require_absolute(path)?;
            if !metadata(path)?.is_dir() {
                let source = std::io::ErrorKind::NotADirectory.into();
                return Err(SandboxError::Source {
                    path: path.clone(),
                    source,
                });
            }
        }
        require_absolute(&policy.home)?;
        let mut binds = Vec::with_capacity(policy.binds.len());
        for bind in &policy.binds {
            require_absolute(&bind.source)?;
            require_absolute(&bind.target)?;
            binds.push(CheckedBind {
                source: bind.source.clone(),
                target: bind.target.clone(),
                writable: bind.writable,
                directory: metadata(&bind.source)?.is_dir(),
            });
        }
        require_additions(&policy)?;
        let missing = points::missing(&policy.rootfs, &binds, &mounts::made(&policy))?;
        Ok(Sandbox {
            policy,
            binds,
            missing,
            allowed: Allowed::ALL,
        })
    }

    /// Starts a step.
    ///
    /// # Errors
    /// Fails if init cannot be started. What goes wrong after that is told by [`Running::wait`].
    pub fn spawn(self, mut step: Step) -> Result<Running, SandboxError> {
        let launch = |source| SandboxError::Launch { source };
        let relay = match step.signals {
            Signals::Forward => {
                Some(SignalRelay::open(step.orphans == Orphans::Reap).map_err(launch)?)
            }
            Signals::Leave => None,
        };
        let operations = operations(&self.policy, &self.binds, &self.missing);
        let (head_start, made) = (step.head_start.take(), ready_made(&operations));
        let started = Started::take(head_start, &self.policy, made).map_err(launch)?;
        let mut answers = Answers::new(world(&self.policy, &started.offsets))?;
        answers.stand_in().map_err(launch)?;
        let mut plan = self.plan(&step, &answers)?;
        if self.policy.isolation == Isolation::None {
            plan = bare::without_namespaces(plan);
        }
        plan.operations.clone_from(&operations);
        let plan = init::encode(&plan, started.made())?;
        let mut standard = Standard::default();
        let mut own = Standard::default();
        match step.terminal {
            Terminal::None => {
                standard.input = step.stdin.take();
                standard.output = step.stdout.take();
                standard.error = step.stderr.take();
            }
            // Then these are the supervisor's side of the relay.
            Terminal::Pty => {
                own.input = step.stdin.take();
                own.output = step.stdout.take();
            }
        }
        let command = step.argv.first().cloned().unwrap_or_default();
        let rootfs = self.policy.rootfs;
        started.launched.go(&plan, &standard).map_err(launch)?;
        Ok(Running::new(
            started,
            own,
            relay,
            answers,
            Subjects {
                command,
                orphans: step.orphans,
                parent: step.parent,
                rootfs,
                operations,
            },
        ))
    }

    fn plan(&self, step: &Step, answers: &Answers) -> Result<Plan, SandboxError> {
        let policy = &self.policy;
        let Some(command) = step.argv.first() else {
            return Err(SandboxError::EmptyCommand);
        };
        let mut arguments: Vec<Vec<u8>> = step.argv.iter().map(bytes).collect();
        if let Some(name) = &step.argv0 {
            arguments[0] = bytes(name);
        }
        let mut flags = 0;
        let asked = answers.rules();
        if !asked.is_empty() {
            flags |= FLAG_ASK;
        }
        if answers.world().seed.is_some() {
            flags |= FLAG_RANDOM;
        }
        let mut window = (0, 0);
        if step.terminal == Terminal::Pty {
            flags |= FLAG_TERMINAL;
            window = terminal::window(step.stdin.as_ref());
        }
        Ok(Plan {
            flags,
            hostname: policy.hostname.clone(),
            domainname: policy.domainname.clone(),
            rootfs: policy.rootfs.clone(),
            root_attributes: mounts::root_attributes(policy),
            operations: Vec::new(),
            limits: limits(&policy.limits),
            umask: policy.umask,
            personality: self.allowed.personality,
            processors: policy.machine.as_ref().map_or(Vec::new(), processors),
            filter: match self.allowed.filter {
                true => seccomp::filter(&asked),
                false => Vec::new(),
            },
            directory: step.cwd.clone(),
            candidates: candidates(command, &step.env),
            arguments,
            environment: step.env.iter().map(assignment).collect(),
            window,
        })
    }
}

/// Returns the operations that make the mounts of a policy, whenever its clocks begin.
pub(super) fn operations(
    policy: &Policy,
    binds: &[CheckedBind],
    missing: &[Missing],
) -> Vec<Operation> {
    match policy.isolation {
        Isolation::Namespaces => {
            let world = world(policy, &Offsets::default());
            mounts::operations(policy, &world, binds, missing)
        }
        Isolation::None => Vec::new(),
    }
}

/// What a policy answers a step, whose clocks begin with these offsets.
fn world(policy: &Policy, offsets: &Offsets) -> World {
    World {
        clock: match policy.clock {
            Clock::Real => Mode::Real,
            Clock::Ticking => Mode::Ticking,
            Clock::Frozen => Mode::Frozen,
            Clock::Logical => Mode::Logical,
        },
        epoch: policy.epoch,
        seed: policy.seed,
        machine: policy.machine.clone(),
        sorted: policy.sorted_directories,
        files: looks(policy, offsets),
        hostname: policy.hostname.clone(),
        domainname: policy.domainname.clone(),
        offset: match policy.isolation {
            Isolation::Namespaces => offsets.monotonic - offsets.own_monotonic,
            Isolation::None => 0,
        },
        began: match policy.isolation {
            Isolation::Namespaces => 0,
            Isolation::None => bare::now(),
        },
        bare: policy.isolation == Isolation::None,
        counter: policy.counter,
        audit: policy.audit.then(|| Places {
            home: policy.home.clone(),
            binds: policy
                .binds
                .iter()
                .map(|bind| bind.target.clone())
                .collect(),
        }),
    }
}

/// What a policy lets a step learn of files. Their times are those of its clock, so if that is the
/// kernel's, so are they.
fn looks(policy: &Policy, offsets: &Offsets) -> Option<Looks> {
    let whole = match policy.file_status {
        FileStatus::Host => return None,
        FileStatus::Times if policy.clock == Clock::Real => return None,
        FileStatus::Times => false,
        FileStatus::Fixed => true,
    };
    let namespaces = policy.isolation == Isolation::Namespaces;
    let (uid, gid) = match namespaces {
        true => (policy.uid, policy.gid),
        false => (geteuid().as_raw(), getegid().as_raw()),
    };
    let upper = match &policy.project {
        // It was made for the step.
        Some(Project::Overlay { upper, .. }) => {
            statx(CWD, upper, AtFlags::empty(), StatxFlags::CTIME).ok()
        }
        _ => None,
    };
    let (seconds, rest) = match upper {
        Some(upper) => (upper.stx_ctime.tv_sec, upper.stx_ctime.tv_nsec),
        None => {
            let now = clock_gettime(ClockId::RealtimeCoarse);
            (now.tv_sec, now.tv_nsec as u32)
        }
    };
    Some(Looks {
        whole,
        uid,
        gid,
        alone: namespaces || whole,
        since: (seconds, rest + 1),
        began: offsets.wall,
    })
}

/// Checks what every step needs of the kernel.
pub(super) fn require_kernel(facts: &HostFacts) -> Result<(), SandboxError> {
    if (facts.kernel.major, facts.kernel.minor) < OLDEST_KERNEL {
        let found = format!("Linux {}", facts.kernel.release);
        return Err(SandboxError::Unsupported {
            need: "Linux 5.12 or newer",
            found,
        });
    }
    Ok(())
}

/// Checks what every sandbox needs of the host.
fn require_host(facts: &HostFacts) -> Result<(), SandboxError> {
    if let UserNamespace::Refused { reason } = facts.user_namespace {
        return Err(SandboxError::UserNamespace { reason });
    }
    require_kernel(facts)?;
    if let Some(missing) = facts.missing_namespaces().first() {
        let found = format!("no `{missing}` namespaces");
        return Err(SandboxError::Unsupported {
            need: "all kinds of namespaces",
            found,
        });
    }
    match facts.proc_mount {
        Some(false) => Err(SandboxError::ProcCovered),
        _ => Ok(()),
    }
}

/// So many processors of those that this process may run on, as a bit mask.
///
/// They begin with the one it runs on: steps that are started at the same time are spread as the
/// kernel spread their supervisors, and question and answer meet on one processor.
fn processors(machine: &Machine) -> Vec<u64> {
    let Ok(own) = sched_getaffinity(None) else {
        return Vec::new();
    };
    let here = sched_getcpu();
    let all = (here..CpuSet::MAX_CPU).chain(0..here);
    let mut mask = vec![0; CpuSet::MAX_CPU / 64];
    let ours = all.filter(|cpu| own.is_set(*cpu));
    for cpu in ours.take(machine.cpus as usize) {
        mask[cpu / 64] |= 1 << (cpu % 64);
    }
    mask
}

/// Checks what the clock and the machine of a policy need of the processor.
fn require_processor(policy: &Policy) -> Result<(), SandboxError> {
    let counting = matches!(policy.clock, Clock::Frozen | Clock::Logical);
    if counting && !has_fsgsbase() {
        return Err(SandboxError::Unsupported {
            need: "Linux 5.9 and a processor with FSGSBASE for a clock that does not tick",
            found: "none for programs".to_owned(),
        });
    }
    let Some(machine) = &policy.machine else {
        return Ok(());
    };
    let found = Baseline::of_host();
    if found < Some(machine.baseline) {
        return Err(SandboxError::Baseline {
            wanted: machine.baseline,
            found,
        });
    }
    Ok(())
}

fn metadata(path: &Path) -> Result<fs::Metadata, SandboxError> {
    fs::metadata(path).map_err(|source| SandboxError::Source {
        path: path.to_owned(),
        source,
    })
}

fn require_absolute(path: &Path) -> Result<(), SandboxError> {
    let climbs = path
        .components()
        .any(|component| component == Component::ParentDir);
    if path.is_absolute() && !climbs {
        Ok(())
    } else {
        Err(SandboxError::Path {
            path: path.to_owned(),
        })
    }
}

/// Checks what a policy puts into filesystems of the sandbox's own.
fn require_additions(policy: &Policy) -> Result<(), SandboxError> {
    let misplaced = |path: &Path, place| SandboxError::Misplaced {
        path: path.to_owned(),
        place,
    };
    let below = |path: &Path, place: &Path| path.starts_with(place) && path != place;
    for device in &policy.devices {
        require_absolute(&device.source)?;
        require_absolute(&device.target)?;
        if !below(&device.target, Path::new("/dev")) {
            return Err(misplaced(&device.target, "`/dev`"));
        }
        if !metadata(&device.source)?.file_type().is_char_device() {
            return Err(SandboxError::NotADevice {
                path: device.source.clone(),
            });
        }
    }
    let made = [
        Path::new("/tmp"),
        Path::new("/run"),
        Path::new(super::identity::SYSTEM),
        &policy.home,
    ];
    let links = policy.links.iter().map(|link| &link.path);
    for path in links.chain(policy.files.iter().map(|file| &file.path)) {
        require_absolute(path)?;
        if !made.iter().any(|place| below(path, place)) {
            let place = "`/tmp`, `/run`, `/sys` or the home directory";
            return Err(misplaced(path, place));
        }
    }
    for cover in &policy.covers {
        require_absolute(&cover.target)?;
        if !below(&cover.target, Path::new("/proc")) {
            return Err(misplaced(&cover.target, "`/proc`"));
        }
    }
    Ok(())
}

fn bytes(text: &OsString) -> Vec<u8> {
    text.as_bytes().to_vec()
}

fn assignment((name, value): &(OsString, OsString)) -> Vec<u8> {
    [name.as_bytes(), b"=", value.as_bytes()].concat()
}

/// Lists the paths to try for a command, as `execvp` does. An empty element of the search path
/// means the working directory.
fn candidates(command: &OsStr, environment: &[(OsString, OsString)]) -> Vec<Vec<u8>> {
    let name = command.as_bytes();
    if name.contains(&b'/') {
        return vec![name.to_vec()];
    }
    if name.is_empty() {
        return Vec::new();
    }
    let path = environment.iter().find(|(name, _)| name == "PATH");
    let path = path.map_or(&b"/usr/local/bin:/usr/bin:/bin"[..], |(_, value)| {
        value.as_bytes()
    });
    let join = |directory: &[u8]| match directory {
        b"" => [b"./", name].concat(),
        directory => [directory, b"/", name].concat(),
    };
    path.split(|byte| *byte == b':').map(join).collect()
}

/// Pairs the limits with their numbers. Those that a policy does not name are fixed too: a step
/// must not see what the host happens to allow.
fn limits(limits: &Limits) -> Vec<Limit> {
    const NONE: u64 = u64::MAX;
    let both = |resource: libc::__rlimit_resource_t, value| Limit {
        resource: resource.into(),
        soft: value,
        hard: value,
    };
    vec![
        both(libc::RLIMIT_CPU, limits.cpu_seconds.unwrap_or(NONE)),
        both(libc::RLIMIT_FSIZE, limits.file_size.unwrap_or(NONE)),
        both(libc::RLIMIT_STACK, limits.stack),
        both(libc::RLIMIT_CORE, limits.core),
        both(libc::RLIMIT_NPROC, limits.processes),
        both(libc::RLIMIT_NOFILE, limits.open_files),
        both(libc::RLIMIT_MEMLOCK, limits.locked_memory),
        both(libc::RLIMIT_AS, limits.address_space.unwrap_or(NONE)),
        both(libc::RLIMIT_SIGPENDING, limits.pending_signals),
        both(libc::RLIMIT_MSGQUEUE, limits.message_queues),
        both(libc::RLIMIT_NICE, 0),
        both(libc::RLIMIT_RTPRIO, 0),
    ]
}

#[cfg(test)]
mod tests {
    use std::ffi::{OsStr, OsString};

    use super::{candidates, require_host};
    use crate::host::{HostFacts, Kernel};

    #[test]
    fn an_old_kernel_is_refused() {
        let facts = HostFacts {
            kernel: Kernel::parse("5.10.0-30-amd64"),
            ..HostFacts::minimal()
        };
        insta::assert_snapshot!(
            require_host(&facts).unwrap_err(),
            @"the sandbox needs Linux 5.12 or newer, but this host has Linux 5.10.0-30-amd64"
        );
    }

    #[test]
    fn a_command_is_searched_as_a_shell_does() {
        let env = |path: &str| vec![(OsString::from("PATH"), OsString::from(path))];
        let list = |command: &str, path: &str| {
            let found = candidates(OsStr::new(command), &env(path));
            found
                .into_iter()
                .map(|path| String::from_utf8(path).unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(list("python", "/a:/b"), ["/a/python", "/b/python"]);
        assert_eq!(list("python", ":/b"), ["./python", "/b/python"]);
        assert_eq!(list("./x", "/a"), ["./x"]);
        assert_eq!(list("", "/a"), Vec::<String>::new());
    }
}
