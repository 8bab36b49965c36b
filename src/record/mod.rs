//! What a step left behind: what changed in the project, brought home, and the run's result.
//!
//! Comes in: the upper directory of the project's overlay after the step ended. Goes out: a sorted
//! list of [`Change`]s, and the host's project with them applied ([`write_back`]).
//!
//! ```text
//! $store/runs/
//! ├── <run id>.lock     locked while the run's process lives; `flock`, so it ends with it
//! └── <run id>/
//!     ├── upper/        what the step wrote
//!     ├── work/         the kernel's own
//!     └── kept          there when outputs could not be written back: then nobody sweeps this run
//! ```
//!
//! What a killed envbox left is removed by the next run and never used.
//!
//! **Invariant:** nothing outside the project is written, whatever links the step or the host put
//! in the way (`tests::links_are_never_followed`).
//! **Invariant:** what changed on the host while the step ran is kept
//! (`tests::what_the_host_changed_meanwhile_is_kept`).
//! **Invariant:** one output that cannot be written keeps no other from being written
//! (`tests::one_failure_stops_nothing_else`).

mod changes;
mod directory;
mod entry;
mod path;
mod publish;
mod run_directory;
mod run_id;
#[cfg(test)]
mod tests;
mod times;
mod write_back;

pub use changes::{Changes, Unusable, UnusableReason, scan};
pub use entry::{Change, ChangeKind, Entry, EntryType};
pub use path::ProjectPath;
pub use run_directory::{RecordError, RunDirectory, sweep};
pub use run_id::RunId;
pub use times::set_times;
pub use write_back::{Fate, HostState, WrittenChange, write_back};
