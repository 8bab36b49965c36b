//! `envbox export`.

use std::process::ExitCode;

use envbox::ops::export::{BundleReport, bundle};

use crate::args::ExportCommand;
use crate::commands::{Session, locking};
use crate::render::Failure;

pub(super) fn export(session: &Session, args: &ExportCommand) -> Result<ExitCode, Failure> {
    let ExportCommand::Bundle {
        directory,
        frozen,
        groups,
        command,
    } = args;
    let project = session.project_with(groups)?;
    let report = bundle(
        &session.context,
        &project,
        locking(*frozen),
        directory,
        command,
    )?;
    session.tell("envbox.export.bundle/1", &report, text)?;
    Ok(ExitCode::SUCCESS)
}

fn text(report: &BundleReport) -> String {
    let path = report.bundle.display();
    let who = if report.root { "root" } else { "this user" };
    format!(
        "wrote `{path}`, which {who} can run with `runc run --bundle`; the step's files go to \
         `{path}/project`\n"
    )
}
