//! `envbox version`: what a program can rely on.

use std::process::ExitCode;

use serde::Serialize;

use crate::commands::Session;
use crate::render::{Failure, events};

/// The versions.
#[derive(Serialize)]
struct VersionReport {
    /// envbox's own.
    envbox: &'static str,
    /// That of all that `docs/interface.md` promises.
    interface: &'static str,
}

pub(super) fn version(session: &Session) -> Result<ExitCode, Failure> {
    let report = VersionReport {
        envbox: env!("CARGO_PKG_VERSION"),
        interface: events::INTERFACE,
    };
    session.print("envbox.version/1", &report, |report| {
        format!("envbox {}\n{}\n", report.envbox, report.interface)
    })?;
    Ok(ExitCode::SUCCESS)
}
