//! Specifications of the Container Device Interface, 0.1.0 to 1.1.0: reading those of a host, and
//! writing one. <https://github.com/cncf-tags/container-device-interface/blob/main/SPEC.md>
//!
//! Comes in: `/etc/cdi` and `/var/run/cdi` of a [`HostFs`](super::HostFs), or edits. Goes out:
//! edits, or a document that `podman --device` takes.
//!
//! A specification is what was right when it was written: drivers are updated without it. So it is
//! used if everything in it is there and of the running driver's version, and no number in it is
//! believed. Its hooks are programs of the host that run as root on what a container made of its
//! files; none is ever run, what the known ones do is done here.
//!
//! **Invariant:** no bytes in a specification make it panic (`no_bytes_in_a_specification_panic`).
//!
//! **Invariant:** what is not understood is not used (`what_is_not_understood_is_not_used`).

mod fresh;
mod hooks;
mod identity;
mod registry;
mod version;
mod wire;
mod write;

use std::path::PathBuf;

pub(super) use fresh::{Wanted, edits};
pub(super) use identity::identified;
pub(super) use registry::Registry;
#[cfg(test)]
pub(super) use registry::parse;
pub use write::{document, other_document};

/// Where specifications lie; what a later one names replaces what an earlier one does.
pub const DIRECTORIES: [&str; 2] = ["/etc/cdi", "/var/run/cdi"];

/// The kind of NVIDIA's GPUs.
pub const NVIDIA: &str = "nvidia.com/gpu";

/// The kind of AMD's GPUs.
const AMD: &str = "amd.com/gpu";
/// The kind of Intel's.
const INTEL: &str = "intel.com/gpu";

/// The kinds that are read; other vendors' files are none of ours.
const KINDS: [&str; 3] = [NVIDIA, AMD, INTEL];

/// Why a specification is not used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CdiError {
    /// There is none.
    #[error("there is no CDI specification of `{kind}` in `/etc/cdi` or `/var/run/cdi`")]
    Absent {
        /// The kind.
        kind: &'static str,
    },
    /// A file or directory cannot be read.
    #[error("failed to read `{}`", path.display())]
    Unreadable {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not as the format wants it.
    #[error("`{}` is no CDI specification: {reason}", file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// What and where.
        reason: String,
    },
    /// A file is of a version that is not known.
    #[error(
        "`{}` is of CDI version `{version}`; 0.1.0 to 1.1.0 are known",
        file.display()
    )]
    Version {
        /// The file.
        file: PathBuf,
        /// The version.
        version: String,
    },
    /// A file has what its version does not.
    #[error(
        "`{}` says it is of CDI version {version}, but has {feature}, which came with {since}",
        file.display()
    )]
    Feature {
        /// The file.
        file: PathBuf,
        /// The version that it says.
        version: String,
        /// What it has.
        feature: &'static str,
        /// The version that has this.
        since: &'static str,
    },
    /// Two files of a directory name the same device.
    #[error("`{}` and `{}` both name the device `{device}`", files[0].display(), files[1].display())]
    Conflict {
        /// The device.
        device: String,
        /// The files.
        files: [PathBuf; 2],
    },
    /// A GPU is not named.
    #[error(
        "no CDI specification names the GPU `{name}`; there is {}",
        quoted(available)
    )]
    Unnamed {
        /// The GPU.
        name: String,
        /// The devices that are named.
        available: Vec<String>,
    },
    /// Something is not as the specification says.
    #[error("the CDI specification `{}` is stale: {reason}", file.display())]
    Stale {
        /// The file.
        file: PathBuf,
        /// What is not so.
        reason: Stale,
    },
    /// A hook that is not known.
    #[error("`{}` has a hook that is not known: `{}`", file.display(), arguments.join(" "))]
    Hook {
        /// The file.
        file: PathBuf,
        /// The program and its arguments.
        arguments: Vec<String>,
    },
    /// Something that a sandbox cannot do.
    #[error("`{}` has `{field}`, which a sandbox cannot do", file.display())]
    Unsupported {
        /// The file.
        file: PathBuf,
        /// The field.
        field: &'static str,
    },
}

/// What is not as a specification says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Stale {
    /// A file is gone.
    #[error("`{}` does not exist", path.display())]
    Missing {
        /// The host path.
        path: PathBuf,
    },
    /// A library is of another driver.
    #[error("`{}` is not of the driver {driver}", path.display())]
    OtherDriver {
        /// The host path.
        path: PathBuf,
        /// The driver that runs.
        driver: String,
    },
    /// A node is not there or another device.
    #[error("{found}")]
    Node {
        /// The node and what was found in its place.
        found: String,
    },
    /// It gives the name to another GPU.
    #[error("it does not give the GPU `{name}` its node `{}`", node.display())]
    OtherGpu {
        /// The GPU.
        name: String,
        /// Its node.
        node: PathBuf,
    },
    /// A library is missing without which nothing works.
    #[error("it does not name `{library}`")]
    Incomplete {
        /// The library.
        library: String,
    },
}

impl CdiError {
    /// Returns what to do about it.
    pub fn remedy(&self) -> String {
        const GENERATE: &str = "nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml";
        match self {
            CdiError::Absent { .. } | CdiError::Unnamed { .. } | CdiError::Stale { .. } => {
                format!("write it anew as root with `{GENERATE}`, or do without it")
            }
            CdiError::Unreadable { path, .. } => {
                format!("let this user read `{}`, or do without it", path.display())
            }
            CdiError::Conflict { files, .. } => {
                format!("remove one of them; `{}` is the later", files[1].display())
            }
            CdiError::Malformed { file, .. }
            | CdiError::Version { file, .. }
            | CdiError::Feature { file, .. }
            | CdiError::Hook { file, .. }
            | CdiError::Unsupported { file, .. } => {
                format!("correct or remove `{}`, or do without it", file.display())
            }
        }
    }
}

fn quoted(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match names.is_empty() {
        true => "none".to_owned(),
        false => names.join(", "),
    }
}
