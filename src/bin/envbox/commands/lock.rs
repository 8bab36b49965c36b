//! `envbox lock`.

use std::process::ExitCode;

use envbox::ops::lock::{LockMode, LockOptions, LockOutcome, LockReport, lock as bring_up_to_date};
use envbox::resolve::Upgrade;

use crate::args;
use crate::commands::Session;
use crate::render::{self, Failure};

pub(super) fn lock(session: &Session, args: &args::Lock) -> Result<ExitCode, Failure> {
    let upgrade = match (args.upgrade, args.upgrade_package.is_empty()) {
        (true, _) => Upgrade::All,
        (false, false) => Upgrade::Packages(args.upgrade_package.iter().cloned().collect()),
        (false, true) => Upgrade::None,
    };
    let mode = if args.check {
        LockMode::Check
    } else {
        LockMode::Write
    };
    let options = LockOptions { mode, upgrade };
    let report = bring_up_to_date(&session.context, &session.project()?, &options)?;
    if session.global.json {
        render::document("envbox.lock/1", &report);
    } else if !session.global.quiet {
        text(&report);
    }
    Ok(ExitCode::SUCCESS)
}

fn text(report: &LockReport) {
    for reason in &report.reasons {
        render::note(&reason.to_string());
    }
    for change in &report.changes {
        let line = match (change.before.as_slice(), change.after.as_slice()) {
            ([], after) => format!("+ {} {}", change.name, after.join(", ")),
            (before, []) => format!("- {} {}", change.name, before.join(", ")),
            (before, after) => {
                format!(
                    "~ {} {} -> {}",
                    change.name,
                    before.join(", "),
                    after.join(", ")
                )
            }
        };
        render::line(&line);
    }
    let what = match report.outcome {
        LockOutcome::Created => "wrote",
        LockOutcome::Updated => "updated",
        LockOutcome::Unchanged => "nothing to do for",
    };
    render::line(&format!(
        "{what} `{}`: {} Python and {} Debian packages",
        report.lockfile.display(),
        report.python,
        report.debian
    ));
}
