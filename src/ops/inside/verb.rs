//! A policy and a command to a report.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use envbox_lockfiles::base::{Digest, Event, Reporter};
use envbox_lockfiles::manifest::{SandboxPolicy, StepClock, StepNetwork};
use envbox_sandbox::{
    HostFacts, Isolation, Note, Orphans, Policy, Power, Sandbox, SandboxError, Signals, Step,
    Supervision, Terminal,
};
use jiff::Timestamp;

use crate::ops::Error;
use crate::ops::audit::sources_in_container;
use crate::ops::inside::holds::{Decided, holds};
use crate::ops::inside::{InsidePolicy, InsideReport, Passed};
use crate::ops::run::{
    Callers, HELD_FILE, Held, PYTHON_MARK, Rest, RunError, Variable, announce_end, announce_start,
    answered, environment, libraries, overridden,
};
use crate::rootfs::activation;

/// What to run in a container, and how.
#[derive(Debug, Default)]
pub struct InsideOptions {
    /// The command and its arguments.
    pub argv: Vec<OsString>,
    /// `--env`: variables beyond those of the policy, a later one of the same name wins.
    pub env: Vec<Variable>,
    /// The container's whole environment.
    pub host_env: BTreeMap<OsString, OsString>,
    /// `--keep-env`: what becomes of variables of the container's that nobody named.
    pub rest: Rest,
    /// `--seed`: instead of the policy's.
    pub seed: Option<u64>,
    /// `--clock`: instead of the policy's.
    pub clock: Option<StepClock>,
    /// `--cpus`: instead of the policy's.
    pub cpus: Option<u32>,
    /// `--best-effort`: what becomes of a step when the container refuses what it needs.
    pub refusals: Refusals,
    /// The step's working directory.
    pub current_directory: PathBuf,
    /// Whether the step gets a terminal of its own.
    pub terminal: Terminal,
    /// What becomes of signals to this process.
    pub signals: Signals,
    /// `--die-with-parent`: a pidfd of the process that the step must not outlive.
    pub parent: Option<OwnedFd>,
    /// What becomes of children of this process that it did not start.
    pub orphans: Orphans,
    /// Whether what the step draws from sources of nondeterminism is counted.
    pub audit: bool,
    /// When it begins.
    pub started: Timestamp,
    /// The digest of the policy's file, if there was one.
    pub policy: Option<Digest>,
}

/// What becomes of a step when the container refuses what its policy needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Refusals {
    /// It does not run.
    #[default]
    Fail,
    /// It runs, and the report says what is not held.
    PassOver,
}

/// Runs a command in the container that this process is in.
///
/// # Errors
/// Returns [`Error`] when the step did not run. One that ran and failed is a report.
pub fn inside(
    reporter: &dyn Reporter,
    policy: &InsidePolicy,
    options: &InsideOptions,
) -> Result<InsideReport, Error> {
    Ok(supervise(reporter, policy, options)?)
}

fn supervise(
    reporter: &dyn Reporter,
    policy: &InsidePolicy,
    options: &InsideOptions,
) -> Result<InsideReport, RunError> {
    let launch = |source| RunError::Sandbox(SandboxError::Launch { source });
    let facts = HostFacts::bare().map_err(launch)?;
    let powers = facts.supervision.clone().unwrap_or_default();
    let (seed, clock, cpus) = (options.seed, options.clock, options.cpus);
    let wanted = overridden(&policy.sandbox, seed, clock, cpus);
    let wanted = with_own_name(wanted);
    let step = step(&wanted, policy.lock.as_ref(), options)?;
    let environment = Passed::new(options.rest, &options.host_env, &step.env);
    let mut told = Policy {
        isolation: Isolation::None,
        audit: options.audit,
        ..answered(&wanted)
    };
    if options.refusals == Refusals::PassOver {
        leave_out(&mut told, &powers);
    }
    let channel = Channel::open();
    let mut tell = |note: Note| {
        let message = note.to_string();
        reporter.report(Event::Warning { message });
    };
    let (cpuid, outcome) = Sandbox::new(told, &facts)
        .and_then(|sandbox| {
            let mut running = sandbox.spawn(step)?;
            announce_start(reporter, None, &mut running);
            Ok((running.cpuid(), running.watch(&mut tell)?))
        })
        .map_err(RunError::Sandbox)?;
    announce_end(reporter, None, outcome.exit);
    let user = rustix::process::geteuid().as_raw();
    let group = rustix::process::getegid().as_raw();
    Ok(InsideReport {
        started: options.started,
        argv: options.argv.clone(),
        exit: outcome.exit,
        lock: policy.lock,
        policy: options.policy,
        holds: holds(Decided {
            policy: &wanted,
            powers: &powers,
            cpuid,
            rest: options.rest,
            kernel: &facts.kernel.release,
            user: (user, group),
        }),
        environment,
        libraries: channel.map(|channel| channel.told(reporter)),
        cpuid,
        usage: outcome.usage,
        sources: options
            .audit
            .then(|| sources_in_container(outcome.findings, &wanted, cpuid)),
    })
}

/// A step that speaks with others by name has to know its own.
fn with_own_name(policy: SandboxPolicy) -> SandboxPolicy {
    if policy.network != StepNetwork::Host {
        return policy;
    }
    let own = rustix::system::uname();
    SandboxPolicy {
        hostname: own.nodename().to_string_lossy().into_owned(),
        ..policy
    }
}

fn step(
    policy: &SandboxPolicy,
    lock: Option<&Digest>,
    options: &InsideOptions,
) -> Result<Step, RunError> {
    let callers = Callers {
        variables: &options.host_env,
        asked: &options.env,
        terminal: options.terminal,
        rest: options.rest,
    };
    // The container's root is what the image has.
    let activation = activation(Path::new("/"))?;
    Ok(Step {
        argv: options.argv.clone(),
        env: environment(policy, callers, &activation, lock)?,
        cwd: options.current_directory.clone(),
        terminal: options.terminal,
        signals: options.signals,
        orphans: options.orphans,
        parent: options
            .parent
            .as_ref()
            .map(OwnedFd::try_clone)
            .transpose()
            .map_err(|source| RunError::Sandbox(SandboxError::Launch { source }))?,
        ..Step::default()
    })
}

/// Takes out of a policy what the container refuses. A clock that cannot be held as a whole is not
/// held in part: a wait that does not move it may never end.
fn leave_out(policy: &mut Policy, powers: &Supervision) {
    let refused = |power| powers.refusal(power).is_some();
    let answers = !refused(Power::Notify) && !refused(Power::Memory);
    if !answers {
        policy.seed = None;
        policy.machine = None;
        policy.sorted_directories = false;
        policy.file_status = envbox_sandbox::FileStatus::Host;
        policy.audit = false;
    }
    if !answers || refused(Power::Trace) {
        policy.clock = envbox_sandbox::Clock::Real;
        if let Some(machine) = &mut policy.machine {
            machine.cpuid = false;
        }
    }
}

/// The file by which the import hook tells what holds in libraries.
struct Channel {
    directory: PathBuf,
}

impl Channel {
    /// Makes it, if the image has Python and its place can be written to.
    fn open() -> Option<Self> {
        let file = Path::new(HELD_FILE);
        let directory = file.parent()?.to_owned();
        if !Path::new("/").join(PYTHON_MARK).exists() {
            return None;
        }
        fs::create_dir_all(&directory).ok()?;
        File::create(file).ok()?;
        // A step that goes on as another user tells as well.
        let _best = fs::set_permissions(file, Permissions::from_mode(0o666));
        Some(Self { directory })
    }

    fn told(self, reporter: &dyn Reporter) -> Vec<Held> {
        libraries(reporter, &self.directory)
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        let _gone = fs::remove_file(HELD_FILE);
    }
}
