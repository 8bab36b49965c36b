//! Which GPU drivers this host has, whether a step may use them, what is put into its sandbox for
//! that, and whether it works there.
//!
//! One line of types: [`discover`] makes [`GpuFacts`] of a [`HostFs`] and the nodes behind
//! [`DeviceNodes`]; [`verdict`] says of these and what a lockfile wants whether the driver is
//! [`Usable`]; [`plan`] makes [`Edits`] of a [`Selection`] of its GPUs, which [`Edits::apply`] puts
//! into a policy; [`try_inside`] starts the driver there and returns what it tells as [`Probed`].
//! Files, in this order: `facts` and what it reads, `verdict`, `selection`, `chosen`, `supply`,
//! `edits`, `cdi`, `plan`, `probe`; and, of an environment's libraries, `device_code`.
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
//!
//! **Invariant:** a step sees what was planned and nothing else of any GPU
//! (`a_step_finds_what_was_planned_and_nothing_else`).

mod access;
mod cache;
mod candidate;
mod cards;
mod cdi;
mod chosen;
mod cuda_error;
mod device_code;
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
pub use cdi::{
    CdiError, DIRECTORIES as CDI_DIRECTORIES, Stale, document as cdi_document,
    other_document as other_cdi_document,
};
pub use chosen::{ChooseError, Chosen, ChosenInstance, choose, choose_other};
pub use cuda_error::CudaError;
pub use device_code::{Capability, DeviceCode};
pub use edits::{EditRemark, Edits, LIBRARIES, Origin, PRIVATE, PROGRAMS};
pub use facts::{GpuFacts, Nvidia, discover};
pub use fs::HostFs;
pub use kernel::{Flavour, KernelModule, KernelSource, Reading, SourceReading};
pub use libraries::{LibraryPlaces, Searched, SearchedAs, SearchedState, UserLibraries};
pub use nodes::{Answer, DeviceNodes, HostNodes, Node, NodeState, Numbers, Status};
pub use pci::{OtherGpu, OtherVendor, UngatedVendor};
pub use plan::{CdiPolicy, PlanError, PlanFrom, plan, plan_other};
pub use probe::{ProbeError, Probed, ProbedDevice, Untold, try_inside};
pub use refusal::{NotHeld, Refusal};
pub use selection::{Name, Selection, SelectionError};
pub use surroundings::Surroundings;
pub use usable::{Remark, Usable};
pub use verdict::{Admitted, DriverPolicy, Pinned, PinnedDevice, Required, Verdict, verdict};
pub use version::{DriverVersion, Match, Minimum, Pin, VersionError};

#[cfg(test)]
mod tests;
