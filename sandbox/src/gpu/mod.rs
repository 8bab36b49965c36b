//! Which GPU drivers this host has, and whether a step may use them.
//!
//! Comes in: a [`HostFs`], the nodes behind [`DeviceNodes`], the places to search. Goes out:
//! [`GpuFacts`], and from these and what a lockfile wants a [`Verdict`].
//!
//! Looking loads no library, runs no program and makes no node: NVIDIA's own libraries do all three
//! when root asks them. A node is opened only where a driver is registered for its number, because
//! the kernel would load a module otherwise.
//!
//! **Invariant:** looking changes nothing below the root (`discovery_changes_nothing`).
//!
//! **Invariant:** no bytes in any file make it panic (`no_bytes_make_discovery_panic`).
//!
//! **Invariant:** what is not known is refused, never passed (`every_state_has_its_verdict`).

mod access;
mod cache;
mod candidate;
mod cards;
mod cdi;
mod chosen;
mod cuda_error;
mod edits;
mod elf;
mod facts;
mod fs;
mod kernel;
mod libraries;
mod nodes;
mod pci;
mod plan;
mod probe;
mod refusal;
mod selection;
mod supply;
mod surroundings;
mod usable;
mod verdict;
mod version;

pub use access::{Caller, Forbidden};
pub use candidate::{Candidate, Fate, Library, Unsound};
pub use cards::{Card, MigInstance};
pub use cdi::{CdiError, DIRECTORIES as CDI_DIRECTORIES, Stale, document as cdi_document};
pub use chosen::{ChooseError, Chosen, ChosenInstance, choose, choose_other};
pub use cuda_error::CudaError;
pub use edits::{EditRemark, Edits, LIBRARIES, Origin, PRIVATE, PROGRAMS};
pub use facts::{GpuFacts, Nvidia, discover};
pub use fs::HostFs;
pub use kernel::{Flavour, KernelModule, KernelSource, Reading, SourceReading};
pub use libraries::{LibraryPlaces, Searched, SearchedAs, SearchedState, UserLibraries};
pub use nodes::{Answer, DeviceNodes, HostNodes, Node, NodeState, Numbers, Status};
pub use pci::{OtherGpu, OtherVendor};
pub use plan::{CdiPolicy, PlanError, PlanFrom, UngatedVendor, plan, plan_other};
pub use probe::{ProbeError, Probed, ProbedDevice, Untold, try_inside};
pub use refusal::{NotHeld, Refusal};
pub use selection::{Name, Selection, SelectionError};
pub use surroundings::Surroundings;
pub use usable::{Remark, Usable};
pub use verdict::{Admitted, DriverPolicy, Pinned, PinnedDevice, Required, Verdict, verdict};
pub use version::{DriverVersion, Match, Minimum, Pin, VersionError};

#[cfg(test)]
mod tests;
