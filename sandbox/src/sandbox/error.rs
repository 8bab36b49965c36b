//! Why a step could not be run.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use crate::answer::{Baseline, VdsoError};
use crate::host::{Power, PowerRefusal, UserNamespaceRefusal};
use crate::init::{EncodeError, Stage};

/// Why a step could not be run. A step that ran and failed is no error but an
/// [`Outcome`](super::Outcome).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// The kernel lacks something.
    #[error("the sandbox needs {need}, but this host has {found}")]
    Unsupported {
        /// What is needed.
        need: &'static str,
        /// What was found.
        found: String,
    },
    /// The host refuses user namespaces.
    #[error("this host refuses user namespaces: {reason}")]
    UserNamespace {
        /// Why, with a remedy.
        reason: UserNamespaceRefusal,
    },
    /// A host or guest path of the policy is relative or has `..` in it.
    #[error("`{}` is not an absolute path without `..`", path.display())]
    Path {
        /// The path.
        path: PathBuf,
    },
    /// A host path of the policy cannot be used.
    #[error("failed to open `{}`", path.display())]
    Source {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What a policy passes as a device of the host is none.
    #[error("`{}` is no character device", path.display())]
    NotADevice {
        /// The host path.
        path: PathBuf,
    },
    /// A policy puts something where nothing can be put.
    #[error("`{}` does not lie below {place}", path.display())]
    Misplaced {
        /// The guest path.
        path: PathBuf,
        /// Where it could lie.
        place: &'static str,
    },
    /// The step has no command.
    #[error("the step has no command")]
    EmptyCommand,
    /// A string of the step or the policy has a zero byte, which the kernel cannot take.
    #[error("the step or the policy cannot be passed on")]
    ZeroByte(#[from] EncodeError),
    /// Init could not be started.
    #[error("failed to start the sandbox")]
    Launch {
        /// Why.
        source: io::Error,
    },
    /// The host's `/proc` is partly covered, as in many containers, and the kernel then allows no
    /// new one in a user namespace.
    #[error("this host does not allow a new `/proc`, because parts of its own are covered")]
    ProcCovered,
    /// The rootfs lacks a directory (or file) to mount on.
    #[error("the rootfs `{}` has no mount point `{}`", rootfs.display(), path.display())]
    MountPoint {
        /// The host path of the rootfs.
        rootfs: PathBuf,
        /// The guest path that is missing.
        path: PathBuf,
    },
    /// Setting the sandbox up failed.
    #[error("failed to set up the sandbox: {}", describe(*stage, subject.as_deref()))]
    Setup {
        /// Where.
        stage: Stage,
        /// On what.
        subject: Option<String>,
        /// Why.
        source: io::Error,
    },
    /// There is no such command in the rootfs.
    #[error("there is no command `{}` in the sandbox", name.display())]
    CommandNotFound {
        /// The command.
        name: OsString,
    },
    /// The command exists but cannot be executed.
    #[error("cannot execute `{}`: {}", name.display(), io::Error::from_raw_os_error(*errno))]
    CommandNotExecutable {
        /// The command.
        name: OsString,
        /// The error number of `execve`; `ENOENT` says that its interpreter is missing.
        errno: i32,
    },
    /// The process that the step must not outlive is gone.
    #[error("the process that started envbox ended, and the step with it")]
    ParentGone,
    /// Init ended without saying what became of the step, because somebody killed it.
    #[error("the sandbox was killed from outside")]
    Killed,
    /// The processor lacks instructions.
    #[error("the step is for {} processors, but this one is {}", wanted.name(), found.map_or("less than x86-64-v2", |found| found.name()))]
    Baseline {
        /// What is needed.
        wanted: Baseline,
        /// What was found.
        found: Option<Baseline>,
    },
    /// The clocks cannot be held on this host.
    #[error("this host cannot hold the clock of a step")]
    Clock(#[from] VdsoError),
    /// What is around us refuses what a policy without namespaces needs.
    #[error("this container does not allow {power}: {refusal}")]
    Refused {
        /// What is refused.
        power: Power,
        /// Why.
        refusal: PowerRefusal,
    },
    /// Watching the step failed.
    #[error("failed to supervise the step")]
    Supervise {
        /// Why.
        source: io::Error,
    },
}

impl SandboxError {
    /// Returns what the user can do about it, as one imperative sentence.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            SandboxError::UserNamespace { reason } => Some(reason.remedy()),
            SandboxError::Refused { power, refusal } => Some(power.remedy(*refusal)),
            SandboxError::ProcCovered => Some(
                "start the outer container with an unmasked `/proc` (docker: `--security-opt systempaths=unconfined`)",
            ),
            SandboxError::Baseline { .. } => Some(
                "run it on a newer processor, or lower cpu-baseline: results may then be others",
            ),
            SandboxError::Clock(_) => Some("let the step see the host's: clock = \"real\""),
            SandboxError::Setup {
                subject: Some(subject),
                ..
            } if subject.starts_with("mount overlay") => Some(
                "keep the directory for changes on ext4, xfs, btrfs or tmpfs, not on another overlay, \
                 and give each sandbox a new work directory",
            ),
            _ => None,
        }
    }
}

fn describe(stage: Stage, subject: Option<&str>) -> String {
    let stage = match stage {
        Stage::Receive => "receive the plan",
        Stage::UserNamespace => "make the user namespace",
        Stage::IdentityMaps => "map the user and group id",
        Stage::Namespaces => "make the namespaces",
        Stage::ClockOffsets => "set the clock offsets",
        Stage::Process => "start a process",
        Stage::Hostname => "set the host name",
        Stage::Loopback => "bring the loopback interface up",
        Stage::Rootfs => "bind the rootfs",
        Stage::Mounts => "mount",
        Stage::PivotRoot => "enter the rootfs",
        Stage::Terminal => "make the terminal",
        Stage::Directory => "enter the working directory",
        Stage::Limits => "set the resource limits",
        Stage::Processors => "choose processors",
        Stage::Personality => "fix the address space layout",
        Stage::Capabilities => "drop the capabilities",
        Stage::NoNewPrivileges => "set no_new_privs",
        Stage::Seccomp => "install the seccomp filter",
    };
    match subject {
        // The subject of a mount says the verb itself.
        Some(subject) if stage == "mount" => subject.to_owned(),
        Some(subject) => format!("{stage} `{subject}`"),
        None => stage.to_owned(),
    }
}
