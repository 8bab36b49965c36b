//! What the page tells: the runs, how each differs from the first, and where in its outputs.

use envbox_lockfiles::base::Context;
use serde::Serialize;

use crate::ops::Error;
use crate::ops::diff_runs::{RunsDiff, diff_runs};
use crate::ops::runs::{RunState, state};
use crate::record::RunRecord;

/// Runs, and how they differ.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The runs, in the order they were asked for.
    pub runs: Vec<ReportedRun>,
    /// How each after the first differs from it.
    pub comparisons: Vec<RunsDiff>,
}

/// A run.
#[derive(Debug, Serialize)]
pub struct ReportedRun {
    /// Its record.
    pub record: RunRecord,
    /// What became of it.
    pub state: RunState,
}

/// Gathers what there is to tell of runs. Each after the first is compared with it.
///
/// # Errors
/// Returns [`Error`] when the store cannot be opened.
pub fn report(context: &Context, records: Vec<RunRecord>) -> Result<Report, Error> {
    let others = records.iter().skip(1);
    let comparisons = others.map(|new| diff_runs(context, &records[0], new));
    let comparisons = comparisons.collect::<Result<_, _>>()?;
    let runs = records.into_iter().map(|record| ReportedRun {
        state: state(context, &record),
        record,
    });
    Ok(Report {
        runs: runs.collect(),
        comparisons,
    })
}
