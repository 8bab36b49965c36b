//! `envbox verify-attestation`.

use std::process::ExitCode;

use envbox::ops::verify_attestation::{AttestationReport, verify_attestation as verify};

use crate::commands::Session;
use crate::render::Failure;
use crate::{ambient, args};

pub(super) fn verify_attestation(
    session: &Session,
    args: &args::VerifyAttestation,
) -> Result<ExitCode, Failure> {
    let file = ambient::absolute(&args.file)?;
    let key = ambient::absolute(&args.key)?;
    let report = verify(
        &session.project_with(&args.groups)?,
        &file,
        &key,
        args.digest,
        args.platform,
    )?;
    session.tell("envbox.verify-attestation/1", &report, text)?;
    Ok(ExitCode::SUCCESS)
}

fn text(report: &AttestationReport) -> String {
    let AttestationReport {
        subject,
        key,
        predicate_type,
        ..
    } = report;
    let lock = report
        .lock
        .map(|lock| format!("built from the lock {lock}\n"));
    let lock = lock.unwrap_or_default();
    format!("{predicate_type} about {subject}\nsigned by the key {key}\n{lock}")
}
