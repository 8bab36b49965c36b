//! From a project to a step that ran: lock, fetch, prepare, execute.

use envbox_lockfiles::base::{Context, Explain as _, Platform};
use envbox_lockfiles::lock::{Lockfile, Request, satisfies};

use crate::fetch::fetch;
use crate::ops::lock::{LockOptions, lock};
use crate::ops::run::{Locking, Prepared, RunOptions, RunReport, execute};
use crate::ops::run::{failure_document, write_document};
use crate::ops::{Error, Project};
use crate::rootfs::{Rootfs, prepare};
use crate::store::Store;

/// Runs a command in the project's environment, which is locked, downloaded and built first where
/// that was not done, and writes the result file if one is asked for.
///
/// # Errors
/// Returns [`Error`] when the step did not run. One that ran and failed is a report.
pub fn run(context: &Context, project: &Project, options: &RunOptions) -> Result<RunReport, Error> {
    let result = run_step(&project.context(context), project, options);
    if let Some(file) = &options.result_file {
        match &result {
            Ok(report) => write_document(&report.document(), file)?,
            Err(error) => write_failure(error, options)?,
        }
    }
    result
}

/// Writes the result file, if one is asked for, of a run that failed before there was a project.
///
/// # Errors
/// Returns [`Error::Fs`] when the file cannot be written.
pub fn write_failure(error: &Error, options: &RunOptions) -> Result<(), Error> {
    match &options.result_file {
        Some(file) => {
            let status = error.run_exit_status();
            Ok(write_document(
                &failure_document(error, error.kind(), status, error.hints()),
                file,
            )?)
        }
        None => Ok(()),
    }
}

fn run_step(
    context: &Context,
    project: &Project,
    options: &RunOptions,
) -> Result<RunReport, Error> {
    let locked = up_to_date(context, project, options.locking)?;
    let rootfs = environment(context, project, &locked)?;
    let prepared = Prepared {
        manifest: project.manifest(),
        lock: locked.digest(),
        rootfs: &rootfs.path(),
    };
    Ok(execute(context, &prepared, project.directory(), options)?)
}

/// Returns a lock that answers the manifest.
fn up_to_date(context: &Context, project: &Project, locking: Locking) -> Result<Lockfile, Error> {
    let file = project.lockfile();
    if locking == Locking::Update {
        lock(context, project, &LockOptions::default())?;
    }
    let locked = Lockfile::read(&file)?;
    if locking == Locking::Frozen {
        satisfies(&locked, &Request::of(project.manifest()))?;
    }
    Ok(locked)
}

fn environment(context: &Context, project: &Project, lock: &Lockfile) -> Result<Rootfs, Error> {
    let store = Store::open(&context.store)?;
    let closure = fetch(context, lock, Platform::host(), &store)?;
    let rootfs = prepare(context, &closure)?;
    // Before the step runs: another process may collect the store while it does.
    match store.pin(&project.lockfile()) {
        Err(error) if !error.is_unwritable() => return Err(error.into()),
        _ => {}
    }
    store.settle_in_background();
    Ok(rootfs)
}
