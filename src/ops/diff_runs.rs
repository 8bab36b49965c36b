//! `diff` of two runs: which block moved, and where in the outputs it shows.

use envbox_explain::{Explanation, Limits, explain_as};
use envbox_lockfiles::base::{Context, Digest};
use serde::Serialize;

use crate::ops::Error;
use crate::record::{Comparison, RunRecord, compare};
use crate::store::Store;

/// How many differences of an output are told.
const SHOWN: usize = 20;

/// How two runs differ.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct RunsDiff {
    /// Block by block, and which outputs.
    #[serde(flatten)]
    pub comparison: Comparison,
    /// Outputs that differ and that the store has from both runs, looked into.
    pub explained: Vec<Explained>,
}

/// An output that differs, looked into.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct Explained {
    /// Its path.
    pub path: String,
    /// In what it differs.
    #[serde(flatten)]
    pub explanation: Explanation,
}

impl RunsDiff {
    /// Says whether all that differs is what carries no value: times, order, compression.
    pub fn is_metadata_only(&self) -> bool {
        let outputs = self.comparison.outputs.iter().flatten().count();
        let only = |one: &Explained| one.explanation.metadata_only;
        self.comparison.ended.is_none()
            && outputs == self.explained.len()
            && self.explained.iter().all(only)
    }
}

/// Compares two runs, and looks into the outputs that the store keeps.
///
/// # Errors
/// Returns [`Error::Store`] when the store cannot be opened. An output that cannot be read is left
/// out.
pub fn diff_runs(context: &Context, old: &RunRecord, new: &RunRecord) -> Result<RunsDiff, Error> {
    let comparison = compare(old, new);
    let store = Store::open(&context.store)?;
    let scratch = store.scratch()?;
    let limits = Limits {
        differences: SHOWN,
        scratch: Some(scratch.path().to_path_buf()),
        ..Limits::default()
    };
    let place = |digest: Option<Digest>| store.blob(&digest?);
    let mut explained = Vec::new();
    for output in comparison.outputs.iter().flatten() {
        let (Some(old), Some(new)) = (&output.old, &output.new) else {
            continue;
        };
        let (Some(old), Some(new)) = (place(old.sha256), place(new.sha256)) else {
            continue;
        };
        let name = output.path.rsplit('/').next().unwrap_or_default();
        if let Ok(explanation) = explain_as(name, &old, &new, &limits) {
            explained.push(Explained {
                path: output.path.clone(),
                explanation,
            });
        }
    }
    Ok(RunsDiff {
        comparison,
        explained,
    })
}
