//! `envbox add` and `envbox remove`.

use std::process::ExitCode;

use envbox::manifest::ListKind;
use envbox::ops::edit::{EditOptions, EditReport, add as ask_for, remove as ask_no_more};

use crate::args;
use crate::commands::{Session, lock};
use crate::render::Failure;

pub(super) fn add(session: &Session, args: &args::Edit) -> Result<ExitCode, Failure> {
    let report = ask_for(
        &session.context,
        &session.project()?,
        &args.entries,
        &options(args),
    )?;
    session.tell("envbox.add/1", &report, text)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn remove(session: &Session, args: &args::Edit) -> Result<ExitCode, Failure> {
    let report = ask_no_more(
        &session.context,
        &session.project()?,
        &args.entries,
        &options(args),
    )?;
    session.tell("envbox.remove/1", &report, text)?;
    Ok(ExitCode::SUCCESS)
}

fn options(args: &args::Edit) -> EditOptions {
    EditOptions {
        kind: match (args.debian, args.conda) {
            (true, _) => ListKind::Debian,
            (false, true) => ListKind::Conda,
            (false, false) => ListKind::Python,
        },
        group: args.group.clone(),
    }
}

fn text(report: &EditReport) -> String {
    let file = report.manifest.display();
    let mut text = String::new();
    for entry in &report.added {
        text += &format!("added `{entry}` to `{file}`\n");
    }
    for entry in &report.removed {
        text += &format!("removed `{entry}` from `{file}`\n");
    }
    for entry in &report.kept {
        text += &format!("`{entry}` is in `{file}` already\n");
    }
    text + &lock::done(&report.lock)
}
