//! `envbox doctor`.

use std::process::ExitCode;

use envbox::ops::doctor::{DoctorReport, doctor as examine};
use envbox_sandbox::CheckStatus;

use crate::commands::Session;
use crate::exit;
use crate::render::Failure;

pub(super) fn doctor(session: &Session) -> Result<ExitCode, Failure> {
    let report = examine(&session.context);
    session.print("envbox.doctor/1", &report, text)?;
    Ok(match report.status {
        CheckStatus::Missing => ExitCode::from(exit::FOUND_WRONG),
        _ => ExitCode::SUCCESS,
    })
}

fn text(report: &DoctorReport) -> String {
    let mut text = String::new();
    for check in &report.checks {
        let status = match check.status {
            CheckStatus::Ok => "ok      ",
            CheckStatus::Degraded => "degraded",
            CheckStatus::Missing => "missing ",
        };
        text += &format!("{status}  {}: {}\n", check.name, check.found);
        if let Some(remedy) = &check.remedy {
            text += &format!("          remedy: {remedy}\n");
        }
    }
    text
}
