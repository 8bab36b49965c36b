//! `envbox pull`.

use std::process::ExitCode;

use envbox::base::Platform;
use envbox::ops::pull::pull as bring;
use envbox::ops::verify_attestation::public_key;

use crate::args;
use crate::commands::Session;
use crate::render::{self, Failure};

pub(super) fn pull(session: &Session, args: &args::Pull) -> Result<ExitCode, Failure> {
    let key = args.verify_key.as_deref().map(public_key).transpose()?;
    let platform = args.platform.unwrap_or(Platform::host());
    let report = bring(&session.context, &args.image, platform, key.as_ref())?;
    session.tell("envbox.pull/1", &report, |report| {
        let (layers, size) = (report.layers, render::size(report.bytes));
        let signed = match &report.signed_by {
            Some(key) => format!("signed with {key}\n"),
            None => String::new(),
        };
        format!(
            "the store has `{}`: {layers} layers, {size}\n{signed}",
            report.reference
        )
    })?;
    Ok(ExitCode::SUCCESS)
}
