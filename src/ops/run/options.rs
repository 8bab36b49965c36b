//! What the caller asks for.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::sync::Mutex;

use envbox_lockfiles::manifest::{SandboxPolicy, StepClock, StepNetwork};
use envbox_sandbox::{HeadStart, Signals, Terminal};

use crate::ops::run::environment::{Callers, Rest};
use crate::ops::run::{GpuOptions, HostBind, Recording};

/// What to run, and how.
#[derive(Debug, Default)]
pub struct RunOptions {
    /// The command and its arguments.
    pub argv: Vec<OsString>,
    /// What the command sees as its own name, if not `argv[0]`.
    pub argv0: Option<OsString>,
    /// `--env`: variables beyond those of the manifest, a later one of the same name wins.
    pub env: Vec<Variable>,
    /// The caller's whole environment. Only what `pass-env` or `env` name is taken from it.
    pub host_env: BTreeMap<OsString, OsString>,
    /// `--seed`: instead of the manifest's.
    pub seed: Option<u64>,
    /// `--clock`: instead of the manifest's.
    pub clock: Option<StepClock>,
    /// `--cpus`: instead of the manifest's.
    pub cpus: Option<u32>,
    /// `--network`: instead of the manifest's.
    pub network: Option<StepNetwork>,
    /// `--bind` and `--bind-rw`: host paths that the step sees besides.
    pub binds: Vec<HostBind>,
    /// The host directory that the caller is in. Inside the project, or in a bind, it is the step's
    /// working directory.
    pub current_directory: PathBuf,
    /// The step's working directory instead: a guest path, or relative to `/project`.
    pub working_directory: Option<PathBuf>,
    /// Whether the lockfile may be written.
    pub locking: Locking,
    /// How the step sees the project.
    pub access: Access,
    /// Whether the step gets a terminal of its own.
    pub terminal: Terminal,
    /// What becomes of signals to this process.
    pub signals: Signals,
    /// `--die-with-parent`: a pidfd of the process that the step must not outlive.
    pub parent: Option<OwnedFd>,
    /// Namespaces that were made beforehand, for the first step that is run with these options.
    pub head_start: Mutex<Option<HeadStart>>,
    /// Standard input, if not the caller's.
    pub stdin: Option<OwnedFd>,
    /// Standard output, if not the caller's.
    pub stdout: Option<OwnedFd>,
    /// Standard error, if not the caller's.
    pub stderr: Option<OwnedFd>,
    /// Whether what the step draws from sources of nondeterminism is counted.
    pub audit: bool,
    /// Whether an audit counts reads of the time-stamp counter too, of which a thread that blocks
    /// SIGSEGV dies.
    pub counter: bool,
    /// Where the result is written, after success and after failure.
    pub result_file: Option<PathBuf>,
    /// What is recorded of the run, and where.
    pub record: Recording,
    /// `--gpu`: the GPUs that the step gets, if any.
    pub gpu: Option<GpuOptions>,
}

impl RunOptions {
    /// Returns the policy of a manifest with what the caller asks for instead.
    pub(super) fn policy(&self, manifest: &SandboxPolicy) -> SandboxPolicy {
        let (seed, clock, cpus) = (self.seed, self.clock, self.cpus);
        SandboxPolicy {
            network: self.network.unwrap_or(manifest.network),
            ..overridden(manifest, seed, clock, cpus)
        }
    }

    /// Returns what of the caller's the step may get.
    pub(super) fn callers(&self) -> Callers<'_> {
        Callers {
            variables: &self.host_env,
            asked: &self.env,
            terminal: self.terminal,
            rest: Rest::Cleared,
        }
    }
}

/// Returns a policy with what a caller asks for instead.
pub(in crate::ops) fn overridden(
    policy: &SandboxPolicy,
    seed: Option<u64>,
    clock: Option<StepClock>,
    cpus: Option<u32>,
) -> SandboxPolicy {
    SandboxPolicy {
        seed: seed.unwrap_or(policy.seed),
        clock: clock.unwrap_or(policy.clock),
        cpus: cpus.unwrap_or(policy.cpus),
        ..policy.clone()
    }
}

/// Whether the lockfile may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Locking {
    /// A missing or stale lockfile is brought up to date first.
    #[default]
    Update,
    /// A missing or stale lockfile is an error.
    Frozen,
}

/// How the step sees the project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// What it writes is kept apart, and brought back when it has ended.
    #[default]
    Overlay,
    /// It writes to the project itself. What it changed is then not known.
    Direct,
}

/// `--env`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Variable {
    /// `NAME=VALUE`.
    Set(OsString, OsString),
    /// `NAME`: the caller's value; when the caller has none, nor has the step.
    Pass(OsString),
}

/// The text is no `NAME=VALUE` and no `NAME`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` does not begin with the name of a variable", found.display())]
pub struct InvalidVariable {
    /// The text as found.
    pub found: OsString,
}

impl TryFrom<OsString> for Variable {
    type Error = InvalidVariable;

    fn try_from(found: OsString) -> Result<Self, InvalidVariable> {
        let bytes = found.as_bytes();
        let end = bytes.iter().position(|byte| *byte == b'=');
        if bytes.is_empty() || end == Some(0) {
            return Err(InvalidVariable { found });
        }
        let text = |bytes| OsStr::from_bytes(bytes).to_owned();
        Ok(match end {
            Some(end) => Self::Set(text(&bytes[..end]), text(&bytes[end + 1..])),
            None => Self::Pass(found),
        })
    }
}
