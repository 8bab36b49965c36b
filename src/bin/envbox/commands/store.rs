//! `envbox store`.

use std::process::ExitCode;

use envbox::ops::Error;
use envbox::store::{GcMode, Store};

use crate::args::StoreCommand;
use crate::commands::Session;
use crate::exit;
use crate::render::{self, Failure};

pub(super) fn store(session: &Session, args: &StoreCommand) -> Result<ExitCode, Failure> {
    let store = Store::open(&session.context.store).map_err(Error::from)?;
    match args {
        StoreCommand::Du => usage(session, &store),
        StoreCommand::Verify => verify(session, &store),
        StoreCommand::Gc { dry_run } => gc(session, &store, *dry_run),
    }
}

fn usage(session: &Session, store: &Store) -> Result<ExitCode, Failure> {
    let usage = store.usage().map_err(Error::from)?;
    if session.global.json {
        render::document("envbox.store.du/1", &usage);
        return Ok(ExitCode::SUCCESS);
    }
    let rows = [
        ("downloads", usage.blobs),
        ("unpacked packages", usage.trees),
        ("environments", usage.rootfs),
        ("indexes", usage.index),
        ("temporary", usage.temporary),
    ];
    for (name, share) in rows {
        render::line(&format!(
            "{:>12}  {:>6}  {name}",
            render::size(share.bytes),
            share.count
        ));
    }
    render::line(&format!(
        "{:>12}          in all",
        render::size(usage.bytes())
    ));
    Ok(ExitCode::SUCCESS)
}

fn verify(session: &Session, store: &Store) -> Result<ExitCode, Failure> {
    let report = store.verify(session.context.jobs).map_err(Error::from)?;
    if session.global.json {
        render::document("envbox.store.verify/1", &report);
    } else {
        for damage in &report.damaged {
            render::line(&format!("damaged: {}", damage.object.display()));
        }
        let (blobs, trees) = (report.blobs, report.trees);
        let damaged = report.damaged.len();
        render::line(&format!(
            "read {blobs} downloads and {trees} trees: {damaged} damaged"
        ));
    }
    Ok(match report.damaged.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(exit::FOUND_WRONG),
    })
}

fn gc(session: &Session, store: &Store, dry_run: bool) -> Result<ExitCode, Failure> {
    let mode = if dry_run {
        GcMode::DryRun
    } else {
        GcMode::Remove
    };
    let report = store.gc(mode).map_err(Error::from)?;
    if session.global.json {
        render::document("envbox.store.gc/1", &report);
        return Ok(ExitCode::SUCCESS);
    }
    let verb = if dry_run { "would remove" } else { "removed" };
    let freed = render::size(report.freed_bytes);
    render::line(&format!(
        "{verb} {} objects ({freed}), kept {} for {} lockfiles",
        report.removed.len(),
        report.kept,
        report.lockfiles.len()
    ));
    Ok(ExitCode::SUCCESS)
}
