//! `envbox mirror`.

use std::process::ExitCode;

use envbox::base::Mirror;
use envbox::ops::mirror::{MirrorReport, mirror as write};

use crate::ambient::{self, AmbientError};
use crate::args;
use crate::commands::Session;
use crate::render::{self, Failure};

pub(super) fn mirror(session: &Session, args: &args::Mirror) -> Result<ExitCode, Failure> {
    let current = ambient::current_directory()?;
    let to = Mirror::parse(&args.to, &current).map_err(AmbientError::from)?;
    let report = write(&session.context, &session.project()?, &to)?;
    session.tell("envbox.mirror/1", &report, text)?;
    Ok(ExitCode::SUCCESS)
}

fn text(report: &MirrorReport) -> String {
    let (artifacts, size) = (report.artifacts, render::size(report.bytes));
    let mut text = format!("{} has all {artifacts} artifacts ({size})\n", report.to);
    if let Some(added) = &report.added {
        let (files, size) = (added.files, render::size(added.bytes));
        text += &format!("  {files} files ({size}) are new\n");
        for digest in &added.repaired {
            text += &format!("  {digest} was damaged and is replaced\n");
        }
        for file in &added.shadowed {
            text +=
                &format!("  {file} has another there by that name; it is found by its digest\n");
        }
    }
    if let Some(pushed) = &report.pushed {
        let size = render::size(pushed.uploaded_bytes);
        text += &format!("  {} blobs ({size}) are new\n", pushed.uploaded);
    }
    for suite in &report.suites {
        let what = match suite.mirrored {
            true => "packages and lists",
            false => "packages alone",
        };
        text += &format!("  {} of {}: {what}\n", suite.name, suite.date);
    }
    text
}
