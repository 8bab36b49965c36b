//! `envbox fetch`.

use std::process::ExitCode;

use envbox::ops::fetch::fetch as download;

use crate::commands::Session;
use crate::render::{self, Failure};

pub(super) fn fetch(session: &Session) -> Result<ExitCode, Failure> {
    let report = download(&session.context, &session.project()?)?;
    if session.global.json {
        render::document("envbox.fetch/1", &report);
    } else if !session.global.quiet {
        let size = render::size(report.bytes);
        render::line(&format!(
            "the store has all {} artifacts ({size})",
            report.artifacts
        ));
    }
    Ok(ExitCode::SUCCESS)
}
