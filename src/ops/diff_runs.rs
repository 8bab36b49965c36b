//! `diff` of two runs: which block moved, and where in the outputs it shows.

use std::path::Path;
use std::time::Duration;

use envbox_explain::{Diffoscope, Explanation, Limits, explain_as};
use envbox_lockfiles::base::Context;
use serde::Serialize;

use crate::ops::Error;
use crate::record::{Comparison, Output, OutputDifference, RunRecord, compare};
use crate::store::Store;

/// How many differences of an output are told.
const SHOWN: usize = 20;

/// How long diffoscope may take for one output.
const PATIENCE: Duration = Duration::from_secs(60);

/// How two runs differ.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct RunsDiff {
    /// Block by block, and which outputs.
    #[serde(flatten)]
    pub comparison: Comparison,
    /// The outputs that differ, opened.
    pub explained: Vec<ExplainedOutput>,
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

/// Compares two runs, and looks into the outputs that the store keeps.
///
/// # Errors
/// Returns [`Error::Store`] when the store cannot be opened.
pub fn diff_runs(context: &Context, old: &RunRecord, new: &RunRecord) -> Result<RunsDiff, Error> {
    let store = Store::open(&context.store)?;
    let scratch = store.scratch()?;
    let limits = Limits {
        differences: SHOWN,
        ..limits(context, scratch.path())
    };
    let comparison = compare(old, new);
    let outputs = comparison.outputs.iter().flatten();
    let explained = outputs.map(|output| explained(&store, output, &limits));
    Ok(RunsDiff {
        explained: explained.collect(),
        comparison,
    })
}

/// Returns how much looking into an output may take. `scratch` gets what is unpacked on the way.
pub(in crate::ops) fn limits(context: &Context, scratch: &Path) -> Limits {
    Limits {
        scratch: Some(scratch.to_path_buf()),
        diffoscope: context.diffoscope.clone().map(|program| Diffoscope {
            program,
            timeout: PATIENCE,
        }),
        ..Limits::default()
    }
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
