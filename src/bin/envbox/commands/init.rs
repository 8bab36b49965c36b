//! `envbox init`.

use std::process::ExitCode;

use envbox::ops::init::init as write_manifest;

use crate::ambient;
use crate::commands::Session;
use crate::render::Failure;

pub(super) fn init(session: &Session) -> Result<ExitCode, Failure> {
    // Not the nearest project above: this is where a new one begins.
    let directory = match &session.global.project {
        Some(project) => ambient::absolute(project)?,
        None => ambient::current_directory()?,
    };
    let report = write_manifest(&directory)?;
    session.tell("envbox.init/1", &report, |report| {
        format!("wrote `{}`\n", report.manifest.display())
    })?;
    Ok(ExitCode::SUCCESS)
}
