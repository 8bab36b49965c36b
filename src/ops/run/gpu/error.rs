//! Why a step does not get the GPUs that it asks for.

use envbox_lockfiles::base::{Explain, FsError, Kind};
use envbox_sandbox::gpu::{Capability, DeviceCode, PlanError, ProbeError, Refusal, VersionError};

use crate::store::StoreError;

/// A step does not get the GPUs that it asks for, and so does not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GpuError {
    /// The driver does not work, or is not one that the lock allows.
    #[error(transparent)]
    Refused(Box<Refusal>),
    /// The GPUs that were chosen cannot be had.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The driver does not start in the sandbox.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// The driver has fewer GPUs than were chosen.
    #[error("CUDA sees {seen} of the {chosen} GPUs that were chosen")]
    Fewer {
        /// How many were chosen.
        chosen: usize,
        /// How many it sees.
        seen: usize,
    },
    /// The lock requires another GPU.
    #[error("the lockfile requires a GPU with {required}, but `{name}` has {found}")]
    OtherDevice {
        /// What it requires.
        required: String,
        /// What there is.
        found: String,
        /// The GPU's name.
        name: String,
    },
    /// No library of the environment has code for the GPU.
    #[error(
        "no library of the environment has code for `{name}`, which has compute capability \
         {capability}: they have it for {code}"
    )]
    NoCode {
        /// The GPU's name.
        name: String,
        /// What it can do.
        capability: Capability,
        /// What there is code for.
        code: DeviceCode,
    },
    /// A MIG instance that was chosen by its identity is another one by now.
    #[error("CUDA sees the MIG instance {}, and not `MIG-{wanted}`", shown(found))]
    OtherInstance {
        /// The identity.
        wanted: String,
        /// What there is.
        found: Vec<String>,
    },
    /// A driver in the lockfile is none.
    #[error("the lockfile names a GPU driver that is none")]
    Version(#[source] VersionError),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file of the driver's cannot be read.
    #[error(transparent)]
    File(#[from] FsError),
}

impl Explain for GpuError {
    fn kind(&self) -> Kind {
        match self {
            Self::Refused(_) => Kind::Host,
            Self::Plan(PlanError::Choose(_)) => Kind::User,
            Self::Plan(_)
            | Self::Probe(_)
            | Self::Fewer { .. }
            | Self::OtherDevice { .. }
            | Self::NoCode { .. }
            | Self::OtherInstance { .. } => Kind::Host,
            Self::Version(_) => Kind::User,
            Self::Store(error) => error.kind(),
            Self::File(error) => error.kind(),
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Refused(refusal) => vec![refusal.remedy()],
            Self::Plan(error) => vec![error.remedy()],
            Self::Probe(error) => error.remedy().into_iter().collect(),
            Self::Fewer { .. } => {
                vec!["choose the GPUs one by one to find the one that does not start".to_owned()]
            }
            Self::OtherDevice { .. } => vec![
                "run it on such a GPU, or write `device = \"record\"` to [gpu] and lock again"
                    .to_owned(),
            ],
            Self::NoCode { .. } => vec![
                "run it on a GPU that there is code for, or lock packages that are built for this one"
                    .to_owned(),
            ],
            Self::OtherInstance { .. } => vec![
                "write the CDI specification anew as root: the GPUs were divided since; \
                 `nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml`"
                    .to_owned(),
            ],
            Self::Version(_) => vec!["lock again with `envbox lock --gpu`".to_owned()],
            Self::Store(error) => error.hints(),
            Self::File(error) => error.hints(),
        }
    }
}

fn shown(identities: &[String]) -> String {
    let shown: Vec<String> = identities.iter().map(|it| format!("`MIG-{it}`")).collect();
    shown.join(", ")
}
