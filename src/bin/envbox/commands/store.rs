//! `envbox store`.

use std::process::ExitCode;

use envbox::ops::store::{Damaged, collect_garbage, usage, verify};
use envbox::store::{GcMode, GcReport, Usage, VerifyReport};

use crate::args::StoreCommand;
use crate::commands::Session;
use crate::exit;
use crate::render::{self, Failure};

pub(super) fn store(session: &Session, args: &StoreCommand) -> Result<ExitCode, Failure> {
    match args {
        StoreCommand::Du => {
            let usage = usage(&session.context)?;
            session.print("envbox.store.du/1", &usage, usage_text)?;
        }
        StoreCommand::Gc { dry_run } => {
            let mode = match dry_run {
                true => GcMode::DryRun,
                false => GcMode::Remove,
            };
            let report = collect_garbage(&session.context, mode)?;
            session.print("envbox.store.gc/1", &report, |report| gc_text(report, mode))?;
        }
        StoreCommand::Verify { discard } => {
            let damaged = match discard {
                true => Damaged::Discard,
                false => Damaged::Keep,
            };
            let report = verify(&session.context, damaged)?;
            session.print("envbox.store.verify/1", &report, |report| {
                verify_text(report, damaged)
            })?;
            if !report.damaged.is_empty() {
                return Ok(ExitCode::from(exit::FOUND_WRONG));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn usage_text(usage: &Usage) -> String {
    let rows = [
        ("downloads", usage.blobs),
        ("unpacked packages", usage.trees),
        ("environments", usage.rootfs),
        ("indexes", usage.index),
        ("temporary", usage.temporary),
    ];
    let mut text = String::new();
    for (name, share) in rows {
        let size = render::size(share.bytes);
        text += &format!("{size:>12}  {:>6}  {name}\n", share.count);
    }
    let all = render::size(usage.bytes());
    text + &format!("{all:>12}          in all\n")
}

fn verify_text(report: &VerifyReport, fate: Damaged) -> String {
    let mut text = String::new();
    for damage in &report.damaged {
        text += &format!("damaged: {}\n", damage.object.display());
    }
    let (blobs, trees, damaged) = (report.blobs, report.trees, report.damaged.len());
    text += &format!("read {blobs} downloads and {trees} trees: {damaged} damaged\n");
    text += match (damaged, fate) {
        (0, _) => "",
        (_, Damaged::Keep) => "`envbox store verify --discard` removes what is damaged\n",
        (_, Damaged::Discard) => "what was damaged is removed, and made again when it is needed\n",
    };
    text
}

fn gc_text(report: &GcReport, mode: GcMode) -> String {
    let verb = match mode {
        GcMode::DryRun => "would remove",
        GcMode::Remove => "removed",
    };
    let freed = render::size(report.freed_bytes);
    let (removed, kept, locks) = (report.removed.len(), report.kept, report.lockfiles.len());
    format!("{verb} {removed} objects ({freed}), kept {kept} for {locks} lockfiles\n")
}
