//! What the page tells: the runs, how each differs from the first, and where in its outputs.

use envbox_explain::{Explanation, Limits, explain_as};
use envbox_lockfiles::base::Context;
use serde::Serialize;

use crate::ops::Error;
use crate::ops::runs::{RunState, state};
use crate::record::{Comparison, Output, OutputDifference, RunRecord, compare};
use crate::store::Store;

/// Differences of one output that are told.
const DIFFERENCES: usize = 20;

/// Runs, and how they differ.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The runs, in the order they were asked for.
    pub runs: Vec<ReportedRun>,
    /// How each after the first differs from it.
    pub comparisons: Vec<Compared>,
}

/// A run.
#[derive(Debug, Serialize)]
pub struct ReportedRun {
    /// Its record.
    pub record: RunRecord,
    /// What became of it.
    pub state: RunState,
}

/// How two runs differ.
#[derive(Debug, Serialize)]
pub struct Compared {
    /// Block by block.
    pub comparison: Comparison,
    /// The outputs that differ, opened.
    pub outputs: Vec<ExplainedOutput>,
}

/// In what an output differs.
#[derive(Debug, Serialize)]
pub struct ExplainedOutput {
    /// Its path.
    pub path: String,
    /// In what; nothing when it could not be opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explanation: Option<Explanation>,
    /// Why it was not opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unopened: Option<String>,
}

/// Gathers what there is to tell of runs. Each after the first is compared with it.
///
/// # Errors
/// Returns [`Error`] when the store cannot be opened.
pub fn report(context: &Context, records: Vec<RunRecord>) -> Result<Report, Error> {
    let store = Store::open(&context.store)?;
    let scratch = store.scratch()?;
    let limits = Limits {
        differences: DIFFERENCES,
        scratch: Some(scratch.path().to_path_buf()),
        ..Limits::default()
    };
    let others = records.iter().skip(1);
    let comparisons = others.map(|new| {
        let comparison = compare(&records[0], new);
        let outputs = comparison.outputs.iter().flatten();
        let outputs = outputs
            .map(|output| explained(&store, output, &limits))
            .collect();
        Compared {
            comparison,
            outputs,
        }
    });
    let comparisons = comparisons.collect();
    let runs = records.into_iter().map(|record| ReportedRun {
        state: state(context, &record),
        record,
    });
    Ok(Report {
        runs: runs.collect(),
        comparisons,
    })
}

fn explained(store: &Store, output: &OutputDifference, limits: &Limits) -> ExplainedOutput {
    let (explanation, unopened) = match opened(store, output, limits) {
        Ok(explanation) => (Some(explanation), None),
        Err(why) => (None, Some(why)),
    };
    ExplainedOutput {
        path: output.path.clone(),
        explanation,
        unopened,
    }
}

/// Returns in what an output differs, or why nobody can tell.
fn opened(
    store: &Store,
    output: &OutputDifference,
    limits: &Limits,
) -> Result<Explanation, String> {
    let (Some(old), Some(new)) = (&output.old, &output.new) else {
        let which = if output.old.is_some() { "old" } else { "new" };
        return Err(format!("only the {which} run wrote it"));
    };
    if old.r#type != new.r#type {
        return Err("it is of another type".to_owned());
    }
    let (Some(before), Some(after)) = (old.sha256, new.sha256) else {
        return Err(match (&old.target, &new.target) {
            (Some(old), Some(new)) => format!("it leads to `{new}`, and led to `{old}`"),
            _ => "one run removed it, or it is no file".to_owned(),
        });
    };
    if before == after {
        let mode = |output: &Output| output.mode.clone().unwrap_or_default();
        return Err(format!(
            "its permissions are {}, and were {}",
            mode(new),
            mode(old)
        ));
    }
    let (Some(before), Some(after)) = (store.blob(&before), store.blob(&after)) else {
        return Err("its content is not in the store".to_owned());
    };
    explain_as(&output.path, &before, &after, limits).map_err(|error| error.to_string())
}
