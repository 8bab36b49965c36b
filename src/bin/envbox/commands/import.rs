//! `envbox import`.

use std::collections::BTreeMap;
use std::process::ExitCode;

use envbox::foreign::{Choice, LeftOut, LeftOutReason};
use envbox::ops::import::{ImportReport, import as take_over};
use envbox::ops::lock::LockOutcome;

use crate::commands::{Session, lock};
use crate::render::Failure;
use crate::{ambient, args};

pub(super) fn import(session: &Session, args: &args::Import) -> Result<ExitCode, Failure> {
    let choice = Choice::from(&args.choice);
    ambient::no_manifest(&session.global, "import")?;
    let directory = ambient::project(&session.global)?;
    let file = ambient::absolute(&args.file)?;
    let report = take_over(&session.context, &directory, &file, &choice)?;
    session.tell("envbox.import/1", &report, text)?;
    Ok(ExitCode::SUCCESS)
}

fn text(report: &ImportReport) -> String {
    let mut text = lock::changes(&report.changes);
    for added in &report.added {
        let (name, version) = (&added.name, &added.version);
        text += &format!("not pinned: {name}, for which {version} was chosen\n");
    }
    text += &left_out(&report.left_out);
    if let Some(manifest) = &report.manifest {
        text += &format!("wrote `{}`\n", manifest.display());
    }
    let what = match report.outcome {
        LockOutcome::Created => "wrote",
        LockOutcome::Updated => "updated",
        LockOutcome::Unchanged => "nothing to do for",
    };
    let (file, kept, format) = (report.lockfile.display(), report.kept, report.format);
    text + &format!("{what} `{file}`: {kept} packages as in the {format}\n")
}

/// One line for each reason.
pub(super) fn left_out(left_out: &[LeftOut]) -> String {
    let mut reasons = BTreeMap::<LeftOutReason, Vec<&str>>::new();
    for left in left_out {
        reasons.entry(left.reason).or_default().push(&left.what);
    }
    let line = |(reason, what): (LeftOutReason, Vec<&str>)| {
        format!("left out ({reason}): {}\n", what.join(", "))
    };
    reasons.into_iter().map(line).collect()
}
