//! A prepared environment and a command to a report.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use envbox_lockfiles::base::{Context, Digest, Event, FsError, Reporter};
use envbox_lockfiles::manifest::{
    CpuBaseline, Datum, OutputTimes, SandboxPolicy, StepClock, StepCpuid, StepFileStatus,
    StepNetwork,
};
use envbox_sandbox::{
    Baseline, Bind, Clock, Cpuid, Ended, Exit, FileStatus, HeadStart, HostFacts, Machine, Network,
    Note, Policy, Project, Running, Sandbox, SandboxError, Stage, Step,
};

use crate::data::inputs;
use crate::ops::run::binds::{Around, Bound};
use crate::ops::run::environment::{HOME, environment};
use crate::ops::run::gpu::{GpuNeeds, Granted, grant};
use crate::ops::run::guest_paths::Guest;
use crate::ops::run::held::{channel, told};
use crate::ops::run::inputs::{MountPoints, mounts};
use crate::ops::run::recorder::Recorder;
use crate::ops::run::tower::{Foundation, Ground};
use crate::ops::run::{Access, Held, Isolation, Mounted, Refused, RunError, RunOptions, RunReport};
use crate::record::{
    HostState, RecordError, RunDirectory, RunId, check_tag, scan, set_times, sweep, write_back,
};
use crate::rootfs::activation;
use crate::store::Store;

/// Where a step finds the name servers of the host, when it sees its network.
const RESOLVER: &str = "/etc/resolv.conf";

/// The namespaces that a sandbox has: all of them, or it does not start.
const NAMESPACES: [&str; 8] = ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"];

/// A manifest whose environment is there.
#[derive(Debug, Clone, Copy)]
pub struct Prepared<'a> {
    /// What the step may see.
    pub sandbox: &'a SandboxPolicy,
    /// The digest of its lock.
    pub lock: Digest,
    /// The host path of the root file system, which the caller keeps in use.
    pub rootfs: &'a Path,
    /// The environment's name.
    pub environment: &'a str,
    /// The manifest's file, if there is one.
    pub manifest: Option<&'a Path>,
    /// The lockfile, if there is one.
    pub lockfile: Option<&'a Path>,
    /// The groups that were chosen.
    pub groups: &'a [String],
    /// What the manifest declares as data.
    pub data: &'a [Datum],
    /// What the lock asks of GPUs, where a step gets any.
    pub gpu: &'a GpuNeeds,
}

/// Runs a command in a prepared environment and brings its outputs home.
///
/// # Errors
/// Returns [`RunError`] when the step did not run. One that ran and failed is a report.
pub fn execute(
    context: &Context,
    prepared: &Prepared<'_>,
    project: &Path,
    options: &RunOptions,
) -> Result<RunReport, RunError> {
    let project = fs::canonicalize(project).map_err(FsError::at("open", project))?;
    let store = store_outside(&context.store, &project)?;
    for tag in &options.record.tags {
        check_tag(tag)?;
    }
    let policy = options.policy(prepared.sandbox);
    let inputs = match prepared.data {
        [] => Vec::new(),
        data => inputs(context, &Store::open(&context.store)?, &project, data)?,
    };
    let around = Around {
        rootfs: prepared.rootfs,
        project: &project,
        store: &store,
        access: options.access,
        inputs: &inputs,
    };
    let bound = around.check(&options.binds)?;
    let mut step = step(prepared, &policy, &project, options, &bound)?;
    let mut gpu = granted(context, prepared, options, &mut step)?;
    warn_of_owner(context, &project, options.access);
    let runs = context.store.join("runs");
    clean_up(context, &runs)?;
    let directory = RunDirectory::create(&runs, context.now)?;
    let id = directory.id();
    let upper = directory.upper();
    let upper = (options.access == Access::Overlay).then_some(&*upper);
    let (mut binds, mut mount_points) = mounts(&inputs, &project, upper)?;
    binds.extend(mount_points.of_binds(&bound, &project, upper)?);
    let facts = HostFacts::minimal();
    let mut held = Policy {
        audit: options.audit,
        counter: options.counter,
        ..sandbox_policy(prepared, &policy, &project, options.access, &directory)
    };
    held.binds
        .extend(channel(prepared.rootfs, directory.path())?);
    held.binds.extend(binds);
    if let Some(gpu) = &mut gpu {
        gpu.edits.apply(&mut held);
        gpu.try_inside(&held, &step.env, &facts)?;
    }
    let ground = Ground {
        run: id,
        cwd: &step.cwd,
        project: &project,
        inputs: &inputs,
        binds: &bound,
        gpu: gpu.as_ref(),
    };
    let foundation = Foundation::new(context, prepared, &policy, options, &ground);
    let mut recorder = Recorder::begin(context, prepared, &project, options, foundation);
    if options.access == Access::Direct {
        recorder.iter_mut().for_each(Recorder::read);
    }
    let host = HostState::observe(&project, directory.path())?;
    let ran = watch(context, id, (held, &facts), step);
    let (cpuid, ended) = ran.map_err(|source| {
        // What did not run is not on record.
        recorder.take().into_iter().for_each(Recorder::abandon);
        sandbox_error(source, context, &project)
    })?;
    let isolation = isolation(&policy, options.access, &facts, cpuid);
    let mut report = report(context, prepared, options, &directory, &ended, isolation);
    report.binds = bound.iter().map(Mounted::from).collect();
    report.gpu = gpu.map(|gpu| gpu.seen);
    match options.access {
        Access::Overlay => {
            recorder.iter_mut().for_each(Recorder::step_has_ended);
            bring_home(
                &mut report,
                directory,
                mount_points,
                &project,
                host,
                &policy,
            );
        }
        Access::Direct => drop(directory),
    }
    let outputs = policy.outputs.iter();
    let absent = |path: &&PathBuf| fs::symlink_metadata(project.join(path)).is_err();
    report.missing = outputs.filter(absent).cloned().collect();
    if let Some(recorder) = recorder {
        recorder.end(&report)?;
    }
    Ok(report)
}

/// Decides about the GPUs that a step asks for, and tells it of them.
fn granted(
    context: &Context,
    prepared: &Prepared<'_>,
    options: &RunOptions,
    step: &mut Step,
) -> Result<Option<Granted>, RunError> {
    let Some(asked) = &options.gpu else {
        return Ok(None);
    };
    let granted = grant(context, prepared.gpu, asked)?;
    granted.add_to(&mut step.env);
    Ok(Some(granted))
}

/// Runs a step to its end.
fn watch(
    context: &Context,
    run: RunId,
    (policy, facts): (Policy, &HostFacts),
    step: Step,
) -> Result<(Cpuid, Ended), SandboxError> {
    let mut tell = |note: Note| {
        let message = note.to_string();
        context.report(Event::Warning { message });
    };
    let name = Some(run.to_string());
    let mut running = Sandbox::new(policy, facts)?.spawn(step)?;
    announce_start(&*context.reporter, name.clone(), &mut running);
    let cpuid = running.cpuid();
    let ended = running.watch_step(&mut tell)?;
    announce_end(&*context.reporter, name, ended.exit);
    Ok((cpuid, ended))
}

/// Tells that the step runs; that it cannot is told by who watches it.
pub(in crate::ops) fn announce_start(
    reporter: &dyn Reporter,
    run: Option<String>,
    running: &mut Running,
) {
    if let Ok(Some(pid)) = running.process() {
        reporter.report(Event::StepStarted { run, pid });
    }
}

/// Tells that the step ended.
pub(in crate::ops) fn announce_end(reporter: &dyn Reporter, run: Option<String>, exit: Exit) {
    let (code, signal) = match exit {
        Exit::Code(code) => (Some(code), None),
        Exit::Signal(signal) => (None, Some(signal)),
    };
    reporter.report(Event::StepEnded { run, code, signal });
}

/// Removes what killed runs left behind, also what they were writing to the store.
fn clean_up(context: &Context, runs: &Path) -> Result<(), RunError> {
    let swept = sweep(runs)?;
    if !swept.is_empty() {
        Store::open(&context.store)?.sweep_builds()?;
    }
    announce_swept(context, &swept);
    Ok(())
}

/// Returns what is known when the step has ended, and its outputs are not home.
fn report(
    context: &Context,
    prepared: &Prepared<'_>,
    options: &RunOptions,
    directory: &RunDirectory,
    ended: &Ended,
    isolation: Isolation,
) -> RunReport {
    let run = (directory.id(), context.now);
    let (argv, lock) = (options.argv.clone(), prepared.lock);
    RunReport {
        libraries: libraries(&*context.reporter, directory.path()),
        findings: ended.findings.clone(),
        usage: ended.usage,
        audited: options.audit,
        ..RunReport::new(run, argv, ended.exit, lock, isolation)
    }
}

fn step(
    prepared: &Prepared<'_>,
    policy: &SandboxPolicy,
    project: &Path,
    options: &RunOptions,
    binds: &[Bound],
) -> Result<Step, RunError> {
    let guest = Guest {
        rootfs: prepared.rootfs,
        project,
        binds,
    };
    guest.check_arguments(options.argv.iter().map(AsRef::<OsStr>::as_ref))?;
    let asked = options.working_directory.as_deref();
    let activation = activation(prepared.rootfs)?;
    Ok(Step {
        argv: options.argv.clone(),
        argv0: options.argv0.clone(),
        env: environment(policy, options.callers(), &activation, Some(&prepared.lock))?,
        cwd: guest.working_directory(&options.current_directory, asked)?,
        terminal: options.terminal,
        signals: options.signals,
        parent: duplicate(options.parent.as_ref())?,
        head_start: options.head_start.lock().ok().and_then(|mut it| it.take()),
        stdin: duplicate(options.stdin.as_ref())?,
        stdout: duplicate(options.stdout.as_ref())?,
        stderr: duplicate(options.stderr.as_ref())?,
        ..Step::default()
    })
}

/// Reads what the import hook told. The step has run: what cannot be read is told, and no error.
pub(in crate::ops) fn libraries(reporter: &dyn Reporter, directory: &Path) -> Vec<Held> {
    told(directory).unwrap_or_else(|error| {
        let message = format!(
            "what was held in libraries is not known: {}",
            with_causes(&error)
        );
        reporter.report(Event::Warning { message });
        Vec::new()
    })
}

/// Brings the outputs home. The step has run: whatever goes wrong from here is told in the report.
fn bring_home(
    report: &mut RunReport,
    directory: RunDirectory,
    mount_points: MountPoints,
    project: &Path,
    host: HostState,
    policy: &SandboxPolicy,
) {
    let upper = directory.upper();
    let removed = mount_points.remove().map_err(RecordError::from);
    let written = removed
        .and_then(|()| scan(&upper, project))
        .and_then(|mut changes| {
            report.refused = std::mem::take(&mut changes.unusable)
                .into_iter()
                .map(|unusable| Refused {
                    path: unusable.path,
                    reason: unusable.reason.to_string(),
                })
                .collect();
            report.rewritten = changes.rewritten().to_vec();
            write_back(changes, &upper, project, host, directory.id())
        });
    match written {
        Ok(written) => {
            if policy.output_times == OutputTimes::Epoch {
                let set = set_times(&written, project, policy.epoch.as_second());
                report.not_written = set.err().as_ref().map(|error| with_causes(error));
            }
            report.changes = Some(written);
        }
        Err(error) => report.not_written = Some(with_causes(&error)),
    }
    if !report.is_written() {
        let path = directory.path().join("upper");
        match directory.keep() {
            Ok(_) => report.kept = Some(path),
            Err(error) => report.not_written = Some(with_causes(&error)),
        }
    }
}

pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

fn announce_swept(context: &Context, swept: &[String]) {
    for run in swept {
        context.report(Event::Warning {
            message: format!("the run {run} was killed; what it wrote was discarded"),
        });
    }
}

/// The kernel makes no overlay of a directory and one in it, and a step that writes to the project
/// itself must not reach the store.
fn store_outside(store: &Path, project: &Path) -> Result<PathBuf, RunError> {
    let real = fs::canonicalize(store).map_err(FsError::at("open", store))?;
    match real.starts_with(project) {
        true => Err(RunError::StoreInProject { store: real }),
        false => Ok(real),
    }
}

/// Says before the step has worked for hours that its outputs have no place to go.
fn warn_of_owner(context: &Context, project: &Path, access: Access) {
    let warn = |message: String| context.report(Event::Warning { message });
    let shown = project.display();
    let writable = rustix::fs::access(project, rustix::fs::Access::WRITE_OK).is_ok();
    if access == Access::Overlay && !writable {
        warn(format!(
            "`{shown}` cannot be written to; outputs of the step will be kept in the store"
        ));
        return;
    }
    // Inside, the caller is an ordinary user, and only its own files are the step's to change.
    let owner = fs::metadata(project).map_or(0, |metadata| metadata.uid());
    if rustix::process::geteuid().is_root() && owner != 0 {
        warn(format!(
            "`{shown}` belongs to user {owner}, and the step can only write to what is root's; \
             run envbox as that user"
        ));
    }
}

fn isolation(policy: &SandboxPolicy, access: Access, facts: &HostFacts, cpuid: Cpuid) -> Isolation {
    let held = |name: &&&str| policy.network != StepNetwork::Host || **name != "net";
    Isolation {
        namespaces: NAMESPACES.iter().filter(held).copied().collect(),
        kernel: facts.kernel.release.clone(),
        ..Isolation::of(policy, access, cpuid)
    }
}

fn sandbox_policy(
    prepared: &Prepared<'_>,
    policy: &SandboxPolicy,
    project: &Path,
    access: Access,
    directory: &RunDirectory,
) -> Policy {
    Policy {
        rootfs: prepared.rootfs.to_path_buf(),
        project: Some(match access {
            Access::Direct => Project::Direct {
                source: project.to_path_buf(),
            },
            Access::Overlay => Project::Overlay {
                lower: project.to_path_buf(),
                upper: directory.upper(),
                work: directory.work(),
            },
        }),
        binds: name_servers(policy, prepared.rootfs).into_iter().collect(),
        network: match policy.network {
            StepNetwork::None => Network::None,
            StepNetwork::Loopback => Network::Loopback,
            StepNetwork::Host => Network::Host,
        },
        home: PathBuf::from(HOME),
        ..answered(policy)
    }
}

/// Starts to make the namespaces of a step before anything is known of it. `None` if that cannot be
/// done: running the step says why.
pub fn head_start() -> Option<HeadStart> {
    HeadStart::begin(&Policy {
        seed: Some(0),
        machine: Some(Machine::default()),
        ..Policy::default()
    })
}

/// Returns what a step is told, whatever is around it.
pub(in crate::ops) fn answered(policy: &SandboxPolicy) -> Policy {
    Policy {
        hostname: policy.hostname.clone(),
        clock: match policy.clock {
            StepClock::Frozen => Clock::Frozen,
            StepClock::Logical => Clock::Logical,
            StepClock::Ticking => Clock::Ticking,
            StepClock::Real => Clock::Real,
        },
        epoch: u64::try_from(policy.epoch.as_second()).unwrap_or(0),
        seed: Some(policy.seed),
        machine: Some(Machine {
            cpus: policy.cpus,
            baseline: match policy.cpu_baseline {
                CpuBaseline::V2 => Baseline::V2,
                CpuBaseline::V3 => Baseline::V3,
                CpuBaseline::V4 => Baseline::V4,
            },
            cpuid: policy.cpuid == StepCpuid::Masked,
            ..Machine::default()
        }),
        sorted_directories: true,
        file_status: match policy.file_status {
            StepFileStatus::Host => FileStatus::Host,
            StepFileStatus::Times => FileStatus::Times,
            StepFileStatus::Fixed => FileStatus::Fixed,
        },
        ..Policy::default()
    }
}

/// Returns the bind that lets a step with the host's network look up names as the host does.
fn name_servers(policy: &SandboxPolicy, rootfs: &Path) -> Option<Bind> {
    let target = rootfs.join(RESOLVER.trim_start_matches('/'));
    if policy.network != StepNetwork::Host || !target.is_file() {
        return None;
    }
    // Often a link to what a service keeps elsewhere.
    let source = fs::canonicalize(RESOLVER).ok()?;
    Some(Bind {
        source,
        target: PathBuf::from(RESOLVER),
        writable: false,
    })
}

fn sandbox_error(source: SandboxError, context: &Context, project: &Path) -> RunError {
    let overlay = |subject: &String| subject.starts_with("mount overlay");
    match &source {
        SandboxError::Setup {
            stage: Stage::Mounts,
            subject,
            ..
        } if subject.as_ref().is_some_and(overlay) => RunError::Overlay {
            project: project.to_path_buf(),
            store: context.store.clone(),
            source,
        },
        _ => RunError::Sandbox(source),
    }
}

fn duplicate(descriptor: Option<&OwnedFd>) -> Result<Option<OwnedFd>, RunError> {
    let clone = |descriptor: &OwnedFd| descriptor.try_clone();
    let failed = |source: io::Error| RunError::Sandbox(SandboxError::Launch { source });
    descriptor.map(clone).transpose().map_err(failed)
}
