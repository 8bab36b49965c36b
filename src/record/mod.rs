//! What a step left behind: what changed in the project, brought home, and the run's record.
//!
//! Comes in: the upper directory of the project's overlay after the step ended. Goes out: a sorted
//! list of [`Change`]s, and the host's project with them applied ([`write_back`]); a [`RunRecord`],
//! kept in a [`Journal`], and what differs between two of them ([`compare`]).
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
//! **Invariant:** a record that was changed by hand is noticed (`tests::records::a_changed_record_is_noticed`).
//! **Invariant:** one output that cannot be written keeps no other from being written
//! (`tests::one_failure_stops_nothing_else`).

mod changes;
mod compare;
mod directory;
mod entry;
mod journal;
mod path;
mod publish;
mod run_directory;
mod run_id;
mod run_record;
#[cfg(test)]
pub(crate) mod tests;
mod times;
mod tower;
mod write_back;

pub use changes::{Changes, Unusable, UnusableReason, scan};
pub use compare::{BlockComparison, Comparison, Difference, OutputDifference, compare};
pub use entry::{Change, ChangeKind, Entry, EntryType};
pub use journal::{Journal, JournalError, RunName, check_tag};
pub use path::ProjectPath;
pub use run_directory::{RecordError, RunDirectory, is_running, sweep};
pub use run_id::{InvalidRunId, RunId};
pub(crate) use run_record::canonical;
pub use run_record::{
    EndedRecord, Ending, Output, RunRecord, RunRecordError, SCHEMA, Stream, UsageRecord,
};
pub use times::set_times;
pub use tower::{
    BindSeen, Block, BlockName, CodeNoted, CodeSeen, ComputeNoted, ComputeSeen, Consumed,
    DataNoted, DataSeen, EntropyNoted, EntropySeen, Firmness, GpuCard, GpuNoted, GpuSeen,
    LibrariesNoted, LibrariesSeen, ParametersNoted, ParametersSeen, Tower,
};
pub use write_back::{Fate, HostState, WrittenChange, write_back};
