//! `envbox doctor`.

use std::process::ExitCode;

use envbox::ops::doctor::doctor as examine;
use envbox_sandbox::CheckStatus;

use crate::commands::Session;
use crate::exit;
use crate::render::{self, Failure};

pub(super) fn doctor(session: &Session) -> Result<ExitCode, Failure> {
    let report = examine(&session.context);
    if session.global.json {
        render::document("envbox.doctor/1", &report);
    } else {
        for check in &report.checks {
            let status = match check.status {
                CheckStatus::Ok => "ok      ",
                CheckStatus::Degraded => "degraded",
                CheckStatus::Missing => "missing ",
            };
            render::line(&format!("{status}  {}: {}", check.name, check.found));
            if let Some(remedy) = &check.remedy {
                render::line(&format!("          remedy: {remedy}"));
            }
        }
    }
    Ok(match report.status {
        CheckStatus::Missing => ExitCode::from(exit::FOUND_WRONG),
        _ => ExitCode::SUCCESS,
    })
}
