//! `envbox audit`: a step and what it drew; the step's status is the command's.

use std::process::ExitCode;

use envbox::ops::Project;
use envbox::ops::audit::audit as audit_step;
use envbox::ops::run::{RunOptions, RunReport};

use crate::args;
use crate::commands::{Session, run};
use crate::render::{self, Failure};

pub(super) fn audit(session: Result<Session, Failure>, args: args::Audit, json: bool) -> ExitCode {
    let args::Audit { counter, run } = args;
    run::step(session, run, json, |session, project, options| {
        let options = RunOptions { counter, ..options };
        audit_and_tell(session, project, options)
    })
}

/// Standard output is the step's, unless a document is asked for.
fn audit_and_tell(
    session: &Session,
    project: &Project,
    options: RunOptions,
) -> Result<RunReport, Failure> {
    let report = audit_step(&session.context, project, options)?;
    render::events::result(&report.document());
    if session.global.json {
        render::json(&report.document())?;
    } else {
        render::note(render::audit::text(&report.sources).trim_end());
        run::tell(session, &report.run);
    }
    Ok(report.run)
}
