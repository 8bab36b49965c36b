//! Why a step did not run.

use std::ffi::OsString;
use std::path::PathBuf;

use envbox_lockfiles::base::{Explain, FsError, Kind};
use envbox_sandbox::SandboxError;

use crate::data::DataError;
use crate::ops::run::{BindError, GpuError};
use crate::record::{JournalError, RecordError};
use crate::snapshot::SnapshotError;
use crate::store::StoreError;

/// envbox failed before or around a step.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// An argument is a path of this host.
    #[error("`{}` is on this host, but not in the sandbox", path.display())]
    OutsidePath {
        /// The path.
        path: PathBuf,
        /// The same file inside, when it is in the project.
        guest: Option<PathBuf>,
    },
    /// The working directory is one of this host.
    #[error("the working directory `{}` is not in the sandbox", path.display())]
    OutsideDirectory {
        /// The directory.
        path: PathBuf,
        /// The same directory inside, when it is in the project.
        guest: Option<PathBuf>,
    },
    /// A path of this host cannot be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A variable that envbox sets is set by the manifest or the caller.
    #[error("the variable `{}` is set by envbox alone", name.display())]
    Reserved {
        /// The variable.
        name: OsString,
    },
    /// The store is in the project.
    #[error("the store `{}` is in the project, and a step must not see it", store.display())]
    StoreInProject {
        /// The store.
        store: PathBuf,
    },
    /// The kernel makes no overlay of the project.
    #[error("this host cannot lay an overlay over `{}`", project.display())]
    Overlay {
        /// The project.
        project: PathBuf,
        /// The store, where the overlay's other half is.
        store: PathBuf,
        /// What the kernel said.
        #[source]
        source: SandboxError,
    },
    /// The sandbox could not be had, or the command not be executed.
    #[error(transparent)]
    Sandbox(SandboxError),
    /// The run has no place, or its outputs cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The run cannot be called so.
    #[error(transparent)]
    Tag(#[from] JournalError),
    /// The project's files cannot be read for a record that was asked for.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// Declared data cannot be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The step does not get the GPUs that it asks for.
    #[error(transparent)]
    Gpu(#[from] GpuError),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file operation failed.
    #[error(transparent)]
    File(#[from] FsError),
}

impl RunError {
    /// Returns the exit status that says so, where a step's own status is passed through: 127 for a
    /// command that is not there, 126 for one that cannot be executed, 125 for all else.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Sandbox(SandboxError::CommandNotFound { .. }) => 127,
            Self::Sandbox(SandboxError::CommandNotExecutable { .. }) => 126,
            _ => 125,
        }
    }
}

impl Explain for RunError {
    fn kind(&self) -> Kind {
        match self {
            Self::OutsidePath { .. }
            | Self::OutsideDirectory { .. }
            | Self::Reserved { .. }
            | Self::StoreInProject { .. } => Kind::User,
            Self::Overlay { .. } => Kind::Host,
            Self::Sandbox(error) => sandbox_kind(error),
            Self::Bind(error) => error.kind(),
            Self::Record(error) => error.kind(),
            Self::Tag(error) => error.kind(),
            Self::Snapshot(error) => error.kind(),
            Self::Data(error) => error.kind(),
            Self::Gpu(error) => error.kind(),
            Self::Store(error) => error.kind(),
            Self::File(error) => error.kind(),
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::OutsidePath {
                guest: Some(guest), ..
            } => format!("write `{}` instead", guest.display()),
            Self::OutsidePath { path, guest: None } => {
                return vec![
                    "copy it into the project, and name it relative to that".to_owned(),
                    format!(
                        "or let the command see it with `--bind {0}`, or write to it with `--bind-rw {0}`",
                        path.display()
                    ),
                ];
            }
            Self::OutsideDirectory { .. } => {
                "run the command in the project, or name a directory inside with `--workdir`"
                    .to_owned()
            }
            Self::Reserved { .. } => "use another name".to_owned(),
            Self::StoreInProject { .. } => {
                "choose a directory outside with `ENVBOX_STORE`".to_owned()
            }
            Self::Overlay { store, .. } => {
                return vec![
                    format!(
                        "move the store from `{}` to another file system with `ENVBOX_STORE`: \
                         overlays and network file systems cannot hold what an overlay writes",
                        store.display()
                    ),
                    "or let the step write to the project itself with `--direct`".to_owned(),
                ];
            }
            Self::Sandbox(error) => return error.hint().map(str::to_owned).into_iter().collect(),
            Self::Bind(error) => return error.hints(),
            Self::Record(error) => return error.hints(),
            Self::Tag(error) => return error.hints(),
            Self::Snapshot(error) => return error.hints(),
            Self::Data(error) => return error.hints(),
            Self::Gpu(error) => return error.hints(),
            Self::Store(error) => return error.hints(),
            Self::File(error) => return error.hints(),
        };
        vec![hint]
    }
}

fn sandbox_kind(error: &SandboxError) -> Kind {
    match error {
        SandboxError::EmptyCommand
        | SandboxError::ZeroByte(_)
        | SandboxError::CommandNotFound { .. }
        | SandboxError::CommandNotExecutable { .. } => Kind::User,
        SandboxError::Path { .. } | SandboxError::MountPoint { .. } => Kind::Internal,
        _ => Kind::Host,
    }
}
