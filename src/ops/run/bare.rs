//! `run` without namespaces: in a container of an image that was built from the same lock.
//!
//! Comes in: a project and [`RunOptions`]. Goes out: a [`RunReport`] whose `holds` say of every source
//! of nondeterminism whether it is held, recorded or not held. Files, network and users are the
//! container's, and the step writes to the project itself.
//!
//! **Invariant:** a container of another lock is refused (`tests/it/isolation.rs`,
//! `the_surroundings_must_be_of_the_lock`).

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use envbox_lockfiles::base::{Context, Digest, Explain, FsError, Kind};
use envbox_lockfiles::lock::Request;
use envbox_sandbox::{CheckStatus, HostFacts, SandboxError};

use crate::ops::inside::{
    InsideOptions, InsidePolicy, InsideReport, POLICY_FILE, Refusals, inside,
};
use crate::ops::run::recorder::Recorder;
use crate::ops::run::tower::{Foundation, Ground};
use crate::ops::run::verb::{documented, up_to_date};
use crate::ops::run::{
    Access, GpuNeeds, Isolation, Prepared, Rest, RunError, RunOptions, RunReport,
};
use crate::ops::{Error, Project};
use crate::record::RunId;

/// The checks without which there are no namespaces for steps.
const NEEDED: [&str; 4] = [
    "kernel",
    "namespaces",
    "proc in a user namespace",
    "user namespaces",
];

/// A step cannot run without namespaces here.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BareError {
    /// Nobody knows what is around.
    #[error(
        "a step runs without namespaces only in an image of its lockfile, and this is none: there is no `{POLICY_FILE}`"
    )]
    NoImage,
    /// Something else is around.
    #[error("a step runs without namespaces only in an image of its lockfile, {lock}, and this is one of {}", image.map_or("no lockfile".to_owned(), |image| image.to_string()))]
    OtherImage {
        /// The lockfile's digest.
        lock: Digest,
        /// That of the image.
        image: Option<Digest>,
    },
    /// Nothing can be mounted.
    #[error("without namespaces `{}` cannot be bound on `{}`", source_path.display(), target.display())]
    Bind {
        /// The path.
        source_path: PathBuf,
        /// Where it is wanted.
        target: PathBuf,
    },
    /// No driver can be held.
    #[error("without namespaces no GPU can be given to a step")]
    Gpu,
    /// The container has no such directory.
    #[error("the working directory `{}` is not in this container", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
    },
}

impl Explain for BareError {
    fn kind(&self) -> Kind {
        match self {
            Self::NoImage | Self::OtherImage { .. } => Kind::Host,
            Self::Bind { .. } | Self::Gpu | Self::Directory { .. } => Kind::User,
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::NoImage => {
                "start the container from the image that `envbox build` makes of this lockfile, or \
                 let the step have namespaces: `envbox doctor` says what is missing"
            }
            Self::OtherImage { .. } => {
                "build the image anew with `envbox build`, or take the lockfile that it was built from"
            }
            Self::Bind { .. } => "mount it there when the container is started",
            Self::Gpu => "start the container with the GPU, and the step without `--gpu`",
            Self::Directory { .. } => "name one that is there with `--workdir`",
        };
        vec![hint.to_owned()]
    }
}

/// What is between a step and the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Surroundings {
    /// Namespaces of the step's own can be had.
    Namespaces,
    /// They cannot, for this reason.
    None(String),
}

impl Surroundings {
    /// Looks at the host.
    pub fn detect() -> Self {
        let checks = HostFacts::detect().checks();
        let mut lacking = checks
            .into_iter()
            .filter(|check| check.status == CheckStatus::Missing && NEEDED.contains(&check.name));
        match lacking.next() {
            None => Self::Namespaces,
            Some(check) => Self::None(format!("{}: {}", check.name, check.found)),
        }
    }
}

/// Runs a command without namespaces, and writes the result file if one is asked for.
///
/// # Errors
/// Returns [`Error`] when the step did not run. One that ran and failed is a report.
pub fn run_bare(
    context: &Context,
    project: &Project,
    options: &RunOptions,
) -> Result<RunReport, Error> {
    documented(context, options, || step(context, project, options))
}

fn step(context: &Context, project: &Project, options: &RunOptions) -> Result<RunReport, Error> {
    let context = &project.context(context);
    let lock = up_to_date(context, project, options.locking)?.digest();
    require_image(lock)?;
    let request = Request::of(project.manifest());
    let groups = project.groups().of(&request);
    let groups: Vec<String> = groups
        .unwrap_or_default()
        .iter()
        .map(ToString::to_string)
        .collect();
    let directory = project.directory();
    let directory = fs::canonicalize(directory).map_err(FsError::at("open", directory))?;
    if options.gpu.is_some() {
        return Err(Error::from(BareError::Gpu));
    }
    for bind in &options.binds {
        let target = bind.target.as_ref().unwrap_or(&bind.source);
        if *target != bind.source || fs::symlink_metadata(target).is_err() {
            return Err(Error::from(BareError::Bind {
                source_path: bind.source.clone(),
                target: target.clone(),
            }));
        }
    }
    let begins_in = match &options.working_directory {
        Some(asked) => directory.join(asked),
        None => options.current_directory.clone(),
    };
    if !begins_in.is_dir() {
        return Err(Error::from(BareError::Directory { path: begins_in }));
    }
    let policy = InsidePolicy {
        sandbox: options.policy(&project.manifest().sandbox),
        lock: Some(lock),
    };
    let run = RunId::new(context.now, &std::process::id().to_ne_bytes());
    let prepared = Prepared {
        sandbox: &project.manifest().sandbox,
        lock,
        rootfs: Path::new("/"),
        environment: project.manifest().environment.name.as_str(),
        manifest: Some(project.manifest_file()),
        lockfile: Some(&project.lockfile()),
        groups: &groups,
        data: &[],
        gpu: &GpuNeeds::default(),
    };
    let ground = Ground {
        run,
        cwd: &begins_in,
        project: &directory,
        inputs: &[],
        binds: &[],
        gpu: None,
    };
    let foundation = Foundation::new(context, &prepared, &policy.sandbox, options, &ground);
    let foundation = foundation.writing_to_the_project();
    let mut recorder = Recorder::begin(context, &prepared, &directory, options, foundation);
    // The step writes to them.
    recorder.iter_mut().for_each(Recorder::read);
    let report = match inside(
        &*context.reporter,
        &policy,
        &told(context, options, &begins_in)?,
    ) {
        Ok(report) => reported(run, lock, &policy, report),
        Err(error) => {
            recorder.into_iter().for_each(Recorder::abandon);
            return Err(error);
        }
    };
    if let Some(recorder) = recorder {
        recorder.end(&report)?;
    }
    Ok(report)
}

fn told(
    context: &Context,
    options: &RunOptions,
    begins_in: &Path,
) -> Result<InsideOptions, RunError> {
    let launch = |source| RunError::Sandbox(SandboxError::Launch { source });
    let parent = options.parent.as_ref().map(OwnedFd::try_clone);
    Ok(InsideOptions {
        argv: options.argv.clone(),
        env: options.env.clone(),
        host_env: options.host_env.clone(),
        rest: Rest::Cleared,
        refusals: Refusals::PassOver,
        current_directory: begins_in.to_path_buf(),
        terminal: options.terminal,
        signals: options.signals,
        parent: parent.transpose().map_err(launch)?,
        started: context.now,
        ..InsideOptions::default()
    })
}

fn reported(run: RunId, lock: Digest, policy: &InsidePolicy, report: InsideReport) -> RunReport {
    let kernel = rustix::system::uname();
    let isolation = Isolation {
        kernel: kernel.release().to_string_lossy().into_owned(),
        ..Isolation::of(&policy.sandbox, Access::Direct, report.cpuid)
    };
    let run = (run, report.started);
    RunReport {
        holds: report.holds,
        libraries: report.libraries.unwrap_or_default(),
        usage: report.usage,
        ..RunReport::new(run, report.argv, report.exit, lock, isolation)
    }
}

/// Checks that what is around was made of the same lock.
fn require_image(lock: Digest) -> Result<(), Error> {
    let Some((policy, _)) = InsidePolicy::of_image().map_err(Error::from)? else {
        return Err(BareError::NoImage.into());
    };
    match policy.lock {
        Some(image) if image == lock => Ok(()),
        image => Err(BareError::OtherImage { lock, image }.into()),
    }
}
