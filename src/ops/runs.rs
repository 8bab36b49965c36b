//! `runs` and `show`: the records of runs.

use std::path::{Path, PathBuf};

use envbox_lockfiles::base::Context;
use jiff::Timestamp;
use serde::Serialize;

use crate::ops::Error;
use crate::record::{Ending, Journal, JournalError, RunId, RunName, RunRecord, is_running};

/// Runs on record.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct RunsReport {
    /// The newest first.
    pub runs: Vec<RunSummary>,
    /// Whether there are more.
    pub more: bool,
    /// Records that cannot be read, one sentence each.
    pub unreadable: Vec<String>,
}

/// A run on record, in short.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct RunSummary {
    /// Its name.
    pub run: RunId,
    /// Its tags, sorted.
    pub tags: Vec<String>,
    /// When it began.
    pub started: Timestamp,
    /// The project.
    pub project: Option<PathBuf>,
    /// The command and its arguments.
    pub argv: Vec<String>,
    /// What became of it.
    pub state: RunState,
    /// Real time in microseconds.
    pub wall_us: Option<u64>,
    /// How many files it wrote.
    pub outputs: Option<usize>,
}

/// What became of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunState {
    /// It goes on.
    Running,
    /// envbox was killed, or the machine stopped.
    Killed,
    /// It came to its end.
    #[serde(untagged)]
    Ended(Ending),
}

/// Lists the newest `count` runs of a project, or of all.
///
/// # Errors
/// Returns [`Error`] when the journal cannot be read.
pub fn runs(
    context: &Context,
    journal: &Journal,
    project: Option<&Path>,
    count: usize,
) -> Result<RunsReport, Error> {
    let tags = journal.tags().map_err(JournalError::from)?;
    let mut records = journal.records(project).map_err(JournalError::from)?;
    let mut report = RunsReport {
        runs: Vec::new(),
        more: false,
        unreadable: Vec::new(),
    };
    while report.runs.len() < count {
        match records.next() {
            None => return Ok(report),
            Some(Err(error)) => report.unreadable.push(error.to_string()),
            Some(Ok(record)) => {
                let tagged = tags.iter().filter(|(_, run)| **run == record.run);
                let tags = tagged.map(|(tag, _)| tag.clone()).collect();
                report.runs.push(summary(context, record, tags));
            }
        }
    }
    report.more = records.next().is_some();
    Ok(report)
}

fn summary(context: &Context, record: RunRecord, tags: Vec<String>) -> RunSummary {
    let outputs = || Some(record.results().filter(|one| one.sha256.is_some()).count());
    RunSummary {
        outputs: record
            .ended
            .as_ref()
            .and_then(|ended| ended.outputs.as_ref())
            .and_then(|_| outputs()),
        state: state(context, &record),
        wall_us: record.ended.as_ref().map(|ended| ended.usage.wall_us),
        run: record.run,
        tags,
        started: record.started,
        project: record.project,
        argv: record.tower.parameters.seen.argv,
    }
}

/// Returns what became of a run.
pub fn state(context: &Context, record: &RunRecord) -> RunState {
    match &record.ended {
        Some(ended) => RunState::Ended(ended.exit),
        None if is_running(&context.store.join("runs"), record.run) => RunState::Running,
        None => RunState::Killed,
    }
}

/// Finds the record of a run; `@1` is the newest of `project`, if one is given.
///
/// # Errors
/// Returns [`Error::Journal`] when not exactly one run has the name, or its record is not whole.
pub fn show(
    journal: Option<&Journal>,
    name: &RunName,
    project: Option<&Path>,
) -> Result<RunRecord, Error> {
    match (name, journal) {
        (RunName::File(file), _) => Ok(RunRecord::read(file).map_err(JournalError::from)?),
        (name, Some(journal)) => Ok(journal.find(name, project)?),
        (_, None) => Err(JournalError::Nowhere.into()),
    }
}
