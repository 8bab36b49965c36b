//! `envbox fetch`.

use std::process::ExitCode;

use envbox::ops::fetch::fetch as download;

use crate::commands::Session;
use crate::render::{self, Failure};

pub(super) fn fetch(session: &Session) -> Result<ExitCode, Failure> {
    let report = download(&session.context, &session.project()?)?;
    session.tell("envbox.fetch/1", &report, |report| {
        let size = render::size(report.bytes);
        format!(
            "the store has all {} artifacts ({size})\n",
            report.artifacts
        )
    })?;
    Ok(ExitCode::SUCCESS)
}
