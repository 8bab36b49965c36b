//! `envbox init`.

use std::process::ExitCode;

use envbox::ops::init::init as write_manifest;

use crate::ambient;
use crate::commands::Session;
use crate::render::{self, Failure};

pub(super) fn init(session: &Session) -> Result<ExitCode, Failure> {
    let current = ambient::current_directory()?;
    let directory = session
        .global
        .project
        .as_ref()
        .map_or(current.clone(), |path| current.join(path));
    let report = write_manifest(&directory)?;
    if session.global.json {
        render::document("envbox.init/1", &report);
    } else {
        render::line(&format!("wrote `{}`", report.manifest.display()));
    }
    Ok(ExitCode::SUCCESS)
}
