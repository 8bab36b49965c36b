//! Run records as documents of other standards.
//!
//! Comes in: a [`RunRecord`](crate::record::RunRecord) that has ended. Goes out: an in-toto statement
//! with SLSA provenance ([`provenance`]), a Workflow Run RO-Crate ([`ro_crate`]), an OpenLineage
//! event ([`open_lineage`]). The same record gives the same bytes.
//!
//! **Invariant:** no document names the host's paths (`tests::no_document_names_the_host`).

mod open_lineage;
mod provenance;
mod ro_crate;
#[cfg(test)]
mod tests;

use jiff::{SignedDuration, Timestamp};

use crate::record::{Ending, RunRecord};

pub use open_lineage::open_lineage;
pub use provenance::provenance;
pub use ro_crate::{CrateFile, RoCrate, ro_crate};

/// Returns when the run was over, as far as is known: when it began, and the step's real time.
fn finished(record: &RunRecord) -> Option<Timestamp> {
    let micros = i64::try_from(record.ended.as_ref()?.usage.wall_us).ok()?;
    record
        .started
        .checked_add(SignedDuration::from_micros(micros))
        .ok()
}

/// Says whether the step succeeded; nothing while it runs.
fn succeeded(record: &RunRecord) -> Option<bool> {
    Some(record.ended.as_ref()?.exit == Ending::Code(0))
}
