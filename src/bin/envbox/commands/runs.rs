//! `envbox runs`, `show` and `replay`, and `diff` of two runs.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use envbox::ops;
use envbox::ops::diff_runs::diff_runs;
use envbox::ops::replay::{ReplayError, ReplayOptions, replay as run_again};
use envbox::ops::run::Recording;
use envbox::ops::runs::{RunsReport, runs as list, show as find, state};
use envbox::record::{Comparison, Journal, JournalError, RunName, RunRecord};

use crate::commands::Session;
use crate::render::{self, Failure, records};
use crate::{ambient, args, exit};

/// How many runs are listed when nobody says.
const SHOWN: usize = 20;

pub(super) fn runs(session: &Session, args: &args::Runs) -> Result<ExitCode, Failure> {
    let journal = journal()?;
    match &args.command {
        None => {
            let project = match args.all {
                true => None,
                false => Some(project(session)?),
            };
            let count = args.number.unwrap_or(SHOWN);
            let report = list(&session.context, &journal, project.as_deref(), count)?;
            let text = |report: &RunsReport| records::list(report, args.all, ambient::now());
            session.print("envbox.runs/1", &report, text)?;
        }
        Some(args::RunsCommand::Tag { run, name }) => {
            let record = named(session, run)?;
            journal.tag(record.run, name).map_err(ops::Error::from)?;
        }
        Some(args::RunsCommand::Remove { runs }) => {
            // All of them are found before one is gone: `@2` would be another then.
            let found: Result<Vec<_>, _> = runs.iter().map(|run| named(session, run)).collect();
            for record in found? {
                let removed = journal.remove(record.run).map_err(JournalError::from);
                removed.map_err(ops::Error::from)?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn show(session: &Session, args: &args::Show) -> Result<ExitCode, Failure> {
    let record = named(session, &args.run)?;
    match session.global.json {
        true => render::result(&String::from_utf8_lossy(&record.to_bytes()))?,
        false => render::result(&records::whole(&record, state(&session.context, &record)))?,
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn replay(session: &Session, args: &args::Replay) -> Result<ExitCode, Failure> {
    let record = named(session, &args.run)?;
    let options = ReplayOptions {
        to: args.to.as_deref().map(ambient::absolute).transpose()?,
        host_env: ambient::variables(),
        record: Recording {
            journal: ambient::journal(),
            ..Recording::default()
        },
    };
    let report = run_again(&session.context, &record, options)?;
    for warning in report.run.warnings() {
        render::warning(&warning);
    }
    // The step has standard output.
    match session.global.json {
        true => render::document("envbox.comparison/1", &report.diff)?,
        false => render::note(records::difference(&report.diff).trim_end()),
    }
    Ok(code(&report.diff.comparison))
}

/// Compares two runs, if both words name one.
pub(super) fn diff(
    session: &Session,
    old: &RunName,
    new: &RunName,
) -> Result<Option<ExitCode>, Failure> {
    let old = match (old, named(session, old)) {
        // What is no run may be a lockfile or a revision.
        (RunName::Word(_), Err(_)) => return Ok(None),
        (RunName::File(file), Err(_)) if !is_json(file) => return Ok(None),
        (_, old) => old?,
    };
    let diff = diff_runs(&session.context, &old, &named(session, new)?)?;
    session.print("envbox.comparison/1", &diff, records::difference)?;
    Ok(Some(code(&diff.comparison)))
}

/// Says whether a file is JSON, as records are and lockfiles are not.
fn is_json(file: &Path) -> bool {
    let mut first = [0];
    let read = File::open(file).and_then(|mut file| file.read_exact(&mut first));
    read.is_ok() && first == *b"{"
}

fn code(comparison: &Comparison) -> ExitCode {
    match comparison.is_same() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(exit::FOUND_WRONG),
    }
}

/// Finds the record of a run.
pub(super) fn named(session: &Session, name: &RunName) -> Result<RunRecord, Failure> {
    let journal = ambient::journal().map(|directory| Journal::at(&directory));
    let project = project(session)?;
    let has_manifest = ops::Project::open(&project).is_ok();
    // Outside of projects `@1` is the newest of all.
    let project = has_manifest.then_some(project);
    Ok(find(journal.as_ref(), name, project.as_deref())?)
}

fn project(session: &Session) -> Result<PathBuf, Failure> {
    let directory = ambient::project(&session.global)?;
    Ok(directory.canonicalize().unwrap_or(directory))
}

fn journal() -> Result<Journal, Failure> {
    let directory = ambient::journal().ok_or(JournalError::Nowhere);
    Ok(Journal::at(&directory.map_err(ops::Error::from)?))
}

impl From<ReplayError> for Failure {
    fn from(error: ReplayError) -> Self {
        ops::Error::from(error).into()
    }
}
