//! `envbox lock`.

use std::process::ExitCode;

use envbox::lock::Change;
use envbox::ops::host_gpu::host_gpu;
use envbox::ops::lock::{
    GpuChange, LockMode, LockOptions, LockOutcome, LockReport, lock as bring_up_to_date,
};
use envbox::ops::run::GpuHost;
use envbox::resolve::Upgrade;

use crate::args;
use crate::commands::Session;
use crate::render::Failure;

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
    let options = LockOptions {
        mode,
        upgrade,
        gpu: gpu(session, args.gpu)?,
        ..LockOptions::default()
    };
    let report = bring_up_to_date(&session.context, &session.project()?, &options)?;
    session.tell("envbox.lock/1", &report, text)?;
    Ok(ExitCode::SUCCESS)
}

/// Looks at this host, when it is asked for: before anything is resolved.
fn gpu(session: &Session, asked: Option<args::LockGpu>) -> Result<GpuChange, Failure> {
    let number = match asked {
        None => return Ok(GpuChange::Keep),
        Some(args::LockGpu::None) => return Ok(GpuChange::Remove),
        Some(args::LockGpu::All) => None,
        Some(args::LockGpu::Number(number)) => Some(number),
    };
    let host = host_gpu(&GpuHost::default(), number, &session.context.store);
    let host = host.map_err(envbox::ops::Error::from)?;
    Ok(GpuChange::Pin(host))
}

fn text(report: &LockReport) -> String {
    let reasons = report.reasons.iter();
    let reasons: String = reasons.map(|reason| format!("{reason}\n")).collect();
    reasons + &done(report)
}

/// Says what became of the lockfile.
pub(super) fn done(report: &LockReport) -> String {
    let text = changes(&report.changes);
    let what = match report.outcome {
        LockOutcome::Created => "wrote",
        LockOutcome::Updated => "updated",
        LockOutcome::Unchanged => "nothing to do for",
    };
    let (file, python, debian) = (report.lockfile.display(), report.python, report.debian);
    let conda = match report.conda {
        0 => String::new(),
        conda => format!("{conda} conda, "),
    };
    text + &format!("{what} `{file}`: {conda}{python} Python and {debian} Debian packages\n")
}

/// One line for each package that changed.
pub(super) fn changes(changes: &[Change]) -> String {
    let line = |change: &Change| {
        let (before, after) = (change.before.join(", "), change.after.join(", "));
        let name = &change.name;
        match (before.as_str(), after.as_str()) {
            ("", after) => format!("+ {name} {after}\n"),
            (before, "") => format!("- {name} {before}\n"),
            (before, after) if before == after => format!("~ {name} {after}, another file\n"),
            (before, after) => format!("~ {name} {before} -> {after}\n"),
        }
    };
    changes.iter().map(line).collect()
}
